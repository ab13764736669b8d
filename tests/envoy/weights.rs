//! Weights are traffic.

use serde_json::{Value, json};

use crate::gateway::{Bed, object};

fn split(weights: &[(&str, u32)]) -> Value {
    let target =
        |(name, weight): &(&str, u32)| json!({"virtualServiceRef": {"name": name}, "weight": weight});
    let targets: Vec<Value> = weights.iter().map(target).collect();
    let block = json!({"match": {"prefix": "/color"}, "action": {"weightedTargets": targets}});
    object("color", json!({"routeSpec": {"httpRoute": block}}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_by_the_weights_from_the_acknowledgement_on() {
    let Some(mut bed) = Bed::start(&["v1", "v2"], vec![split(&[("v1", 100), ("v2", 0)])]).await else {
        return;
    };
    assert_eq!(bed.tally("/color", 200).await, [("v1".to_owned(), 200)].into());
    for (first, second) in [(0, 100), (100, 0), (0, 1)] {
        bed.route(vec![split(&[("v1", first), ("v2", second)])]);
        bed.settled().await;
        let live = if second > 0 { "v2" } else { "v1" };
        assert_eq!(bed.tally("/color", 50).await, [(live.to_owned(), 50)].into());
    }
    bed.route(vec![split(&[("v1", 80), ("v2", 20)])]);
    bed.settled().await;
    // Two points of the weight are five standard deviations of so many.
    let tally = bed.tally("/color", 10_000).await;
    let canary = tally["v2"];
    assert!((1800..=2200).contains(&canary), "{tally:?}");
    assert_eq!(bed.get("/other").await, "404");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_is_gone_costs_no_request_and_one_that_is_back_changes_nothing() {
    let Some(mut bed) = Bed::start(&["v1", "v2"], vec![split(&[("v1", 0), ("v2", 1)])]).await else { return };
    bed.served.stop().await;
    assert_eq!(bed.tally("/color", 100).await, [("v2".to_owned(), 100)].into());
    bed.served.serve();
    bed.publish();
    bed.settled().await;
    assert_eq!(bed.tally("/color", 100).await, [("v2".to_owned(), 100)].into());
    bed.route(vec![split(&[("v1", 1), ("v2", 0)])]);
    bed.settled().await;
    assert_eq!(bed.get("/color").await, "v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_new_has_its_endpoints_before_its_traffic() {
    let Some(mut bed) = Bed::start(&["v1"], vec![split(&[("v1", 1)])]).await else { return };
    for target in ["v2", "v3", "v1", "v4", "v2"] {
        if ["v2", "v3", "v4"].contains(&target) {
            bed.add(target).await;
        }
        bed.route(vec![split(&[(target, 1)])]);
        // Not even while it changes is a request lost.
        let tally = bed.tally("/color", 100).await;
        assert!(tally.keys().all(|answered| answered.starts_with('v')), "{tally:?}");
        bed.settled().await;
        assert_eq!(bed.get("/color").await, target);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_without_weights_or_endpoints_is_answered_503_and_costs_nobody_else() {
    let mut nowhere = split(&[("absent", 1)]);
    nowhere["metadata"]["name"] = json!("nowhere");
    nowhere["spec"]["routeSpec"]["httpRoute"]["match"]["prefix"] = json!("/nowhere");
    let mut nothing = split(&[("v1", 0)]);
    nothing["metadata"]["name"] = json!("nothing");
    nothing["spec"]["routeSpec"]["httpRoute"]["match"]["prefix"] = json!("/nothing");
    let Some(bed) = Bed::start(&["v1"], vec![split(&[("v1", 1)]), nowhere, nothing]).await else { return };
    assert_eq!(bed.get("/nowhere").await, "503");
    assert_eq!(bed.get("/nothing").await, "503");
    assert_eq!(bed.get("/color").await, "v1");
}
