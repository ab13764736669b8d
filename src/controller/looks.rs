//! Looks at the metrics: never inside a turn. A task of its own asks the providers, leaves the answer in the
//! Rollout's entry and gives it a turn; so an abort is handled at once while a metric backend hangs.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;

use super::{
    context::{Context, Entry},
    returning::End,
};
use crate::engine::{
    look::{Look, LookRequest, ReadError},
    observed::LookDone,
};

/// Providers have deadlines of their own; this one only guards against a provider that breaks its word.
const DEADLINE: Duration = Duration::from_mins(1);

/// Starts a look, unless one is under way.
pub fn start(context: &Arc<Context>, entry: &Arc<Entry>, run: i64, step: i32, request: LookRequest) {
    let of = (request.namespace.as_str(), request.rollout.as_str());
    if let Some(end) = End::begin(context, entry, |entry| &entry.look, of) {
        tokio::spawn(carry_out(end, run, step, request));
    }
}

async fn carry_out(mut end: End<LookDone>, run: i64, step: i32, request: LookRequest) {
    let context = Arc::clone(&end.context);
    let started = context.clock.elapsed();
    let told = |provider: Option<&str>, error: Option<&ReadError>| {
        context.meters.read(provider, error, context.clock.elapsed().saturating_sub(started));
    };
    let asked = context.providers.look_telling(&request, context.clock.now(), &told);
    let answer = AssertUnwindSafe(Box::pin(asked));
    let broken = |error: &ReadError| {
        told(None, Some(error));
        failed(&request, error)
    };
    let look = match tokio::time::timeout(DEADLINE, answer.catch_unwind()).await {
        Ok(Ok(look)) => look,
        Ok(Err(_)) => broken(&ReadError::Defect),
        Err(_) => broken(&ReadError::Timeout(format!("{}s", DEADLINE.as_secs()))),
    };
    end.done = Some(LookDone { run, step, look });
}

/// A look that failed whole: every part of it is the error.
fn failed(request: &LookRequest, error: &ReadError) -> Look {
    let part = |name: &String| (name.clone(), Err(error.clone()));
    Look {
        arms: request.arms.as_ref().map(|_| Err(error.clone())),
        numbers: request.numbers.iter().map(|number| part(&number.name)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::look::NumberRequest;

    #[test]
    fn a_look_that_failed_whole_is_an_error_in_every_part() {
        let request = LookRequest {
            namespace: "ns".into(),
            rollout: "color".into(),
            canary: "v2".into(),
            stable: "v1".into(),
            args: BTreeMap::new(),
            arms: None,
            numbers: vec![NumberRequest { name: "queue".into(), provider: None, query: "q".into() }],
        };
        let look = failed(&request, &ReadError::Defect);
        assert_eq!(look.arms, None, "not asked for");
        assert_eq!(look.numbers["queue"], Err(ReadError::Defect));
    }
}
