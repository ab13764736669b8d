//! Where an Envoy beside a pod listens.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// What comes to the pod, and what it sends. None where somebody has one of these ports: they are not for a test to choose.
pub fn beside_a_pod() -> Option<[SocketAddr; 2]> {
    let at = |host: Ipv4Addr| [15000, 15001].map(|port| SocketAddr::from((host, port)));
    let is_free = at(Ipv4Addr::UNSPECIFIED).iter().all(|address| TcpListener::bind(address).is_ok());
    is_free.then(|| at(Ipv4Addr::LOCALHOST))
}
