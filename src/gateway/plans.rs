//! The plans of all fleets, and what became of the objects in them. A gateway has one as long as its object is there, a node as long as
//! Envoys stand beside its pods.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{
    evidence::{Claim, Served, is_told, told_envoys},
    planning::{Planning, Site, carries},
    quarantine::{Voter, generation},
    world::{Touched, World},
};
use crate::{
    dataplane::{ObjectKind, ObjectRef},
    xds::{Connected, Fleet, Hub, Role},
};

/// So long it is waited for Envoys that were there a moment ago: they try again every half a minute at least. Not so long that
/// those that never come make a condition flap: it waits 40 s before it is said not to hold any more.
const RETURNING: Duration = Duration::from_secs(35);
/// So long it is waited for an Envoy's answer before the others' is acted on.
const TOO_LONG: Duration = Duration::from_secs(2);

/// The plans of all fleets.
pub struct Plans {
    hub: Hub,
    fleets: BTreeMap<Fleet, Planning>,
    envoys: BTreeMap<Fleet, Vec<Connected>>,
    expected: BTreeMap<Fleet, Expected>,
}

/// Envoys that were there a moment ago, under another leader or with this one, and may be on their way back.
struct Expected {
    count: usize,
    until: Duration,
}

impl Plans {
    /// None yet. What is made is published there.
    pub fn new(hub: Hub) -> Self {
        Self { hub, fleets: BTreeMap::new(), envoys: BTreeMap::new(), expected: BTreeMap::new() }
    }

    /// From now on this process leads: the Envoys of the one before come to it, each in its own time.
    pub fn lead(&mut self, world: &World, now: Duration) {
        let had = world.objects().filter_map(|(own, object)| {
            let fleet = Fleet::of(own)?;
            let count = told_envoys(&fleet, &object["status"]);
            (count > 0).then_some((fleet, Expected { count, until: now + RETURNING }))
        });
        self.expected = had.collect();
    }

    /// Takes in what may have changed: fleets that it concerns are published anew.
    pub fn follow(&mut self, world: &World, touched: &Touched, now: Duration) {
        let new = self.meet(world, now);
        for (fleet, planning) in &mut self.fleets {
            if new.contains(fleet) {
                continue;
            }
            let at = Site { hub: &self.hub, fleet, world, now };
            let concerned = (touched.namespaces && fleet.role == Role::Gateway)
                || touched.objects.iter().any(|named| planning.concerns(fleet, named, world.get(named)));
            if concerned {
                planning.publish(&at, &touched.objects);
            } else if touched.all_services || !planning.services.is_disjoint(&touched.services) {
                planning.send(&at);
            }
        }
    }

    /// The nodes that have Envoys: every one could, and few do.
    fn sidecars(&self) -> impl Iterator<Item = &Fleet> {
        let all = self.envoys.keys().chain(self.expected.keys());
        all.filter(|fleet| fleet.role == Role::Sidecar)
    }

    /// Whether the nodes that have Envoys are others than before.
    fn has_to_meet(&self) -> bool {
        let stays = |fleet: &Fleet| match fleet.role {
            Role::Gateway => true,
            Role::Sidecar => self.envoys.contains_key(fleet) || self.expected.contains_key(fleet),
        };
        !self.fleets.keys().all(stays) || self.sidecars().any(|fleet| !self.fleets.contains_key(fleet))
    }

    /// Begins with the fleets that are there now, and ends with those that are gone. Those that are new.
    fn meet(&mut self, world: &World, now: Duration) -> BTreeSet<Fleet> {
        let gateways = world.of_kind(ObjectKind::VirtualGateway).filter_map(|(own, _)| Fleet::of(own));
        // One whose object was deleted serves on by what it has.
        let is_there =
            |fleet: &&Fleet| self.fleets.contains_key(*fleet) || world.get(&fleet.object()).is_some();
        let nodes = self.sidecars().filter(is_there).cloned();
        let present: BTreeSet<Fleet> = gateways.chain(nodes).collect();
        self.fleets.retain(|known, _| {
            let stays = present.contains(known);
            if !stays {
                tracing::info!(fleet = %known, "it is gone: its Envoys, if there are any, keep what they have");
                self.hub.forget(known);
            }
            stays
        });
        let new: BTreeSet<Fleet> =
            present.into_iter().filter(|fleet| !self.fleets.contains_key(fleet)).collect();
        for fleet in &new {
            let at = Site { hub: &self.hub, fleet, world, now };
            let all = match fleet.role {
                Role::Gateway => world.objects().map(|(named, _)| named.clone()).collect(),
                // What it leads to is enough.
                Role::Sidecar => BTreeSet::new(),
            };
            self.fleets.entry(fleet.clone()).or_default().publish(&at, &all);
        }
        new
    }

    /// Hears what the Envoys say: an object that they refuse is taken out of the plan, or back. Whether somebody is no longer waited
    /// for, which no news tells of.
    pub fn hear(&mut self, world: &World, now: Duration) -> bool {
        let mut envoys: BTreeMap<Fleet, Vec<Connected>> = BTreeMap::new();
        for envoy in self.hub.envoys() {
            envoys.entry(envoy.fleet.clone()).or_default().push(envoy);
        }
        let before = std::mem::replace(&mut self.envoys, envoys);
        let waited_for = self.expected.len();
        self.expected.retain(|_, expected| now < expected.until);
        let is_over = self.expected.len() < waited_for;
        // A gateway without Envoys is told by itself. Of a node nobody would know that they serve by the weights of before.
        for (fleet, had) in before {
            if fleet.role == Role::Sidecar && !self.envoys.contains_key(&fleet) {
                let known = self.expected.get(&fleet).map_or(0, |expected| expected.count);
                let count = known.max(had.len());
                self.expected.insert(fleet, Expected { count, until: now + RETURNING });
            }
        }
        if self.has_to_meet() {
            self.meet(world, now);
        }
        for (fleet, planning) in &mut self.fleets {
            let envoys = self.envoys.get(fleet).map(Vec::as_slice).unwrap_or_default();
            let number = planning.number;
            let voters: Vec<Voter> = envoys.iter().map(|envoy| voter(envoy, number)).collect();
            let too_long = now.saturating_sub(planning.since) >= TOO_LONG;
            let changed = planning.quarantine.hear(&voters, number, too_long);
            if changed.is_empty() {
                continue;
            }
            let names: Vec<String> = changed.iter().map(ObjectRef::path).collect();
            tracing::warn!(%fleet, objects = names.join(", "), "Envoy refuses something: these are served otherwise now");
            planning.publish(&Site { hub: &self.hub, fleet, world, now }, &changed);
        }
        is_over
    }

    /// The objects of which something is to be said.
    pub fn named(&self, world: &World) -> BTreeSet<ObjectRef> {
        world.objects().map(|(named, _)| named).filter(|named| self.tells_of(world, named)).cloned().collect()
    }

    /// Whether something is to be said of an object: of routes and gateways always, of routers that are led to, of nodes that have
    /// Envoys, of others only where Envoy refuses them; and of all as long as what was said last is ours.
    pub fn tells_of(&self, world: &World, named: &ObjectRef) -> bool {
        let mut plans = self.fleets.values();
        let was_told = || world.get(named).is_some_and(|object| is_told(named.kind, &object["status"]));
        match named.kind {
            ObjectKind::GatewayRoute | ObjectKind::VirtualGateway => true,
            ObjectKind::VirtualRouter => was_told() || plans.any(|planning| planning.knows(named)),
            ObjectKind::VirtualNode | ObjectKind::VirtualService => {
                was_told()
                    || Fleet::of(named).is_some_and(|own| self.envoys.contains_key(&own))
                    || plans.any(|planning| planning.quarantine.holds_any() && planning.holds(world, named))
            }
            ObjectKind::HttpRoute | ObjectKind::GrpcRoute => false,
        }
    }

    /// What is known of an object.
    pub fn claim(&self, named: &ObjectRef, object: &Arc<Value>) -> Claim<'_> {
        let mut claim = Claim { generation: generation(object), ..Claim::default() };
        claim.is_behind = named.kind.is_behind_routes() || named.kind == ObjectKind::VirtualRouter;
        let own = Fleet::of(named).filter(|own| self.fleets.contains_key(own));
        for (fleet, planning) in &self.fleets {
            let is_own = own.as_ref() == Some(fleet);
            if is_own {
                claim.own = Some((fleet, self.envoys.get(fleet).map_or(0, Vec::len)));
            }
            let would_serve = planning.failure.is_some()
                && match fleet.role {
                    Role::Gateway => planning.concerns(fleet, named, Some(object)),
                    // By what its Envoys are known to go by: nobody else's routers wait for a node that cannot be made.
                    Role::Sidecar => planning.planned.served.contains(named),
                };
            if let Some(failure) = &planning.failure {
                if is_own {
                    claim.faults.push(failure.clone());
                } else if would_serve {
                    claim.remarks.push(format!("{fleet} can be given nothing new: {failure}"));
                }
            }
            add(&mut claim.faults, planning.faults(named));
            add(&mut claim.remarks, planning.remarks(named));
            let held = planning.quarantine.held(named, object);
            let envoys = self.envoys.get(fleet).map(Vec::as_slice).unwrap_or_default();
            let carries = match (&own, named.kind.is_behind_routes()) {
                // A node that has Envoys is told of as what those have.
                (Some(_), true) => is_own,
                // Of others nothing is said but whether they are refused.
                (None, true) => self.has(fleet, planning, named),
                (Some(_) | None, false) => planning.planned.served.contains(named) || would_serve,
            };
            let expected = self.expected.get(fleet).map_or(0, |expected| expected.count);
            // One that was started by a node that cannot be made serves nobody, and nobody waits for it.
            let is_idle =
                fleet.role == Role::Sidecar && expected == 0 && envoys.iter().all(|envoy| envoy.is_new);
            if planning.failure.is_some() && is_idle && !is_own {
                continue;
            }
            if carries || held.is_some() {
                let since = planning.quarantine.since(named, object);
                let number = planning.number;
                claim.fleets.push(Served { fleet, envoys, expected, number, since, held });
            }
        }
        claim
    }

    /// Whether Envoys of a fleet have something that is behind their routes: only they can refuse it.
    fn has(&self, fleet: &Fleet, planning: &Planning, named: &ObjectRef) -> bool {
        self.envoys.contains_key(fleet) && carries(&planning.planned, fleet, named)
    }
}

/// Adds what is not there yet.
fn add(sentences: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for sentence in more {
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
}

fn voter(envoy: &Connected, number: u64) -> Voter {
    Voter { number: envoy.number, has: envoy.has, refusal: envoy.refusal_of(number).map(str::to_owned) }
}
