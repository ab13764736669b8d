//! What the model of the API server is asked, and what it answers.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use json_patch::Patch;
use serde_json::Value;
use tidegate::api::RolloutStatus;

use crate::versions::{LeaseNow, RolloutNow, RouteNow, WorkloadNow};

/// What a process asks.
#[derive(Clone, Debug)]
pub enum Request {
    ReadRollout {
        rollout: usize,
    },
    StoreStatus {
        rollout: usize,
        version: u64,
        status: Arc<RolloutStatus>,
    },
    SetFinalizer {
        rollout: usize,
        version: u64,
        hold: bool,
    },
    ReadRoute {
        route: usize,
    },
    WriteRoute {
        route: usize,
        patch: Rc<Patch>,
    },
    /// The same, for all that is in it.
    CopyRoute {
        route: usize,
    },
    CreateRoute {
        route: usize,
        document: Rc<Value>,
    },
    /// It goes if it is what was seen.
    DeleteRoute {
        route: usize,
        uid: String,
        version: String,
    },
    ReadWorkload {
        workload: usize,
    },
    /// A workload is to want another number of pods, if it is what was read; where no version is given, whatever it is.
    Scale {
        workload: usize,
        version: Option<u64>,
        to: i32,
    },
    /// The Lease with this number; a new one has the next and the version 0.
    StoreLease {
        lease: usize,
        version: u64,
        holder: Option<String>,
        knows: BTreeSet<String>,
    },
}

impl Request {
    /// Whether it changes what is not ours, and so may be refused by whoever guards that.
    pub fn writes_to_others(&self) -> bool {
        match self {
            Self::WriteRoute { .. }
            | Self::CreateRoute { .. }
            | Self::DeleteRoute { .. }
            | Self::Scale { .. } => true,
            Self::ReadRollout { .. }
            | Self::StoreStatus { .. }
            | Self::SetFinalizer { .. }
            | Self::ReadRoute { .. }
            | Self::CopyRoute { .. }
            | Self::ReadWorkload { .. }
            | Self::StoreLease { .. } => false,
        }
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    Rollout(Rc<RolloutNow>),
    Route(usize, Rc<RouteNow>),
    Document(Rc<Value>),
    Deleted(usize),
    Workload(Rc<WorkloadNow>),
    Lease(usize, Rc<LeaseNow>),
    Refused(Code),
}

/// The HTTP status of what was not done, or not for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Forbidden = 403,
    NotFound = 404,
    Conflict = 409,
    Unprocessable = 422,
    TooMany = 429,
    Internal = 500,
    Unavailable = 503,
}
