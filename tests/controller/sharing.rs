//! Several controllers share the Rollouts: each serves its own, and those of one that is gone.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::json;
use tidegate::{
    api::{PauseReason, Phase, Rollout},
    clock::Clock,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    call::{Rule, Spoil},
    cluster::Cluster,
    leading::{delete, elects},
    objects::{ROLLOUT, entry, route},
    proxy::Proxy,
    running::Running,
    told::{is_paused_for, runs},
    waiting::eventually,
};

/// So many that each controller has some.
const MANY: usize = 16;

fn name(number: usize) -> String {
    format!("color-{number}")
}

/// Two controllers that share many runs which wait for approval. The first of them is not the cluster's own.
struct Two {
    cluster: Cluster,
    first: Running,
    first_proxy: Proxy,
    alone: MutexGuard<'static, ()>,
}

/// Many runs at once are what an API server of two cores can do; those of several tests keep each other from every step.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn two() -> Two {
    let alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::empty().await;
    elects(&mut cluster);
    cluster.sharing = true;
    cluster.run_controller();
    for number in 0..MANY {
        cluster.create(route(&name(number), &json!([entry("v1", 100), entry("v2", 0)]))).await;
        let yaml = ROLLOUT.replace("name: color}", &format!("name: {}}}", name(number)));
        cluster.roll(&yaml.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    }
    all(&cluster, "at the first step", waits).await;
    let epochs = epochs(&cluster).await;
    let first_proxy = cluster.through_another_proxy().await;
    let first = cluster.controller.take().unwrap();
    cluster.run_controller();
    // What changes hands is claimed anew.
    let changed = || async {
        let now = self::epochs(&cluster).await;
        now.iter().zip(&epochs).filter(|(now, before)| now > before).count()
    };
    eventually("the second has its share", changed, |changed| *changed > 0).await;
    all(&cluster, "at the first step", waits).await;
    Two { cluster, first, first_proxy, alone }
}

async fn all(cluster: &Cluster, what: &str, wanted: fn(&Rollout) -> bool) {
    join_all((0..MANY).map(async |number| cluster.until(&name(number), what, wanted).await)).await;
}

async fn epochs(cluster: &Cluster) -> Vec<i64> {
    let each = (0..MANY).map(async |number| cluster.rollouts().get(&name(number)).await.unwrap());
    join_all(each).await.iter().map(|rollout| rollout.status.as_ref().unwrap().epoch).collect()
}

/// Asks for something of all runs.
async fn abort_all(cluster: &Cluster) {
    for number in 0..MANY {
        let run = runs(&cluster.rollouts().get(&name(number)).await.unwrap());
        let abort = json!({ "run": run, "by": "ann", "at": Clock::start().now() }).to_string();
        let annotations = json!({ "tidegate.dev/abort": abort });
        cluster.patch(&name(number), json!({ "metadata": { "annotations": annotations } })).await;
    }
}

/// The routes that were written through a proxy since so many calls.
fn wrote(proxy: &Proxy, since: usize) -> BTreeSet<String> {
    let calls = proxy.calls().into_iter().skip(since);
    calls.filter(|call| call.is_write() && call.resource == "gatewayroutes").map(|call| call.name).collect()
}

fn waits(rollout: &Rollout) -> bool {
    is_paused_for(rollout, PauseReason::Approval)
}

fn is_over(rollout: &Rollout) -> bool {
    rollout.status.as_ref().and_then(|status| status.phase) == Some(Phase::Failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_serves_its_own() {
    let Two { cluster, first, first_proxy, alone: _alone } = Box::pin(two()).await;
    let before = (first_proxy.calls().len(), cluster.proxy.calls().len());
    abort_all(&cluster).await;
    all(&cluster, "aborted", is_over).await;
    let (one, other) = (wrote(&first_proxy, before.0), wrote(&cluster.proxy, before.1));
    assert!(one.is_disjoint(&other), "both wrote {:?}", one.intersection(&other));
    assert_eq!(one.len() + other.len(), MANY, "{one:?} {other:?}");
    assert!(!one.is_empty() && !other.is_empty(), "{one:?} {other:?}");
    // Whoever has a slot that somebody deletes makes it again.
    delete(&cluster, "tidegate-0").await;
    eventually("it acts", || cluster.acts(), |acts| *acts).await;
    first.stop().await;
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let slots = leases.list(&ListParams::default().labels("tidegate.dev/shards=tidegate")).await.unwrap();
    let names: Vec<String> = slots.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["tidegate-0", "tidegate-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_share_of_one_that_ends_goes_to_the_other_at_once() {
    let Two { cluster, first, first_proxy: _proxy, alone: _alone } = Box::pin(two()).await;
    let before = epochs(&cluster).await;
    let clock = Clock::start();
    let changed = || async { epochs(&cluster).await.iter().zip(&before).any(|(now, before)| now > before) };
    tokio::join!(first.stop(), eventually("the other has it", changed, |changed| *changed));
    let took = clock.elapsed();
    eprintln!("handed over in {} ms", took.as_millis());
    assert!(took < Duration::from_secs(10), "the slot was let go: {took:?}");
    abort_all(&cluster).await;
    all(&cluster, "aborted", is_over).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_share_of_one_that_is_killed_goes_to_the_other_once_its_slot_has_run_out() {
    let Two { cluster, first, first_proxy: _proxy, alone: _alone } = Box::pin(two()).await;
    first.kill();
    let clock = Clock::start();
    abort_all(&cluster).await;
    all(&cluster, "aborted", is_over).await;
    eprintln!("all moved after {} ms", clock.elapsed().as_millis());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_watch_of_the_slots_stands_still_stops_acting() {
    let mut cluster = Cluster::without_controller().await;
    elects(&mut cluster);
    cluster.sharing = true;
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    // It hears nothing of what becomes of the slots, its own renewals neither, and can't ask.
    for verb in ["list", "watch"] {
        cluster.proxy.spoil(Rule::new(Spoil::Delay(Duration::from_mins(2))).verb(verb).resource("leases"));
    }
    cluster.proxy.freeze();
    eventually("it stops acting", || cluster.acts(), |acts| !acts).await;
    let renewals = || async {
        let calls = cluster.calls();
        calls.iter().filter(|call| call.resource == "leases" && call.verb == "update").count()
    };
    let before = renewals().await;
    cluster.gateway.fail("v2", 0.5);
    eventually("it keeps its slot", renewals, |renewals| *renewals >= before + 2).await;
    assert_eq!(cluster.share("v2").await, 10, "others may have come meanwhile, and act");
    cluster.proxy.relent();
    cluster.proxy.disconnect();
    cluster.phase(Phase::Failed).await;
}
