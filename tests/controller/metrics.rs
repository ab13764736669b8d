//! Gateways' stats as the tests want them: counters of every version grow with time, failing as told.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use tidegate::clock::Clock;

/// How the gateway answers a scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Answer {
    #[default]
    Counters,
    Status(u16),
    Hang,
    Huge,
    Redirect,
    Nonsense,
    Nothing,
    /// The counters are there, and none of them is a number.
    NotANumber,
}

#[derive(Default)]
struct State {
    answer: Answer,
    failing: BTreeMap<String, f64>,
    counters: BTreeMap<String, (f64, f64)>,
    scraped: Option<jiff::Timestamp>,
    looks: Vec<jiff::Timestamp>,
}

/// A gateway's stats page.
#[derive(Clone)]
pub struct Gateway {
    address: SocketAddr,
    namespace: String,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

/// Requests a second of each version.
const RATE: f64 = 4000.0;

impl Gateway {
    /// A gateway in front of the versions in a namespace.
    pub async fn start(namespace: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway =
            Self { address, namespace: namespace.to_owned(), clock: Clock::start(), state: Arc::default() };
        let me = gateway.clone();
        let page = move || {
            let me = me.clone();
            async move { me.page().await }
        };
        let app = Router::new().route("/stats/prometheus", get(page));
        tokio::spawn(async move { axum::serve(listener, app).await });
        gateway
    }

    pub fn url(&self) -> String {
        format!("http://{}/stats/prometheus", self.address)
    }

    pub fn answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// When the controller looked here.
    pub fn looks(&self) -> Vec<jiff::Timestamp> {
        self.state.lock().unwrap().looks.clone()
    }

    /// The share of failing requests of a version from now on.
    pub fn fail(&self, version: &str, share: f64) {
        let mut state = self.state.lock().unwrap();
        self.grow(&mut state);
        state.failing.insert(version.to_owned(), share);
    }

    fn grow(&self, state: &mut State) {
        let now = self.clock.now();
        let passed = state.scraped.map_or(0.0, |then| now.duration_since(then).as_secs_f64());
        state.scraped = Some(now);
        for version in ["v1", "v2", "v3"] {
            let failing = state.failing.get(version).copied().unwrap_or(0.0);
            let counter = state.counters.entry(version.to_owned()).or_insert((0.0, 1.0));
            counter.0 += RATE * passed * failing;
            counter.1 += RATE * passed * (1.0 - failing);
        }
    }

    async fn page(&self) -> axum::response::Response {
        let answer = {
            let mut state = self.state.lock().unwrap();
            state.looks.push(self.clock.now());
            state.answer.clone()
        };
        match answer {
            Answer::Counters => self.counters(f64::round).into_response(),
            Answer::NotANumber => self.counters(|_| f64::NAN).into_response(),
            Answer::Status(code) => (StatusCode::from_u16(code).unwrap(), "s3cret-body").into_response(),
            Answer::Hang => {
                tokio::time::sleep(Duration::from_mins(10)).await;
                StatusCode::OK.into_response()
            }
            Answer::Huge => "x".repeat(3 << 20).into_response(),
            Answer::Redirect => axum::response::Redirect::temporary("http://127.0.0.1:1/").into_response(),
            Answer::Nonsense => "s3cret-body {{{ this is no page".into_response(),
            Answer::Nothing => "".into_response(),
        }
    }

    fn counters(&self, told: impl Fn(f64) -> f64) -> String {
        let mut state = self.state.lock().unwrap();
        self.grow(&mut state);
        let mut page = String::from("# TYPE envoy_cluster_upstream_rq_xx counter\n");
        for (version, (bad, good)) in &state.counters {
            let cluster = format!("cds_egress_mesh_{version}_{}_http_8080", self.namespace);
            for (class, value) in [("2", good), ("5", bad)] {
                if class == "2" || *value > 0.0 {
                    let labels =
                        format!(r#"envoy_cluster_name="{cluster}",envoy_response_code_class="{class}""#);
                    writeln!(page, "envoy_cluster_upstream_rq_xx{{{labels}}} {}", told(*value)).unwrap();
                }
            }
        }
        page
    }
}
