//! Envoys beside the pods of a node: what they are given, and what is said of the routers that they go by.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::{
    sandbox::envoys::{Manner, SimulatedEnvoy},
    xds::{Fleet, Kind},
};

use crate::{
    bed::{Bed, app_mesh, has_routes, responses, told},
    waiting::eventually,
};

/// A bed with the node `front`, which calls `paint`: a router with the weights of `v1` and `v2`.
struct Mesh(Bed);

fn router(weights: [u32; 2]) -> Value {
    let targets = ["v1", "v2"].into_iter().zip(weights);
    let targets: Vec<Value> =
        targets.map(|(name, weight)| json!({"virtualNodeRef": {"name": name}, "weight": weight})).collect();
    let action = json!({"weightedTargets": targets});
    let route = json!({"name": "all", "httpRoute": {"match": {"prefix": "/"}, "action": action}});
    json!({"listeners": [{"portMapping": {"port": 80, "protocol": "http"}}], "routes": [route]})
}

fn backend(name: &str) -> Value {
    json!({"virtualService": {"virtualServiceRef": {"name": name}}})
}

fn service(router: &str) -> Value {
    json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": router}}}})
}

impl Mesh {
    async fn start() -> Self {
        let bed = Bed::start().await;
        for name in ["paint", "brush"] {
            bed.create(app_mesh("VirtualRouter", name, router([1, 0]))).await;
            bed.create(app_mesh("VirtualService", name, service(name))).await;
        }
        let listeners = json!([{"portMapping": {"port": 8080, "protocol": "http"}}]);
        let front = json!({"listeners": listeners, "backends": [backend("paint")]});
        bed.create(app_mesh("VirtualNode", "front", front)).await;
        Self(bed)
    }

    /// The Envoys of `front`, as messages name them.
    fn front(&self) -> Fleet {
        Fleet::sidecars(self.0.namespace.clone(), "front")
    }

    /// An Envoy beside a pod of `front`.
    fn envoy(&self) -> SimulatedEnvoy {
        SimulatedEnvoy::start(self.0.control_plane(), &self.front(), Manner::Takes)
    }

    /// Gives a router's versions these weights; the generation that has them.
    async fn weigh(&self, name: &str, weights: [u32; 2]) -> i64 {
        self.0.patch("VirtualRouter", name, json!({"spec": router(weights)})).await;
        self.0.objects("VirtualRouter").get(name).await.unwrap().metadata.generation.unwrap()
    }

    /// What AWS's own condition of a kind says of the present generation.
    async fn says(&self, kind: &str, name: &str) -> String {
        let object = self.0.objects(kind).get(name).await.unwrap();
        told(&object, &format!("{kind}Active"))
    }

    /// Gives `front` a backend that is not there besides, and waits until it is told.
    async fn miss(&self, name: &str) {
        let backends = json!({"spec": {"backends": [backend(name), backend("paint")]}});
        self.0.patch("VirtualNode", "front", backends).await;
        let told = self.until("VirtualNode", "front", &format!("False Invalid: backend {name}.")).await;
        assert!(told.contains("no VirtualService of that name has a provider"), "{told}");
    }

    /// Ends the control plane, starts another one, and waits until an Envoy has come to it.
    async fn fail_over(&mut self, envoy: &SimulatedEnvoy) {
        let had = envoy.had();
        let before = had.borrow().connections;
        self.0.stop().await;
        self.0.run();
        eventually("it connects again", || async { had.borrow().connections }, |count| *count > before).await;
    }

    async fn until(&self, kind: &str, name: &str, begins: &str) -> String {
        let look = || self.says(kind, name);
        eventually(&format!("{name} is {begins}"), look, |told| told.starts_with(begins)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_is_in_effect_once_those_that_call_it_have_it() {
    let mesh = Mesh::start().await;
    let (first, second) = (mesh.envoy(), mesh.envoy());
    let both = |generation: i64| {
        format!("True Programmed: 2 of 2 Envoys of {} have generation {generation}", mesh.front())
    };
    mesh.until("VirtualRouter", "paint", &both(1)).await;
    mesh.until("VirtualNode", "front", &both(1)).await;
    let of = |kind| responses(&first, kind) + responses(&second, kind);
    let others = [Kind::Cluster, Kind::Endpoints, Kind::Listener];
    let (before, routes) = (others.map(of), of(Kind::Routes));
    for weight in 1..=3 {
        let generation = mesh.weigh("paint", [100 - weight, weight]).await;
        mesh.until("VirtualRouter", "paint", &both(generation)).await;
    }
    assert_eq!(of(Kind::Routes), routes + 6, "a weight is one response to each");
    assert_eq!(others.map(of), before, "and nothing else");

    // Who does not call a router is not told of it, and nobody speaks for one that nobody calls.
    mesh.weigh("brush", [5, 5]).await;
    let generation = mesh.weigh("paint", [50, 50]).await;
    mesh.until("VirtualRouter", "paint", &both(generation)).await;
    assert_eq!(of(Kind::Routes), routes + 8);
    for (kind, name) in [("VirtualRouter", "brush"), ("VirtualNode", "v1")] {
        assert_eq!(mesh.says(kind, name).await, "nothing", "{name}");
    }

    second.behave(Manner::Silent);
    mesh.weigh("paint", [40, 60]).await;
    let told = mesh.until("VirtualRouter", "paint", "False Pending: 1 of 2 Envoys of ").await;
    assert!(told.ends_with("not yet: 127.0.0.1"), "{told}");
    drop(second);
    mesh.until("VirtualRouter", "paint", "True Programmed: 1 of 1 Envoys of ").await;

    // They may serve by the weights of before, and be back in a moment.
    drop(first);
    mesh.weigh("paint", [0, 100]).await;
    let told = mesh.until("VirtualRouter", "paint", "False NoEnvoy: ").await;
    assert!(told.ends_with(&format!("no Envoy of {} is connected", mesh.front())), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_were_there_before_are_waited_for_by_the_next_that_leads() {
    let mut mesh = Mesh::start().await;
    let (first, second) = (mesh.envoy(), mesh.envoy());
    mesh.until("VirtualNode", "front", "True Programmed: 2 of 2").await;
    // Whatever else is said of the node.
    mesh.miss("absent").await;
    drop(second);
    let gone = format!("; 1 Envoys of {} are connected", mesh.front());
    let look = || mesh.says("VirtualNode", "front");
    eventually("one is left", look, |told| told.ends_with(&gone)).await;
    let second = mesh.envoy();
    let back = format!("; 2 Envoys of {} are connected", mesh.front());
    let look = || mesh.says("VirtualNode", "front");
    eventually("both are there", look, |told| told.ends_with(&back)).await;

    mesh.0.stop().await;
    drop(second);
    mesh.0.run();
    let had = first.had();
    eventually("the first connects again", || async { had.borrow().connections }, |count| *count > 1).await;
    mesh.weigh("paint", [90, 10]).await;
    let told = mesh.until("VirtualRouter", "paint", "False Pending: 1 of 1 Envoys of ").await;
    assert!(told.ends_with("1 more were connected a moment ago, and may serve what was before"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_waits_for_those_whose_node_cannot_be_made_or_is_gone() {
    let mut mesh = Mesh::start().await;
    let envoy = mesh.envoy();
    mesh.until("VirtualRouter", "paint", "True Programmed").await;
    mesh.miss("absent").await;
    mesh.0.create(app_mesh("VirtualNode", "other", json!({"backends": [backend("brush")]}))).await;
    let other = Fleet::sidecars(mesh.0.namespace.clone(), "other");
    let others = SimulatedEnvoy::start(mesh.0.control_plane(), &other, Manner::Takes);
    mesh.until("VirtualRouter", "brush", "True Programmed").await;
    let policy = json!({"tls": {"validation": {"trust": {"acm": {"certificateAuthorityARNs": ["arn:x"]}}}}});
    mesh.0
        .patch("VirtualNode", "front", json!({"spec": {"backendDefaults": {"clientPolicy": policy}}}))
        .await;
    mesh.until("VirtualNode", "front", "False Invalid: acm names an authority").await;
    // Nobody knows any more what the Envoy serves by.
    mesh.fail_over(&envoy).await;
    mesh.weigh("paint", [90, 10]).await;
    let told = mesh.until("VirtualRouter", "paint", "False Pending: 0 of 1 Envoys of ").await;
    assert!(told.contains("can be given nothing new: acm names an authority"), "{told}");
    // What it does not call does not wait for it.
    let generation = mesh.weigh("brush", [90, 10]).await;
    let told = format!("True Programmed: 1 of 1 Envoys of {other} have generation {generation}");
    mesh.until("VirtualRouter", "brush", &told).await;
    drop(others);
    mesh.0.patch("VirtualNode", "front", json!({"spec": {"backendDefaults": null}})).await;
    mesh.until("VirtualRouter", "paint", "True Programmed: 1 of 1").await;

    mesh.0.objects("VirtualNode").delete("front", &DeleteParams::default()).await.unwrap();
    let nodes = mesh.0.objects("VirtualNode");
    let look = || async { nodes.get_opt("front").await.unwrap() };
    eventually("it is gone", look, Option::is_none).await;
    mesh.weigh("paint", [80, 20]).await;
    let told = mesh.until("VirtualRouter", "paint", "False Pending: 0 of 1 Envoys of ").await;
    assert!(told.contains("can be given nothing new: it was deleted"), "{told}");
    // Who does not come back holds up nobody for ever.
    drop(envoy);
    mesh.until("VirtualRouter", "paint", "False NoEnvoy: no Envoy of a gateway or of a node goes by it")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_served_is_told_on_the_node_and_the_rest_is_served() {
    let mesh = Mesh::start().await;
    let envoy = mesh.envoy();
    mesh.until("VirtualNode", "front", "True Programmed").await;
    mesh.miss("absent").await;
    has_routes(&envoy, "paint", true).await;
    // It is made: nobody has to touch the node.
    mesh.0.create(app_mesh("VirtualService", "absent", service("brush"))).await;
    mesh.until("VirtualNode", "front", "True Programmed: 1 of 1").await;
    has_routes(&envoy, "absent", true).await;
    let generation = mesh.weigh("brush", [0, 1]).await;
    let told = format!("True Programmed: 1 of 1 Envoys of {} have generation {generation}", mesh.front());
    mesh.until("VirtualRouter", "brush", &told).await;

    // Said by a control plane that is gone: nobody else takes it back.
    let refused = |condition: &str| json!({"status": {"conditions": [{"type": condition, "status": "False", "reason": "Refused"}]}});
    for (kind, name) in [("VirtualNode", "v1"), ("VirtualService", "paint"), ("VirtualService", "v2")] {
        let (api, patch) = (mesh.0.objects(kind), Patch::Merge(refused(&format!("{kind}Active"))));
        api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }
    mesh.until("VirtualNode", "v1", "True Programmed: 1 of 1").await;
    mesh.until("VirtualService", "paint", "True Programmed: 1 of 1").await;
    mesh.until("VirtualService", "v2", "False NoEnvoy: no Envoy of a gateway or of a node goes by it").await;

    // A node without a plan: what its Envoys had they go on by, and nobody else is held up.
    let policy = json!({"tls": {"validation": {"trust": {"acm": {"certificateAuthorityARNs": ["arn:x"]}}}}});
    let broken = |policy: Value| json!({"spec": {"backendDefaults": {"clientPolicy": policy}}});
    mesh.0.patch("VirtualNode", "front", broken(policy)).await;
    mesh.until("VirtualNode", "front", "False Invalid: acm names an authority").await;
    mesh.weigh("brush", [1, 0]).await;
    let told = mesh.until("VirtualRouter", "brush", "False Pending: 0 of 1 Envoys of ").await;
    assert!(told.contains("can be given nothing new: acm names an authority"), "{told}");
    mesh.0.patch("VirtualNode", "front", broken(json!(null))).await;
    mesh.until("VirtualRouter", "brush", "True Programmed: 1 of 1").await;

    // A node that is not there yet: its Envoy waits for it.
    let early = Fleet::sidecars(mesh.0.namespace.clone(), "early");
    let waits = SimulatedEnvoy::start(mesh.0.control_plane(), &early, Manner::Takes);
    let had = waits.had();
    eventually("it is connected", || async { had.borrow().connections }, |count| *count == 1).await;
    mesh.0.create(app_mesh("VirtualNode", "early", json!({"backends": [backend("paint")]}))).await;
    mesh.until("VirtualNode", "early", "True Programmed: 1 of 1").await;
    has_routes(&waits, "paint", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_envoy_refuses_keeps_what_it_had_and_the_others_go_on() {
    let mesh = Mesh::start().await;
    let both = json!({"spec": {"backends": [backend("paint"), backend("brush")]}});
    mesh.0.patch("VirtualNode", "front", both).await;
    let envoy = mesh.envoy();
    mesh.until("VirtualRouter", "paint", "True Programmed").await;
    envoy.behave(Manner::Refuses("/refused".to_owned()));
    let mut refused = router([0, 1]);
    refused["routes"][0]["httpRoute"]["match"]["prefix"] = json!("/refused");
    mesh.0.patch("VirtualRouter", "paint", json!({ "spec": refused })).await;
    let told = mesh.until("VirtualRouter", "paint", "False Refused: Envoy refuses generation 2").await;
    assert!(told.contains("and has what was before: "), "{told}");
    let generation = mesh.weigh("brush", [0, 1]).await;
    let told = format!("True Programmed: 1 of 1 Envoys of {} have generation {generation}", mesh.front());
    mesh.until("VirtualRouter", "brush", &told).await;
    mesh.weigh("paint", [0, 1]).await;
    mesh.until("VirtualRouter", "paint", "True Programmed").await;
}
