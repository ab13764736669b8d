//! L4: a Rollout that no trouble has concerned yet is on its schedule, whatever befalls the other. Its run starts, takes
//! each step and ends within so long, and a version that is bad has no traffic any more once that can be known.

use tidegate::api::{PauseReason, RolloutStatus};

use super::reading::index;
use crate::{server::Server, versions::RolloutNow};

/// What is due next comes so long after the hold of a step at the latest: its writes, each a round trip of a few
/// milliseconds, and the data plane that takes the weight up within 1.5 s, and as often again as the other has written to the
/// same object meanwhile: it raises, and takes back at once what is bad.
const GOES_ON_BY: u64 = 5_000;
/// Where previews are made, which the data plane takes up too, and pods have to start.
const WITH_PREVIEWS: u64 = 2_500;
const WITH_PODS: u64 = 4_000;
/// A version that is bad from the first is found to be by what comes within `settle` (1 s) and one poll (5 s) after it was
/// given traffic everywhere; then it is lowered within two round trips.
const BAD_IS_OFF_BY: u64 = 1_000 + 5_000 + 200;
/// One that turns bad later has done well before, and is given some credit for that.
const TURNED_BAD_IS_OFF_BY: u64 = 60_000;

/// How far a Rollout has come.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Absent,
    /// No run has started.
    New,
    Step {
        run: i64,
        step: i32,
        /// It waits for a person.
        waits: bool,
    },
    /// A run is ended, and not over yet.
    Ending {
        run: i64,
    },
    Over {
        run: i64,
    },
}

#[derive(Default)]
pub struct Schedule {
    /// Trouble has concerned it.
    left: bool,
    stage: Stage,
    since: u64,
    /// Since when its version has traffic on every route.
    given_since: Option<u64>,
    /// Until when something must have come, and what.
    due: Option<(u64, &'static str)>,
}

impl Stage {
    fn of(now: &RolloutNow) -> Self {
        if now.is_gone() {
            return Self::Absent;
        }
        let Some(run) = &now.status.run else { return Self::New };
        let waits = run.pause.as_ref().is_some_and(|pause| pause.reason == PauseReason::Approval);
        let (run, ended) = (run.number, run.ended.as_ref());
        match ended.map(|ended| ended.settled) {
            None => Self::Step { run, step: index(&now.status), waits },
            Some(false) => Self::Ending { run },
            Some(true) => Self::Over { run },
        }
    }
}

impl Schedule {
    pub fn leave(&mut self) {
        self.left = true;
        self.due = None;
    }

    /// The Rollout's status or the weights on one of its routes have changed.
    pub fn moved(&mut self, server: &Server, rollout: usize, bad_from: Option<u64>, now: u64) {
        if self.left {
            return;
        }
        let rollout_now = server.rollout(rollout);
        let (status, stage) = (&rollout_now.status, Stage::of(rollout_now));
        if stage != self.stage {
            (self.stage, self.since) = (stage, now);
        }
        let live = status.stable.as_ref().map(|stable| &stable.name);
        let canary = status.canary.as_ref().filter(|canary| live != Some(&canary.name));
        let given =
            canary.is_some_and(|canary| server.views(rollout).flatten().all(|view| view.gives(canary)));
        self.given_since = if given { self.given_since.or(Some(now)) } else { None };
        self.due = self.bad_is_off(bad_from).or_else(|| self.goes_on(status, bad_from));
    }

    fn bad_is_off(&self, bad_from: Option<u64>) -> Option<(u64, &'static str)> {
        let (from, given) = (bad_from?, self.given_since?);
        let span = if from == 0 { BAD_IS_OFF_BY } else { TURNED_BAD_IS_OFF_BY };
        Some((from.max(given) + span, "its bad version still has traffic"))
    }

    fn goes_on(&self, status: &RolloutStatus, bad_from: Option<u64>) -> Option<(u64, &'static str)> {
        let plan = status.run.as_ref().map_or(&[][..], |run| &run.plan);
        let previewed = plan.iter().any(|step| step.matching.is_some());
        let scaled = plan.iter().any(|step| step.scale.is_some());
        let slack =
            GOES_ON_BY + if previewed { WITH_PREVIEWS } else { 0 } + if scaled { WITH_PODS } else { 0 };
        let (hold, what) = match self.stage {
            // One that is bad, or will be, is found to be and does not go on.
            Stage::Step { step: 1.., .. } if bad_from.is_some() => return None,
            Stage::Absent | Stage::Over { .. } | Stage::Step { waits: true, .. } => return None,
            Stage::New => (0, "its run has not started"),
            Stage::Ending { .. } => (0, "its run that is ended is not over"),
            Stage::Step { step, .. } => {
                let planned = status.run.as_ref().and_then(|run| run.step(step));
                let hold = planned.map_or(0, |step| step.hold.span().as_millis() as u64);
                (hold, "its run does not go on")
            }
        };
        Some((self.since + hold + slack, what))
    }

    /// What must have come by now and has not.
    pub fn late(&self, now: u64) -> Option<&'static str> {
        self.due.filter(|(at, _)| *at < now).map(|(_, what)| what)
    }
}
