//! What people and tools do to routes.

use serde_json::json;
use tidegate::api::{Stamp, stamp_annotation};

use crate::{
    concern::Concern,
    faults::Fault,
    setup::Neighbours,
    shapes::{Entry, Rules},
    world::World,
};

impl World {
    /// Something is done to a route, because of one of the Rollouts that stand on it.
    pub fn befalls_a_route(&mut self, fault: Fault) {
        let rollout = self.anyones();
        let places = &self.server.identities[rollout].places;
        let route = places[self.chance.below(places.len())].object;
        let one = Concern::One(rollout);
        let shared = self.concern_of_route(route) == Concern::All;
        match fault {
            Fault::RoutesAreReplaced => {
                if !self.may_lose_stamps() || !self.befalls(self.concern_of_route(route)) {
                    return;
                }
                self.server.delete_route(route);
                self.route_changed(route);
                if self.chance.per_mille(500) {
                    self.server.make_route(route);
                    self.route_changed(route);
                }
            }
            Fault::PeopleSetWeights => {
                if !self.befalls(one) {
                    return;
                }
                let share = self.chance.up_to(100) as i64;
                let [stable, canary, _] = self.server.identities[rollout].versions;
                if self.now.is_multiple_of(2) && self.mirrors(rollout) {
                    return self.edit_mirrors(rollout, route, canary, share);
                }
                self.edit_some(rollout, route, |list| {
                    set_weight(list, stable, 100 - share);
                    set_weight(list, canary, share);
                });
            }
            Fault::PeopleReorder => {
                let shape = self.server.objects[route].shape;
                let rules = shape.rules != Rules::One && !self.now.is_multiple_of(4);
                if rules && self.befalls(self.concern_of_route(route)) {
                    self.server.edit_route(route, |document| shape.reorder(document));
                    self.route_changed(route);
                } else if self.befalls(one) {
                    self.edit_some(rollout, route, |list| list.reverse());
                }
            }
            Fault::PeopleAddWeight => {
                if !self.befalls(one) {
                    return;
                }
                self.edit_some(rollout, route, |list| {
                    if list.iter().all(|(name, _)| name != "other") {
                        list.push(("other".to_owned(), 5));
                    }
                });
            }
            Fault::ToolsRestoreGit => {
                if !self.befalls(one) {
                    return;
                }
                let stable = self.server.identities[rollout].versions[0];
                if self.mirrors(rollout) {
                    self.edit_mirrors(rollout, route, stable, 0);
                }
                self.edit_all(rollout, route, |list| {
                    for (name, weight) in list {
                        *weight = if name == stable { 100 } else { 0 };
                    }
                });
            }
            Fault::ToolsTakeStamps => {
                if !self.may_lose_stamps() || !self.befalls(if shared { Concern::All } else { one }) {
                    return;
                }
                self.server.edit_route(route, |document| {
                    if let Some(metadata) = document["metadata"].as_object_mut() {
                        metadata.remove("annotations");
                    }
                });
                self.route_changed(route);
            }
            Fault::StampsAreForged if self.may_lose_stamps() && self.befalls(one) => {
                self.forge_stamp(rollout, route);
            }
            // An unrelated write delays nothing for longer than it takes to read it.
            Fault::ToolsTouch => {
                let mark = self.now;
                self.server
                    .edit_route(route, |document| document["metadata"]["labels"] = json!({"touched": mark}));
                self.route_changed(route);
            }
            _ => {}
        }
    }

    /// Where two Rollouts name the same rule, only their stamps tell whose it is.
    fn may_lose_stamps(&self) -> bool {
        self.neighbours != Neighbours::Rivals
    }

    /// Somebody gives a Rollout's stamp an epoch that its status never had.
    fn forge_stamp(&mut self, rollout: usize, route: usize) {
        let key = stamp_annotation(self.named(rollout));
        self.server.edit_route(route, |document| {
            let text = document["metadata"]["annotations"][&key].as_str();
            if let Some(stamp) = text.and_then(Stamp::parse) {
                let forged = Stamp { epoch: stamp.epoch + FORGED, ..stamp };
                document["metadata"]["annotations"][&key] = json!(forged.spelled());
            }
        });
        self.route_changed(route);
    }

    /// Whether the run of a Rollout copies requests.
    fn mirrors(&self, rollout: usize) -> bool {
        let run = self.server.rollout(rollout).status.run.as_ref();
        run.is_some_and(|run| run.plan.iter().any(|step| step.mirror.is_some()))
    }

    /// Somebody has so many requests copied to a version, or none.
    pub fn edit_mirrors(&mut self, rollout: usize, route: usize, name: &str, percent: i64) {
        let shape = self.server.objects[route].shape;
        let Some(own) = self.server.identities[rollout].own(route) else { return };
        self.server.edit_route(route, |document| {
            if percent == 0 {
                shape.without_mirrors(document, own);
            } else {
                shape.meddle(document, own, name, percent.unsigned_abs());
            }
        });
        self.route_changed(route);
    }

    pub fn edit_all(&mut self, rollout: usize, route: usize, change: impl FnMut(&mut Vec<Entry>)) {
        self.server.edit_lists(rollout, route, true, change);
        self.route_changed(route);
    }

    /// The same, at times of one list only.
    fn edit_some(&mut self, rollout: usize, route: usize, change: impl FnMut(&mut Vec<Entry>)) {
        let all = !self.now.is_multiple_of(3);
        self.server.edit_lists(rollout, route, all, change);
        self.route_changed(route);
    }
}

/// So far above any epoch that a world comes to.
const FORGED: i64 = 1_000_000;

pub fn set_weight(list: &mut [Entry], name: &str, weight: i64) {
    for entry in list.iter_mut().filter(|entry| entry.0 == name) {
        entry.1 = weight;
    }
}
