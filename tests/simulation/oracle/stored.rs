//! What is held against statuses that were stored.

use tidegate::api::{EndReason, RolloutStatus, Run};

use super::{
    OF_A_HOLD, Oracle, SEEN_BY_NOW, Sender,
    reading::{canary, index},
};
use crate::{server::Server, versions::RolloutNow};

impl Oracle {
    /// A status is stored.
    pub fn status_stored(
        &mut self,
        server: &Server,
        rollout: usize,
        sender: Sender,
        before: &RolloutNow,
        now: u64,
    ) {
        self.wrote(rollout);
        let (was, is) = (&before.status, &server.rollout(rollout).status);
        let version = server.identities[rollout].versions[1];
        let bad_from = self.of[rollout].bad_from;
        self.demand(was.format <= RolloutStatus::FORMAT, "S3", || {
            "a newer version's status was written over".to_owned()
        });
        self.demand(is.epoch >= was.epoch, "S3", || {
            format!("epoch {} was recorded over {}", is.epoch, was.epoch)
        });
        if is.epoch > was.epoch {
            self.of[rollout].epochs.insert(is.epoch, sender);
        }
        // A newer version tells what it tells.
        if is.format <= RolloutStatus::FORMAT {
            self.gates_agree(rollout, was, is);
            if server.told {
                self.notes_what_happened(rollout, was, is);
            }
        }
        let (Some(old), Some(new)) = (&was.run, &is.run) else {
            return self.weights_changed(server, rollout, now);
        };
        self.demand(new.number >= old.number, "S1", || {
            format!("run {} came after {}", new.number, old.number)
        });
        if new.number == old.number && old.ended.is_none() {
            self.demand(new.analysis == old.analysis, "S5", || {
                format!("run {} is judged by something else than at its start", new.number)
            });
            let (from, to) = (index(was), index(is));
            self.demand(to >= from, "S1", || format!("step {to} came after {from}"));
            let promoted = new.ended.as_ref().is_some_and(|ended| ended.reason == EndReason::Promoted);
            if from >= 1 && (to > from || promoted) {
                let jumped = to > from + 1;
                self.advanced(server, rollout, old, (from, jumped), now);
            }
            let failed = new.ended.as_ref().is_some_and(|ended| ended.reason == EndReason::Failed);
            let blameless = bad_from.is_none_or(|from| from > now) || canary(is) != Some(version);
            self.demand(!(failed && blameless), "S5", || {
                "a version that is not bad was found to be".to_owned()
            });
        }
        if old.ended.is_some() && new.number == old.number {
            self.demand(new.ended.is_some(), "S2", || format!("run {} was ended and goes on", new.number));
        }
        self.weights_changed(server, rollout, now);
    }

    /// A run went on from a step.
    fn advanced(
        &mut self,
        server: &Server,
        rollout: usize,
        run: &Run,
        (from, jumped): (i32, bool),
        now: u64,
    ) {
        let number = run.number;
        let known = &self.of[rollout];
        let asked = known.promoted.contains(&(number, from)) || known.promoted_full.contains(&number);
        let bad = known.bad_from.is_some_and(|since| since == 0 || since + SEEN_BY_NOW < now);
        let watched = known.standing.held((number, from));
        let looks = known.standing.looks((number, from));
        let aborted = known.aborted.contains(&number);
        self.demand(!aborted, "S2", || format!("run {number} went on after it was aborted"));
        if asked {
            return;
        }
        self.demand(!jumped, "S1", || format!("run {number} left steps out after step {from}"));
        let is_it = canary(&server.rollout(rollout).status) == Some(server.identities[rollout].versions[1]);
        self.demand(!(bad && is_it), "S1", || {
            format!("run {number} went on from step {from} with a bad version")
        });
        let hold = run.step(from).map_or(0, |step| step.hold.span().as_millis());
        let needed = (hold as f64 * OF_A_HOLD) as u64;
        self.demand(watched >= needed, "S1", || {
            format!("step {from} of run {number} was held for {watched} of {hold} ms")
        });
        self.demand(looks > 0, "S8", || format!("step {from} of run {number} was left without any evidence"));
    }
}
