//! Whom trouble concerns. In some worlds with two Rollouts it is all one's: what would concern the other too does not
//! happen there, and the other must not notice any of it (L4).

use tidegate::engine::observed::RouteView;

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

    /// A Rollout that can't be read may step any rule of the objects that bear its stamp: nobody claims one there meanwhile.
    pub fn concern_of_garbling(&self, rollout: usize) -> Concern {
        let places = &self.server.identities[rollout].places;
        let mut neighbours = places.iter().flat_map(|place| self.server.on(place.object));
        let waits = neighbours.any(|other| other != rollout && !self.has_claimed(other));
        if waits { Concern::All } else { Concern::One(rollout) }
    }

    /// Whether a run is under way whose stamp is on every route.
    fn has_claimed(&self, rollout: usize) -> bool {
        let identity = &self.server.identities[rollout];
        let stamped = |view: &RouteView| view.stamp(identity.name).is_some_and(|by| by.uid == identity.uid);
        self.server.rollout(rollout).status.run.is_some()
            && self.server.views(rollout).all(|view| view.is_some_and(|view| stamped(view)))
    }

    /// What one has scaled down another may be about to want.
    pub fn concerns_the_others_behind(&mut self, workload: usize, rollout: usize) {
        for other in self.server.behind(workload).into_iter().filter(|other| *other != rollout) {
            self.oracle.befallen(Concern::One(other));
        }
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
