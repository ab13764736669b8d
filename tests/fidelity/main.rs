//! The embedded API server answers like a real one: the same requests go to both, and the answers are compared.
//!
//! What must differ is made equal (identities, versions, times, addresses); wordings of messages are not compared.
//! Run it with `tests/cluster/run cargo test --test fidelity`; without a control plane every test here says so and passes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests, their helpers included")]

mod compare;
mod directed;
mod history;
mod kinds;
mod kubectl;
mod normal;
mod objects;
mod planted;
mod random;
mod refused;
mod side;
#[path = "../support/skip.rs"]
mod skip;
mod step;
mod world;

use compare::check;
use world::with_world;

#[test]
fn writing() {
    with_world(|world| check(world, directed::writing::scripts()));
}

#[test]
fn metadata() {
    with_world(|world| check(world, directed::metadata::scripts()));
}

#[test]
fn patching() {
    with_world(|world| check(world, directed::patching::scripts()));
}

#[test]
fn deleting() {
    with_world(|world| check(world, directed::deleting::scripts()));
}

#[test]
fn listing() {
    with_world(|world| check(world, directed::listing::scripts()));
}

#[test]
fn watching() {
    with_world(|world| check(world, directed::watching::scripts()));
}

#[test]
fn expired() {
    with_world(|world| check(world, directed::expired::scripts()));
}

#[test]
fn protocol() {
    with_world(|world| check(world, directed::protocol::scripts()));
}

#[test]
fn schemas() {
    with_world(|world| check(world, directed::schemas::scripts()));
}

#[test]
fn built_ins() {
    with_world(|world| check(world, directed::built_ins::scripts()));
}

#[test]
fn workloads() {
    with_world(|world| check(world, directed::workloads::scripts()));
}

#[test]
fn random_sequences() {
    with_world(random::check);
}

#[test]
fn discovery() {
    with_world(refused::check_discovery);
}

#[test]
fn kubectl_output() {
    with_world(kubectl::check);
}
