//! How Rollouts stand, read anew for each scrape from what the watch has shown. Only those are told that this controller acts
//! on: others tell theirs, and nobody contradicts anybody.

use std::{collections::HashMap, fmt, sync::Arc};

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use serde::Deserialize;

use super::{
    definitions as known,
    labels::{PAUSES, PHASES, UNKNOWN},
    registered::gauge,
};
use crate::{
    analysis::Verdict,
    api::{EndReason, PauseReason, RouteWeights, Step, Target},
    controller::context::{Context, Guarded},
};

/// How the Rollouts of all scopes stand.
pub struct Standings {
    /// The scopes.
    pub contexts: Vec<Arc<Context>>,
    /// Each Rollout has series of its own.
    pub per_rollout: bool,
}

/// What is counted of all Rollouts, by which word.
type Counts = HashMap<&'static str, i64>;

impl Collector for Standings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let leads = self.contexts.iter().any(|context| context.leadership.leads());
        let ready = self.contexts.iter().all(|context| context.lacks().is_empty());
        let ours = || self.contexts.iter().flat_map(|context| ours(context));
        let (mut phases, mut pauses, mut stalled) = (Counts::new(), Counts::new(), 0);
        let mut each = Vec::new();
        for rollout in ours() {
            let standing = rollout.standing();
            *phases.entry(standing.phase.map_or(UNKNOWN, crate::api::Phase::word)).or_default() += 1;
            if let Some(reason) = standing.pause {
                *pauses.entry(reason.word()).or_default() += 1;
            }
            stalled += i64::from(standing.stalled);
            if self.per_rollout {
                each.push(rollout);
            }
        }
        let set_aside: usize = self.contexts.iter().map(|context| context.set_aside()).sum();
        let to = &mut encoder;
        gauge(to, &known::LEADER, [([], i64::from(leads))])?;
        gauge(to, &known::READY, [([], i64::from(ready))])?;
        gauge(to, &known::ROLLOUTS, counted(PHASES, &phases))?;
        gauge(to, &known::PAUSED, counted(PAUSES, &pauses))?;
        gauge(to, &known::STALLED, [([], stalled)])?;
        gauge(to, &known::QUARANTINED, [([], i64::try_from(set_aside).unwrap_or(i64::MAX))])?;
        each_of_them(to, &each)
    }
}

impl fmt::Debug for Standings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standings").field("per_rollout", &self.per_rollout).finish_non_exhaustive()
    }
}

/// The Rollouts of a scope that this controller acts on.
fn ours(context: &Context) -> impl Iterator<Item = Arc<Guarded>> {
    let known = context.rollouts.state().into_iter();
    known.filter(|rollout| context.leadership.leads_for(rollout.meta().uid.as_deref().unwrap_or_default()))
}

/// All the words with their counts, 0 where there are none.
fn counted<'a>(
    words: &'static [&'static str],
    counts: &'a Counts,
) -> impl Iterator<Item = ([&'static str; 1], i64)> + 'a {
    words.iter().map(|word| ([*word], counts.get(word).copied().unwrap_or_default()))
}

/// Where a Rollout is.
type Name = [String; 2];

/// The series of each Rollout: one at rest, those of its run besides.
fn each_of_them(to: &mut DescriptorEncoder<'_>, each: &[Arc<Guarded>]) -> fmt::Result {
    let named: Vec<(Name, &Guarded)> = each.iter().map(|rollout| (name(rollout), &**rollout)).collect();
    let phases = named.iter().map(|([namespace, name], rollout)| {
        let phase = rollout.standing().phase.map_or(UNKNOWN, crate::api::Phase::word);
        ([namespace.as_str(), name, phase], 1)
    });
    gauge(to, &known::ROLLOUT_PHASE, phases)?;
    let paused = named.iter().filter_map(|([namespace, name], rollout)| {
        let reason = rollout.standing().pause?;
        Some(([namespace.as_str(), name, reason.word()], 1))
    });
    gauge(to, &known::ROLLOUT_PAUSED, paused)?;
    // The many at rest are never read.
    let under_way = named.into_iter().filter(|(_, rollout)| rollout.is_under_way());
    let running: Vec<(Name, Running)> =
        under_way.filter_map(|(name, rollout)| Some((name, Running::of(rollout)?))).collect();
    let mut of = |definition, value: &dyn Fn(&Running) -> Option<f64>| {
        let values = running.iter().filter_map(|([namespace, name], running)| {
            Some(([namespace.as_str(), name.as_str()], value(running)?))
        });
        gauge(to, definition, values)
    };
    of(&known::ROLLOUT_WEIGHT, &|run| Some(f64::from(run.intended())))?;
    of(&known::ROLLOUT_SEEN, &Running::seen)?;
    of(&known::ROLLOUT_STEP, &|run| Some(f64::from(run.step.as_ref()?.index)))?;
    of(&known::ROLLOUT_STEPS, &|run| Some(f64::from(run.step.as_ref()?.of)))?;
    of(&known::ROLLOUT_STEP_STARTED, &|run| Some(seconds(run.step.as_ref()?.since?)))?;
    of(&known::ROLLOUT_HELD, &|run| {
        Some(std::time::Duration::from(run.step.as_ref()?.elapsed).as_secs_f64())
    })?;
    of(&known::ROLLOUT_RUN_STARTED, &|run| Some(seconds(run.run.started_at)))?;
    let verdicts = running.iter().flat_map(|([namespace, name], running)| {
        let told = running.analysis.iter();
        told.map(move |metric| ([namespace.as_str(), name, &metric.name, metric.verdict.label()], 1))
    });
    gauge(to, &known::ROLLOUT_VERDICT, verdicts)
}

fn name(rollout: &Guarded) -> Name {
    [rollout.namespace().unwrap_or_default(), rollout.name_any()]
}

fn seconds(moment: Timestamp) -> f64 {
    moment.as_millisecond() as f64 / 1000.0
}

/// What a Rollout that is under way tells, as it is stored.
#[derive(Debug, Deserialize)]
struct Running {
    run: RunSeen,
    #[serde(default)]
    step: Option<Step>,
    #[serde(default)]
    canary: Option<Target>,
    #[serde(default)]
    weights: Vec<RouteWeights>,
    #[serde(default)]
    analysis: Vec<Says>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunSeen {
    started_at: Timestamp,
    #[serde(default)]
    ended: Option<EndedSeen>,
}

#[derive(Debug, Deserialize)]
struct EndedSeen {
    reason: EndReason,
}

#[derive(Debug, Deserialize)]
struct Says {
    name: String,
    verdict: Verdict,
}

impl Running {
    /// Of a Rollout that is in a run; none of one that is not, or can't be read.
    fn of(rollout: &Guarded) -> Option<Self> {
        #[derive(Deserialize)]
        struct Object {
            status: Running,
        }
        rollout.part().ok().map(|object: Object| object.status)
    }

    /// The share that the canary is to have, in percent.
    fn intended(&self) -> i32 {
        match &self.run.ended {
            Some(EndedSeen { reason: EndReason::Promoted }) => 100,
            Some(_) => 0,
            None => self.step.as_ref().map_or(0, |step| step.weight.percent()),
        }
    }

    /// The largest share that it has on a route, in percent; none before a route was seen.
    fn seen(&self) -> Option<f64> {
        let canary = self.canary.as_ref()?;
        let shares = self.weights.iter().map(|route| share(route, canary));
        shares.reduce(f64::max)
    }
}

fn share(route: &RouteWeights, canary: &Target) -> f64 {
    let is_canary =
        |name: &str| name == canary.name || canary.called.iter().any(|called| called.name == name);
    let total: i64 = route.entries.iter().map(|entry| entry.weight).sum();
    let ours = route.entries.iter().filter(|entry| {
        is_canary(&entry.name) && (canary.port.is_none() || entry.port.is_none() || entry.port == canary.port)
    });
    let ours: i64 = ours.map(|entry| entry.weight).sum();
    if total == 0 { 0.0 } else { 100.0 * ours as f64 / total as f64 }
}

/// Where a Rollout stands, in words of a fixed set: all that is told of one at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its phase; none where no controller has seen it yet.
    pub phase: Option<crate::api::Phase>,
    /// Why its run waits, if it does.
    pub pause: Option<PauseReason>,
    /// Nothing moves it until somebody acts.
    pub stalled: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn running(status: &serde_json::Value) -> Running {
        serde_json::from_value(status.clone()).unwrap()
    }

    #[test]
    fn the_share_is_the_largest_of_all_routes_whatever_they_call_the_canary() {
        let entry = |name: &str, port: Option<i32>, weight: i64| json!({"name": name, "port": port, "weight": weight});
        let run = json!({"startedAt": "2026-01-01T00:00:00Z", "number": 1});
        let canary = json!({"name": "v2", "port": 80, "called": [{"route": "r", "name": "node-v2"}]});
        for (name, weights, want) in [
            ("none seen", json!([]), None),
            (
                "by its name",
                json!([{"route": "a", "entries": [entry("v1", None, 90), entry("v2", None, 10)]}]),
                Some(10.0),
            ),
            (
                "as the route calls it",
                json!([{"route": "a", "entries": [entry("v1", None, 3), entry("node-v2", None, 1)]}]),
                Some(25.0),
            ),
            (
                "another port",
                json!([{"route": "a", "entries": [entry("v2", Some(81), 90), entry("v2", Some(80), 10)]}]),
                Some(10.0),
            ),
            ("nothing has weight", json!([{"route": "a", "entries": [entry("v2", None, 0)]}]), Some(0.0)),
            (
                "two routes",
                json!([{"route": "a", "entries": [entry("v1", None, 90), entry("v2", None, 10)]},
                                  {"route": "b", "entries": [entry("v1", None, 50), entry("v2", None, 50)]}]),
                Some(50.0),
            ),
        ] {
            let seen = running(&json!({"run": run, "canary": canary, "weights": weights})).seen();
            assert_eq!(seen, want, "{name}");
        }
    }

    #[test]
    fn a_run_that_has_ended_wants_all_or_nothing() {
        let step = json!({"index": 2, "of": 3, "label": "2/3", "weight": 20, "elapsed": "0s"});
        for (ended, want) in [(None, 20), (Some("Promoted"), 100), (Some("Failed"), 0)] {
            let ended = ended.map(|reason| json!({"reason": reason}));
            let run = json!({"startedAt": "2026-01-01T00:00:00Z", "ended": ended});
            assert_eq!(running(&json!({"run": run, "step": step})).intended(), want);
        }
    }
}
