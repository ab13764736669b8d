//! The two acts: what each is about, and whether it ended as it should.

use super::{routes::Routes, show::Share};
use crate::api::{EndReason, PauseReason, Phase, Rollout, RolloutStatus, Run};

/// How an act should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The version becomes stable.
    Promoted,
    /// The version goes back to 0 at its first step, because a metric failed.
    RolledBack,
}

/// One act: a version becomes the Rollout's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// Counted from 1.
    pub number: u8,
    /// The version, such as `v2`.
    pub version: &'static str,
    /// What is to be seen, in a sentence.
    pub title: &'static str,
    /// How it should end.
    pub ending: Ending,
}

/// A healthy version is promoted.
pub const HEALTHY: Act = Act {
    number: 1,
    version: "v2",
    title: "v2 is healthy: it should be promoted.",
    ending: Ending::Promoted,
};
/// A bad version, that no route lists yet, is rolled back.
pub const BAD: Act = Act {
    number: 2,
    version: "v3",
    title: "v3 fails 5% of its requests, and no route lists it yet: it should be rolled back at its first step.",
    ending: Ending::RolledBack,
};

/// An act that ended as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The act.
    pub act: Act,
    /// The greatest share that the version had, in percent.
    pub share: i64,
    /// The controller's own sentence about the end.
    pub sentence: String,
}

/// An act that did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("act {act} was to end with {version} {}, but {what}", match ending {
    Ending::Promoted => "promoted",
    Ending::RolledBack => "rolled back at its first step",
})]
pub struct Otherwise {
    act: u8,
    version: &'static str,
    ending: Ending,
    what: String,
}

impl Act {
    /// The version's name in routes.
    pub fn target(&self, routes: Routes) -> String {
        routes.target(self.version)
    }

    /// Whether the act is over, and as it should be; `None` while it goes on. `generation` is that of the Rollout
    /// with this act's `target`, `shares` are the route's own, and `greatest` is the greatest share that the version
    /// has had in it.
    pub fn judge(
        &self,
        rollout: &Rollout,
        (target, generation): (&str, i64),
        shares: &[Share],
        greatest: i64,
    ) -> Option<Result<Finished, Otherwise>> {
        let status = rollout.status.as_ref()?;
        if status.observed_generation.unwrap_or_default() < generation {
            return None;
        }
        let told = || status.message.clone().unwrap_or_default();
        match status.phase? {
            Phase::Progressing | Phase::RollingBack => None,
            Phase::Suspended => Some(Err(self.otherwise(format!("it was suspended: {}", told())))),
            Phase::Invalid => Some(Err(self.otherwise(format!("the Rollout is invalid: {}", told())))),
            Phase::Paused => self.paused(status).map(Err),
            Phase::Healthy | Phase::Failed => self.ended(status, target, shares, greatest),
        }
    }

    /// A pause that only a person ends.
    fn paused(&self, status: &RolloutStatus) -> Option<Otherwise> {
        let pause = status.run.as_ref()?.pause.as_ref()?;
        match pause.reason {
            PauseReason::Inconclusive | PauseReason::MetricError => None,
            PauseReason::Requested
            | PauseReason::Approval
            | PauseReason::Drifted
            | PauseReason::Deadline
            | PauseReason::RouteGone => Some(self.otherwise(format!("it was paused: {}", pause.message))),
        }
    }

    fn ended(
        &self,
        status: &RolloutStatus,
        target: &str,
        shares: &[Share],
        greatest: i64,
    ) -> Option<Result<Finished, Otherwise>> {
        // A status that still tells the run before this act's says nothing about this act.
        if status.canary.as_ref().is_none_or(|canary| canary.name != target) {
            return None;
        }
        let run = status.run.as_ref()?;
        let ended = run.ended.as_ref()?;
        let share = shares.iter().find(|share| share.name == target).map_or(0, |share| share.percent);
        let (reason, share_at_end) = match self.ending {
            Ending::Promoted => (EndReason::Promoted, 100),
            Ending::RolledBack => (EndReason::Failed, 0),
        };
        if ended.reason != reason {
            return Some(Err(self.otherwise(format!("it ended so: {}", ended.message))));
        }
        if self.ending == Ending::RolledBack && greatest > first_weight(run) {
            let what = format!("it was rolled back at {greatest}%: {}", ended.message);
            return Some(Err(self.otherwise(what)));
        }
        // The route's own watch may be a moment behind the status; then its next event completes the act.
        (ended.settled && share == share_at_end)
            .then(|| Ok(Finished { act: *self, share: greatest, sentence: ended.message.clone() }))
    }

    fn otherwise(&self, what: String) -> Otherwise {
        Otherwise { act: self.number, version: self.version, ending: self.ending, what }
    }
}

fn first_weight(run: &Run) -> i64 {
    run.plan.first().map_or(0, |step| i64::from(step.weight.percent()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ROUTES: Routes = Routes::GatewayRoute;

    const AT: &str = "2026-11-01T10:00:00Z";

    fn rollout(phase: &str, canary: &str, run: &Value) -> Rollout {
        let mut rollout: Rollout = serde_saphyr::from_str(ROUTES.rollout()).unwrap();
        let mut whole = json!({
            "number": 1, "startedAt": AT, "progressDeadline": "15m", "onDeadline": "Rollback", "withoutProgress": "0s",
            "plan": [{"weight": 10, "hold": "2s", "maxHold": "30s"}, {"weight": 100, "hold": "2s", "maxHold": "30s"}],
        });
        json_patch::merge(&mut whole, run);
        rollout.status = Some(
            serde_json::from_value(json!({
                "observedGeneration": 2, "phase": phase, "message": "a sentence",
                "canary": {"name": canary}, "run": whole,
            }))
            .unwrap(),
        );
        rollout
    }

    fn ended(reason: &str, settled: bool) -> Value {
        json!({"ended": {"reason": reason, "message": "why", "at": AT, "settled": settled}})
    }

    /// What the act says of a Rollout in `phase` whose run is for `version`; v2 has all of the route.
    fn judged(act: Act, greatest: i64, phase: &str, version: &str, run: &Value) -> String {
        let rollout = rollout(phase, &ROUTES.target(version), run);
        let full = Share { name: ROUTES.target("v2"), percent: 100 };
        match act.judge(&rollout, (&act.target(ROUTES), 2), &[full], greatest) {
            None => "goes on".to_owned(),
            Some(Ok(finished)) => format!("over at {}%: {}", finished.share, finished.sentence),
            Some(Err(otherwise)) => otherwise.what,
        }
    }

    #[test]
    fn an_act_ends_as_it_should_or_says_what_happened() {
        let none = json!({});
        let (promoted, failed) = (ended("Promoted", true), ended("Failed", true));
        let pause = |reason: &str| json!({"pause": {"reason": reason, "message": "because", "since": AT}});
        let cases = [
            (judged(HEALTHY, 30, "Progressing", "v2", &none), "goes on"),
            (judged(HEALTHY, 99, "Healthy", "v2", &promoted), "over at 99%: why"),
            (judged(HEALTHY, 10, "Failed", "v2", &failed), "it ended so: why"),
            (judged(HEALTHY, 10, "Paused", "v2", &pause("Inconclusive")), "goes on"),
            (judged(HEALTHY, 10, "Paused", "v2", &pause("Drifted")), "it was paused: because"),
            (judged(HEALTHY, 0, "Invalid", "v2", &none), "the Rollout is invalid: a sentence"),
            (judged(BAD, 0, "Healthy", "v2", &promoted), "goes on"),
            (judged(BAD, 10, "Failed", "v3", &failed), "over at 10%: why"),
            (judged(BAD, 10, "Failed", "v3", &ended("Failed", false)), "goes on"),
            (judged(BAD, 30, "Failed", "v3", &failed), "it was rolled back at 30%: why"),
            (judged(BAD, 99, "Healthy", "v3", &promoted), "it ended so: why"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn a_status_of_an_older_spec_says_nothing() {
        let rollout = rollout("Healthy", &ROUTES.target("v2"), &ended("Promoted", true));
        assert_eq!(HEALTHY.judge(&rollout, (&HEALTHY.target(ROUTES), 3), &[], 100), None);
    }

    #[test]
    fn a_promotion_is_seen_on_the_route_as_well() {
        let rollout = rollout("Healthy", "color-app-v2.default", &ended("Promoted", true));
        assert_eq!(HEALTHY.judge(&rollout, (&HEALTHY.target(ROUTES), 2), &[], 60), None);
        let error = HEALTHY.otherwise("it rained".to_owned());
        assert_eq!(error.to_string(), "act 1 was to end with v2 promoted, but it rained");
    }
}
