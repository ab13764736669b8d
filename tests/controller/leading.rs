//! Several controllers agree by a Lease: one acts, another takes over, nobody acts who can't be sure to lead.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, api::DeleteParams};
use serde_json::json;
use tidegate::{
    api::{Phase, Rollout},
    clock::Clock,
};

use crate::{
    call::{Rule, Spoil},
    cluster::Cluster,
    objects::ROLLOUT,
    running::Running,
    waiting::{eventually, in_time},
};

/// A Lease that was not let go runs out after this at the earliest.
const RUNS_OUT: Duration = Duration::from_secs(12);

/// A cluster with two controllers, the first of which leads; it is returned.
async fn two() -> (Cluster, Running) {
    let mut cluster = Cluster::without_controller().await;
    elects(&mut cluster);
    cluster.run_controller();
    let first = holder(&cluster, None).await;
    assert!(!first.is_empty());
    let leader = cluster.controller.take().unwrap();
    cluster.run_controller();
    eventually("the other is ready too", || cluster.readyz(), |ready| ready.0 == 200).await;
    assert_eq!(holder(&cluster, None).await, first, "it waits");
    (cluster, leader)
}

pub fn elects(cluster: &mut Cluster) {
    let election = format!("leaderElection: {{namespace: {}}}\n", cluster.namespace);
    cluster.scope.push_str(&election);
}

/// Who holds the Lease, once somebody else than this one does.
async fn holder(cluster: &Cluster, other_than: Option<&str>) -> String {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let held = || async {
        let lease = leases.get_opt("tidegate").await.unwrap();
        lease.and_then(|lease| lease.spec?.holder_identity)
    };
    let other = |held: &Option<String>| held.as_deref().is_some_and(|held| Some(held) != other_than);
    eventually("somebody has the Lease", held, other).await.unwrap()
}

fn slow() -> String {
    ROLLOUT.replace("hold: 1s", "hold: 5s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ends_lets_the_lease_go_and_the_other_goes_on() {
    let (cluster, leader) = Box::pin(two()).await;
    cluster.roll(&slow()).await;
    let before = cluster.at(10).await.status.unwrap().epoch;
    let first = holder(&cluster, None).await;
    let clock = Clock::start();
    let ((), second) = tokio::join!(leader.stop(), holder(&cluster, Some(&first)));
    let took = clock.elapsed();
    eprintln!("handed over in {} ms", took.as_millis());
    assert!(took < RUNS_OUT, "it was let go: {took:?}");
    assert_ne!(first, second);
    assert_eq!(cluster.share("v2").await, 10, "traffic stays where it was");
    let taken = |rollout: &Rollout| rollout.status.as_ref().is_some_and(|status| status.epoch > before);
    cluster.until("color", "a new epoch", taken).await;
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_is_followed_once_its_lease_has_run_out() {
    let (cluster, leader) = Box::pin(two()).await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    let first = holder(&cluster, None).await;
    leader.kill();
    let clock = Clock::start();
    cluster.gateway.fail("v2", 0.5);
    cluster.abort("checkout is slow").await;
    holder(&cluster, Some(&first)).await;
    eprintln!("followed after {} ms", clock.elapsed().as_millis());
    cluster.phase(Phase::Failed).await;
    eprintln!("moved after {} ms", clock.elapsed().as_millis());
    assert_eq!(cluster.share("v2").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_somebody_deletes_is_made_again_by_who_has_it() {
    let (cluster, leader) = Box::pin(two()).await;
    cluster.roll(&slow()).await;
    let before = cluster.at(10).await.status.unwrap().epoch;
    let first = holder(&cluster, None).await;
    delete(&cluster, "tidegate").await;
    assert_eq!(holder(&cluster, None).await, first);
    let epoch = cluster.phase(Phase::Healthy).await.status.unwrap().epoch;
    assert_eq!(epoch, before, "nobody took it over");
    assert_eq!(holder(&cluster, None).await, first);
    leader.stop().await;
}

/// Somebody deletes a Lease; returns once another one is in its place.
pub async fn delete(cluster: &Cluster, name: &str) {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let gone = leases.get(name).await.unwrap().metadata.uid;
    leases.delete(name, &DeleteParams::default()).await.unwrap();
    let uid = || async { leases.get_opt(name).await.unwrap().and_then(|lease| lease.metadata.uid) };
    eventually("another one in its place", uid, |uid| uid.is_some() && *uid != gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_writes_nothing() {
    let mut cluster = Cluster::without_controller().await;
    elects(&mut cluster);
    // Somebody else has it, and is not heard of any more.
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "tidegate"},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": RUNS_OUT.as_secs()},
    });
    cluster.create(lease).await;
    cluster.roll(ROLLOUT).await;
    cluster.run_controller();
    holder(&cluster, Some("somebody")).await;
    cluster.phase(Phase::Healthy).await;
    let calls = cluster.calls();
    let first = |resource: &str| calls.iter().position(|call| call.resource == resource && call.is_write());
    let (taken, written) = (first("leases").unwrap(), first("rollouts").unwrap());
    assert!(taken < written, "{:?}", &calls[..=taken.max(written)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_can_not_renew_its_lease_ends() {
    let mut cluster = Cluster::without_controller().await;
    elects(&mut cluster);
    cluster.run_program();
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    cluster.proxy.spoil(Rule::new(Spoil::Answer(503)).verb("update").resource("leases"));
    eventually("it ends", || async { cluster.exit_status() }, Option::is_some).await;
    assert!(cluster.logged().contains("does not lead any more"), "{}", cluster.logged());
    cluster.ask("promote").await;
    // Another one, which can, takes over: it has waited for the Lease to run out.
    cluster.proxy.relent();
    cluster.kill_controller();
    cluster.run_program();
    in_time("the run goes on", cluster.phase(Phase::Healthy)).await;
}
