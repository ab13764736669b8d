//! What a decision says: a status to store before, effects, a status to store after. Effects are values that
//! carry their own preconditions; others carry them out.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    gate::AskRequest,
    look::LookRequest,
    memory::Memory,
    observed::{Place, RouteView, WorkloadKey},
};
use crate::api::{RawEntry, RequestMatch, RolloutStatus, RouteRef, Stamp};

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// To be stored before any raising effect runs. If that fails, only lowering effects run.
    pub before: Option<Arc<RolloutStatus>>,
    /// In the order in which they run; lowering ones run at once and beside everything else.
    pub effects: Vec<Effect>,
    /// The status as it is now, stored or not.
    pub after: Arc<RolloutStatus>,
    /// Whether `after` is worth a write now.
    pub store: bool,
    /// What this process is to remember.
    pub memory: Memory,
    /// When to decide again, if nothing happens before.
    pub wake: Option<Timestamp>,
}

impl Decision {
    /// Whether it takes share from a canary that must have none.
    pub fn lowers(&self) -> bool {
        self.effects.iter().any(Effect::lowers)
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Change a route.
    Write(RouteWrite),
    /// Create, change or delete a preview.
    Preview(PreviewWrite),
    /// Scale a workload.
    Scale(ScaleWrite),
    /// Ask the metric providers; the answer comes with a later observation.
    Look {
        /// The run that asks.
        run: i64,
        /// The step that asks.
        step: i32,
        /// What.
        request: LookRequest,
    },
    /// Ask gates; the answers come with a later observation.
    Ask {
        /// The step that the run is at.
        step: i32,
        /// What.
        request: AskRequest,
    },
    /// Tell people, as an Event on the Rollout.
    Tell(Note),
    /// Put our finalizer on the Rollout.
    Hold,
    /// Take our finalizer off the Rollout.
    Release,
    /// Read the Rollout from the API server, and those that left a stamp on its routes and that no list has; decide again.
    Reread,
}

impl Effect {
    /// Whether it changes something in the cluster that decisions build on.
    pub fn writes(&self) -> bool {
        match self {
            Self::Write(_) | Self::Preview(_) | Self::Scale(_) | Self::Hold | Self::Release => true,
            Self::Look { .. } | Self::Ask { .. } | Self::Tell(_) | Self::Reread => false,
        }
    }

    /// Whether it may run although the status before it could not be stored.
    pub fn lowers(&self) -> bool {
        match self {
            Self::Write(write) => write.purpose.lowers(),
            Self::Preview(_)
            | Self::Scale(_)
            | Self::Look { .. }
            | Self::Ask { .. }
            | Self::Tell(_)
            | Self::Hold
            | Self::Release
            | Self::Reread => false,
        }
    }
}

/// A change of one route: weights of listed entries, entries that we add or added, our stamp. Nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteWrite {
    /// The route.
    pub route: RouteRef,
    /// What for.
    pub purpose: Purpose,
    /// The route as it was when this was decided; the preconditions come from it.
    pub view: Arc<RouteView>,
    /// New weights of listed entries.
    pub weights: Vec<(Place, i64)>,
    /// Entries to append.
    pub add: Vec<NewEntry>,
    /// Entries to take out, one of a list at most; they must have weight 0.
    pub remove: Vec<Place>,
    /// What becomes of mirrors, one of a list at most.
    pub mirrors: Vec<MirrorChange>,
    /// What becomes of our stamp.
    pub stamp: StampChange,
    /// What must not have changed meanwhile.
    pub fence: Fence,
}

/// A route of our own beside one of the user's: it appears, gets another match, or goes.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewWrite {
    /// The user's route, which it is made of.
    pub of: RouteRef,
    /// The preview.
    pub route: RouteRef,
    /// What becomes of it.
    pub change: PreviewChange,
}

/// What becomes of a preview.
#[derive(Clone, Debug, PartialEq)]
pub enum PreviewChange {
    /// It is created; nothing of its name may be there.
    Create(PreviewContent),
    /// It is written anew, if it is as it was seen.
    Replace {
        /// As it was seen.
        view: Arc<RouteView>,
        /// What it is to be.
        content: PreviewContent,
    },
    /// It is deleted, if it is as it was seen.
    Remove(Arc<RouteView>),
}

impl PreviewChange {
    /// What is done, for error sentences and logs.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Replace { .. } => "change",
            Self::Remove(_) => "delete",
        }
    }
}

/// What a preview is made of, besides the route that it copies.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewContent {
    /// The rules whose requests it takes, each with stable's entry, of which the canary's is a copy.
    pub lists: Vec<(Option<String>, RawEntry)>,
    /// What the canary is called there.
    pub name: String,
    /// Its port; `None` keeps the copied one.
    pub port: Option<i32>,
    /// Which requests it takes.
    pub matching: RequestMatch,
    /// Whose it is: the Rollout's name and UID. It goes with it.
    pub owner: (String, String),
    /// The mark by which we know it again.
    pub stamp: Stamp,
}

/// A workload gets another number of replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleWrite {
    /// Which.
    pub workload: WorkloadKey,
    /// How many it was seen to want; if it wants another number by now, nothing is written.
    pub from: i32,
    /// How many it is to want.
    pub to: i32,
}

/// What a route is changed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Make it ours: stamp it, weights untouched, and list the canary at weight 0.
    Claim,
    /// Give the canary the step's weight.
    Raise,
    /// End the run: stable 100, canary 0, marked.
    Lower,
    /// Take a share back that somebody else gave.
    Correct,
    /// Take out an entry that we added.
    Retire,
    /// Let go of it: stable 100, stamp gone.
    Release,
}

impl Purpose {
    /// Whether it can only take share from a canary, and so waits for nothing.
    pub const fn lowers(self) -> bool {
        match self {
            Self::Lower | Self::Release => true,
            Self::Claim | Self::Raise | Self::Correct | Self::Retire => false,
        }
    }

    /// Whether it takes share from a canary, so that users wait for it.
    pub const fn takes_from_canary(self) -> bool {
        match self {
            Self::Lower | Self::Release | Self::Correct => true,
            Self::Claim | Self::Raise | Self::Retire => false,
        }
    }

    /// What is done, for error sentences and logs.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Raise => "raise",
            Self::Lower => "lower",
            Self::Correct => "correct",
            Self::Retire => "retire an entry of",
            Self::Release => "release",
        }
    }
}

/// An entry to append: a copy of another with name, port and weight replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// The list, by its place in the view.
    pub list: usize,
    /// The entry to copy.
    pub like: RawEntry,
    /// The target's name; where the route calls it otherwise, the view knows how.
    pub name: String,
    /// The target's port; `None` keeps the copied one.
    pub port: Option<i32>,
    /// The weight.
    pub weight: i64,
}

/// A target gets copies of so many of a list's requests.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorChange {
    /// The list, by its place in the view.
    pub list: usize,
    /// The entry whose reference is copied, name and port replaced.
    pub like: RawEntry,
    /// The target's name; where the route calls it otherwise, the view knows how.
    pub name: String,
    /// The target's port; `None` keeps the copied one.
    pub port: Option<i32>,
    /// How many, in percent; 0: no mirror to it is left.
    pub percent: i64,
}

/// What becomes of our stamp.
#[derive(Clone, Debug, PartialEq)]
pub enum StampChange {
    /// It stays as it is.
    Keep(String),
    /// It is written.
    Set(String, Stamp),
    /// It goes.
    Remove(String),
}

impl StampChange {
    /// The Rollout whose stamp it is.
    pub fn rollout(&self) -> &str {
        match self {
            Self::Keep(rollout) | Self::Set(rollout, _) | Self::Remove(rollout) => rollout,
        }
    }
}

/// What a write tests besides the names of the entries it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// That the object is the very one seen: resourceVersion, weights and our stamp.
    Unchanged,
    /// That our stamp is the one seen. Somebody else's write in between does not delay a lowering. Where there
    /// is no stamp the write falls back on `Unchanged`, for absence can't be tested.
    Stamp,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Needs somebody's eye.
    pub warning: bool,
    /// In a word.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
    /// The run it is about, where it is about one; keeps each run's Events apart.
    pub run: Option<i64>,
    /// The step it is about, where it is about one; keeps each step's Event apart.
    pub step: Option<i32>,
}
