//! Gates: what a step waits for outside the cluster. They are asked over HTTP, and what they say is told on as it is.
//!
//! Yes is only what a gate said in so many words. Whatever else comes back, late or not at all, is
//! [`Down`](GateAnswer::Down), with a sentence that holds no byte of it. Nothing is retried here: the next question is the retry.

mod answer;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::{
    Url,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::{
    api::{GateAnswer, GateTime, units::spell},
    config::GateConfig,
    engine::gate::{Answered, AskRequest, Question},
    outbound::{CallError, Http},
};

/// The most questions to one gate at once, of all Rollouts together.
const AT_ONCE: usize = 16;

/// All configured gates. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    entries: Arc<BTreeMap<String, Gate>>,
}

/// Why a configured gate can't serve. It stops the start.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the gate {name}: {reason}")]
pub struct GateError {
    name: String,
    reason: String,
}

#[derive(Debug)]
struct Gate {
    url: Url,
    interval: Duration,
    http: Http,
    places: Semaphore,
}

/// What a gate is asked, as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    gate: &'a str,
    when: GateTime,
    namespace: &'a str,
    rollout: &'a str,
    uid: &'a str,
    run: i64,
    step: i32,
    steps: i32,
    weight: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<i32>,
    stable: &'a str,
    canary: &'a str,
}

impl Gates {
    /// Sets all gates up and reads their credentials once, so that a missing file stops the start.
    pub fn new(config: &BTreeMap<String, GateConfig>) -> Result<Self, GateError> {
        let set_up = |(name, config): (&String, &GateConfig)| {
            let gate = Gate::new(config)
                .map_err(|error| GateError { name: name.clone(), reason: error.sentence("the gate") })?;
            Ok((name.clone(), gate))
        };
        let entries = config.iter().map(set_up).collect::<Result<_, _>>()?;
        Ok(Self { entries: Arc::new(entries) })
    }

    /// The names of all gates, and how soon each is asked again.
    pub fn names(&self) -> BTreeMap<String, Duration> {
        self.entries.iter().map(|(name, gate)| (name.clone(), gate.interval)).collect()
    }

    /// Asks everything at once, each question under its gate's deadline. The answers are in the order in which they came; a no
    /// is the last one, for it waits for nobody.
    pub async fn ask(&self, request: &AskRequest) -> Vec<Answered> {
        let asked = request.questions.iter().map(|question| self.answer(request, question));
        let mut asked: FuturesUnordered<_> = asked.collect();
        let mut answers = Vec::new();
        while let Some(answered) = asked.next().await {
            let is_no = answered.answer == GateAnswer::No;
            answers.push(answered);
            if is_no {
                break;
            }
        }
        answers
    }

    async fn answer(&self, request: &AskRequest, question: &Question) -> Answered {
        let said = match self.entries.get(&question.gate) {
            Some(gate) => gate.ask(&Review::of(request, question)).await,
            None => Err(format!(
                "no gate named {:?} is configured; gates are listed in the controller's configuration",
                question.gate
            )),
        };
        let (answer, sentence) = said.unwrap_or_else(|why| (GateAnswer::Down, why));
        Answered { question: question.clone(), answer, sentence }
    }
}

impl Gate {
    fn new(config: &GateConfig) -> Result<Self, CallError> {
        Ok(Self {
            http: Http::new(&config.http, config.url.scheme() == "https")?,
            url: config.url.clone(),
            interval: config.interval,
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// What it says, or why that does not count. Waiting for a place is within the deadline, so that a run never waits longer.
    async fn ask(&self, review: &Review<'_>) -> Result<(GateAnswer, String), String> {
        let deadline = self.http.timeout();
        let asked = tokio::time::timeout(deadline, async {
            let _place = self.places.acquire().await;
            self.send(review).await
        });
        asked.await.unwrap_or_else(|_| Err(CallError::Timeout(spell(deadline)).sentence("the gate")))
    }

    async fn send(&self, review: &Review<'_>) -> Result<(GateAnswer, String), String> {
        let body =
            serde_json::to_vec(review).map_err(|_| "the question can't be written as JSON".to_owned())?;
        let answer = self.http.send(|client| {
            let request = client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
            request.header(ACCEPT, "application/json").body(body)
        });
        let answer = answer.await.map_err(|error| error.sentence("the gate"))?;
        answer::read(answer.status, &answer.body)
    }
}

impl<'a> Review<'a> {
    fn of(request: &'a AskRequest, question: &'a Question) -> Self {
        Self {
            api_version: "tidegate.dev/v1alpha1",
            kind: "GateReview",
            gate: &question.gate,
            when: question.when,
            namespace: &request.namespace,
            rollout: &request.rollout,
            uid: &request.uid,
            run: request.run,
            step: question.step,
            steps: request.steps,
            weight: question.weight,
            mirror: question.mirror,
            stable: &request.stable,
            canary: &request.canary,
        }
    }
}

#[cfg(test)]
mod tests;
