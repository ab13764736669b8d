//! Where an Envoy beside a pod listens.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// What comes to the pod, and what it sends. None where somebody has one of these ports: they are not for a test to choose.
pub fn beside_a_pod() -> Option<[SocketAddr; 2]> {
    let own = [15000, 15001].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    own.iter().all(|address| TcpListener::bind(address).is_ok()).then_some(own)
}
