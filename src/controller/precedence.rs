//! Which write goes first, and how many at once. An API server that works on many at once takes longer for each of them;
//! one that is asked faster than it answers lets them all time out, and is asked again. And only a lowering takes traffic
//! off a bad version.
//!
//! So a lowering is sent at once, whatever else is under way. Every other write of this process waits for one of the
//! places of its kind, so that a kind which hangs holds up no other, and then gives way for a moment: while a lowering is
//! on its way, and while as many others are as a small API server does at once. That moment is a courtesy and not a
//! limit: after it the write is sent all the same. Reads only follow on writes that failed, and wait for nobody.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Writes of one kind at once.
const PLACES: usize = 16;
/// How many writes are on their way before the next one gives way to them.
const FEW: usize = 2;
/// How long a write that has its place gives way, at most.
const MOMENT: Duration = Duration::from_millis(50);

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Rollout.
    Rollout,
    /// A route.
    Route,
    /// An Event.
    Event,
}

/// The writes that are on their way, of all turns of the process.
#[derive(Debug)]
pub struct Precedence {
    lowerings: watch::Sender<usize>,
    rollouts: Semaphore,
    routes: Semaphore,
    events: Semaphore,
    few: Semaphore,
}

/// A lowering that is on its way until this is dropped.
#[derive(Debug)]
pub struct Lowering<'a>(&'a Precedence);

/// A write that is on its way until this is dropped.
#[derive(Debug)]
pub struct Way<'a> {
    _place: Option<SemaphorePermit<'a>>,
    _few: Option<SemaphorePermit<'a>>,
}

impl Precedence {
    /// Nothing is on its way.
    pub fn new() -> Self {
        Self {
            lowerings: watch::Sender::new(0),
            rollouts: Semaphore::new(PLACES),
            routes: Semaphore::new(PLACES),
            events: Semaphore::new(PLACES),
            few: Semaphore::new(FEW),
        }
    }

    /// A lowering is sent: it waits for nothing.
    pub fn go_first(&self) -> Lowering<'_> {
        self.lowerings.send_modify(|under_way| *under_way += 1);
        Lowering(self)
    }

    /// Waits until a write other than a lowering may be sent.
    pub async fn give_way(&self, kind: Kind) -> Way<'_> {
        let places = match kind {
            Kind::Rollout => &self.rollouts,
            Kind::Route => &self.routes,
            Kind::Event => &self.events,
        };
        // Neither can fail: nothing closes the semaphores, and the sender lives as long as we do.
        let place = places.acquire().await.ok();
        let courtesy = async {
            let few = self.few.acquire().await.ok();
            let _ = self.lowerings.subscribe().wait_for(|under_way| *under_way == 0).await;
            few
        };
        let few = tokio::time::timeout(MOMENT, courtesy).await.ok().flatten();
        Way { _place: place, _few: few }
    }
}

impl Drop for Lowering<'_> {
    fn drop(&mut self) {
        self.0.lowerings.send_modify(|under_way| *under_way -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn another_write_waits_for_the_lowerings_on_their_way() {
        let precedence = Precedence::new();
        let (one, two) = (precedence.go_first(), precedence.go_first());
        let mut status = pin!(precedence.give_way(Kind::Rollout));
        assert!(poll!(status.as_mut()).is_pending());
        drop(one);
        assert!(poll!(status.as_mut()).is_pending());
        drop(two);
        assert!(poll!(status.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn writes_go_a_few_at_a_time() {
        let precedence = Precedence::new();
        let mut under_way =
            vec![precedence.give_way(Kind::Rollout).await, precedence.give_way(Kind::Route).await];
        let mut next = pin!(precedence.give_way(Kind::Rollout));
        assert!(poll!(next.as_mut()).is_pending());
        under_way.pop();
        assert!(poll!(next.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gives_way_longer_than_a_moment() {
        let precedence = Precedence::new();
        let _hanging = precedence.go_first();
        let mut late = pin!(precedence.give_way(Kind::Rollout));
        assert!(poll!(late.as_mut()).is_pending());
        advance(MOMENT).await;
        assert!(poll!(late.as_mut()).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_hangs_holds_up_no_other() {
        let precedence = Precedence::new();
        let mut hanging = Vec::new();
        for _ in 0..PLACES {
            hanging.push(precedence.give_way(Kind::Route).await);
        }
        let mut next = pin!(precedence.give_way(Kind::Route));
        assert!(poll!(next.as_mut()).is_pending());
        precedence.give_way(Kind::Rollout).await;
        advance(10 * MOMENT).await;
        assert!(poll!(next.as_mut()).is_pending(), "there is no place");
        hanging.clear();
        next.await;
    }
}
