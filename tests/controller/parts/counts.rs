//! What the providers count is what came back.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tidegate::{
    api::{Preset, Series},
    clock::Clock,
    config::Config,
    engine::look::{ArmsRequest, Counters, LookRequest, Snapshot},
    metrics::Providers,
    sandbox::load::Tally,
};

use super::{
    Parts, counted,
    envoy::{GATEWAY, MESH, PORT},
    prometheus::SCRAPE,
};
use crate::waiting::eventually;

/// How late a scrape may be.
const LATE: Duration = Duration::from_secs(2);

/// Requests, and how many of them failed: stable's, and the canary's.
type Counted = [(u64, u64); 2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_answers_counts_as_failed() {
    let Some(parts) = Parts::start([70, 30]).await else { return };
    parts.take_down("v2").await;
    let tally = parts.send_some(600).await;
    let want = [counted(&tally, "v1", false), counted(&tally, "v2", true)];
    assert!(want[1].0 > 0 && want[1].0 == want[1].1, "each request to the canary failed: {tally:?}");
    both_providers_count(&parts, &tally, want).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_providers_count_what_came_back() {
    let Some(parts) = Parts::start([70, 30]).await else { return };
    parts.fail("v1", 0.05);
    parts.fail("v2", 0.2);
    let tally = parts.send_some(1200).await;
    let want = [counted(&tally, "v1", false), counted(&tally, "v2", false)];
    assert!(want[0].1 > 0 && want[1].1 > 0 && tally.of("") == 0, "only the versions fail: {tally:?}");
    both_providers_count(&parts, &tally, want).await;
}

/// Holds both providers to what came back of load that is over.
async fn both_providers_count(parts: &Parts, tally: &Tally, want: Counted) {
    assert_eq!(tally.failed, 0, "each request has its answer");
    let over = Clock::start().now();
    let providers = Config::parse(&parts.cluster.config_text(), "test").unwrap().providers;
    let providers = Providers::from_config(&providers).unwrap();
    let count = |provider: &'static str, at: Timestamp| {
        let request = request(&parts.cluster.namespace, provider);
        let providers = &providers;
        async move {
            let arms = providers.look(&request, at).await.arms.unwrap()?;
            Ok::<_, tidegate::engine::look::ReadError>([sums(&arms.stable), sums(&arms.canary)])
        }
    };
    assert_eq!(count("envoy", over).await, Ok(want), "Envoy's own counters, at once");
    // Prometheus is read as it was one scrape before, in whole seconds; what it showed first counts, and it must have shown
    // it one scrape (and what a busy machine may be late) after the last answer.
    let clock = Clock::start();
    let look = || async {
        let at = clock.now();
        (at, count("prometheus", at).await)
    };
    let (at, _) = eventually("Prometheus counts what came back", look, |(_, found)| *found == Ok(want)).await;
    let by = over + SCRAPE + SCRAPE + LATE + Duration::from_secs(1);
    assert!(at <= by, "it counted so at {at}, later than {by}");
}

fn request(namespace: &str, provider: &str) -> LookRequest {
    let params = [("mesh", MESH), ("gateway", GATEWAY), ("port", &PORT.to_string())];
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let series =
        Series { preset: Some(Preset::AppmeshEnvoy), params: BTreeMap::from(params), ..Series::default() };
    LookRequest {
        namespace: namespace.to_owned(),
        rollout: "color".to_owned(),
        canary: "v2".to_owned(),
        stable: "v1".to_owned(),
        arms: Some(ArmsRequest {
            provider: Some(provider.to_owned()),
            series,
            latency: Vec::new(),
            past: None,
        }),
        args: BTreeMap::new(),
        numbers: Vec::new(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a short test")]
fn sums(counters: &Counters) -> (u64, u64) {
    let sum = |snapshot: &Snapshot| snapshot.values().sum::<f64>() as u64;
    (sum(&counters.total), sum(&counters.errors))
}
