//! What may be due in a world, and whom it concerns.

use tidegate::engine::{gate::AskDone, observed::LookDone};

use crate::{
    faults::Fault,
    kept::Actor,
    network::{Call, Reply},
};

/// What is due at some time.
#[derive(Debug)]
pub enum Event {
    Arrives {
        call: usize,
    },
    /// The network delivers a call twice.
    ArrivesAgain {
        call: usize,
    },
    Answers {
        call: usize,
        reply: Reply,
    },
    GivesUp {
        call: usize,
    },
    Timer {
        by: Actor,
        life: u32,
        timer: u64,
    },
    SendAgain {
        by: Actor,
        life: u32,
        lowering: usize,
    },
    ShowsRollout {
        by: Actor,
        life: u32,
        version: usize,
    },
    ShowsRoute {
        process: usize,
        life: u32,
        route: usize,
        version: usize,
    },
    ShowsWorkload {
        process: usize,
        life: u32,
        workload: usize,
        version: usize,
    },
    ShowsTemplate {
        process: usize,
        life: u32,
        version: usize,
    },
    CatchesUp {
        process: usize,
        life: u32,
    },
    Looked {
        by: Actor,
        life: u32,
        look: Box<LookDone>,
    },
    Answered {
        by: Actor,
        life: u32,
        done: Box<AskDone>,
    },
    /// A notice is sent to its receiver.
    Sent {
        by: Actor,
        life: u32,
        id: String,
    },
    LooksAtLease {
        process: usize,
        life: u32,
    },
    Programmed {
        route: usize,
    },
    PodsCome {
        workload: usize,
    },
    /// What belonged to a Rollout that is gone goes too.
    Collects {
        rollout: usize,
    },
    Crash {
        process: usize,
        life: u32,
    },
    Start {
        process: usize,
    },
    Made {
        rollout: usize,
    },
    /// Somebody does something, or something happens to anything else than a call.
    Happens(Fault),
    /// Trouble ends; people put right what only people can.
    Quiet,
    Repair,
}

impl Event {
    /// The process that would hear of it, and does not while it is stopped.
    pub fn heard_by(&self, calls: &[Call]) -> Option<usize> {
        match self {
            Self::Answers { call, .. } | Self::GivesUp { call } => Some(calls[*call].by.process),
            Self::Timer { by, .. }
            | Self::SendAgain { by, .. }
            | Self::ShowsRollout { by, .. }
            | Self::Looked { by, .. }
            | Self::Answered { by, .. }
            | Self::Sent { by, .. } => Some(by.process),
            Self::ShowsRoute { process, .. }
            | Self::ShowsWorkload { process, .. }
            | Self::ShowsTemplate { process, .. }
            | Self::CatchesUp { process, .. }
            | Self::LooksAtLease { process, .. } => Some(*process),
            Self::Arrives { .. }
            | Self::ArrivesAgain { .. }
            | Self::Programmed { .. }
            | Self::PodsCome { .. }
            | Self::Collects { .. }
            | Self::Crash { .. }
            | Self::Start { .. }
            | Self::Made { .. }
            | Self::Happens(_)
            | Self::Quiet
            | Self::Repair => None,
        }
    }
}
