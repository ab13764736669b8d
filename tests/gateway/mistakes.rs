//! Objects that cannot be served as they stand: each is told by name, and takes no good route away.

use serde_json::json;
use tidegate::sandbox::envoys::{Manner, SimulatedEnvoy};

use crate::{
    bed::{Bed, app_mesh, has_routes, route, target},
    waiting::eventually,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_told_on_its_object_and_the_good_route_is_served() {
    let bed = Bed::start().await;
    let envoy = bed.envoy(Manner::Takes);
    bed.create(route("twin", "/color", &[target("v1", 1)])).await;
    bed.create(route("nowhere", "/nowhere", &[target("absent", 1)])).await;
    bed.create(route("nothing", "/nothing", &[target("v1", 0)])).await;
    let mut pattern = route("pattern", "/", &[target("v1", 1)]);
    pattern["spec"]["routeSpec"]["httpRoute"]["match"] = json!({"path": {"regex": "/(?=a)b"}});
    bed.create(pattern).await;
    let mut stray = route("stray", "/stray", &[target("v1", 1)]);
    stray["spec"]["virtualGatewayRef"]["name"] = json!("absent");
    bed.create(stray).await;
    // A node without endpoints, by a Service that is not there.
    let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": "idle"}}}});
    bed.create(app_mesh("VirtualService", "idle", provider)).await;
    let listeners = json!([{"portMapping": {"port": 8080, "protocol": "http"}}]);
    bed.create(app_mesh("VirtualNode", "idle", json!({ "listeners": listeners }))).await;
    bed.create(route("idle", "/idle", &[target("idle", 1)])).await;

    let served =
        |reason: &str| format!("True {reason}: 1 of 1 Envoys of {} have generation 1", bed.gateway());
    bed.until("color", &served("Programmed")).await;
    let served = served("ProgrammedWithRemarks");
    for (name, begins, says) in [
        ("twin", served.as_str(), "color takes the same requests at the same priority, and is tried first"),
        ("nowhere", &served, "leads nowhere: no VirtualService of that name has a provider"),
        ("nothing", &served, "all its weights are 0: what it takes is answered 503"),
        ("pattern", "False Invalid: ", "match.path.regex is no regular expression"),
        ("stray", "False NoGateway: ", "no VirtualGateway that is served here takes it"),
        ("idle", &served, "idle of its target has no ready endpoint: what goes there is answered 503"),
    ] {
        let look = || bed.programmed("GatewayRoute", name);
        let is_told = |told: &String| told.starts_with(begins) && told.contains(says);
        eventually(&format!("{name} says: {says}"), look, is_told).await;
    }
    has_routes(&envoy, "/color", true).await;

    // Mended: the remark goes soon, not with the next change of the route.
    let provider = json!({"provider": {"virtualNode": {"virtualNodeRef": {"name": "v1"}}}});
    bed.create(app_mesh("VirtualService", "absent", provider)).await;
    bed.until("nowhere", "True Programmed: ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_cannot_be_read_leaves_its_envoys_as_they_are() {
    let bed = Bed::start().await;
    let envoy = bed.envoy(Manner::Takes);
    bed.until("color", "True Programmed").await;
    let tls = json!({"mode": "STRICT", "certificate": {"acm": {"certificateARN": "arn:aws:acm:eu-central-1:1:certificate/1"}}});
    let listeners = json!([
        {"portMapping": {"port": 8088, "protocol": "http"}},
        {"portMapping": {"port": 8443, "protocol": "http"}, "tls": tls},
    ]);
    bed.patch("VirtualGateway", "gw", json!({"spec": {"listeners": listeners}})).await;
    let look = || bed.programmed("VirtualGateway", "gw");
    eventually("the listener is told", look, |told| {
        told.starts_with("False Invalid: listener 8443: acm names a certificate that only AWS has")
    })
    .await;
    has_routes(&envoy, "/color", true).await;
    let generation = bed.weigh("color", 1, 99).await;
    bed.until(
        "color",
        &format!("True Programmed: 1 of 1 Envoys of {} have generation {generation}", bed.gateway()),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_a_plan_has_nothing_new_in_effect() {
    let bed = Bed::start().await;
    let envoy = bed.envoy(Manner::Takes);
    bed.until("color", "True Programmed").await;
    let broken = json!({"spec": {"gatewayRouteSelector": {"matchExpressions": [{"key": "a", "operator": "Sometimes"}]}}});
    bed.patch("VirtualGateway", "gw", broken).await;
    let look = || bed.programmed("VirtualGateway", "gw");
    eventually("it is told", look, |told| told.starts_with("False Invalid: spec.gatewayRouteSelector")).await;
    bed.weigh("color", 1, 99).await;
    let told = bed.until("color", "False Pending: 0 of 1 Envoys of ").await;
    assert!(told.contains("can be given nothing new: spec.gatewayRouteSelector"), "{told}");
    bed.patch("VirtualGateway", "gw", json!({"spec": {"gatewayRouteSelector": null}})).await;
    bed.until("color", "True Programmed: 1 of 1 Envoys of ").await;
    drop(envoy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_id_that_names_no_gateway_is_sent_away_and_costs_nobody_else() {
    let bed = Bed::start().await;
    let strangers = ["", "mesh/mesh/virtualRouter/a_b", "router~10.0.0.1"];
    let strangers =
        strangers.map(|node| SimulatedEnvoy::start_as(bed.control_plane(), node.to_owned(), Manner::Takes));
    let envoy = bed.envoy(Manner::Takes);
    bed.until("color", &format!("True Programmed: 1 of 1 Envoys of {}", bed.gateway())).await;
    assert!(strangers.iter().all(|stranger| stranger.had().borrow().responses.is_empty()));
    drop(envoy);
}
