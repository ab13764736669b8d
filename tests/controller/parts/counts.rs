//! What the providers count is what came back.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tidegate::{
    api::{Preset, Series},
    clock::Clock,
    config::Config,
    engine::look::{ArmsRequest, Counters, LookRequest, ReadError, Snapshot},
    metrics::Providers,
    sandbox::load::Tally,
};

use super::{
    Parts, counted,
    envoy::{GATEWAY, MESH},
    prometheus::SCRAPE,
};
use crate::waiting::eventually;

/// How late a scrape may be.
const LATE: Duration = Duration::from_secs(10);

/// Requests, and how many of them failed: stable's, and the canary's.
type Counted = [(u64, u64); 2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_answers_counts_as_failed() {
    let Some(parts) = Parts::start([70, 30]).await else { return };
    parts.take_down("v2").await;
    let tally = parts.send_some(600).await;
    let want = [counted(&tally, "v1", false), counted(&tally, "v2", true)];
    assert!(want[1].0 > 0 && want[1].0 == want[1].1, "each request to the canary failed: {tally:?}");
    Counts::of(&parts).are(&tally, want).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_providers_count_what_came_back() {
    let Some(parts) = Parts::start([70, 30]).await else { return };
    parts.fail("v1", 0.05);
    parts.fail("v2", 0.2);
    let tally = parts.send_some(1200).await;
    let want = [counted(&tally, "v1", false), counted(&tally, "v2", false)];
    assert!(want[0].1 > 0 && want[1].1 > 0 && tally.of("") == 0, "only the versions fail: {tally:?}");
    Counts::of(&parts).are(&tally, want).await;
}

/// What users do not see for the retries, the judgement does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_again_counts_as_failed() {
    let Some(parts) = Parts::start([70, 30]).await else { return };
    parts.fail("v2", 0.5);
    let tally = parts.send_some_retried(1200).await;
    let (seen, failed) = counted(&tally, "v2", false);
    let counts = Counts::of(&parts);
    let [stable, (total, errors)] = counts.by("envoy", counts.over).await.unwrap();
    assert_eq!(stable, counted(&tally, "v1", false), "nothing of it was tried again");
    assert!(total > seen && total - seen == errors - failed, "{total}, {errors} for {seen}, {failed}");
    counts.are(&tally, [stable, (total, errors)]).await;

    parts.take_down("v2").await;
    let tally = parts.send_some_retried(600).await;
    let (more, _) = counted(&tally, "v2", true);
    let counts = Counts::of(&parts);
    let [_, (now, failed_now)] = counts.by("envoy", counts.over).await.unwrap();
    assert!(now - total > more, "what had no answer was tried again: {now} after {total}, for {more}");
    assert_eq!(failed_now - errors, now - total, "each try failed");
}

/// What the providers count once load is over.
struct Counts {
    providers: Providers,
    namespace: String,
    port: String,
    over: Timestamp,
}

impl Counts {
    fn of(parts: &Parts) -> Self {
        let providers = Config::parse(&parts.cluster.config_text(), "test").unwrap().providers;
        Self {
            providers: Providers::from_config(&providers).unwrap(),
            namespace: parts.cluster.namespace.clone(),
            port: parts.port().to_string(),
            over: Clock::start().now(),
        }
    }

    async fn by(&self, provider: &str, at: Timestamp) -> Result<Counted, ReadError> {
        let request = request(&self.namespace, provider, &self.port);
        let arms = self.providers.look(&request, at).await.arms.unwrap()?;
        Ok([sums(&arms.stable), sums(&arms.canary)])
    }

    /// Holds both providers to that.
    async fn are(&self, tally: &Tally, want: Counted) {
        assert_eq!(tally.failed, 0, "each request has its answer");
        assert_eq!(self.by("envoy", self.over).await, Ok(want), "Envoy's own counters, at once");
        // Prometheus is read as it was one scrape before, in whole seconds; what it showed first counts, and it must have
        // shown it one scrape (and what a busy machine may be late) after the last answer.
        let clock = Clock::start();
        let look = || async {
            let at = clock.now();
            (at, self.by("prometheus", at).await)
        };
        let (at, _) =
            eventually("Prometheus counts what came back", look, |(_, found)| *found == Ok(want)).await;
        let by = self.over + SCRAPE + SCRAPE + LATE + Duration::from_secs(1);
        assert!(at <= by, "it counted so at {at}, later than {by}");
    }
}

fn request(namespace: &str, provider: &str, port: &str) -> LookRequest {
    let params = [("mesh", MESH), ("gateway", GATEWAY), ("port", port)];
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
