//! Envoys that refuse what they are sent.

use serde_json::json;
use tidegate::sandbox::envoys::Manner;

use crate::{
    bed::{Bed, has_routes, route, target},
    waiting::eventually,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_envoy_refuses_keeps_what_it_had_and_the_others_go_on() {
    let bed = Bed::start().await;
    bed.create(route("good", "/good", &[target("v1", 1)])).await;
    let envoys = [bed.envoy(Manner::Refuses("/bad".into())), bed.envoy(Manner::Refuses("/bad".into()))];
    bed.until("color", "True Programmed: 2 of 2").await;
    bed.until("good", "True Programmed: 2 of 2").await;
    // A change, and a new one.
    let prefix = json!({"spec": {"routeSpec": {"httpRoute": {"match": {"prefix": "/bad"}}}}});
    bed.patch("GatewayRoute", "color", prefix).await;
    let told = bed.until("color", "False Refused: Envoy refuses generation 2").await;
    assert!(told.ends_with("and has what was before: a simulated Envoy refuses it"), "{told}");
    // A second try that is no better.
    let prefix = json!({"spec": {"routeSpec": {"httpRoute": {"match": {"prefix": "/bad/again"}}}}});
    bed.patch("GatewayRoute", "color", prefix).await;
    bed.until("color", "False Refused: Envoy refuses generation 3").await;
    bed.create(route("new", "/bad/new", &[target("v1", 1)])).await;
    bed.until("new", "False Refused").await;
    // Weights of others move on.
    let generation = bed.weigh("good", 40, 60).await;
    bed.until(
        "good",
        &format!("True Programmed: 2 of 2 Envoys of {} have generation {generation}", bed.gateway()),
    )
    .await;
    for envoy in &envoys {
        has_routes(envoy, "/color", true).await;
        has_routes(envoy, "/bad", false).await;
    }
    // Whoever mends it is served.
    let prefix = json!({"spec": {"routeSpec": {"httpRoute": {"match": {"prefix": "/mended"}}}}});
    bed.patch("GatewayRoute", "color", prefix).await;
    bed.until("color", "True Programmed: 2 of 2").await;
    has_routes(&envoys[0], "/mended", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_routes_that_change_together_the_one_to_blame_is_found() {
    let mut bed = Bed::start().await;
    let envoy = bed.envoy(Manner::Refuses("/bad".into()));
    bed.until("color", "True Programmed").await;
    // While nobody watches, so that all come at once, to an Envoy that has been served.
    for (name, prefix) in [("a", "/a"), ("b", "/bad"), ("c", "/c")] {
        bed.create(route(name, prefix, &[target("v1", 1)])).await;
    }
    bed.until("a", "True Programmed").await;
    bed.until("c", "True Programmed").await;
    bed.until("b", "False Refused").await;
    bed.until("color", "True Programmed").await;
    drop(envoy);
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_that_refuses_everything_harms_nobody_else() {
    let bed = Bed::start().await;
    let (good, liar) = (bed.envoy(Manner::Takes), bed.envoy(Manner::Takes));
    bed.until("color", "True Programmed: 2 of 2").await;
    liar.behave(Manner::Lies);
    bed.weigh("color", 50, 50).await;
    let generation = bed.weigh("color", 10, 90).await;
    let told = bed.until("color", "False Refused: 1 of 2 Envoys of ").await;
    assert!(told.contains("127.0.0.1 refuses what it is sent: a simulated Envoy refuses it"), "{told}");
    // Weights that the other one takes reach it, all the same.
    let version = good.had().borrow().versions.clone();
    let generation = bed.weigh("color", 20, 80).await.max(generation);
    let moved = || async { good.had().borrow().versions.clone() };
    eventually("the other one has the next", moved, |now| *now != version).await;
    drop(liar);
    bed.until(
        "color",
        &format!("True Programmed: 1 of 1 Envoys of {} have generation {generation}", bed.gateway()),
    )
    .await;
    drop(good);
}
