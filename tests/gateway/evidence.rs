//! What a route's status says of the Envoys that have it.

use std::time::Duration;

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use tidegate::{
    api::{EnvoyOf, ListedEnvoy},
    sandbox::envoys::Manner,
    xds::Kind,
};

use crate::{
    bed::{Bed, programmed, responses, route, target},
    waiting::{eventually, in_time},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_is_in_effect_once_every_envoy_has_it() {
    let bed = Bed::start().await;
    bed.until("color", "False NoEnvoy: no Envoy of ").await;
    let (first, second) = (bed.envoy(Manner::Takes), bed.envoy(Manner::Takes));
    let told = bed.until("color", "True Programmed: 2 of 2 Envoys of ").await;
    assert!(told.ends_with("/gw have generation 1"), "{told}");
    let of = |kind| responses(&first, kind) + responses(&second, kind);
    let others = [Kind::Cluster, Kind::Endpoints, Kind::Listener];
    let (before, routes) = (others.map(of), of(Kind::Routes));
    for weight in 1..=5 {
        let generation = bed.weigh("color", 100 - weight, weight).await;
        let told =
            format!("True Programmed: 2 of 2 Envoys of {}/gw have generation {generation}", bed.namespace);
        bed.until("color", &told).await;
    }
    assert_eq!(of(Kind::Routes), routes + 10, "a weight is one response to each");
    assert_eq!(others.map(of), before, "and nothing else");

    // One that says nothing keeps it from being in effect, and is named.
    second.behave(Manner::Silent);
    bed.weigh("color", 50, 50).await;
    let told = bed.until("color", "False Pending: 1 of 2 Envoys of ").await;
    assert!(told.ends_with("not yet: 127.0.0.1"), "{told}");
    drop(second);
    bed.until("color", "True Programmed: 1 of 1 Envoys of ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_comes_back_changes_nothing() {
    let mut bed = Bed::start().await;
    let envoy = bed.envoy(Manner::Takes);
    bed.until("color", "True Programmed").await;
    bed.stop().await;
    let before = envoy.had().borrow().clone();
    let mut shown =
        watcher(bed.objects("GatewayRoute"), watcher::Config::default()).applied_objects().boxed();
    assert!(programmed(&in_time("the route", shown.next()).await.unwrap().unwrap()).starts_with("True"));
    bed.run();
    let had = envoy.had();
    let back = |had: &tidegate::sandbox::envoys::Had| had.connections > before.connections;
    eventually("it connects again", || async { had.borrow().clone() }, back).await;
    // What it says next is of the next weight.
    let generation = bed.weigh("color", 90, 10).await;
    loop {
        let next = in_time("the next", shown.next()).await.unwrap().unwrap();
        let told = programmed(&next);
        assert!(!told.starts_with("False"), "{told}");
        if told.ends_with(&format!("have generation {generation}")) {
            break;
        }
    }
    let now = envoy.had().borrow().clone();
    for kind in [Kind::Cluster, Kind::Listener] {
        assert_eq!(now.responses[kind.url()], before.responses[kind.url()], "it had them");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_one_serves_and_the_other_follows() {
    let mut bed = Bed::without_control_plane().await;
    let lease =
        tidegate::config::LeaderElection { lease: "gw".into(), namespace: Some(bed.namespace.clone()) };
    bed.settings.lease = Some(lease);
    bed.run();
    let envoy = bed.envoy(Manner::Takes);
    bed.until("color", "True Programmed").await;
    let mut first = bed.running.take();
    // The other one has the same ports for Envoys and their list: it does not open them before it leads.
    bed.settings.health = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let registry = bed.settings.registry;
    bed.run();
    let other = bed.running.take();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let listed = || async {
        let answer = http.get(format!("http://{registry}/envoys")).send().await.unwrap();
        serde_json::from_str::<Vec<ListedEnvoy>>(&answer.text().await.unwrap()).unwrap()
    };
    let gateway = bed.gateway().to_string();
    let of = EnvoyOf::Gateway(gateway.clone());
    eventually("the Envoy is listed", listed, |all| all.len() == 1 && all[0].of == of).await;
    std::mem::swap(&mut bed.running, &mut first);
    bed.stop().await;
    let generation = bed.weigh("color", 30, 70).await;
    bed.until("color", &format!("True Programmed: 1 of 1 Envoys of {gateway} have generation {generation}"))
        .await;
    assert!(envoy.had().borrow().connections >= 2);
    bed.running = other;
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_sent_what_concerns_it_and_nothing_else() {
    let bed = Bed::start().await;
    let listeners = json!([{"portMapping": {"port": 8088, "protocol": "http"}}]);
    let other = crate::bed::app_mesh("VirtualGateway", "other", json!({"listeners": listeners}));
    bed.create(other).await;
    let mut beside = route("beside", "/beside", &[target("v1", 1)]);
    beside["spec"]["virtualGatewayRef"]["name"] = json!("other");
    bed.create(beside).await;
    let (one, two) = (bed.envoy(Manner::Takes), {
        let gateway = tidegate::xds::Fleet::gateway(bed.namespace.clone(), "other");
        tidegate::sandbox::envoys::SimulatedEnvoy::start(
            bed.control_plane(),
            &gateway,
            Manner::Slowly(Duration::from_millis(5)),
        )
    });
    bed.until("color", "True Programmed").await;
    bed.until("beside", "True Programmed").await;
    let before = two.had().borrow().clone();
    for weight in 1..4 {
        let generation = bed.weigh("color", 100, weight).await;
        bed.until(
            "color",
            &format!("True Programmed: 1 of 1 Envoys of {} have generation {generation}", bed.gateway()),
        )
        .await;
    }
    assert_eq!(two.had().borrow().responses, before.responses);
    drop(one);
}
