//! Every verdict in a sentence, for status and Events.

use super::{ERROR_RATE, Test, bounds, plain_verdict, tests};
use crate::{
    analysis::{
        self, Judged, Sequence, Verdict,
        sentence::{self, LevelOrigin, Odds},
    },
    api::{Analysis, Arm, MetricEvidence, MetricStatus, PlainMetric},
    engine::turn::Turn,
};

impl Turn<'_> {
    pub(super) fn tell_analysis(&mut self, analysis: &Analysis) {
        let Some(evidence) = self.run().map(|run| run.evidence.metrics.clone()) else {
            return;
        };
        let none = MetricEvidence::default();
        let mut told = Vec::new();
        for test in tests(analysis) {
            let metric = evidence.get(&*test.name).unwrap_or(&none);
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
        let at = self.traffic(self.step_index());
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
                sentence::safe(at, test.fault(), canary, (!one_sample).then_some(stable), catch)
            }
            Verdict::Error => {
                let cause = metric.error.clone().unwrap_or_default();
                sentence::metric_error(at, &cause, metric.errors)
            }
            Verdict::Collecting if canary.requests <= 0.0 => sentence::no_canary_traffic(at),
            Verdict::Collecting => {
                let share = canary.share().unwrap_or_default();
                let needed = metric.sequence.as_ref().and_then(|s| s.requests_until_safe(&config, share));
                let elapsed = self.status.step.as_ref().map(|step| std::time::Duration::from(step.elapsed));
                let rate = elapsed.filter(|e| !e.is_zero()).map(|e| canary.requests / e.as_secs_f64());
                sentence::waiting(at, test.fault(), canary, catch, needed, rate)
            }
        };
        let arm = |arm: analysis::Arm| Arm { bad: arm.errors, total: arm.requests };
        MetricStatus {
            name: test.name.clone().into_owned(),
            verdict: judged.verdict(),
            canary: Some(arm(canary)),
            stable: (!one_sample).then(|| arm(stable)),
            sentence,
            since: self.now,
        }
    }

    /// That stable itself is sick, with what it fails now and failed before.
    pub fn stable_sick_sentence(&self) -> Option<String> {
        let metric = self.run()?.evidence.metrics.get(ERROR_RATE)?;
        let before = metric.stable_before?;
        let now = metric.sequence.as_ref()?.step_total();
        let at = self.traffic(self.step_index());
        let share = before.bad / before.total.max(1.0);
        Some(sentence::stable_sick(at, now.stable().share()?, share, now.canary().share()))
    }

    fn tell_plain(&self, metric: &PlainMetric, known: &MetricEvidence) -> MetricStatus {
        let at = self.traffic(self.step_index());
        let verdict = plain_verdict(metric, known);
        let state = known.threshold.unwrap_or_default();
        let sentence = match verdict {
            Verdict::Error => {
                sentence::metric_error(at, &known.error.clone().unwrap_or_default(), known.errors)
            }
            Verdict::Fail | Verdict::Safe | Verdict::Pass | Verdict::Collecting => {
                sentence::threshold(at, &metric.name, state.last, &bounds(metric), state.bad)
            }
        };
        let canary = state.last.map(|value| Arm { bad: value, total: 0.0 });
        MetricStatus { name: metric.name.clone(), verdict, canary, stable: None, sentence, since: self.now }
    }
}
