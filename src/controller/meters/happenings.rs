//! What has happened to a Rollout between two statuses of it, the second stored in place of the first.
//!
//! Every write of a status names the version that it replaces, so each change is made by one controller, once: whoever made it
//! counts it.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    analysis::Verdict,
    api::{EndReason, PauseReason, RolloutStatus, Run, Step},
};

/// Something worth counting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening {
    /// A run began.
    RunStarted,
    /// A run ended.
    RunEnded {
        /// How.
        outcome: EndReason,
        /// From its start until its end was decided.
        took: Duration,
    },
    /// A step was left whose weight had been in effect.
    StepEnded {
        /// For so long.
        took: Duration,
    },
    /// A run began to wait, or waits for another reason now.
    Paused(PauseReason),
    /// A metric says this, and said something else before.
    Judged(Verdict),
}

/// What has happened, if `after` was stored at `now` in place of `before`.
pub fn of(before: &RolloutStatus, after: &RolloutStatus, now: Timestamp) -> Vec<Happening> {
    let mut happened = Vec::new();
    let same_run = number(before) == number(after);
    if !same_run && after.run.is_some() {
        happened.push(Happening::RunStarted);
    }
    if let Some(run) = before.active_run()
        && let Some((outcome, at)) = end(run, after)
    {
        happened.push(Happening::RunEnded { outcome, took: between(run.started_at, at) });
        happened.extend(step_ended(before.step.as_ref(), at));
    } else if !same_run && let Some(ended) = after.run.as_ref().and_then(|run| run.ended.as_ref()) {
        // It began and ended between two writes.
        let started = after.run.as_ref().map_or(ended.at, |run| run.started_at);
        happened.push(Happening::RunEnded { outcome: ended.reason, took: between(started, ended.at) });
    } else if before.active_run().is_some() && index(before) != index(after) {
        happened.extend(step_ended(before.step.as_ref(), now));
    }
    let paused = |status: &RolloutStatus| status.active_run()?.pause.as_ref().map(|pause| pause.reason);
    if let Some(reason) = paused(after)
        && (!same_run || paused(before) != Some(reason))
    {
        happened.push(Happening::Paused(reason));
    }
    let same_step = same_run && index(before) == index(after);
    for metric in &after.analysis {
        let known = before.analysis.iter().find(|known| same_step && known.name == metric.name);
        if known.is_none_or(|known| known.verdict != metric.verdict) {
            happened.push(Happening::Judged(metric.verdict));
        }
    }
    happened
}

fn number(status: &RolloutStatus) -> Option<i64> {
    status.run.as_ref().map(|run| run.number)
}

fn index(status: &RolloutStatus) -> Option<i32> {
    status.step.as_ref().map(|step| step.index)
}

/// How a run that was under way has ended, if it has, and when; another run may have taken its place.
fn end(run: &Run, after: &RolloutStatus) -> Option<(EndReason, Timestamp)> {
    match &after.run {
        Some(now) if now.number == run.number => now.ended.as_ref().map(|ended| (ended.reason, ended.at)),
        Some(_) | None => {
            let kept = after.history.iter().find(|entry| entry.run == run.number);
            kept.map(|entry| (entry.outcome, entry.at))
        }
    }
}

fn step_ended(step: Option<&Step>, at: Timestamp) -> Option<Happening> {
    let since = step?.since?;
    Some(Happening::StepEnded { took: between(since, at) })
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(status: Value) -> RolloutStatus {
        serde_json::from_value(status).unwrap()
    }

    fn run(number: i64, ended: Option<&str>, pause: Option<&str>) -> Value {
        json!({
            "number": number, "startedAt": "2026-01-01T00:00:00Z", "plan": [], "progressDeadline": "1h",
            "onDeadline": "Rollback", "withoutProgress": "0s",
            "ended": ended.map(|reason| json!({"reason": reason, "message": "", "at": "2026-01-01T00:10:00Z"})),
            "pause": pause.map(|reason| json!({"reason": reason, "message": "", "since": "2026-01-01T00:01:00Z"})),
        })
    }

    fn step(index: i32, since: Option<&str>) -> Value {
        json!({ "index": index, "of": 3, "label": "", "weight": 10, "elapsed": "0s", "since": since })
    }

    fn says(name: &str, verdict: &str) -> Value {
        json!({ "name": name, "verdict": verdict, "sentence": "", "since": "2026-01-01T00:00:00Z" })
    }

    #[test]
    fn each_change_is_counted_for_what_it_is() {
        let minutes = Duration::from_mins;
        let in_run = json!({"run": run(2, None, None), "step": step(1, Some("2026-01-01T00:02:00Z"))});
        let ended = |outcome| Happening::RunEnded { outcome, took: minutes(10) };
        #[rustfmt::skip]
        let cases = [
            ("nothing", json!({}), json!({}), vec![]),
            ("the same", in_run.clone(), in_run.clone(), vec![]),
            ("a first run", json!({}), json!({"run": run(1, None, None)}), vec![Happening::RunStarted]),
            ("another run", json!({"run": run(1, Some("Failed"), None)}), json!({"run": run(2, None, None)}),
             vec![Happening::RunStarted]),
            ("promoted, in its step for eight minutes", in_run.clone(),
             json!({"run": run(2, Some("Promoted"), None), "step": step(1, Some("2026-01-01T00:02:00Z"))}),
             vec![ended(EndReason::Promoted), Happening::StepEnded { took: minutes(8) }]),
            ("failed before its weight was in effect", json!({"run": run(2, None, None), "step": step(1, None)}),
             json!({"run": run(2, Some("Failed"), None)}), vec![ended(EndReason::Failed)]),
            ("settled, once it has ended", json!({"run": run(2, Some("Failed"), None)}),
             json!({"run": run(2, Some("Marked"), None)}), vec![]),
            ("replaced in one write", in_run.clone(), json!({"run": run(3, None, None), "history": [
                {"run": 2, "target": {"name": "a"}, "stable": {"name": "b"}, "outcome": "TargetChanged", "message": "",
                 "at": "2026-01-01T00:10:00Z"}]}),
             vec![Happening::RunStarted, ended(EndReason::TargetChanged), Happening::StepEnded { took: minutes(8) }]),
            ("begun and ended in one write", json!({}), json!({"run": run(1, Some("Deleted"), None)}),
             vec![Happening::RunStarted, ended(EndReason::Deleted)]),
            ("a step forward", in_run.clone(), json!({"run": run(2, None, None), "step": step(2, None)}),
             vec![Happening::StepEnded { took: minutes(13) }]),
            ("a pause", in_run.clone(), json!({"run": run(2, None, Some("Approval")), "step": step(1, None)}),
             vec![Happening::Paused(PauseReason::Approval)]),
            ("the same pause", json!({"run": run(2, None, Some("Approval"))}), json!({"run": run(2, None, Some("Approval"))}),
             vec![]),
            ("another pause", json!({"run": run(2, None, Some("Approval"))}), json!({"run": run(2, None, Some("Drifted"))}),
             vec![Happening::Paused(PauseReason::Drifted)]),
            ("a pause that ends", json!({"run": run(2, None, Some("Approval"))}), json!({"run": run(2, None, None)}), vec![]),
            ("one of two verdicts", json!({"analysis": [says("errorRate", "Collecting"), says("queue", "Pass")]}),
             json!({"analysis": [says("errorRate", "Safe"), says("queue", "Pass")]}), vec![Happening::Judged(Verdict::Safe)]),
            ("the same verdict in the next step",
             json!({"run": run(2, None, None), "step": step(1, None), "analysis": [says("errorRate", "Collecting")]}),
             json!({"run": run(2, None, None), "step": step(2, None), "analysis": [says("errorRate", "Collecting")]}),
             vec![Happening::Judged(Verdict::Collecting)]),
        ];
        let now = "2026-01-01T00:15:00Z".parse().unwrap();
        for (name, before, after, want) in cases {
            assert_eq!(of(&status(before), &status(after), now), want, "{name}");
        }
    }
}
