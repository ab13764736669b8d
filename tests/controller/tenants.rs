//! Whoever writes Rollouts in one namespace reaches nothing of another one, and no address that the admin did not list. The
//! controller of these tests may do everywhere what is shipped for that: nothing is kept from it but by itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kube::{
    ResourceExt,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value, json};
use tidegate::{
    api::{Phase, Rollout},
    cli::rbac,
};
use tokio::net::TcpListener;

use crate::{
    audit,
    call::{Call, Rule, Spoil},
    cluster::Cluster,
    objects::{ROLLOUT, deployment, entry, route},
    server::{Server, api_of, create, is_real, unique},
    told::message,
    waiting::{eventually, in_time},
};

/// A cluster with one namespace to write Rollouts in, and another one to be left alone, by its name.
async fn with_a_neighbour() -> Option<(Cluster, String)> {
    let server = Server::alone("its controller may do everything everywhere").await?;
    let cluster = Cluster::for_all_namespaces(server).await;
    let other = unique();
    cluster.server.account(&other, rbac::NAME, |_| {}).await;
    for object in what_the_other_has() {
        create(&cluster.client, &other, object).await;
    }
    Some((cluster, other))
}

/// What there is to get at. No Rollout is among it: nobody there wants anything of the controller.
fn what_the_other_has() -> Vec<Value> {
    let metrics = json!([{ "name": "queue", "query": "q", "max": "5" }]);
    let mut all = vec![
        route("color", &json!([entry("v1", 100), entry("v2", 0)])),
        deployment("v1"),
        deployment("v2"),
        json!({ "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": { "name": "common" },
                "spec": { "analysis": { "metrics": metrics } } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "color" }, "data": { "a": "b" } }),
    ];
    if is_real() {
        let secret = json!({ "metadata": { "name": "color" }, "stringData": { "token": "t" } });
        all.push(json!({ "apiVersion": "v1", "kind": "Secret" }));
        let last = all.last_mut().unwrap().as_object_mut().unwrap();
        last.extend(secret.as_object().unwrap().clone());
    }
    all
}

/// The Rollout `name` over the route of that name.
fn named(name: &str) -> String {
    ROLLOUT.replace("name: color", &format!("name: {name}"))
}

/// Creates a Rollout as written, or tells why that is refused.
async fn attempt(cluster: &Cluster, yaml: &str) -> Result<(), String> {
    let object: Value = serde_saphyr::from_str(yaml).unwrap();
    let rollout: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let created = cluster.api_of(&object).create(&PostParams::default(), &rollout).await;
    created.map(drop).map_err(|error| error.to_string())
}

/// Waits until the controller has said something of the Rollout.
async fn told_of(cluster: &Cluster, name: &str) -> Rollout {
    let told = |rollout: &Rollout| rollout.status.as_ref().is_some_and(|status| status.phase.is_some());
    cluster.until(name, "something told", told).await
}

/// What is kept of each object of the other namespace: changes by whoever runs its pods are none of ours.
async fn as_it_is(cluster: &Cluster, other: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for object in what_the_other_has() {
        let name = object["metadata"]["name"].as_str().unwrap();
        let there = api_of(&cluster.client, other, &object).get(name).await.unwrap();
        let mut ours = there.annotations().clone();
        ours.retain(|key, _| key.contains("tidegate.dev"));
        found.push(json!([there.metadata.generation, ours, there.labels(), there.finalizers()]));
    }
    found
}

/// Requests of the controller that have to do with a namespace, or with a place that none has.
fn led_astray(calls: &[Call], other: &str) -> Vec<Call> {
    let odd = |part: &String| part.contains("..") || part.contains('%') || part.contains(other);
    let astray = |call: &&Call| {
        call.namespace == other
            || [&call.namespace, &call.resource, &call.subresource, &call.name].into_iter().any(odd)
            || ["secrets", "configmaps"].contains(&call.resource.as_str())
    };
    calls.iter().filter(astray).cloned().collect()
}

/// The same by the API server's own word, where it keeps a log: what was asked for. Bodies may hold anything.
fn audited(cluster: &Cluster, other: &str) -> Vec<String> {
    let Some((folder, from)) = cluster.server.audited() else { return Vec::new() };
    let account = format!("system:serviceaccount:{}:{}", cluster.namespace, rbac::NAME);
    let asked = audit::requests(folder, from, |line| line.contains(other));
    let ours = asked.filter(|entry| entry["user"]["username"] == account.as_str());
    let to = |entry: Value| entry["requestURI"].as_str().unwrap_or_default().to_owned();
    ours.map(to).filter(|uri| uri.contains(other)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_reaches_nothing_of_another_namespace() {
    let Some((mut cluster, other)) = with_a_neighbour().await else { return };
    let before = as_it_is(&cluster, &other).await;
    cluster.run_controller();
    let names = [
        format!("../../{other}/gatewayroutes/color"),
        format!("../../../namespaces/{other}/gatewayroutes/color"),
        format!("{other}/color"),
        format!("..%2F..%2F{other}%2Fgatewayroutes%2Fcolor"),
        format!("color.{other}"),
        "color/../../../../../../api/v1/namespaces/default/secrets".to_owned(),
    ];
    let mut rollouts = Vec::new();
    for (number, foreign) in names.iter().enumerate() {
        let texts = [
            ("route", "GatewayRoute, name: NAME}", format!("GatewayRoute, name: {foreign:?}}}")),
            ("workload", "kind: Deployment, name: v2", format!("kind: Deployment, name: {foreign:?}")),
            ("target", "target: {name: v2", format!("target: {{name: {foreign:?}")),
            ("provider", "interval: 1s", format!("interval: 1s\n    provider: {foreign:?}")),
            ("params", "mesh: mesh", format!("mesh: {foreign:?}")),
            ("stable", "  strategy:", format!("  stable: {{name: {foreign:?}}}\n  strategy:")),
        ];
        for (what, place, text) in texts {
            let name = format!("{what}-{number}");
            cluster.create(route(&name, &json!([entry("v1", 100), entry("v2", 0)]))).await;
            let yaml = named(&name);
            let changed = yaml.replacen(&place.replace("NAME", &name), &text, 1);
            assert_ne!(yaml, changed, "{what}");
            if attempt(&cluster, &changed).await.is_ok() {
                rollouts.push(name);
            }
        }
        let name = format!("template-{number}");
        cluster.create(route(&name, &json!([entry("v1", 100), entry("v2", 0)]))).await;
        let (yaml, _) =
            named(&name).split_once("  analysis:").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        if attempt(&cluster, &format!("{yaml}  analysis: {{templateRef: {{name: {foreign:?}}}}}\n"))
            .await
            .is_ok()
        {
            rollouts.push(name);
        }
    }
    // A field that would say it is none: it is refused or dropped, and not kept.
    for (place, text) in [
        ("GatewayRoute, name:", format!("GatewayRoute, namespace: {other}, name:")),
        ("target: {name:", format!("target: {{namespace: {other}, name:")),
        ("kind: Deployment, name:", format!("kind: Deployment, namespace: {other}, name:")),
    ] {
        let name = format!("field-{}", rollouts.len());
        cluster.create(route(&name, &json!([entry("v1", 100), entry("v2", 0)]))).await;
        if attempt(&cluster, &named(&name).replacen(place, &text, 1)).await.is_ok() {
            let stored = cluster.rollouts().get(&name).await.unwrap();
            let spec = serde_json::to_string(&stored.spec).unwrap();
            assert!(!spec.contains(&other), "{spec}");
            rollouts.push(name);
        }
    }
    assert!(rollouts.len() > 20, "{rollouts:?}");
    for name in &rollouts {
        told_of(&cluster, name).await;
    }
    let astray = led_astray(&cluster.proxy.calls(), &other);
    assert!(astray.is_empty(), "{astray:#?}");
    assert_eq!(audited(&cluster, &other), Vec::<String>::new());
    assert_eq!(as_it_is(&cluster, &other).await, before);
}

/// At its start the controller reads what Rollouts in a run name, one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_elsewhere_is_not_asked_for_at_the_start_either() {
    let Some((mut cluster, other)) = with_a_neighbour().await else { return };
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    cluster.kill_controller();
    let of = |name: &str| json!({ "group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": name });
    let elsewhere = format!("../../{other}/gatewayroutes/color");
    let workload = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": elsewhere });
    let stable = json!({ "name": "v1", "workloadRef": workload });
    cluster
        .patch("color", json!({ "spec": { "routes": [of("color"), of(&elsewhere)], "stable": stable } }))
        .await;
    let asked = cluster.proxy.calls().len();
    cluster.run_controller();
    let reads = || async {
        let calls = cluster.proxy.calls();
        calls[asked..].iter().any(|call| call.verb == "get" && call.resource == "gatewayroutes")
    };
    eventually("routes are read one by one", reads, |read| *read).await;
    cluster.abort("enough").await;
    cluster.phase(Phase::Failed).await;
    let astray = led_astray(&cluster.proxy.calls(), &other);
    assert!(astray.is_empty(), "{astray:#?}");
    assert_eq!(audited(&cluster, &other), Vec::<String>::new());
}

/// A server that counts who comes, and answers nobody.
pub async fn counting() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, came)
}

/// Wherever a text may stand in a Rollout, it is never taken for an address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_address_can_be_put_into_a_rollout() {
    let mut cluster = Cluster::empty().await;
    let (listed, listed_came) = counting().await;
    let (address, came) = counting().await;
    let web = format!("web: {{web: {{url: \"http://{listed}/below\", timeout: 1s}}}}");
    let prometheus = format!("prometheus: {{prometheus: {{url: \"http://{listed}\", timeout: 1s}}}}");
    cluster.providers = cluster.providers.replace("{default:", &format!("{{{web}, {prometheus}, default:"));
    let gates = format!("gates: {{window: {{url: \"http://{listed}/gate\", timeout: 1s}}}}\n");
    cluster.scope.push_str(&gates);
    cluster.run_controller();
    let texts = [
        format!("http://{address}/"),
        format!("//{address}/x"),
        format!("@{address}/x"),
        format!("http://{listed}@{address}/x"),
        format!("\\\\{address}\\x"),
        format!("x\r\nHost: {address}"),
        format!("..//{address}"),
        address.clone(),
    ];
    let mut rollouts = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let quoted = serde_json::to_string(text).unwrap();
        let query = serde_json::to_string(&format!("{text} | $.a")).unwrap();
        let metric = |provider: &str, query: &str| {
            format!(
                "interval: 1s\n    metrics: [{{name: a, provider: {provider}, query: {query}, max: \"5\"}}]"
            )
        };
        let selected = format!("up{{a={quoted}}}");
        let promql = serde_json::to_string(&selected).unwrap();
        let places = [
            ("provider", "interval: 1s", format!("interval: 1s\n    provider: {quoted}")),
            ("of-a-metric", "interval: 1s", metric(&quoted, "q")),
            ("web", "interval: 1s", metric("web", &query)),
            ("promql", "interval: 1s", metric("prometheus", &promql)),
            ("param", "mesh: mesh", format!("mesh: {quoted}")),
            ("gate", "{weight: 10}", format!("{{weight: 10, gates: {{before: [{quoted}]}}}}")),
            ("target", "target: {name: v2", format!("target: {{name: {quoted}")),
            ("url", "interval: 1s", format!("interval: 1s\n    url: {quoted}")),
            ("address", "  strategy:", format!("  webhook: {{url: {quoted}}}\n  strategy:")),
        ];
        for (what, place, text) in places {
            let name = format!("{what}-{number}");
            cluster.create(route(&name, &json!([entry("v1", 100), entry("v2", 0)]))).await;
            let yaml = named(&name).replacen(place, &text, 1);
            if attempt(&cluster, &yaml).await.is_ok() {
                rollouts.push(name);
            }
        }
    }
    for name in &rollouts {
        told_of(&cluster, name).await;
    }
    // Those that ask at all ask where the admin said.
    let asked = || async { listed_came.load(Ordering::SeqCst) };
    eventually("what is listed is asked", asked, |came| *came >= 3).await;
    assert_eq!(came.load(Ordering::SeqCst), 0, "of {rollouts:?}");
}

/// A crowd of one namespace has all the places for writes, and hangs there. An abort in another one is sent while most of the
/// crowd has not been served at all: it waits for none of them, so how many they are makes no difference to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_goes_before_the_crowd_of_another_namespace() {
    const CROWD: usize = 100;
    let Some((mut cluster, other)) = with_a_neighbour().await else { return };
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;

    let hang = Spoil::Delay(std::time::Duration::from_mins(5));
    cluster
        .proxy
        .spoil(Rule::new(hang).verb("update").resource("rollouts").subresource("status").namespace(&other));
    for number in 0..CROWD {
        let rollout = serde_saphyr::from_str(&named(&format!("crowd-{number}"))).unwrap();
        create(&cluster.client, &other, rollout).await;
    }
    let served = || {
        let calls = cluster.proxy.calls();
        let hang = |call: &&Call| call.namespace == other && call.verb == "update";
        calls
            .iter()
            .filter(hang)
            .map(|call| call.name.clone())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    eventually("the crowd has all the places", || async { served() }, |served| *served >= 16).await;
    cluster.abort("enough").await;
    in_time("nothing on v2", cluster.until_share("v2", 0)).await;
    assert!(served() < CROWD, "the abort waited for all of them");
    // The record of it, too; that it is settled is written as soon as one of the places is free.
    cluster.until("color", "the record of it", |rollout| message(rollout).contains("enough")).await;
    assert!(served() < CROWD, "the record of it waited for all of them");
}
