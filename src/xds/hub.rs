//! Which Envoys are connected, to which gateways, and what each of them has.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    session::{Session, Standing},
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
    /// The gateway that it is one of.
    pub gateway: Gateway,
    /// What its bootstrap calls it: pods of one gateway all say the same.
    pub node: String,
    /// Where it is connected from.
    pub from: String,
    /// How it stands to what it should have.
    pub standing: BTreeMap<Kind, Standing>,
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
    gateways: BTreeMap<Gateway, watch::Sender<Option<Arc<Snapshot>>>>,
    envoys: BTreeMap<u64, Connected>,
    connections: u64,
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
    /// From now on the Envoys of a gateway are to have this. One that is the same as before is no news.
    pub fn publish(&self, gateway: &Gateway, snapshot: Snapshot) {
        let mut state = self.state();
        let State { gateways, envoys, .. } = &mut *state;
        let target = gateways.entry(gateway.clone()).or_default();
        let before = target.borrow().clone();
        if before.as_deref() == Some(&snapshot) {
            return;
        }
        // Under the same lock, so that nobody is taken to have what nobody has been sent.
        let changed = |kind: &Kind| {
            before
                .as_ref()
                .is_none_or(|before| before.resources(*kind).version != snapshot.resources(*kind).version)
        };
        for envoy in envoys.values_mut().filter(|envoy| envoy.gateway == *gateway) {
            envoy.standing.extend(Kind::ALL.into_iter().filter(changed).map(|kind| (kind, Standing::Lags)));
        }
        target.send_replace(Some(Arc::new(snapshot)));
        drop(state);
        self.tell();
    }

    /// A gateway's Envoys, in the order in which they connected.
    pub fn envoys(&self, gateway: &Gateway) -> Vec<Connected> {
        let state = self.state();
        state.envoys.values().filter(|envoy| envoy.gateway == *gateway).cloned().collect()
    }

    /// Changes whenever an Envoy comes, goes or stands otherwise.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// What a gateway's Envoys are to have, now and later; none as long as nothing is known of it.
    pub(super) fn target(&self, gateway: &Gateway) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.state().gateways.entry(gateway.clone()).or_default().subscribe()
    }

    /// An Envoy has connected.
    pub(super) fn connect(&self, gateway: &Gateway, node: &str, from: String) -> Place {
        let mut state = self.state();
        state.connections += 1;
        let number = state.connections;
        let connected =
            Connected { gateway: gateway.clone(), node: node.to_owned(), from, standing: BTreeMap::new() };
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
    /// Notes how the Envoy stands, if it is known what it should have now.
    pub(super) fn note(&self, session: &Session) {
        let standing: BTreeMap<Kind, Standing> =
            Kind::ALL.into_iter().map(|kind| (kind, session.standing(kind))).collect();
        let mut state = self.hub.state();
        let State { gateways, envoys, .. } = &mut *state;
        let Some(envoy) = envoys.get_mut(&self.number) else { return };
        let target = gateways.get(&envoy.gateway).and_then(|target| target.borrow().clone());
        let is_of_now = target.is_some_and(|target| Arc::ptr_eq(&target, session.target()));
        if is_of_now && envoy.standing != standing {
            envoy.standing = standing;
            drop(state);
            self.hub.tell();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.state().envoys.remove(&self.number);
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
