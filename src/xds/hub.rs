//! Which Envoys are connected, to which gateways, and what each of them has.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    session::{Published, Session},
    snapshot::{Kind, Snapshot},
};

/// A gateway, by what names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gateway {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A node id that names no gateway.
#[derive(Debug, thiserror::Error)]
#[error(
    "the node id {0:?} names no gateway: it has to be mesh/MESH/virtualGateway/NAME_NAMESPACE, as tidegate gateway bootstrap \
     writes it"
)]
pub struct NoGateway(pub String);

/// An Envoy's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Of all streams another one.
    pub number: u64,
    /// The gateway that it is one of.
    pub gateway: Gateway,
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

/// Gateways with what their Envoys are to have, and the Envoys. Clones are of the same.
#[derive(Clone, Default)]
pub struct Hub(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    gateways: BTreeMap<Gateway, watch::Sender<Option<Arc<Published>>>>,
    envoys: BTreeMap<u64, Connected>,
    connections: u64,
}

/// An Envoy that comes.
pub(super) struct Arrival {
    pub(super) gateway: Gateway,
    pub(super) from: Option<SocketAddr>,
    pub(super) stats: Option<u16>,
    pub(super) is_new: bool,
}

/// An Envoy's place in the hub; it is gone once this is dropped.
pub(super) struct Place {
    hub: Hub,
    number: u64,
}

impl Gateway {
    /// The gateway of a node id, `mesh/<mesh>/virtualGateway/<name>_<namespace>`. Neither part has an underscore.
    pub fn of_node(id: &str) -> Result<Self, NoGateway> {
        let parts: Vec<&str> = id.split('/').collect();
        match parts.as_slice() {
            ["mesh", _, "virtualGateway", full] => full.rsplit_once('_'),
            _ => None,
        }
        .filter(|(name, namespace)| !name.is_empty() && !namespace.is_empty())
        .map(|(name, namespace)| Self { namespace: namespace.to_owned(), name: name.to_owned() })
        .ok_or_else(|| NoGateway(id.to_owned()))
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Hub {
    /// From now on the Envoys of a gateway are to have this. The number of the publication: that of the one before where it is the
    /// same.
    pub fn publish(&self, gateway: &Gateway, snapshot: Snapshot) -> u64 {
        let mut state = self.state();
        let target = state.gateways.entry(gateway.clone()).or_default();
        let before = target.borrow().clone();
        let number = match before {
            Some(before) if before.snapshot.is(&snapshot) => return before.number,
            Some(before) => before.number + 1,
            None => 1,
        };
        target.send_replace(Some(Arc::new(Published { number, snapshot })));
        number
    }

    /// The gateway is gone: its Envoys keep what they have, and nothing is remembered of it.
    pub fn forget(&self, gateway: &Gateway) {
        let mut state = self.state();
        let known = state.gateways.get_mut(gateway);
        if known.as_ref().is_some_and(|target| target.receiver_count() > 0) {
            // What is published later goes on counting.
            return;
        }
        state.gateways.remove(gateway);
    }

    /// All Envoys, in the order in which they connected.
    pub fn envoys(&self) -> Vec<Connected> {
        self.state().envoys.values().cloned().collect()
    }

    /// Changes whenever an Envoy comes, goes or stands otherwise.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// What a gateway's Envoys are to have, now and later; none as long as nothing is known of it.
    pub(super) fn target(&self, gateway: &Gateway) -> watch::Receiver<Option<Arc<Published>>> {
        self.state().gateways.entry(gateway.clone()).or_default().subscribe()
    }

    /// An Envoy has connected.
    pub(super) fn connect(&self, envoy: Arrival) -> Place {
        let Arrival { gateway, from, stats, is_new } = envoy;
        let mut state = self.state();
        state.connections += 1;
        let number = state.connections;
        let connected =
            Connected { number, gateway, from, stats, is_new, has: 0, at: 0, refusals: BTreeMap::new() };
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
        let State { gateways, envoys, .. } = &mut *state;
        if let Some(envoy) = envoys.remove(&self.number) {
            // Nobody has ever published for it, and nobody waits there any more but who is about to leave.
            let unknown = gateways.get(&envoy.gateway).is_some_and(|target| target.borrow().is_none());
            if unknown && !envoys.values().any(|other| other.gateway == envoy.gateway) {
                gateways.remove(&envoy.gateway);
            }
        }
        drop(state);
        self.hub.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_names_its_gateway() {
        let of = |id: &str| Gateway::of_node(id).map(|gateway| gateway.to_string()).ok();
        assert_eq!(
            of("mesh/color-mesh/virtualGateway/color-gateway_default").as_deref(),
            Some("default/color-gateway")
        );
        for id in [
            "",
            "mesh/m/virtualNode/a_b",
            "mesh/m/virtualGateway/a",
            "mesh/m/virtualGateway/_b",
            "a/m/virtualGateway/a_b",
        ] {
            assert_eq!(of(id), None, "{id}");
        }
        assert!(NoGateway("x".into()).to_string().contains("mesh/MESH/virtualGateway/NAME_NAMESPACE"));
    }
}
