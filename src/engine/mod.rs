//! The engine: every decision that the product can take, as one pure function.
//!
//! [`decide`] gets the spec, the status, what was observed, what this process remembers, and the time. It returns
//! a status to store before, effects, and a status to store after. It does no I/O, reads no clock and draws no
//! lots, so that a decision can be tabled, simulated and replayed. Waiting is a decision like any other.
//!
//! What always holds (`tests/engine/properties.rs` drives random worlds against it):
//!
//! 1. The weights of stable and canary in one write always sum to 100.
//! 2. The canary's share rises only to the weight of the next planned step, and only after the intent is stored.
//! 3. In a run it never rises again after the run's abort mark, wherever that mark was set.
//! 4. A hold is never shortened and no step is taken without evidence, but by an accepted `promote` or
//!    `promote-full`, or by `onInconclusive: Advance`.
//! 5. Doubt holds or lowers. It never raises.
//! 6. When nothing has changed, nothing is written.
//!
//! The order in which things take precedence reads top to bottom in `run::step_through`: deletion > abort >
//! `suspend` > Fail, a gate's no > target changed > promote-full > promote > pause > advance.
//!
//! | file | decides |
//! |---|---|
//! | `selection` | which of a route's lists are stepped |
//! | `adoption` | what is stable at first sight |
//! | `start` | whether and how a run starts |
//! | `judgeable` | whether an analysis can judge every step |
//! | `template` | what a run is judged by whose Rollout names a template |
//! | `claim` | whose the routes are: epoch, stamps, marks |
//! | `run` | the order in which a run's rules apply |
//! | `drift` | what to do about weights that somebody else changed |
//! | `requests` | what people ask, accepted or refused |
//! | `judge` | what the metrics say |
//! | `steps` | when a weight rises, and when the run is through |
//! | `raise` | the writes that raise, and whether they are there |
//! | `previews` | which requests go to the canary by what they say, and when that ends |
//! | `workloads` | whether a target can bear traffic |
//! | `scaling` | how many pods the canary gets before its traffic |
//! | `retiring` | when a version without traffic is scaled down |
//! | `ahead` | what the next step would write, for those who ask |
//! | `gates` | what a step waits for that others know |
//! | `deadline` | what happens when no step forward is made |
//! | `ending` | how a run ends: everything back on stable, marked |
//! | `rest` | what happens between runs |
//! | `deletion` | what happens when the Rollout goes |
//! | `conditions` | how all of it is told |
//! | `notices` | what receivers are to be told, and until when |
//! | `record` | when status is worth a write |

#![deny(clippy::wildcard_enum_match_arm)]

mod adoption;
mod ahead;
mod claim;
mod conditions;
mod deadline;
pub mod decision;
mod deletion;
mod drift;
mod ending;
pub mod gate;
mod gates;
mod judge;
mod judgeable;
pub mod look;
pub mod memory;
mod mirrors;
pub mod notices;
pub mod observed;
mod plan;
mod previews;
mod raise;
mod record;
mod requests;
mod rest;
mod retiring;
mod run;
mod scaling;
mod selection;
mod start;
mod steps;
pub mod template;
mod turn;
mod workloads;

use jiff::Timestamp;

pub use ahead::{Ahead, ahead};
pub use judge::{StepProof, joined, proofs};
pub use plan::{deadline, plan};
pub use previews::previews;
pub use record::ON_THE_WAY;
pub use retiring::retires;
pub use scaling::{SENT_WITHIN, scales};
pub use selection::{routes, select};

use self::{
    decision::{Decision, Effect},
    memory::Memory,
    observed::Observed,
    turn::Turn,
};
use crate::api::{RolloutSpec, RolloutStatus};

/// Decides what to do about one Rollout now.
///
/// `status` is the present status, which may be ahead of the stored one (`seen.stored`) by evidence that was not
/// worth a write yet. `memory` is what this process remembers; a process that has just started passes the
/// default.
pub fn decide(
    spec: &RolloutSpec,
    status: &RolloutStatus,
    seen: &Observed,
    memory: &Memory,
    now: Timestamp,
) -> Decision {
    let mut turn = Turn::new(spec, status, seen, memory, now);
    if let Some(news) = turn.is_newer() {
        return turn.stand_aside(news);
    }
    if turn.is_behind() {
        return turn.stand_aside(vec![Effect::Reread]);
    }
    if turn.is_deposed() {
        return turn.stand_aside(vec![]);
    }
    turn.note_weights();
    if turn.seen.subject.deleting {
        turn.delete();
    } else {
        match turn.status.run.as_ref().map(|run| run.ended.as_ref().map(|ended| ended.settled)) {
            Some(None) => turn.step_through(),
            Some(Some(false)) => turn.settle(),
            Some(Some(true)) | None if turn.knows_not_whose() => {
                return turn.stand_aside(vec![Effect::Reread]);
            }
            Some(Some(true)) | None => turn.rest(),
        }
    }
    turn.finish()
}
