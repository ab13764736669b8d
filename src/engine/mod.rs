//! The engine (its pure core arrives separately; the plain data around it is final).
pub mod decision;
pub mod look;
pub mod observed;
use self::{
    decision::Decision,
    observed::{Memory, Observed},
};
use crate::api::{RolloutSpec, RolloutStatus};
use jiff::Timestamp;
/// Decides what to do about one Rollout now.
pub fn decide(
    _spec: &RolloutSpec,
    status: &RolloutStatus,
    _seen: &Observed,
    memory: &Memory,
    _now: Timestamp,
) -> Decision {
    Decision {
        before: None,
        effects: vec![],
        after: status.clone(),
        store: false,
        memory: memory.clone(),
        wake: None,
    }
}
