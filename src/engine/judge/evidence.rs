//! Evidence: looks become increments, increments feed the sequential tests.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    ERROR_RATE, HOUR, Test,
    absent::{missing_histogram, with_absent},
    bounds, preflight, tests,
};
use crate::{
    analysis::{self, Batch, Sequence, ThresholdState, increment},
    api::{Analysis, Arm, MetricEvidence, Past, PlainMetric},
    engine::{
        look::{Arms, Counters, ReadError, Sample, Snapshot},
        memory::KnownArms,
        turn::{Turn, since},
    },
};

/// The bins in which stable's past is kept.
const BIN: Duration = Duration::from_mins(5);
/// How much of the past tells what is normal for stable.
const QUARTER: Duration = Duration::from_mins(15);

impl Turn<'_> {
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
                Some(Ok(sample)) if sample.at >= settled => self.take_number(metric, *sample),
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

    fn take_number(&mut self, metric: &PlainMetric, sample: Sample) {
        let bounds = bounds(metric);
        let Sample { at, value } = sample;
        if self.is_of_the_step(at) {
            self.memory.looked = true;
        } else if bounds.allow(value) {
            return;
        }
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
        self.seed_past(analysis, arms);
        let known = self.memory.arms.take();
        let here = |known: &KnownArms| (known.run, known.step) == (number, Some(index));
        if known.as_ref().is_some_and(|known| here(known) && known.arms.at >= arms.at) {
            // Of two of the same time the first stays: what a provider has corrected since is then counted with the
            // next one, and not lost. It was an answer all the same.
            self.memory.arms = known;
            return self.was_answered(analysis);
        }
        let of_run = known.as_ref().filter(|known| known.run == number);
        let whole = Arc::new(with_absent(arms, of_run.map(|known| &*known.arms)));
        self.memory.arms = Some(KnownArms { run: number, step: Some(index), arms: Arc::clone(&whole) });
        let Some(KnownArms { arms: before, .. }) = known.filter(here) else { return };
        self.memory.looked |= self.is_of_the_step(before.at);
        let span = since(before.at, arms.at);
        for test in tests(analysis) {
            let missing = missing_histogram(&test, &before.canary, &arms.canary)
                .or_else(|| missing_histogram(&test, &before.stable, &arms.stable));
            match missing.map_or_else(|| increments(&test, &before, &whole), Err) {
                Ok(batch) => self.take_batch(analysis, &test, batch, arms.at),
                Err(sentence) => self.note_error(&test.name, &sentence),
            }
        }
        self.estimate(analysis, &before, &whole, span);
        self.learn_burst(&before, &whole);
    }

    /// An answer ends a row of failures, though it says nothing new.
    fn was_answered(&mut self, analysis: &Analysis) {
        let names: Vec<_> = tests(analysis).into_iter().map(|test| test.name).collect();
        let Some(run) = self.run_mut() else { return };
        for name in names {
            if let Some(metric) = run.evidence.metrics.get_mut(&*name) {
                (metric.errors, metric.error) = (0, None);
            }
        }
    }

    fn take_batch(&mut self, analysis: &Analysis, test: &Test, batch: Batch, at: Timestamp) {
        let config = self.config(analysis, test);
        let levels = self.step_levels(test);
        let index = self.step_index();
        let shared = self.planned(index) < 100;
        let stable = batch.stable();
        let watch = test.name == ERROR_RATE && shared;
        let before = watch.then(|| self.stable_before(test)).flatten();
        let Some(metric) = self.metric_mut(&test.name) else {
            return;
        };
        metric.errors = 0;
        metric.error = None;
        if shared && test.max.is_none() {
            add_to_bins(&mut metric.stable_past, at, stable.errors, stable.requests);
        }
        if let Some(before) = before {
            metric.stable_before = Some(before);
            let limit = analysis::sick_limit(analysis::Arm { errors: before.bad, requests: before.total });
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

    /// What is normal for stable, fixed once enough is known of it.
    fn stable_before(&self, test: &Test) -> Option<Arm> {
        let metric = self.run()?.evidence.metrics.get(&*test.name)?;
        let known = || sum_bins(&metric.stable_past, self.now, QUARTER);
        let before = metric.stable_before.unwrap_or_else(known);
        (before.total >= analysis::MIN_REQUESTS).then_some(before)
    }

    /// Takes stable's past, where the provider has one, into the bins.
    fn seed_past(&mut self, analysis: &Analysis, arms: &Arms) {
        for test in tests(analysis).iter().filter(|test| test.max.is_none()) {
            for pair in arms.past.windows(2) {
                let [(_, earlier), (at, later)] = pair else {
                    continue;
                };
                if missing_histogram(test, earlier, later).is_some() {
                    continue;
                }
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
        let proofs = preflight::of_test(analysis, &test, &run.plan, rate, self.burst(&test));
        let hopeless = proofs.iter().any(|proof| !proof.provable);
        let told: Vec<_> = proofs.into_iter().map(|proof| proof.sentence).collect();
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
        let same = |bucket: &&(f64, Snapshot)| bucket.0.total_cmp(&le).is_eq();
        before.buckets.iter().find(same).map_or(&empty, |(_, snapshot)| snapshot)
    };
    let grown = |(le, snapshot): &(f64, Snapshot)| (*le, increment(Some(earlier(*le)), snapshot));
    let buckets: Vec<(f64, f64)> = now.buckets.iter().map(grown).collect();
    if buckets.is_empty() {
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
