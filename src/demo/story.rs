//! Whether an act ended as it should.

use super::{
    acts::{Act, Before, Ending},
    show::Share,
    traffic::{ASKING, Trial},
};
use crate::api::{EndReason, PauseReason, Phase, Rollout, RolloutStatus, Run};

/// So many answers to those who ask for a version make a trial of it.
const ENOUGH: u64 = 20;

/// By what an act knows its own run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// The version's name in routes.
    pub target: String,
    /// The generation of the Rollout that names it.
    pub generation: i64,
    /// The run before this act's; 0: none.
    pub run: i64,
}

/// What else than the Rollout tells where an act stands.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The shares on the route.
    pub shares: &'a [Share],
    /// Whether the route has a preview.
    pub previewed: bool,
    /// The greatest share that the version has had in the act.
    pub greatest: i64,
    /// What it answered to those who asked for it, where its act has a preview.
    pub trial: Option<&'a Trial>,
}

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
    Ending::PutBack => "put back after it had everything",
})]
pub struct Otherwise {
    act: u8,
    version: &'static str,
    ending: Ending,
    what: String,
}

impl Act {
    /// Whether the demo is asked to agree.
    pub fn asks(&self, rollout: &Rollout, cue: &Cue) -> bool {
        let run = cue.status(rollout).and_then(|status| status.run.as_ref());
        let paused = run.and_then(|run| run.pause.as_ref());
        self.before == Before::Approval && paused.is_some_and(|pause| pause.reason == PauseReason::Approval)
    }

    /// Whether the act is over, and as it should be; `None` while it goes on.
    pub fn judge(
        &self,
        rollout: &Rollout,
        cue: &Cue,
        scene: Scene<'_>,
    ) -> Option<Result<Finished, Otherwise>> {
        let status = cue.status(rollout)?;
        let told = || status.message.clone().unwrap_or_default();
        match status.phase? {
            Phase::Progressing | Phase::RollingBack => None,
            Phase::Suspended => Some(Err(self.otherwise(format!("it was suspended: {}", told())))),
            Phase::Invalid => Some(Err(self.otherwise(format!("the Rollout is invalid: {}", told())))),
            Phase::Paused => self.paused(status).map(Err),
            Phase::Healthy | Phase::Failed => self.ended(status, cue, scene),
        }
    }

    /// A pause that only a person ends.
    fn paused(&self, status: &RolloutStatus) -> Option<Otherwise> {
        let pause = status.run.as_ref()?.pause.as_ref()?;
        match pause.reason {
            PauseReason::Inconclusive | PauseReason::MetricError => None,
            PauseReason::Approval if self.before == Before::Approval => None,
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
        cue: &Cue,
        scene: Scene<'_>,
    ) -> Option<Result<Finished, Otherwise>> {
        let Scene { shares, previewed, greatest, trial } = scene;
        let run = status.run.as_ref()?;
        let ended = run.ended.as_ref()?;
        let share = shares.iter().find(|share| share.name == cue.target).map_or(0, |share| share.percent);
        let (reason, share_at_end) = match self.ending {
            Ending::Promoted => (EndReason::Promoted, 100),
            Ending::RolledBack | Ending::PutBack => (EndReason::Failed, 0),
        };
        if ended.reason != reason {
            return Some(Err(self.otherwise(format!("it ended so: {}", ended.message))));
        }
        let early = self.ending == Ending::PutBack && greatest < 100;
        let late = self.ending == Ending::RolledBack && greatest > first_weight(run);
        let leaked = self.ending == Ending::RolledBack && trial.is_some_and(|trial| !trial.alone);
        if early || late {
            let what = format!("it was rolled back at {greatest}%: {}", ended.message);
            return Some(Err(self.otherwise(what)));
        }
        if leaked {
            let what = format!("it answered requests without {ASKING} as well");
            return Some(Err(self.otherwise(what)));
        }
        // The watches of the routes may be a moment behind the status; then their next event completes the act.
        if !ended.settled || share != share_at_end || previewed {
            return None;
        }
        if let Some(trial) = trial.filter(|trial| trial.answered < ENOUGH) {
            let answered = trial.answered;
            let what = format!("it answered only {answered} requests with {ASKING} before others got it");
            return Some(Err(self.otherwise(what)));
        }
        Some(Ok(Finished { act: *self, share: greatest, sentence: ended.message.clone() }))
    }

    fn otherwise(&self, what: String) -> Otherwise {
        Otherwise { act: self.number, version: self.version, ending: self.ending, what }
    }
}

impl Cue {
    /// What a Rollout says of the act's own run.
    fn status<'a>(&self, rollout: &'a Rollout) -> Option<&'a RolloutStatus> {
        let status = rollout.status.as_ref()?;
        let seen = status.observed_generation.unwrap_or_default() >= self.generation;
        // Of a refused or suspended spec there may be no run.
        let without_run = [Some(Phase::Invalid), Some(Phase::Suspended)].contains(&status.phase);
        let own = without_run || status.run.as_ref().is_some_and(|run| run.number > self.run);
        (seen && own).then_some(status)
    }
}

fn first_weight(run: &Run) -> i64 {
    run.plan.first().map_or(0, |step| i64::from(step.weight.percent()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::demo::{
        acts::{Beginning, Fault, acts},
        routes::Routes,
        strategy::Strategy,
        traffic::Tallies,
    };

    const ROUTES: Routes = Routes::GatewayRoute;
    const AT: &str = "2026-11-01T10:00:00Z";

    /// A Rollout of generation 2 in `phase` whose run 1 is a change of what is usual.
    fn rollout(phase: &str, run: &Value) -> Rollout {
        let mut rollout: Rollout = serde_saphyr::from_str(ROUTES.rollout(Strategy::Canary)).unwrap();
        let mut whole = json!({
            "number": 1, "startedAt": AT, "progressDeadline": "15m", "onDeadline": "Rollback", "withoutProgress": "0s",
            "plan": [{"weight": 10, "hold": "2s", "maxHold": "30s"}, {"weight": 100, "hold": "2s", "maxHold": "30s"}],
        });
        json_patch::merge(&mut whole, run);
        let status = json!({"observedGeneration": 2, "phase": phase, "message": "a sentence", "run": whole});
        rollout.status = Some(serde_json::from_value(status).unwrap());
        rollout
    }

    fn ended(reason: &str, settled: bool) -> Value {
        json!({"ended": {"reason": reason, "message": "why", "at": AT, "settled": settled}})
    }

    fn cue(act: &Act, generation: i64, run: i64) -> Cue {
        Cue { target: act.target(ROUTES), generation, run }
    }

    /// An act of a strategy, counted from 1.
    fn act(strategy: Strategy, number: usize) -> Act {
        acts(strategy, ROUTES)[number - 1]
    }

    /// What the act says of a Rollout; v2 has all of the route.
    fn told(act: Act, cue: &Cue, scene: (i64, bool, Option<u64>), rollout: &Rollout) -> String {
        let (greatest, previewed, answered) = scene;
        let shares = [Share { name: ROUTES.target("v2"), percent: 100 }];
        let trial = answered.map(|answered| {
            let mut trial = Trial::new(act.version, Tallies::default());
            trial.answered = answered;
            trial
        });
        let scene = Scene { shares: &shares, previewed, greatest, trial: trial.as_ref() };
        match act.judge(rollout, cue, scene) {
            None => "goes on".to_owned(),
            Some(Ok(finished)) => format!("over at {}%: {}", finished.share, finished.sentence),
            Some(Err(otherwise)) => otherwise.what,
        }
    }

    #[test]
    fn an_act_ends_as_it_should_or_says_what_happened() {
        let (healthy, bad) = (act(Strategy::Canary, 1), act(Strategy::Canary, 2));
        let judged = |act: Act, greatest, phase, run: &Value| {
            told(act, &cue(&act, 2, 0), (greatest, false, None), &rollout(phase, run))
        };
        let none = json!({});
        let (promoted, failed) = (ended("Promoted", true), ended("Failed", true));
        let pause = |reason: &str| json!({"pause": {"reason": reason, "message": "because", "since": AT}});
        let cases = [
            (judged(healthy, 30, "Progressing", &none), "goes on"),
            (judged(healthy, 99, "Healthy", &promoted), "over at 99%: why"),
            (judged(healthy, 10, "Failed", &failed), "it ended so: why"),
            (judged(healthy, 10, "Paused", &pause("Inconclusive")), "goes on"),
            (judged(healthy, 10, "Paused", &pause("Drifted")), "it was paused: because"),
            (judged(healthy, 10, "Paused", &pause("Approval")), "it was paused: because"),
            (judged(healthy, 0, "Invalid", &none), "the Rollout is invalid: a sentence"),
            (judged(bad, 10, "Failed", &failed), "over at 10%: why"),
            (judged(bad, 10, "Failed", &ended("Failed", false)), "goes on"),
            (judged(bad, 30, "Failed", &failed), "it was rolled back at 30%: why"),
            (judged(bad, 99, "Healthy", &promoted), "it ended so: why"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn blue_green_ends_with_a_trial_and_without_its_preview() {
        let (good, failing, late) =
            (act(Strategy::BlueGreen, 1), act(Strategy::BlueGreen, 2), act(Strategy::BlueGreen, 3));
        let plan = json!([{"weight": 0, "stage": "Before", "hold": "2s", "maxHold": "30s"},
            {"weight": 100, "stage": "After", "hold": "2s", "maxHold": "30s"}]);
        let judged = |act: Act, scene, phase, reason| {
            let mut run = ended(reason, true);
            run["plan"] = plan.clone();
            told(act, &cue(&act, 2, 0), scene, &rollout(phase, &run))
        };
        let cases = [
            (judged(good, (100, false, Some(20)), "Healthy", "Promoted"), "over at 100%: why"),
            (judged(good, (100, true, Some(20)), "Healthy", "Promoted"), "goes on"),
            (
                judged(good, (100, false, Some(19)), "Healthy", "Promoted"),
                "it answered only 19 requests with x-preview: true before others got it",
            ),
            (judged(failing, (0, false, Some(20)), "Failed", "Failed"), "over at 0%: why"),
            (judged(failing, (100, false, Some(20)), "Failed", "Failed"), "it was rolled back at 100%: why"),
            (judged(late, (100, false, Some(20)), "Failed", "Failed"), "over at 100%: why"),
            (judged(late, (0, false, Some(20)), "Failed", "Failed"), "it was rolled back at 0%: why"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn the_demo_agrees_where_a_person_is_asked() {
        let routes = Routes::VirtualRouter;
        let act = acts(Strategy::BlueGreen, routes)[0];
        let cue = Cue { target: act.target(routes), generation: 2, run: 0 };
        let pause = json!({"pause": {"reason": "Approval", "message": "because", "since": AT}});
        let rollout = rollout("Paused", &pause);
        assert!(act.asks(&rollout, &cue));
        assert!(!act.asks(&rollout, &Cue { run: 1, ..cue.clone() }));
        assert_eq!(told(act, &cue, (0, false, None), &rollout), "goes on");
    }

    #[test]
    fn a_status_of_an_older_spec_or_run_says_nothing() {
        let act = act(Strategy::Canary, 1);
        let rollout = rollout("Healthy", &ended("Promoted", true));
        for cue in [cue(&act, 3, 0), cue(&act, 2, 1)] {
            assert_eq!(told(act, &cue, (100, false, None), &rollout), "goes on", "{cue:?}");
        }
    }

    #[test]
    fn a_promotion_is_seen_on_the_route_as_well() {
        let act = Act { version: "v1", ..act(Strategy::Canary, 1) };
        let rollout = rollout("Healthy", &ended("Promoted", true));
        assert_eq!(told(act, &cue(&act, 2, 0), (60, false, None), &rollout), "goes on");
        let error = act.otherwise("it rained".to_owned());
        assert_eq!(error.to_string(), "act 1 was to end with v1 promoted, but it rained");
    }

    #[test]
    fn what_an_act_says_of_failures_is_what_it_orders() {
        let all = [Strategy::Canary, Strategy::BlueGreen].map(|strategy| acts(strategy, ROUTES));
        for act in all.into_iter().flatten().chain(acts(Strategy::BlueGreen, Routes::VirtualRouter)) {
            let share = act.error_share(true);
            match act.fault {
                Fault::Usual => assert!(share < 0.01 && act.title.contains("is healthy"), "{act:?}"),
                Fault::Percent(percent) | Fault::PercentOfMany(percent) => {
                    assert!(act.title.contains(&format!("fails {percent}%")), "{act:?}");
                }
            }
            let unlisted = act.title.contains("no route lists it yet");
            assert_eq!(unlisted, act.beginning == Beginning::New, "{act:?}");
        }
    }
}
