//! One run of the engine over given traffic: the route is in memory, writes land at once, and time jumps to what is due next.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::alone::alone;
use crate::{
    api::{EndReason, GateAnswer, Phase, RolloutSpec, RolloutStatus, RouteKind},
    engine::{
        self,
        decision::{Decision, Effect},
        gate::{Answered, AskDone},
        look::{Look, LookRequest},
        memory::Memory,
        observed::{
            LookDone, Observed, RouteSeen, RouteState, Subject, WorkloadKey, WorkloadSeen, workload_keys,
        },
    },
    routes::{self, patch::patch},
};

/// Where requests come from and what becomes of them.
pub trait Traffic {
    /// Time passes, in which the canary has this share of all requests, in percent.
    fn pass(&mut self, span: Duration, share: i64);
    /// What the metrics say at a time.
    fn look(&mut self, request: &LookRequest, at: Timestamp) -> Look;
}

/// What is tried.
pub struct Plan<'a> {
    /// The Rollout's spec.
    pub spec: &'a RolloutSpec,
    /// Its namespace and name.
    pub name: (&'a str, &'a str),
    /// What routes call the version that has the traffic.
    pub stable: &'a str,
    /// What they call the new one.
    pub canary: &'a str,
    /// How long after a change of weights the metrics still show the time before.
    pub settle: Duration,
    /// When it begins, and when it is over at the latest.
    pub span: (Timestamp, Timestamp),
    /// A pause is the end: there is nobody who would act.
    pub ends_at_a_pause: bool,
}

/// What happened, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// What was told, in its order.
    pub moments: Vec<Moment>,
    /// The evidence after each look.
    pub evidence: Vec<Evidence>,
    /// How it ended.
    pub end: End,
    /// When.
    pub at: Timestamp,
    /// The canary's share just before.
    pub share: i64,
    /// Why, in a sentence.
    pub sentence: String,
}

/// Something that the controller would have told as an Event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// The canary's share then.
    pub share: i64,
    /// In a word.
    pub reason: &'static str,
    /// In a sentence.
    pub sentence: String,
}

/// What a sequential metric had come to after a look.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// When.
    pub at: Timestamp,
    /// The metric.
    pub metric: String,
    /// ln E of harm; none before the first counts.
    pub log_e_harm: Option<f64>,
    /// ln E of safety in the step; none where a canary request failed that should not have.
    pub log_e_safe: Option<f64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The canary is live.
    Promoted,
    /// All traffic is back on stable.
    RolledBack,
    /// It waits for a person.
    Paused,
    /// The time was over before.
    Unfinished,
    /// The Rollout was refused.
    Refused,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Promoted => "Promoted",
            Self::RolledBack => "Rolled back",
            Self::Paused => "Paused",
            Self::Unfinished => "Still under way",
            Self::Refused => "Refused",
        })
    }
}

/// Why a Rollout can't be tried.
#[derive(Debug, thiserror::Error)]
pub enum CourseError {
    /// The engine found no rest at one moment.
    #[error("the decisions about this Rollout come to no rest at {0}; please report this defect")]
    NoRest(Timestamp),
    /// A write contradicts itself.
    #[error("a write to the route can't be made; please report this defect")]
    Patch(#[from] routes::patch::PatchError),
    /// A write did not land on a route that nobody else writes.
    #[error("a write to the route is refused; please report this defect")]
    Refused(#[from] json_patch::PatchError),
    /// A spec can't be read.
    #[error("cannot read the Rollout's spec")]
    Spec(#[from] serde_saphyr::Error),
    /// Time itself ended.
    #[error("the time asked for is out of range")]
    Time(#[from] jiff::Error),
}

/// Decisions at one moment; more than these come to no rest.
const MOST: usize = 60;

/// Follows a run from its beginning to its end.
pub fn follow(plan: &Plan<'_>, traffic: &mut impl Traffic) -> Result<Course, CourseError> {
    let mut world = World::new(plan);
    loop {
        let wake = world.settle(traffic)?;
        if let Some(end) = world.end() {
            return Ok(world.course(end));
        }
        let (_, until) = plan.span;
        let next = wake.unwrap_or(until).min(until);
        if world.now >= until {
            let end = if world.status.phase == Some(Phase::Paused) { End::Paused } else { End::Unfinished };
            return Ok(world.course(end));
        }
        // A moment that is just past, or now, is the next millisecond.
        let least = world.now.checked_add(SignedDuration::from_millis(1))?;
        let next = next.max(least);
        let span = Duration::try_from(next.duration_since(world.now)).unwrap_or_default();
        traffic.pass(span, world.share);
        world.now = next;
    }
}

struct World<'a> {
    plan: &'a Plan<'a>,
    spec: RolloutSpec,
    subject: Subject,
    workloads: BTreeMap<WorkloadKey, WorkloadSeen>,
    document: Value,
    route: RouteState,
    version: u64,
    share: i64,
    /// The share before the last change.
    before: i64,
    stored: Arc<RolloutStatus>,
    status: Arc<RolloutStatus>,
    memory: Memory,
    look: Option<LookDone>,
    answered: Option<AskDone>,
    fresh: bool,
    now: Timestamp,
    moments: Vec<Moment>,
    evidence: Vec<Evidence>,
}

const ROUTE: &str = "trial";

impl<'a> World<'a> {
    fn new(plan: &'a Plan<'a>) -> Self {
        let (namespace, name) = plan.name;
        let entry = |name: &str, weight| json!({"virtualServiceRef": {"name": name}, "weight": weight});
        let document = json!({
            "metadata": {"name": ROUTE, "namespace": namespace, "uid": ROUTE, "resourceVersion": "1", "generation": 1},
            "spec": {"httpRoute": {"action": {
                "weightedTargets": [entry(plan.stable, 100), entry(plan.canary, 0)],
            }}},
        });
        let keys =
            [plan.stable, plan.canary].into_iter().flat_map(|name| workload_keys(name, namespace, None));
        Self {
            plan,
            spec: alone(plan, ROUTE),
            subject: Subject {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid: "trial".to_owned(),
                generation: 1,
                ..Subject::default()
            },
            workloads: keys.map(|key| (key, WorkloadSeen::present(1, 1, "trial"))).collect(),
            route: routes::state(RouteKind::GatewayRoute, &document),
            document,
            version: 1,
            share: 0,
            before: 0,
            stored: Arc::default(),
            status: Arc::default(),
            memory: Memory::default(),
            look: None,
            answered: None,
            fresh: false,
            now: plan.span.0,
            moments: Vec::new(),
            evidence: Vec::new(),
        }
    }

    /// Decides until nothing happens at this moment any more; returns when something is due.
    fn settle(&mut self, traffic: &mut impl Traffic) -> Result<Option<Timestamp>, CourseError> {
        for _ in 0..MOST {
            let looked = self.look.is_some();
            let decision = self.decide();
            let rests = decision.before.is_none()
                && !decision.store
                && decision.effects.iter().all(|effect| matches!(effect, Effect::Tell(_)));
            let wake = decision.wake;
            self.carry_out(decision, traffic)?;
            if looked {
                self.note_evidence();
            }
            if rests || self.end().is_some() {
                return Ok(wake);
            }
        }
        Err(CourseError::NoRest(self.now))
    }

    fn decide(&mut self) -> Decision {
        let routes = engine::routes(&self.spec, &self.status).into_iter().map(|route| {
            let state = engine::select(&self.spec, &self.status, &route, self.route.clone());
            RouteSeen { route, state }
        });
        let seen = Observed {
            subject: self.subject.clone(),
            stored: Arc::clone(&self.stored),
            fresh: std::mem::take(&mut self.fresh),
            routes: routes.collect(),
            workloads: self.workloads.clone(),
            look: self.look.take(),
            answered: self.answered.take(),
            settle: self.plan.settle,
            ..Observed::default()
        };
        engine::decide(&self.spec, &self.status, &seen, &self.memory, self.now)
    }

    fn carry_out(&mut self, decision: Decision, traffic: &mut impl Traffic) -> Result<(), CourseError> {
        if let Some(before) = decision.before {
            self.stored = before;
        }
        self.memory = decision.memory;
        self.status = decision.after;
        for effect in decision.effects {
            match effect {
                Effect::Write(write) => {
                    json_patch::patch(&mut self.document, &patch(&write)?)?;
                    self.written();
                }
                Effect::Look { run, step, request } => {
                    let look = traffic.look(&request, self.now);
                    self.look = Some(LookDone { run, step, look });
                }
                // What is tried here is the judgement: no gate is in its way.
                Effect::Ask { step, request } => {
                    let yes = |question| Answered {
                        question,
                        answer: GateAnswer::Yes,
                        sentence: "not asked in a trial".to_owned(),
                    };
                    let answers = request.questions.into_iter().map(yes).collect();
                    self.answered = Some(AskDone { run: request.run, step, answers });
                }
                Effect::Tell(note) => self.moments.push(Moment {
                    at: self.now,
                    share: self.share,
                    reason: note.reason,
                    sentence: note.message,
                }),
                Effect::Hold => self.subject.finalizer = true,
                Effect::Release => self.subject.finalizer = false,
                Effect::Reread => self.fresh = true,
                // Neither is allowed here, and so neither is decided.
                Effect::Preview(_) | Effect::Scale(_) => {}
            }
        }
        if decision.store {
            self.stored = Arc::clone(&self.status);
        }
        Ok(())
    }

    fn note_evidence(&mut self) {
        let metrics = self.status.run.iter().flat_map(|run| &run.evidence.metrics);
        let finite = |value: f64| value.is_finite().then_some(value);
        self.evidence.extend(metrics.filter_map(|(metric, known)| {
            let sequence = known.sequence.as_ref()?;
            Some(Evidence {
                at: self.now,
                metric: metric.clone(),
                log_e_harm: finite(sequence.log_e_harm()),
                log_e_safe: finite(sequence.log_e_safe()),
            })
        }));
    }

    fn written(&mut self) {
        self.version += 1;
        self.document["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.document["metadata"]["generation"] = self.version.into();
        self.route = routes::state(RouteKind::GatewayRoute, &self.document);
        let RouteState::Present(view) = &self.route else { return };
        let mut entries = view.lists.iter().flat_map(|list| &list.entries);
        let share = entries.find(|entry| entry.name == self.plan.canary).map_or(0, |entry| entry.weight);
        if share != self.share {
            self.before = self.share;
        }
        self.share = share;
    }

    fn end(&self) -> Option<End> {
        let ended = self.status.run.as_ref().and_then(|run| run.ended.as_ref()).filter(|ended| ended.settled);
        match (self.status.phase?, ended) {
            (_, Some(ended)) if ended.reason == EndReason::Promoted => Some(End::Promoted),
            (_, Some(_)) => Some(End::RolledBack),
            (Phase::Invalid, None) => Some(End::Refused),
            (Phase::Paused, None) if self.plan.ends_at_a_pause => Some(End::Paused),
            (
                Phase::Paused
                | Phase::Healthy
                | Phase::Progressing
                | Phase::RollingBack
                | Phase::Failed
                | Phase::Suspended,
                None,
            ) => None,
        }
    }

    fn course(self, end: End) -> Course {
        let share = if end == End::RolledBack { self.before } else { self.share };
        let sentence = self.status.message.clone().unwrap_or_default();
        Course { moments: self.moments, evidence: self.evidence, end, at: self.now, share, sentence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::look::{Arms, Counters};

    const SPEC: &str = "
routes: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: color}]
target: {name: v2}
strategy: {canary: {hold: 1m, steps: [{weight: 10, approval: Required}, {weight: 50}]}}
analysis:
  interval: 10s
  settle: 10s
  series: {errors: e, total: t}
  errorRate: {}
";

    /// A steady 200 requests a second, of which the canary fails a share.
    struct Steady {
        failing: f64,
        counts: BTreeMap<String, (f64, f64)>,
    }

    impl Traffic for Steady {
        fn pass(&mut self, span: Duration, share: i64) {
            let all = 200.0 * span.as_secs_f64();
            let canary = all * share as f64 / 100.0;
            for (name, requests, failing) in [("v1", all - canary, 0.001), ("v2", canary, self.failing)] {
                let (errors, total) = self.counts.entry(name.to_owned()).or_default();
                *errors += requests * failing;
                *total += requests;
            }
        }

        fn look(&mut self, request: &LookRequest, at: Timestamp) -> Look {
            let of = |name: &str| {
                let (errors, total) = self.counts.get(name).copied().unwrap_or_default();
                let one = |value| [(String::new(), value)].into();
                Counters { errors: one(errors), total: one(total), buckets: vec![] }
            };
            let arms = Arms { at, canary: of(&request.canary), stable: of(&request.stable), past: vec![] };
            Look { arms: Some(Ok(arms)), ..Look::default() }
        }
    }

    fn tried(failing: f64) -> Course {
        let spec: RolloutSpec = serde_saphyr::from_str(SPEC).unwrap();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let until = start.checked_add(SignedDuration::from_hours(2)).unwrap();
        let plan = Plan {
            spec: &spec,
            name: ("default", "color"),
            stable: "v1",
            canary: "v2",
            settle: Duration::from_secs(10),
            span: (start, until),
            ends_at_a_pause: false,
        };
        follow(&plan, &mut Steady { failing, counts: BTreeMap::new() }).unwrap()
    }

    #[test]
    fn a_good_canary_is_promoted_step_by_step() {
        let course = tried(0.001);
        assert_eq!((course.end, course.share), (End::Promoted, 100), "{course:#?}");
        let steps = course.moments.iter().filter(|moment| moment.reason == "Step").count();
        assert_eq!(steps, 3);
    }

    #[test]
    fn a_bad_one_is_put_back_with_its_sentence() {
        let course = tried(0.2);
        assert_eq!((course.end, course.share), (End::RolledBack, 10), "{course:#?}");
        assert!(course.sentence.starts_with("Rolled back at 10%: canary failed"), "{}", course.sentence);
    }
}
