//! What the status of a Rollout says.

use tidegate::api::{PauseReason, Rollout};

pub fn message(rollout: &Rollout) -> String {
    rollout.status.as_ref().and_then(|s| s.message.clone()).unwrap_or_default()
}

/// The whole of it as text, to look for a sentence wherever it stands.
pub fn text(rollout: &Rollout) -> String {
    serde_json::to_string(&rollout.status).unwrap()
}

pub fn is_paused_for(rollout: &Rollout, reason: PauseReason) -> bool {
    let run = rollout.status.as_ref().and_then(|s| s.run.as_ref());
    run.and_then(|run| run.pause.as_ref()).is_some_and(|pause| pause.reason == reason)
}

pub fn paused_for(reason: PauseReason) -> impl Fn(&Rollout) -> bool {
    move |rollout| is_paused_for(rollout, reason)
}

/// Whether the routes are told to be as they are to be.
pub fn routes_in_sync(rollout: &Rollout) -> bool {
    let conditions = rollout.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|c| c.type_ == "RoutesInSync" && c.status == "True")
}

/// How many runs there have been, the present one included.
pub fn runs(rollout: &Rollout) -> i64 {
    rollout.status.as_ref().and_then(|s| s.run.as_ref()).map_or(0, |run| run.number)
}
