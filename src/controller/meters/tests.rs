//! What a scrape says, held against what is defined.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::{Request, Response};
use kube::{
    Client,
    client::Body,
    runtime::{reflector, watcher::Event},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    definitions::{Definition, Kind, Values, all},
    *,
};
use crate::{
    api::{GateAnswer, PauseReason, Phase},
    clock::Clock,
    config::Config,
    controller::{
        context::{Context, Guarded, Parts},
        leading::Leadership,
        notes::Notes,
        outbox::Outbox,
        precedence::Precedence,
    },
    engine::observed::Allowed,
    gates::Gates,
    metrics::Providers,
    notify::{Notifier, Receivers},
};

/// What a controller says that has seen these Rollouts, with a client that is counted and an API server that knows nothing.
struct World {
    context: Arc<Context>,
    meters: Arc<Meters>,
}

impl World {
    fn new(leadership: Leadership, rollouts: impl IntoIterator<Item = Value>) -> Self {
        let meters = Arc::new(Meters::new());
        let service = tower::service_fn(async |_: Request<Body>| {
            Ok::<_, kube::Error>(Response::builder().status(404).body(Body::from(b"{}".to_vec())).unwrap())
        });
        let client = counted(&Client::new(service, "ns"), &meters, Clock::start());
        let precedence = Arc::new(Precedence::new());
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&Event::Init);
        for rollout in rollouts {
            writer
                .apply_watcher_event(&Event::InitApply(serde_json::from_value::<Guarded>(rollout).unwrap()));
        }
        writer.apply_watcher_event(&Event::InitDone);
        let stop = CancellationToken::new();
        let notifier = Notifier::new(&client, Clock::start(), None);
        let parts = Parts {
            notes: Notes::start(notifier, Arc::clone(&meters), Arc::clone(&precedence), stop),
            client,
            gates: Gates::default(),
            outbox: Arc::new(Outbox::new(Receivers::default())),
            providers: Providers::from_config(&Config::default().providers).unwrap(),
            meters: Arc::clone(&meters),
            precedence,
            leadership: Arc::new(leadership),
            clock: Clock::start(),
            rollouts: store,
            allowed: Allowed::default(),
        };
        Self { context: Context::new(parts).0, meters }
    }

    fn text(&self, per_rollout: bool) -> String {
        Scrape::new(Arc::clone(&self.meters), vec![Arc::clone(&self.context)], per_rollout).text().unwrap()
    }
}

fn rollout(name: &str, status: &Value) -> Value {
    let metadata = json!({"namespace": "shop", "name": name, "uid": name, "resourceVersion": "1"});
    json!({ "metadata": metadata, "status": status })
}

fn at_rest() -> Value {
    let ended = json!({"reason": "Promoted", "message": "", "at": "2026-01-01T01:00:00Z", "settled": true});
    json!({"phase": "Healthy", "run": {"startedAt": "2026-01-01T00:00:00Z", "ended": ended}})
}

fn waiting() -> Value {
    json!({
        "phase": "Paused",
        "run": {"startedAt": "2026-01-01T00:00:00Z", "pause": {"reason": "Approval"}},
        "step": {"index": 2, "of": 4, "label": "2/4", "weight": 20, "elapsed": "90s", "since": "2026-01-01T00:10:00.5Z"},
        "canary": {"name": "v2"},
        "weights": [{"route": "r", "entries": [{"name": "v1", "weight": 81}, {"name": "v2", "weight": 19}]}],
        "analysis": [{"name": "latency<300ms", "verdict": "Safe"}],
    })
}

fn stalled() -> Value {
    json!({"phase": "Invalid", "conditions": [{"type": "Stalled", "status": "True"}]})
}

fn some() -> [Value; 4] {
    [
        rollout("color", &waiting()),
        rollout("idle", &at_rest()),
        rollout("odd", &stalled()),
        rollout("new", &json!({})),
    ]
}

/// All that can be counted, counted once.
async fn count_everything(world: &World) {
    let World { context, meters } = world;
    meters.turn(Duration::from_millis(1));
    meters.error("StoreStatus");
    meters.write("lower", true);
    meters.note_dropped();
    meters.shards(0);
    meters.read(None, Some(&ReadError::Malformed), Duration::from_secs(1));
    meters.gate(None, GateAnswer::Down);
    meters.notice("team", false);
    context.quarantine("odd");
    let run = json!({
        "number": 1, "startedAt": "2026-01-01T00:00:00Z", "plan": [], "progressDeadline": "1h", "onDeadline": "Pause",
        "withoutProgress": "0s", "ended": {"reason": "Failed", "message": "", "at": "2026-01-01T00:10:00Z"},
    });
    let after = serde_json::from_value(json!({ "run": run })).unwrap();
    meters.stored(&RolloutStatus::default(), &after, context.clock.now());
    let _ = context
        .client
        .request_text(Request::get("/api/v1/secrets/of-somebody").body(Vec::new()).unwrap())
        .await;
}

#[tokio::test]
async fn the_text_holds_what_was_counted_and_how_things_stand() {
    let world = World::new(Leadership::undisputed(), some());
    count_everything(&world).await;
    let text = world.text(true);
    for line in [
        "tidegate_reconciles_total 1\n",
        "tidegate_reconcile_seconds_count 1\n",
        "tidegate_errors_total{error=\"StoreStatus\"} 1\n",
        "tidegate_errors_total{error=\"Late\"} 0\n",
        "tidegate_api_writes_total{purpose=\"lower\",outcome=\"stored\"} 1\n",
        "tidegate_api_requests_total{verb=\"get\",resource=\"other\",code=\"404\"} 1\n",
        "tidegate_api_request_seconds_count{verb=\"get\"} 1\n",
        "tidegate_provider_reads_total{provider=\"unknown\",outcome=\"Malformed\"} 1\n",
        "tidegate_events_dropped_total 1\n",
        "tidegate_runs_started_total 1\n",
        "tidegate_runs_total{outcome=\"Failed\"} 1\n",
        "tidegate_runs_total{outcome=\"Promoted\"} 0\n",
        "tidegate_run_seconds_sum{outcome=\"Failed\"} 600.0\n",
        "tidegate_leader 1\n",
        "tidegate_ready 0\n",
        "tidegate_shards 0\n",
        "tidegate_quarantined_rollouts 1\n",
        "tidegate_rollouts{phase=\"Healthy\"} 1\n",
        "tidegate_rollouts{phase=\"Unknown\"} 1\n",
        "tidegate_rollouts{phase=\"Failed\"} 0\n",
        "tidegate_paused_rollouts{reason=\"Approval\"} 1\n",
        "tidegate_stalled_rollouts 1\n",
        "tidegate_rollout_phase{namespace=\"shop\",rollout=\"idle\",phase=\"Healthy\"} 1\n",
        "tidegate_rollout_paused{namespace=\"shop\",rollout=\"color\",reason=\"Approval\"} 1\n",
        "tidegate_rollout_weight_percent{namespace=\"shop\",rollout=\"color\"} 20.0\n",
        "tidegate_rollout_seen_weight_percent{namespace=\"shop\",rollout=\"color\"} 19.0\n",
        "tidegate_rollout_step{namespace=\"shop\",rollout=\"color\"} 2.0\n",
        "tidegate_rollout_steps{namespace=\"shop\",rollout=\"color\"} 4.0\n",
        "tidegate_rollout_step_held_seconds{namespace=\"shop\",rollout=\"color\"} 90.0\n",
        "tidegate_rollout_step_started_timestamp_seconds{namespace=\"shop\",rollout=\"color\"} 1767226200.5\n",
        "tidegate_rollout_run_started_timestamp_seconds{namespace=\"shop\",rollout=\"color\"} 1767225600.0\n",
        "tidegate_rollout_verdict{namespace=\"shop\",rollout=\"color\",metric=\"latency<300ms\",verdict=\"Safe\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let at_rest: Vec<&str> = text.lines().filter(|line| line.contains("rollout=\"idle\"")).collect();
    assert_eq!(at_rest.len(), 1, "one that is at rest costs a line: {at_rest:?}");
}

/// What the text says there is: the name and the kind of each metric, and its labels with their values.
fn told(text: &str) -> BTreeMap<(String, String), BTreeMap<String, BTreeSet<String>>> {
    let mut told: BTreeMap<_, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut present = None;
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            let ending = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            present = Some((format!("{name}{ending}"), kind.to_owned()));
            told.entry(present.clone().unwrap()).or_default();
        } else if !line.starts_with('#')
            && let Some((_, labels)) = line.split_once('{')
        {
            let (labels, _) = labels.rsplit_once('}').unwrap();
            for label in labels.split("\",").filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once("=\"").unwrap();
                let values = told.get_mut(present.as_ref().unwrap()).unwrap().entry(name.to_owned());
                values.or_default().insert(value.trim_end_matches('"').to_owned());
            }
        }
    }
    told
}

#[tokio::test]
async fn exactly_what_is_defined_is_told() {
    let world = World::new(Leadership::undisputed(), some());
    count_everything(&world).await;
    let told = told(&world.text(true));
    let names =
        |told: Vec<(&str, &str)>| told.into_iter().map(|(a, b)| format!("{a} {b}")).collect::<BTreeSet<_>>();
    let defined = names(all().map(|of| (of.name, of.kind.word())).collect());
    assert_eq!(names(told.keys().map(|(a, b)| (a.as_str(), b.as_str())).collect()), defined);
    for ((name, _), found) in &told {
        let Definition { labels, kind, .. } = all().find(|of| of.name == name).unwrap();
        let own = labels.iter().map(|label| label.name).collect::<BTreeSet<_>>();
        let found_names =
            found.keys().map(String::as_str).filter(|label| *kind != Kind::Histogram || *label != "le");
        let found_names = found_names.collect::<BTreeSet<_>>();
        assert!(found_names.is_empty() || found_names == own, "{name}: {found_names:?}");
        for label in *labels {
            if let (Values::Of(list), Some(found)) = (label.values, found.get(label.name)) {
                let unlisted = found.iter().find(|value| !list.contains(&value.as_str()));
                assert_eq!(unlisted, None, "{name}: {}", label.name);
            }
        }
    }
}

#[tokio::test]
async fn series_of_each_rollout_can_be_switched_off_and_are_told_by_who_acts_alone() {
    let leads = World::new(Leadership::undisputed(), some());
    assert!(leads.text(true).contains("rollout=\""));
    let without = leads.text(false);
    assert!(!without.contains("rollout=\"") && !without.contains("namespace=\""), "{without}");
    assert!(without.contains("tidegate_rollouts{phase=\"Paused\"} 1\n"), "{without}");

    let waits = World::new(Leadership::sought(), some()).text(true);
    assert!(!waits.contains("rollout=\""), "{waits}");
    for line in
        ["tidegate_leader 0\n", "tidegate_rollouts{phase=\"Paused\"} 0\n", "tidegate_stalled_rollouts 0\n"]
    {
        assert!(waits.contains(line), "{line} in:\n{waits}");
    }
}

#[test]
fn every_word_of_our_enums_is_in_its_list() {
    for phase in [
        Phase::Healthy,
        Phase::Progressing,
        Phase::Paused,
        Phase::RollingBack,
        Phase::Failed,
        Phase::Invalid,
        Phase::Suspended,
    ] {
        assert!(labels::PHASES.contains(&phase.word()));
    }
    for reason in [PauseReason::Requested, PauseReason::MetricError] {
        assert!(labels::PAUSES.contains(&reason.word()));
    }
    let listed = |error| assert!(labels::READS.contains(&labels::read(error)), "{error:?}");
    listed(None);
    listed(Some(&ReadError::Redirect));
    listed(Some(&ReadError::NotFinite { query: String::new() }));
}

/// Says what a scrape of ten thousand Rollouts takes, a hundredth of them in a run.
#[tokio::test]
async fn a_scrape_of_ten_thousand_is_measured() {
    let rollouts = (0..10_000).map(|number| {
        let status = if number % 100 == 0 { waiting() } else { at_rest() };
        rollout(&format!("checkout-{number}"), &status)
    });
    let world = World::new(Leadership::undisputed(), rollouts);
    let clock = Clock::start();
    for per_rollout in [true, false] {
        let began = clock.elapsed();
        let text = world.text(per_rollout);
        let took = clock.elapsed().saturating_sub(began);
        eprintln!(
            "a scrape of 10,000 Rollouts, series of each: {per_rollout}: {} lines, {} KiB, {} ms",
            text.lines().count(),
            text.len() >> 10,
            took.as_millis()
        );
    }
}
