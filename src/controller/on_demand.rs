//! A kind that is followed once somebody needs it: a cluster need not have its CRD, or grant it, and what nobody uses costs
//! nothing.

use std::fmt::Debug;

use tokio::sync::watch;

use super::stores::Mirror;

/// The objects of a kind, followed from when they are first wanted.
#[derive(Debug)]
pub struct OnDemand<V> {
    mirror: Mirror<V>,
    wanted: watch::Sender<bool>,
}

impl<V: Clone + PartialEq + Debug> OnDemand<V> {
    /// Nothing is known, and nobody wants it. See [`Mirror::new`].
    pub fn new(what: &'static str, readable: bool) -> Self {
        Self { mirror: Mirror::new(what, readable), wanted: watch::Sender::new(false) }
    }

    /// What is known.
    pub const fn mirror(&self) -> &Mirror<V> {
        &self.mirror
    }

    /// Somebody needs it: from now on it is followed.
    pub fn want(&self) {
        self.wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
    }

    /// Waits until somebody needs it.
    pub async fn wanted(&self) {
        // Cannot fail: the sender lives as long as we do.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted).await;
    }

    /// Waits until it was listed once, or can't be; not where nobody needs it.
    pub async fn answered(&self) {
        if *self.wanted.borrow() {
            self.mirror.answered().await;
        }
    }

    /// Why it can't be used although somebody needs it, in a sentence. A kind that the API server does not have is told by
    /// those who name it: whoever names it by mistake must not make the controller unready for all others.
    pub fn lacks(&self) -> Option<String> {
        if !*self.wanted.borrow() || self.mirror.is_absent() {
            return None;
        }
        self.mirror.lacks()
    }
}
