//! Whether the canary gets about what its weight says. Where it does not, what is judged may not be what users see.

use super::tests;
use crate::{
    analysis::{
        Sequence,
        sentence::{self, Traffic},
    },
    engine::{
        observed::{ListSeen, RouteSeen, RouteView},
        turn::Turn,
    },
};

/// So many requests of a step must be there before their share means anything.
const ENOUGH: f64 = 500.0;
/// So many times more, or less, than the weight is off.
const OFF: f64 = 2.0;
/// And so many standard errors, for of a small weight few requests are expected.
const CHANCE: f64 = 4.0;

/// The condition that tells of it.
pub(in crate::engine) const CONDITION: &str = "TrafficShare";

impl Turn<'_> {
    /// What was told is of the step before.
    pub fn forget_share(&mut self) {
        self.memory.share_off = None;
        self.told.besides.retain(|(kind, ..)| *kind != CONDITION);
        self.status.conditions.retain(|condition| condition.type_ != CONDITION);
    }

    /// Tells where the canary's share of the requests is far from its weight, and goes on telling it for the rest of the step.
    pub fn tell_share(&mut self) {
        // What another process has told in this step holds for this one too; else each would write its own over the other's.
        let told = self.status.conditions.iter().find(|condition| condition.type_ == CONDITION);
        if let Some(told) = told {
            self.memory.share_off = Some(told.message.clone());
        } else if self.memory.share_off.is_none()
            && let Some(sentence) = self.share_off()
        {
            self.tell_once(CONDITION, &sentence);
            self.memory.share_off = Some(sentence);
        }
        if let Some(sentence) = self.memory.share_off.clone() {
            self.told.besides.push((CONDITION, "OffTheWeight", sentence));
        }
    }

    fn share_off(&self) -> Option<String> {
        let step = self.planned_step()?;
        let wanted = match step.traffic() {
            // What a match sends comes on top, and nothing tells how much that is.
            Traffic::Weight(weight) if step.matching.is_none() && (1..100).contains(&weight) => {
                f64::from(weight) / 100.0
            }
            // Copies come besides what they are copies of.
            Traffic::Mirror(percent) => f64::from(percent) / f64::from(100 + percent),
            Traffic::Weight(_) => return None,
        };
        if !self.had_the_weight() {
            return None;
        }
        let analysis = self.analysis()?;
        let relative = tests(&analysis).into_iter().find(|test| test.max.is_none())?;
        let sequence = self.run()?.evidence.metrics.get(&*relative.name)?.sequence.as_ref();
        let total = sequence
            .filter(|sequence| sequence.step() == Some(self.step_index()))
            .map(Sequence::step_total)?;
        let canary = total.canary().requests;
        let all = canary + total.stable().requests;
        let realised = canary / all.max(1.0);
        let off = realised > wanted * OFF || realised * OFF < wanted;
        let spread = (all * wanted * (1.0 - wanted)).sqrt();
        let by_chance = (canary - all * wanted).abs() <= CHANCE * spread;
        (all >= ENOUGH && off && !by_chance).then(|| sentence::share_off(step.traffic(), canary, all))
    }

    /// Whether all that was counted in the step was counted while the routes had its weight, and nothing else on them sends
    /// traffic to either version.
    fn had_the_weight(&self) -> bool {
        let (Some((stable, canary)), Some(settled)) = (self.arms(), self.settled_at()) else { return false };
        let since = self.status.step.as_ref().and_then(|step| step.since);
        let alone = |view: &RouteView| {
            let both = |list: &ListSeen| list.weight(&stable) == 0 && list.weight(&canary) == 0;
            view.beside.iter().all(both)
        };
        since.is_some_and(|since| since <= settled)
            && !self.memory.displaced
            && self.memory.good_from.is_none()
            && self.run_routes().into_iter().filter_map(RouteSeen::view).all(|view| alone(view))
    }
}
