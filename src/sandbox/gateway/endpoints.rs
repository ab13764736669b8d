//! Where the versions of a service listen.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use crate::dataplane::{Destination, Protocol};

/// Loopback addresses by virtual service. Clones share one map; a change takes effect with the next request.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Arc<RwLock<BTreeMap<Key, Place>>>);

type Key = (String, Option<u16>);

#[derive(Clone, Debug, Default)]
struct Place {
    addresses: Vec<SocketAddr>,
    /// Absent: what routes are of that lead there.
    spoken: Option<Protocol>,
}

/// An address that is not on loopback.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a loopback address; the sandbox talks to nothing else")]
pub struct NotLoopback(pub SocketAddr);

impl Endpoints {
    /// Sets the addresses of a service, by its full name (`<name>.<namespace>`), for entries that name `port`, or for
    /// those without addresses of their own where `port` is `None`. An empty list means a service without endpoints.
    pub fn set(
        &self,
        service: &str,
        port: Option<u16>,
        addresses: Vec<SocketAddr>,
    ) -> Result<(), NotLoopback> {
        if let Some(stranger) = addresses.iter().find(|address| !address.ip().is_loopback()) {
            return Err(NotLoopback(*stranger));
        }
        self.change(service, port, |place| place.addresses = addresses);
        Ok(())
    }

    /// Says what is spoken there, as the listener of a virtual node does, whatever the routes are of that lead there.
    pub fn set_spoken(&self, service: &str, port: Option<u16>, spoken: Protocol) {
        self.change(service, port, |place| place.spoken = Some(spoken));
    }

    /// The addresses of a destination.
    pub fn of(&self, destination: &Destination) -> Vec<SocketAddr> {
        self.place(destination).addresses
    }

    /// What is spoken to a destination of a route that is of `protocol`.
    pub fn spoken(&self, destination: &Destination, protocol: Protocol) -> Protocol {
        self.place(destination).spoken.unwrap_or(protocol)
    }

    fn change(&self, service: &str, port: Option<u16>, change: impl FnOnce(&mut Place)) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(map.entry((service.to_owned(), port)).or_default());
    }

    fn place(&self, destination: &Destination) -> Place {
        let service = destination.service();
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = map.get(&(service.clone(), destination.port)).or_else(|| map.get(&(service, None)));
        found.cloned().unwrap_or_default()
    }
}
