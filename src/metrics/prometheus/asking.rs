//! How a Prometheus is asked: the same question once for all Rollouts, so many at a time, and no namespace more than
//! its share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use jiff::Timestamp;
use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};

use super::{
    super::{places::Places, within},
    reply::{self, Data},
};
use crate::{
    config::{PrometheusConfig, Tenant},
    engine::look::ReadError,
    outbound::Http,
};

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum When {
    At(Timestamp),
    Range { start: Timestamp, end: Timestamp, step: Duration },
}

impl When {
    const fn last(self) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Range { end, .. } => end,
        }
    }
}

/// One Prometheus, to be asked.
#[derive(Debug)]
pub(super) struct Asking {
    line: Arc<Line>,
    tenant: Option<Tenant>,
    places: Places,
    flights: Mutex<HashMap<Question, Flight>>,
}

/// What a question goes through.
#[derive(Debug)]
struct Line {
    http: Http,
    query: Url,
    query_range: Url,
}

/// Two that are equal have the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    /// Whose series are asked for, as it is told.
    tenant: Option<(HeaderName, HeaderValue)>,
    query: String,
    when: When,
}

/// A question under way, or answered.
type Flight = Shared<BoxFuture<'static, Result<Arc<Data>, ReadError>>>;

impl Asking {
    pub(super) fn new(config: &PrometheusConfig) -> Result<Self, ReadError> {
        Ok(Self {
            line: Arc::new(Line {
                http: Http::new(&config.http, config.url.scheme() == "https")?,
                query: endpoint(&config.url, "query"),
                query_range: endpoint(&config.url, "query_range"),
            }),
            tenant: config.tenant.clone(),
            places: Places::new(config.max_concurrent),
            flights: Mutex::default(),
        })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.line.http.timeout()
    }

    /// Asks for a Rollout of that namespace; `role` is what errors call the query.
    pub(super) async fn ask(
        &self,
        namespace: &str,
        role: &str,
        query: &str,
        when: When,
    ) -> Result<Arc<Data>, ReadError> {
        let tenant = self.tenant.as_ref().map(|tenant| header(tenant, namespace)).transpose()?;
        let question = Question { tenant, query: query.to_owned(), when };
        let answer = self.flight(namespace, question).await;
        answer.map_err(|error| match error {
            // It may have been asked in another role.
            ReadError::BadQuery { .. } => ReadError::BadQuery { query: role.to_owned() },
            other => other,
        })
    }

    /// The flight of a question: the one that is on or was answered, or a new one. It goes on by itself, for who began it
    /// may give up while others wait. Answers are kept until somebody asks for a later time: looks are evaluated at whole
    /// seconds, and what was then does not change.
    fn flight(&self, namespace: &str, question: Question) -> Flight {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let now = question.when.last();
        // Asked, not looked at: one whose askers have all given up has an answer that nobody took.
        flights.retain(|known, flight| match flight.clone().now_or_never() {
            Some(Ok(_)) => known.when.last() >= now,
            Some(Err(_)) => false,
            None => true,
        });
        if let Some(flight) = flights.get(&question) {
            return flight.clone();
        }
        let (line, places, namespace) = (Arc::clone(&self.line), self.places.clone(), namespace.to_owned());
        let asked = question.clone();
        let task = tokio::spawn(async move {
            let answer = async {
                let _place = places.take(&namespace).await;
                line.send(&asked).await
            };
            within(line.http.timeout(), answer).await.map(Arc::new)
        });
        let flight = async { task.await.unwrap_or(Err(ReadError::Defect)) }.boxed().shared();
        flights.insert(question, flight.clone());
        flight
    }
}

impl Line {
    async fn send(&self, question: &Question) -> Result<Data, ReadError> {
        let mut form = vec![("query", question.query.clone())];
        let url = match question.when {
            When::At(at) => {
                form.push(("time", seconds(at)));
                &self.query
            }
            When::Range { start, end, step } => {
                form.extend([
                    ("start", seconds(start)),
                    ("end", seconds(end)),
                    ("step", step.as_secs().max(1).to_string()),
                ]);
                &self.query_range
            }
        };
        let answer = self.http.send(|client| {
            let request = client.post(url.clone()).form(&form);
            match &question.tenant {
                Some((header, id)) => request.header(header, id),
                None => request,
            }
        });
        reply::data(&answer.await?)
    }
}

fn header(tenant: &Tenant, namespace: &str) -> Result<(HeaderName, HeaderValue), ReadError> {
    let id = HeaderValue::from_str(&tenant.of(namespace)).map_err(|_| {
        ReadError::Unsupported("the configured tenant can't be a header's value; correct it".to_owned())
    })?;
    Ok((tenant.header.clone(), id))
}

fn endpoint(base: &Url, name: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/api/v1/{name}", base.path().trim_end_matches('/')));
    url
}

/// Unix seconds with milliseconds.
fn seconds(time: Timestamp) -> String {
    let millis = time.as_millisecond();
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;
    use crate::{
        metrics::tests::prometheus_at,
        outbound::fake::{Reply, serve},
    };

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_forgotten() {
        let fake = serve(|asked| match asked.field("query").as_str() {
            "hang" | "given up" => Reply::Hang,
            _ => Reply::ok(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#),
        })
        .await;
        let timeout = Duration::from_millis(100);
        let asking = Asking::new(&prometheus_at(fake.url.clone(), timeout)).unwrap();
        let at = |second| When::At(Timestamp::from_second(second).unwrap());
        // One is dropped before its answer, one after it, one never has any.
        for query in ["given up", "answered"] {
            let mut given_up = Box::pin(asking.ask("ns", "queue", query, at(1)));
            assert!(poll!(&mut given_up).is_pending());
        }
        let hung = within(timeout / 2, asking.ask("ns", "queue", "hang", at(1))).await;
        assert!(matches!(hung, Err(ReadError::Timeout(_))), "{hung:?}");
        let forgotten = async {
            let mut second = 2;
            loop {
                assert!(asking.ask("ns", "queue", "up", at(second)).await.is_ok());
                if asking.flights.lock().unwrap().len() == 1 {
                    break;
                }
                second += 1;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), forgotten).await.expect("only the last answer is kept");
    }
}
