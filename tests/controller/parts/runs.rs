//! Whole runs: what Envoy does with the traffic decides, and follows.

use tidegate::api::Phase;

use super::{Parts, control::until_taken, counted, none_is_lost};
use crate::{
    history::{History, shares},
    told::message,
    waiting::eventually,
};

pub const STEPS: &str = "{hold: 2s, maxHold: 1m, steps: [{weight: 30}, {weight: 60}]}";

/// A bad canary is put back: all traffic goes to stable, and the sentence has counts that were.
async fn is_rolled_back(parts: &mut Parts, provider: &str, refuses: bool) {
    parts.cluster.run_controller();
    let sending = parts.send();
    parts.cluster.roll(&parts.rollout(provider, STEPS)).await;
    let rollout = parts.cluster.phase(Phase::Failed).await;
    until_taken(&parts.cluster, "v2", 0).await;
    let tally = sending.stop().await;
    let told = message(&rollout);
    let (failed, of) = counts(&told).unwrap_or_else(|| panic!("no counts: {told}"));
    let (requests, failures) = counted(&tally, "v2", refuses);
    assert!(told.starts_with("Rolled back at 30%") && failed > 0 && failed <= of, "{told}");
    assert!(failed <= failures && of <= requests, "{told}, and in truth {failures} of {requests}");
    parts.all_go_to("v1").await;
}

/// What a sentence says of the canary: so many failed of so many.
fn counts(sentence: &str) -> Option<(u64, u64)> {
    let (_, counts) = sentence.split_once("canary failed ")?;
    let mut words = counts.split_whitespace();
    let number = |word: Option<&str>| word?.replace(',', "").parse().ok();
    let failed = number(words.next())?;
    (words.next() == Some("of")).then_some(())?;
    Some((failed, number(words.next())?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_is_rolled_back() {
    let Some(mut parts) = Parts::start([100, 0]).await else { return };
    parts.fail("v1", 0.01);
    parts.fail("v2", 0.2);
    is_rolled_back(&mut parts, "prometheus", false).await;
}

/// Copies of users' requests are enough to find it, and none of them is answered by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_canary_is_found_by_copies_before_it_answers_anybody() {
    let Some(mut parts) = Parts::start([100, 0]).await else { return };
    parts.fail("v2", 0.2);
    parts.cluster.run_controller();
    let sending = parts.send();
    let steps = "{hold: 2s, maxHold: 1m, steps: [{mirror: 30}, {weight: 60}]}";
    parts.cluster.roll(&parts.rollout("envoy", steps)).await;
    let rollout = parts.cluster.phase(Phase::Failed).await;
    until_taken(&parts.cluster, "v2", 0).await;
    let tally = sending.stop().await;
    let told = message(&rollout);
    let (failed, of) = counts(&told).unwrap_or_else(|| panic!("no counts: {told}"));
    assert!(told.starts_with("Rolled back at a mirror of 30%") && failed > 0 && failed <= of, "{told}");
    assert!(of <= tally.total(), "{told}, of {} requests", tally.total());
    none_is_lost(&tally);
    assert_eq!(tally.of("v2"), 0, "of {}", tally.total());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_refuses_connections_is_rolled_back() {
    let Some(mut parts) = Parts::start([100, 0]).await else { return };
    parts.take_down("v2").await;
    is_rolled_back(&mut parts, "envoy", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_canary_is_promoted_and_has_all_traffic() {
    let Some(mut parts) = Parts::start([100, 0]).await else { return };
    parts.fail("v1", 0.01);
    let history = History::follow(&parts.cluster).await;
    parts.cluster.run_controller();
    let sending = parts.send();
    parts.cluster.roll(&parts.rollout("prometheus", STEPS)).await;
    parts.cluster.phase(Phase::Healthy).await;
    until_taken(&parts.cluster, "v2", 100).await;
    sending.stop().await;
    assert_eq!(shares(&history.seen(&parts.cluster), "v2"), [0, 30, 60, 100]);
    parts.all_go_to("v2").await;
}

/// What a weight means at the client, and that a change of it costs nobody a request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_has_its_share_and_no_request_is_lost() {
    let Some(mut parts) = Parts::start([100, 0]).await else { return };
    parts.cluster.run_controller();
    let sending = parts.send();
    // So long that two points are five standard deviations of the requests in between.
    let steps = "{hold: 16s, maxHold: 2m, steps: [{weight: 5}, {weight: 25}]}";
    parts.cluster.roll(&parts.rollout("envoy", steps)).await;
    for (weight, enough) in [(5, 3_000), (25, 12_000)] {
        until_taken(&parts.cluster, "v2", weight).await;
        let before = sending.load.tally();
        let more = || async { sending.load.tally().total() - before.total() };
        eventually("so many requests", more, |more| *more >= enough).await;
        let now = sending.load.tally();
        assert_eq!(parts.cluster.share("v2").await, weight, "the step is the same");
        let (canary, all) = (now.of("v2") - before.of("v2"), now.total() - before.total());
        let off = (canary * 100).abs_diff(all * u64::try_from(weight).unwrap());
        assert!(off <= 2 * all, "{canary} of {all} at {weight} %");
    }
    parts.cluster.phase(Phase::Healthy).await;
    until_taken(&parts.cluster, "v2", 100).await;
    let tally = sending.stop().await;
    none_is_lost(&tally);
    assert!(tally.of("v2") > 0 && tally.total() > 30_000, "{tally:?}");
}
