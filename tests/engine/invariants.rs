//! What must hold of every decision, whatever the world is like.

use tidegate::{
    api::{Phase, Run, SpelledStamp, Target},
    engine::{
        decision::{Decision, Effect, Purpose, RouteWrite},
        observed::{RouteState, RouteView},
    },
};

use crate::world::World;

impl World {
    /// What must hold of every decision.
    pub fn check(&self, decision: &Decision) {
        self.somebody_decides_again(decision);
        for effect in &decision.effects {
            if let Effect::Write(write) = effect
                && write.purpose == Purpose::Raise
            {
                self.may_raise(decision, write);
            }
        }
        self.moves_one_step(decision);
    }

    fn somebody_decides_again(&self, decision: &Decision) {
        let after = &decision.after;
        let over = |run: &Run| run.ended.as_ref().is_some_and(|ended| ended.settled);
        // What is paused waits for somebody to do something, and that gives a turn.
        let paused = after.phase == Some(Phase::Paused);
        let under_way = !paused && after.run.as_ref().is_some_and(|run| !over(run));
        // A look leads to a turn when it comes back, a write when it is done; a status that was stored leads to none.
        let tells = |effect: &Effect| matches!(effect, Effect::Tell(_));
        let goes_on = decision.before.is_some() || !decision.effects.iter().all(tells);
        // Who is deposed has nothing left to do.
        let deposed = decision.memory.newer || decision.memory.held.is_some_and(|held| held < after.epoch);
        if under_way && !deposed && !self.spec.suspend && !self.subject.deleting {
            assert!(goes_on || decision.wake.is_some(), "nobody would decide again: {:?}", after.message);
        }
    }

    /// A raise gives the canary what is intended and stored, and stable the rest; never after an end or a mark.
    fn may_raise(&self, decision: &Decision, write: &RouteWrite) {
        let status = &decision.after;
        let (Some(stable), Some(canary)) = (&self.working.stable, &status.canary) else { return };
        let rest = set(write, stable).expect("stable's weight");
        let share = set(write, canary).expect("canary's weight");
        assert_eq!(rest + share, 100, "stable and canary sum to 100");
        let run = status.run.as_ref().expect("a raise belongs to a run");
        assert!(run.ended.is_none(), "no raise after the end");
        let marked = |state: &RouteState| matches!(state, RouteState::Present(view) if self.is_marked(view));
        assert!(!self.routes.values().any(marked), "no raise after a mark");
        let step = status.step.as_ref().unwrap();
        assert_eq!(share, i64::from(step.weight.percent()), "the intended step's weight");
        let stored = decision.before.as_deref().unwrap_or(&self.stored).step.as_ref();
        assert_eq!(stored.map(|s| s.index), Some(step.index), "the intent is stored before the raise");
        assert!(self.subject.finalizer, "guarded before the raise");
    }

    /// Whether a route carries the mark that ends the present run.
    fn is_marked(&self, view: &RouteView) -> bool {
        let present = self.working.run.as_ref().map(|run| run.number);
        let mut stamps = view.stamps.values().filter_map(SpelledStamp::says);
        stamps.any(|stamp| stamp.aborted && Some(stamp.run) == present)
    }

    fn moves_one_step(&self, decision: &Decision) {
        if let (Some(was), Some(is)) = (&self.working.step, &decision.after.step)
            && self.working.run.as_ref().map(|r| r.number) == decision.after.run.as_ref().map(|r| r.number)
        {
            let jumps = decision.after.run.as_ref().is_some_and(|run| run.promote_full);
            assert!(is.index >= was.index && (jumps || is.index <= was.index + 1), "one step at a time");
        }
    }
}

/// What a write sets a target to, on every list that it touches.
fn set(write: &RouteWrite, target: &Target) -> Option<i64> {
    let listed =
        write.weights.iter().filter(|(at, _)| write.view.lists[at.list].index(target) == Some(at.entry));
    let added = write.add.iter().filter(|entry| entry.name == target.name).map(|entry| entry.weight);
    let weights: Vec<i64> = listed.map(|(_, weight)| *weight).chain(added).collect();
    assert!(weights.windows(2).all(|two| two[0] == two[1]), "lists of one route are given different weights");
    weights.first().copied()
}
