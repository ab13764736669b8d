//! What one process remembers of a Rollout between decisions, beside what is stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    gates::Gatekeeping,
    look::Arms,
    observed::WorkloadKey,
    turn::{later, since},
};
use crate::api::RolloutStatus;

/// What one process remembers of a Rollout between decisions and loses when it ends. Losing it may delay a
/// step; it never lets one come early.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The epoch that this process holds.
    pub held: Option<i64>,
    /// Up to when the time without a step forward is counted.
    pub counting_since: Option<Timestamp>,
    /// Up to when the time under observation is counted.
    pub observing_since: Option<Timestamp>,
    /// When status was last stored.
    pub stored_at: Option<Timestamp>,
    /// The last counters of both arms.
    pub arms: Option<KnownArms>,
    /// A look came back in this step under this process.
    pub looked: bool,
    /// A route was seen to give another share than the step's after all had given that.
    pub displaced: bool,
    /// That the canary's share of the step's requests is far from its weight, in a sentence.
    pub share_off: Option<String>,
    /// From when on a look is a good word for the step; none where its share has not been another one.
    pub good_from: Option<Timestamp>,
    /// When each part of the next look is due: the arms under the empty name, plain metrics under theirs.
    pub due: BTreeMap<String, Timestamp>,
    /// What gates have said.
    pub gates: Gatekeeping,
    /// Since when a stored weight waits for its evidence.
    pub waiting_for_evidence: Option<Timestamp>,
    /// When a share given to a failed or paused canary was last taken back.
    pub corrected_at: Option<Timestamp>,
    /// Changes of weights that are being put right, by route: the canary's share (in a run) or stable's (at rest) as
    /// it was changed to. Until they are seen right, another attempt is still the same incident.
    pub correcting: BTreeMap<String, i64>,
    /// That a newer version of the controller keeps the Rollout, and was told of.
    pub newer: bool,
    /// The epoch of a stamp that the API server itself knows nothing of: forged.
    pub forged: Option<i64>,
    /// The UIDs in stamps whose Rollouts the API server itself does not have any more.
    pub gone: BTreeSet<String>,
    /// What was last scaled, and how often it was in this step.
    pub scaled: Option<Scaled>,
    /// What workloads were given, each up to how many replicas and when: it may not be seen yet.
    pub given: BTreeMap<WorkloadKey, (i32, Timestamp)>,
    /// Workloads whose scaling down may be on its way: when it was last decided, or first seen to have been.
    pub scaling_down: BTreeMap<WorkloadKey, Timestamp>,
    /// That another process has taken the run over, and since when its status is as it is.
    pub aside: Option<Aside>,
    /// Since when a deletion waits for a ready stable pod.
    pub deletion_held_at: Option<Timestamp>,
    /// What is told of routes that an ended run could not be taken back from yet, by route.
    pub stuck: BTreeMap<String, Stuck>,
}

/// Why a route is not lowered: the reason, and a sentence.
pub type Stuck = (&'static str, String);

/// Counters as they stood last, those that are absent since included.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownArms {
    /// The run that they were read in.
    pub run: i64,
    /// The step that what is counted from here is of; none where it is of no one step.
    pub step: Option<i32>,
    /// The counters.
    pub arms: Arc<Arms>,
}

/// A workload that was scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaled {
    /// Which.
    pub workload: WorkloadKey,
    /// To how many replicas.
    pub to: i32,
    /// When that was sent last.
    pub at: Timestamp,
    /// How often it was, each time after it had been undone.
    pub times: u32,
}

/// What a process that stands aside has seen of the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Aside {
    /// The status as last stored.
    pub stored: Arc<RolloutStatus>,
    /// When it was first seen so.
    pub since: Timestamp,
}

impl Memory {
    /// Nothing can be decided for a while, as where the Rollout can't be read: what passes meanwhile was not observed.
    pub fn stop_clocks(&mut self) {
        (self.observing_since, self.counting_since) = (None, None);
    }

    /// Nothing could be decided from one time to another, for a decision was carried out or the Rollout was read. What came
    /// meanwhile may be gone again: that time was not observed.
    pub fn not_watched(&mut self, from: Timestamp, to: Timestamp) {
        if let Some(observed) = &mut self.observing_since {
            *observed = later(*observed, since(from, to));
        }
    }

    /// What was seen so far is no beginning to count from: the next look is.
    pub fn forget_looks(&mut self) {
        self.looked = false;
        if let Some(known) = &mut self.arms {
            known.step = None;
        }
    }
}
