//! Which Envoys are connected, of which fleets, and what each of them has.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    fleet::Fleet,
    session::{Published, Session},
    snapshot::{Kind, Snapshot},
};

/// An Envoy's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Of all streams another one.
    pub number: u64,
    /// The fleet that it is one of.
    pub fleet: Fleet,
    /// Where it is connected from.
    pub from: Option<SocketAddr>,
    /// The port of its statistics, as its bootstrap says.
    pub stats: Option<u16>,
    /// Whether it came without anything: an Envoy that has just been started, and serves nobody yet.
    pub is_new: bool,
    /// The number of the newest publication that it has all of; 0: none.
    pub has: u64,
    /// The number of the publication that it is answering, or has answered.
    pub at: u64,
    /// What it refuses of that one, and why, in its own words.
    pub refusals: BTreeMap<Kind, String>,
}

impl Connected {
    /// Why it refuses a publication; `None` where it does not, or has not come to it.
    pub fn refusal_of(&self, number: u64) -> Option<&str> {
        self.refusals.values().next().filter(|_| self.at == number).map(String::as_str)
    }
}

/// Fleets with what their Envoys are to have, and the Envoys. Clones are of the same.
#[derive(Clone, Default)]
pub struct Hub(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    fleets: BTreeMap<Fleet, watch::Sender<Option<Arc<Published>>>>,
    envoys: BTreeMap<u64, Connected>,
    connections: u64,
}

/// An Envoy that comes.
pub(super) struct Arrival {
    pub(super) fleet: Fleet,
    pub(super) from: Option<SocketAddr>,
    pub(super) stats: Option<u16>,
    pub(super) is_new: bool,
}

/// An Envoy's place in the hub; it is gone once this is dropped.
pub(super) struct Place {
    hub: Hub,
    number: u64,
}

impl Hub {
    /// From now on the Envoys of a fleet are to have this. The number of the publication: that of the one before where it is the
    /// same.
    pub fn publish(&self, fleet: &Fleet, snapshot: Snapshot) -> u64 {
        let mut state = self.state();
        let target = state.fleets.entry(fleet.clone()).or_default();
        let before = target.borrow().clone();
        let number = match before {
            Some(before) if before.snapshot.is(&snapshot) => return before.number,
            Some(before) => before.number + 1,
            None => 1,
        };
        target.send_replace(Some(Arc::new(Published { number, snapshot })));
        number
    }

    /// The object of a fleet is gone: its Envoys keep what they have, and nothing is remembered of it.
    pub fn forget(&self, fleet: &Fleet) {
        let mut state = self.state();
        let known = state.fleets.get_mut(fleet);
        if known.as_ref().is_some_and(|target| target.receiver_count() > 0) {
            // What is published later goes on counting.
            return;
        }
        state.fleets.remove(fleet);
    }

    /// All Envoys, in the order in which they connected.
    pub fn envoys(&self) -> Vec<Connected> {
        self.state().envoys.values().cloned().collect()
    }

    /// Changes whenever an Envoy comes, goes or stands otherwise.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// What a fleet's Envoys are to have, now and later; none as long as nothing is known of it.
    pub(super) fn target(&self, fleet: &Fleet) -> watch::Receiver<Option<Arc<Published>>> {
        self.state().fleets.entry(fleet.clone()).or_default().subscribe()
    }

    /// An Envoy has connected.
    pub(super) fn connect(&self, envoy: Arrival) -> Place {
        let Arrival { fleet, from, stats, is_new } = envoy;
        let mut state = self.state();
        state.connections += 1;
        let number = state.connections;
        let connected =
            Connected { number, fleet, from, stats, is_new, has: 0, at: 0, refusals: BTreeMap::new() };
        state.envoys.insert(number, connected);
        drop(state);
        self.tell();
        Place { hub: self.clone(), number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.0.news.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Place {
    /// Notes how the Envoy stands.
    pub(super) fn note(&self, session: &Session) {
        let (has, at, refusals) = (session.up_to(), session.at(), session.refusals());
        let mut state = self.hub.state();
        let Some(envoy) = state.envoys.get_mut(&self.number) else { return };
        if (envoy.has, envoy.at, &envoy.refusals) != (has, at, &refusals) {
            (envoy.has, envoy.at, envoy.refusals) = (has, at, refusals);
            envoy.is_new &= has == 0;
            drop(state);
            self.hub.tell();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        let State { fleets, envoys, .. } = &mut *state;
        if let Some(envoy) = envoys.remove(&self.number) {
            // Nobody has ever published for it, and nobody waits there any more but who is about to leave.
            let unknown = fleets.get(&envoy.fleet).is_some_and(|target| target.borrow().is_none());
            if unknown && !envoys.values().any(|other| other.fleet == envoy.fleet) {
                fleets.remove(&envoy.fleet);
            }
        }
        drop(state);
        self.hub.tell();
    }
}
