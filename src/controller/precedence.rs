//! Which write goes first, and how many at once. An API server that works on many at once takes longer for each of them;
//! one that is asked faster than it answers lets them all time out, and is asked again. And what takes traffic off a bad
//! version must wait for none of it.
//!
//! So a write that takes share from a canary is sent at once, whatever else is under way. A turn that is to write
//! anything else waits for one of the places of its kind, so that a kind which hangs holds up no other. And each such
//! write gives way for a moment: while an urgent one is on its way, and while as many others are as a small API server
//! does at once. That moment is a courtesy and not a limit: after it the write is sent all the same. Reads only follow on
//! writes that failed, and wait for nobody.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Turns that write to one kind at once.
const PLACES: usize = 16;
/// How many writes are on their way, of all kinds, before the next one gives way to them.
const FEW: usize = 2;
/// How long a write gives way, at most.
const MOMENT: Duration = Duration::from_millis(50);

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Rollout.
    Rollout,
    /// The Rollout whose routes are being lowered: its record waits for no other kind of write.
    Ending,
    /// A route.
    Route,
}

/// The writes of all turns of the process.
#[derive(Debug)]
pub struct Precedence {
    urgent: watch::Sender<usize>,
    rollouts: Semaphore,
    endings: Semaphore,
    routes: Semaphore,
    few: Semaphore,
}

/// An urgent write that is on its way until this is dropped.
#[derive(Debug)]
pub struct Urgent<'a>(&'a Precedence);

impl Precedence {
    /// Nothing is on its way.
    pub fn new() -> Self {
        Self {
            urgent: watch::Sender::new(0),
            rollouts: Semaphore::new(PLACES),
            endings: Semaphore::new(PLACES),
            routes: Semaphore::new(PLACES),
            few: Semaphore::new(FEW),
        }
    }

    /// A write is sent that takes share from a canary: it waits for nothing.
    pub fn go_first(&self) -> Urgent<'_> {
        self.urgent.send_modify(|under_way| *under_way += 1);
        Urgent(self)
    }

    /// Waits for a place among those who write to a kind; it is held until the permit is dropped.
    pub async fn place(&self, kind: Kind) -> Option<SemaphorePermit<'_>> {
        let places = match kind {
            Kind::Rollout => &self.rollouts,
            Kind::Ending => &self.endings,
            Kind::Route => &self.routes,
        };
        // Cannot fail: nothing closes the semaphores.
        places.acquire().await.ok()
    }

    /// Gives way to others before a write, [`MOMENT`] at most; it is one of the few until the permit is dropped.
    pub async fn give_way(&self) -> Option<SemaphorePermit<'_>> {
        let turn = async {
            let few = self.few.acquire().await.ok();
            // Cannot fail: the sender lives as long as we do.
            let _ = self.urgent.subscribe().wait_for(|under_way| *under_way == 0).await;
            few
        };
        tokio::time::timeout(MOMENT, turn).await.ok().flatten()
    }
}

impl Drop for Urgent<'_> {
    fn drop(&mut self) {
        self.0.urgent.send_modify(|under_way| *under_way -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn another_write_waits_for_the_urgent_ones_on_their_way() {
        let precedence = Precedence::new();
        let (one, two) = (precedence.go_first(), precedence.go_first());
        let mut status = pin!(precedence.give_way());
        assert!(poll!(status.as_mut()).is_pending());
        drop(one);
        assert!(poll!(status.as_mut()).is_pending());
        drop(two);
        assert!(poll!(status.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn writes_go_a_few_at_a_time() {
        let precedence = Precedence::new();
        let mut under_way = vec![precedence.give_way().await, precedence.give_way().await];
        let mut next = pin!(precedence.give_way());
        assert!(poll!(next.as_mut()).is_pending());
        under_way.pop();
        assert!(poll!(next.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gives_way_longer_than_a_moment() {
        let precedence = Precedence::new();
        let _hanging = precedence.go_first();
        let mut status = pin!(precedence.give_way());
        assert!(poll!(status.as_mut()).is_pending());
        advance(MOMENT).await;
        assert!(poll!(status.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_hangs_holds_up_no_other() {
        let precedence = Precedence::new();
        let mut hanging = Vec::new();
        for _ in 0..PLACES {
            hanging.push(precedence.place(Kind::Route).await);
        }
        let mut next = pin!(precedence.place(Kind::Route));
        assert!(poll!(next.as_mut()).is_pending());
        for kind in [Kind::Rollout, Kind::Ending] {
            assert!(precedence.place(kind).await.is_some());
        }
        hanging.clear();
        assert!(poll!(next.as_mut()).is_ready());
    }
}
