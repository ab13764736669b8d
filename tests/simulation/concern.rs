//! Whom trouble concerns. In some worlds with two Rollouts it is all one's: what would concern the other too does not
//! happen there, and the other must not notice any of it (L4).

use crate::{
    faults::Fault,
    world::{Rivalry, World},
};

/// Whom trouble concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    One(usize),
    All,
}

impl World {
    /// Whether trouble of a kind strikes now.
    pub fn strikes(&mut self, fault: Fault, per_mille: u32, concern: Concern) -> bool {
        !self.quiet && self.faults.has(fault) && self.chance.per_mille(per_mille) && self.befalls(concern)
    }

    /// Whether trouble may befall those whom it concerns; from then on they are no more on the schedule of a world without.
    pub fn befalls(&mut self, concern: Concern) -> bool {
        if self.aimed.is_some_and(|aimed| concern != Concern::One(aimed)) {
            return false;
        }
        self.oracle.befallen(concern);
        true
    }

    /// Several that don't know of each other, or that share, take Rollouts from each other as they come.
    pub fn rivals_concern_all(&mut self) {
        if matches!(self.rivalry, Rivalry::Unled | Rivalry::Shared) {
            self.oracle.befallen(Concern::All);
        }
    }

    /// The Rollout that somebody does something to.
    pub fn anyones(&mut self) -> usize {
        match self.server.rollouts.len() {
            1 => 0,
            count => self.aimed.unwrap_or_else(|| self.chance.below(count)),
        }
    }

    /// A Rollout that can't be read may step any rule of the objects that bear its stamp: no run starts there meanwhile.
    pub fn concern_of_garbling(&self, rollout: usize) -> Concern {
        let places = &self.server.identities[rollout].places;
        let neighbours = places.iter().flat_map(|place| self.server.on(place.object));
        let mut idle = neighbours.filter(|other| self.server.rollout(*other).status.run.is_none());
        if idle.any(|other| other != rollout) { Concern::All } else { Concern::One(rollout) }
    }

    pub fn concern_of_route(&self, route: usize) -> Concern {
        one_or_all(&self.server.on(route))
    }

    pub fn concern_of_workload(&self, workload: usize) -> Concern {
        one_or_all(&self.server.behind(workload))
    }
}

fn one_or_all(those: &[usize]) -> Concern {
    match those {
        [one] => Concern::One(*one),
        _ => Concern::All,
    }
}
