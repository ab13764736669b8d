//! Where the versions of a service listen.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use crate::dataplane::Destination;

/// Loopback addresses by virtual service. Clones share one map; a change takes effect with the next request.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Arc<RwLock<BTreeMap<Key, Vec<SocketAddr>>>>);

type Key = (String, Option<u16>);

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
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        map.insert((service.to_owned(), port), addresses);
        Ok(())
    }

    /// The addresses of a destination.
    pub fn of(&self, destination: &Destination) -> Vec<SocketAddr> {
        let service = destination.service();
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = map.get(&(service.clone(), destination.port)).or_else(|| map.get(&(service, None)));
        found.cloned().unwrap_or_default()
    }
}
