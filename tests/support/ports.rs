//! Ports for what a test, or a measurement, starts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// An address of this machine whose port nobody has at the moment.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
