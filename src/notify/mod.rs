//! Tells people what happened: as Kubernetes Events on the Rollout, and as notices to the receivers of the controller's
//! configuration.
//!
//! Nothing depends on an Event, and one that can't be written is forgotten. A notice is kept by who calls until its receiver has
//! taken it: here is one attempt, and what became of it.

mod events;
mod receivers;
mod render;

pub use events::Notifier;
pub use receivers::{DeliveryError, ReceiverError, Receivers};

/// The Rollout that a notice is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub rollout: String,
    /// Its UID.
    pub uid: String,
}
