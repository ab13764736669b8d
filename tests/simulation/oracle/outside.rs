//! What is held against gates and receivers: nobody is taken to have said what he did not, and nothing that happened is kept
//! from who wants to know of it.

use std::collections::BTreeSet;

use tidegate::{
    api::{EndReason, GateAnswer, GateTime, Notice, RolloutStatus, Run, Transition},
    engine::gate::Answered,
};

use super::{Oracle, reading::index};
use crate::outside::LEAVING;

/// What was asked and told of one Rollout.
#[derive(Default)]
pub struct Outside {
    /// Runs, steps and times whose gates said yes, each by its name.
    agreed: BTreeSet<(i64, i32, GateTime, String)>,
    /// Runs that a gate said no to.
    refused: BTreeSet<i64>,
    /// The notices that arrived.
    delivered: BTreeSet<String>,
}

/// So many notices a status keeps.
const KEPT: usize = 16;

impl Oracle {
    /// A gate has answered.
    pub fn answered(&mut self, rollout: usize, run: i64, answered: &Answered) {
        let known = &mut self.of[rollout].outside;
        let question = &answered.question;
        match answered.answer {
            GateAnswer::Yes => {
                known.agreed.insert((run, question.step, question.when, question.gate.clone()));
            }
            GateAnswer::No => {
                known.refused.insert(run);
            }
            GateAnswer::Wait | GateAnswer::Down => {}
        }
    }

    /// A notice has arrived.
    pub fn delivered(&mut self, rollout: usize, id: &str) {
        self.of[rollout].outside.delivered.insert(id.to_owned());
    }

    /// A status is stored: its gates have allowed what it goes on to.
    pub fn gates_agree(&mut self, rollout: usize, was: &RolloutStatus, is: &RolloutStatus) {
        let Some(new) = &is.run else { return };
        let ended = |status: &RolloutStatus| {
            let run = status.run.as_ref().filter(|run| run.number == new.number);
            run.and_then(|run| run.ended.as_ref()).map(|ended| ended.reason)
        };
        let known = &self.of[rollout];
        if ended(is) == Some(EndReason::GateRefused) && ended(was).is_none() {
            let refused = known.outside.refused.contains(&new.number);
            self.demand(refused, "G1", || {
                format!("run {} was ended by a gate that did not say no", new.number)
            });
            return;
        }
        let from =
            if was.run.as_ref().is_some_and(|run| run.number == new.number) { index(was) } else { return };
        let to = index(is);
        let promoted = ended(is) == Some(EndReason::Promoted) && ended(was).is_none();
        let asked = known.promoted.contains(&(new.number, from)) || known.promoted_full.contains(&new.number);
        if asked || (to == from && !promoted) {
            return;
        }
        let mut lacking = LEAVING.map(|when| self.lacking(rollout, new, from, when)).into_iter().flatten();
        let lacking = lacking
            .next()
            .or_else(|| if promoted { None } else { self.lacking(rollout, new, to, GateTime::Before) });
        if let Some(lacking) = lacking {
            self.violated(
                "G1",
                format!("run {} went from step {from} to {to} without {lacking}", new.number),
            );
        }
    }

    fn lacking(&self, rollout: usize, run: &Run, step: i32, when: GateTime) -> Option<String> {
        let gates = run.step(step)?.gates.as_ref()?;
        let agreed = &self.of[rollout].outside.agreed;
        let silent = |gate: &&String| !agreed.contains(&(run.number, step, when, (*gate).clone()));
        let gate = gates.at(when).iter().find(silent)?;
        Some(format!("a yes of gate {gate} {} it", when.word()))
    }

    /// A status is stored where somebody wants to know of all that happens: what it tells of is noted in it, and what was noted
    /// goes only when it has arrived.
    pub fn notes_what_happened(&mut self, rollout: usize, was: &RolloutStatus, is: &RolloutStatus) {
        let delivered = &self.of[rollout].outside.delivered;
        let kept = |notice: &Notice| is.notices.iter().any(|other| other.id == notice.id);
        let full = is.notices.len() >= KEPT;
        if let Some(lost) = was.notices.iter().find(|known| !kept(known) && !delivered.contains(&known.id))
            && !full
        {
            let sentence = format!("{} is forgotten, and nobody was told", lost.id);
            return self.violated("N1", sentence);
        }
        let Some(run) = &is.run else { return };
        let before = was.run.as_ref().filter(|before| before.number == run.number);
        let happened = match (before, &run.ended) {
            (None, None) => Transition::Started,
            (Some(before), Some(ended)) if before.ended.is_none() => match ended.reason {
                EndReason::Promoted => Transition::Promoted,
                _ => Transition::RolledBack,
            },
            (Some(_), None) if index(is) > index(was) => Transition::Step,
            _ => return,
        };
        let told = is.notices.iter().any(|notice| {
            notice.run == Some(run.number) && notice.transition == happened && !was.notices.contains(notice)
        });
        self.demand(told, "N1", || {
            format!("{} of run {} is stored and not noted", happened.word(), run.number)
        });
    }
}
