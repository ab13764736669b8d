//! What the metrics say: looks become increments, increments feed the sequential tests and thresholds, and every
//! verdict becomes a sentence.
//!
//! A look counts for the step that asked for it and only if its counters are younger than the weight change and
//! the settling after it. Missing numbers are never a value.

mod absent;
mod ask;
mod burst;
mod evidence;
mod modes;
mod of_step;
mod preflight;
pub(super) mod share;
mod tell;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use of_step::joined;
pub use preflight::{StepProof, proofs};

use super::{
    template,
    turn::{Turn, later},
};
use crate::{
    analysis::{self, ErrorStreak, Judged, Level, Levels, SequenceConfig, Verdict, sentence::Fault},
    api::{
        Analysis, LevelSpec, MetricEvidence, Mode, PlainMetric, StageName,
        units::{Decimal, Percent},
    },
};

/// How much of stable's past counts.
const HOUR: Duration = Duration::from_hours(1);
/// The name of the error rate's test; its evidence also watches stable.
const ERROR_RATE: &str = "errorRate";

/// One sequential test of a run.
struct Test {
    name: Cow<'static, str>,
    /// The latency bound in seconds and as it is told; `None` judges errors.
    bound: Option<(f64, String)>,
    /// A fixed share instead of stable's.
    max: Option<f64>,
    tolerate: Level,
    catch: Level,
    mode: Option<Mode>,
}

impl Test {
    fn fault(&self) -> Fault<'_> {
        self.bound.as_ref().map_or(Fault::Failed, |(_, told)| Fault::SlowerThan(told))
    }
}

/// What a metric of this step says, and whether it is acted on.
pub(super) struct Opinion {
    pub enforced: bool,
    pub judged: Judged,
}

/// All opinions of a step.
pub(super) struct Opinions {
    pub list: Vec<Opinion>,
    /// Something is configured and enforced, whether or not it applies to this step.
    pub expected: bool,
    /// Canary requests in this step.
    pub canary_requests: f64,
    /// Stable itself is sick.
    pub stable_sick: bool,
}

impl Opinions {
    /// What is acted on.
    pub fn enforced(&self) -> Vec<Judged> {
        self.list.iter().filter(|o| o.enforced).map(|o| o.judged).collect()
    }

    /// Whether an enforced metric gives no evidence.
    pub fn error(&self) -> bool {
        self.list.iter().any(|o| o.enforced && o.judged.verdict() == Verdict::Error)
    }
}

fn level(spec: Option<&LevelSpec>, default: Level) -> Level {
    let ratio = spec.and_then(|s| s.ratio.as_ref()).map_or(default.ratio, Decimal::value);
    let absolute = spec.and_then(|s| s.plus.as_ref()).map_or(default.absolute, Percent::share);
    Level { ratio, absolute }
}

fn tests(analysis: &Analysis) -> Vec<Test> {
    let mut tests = Vec::new();
    let mut push = |name: Cow<'static, str>,
                    bound: Option<(f64, String)>,
                    max: Option<f64>,
                    levels: (Level, Level),
                    mode| {
        let (tolerate, catch) = levels;
        let at_most = max.map(|max| {
            let Levels { tolerate, catch } = Levels::at_most(max);
            let name = format!("{name} max").into();
            Test { name, bound: bound.clone(), max: Some(max), tolerate, catch, mode }
        });
        tests.push(Test { name, bound, max: None, tolerate, catch, mode });
        tests.extend(at_most);
    };
    if let Some(rate) = &analysis.error_rate {
        let tolerate = level(rate.tolerate.as_ref(), Level::ERROR_RATE_TOLERATE);
        let catch = level(rate.catch.as_ref(), Level::ERROR_RATE_CATCH);
        let max = rate.max.as_ref().map(Percent::share);
        push(ERROR_RATE.into(), None, max, (tolerate, catch), rate.mode);
    }
    for latency in &analysis.latency {
        let tolerate = level(latency.tolerate.as_ref(), Level::LATENCY_TOLERATE);
        let catch = level(latency.catch.as_ref(), Level::LATENCY_CATCH);
        let max = latency.max.as_ref().map(Percent::share);
        let told = latency.under.to_string();
        let bound = Some((latency.under.span().as_secs_f64(), told.clone()));
        push(format!("latency<{told}").into(), bound, max, (tolerate, catch), latency.mode);
    }
    tests
}

impl Turn<'_> {
    /// What the present step is judged by: the run's frozen analysis, with the mode of the spec as it is now, and what the step
    /// adds to it.
    fn analysis(&self) -> Option<Arc<Analysis>> {
        let frozen = self.run()?.analysis.as_ref()?;
        // Nearly always the modes are the frozen ones as well, and nothing needs to be copied.
        let analysis = match &self.spec.analysis {
            Some(own) if own.template_ref.is_some() => {
                let mode = template::mode(frozen, own);
                if mode == frozen.mode {
                    Arc::clone(frozen)
                } else {
                    Arc::new(Analysis { mode, ..Analysis::clone(frozen) })
                }
            }
            Some(now) if !modes::are_those_of(frozen, now) => Arc::new(modes::those_of(frozen, now)),
            Some(_) | None => Arc::clone(frozen),
        };
        let planned = self.planned_step();
        let Some((planned, step)) = planned.and_then(|step| Some((step, step.analysis.as_ref()?))) else {
            return Some(analysis);
        };
        let mut joined = of_step::joined(&analysis, step);
        // As the spec has that step now, so are its modes.
        let canary = self.spec.strategy.canary.as_ref();
        let now =
            canary.and_then(|canary| canary.steps.iter().find(|now| now.weight == Some(planned.weight)));
        if let Some(now) = now.and_then(|now| now.analysis.as_ref()) {
            modes::take(&mut joined, now.error_rate.as_ref(), &now.latency, &now.metrics);
        }
        Some(Arc::new(joined))
    }

    /// How long a share takes to show in the metrics. Neither modes nor a step change that.
    pub fn settling(&self) -> Duration {
        let frozen = self.run().and_then(|run| run.analysis.as_ref());
        let own = |analysis: &Arc<Analysis>| analysis.settle.as_ref().map(crate::api::units::Duration::span);
        frozen.map_or(Duration::ZERO, |analysis| own(analysis).unwrap_or(self.seen.settle))
    }

    /// From when on the present step may be judged; `None` while its weight is not stored.
    pub fn settled_at(&self) -> Option<Timestamp> {
        let stored = self.status.step.as_ref()?.stored_at?;
        Some(later(stored, self.settling()))
    }

    /// Whether what was seen at a time may be a good word for the step.
    fn is_of_the_step(&self, at: Timestamp) -> bool {
        self.memory.good_from.is_none_or(|from| at >= from)
    }

    fn config(&self, analysis: &Analysis, test: &Test) -> SequenceConfig {
        let plan = self.run().map_or(&[][..], |run| &run.plan);
        let steps = i32::try_from(plan.len()).unwrap_or(i32::MAX);
        let polls =
            analysis::planned_polls(plan.iter().map(|step| step.hold.span()), analysis.interval.span());
        let metrics = i32::try_from(of_step::sequences(analysis, plan)).unwrap_or(i32::MAX);
        let config = SequenceConfig::error_rate(metrics, steps, polls).between(test.tolerate, test.catch);
        SequenceConfig { burst: self.burst(test), ..config }
    }

    /// The levels of a test in the present step: at 100 % there is no second arm, and stable's hour before the
    /// switch stands in for it. Before a switch the canary has a preview's requests at most, which are nothing like those
    /// of stable. `None`: the test does not apply.
    fn step_levels(&self, test: &Test) -> Option<(Level, Level, bool)> {
        let before = self.planned_step().filter(|step| step.stage == Some(StageName::Before));
        if before.as_ref().is_some_and(|step| test.max.is_none() || step.matching.is_none()) {
            return None;
        }
        if test.max.is_some() {
            return Some((test.tolerate, test.catch, true));
        }
        if self.planned(self.step_index()) < 100 {
            return Some((test.tolerate, test.catch, false));
        }
        let baseline = self.run()?.evidence.metrics.get(&*test.name)?.baseline?;
        let arm = analysis::Arm { errors: baseline.bad, requests: baseline.total };
        Levels::after_switch(arm).map(|levels| (levels.tolerate, levels.catch, true))
    }

    /// What the metrics say of the present step.
    pub fn opinions(&self) -> Opinions {
        let empty = BTreeMap::new();
        let evidence = self.run().map_or(&empty, |run| &run.evidence.metrics);
        let mut opinions =
            Opinions { list: vec![], expected: false, canary_requests: 0.0, stable_sick: false };
        let Some(analysis) = self.analysis() else {
            return opinions;
        };
        let index = self.step_index();
        let none = MetricEvidence::default();
        for test in tests(&analysis) {
            let enforced = test.mode.unwrap_or(analysis.mode) == Mode::Enforce;
            opinions.expected |= enforced;
            let metric = evidence.get(&*test.name).unwrap_or(&none);
            if test.name == ERROR_RATE && !analysis.ignore_stable {
                opinions.stable_sick =
                    metric.stable_watch.as_ref().is_some_and(analysis::StableWatch::is_sick);
            }
            if let Some(sequence) = &metric.sequence
                && sequence.step() == Some(index)
            {
                opinions.canary_requests =
                    opinions.canary_requests.max(sequence.step_total().canary().requests);
            }
            if let Some(judged) = self.sequential_opinion(&analysis, &test, metric) {
                opinions.list.push(Opinion { enforced, judged });
            }
        }
        for metric in &analysis.metrics {
            let enforced = metric.mode.unwrap_or(analysis.mode) == Mode::Enforce;
            opinions.expected |= enforced;
            let verdict = plain_verdict(metric, evidence.get(&metric.name).unwrap_or(&none));
            opinions.list.push(Opinion { enforced, judged: Judged::Plain(verdict) });
        }
        opinions
    }

    fn sequential_opinion(
        &self,
        analysis: &Analysis,
        test: &Test,
        metric: &MetricEvidence,
    ) -> Option<Judged> {
        let (tolerate, catch, _) = self.step_levels(test)?;
        let config = self.config(analysis, test).between(tolerate, catch);
        let streak = ErrorStreak { errors: metric.errors };
        let Some(sequence) = &metric.sequence else {
            let verdict = streak.over(Verdict::Collecting);
            return Some(Judged::Sequential { verdict, log_e_harm: f64::NEG_INFINITY });
        };
        let log_e_harm = sequence.log_e_harm();
        let here = sequence.step() == Some(self.step_index());
        // Proof of an earlier step is no proof of this one; harm seen earlier stays harm.
        let verdict = match sequence.verdict(&config) {
            Verdict::Safe if !here => Verdict::Collecting,
            verdict @ (Verdict::Fail
            | Verdict::Safe
            | Verdict::Pass
            | Verdict::Collecting
            | Verdict::Error) => verdict,
        };
        Some(Judged::Sequential { verdict: streak.over(verdict), log_e_harm })
    }

    /// The sentence of the first enforced metric that fails.
    pub fn failed(&self) -> Option<String> {
        let analysis = self.analysis()?;
        if self.step_index() == 0 {
            return None;
        }
        let enforced = |mode: Option<Mode>| mode.unwrap_or(analysis.mode) == Mode::Enforce;
        let fails = |name: &str| {
            let told = self.status.analysis.iter().find(|told| told.name == name)?;
            (told.verdict == Verdict::Fail).then(|| told.sentence.clone())
        };
        let sequential =
            tests(&analysis).into_iter().filter(|t| enforced(t.mode)).find_map(|t| fails(&t.name));
        let plain = || analysis.metrics.iter().filter(|m| enforced(m.mode)).find_map(|m| fails(&m.name));
        sequential.or_else(plain)
    }
}

fn bounds(metric: &PlainMetric) -> analysis::Bounds {
    let value = Decimal::value;
    let (min, max) = (metric.min.as_ref().map(value), metric.max.as_ref().map(value));
    analysis::Bounds { min, max, failures: metric.failures }
}

fn plain_verdict(metric: &PlainMetric, known: &MetricEvidence) -> Verdict {
    let streak = ErrorStreak { errors: known.errors };
    let state = known.threshold.as_ref().map(|state| state.verdict(&bounds(metric)));
    streak.over(state.unwrap_or(Verdict::Collecting))
}
