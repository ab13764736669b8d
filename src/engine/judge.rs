//! What the metrics say: looks become increments, increments feed the sequential tests and thresholds, and every
//! verdict becomes a sentence.
//!
//! A look counts for the step that asked for it and only if its counters are younger than the weight change and
//! the settling after it. Missing numbers are never a value.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    decision::Effect,
    look::{Arms, ArmsRequest, Counters, LookRequest, NumberRequest, ReadError},
    turn::{Turn, later, since},
};
use crate::{
    analysis::{
        self, Batch, ErrorStreak, Judged, Level, Levels, Sequence, SequenceConfig, ThresholdState, Verdict,
        increment,
        sentence::{self, Fault, LevelOrigin, Odds},
    },
    api::{Analysis, Arm, LevelSpec, MetricEvidence, MetricStatus, Mode, Past, PlainMetric},
};

/// The bins in which stable's past is kept.
const BIN: Duration = Duration::from_mins(5);
/// How much of the past counts.
const HOUR: Duration = Duration::from_hours(1);
/// How much of the past tells what is normal for stable.
const QUARTER: Duration = Duration::from_mins(15);
/// The key of the arms among the parts of a look.
const ARMS: &str = "";
/// The name of the error rate's test; its evidence also watches stable.
const ERROR_RATE: &str = "errorRate";

/// One sequential test of a run.
struct Test {
    name: String,
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
    let ratio = spec.and_then(|s| s.ratio.as_ref()).map_or(default.ratio, crate::api::units::Decimal::value);
    let absolute =
        spec.and_then(|s| s.plus.as_ref()).map_or(default.absolute, crate::api::units::Percent::share);
    Level { ratio, absolute }
}

fn tests(analysis: &Analysis) -> Vec<Test> {
    let mut tests = Vec::new();
    let mut push = |name: &str,
                    bound: Option<(f64, String)>,
                    max: Option<f64>,
                    levels: (Level, Level),
                    mode| {
        let (tolerate, catch) = levels;
        let relative = Test { name: name.to_owned(), bound: bound.clone(), max: None, tolerate, catch, mode };
        tests.push(relative);
        if let Some(max) = max {
            let Levels { tolerate, catch } = Levels::at_most(max);
            tests.push(Test { name: format!("{name} max"), bound, max: Some(max), tolerate, catch, mode });
        }
    };
    if let Some(rate) = &analysis.error_rate {
        let tolerate = level(rate.tolerate.as_ref(), Level::ERROR_RATE_TOLERATE);
        let catch = level(rate.catch.as_ref(), Level::ERROR_RATE_CATCH);
        let max = rate.max.as_ref().map(crate::api::units::Percent::share);
        push(ERROR_RATE, None, max, (tolerate, catch), rate.mode);
    }
    for latency in &analysis.latency {
        let tolerate = level(latency.tolerate.as_ref(), Level::LATENCY_TOLERATE);
        let catch = level(latency.catch.as_ref(), Level::LATENCY_CATCH);
        let max = latency.max.as_ref().map(crate::api::units::Percent::share);
        let told = latency.under.to_string();
        let bound = Some((latency.under.span().as_secs_f64(), told.clone()));
        push(&format!("latency<{told}"), bound, max, (tolerate, catch), latency.mode);
    }
    tests
}

impl Turn<'_> {
    /// The run's frozen analysis, with the mode of the spec as it is now.
    fn analysis(&self) -> Option<Analysis> {
        let mut analysis = self.run()?.analysis.clone()?;
        if let Some(now) = &self.spec.analysis {
            analysis.mode = now.mode;
        }
        Some(analysis)
    }

    fn settle_span(&self, analysis: &Analysis) -> Duration {
        analysis.settle.as_ref().map_or(self.seen.settle, crate::api::units::Duration::span)
    }

    /// From when on the present step may be judged; `None` while its weight is not stored.
    pub fn settled_at(&self) -> Option<Timestamp> {
        let stored = self.status.step.as_ref()?.stored_at?;
        let settle = self.analysis().map_or(Duration::ZERO, |analysis| self.settle_span(&analysis));
        Some(later(stored, settle))
    }

    fn config(&self, analysis: &Analysis, test: &Test) -> SequenceConfig {
        let plan = self.run().map(|run| run.plan.as_slice()).unwrap_or_default();
        let steps = i32::try_from(plan.len()).unwrap_or(i32::MAX);
        let polls =
            analysis::planned_polls(plan.iter().map(|step| step.hold.span()), analysis.interval.span());
        let metrics = i32::try_from(tests(analysis).len()).unwrap_or(i32::MAX);
        SequenceConfig::error_rate(metrics, steps, polls).between(test.tolerate, test.catch)
    }

    /// The levels of a test in the present step: at 100 % there is no second arm, and stable's hour before the
    /// switch stands in for it. `None`: the test does not apply.
    fn step_levels(&self, test: &Test) -> Option<(Level, Level, bool)> {
        if test.max.is_some() {
            return Some((test.tolerate, test.catch, true));
        }
        if self.planned(self.step_index()) < 100 {
            return Some((test.tolerate, test.catch, false));
        }
        let baseline = self.run()?.evidence.metrics.get(&test.name)?.baseline?;
        let arm = analysis::Arm { errors: baseline.bad, requests: baseline.total };
        Levels::after_switch(arm).map(|levels| (levels.tolerate, levels.catch, true))
    }

    /// Takes in a look that has come back.
    pub fn take_evidence(&mut self) {
        let (Some(done), Some(analysis)) = (&self.seen.look, self.analysis()) else {
            return;
        };
        let number = self.run().map(|run| run.number);
        if number != Some(done.run) || self.step_index() != done.step {
            return;
        }
        let Some(settled) = self.settled_at() else { return };
        match &done.look.arms {
            Some(Ok(arms)) if arms.at >= settled => self.take_arms(&analysis, arms),
            Some(Err(error)) => self.take_error(&analysis, error),
            Some(Ok(_)) | None => {}
        }
        for metric in &analysis.metrics {
            match done.look.numbers.get(&metric.name) {
                Some(Ok(sample)) if sample.at >= settled => self.take_number(metric, sample.value),
                Some(Err(error)) => self.note_error(&metric.name, &error.to_string()),
                Some(Ok(_)) | None => {}
            }
        }
        self.tell_analysis(&analysis);
    }

    fn metric_mut(&mut self, name: &str) -> Option<&mut MetricEvidence> {
        Some(self.status.run.as_mut()?.evidence.metrics.entry(name.to_owned()).or_default())
    }

    fn note_error(&mut self, name: &str, sentence: &str) {
        if let Some(metric) = self.metric_mut(name) {
            metric.errors += 1;
            metric.error = Some(sentence.to_owned());
        }
    }

    fn take_error(&mut self, analysis: &Analysis, error: &ReadError) {
        for test in tests(analysis) {
            self.note_error(&test.name, &error.to_string());
        }
    }

    fn take_number(&mut self, metric: &PlainMetric, value: f64) {
        let bounds = bounds(metric);
        self.memory.looked = true;
        let Some(evidence) = self.metric_mut(&metric.name) else {
            return;
        };
        let state = evidence.threshold.get_or_insert_with(ThresholdState::default);
        match state.update(value, &bounds) {
            Ok(_) => {
                evidence.errors = 0;
                evidence.error = None;
            }
            Err(error) => {
                evidence.errors += 1;
                evidence.error = Some(error.to_string());
            }
        }
    }

    fn take_arms(&mut self, analysis: &Analysis, arms: &Arms) {
        let number = self.run().map_or(0, |run| run.number);
        let index = self.step_index();
        let before = self.memory.arms.replace((number, index, arms.clone()));
        self.seed_past(analysis, arms);
        let Some((run, step, before)) = before else { return };
        if (run, step) != (number, index) || before.at >= arms.at {
            return;
        }
        self.memory.looked = true;
        let span = since(before.at, arms.at);
        for test in tests(analysis) {
            match increments(&test, &before, arms) {
                Ok(batch) => self.take_batch(analysis, &test, batch, arms.at),
                Err(sentence) => self.note_error(&test.name, &sentence),
            }
        }
        self.estimate(analysis, &before, arms, span);
    }

    fn take_batch(&mut self, analysis: &Analysis, test: &Test, batch: Batch, at: Timestamp) {
        let config = self.config(analysis, test);
        let levels = self.step_levels(test);
        let index = self.step_index();
        let shared = self.planned(index) < 100;
        let stable = batch.stable();
        let watch = test.name == ERROR_RATE && shared;
        let limit = watch.then(|| self.sick_limit(test)).flatten();
        let Some(metric) = self.metric_mut(&test.name) else {
            return;
        };
        metric.errors = 0;
        metric.error = None;
        if shared && test.max.is_none() {
            add_to_bins(&mut metric.stable_past, at, stable.errors, stable.requests);
        }
        if let Some(limit) = limit {
            metric.stable_limit = Some(limit);
            let stable_watch = metric.stable_watch.get_or_insert_default();
            if let Err(error) = stable_watch.update(stable, limit, config.planned_polls, config.burst) {
                metric.errors += 1;
                metric.error = Some(error.to_string());
            }
        }
        let Some((tolerate, catch, one_sample)) = levels else {
            return;
        };
        let canary = batch.canary();
        let batch = if one_sample { Batch::one_sample(canary.errors, canary.requests) } else { Ok(batch) };
        if let Ok(batch) = batch {
            let sequence = metric.sequence.get_or_insert_with(Sequence::new);
            sequence.update(&config.between(tolerate, catch), index, batch);
        }
    }

    /// The share above which stable counts as sick, fixed once its normal is known.
    fn sick_limit(&self, test: &Test) -> Option<f64> {
        let metric = self.run()?.evidence.metrics.get(&test.name)?;
        if metric.stable_limit.is_some() {
            return metric.stable_limit;
        }
        let before = sum_bins(&metric.stable_past, self.now, QUARTER);
        let arm = analysis::Arm { errors: before.bad, requests: before.total };
        (before.total >= analysis::MIN_REQUESTS).then(|| analysis::sick_limit(arm))
    }

    /// Takes stable's past, where the provider has one, into the bins.
    fn seed_past(&mut self, analysis: &Analysis, arms: &Arms) {
        for test in tests(analysis).iter().filter(|test| test.max.is_none()) {
            for pair in arms.past.windows(2) {
                let [(_, earlier), (at, later)] = pair else {
                    continue;
                };
                let Ok((bad, total)) = counts(test, earlier, later) else {
                    continue;
                };
                if let Some(metric) = self.metric_mut(&test.name) {
                    add_to_bins(&mut metric.stable_past, *at, bad, total);
                }
            }
        }
    }

    /// Tells once, from the first rate seen, how long each step will take to prove.
    fn estimate(&mut self, analysis: &Analysis, before: &Arms, arms: &Arms, span: Duration) {
        let Some(run) = self.run() else { return };
        let relative = tests(analysis).into_iter().find(|test| test.max.is_none());
        let (Some(test), None) = (relative, &run.evidence.preflight) else {
            return;
        };
        let Ok(batch) = increments(&test, before, arms) else {
            return;
        };
        let rate = (batch.canary().requests + batch.stable().requests) / span.as_secs_f64().max(0.001);
        let config = self.config(analysis, &test);
        let goal =
            analysis::ProofGoal { absolute: test.catch.absolute, beta: config.beta, burst: config.burst };
        let wanted = |step: &&crate::api::PlannedStep| {
            step.weight >= analysis.prove_from && step.weight.percent() < 100
        };
        let plain = |step: &crate::api::PlannedStep| analysis::PlannedStep {
            weight: step.weight.percent(),
            max_hold: step.max_hold.span(),
        };
        let steps: Vec<_> = run.plan.iter().filter(wanted).map(plain).collect();
        let estimates = analysis::preflight(rate, &steps, goal);
        let hopeless = estimates.iter().any(|estimate| !estimate.provable);
        let told: Vec<_> = estimates
            .iter()
            .zip(&steps)
            .map(|(e, step)| sentence::preflight(rate, e, step.max_hold))
            .collect();
        let told = told.join(" ");
        if let Some(run) = self.run_mut() {
            run.evidence.preflight = Some(told.clone());
        }
        if !told.is_empty() {
            self.tell(hopeless, "Preflight", told);
        }
    }

    /// Fixes what stable had in the hour before the switch, with the intent of the last step.
    pub fn fix_baseline(&mut self) {
        let now = self.now;
        let Some(run) = self.run_mut() else { return };
        for metric in run.evidence.metrics.values_mut() {
            if metric.baseline.is_none() && !metric.stable_past.is_empty() {
                metric.baseline = Some(sum_bins(&metric.stable_past, now, HOUR));
            }
        }
    }

    /// Asks for the parts of the next look that are due.
    pub fn ask_for_evidence(&mut self) {
        let (Some(analysis), Some(settled)) = (self.analysis(), self.settled_at()) else {
            return;
        };
        if self.now < settled {
            return self.wake_at(settled);
        }
        if self.seen.looking {
            return;
        }
        let interval = analysis.interval.span();
        let sequential = tests(&analysis);
        let mut due = |key: &str, interval: Duration| {
            let at = self.memory.due.get(key).copied().unwrap_or(self.now);
            let now_due = at <= self.now;
            let next = if now_due { later(self.now, interval) } else { at };
            self.memory.due.insert(key.to_owned(), next);
            self.wake = Some(self.wake.map_or(next, |wake| wake.min(next)));
            now_due
        };
        let arms = (!sequential.is_empty() && due(ARMS, interval)).then_some(()).and_then(|()| {
            let series = analysis.series.clone()?;
            let latency = sequential.iter().any(|test| test.bound.is_some());
            Some((series, latency))
        });
        let numbers: Vec<NumberRequest> = analysis
            .metrics
            .iter()
            .filter(|metric| {
                let own = metric.interval.as_ref().map_or(interval, crate::api::units::Duration::span);
                due(&metric.name, own)
            })
            .map(|metric| NumberRequest {
                name: metric.name.clone(),
                provider: metric.provider.clone().or_else(|| analysis.provider.clone()),
                query: metric.query.clone(),
            })
            .collect();
        let first =
            self.run().is_some_and(|run| run.evidence.metrics.values().all(|m| m.stable_past.is_empty()));
        let arms = arms.map(|(series, latency)| ArmsRequest {
            provider: analysis.provider.clone(),
            series,
            latency,
            past: first.then_some(HOUR),
        });
        let (Some((stable, canary)), Some(run)) = (self.arms(), self.run()) else {
            return;
        };
        if arms.is_none() && numbers.is_empty() {
            return;
        }
        let request = LookRequest {
            namespace: self.seen.subject.namespace.clone(),
            rollout: self.seen.subject.name.clone(),
            canary: canary.name,
            stable: stable.name,
            arms,
            numbers,
        };
        self.effects.push(Effect::Look { run: run.number, step: self.step_index(), request });
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
            let metric = evidence.get(&test.name).unwrap_or(&none);
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

    fn tell_analysis(&mut self, analysis: &Analysis) {
        let Some(evidence) = self.run().map(|run| run.evidence.metrics.clone()) else {
            return;
        };
        let none = MetricEvidence::default();
        let mut told = Vec::new();
        for test in tests(analysis) {
            let metric = evidence.get(&test.name).unwrap_or(&none);
            if let Some(judged) = self.sequential_opinion(analysis, &test, metric) {
                told.push(self.tell_test(analysis, &test, metric, judged));
            }
        }
        for metric in &analysis.metrics {
            let known = evidence.get(&metric.name).unwrap_or(&none);
            told.push(self.tell_plain(metric, known));
        }
        for status in &mut told {
            let before = self.status.analysis.iter().find(|before| before.name == status.name);
            if let Some(before) = before.filter(|before| before.verdict == status.verdict) {
                status.since = before.since;
            } else if status.verdict == Verdict::Error {
                self.tell(true, "MetricError", status.sentence.clone());
            }
        }
        self.status.analysis = told;
    }

    fn tell_test(
        &self,
        analysis: &Analysis,
        test: &Test,
        metric: &MetricEvidence,
        judged: Judged,
    ) -> MetricStatus {
        let weight = i32::try_from(self.planned(self.step_index())).unwrap_or(100);
        let total = metric.sequence.as_ref().filter(|s| s.step() == Some(self.step_index()));
        let total = total.map(Sequence::step_total).unwrap_or_default();
        let levels = self.step_levels(test);
        let one_sample = levels.is_some_and(|(_, _, one)| one);
        let (tolerate, catch) = levels.map_or((test.tolerate, test.catch), |(t, c, _)| (t, c));
        let config = self.config(analysis, test).between(tolerate, catch);
        let (canary, stable) = (total.canary(), total.stable());
        let log_e_harm = metric.sequence.as_ref().map_or(f64::NEG_INFINITY, Sequence::log_e_harm);
        let odds = Odds { log_e_harm, metrics: config.metrics, alpha: config.alpha };
        let sentence = match judged.verdict() {
            Verdict::Fail if one_sample => {
                let origin = if test.max.is_some() { LevelOrigin::Max } else { LevelOrigin::HourBefore };
                let tolerated = test.max.unwrap_or(tolerate.absolute);
                sentence::failed_above(test.fault(), canary, tolerated, origin, odds)
            }
            Verdict::Fail => {
                let bounds = analysis::ratio_bounds(total, config.alpha, config.burst);
                sentence::failed(test.fault(), canary, stable, bounds, odds)
            }
            Verdict::Safe | Verdict::Pass => {
                sentence::safe(weight, test.fault(), canary, (!one_sample).then_some(stable), catch)
            }
            Verdict::Error => {
                let cause = metric.error.clone().unwrap_or_default();
                sentence::metric_error(weight, &cause, metric.errors)
            }
            Verdict::Collecting if canary.requests <= 0.0 => sentence::no_canary_traffic(weight),
            Verdict::Collecting => {
                let share = canary.share().unwrap_or_default();
                let needed = metric.sequence.as_ref().and_then(|s| s.requests_until_safe(&config, share));
                let elapsed = self.status.step.as_ref().map(|step| std::time::Duration::from(step.elapsed));
                let rate = elapsed.filter(|e| !e.is_zero()).map(|e| canary.requests / e.as_secs_f64());
                sentence::waiting(weight, test.fault(), canary, catch, needed, rate)
            }
        };
        let arm = |arm: analysis::Arm| Arm { bad: arm.errors, total: arm.requests };
        MetricStatus {
            name: test.name.clone(),
            verdict: judged.verdict(),
            canary: Some(arm(canary)),
            stable: (!one_sample).then(|| arm(stable)),
            sentence,
            since: self.now,
        }
    }

    fn tell_plain(&self, metric: &PlainMetric, known: &MetricEvidence) -> MetricStatus {
        let weight = i32::try_from(self.planned(self.step_index())).unwrap_or(100);
        let verdict = plain_verdict(metric, known);
        let state = known.threshold.unwrap_or_default();
        let sentence = match verdict {
            Verdict::Error => {
                sentence::metric_error(weight, &known.error.clone().unwrap_or_default(), known.errors)
            }
            Verdict::Fail | Verdict::Safe | Verdict::Pass | Verdict::Collecting => {
                sentence::threshold(weight, &metric.name, state.last, &bounds(metric), state.bad)
            }
        };
        let canary = state.last.map(|value| Arm { bad: value, total: 0.0 });
        MetricStatus { name: metric.name.clone(), verdict, canary, stable: None, sentence, since: self.now }
    }
}

fn bounds(metric: &PlainMetric) -> analysis::Bounds {
    let value = crate::api::units::Decimal::value;
    let (min, max) = (metric.min.as_ref().map(value), metric.max.as_ref().map(value));
    analysis::Bounds { min, max, failures: metric.failures }
}

fn plain_verdict(metric: &PlainMetric, known: &MetricEvidence) -> Verdict {
    let streak = ErrorStreak { errors: known.errors };
    let state = known.threshold.as_ref().map(|state| state.verdict(&bounds(metric)));
    streak.over(state.unwrap_or(Verdict::Collecting))
}

/// The increments of both arms between two looks.
fn increments(test: &Test, before: &Arms, now: &Arms) -> Result<Batch, String> {
    let (x, m) = counts(test, &before.canary, &now.canary)?;
    let (y, n) = counts(test, &before.stable, &now.stable)?;
    Batch::new(x, m, y, n).map_err(|error| error.to_string())
}

/// Bad and all requests of one arm between two snapshots.
fn counts(test: &Test, before: &Counters, now: &Counters) -> Result<(f64, f64), String> {
    let Some((limit, told)) = &test.bound else {
        return Ok((
            increment(Some(&before.errors), &now.errors),
            increment(Some(&before.total), &now.total),
        ));
    };
    let empty = BTreeMap::new();
    let earlier = |le: f64| {
        let same = |bucket: &&(f64, super::look::Snapshot)| bucket.0.total_cmp(&le).is_eq();
        before.buckets.iter().find(same).map_or(&empty, |(_, snapshot)| snapshot)
    };
    let grown =
        |(le, snapshot): &(f64, super::look::Snapshot)| (*le, increment(Some(earlier(*le)), snapshot));
    let buckets: Vec<(f64, f64)> = now.buckets.iter().map(grown).collect();
    if buckets.is_empty() {
        // No bucket at all: no traffic where there is no total either, else a histogram that is not there.
        let total = increment(Some(&before.total), &now.total);
        if total > 0.0 {
            return Err(format!("there is traffic but no latency series to find those slower than {told}"));
        }
        return Ok((0.0, 0.0));
    }
    let count = analysis::slow_count(&buckets, *limit)
        .ok_or_else(|| format!("the latency series has no bound to tell those slower than {told}"))?;
    Ok((count.slow, count.total))
}

fn add_to_bins(bins: &mut Vec<Past>, at: Timestamp, bad: f64, total: f64) {
    match bins.last_mut() {
        Some(bin) if since(bin.at, at) < BIN => {
            bin.bad += bad;
            bin.total += total;
        }
        Some(_) | None => bins.push(Past { at, bad, total }),
    }
    let surplus = bins.len().saturating_sub(13);
    bins.drain(..surplus);
}

fn sum_bins(bins: &[Past], now: Timestamp, window: Duration) -> Arm {
    let recent = bins.iter().filter(|bin| since(bin.at, now) <= window);
    recent.fold(Arm::default(), |sum, bin| Arm { bad: sum.bad + bin.bad, total: sum.total + bin.total })
}
