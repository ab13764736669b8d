//! Ports for what a test, or a measurement, starts.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// Below those from which connections take theirs: one of these would be gone before who is told of it listens.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// An address of this machine whose port nobody has at the moment, and that nobody else of this process is given.
pub fn free_address() -> SocketAddr {
    // Other processes begin elsewhere.
    let own = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT)).unwrap();
    loop {
        let next = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + own.wrapping_add(next) % COUNT;
        // Envoy takes it of all addresses.
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        }
    }
}
