//! Questions to gates: never inside a turn. A task of its own asks them, leaves the answers in the Rollout's entry and gives it
//! a turn; so an abort is handled at once while a gate hangs.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;

use super::{
    context::{Context, Entry},
    returning::End,
};
use crate::{
    api::GateAnswer,
    engine::gate::{Answered, AskDone, AskRequest},
};

/// Gates have deadlines of their own; this one only guards against one that breaks its word.
const DEADLINE: Duration = Duration::from_mins(10);
/// Why a gate gave no answer that the controller failed to ask.
const DEFECT: &str = "the controller failed to ask it, which is a defect of it; its log says where";

/// Asks, unless gates are being asked.
pub fn start(context: &Arc<Context>, entry: &Arc<Entry>, step: i32, request: AskRequest) {
    let of = (request.namespace.as_str(), request.rollout.as_str());
    if let Some(end) = End::begin(context, entry, |entry| &entry.asks, of) {
        tokio::spawn(carry_out(end, step, request));
    }
}

async fn carry_out(mut end: End<AskDone>, step: i32, request: AskRequest) {
    let context = Arc::clone(&end.context);
    let asked = AssertUnwindSafe(Box::pin(context.gates.ask(&request))).catch_unwind();
    let answers = if let Ok(Ok(answers)) = tokio::time::timeout(DEADLINE, asked).await {
        answers
    } else {
        tracing::error!(namespace = request.namespace, rollout = request.rollout, "gates could not be asked");
        silent(&request)
    };
    for Answered { question, answer, .. } in &answers {
        // A name that is not configured could be anything.
        let gate = Some(question.gate.as_str()).filter(|gate| context.intervals.contains_key(*gate));
        context.meters.gate(gate, *answer);
    }
    end.done = Some(AskDone { run: request.run, step, answers });
}

/// No gate gave an answer.
fn silent(request: &AskRequest) -> Vec<Answered> {
    let silent = |question: &_| Answered {
        question: Clone::clone(question),
        answer: GateAnswer::Down,
        sentence: DEFECT.to_owned(),
    };
    request.questions.iter().map(silent).collect()
}
