//! What Flagger measures: its two built-in checks, and queries of templates.

use super::{
    super::{
        condition::Range,
        ledger::Ledger,
        metrics::{Found, Providers, failures, plain},
        query::{Filling, fill},
        source::{Fault, Object, Source},
        values::{duration, percent},
    },
    GROUP, Names,
    known::OF_TEMPLATE,
    strategy::interval,
    types::{Analysis, CanarySpec, Metric, Reference, TemplateSpec, ThresholdRange},
};
use crate::api::{ErrorRate, Latency};

/// The window of a query where nothing is said.
const WINDOW: &str = "1m";

/// The built-in checks.
const SUCCESS_RATE: &str = "request-success-rate";
const DURATION: &str = "request-duration";

impl Metric {
    fn is_built_in(&self) -> bool {
        self.template_ref.is_none()
            && self.query.is_none()
            && [SUCCESS_RATE, DURATION].contains(&self.name.as_str())
    }
}

/// What judges.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The share of failed requests.
    pub(super) error_rate: Option<ErrorRate>,
    /// The shares of slow requests.
    pub(super) latency: Vec<Latency>,
    /// Plain numbers.
    pub(super) metrics: Vec<Found>,
    /// Where the counters of requests are asked.
    pub(super) provider: Option<String>,
}

/// Reads the metrics of an analysis.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) spec: &'a CanarySpec,
    pub(super) names: &'a Names,
    pub(super) analysis: &'a Analysis,
    pub(super) at: &'a str,
    pub(super) ledger: &'a mut Ledger,
    pub(super) providers: Providers,
    pub(super) used: Vec<(String, &'a Object)>,
}

impl Reader<'_> {
    /// What judges.
    pub(super) fn read(mut self) -> Result<Judged, Fault> {
        let mut judged = Judged::default();
        if self.analysis.metrics.iter().any(Metric::is_built_in) {
            let server = self.spec.metrics_server.as_deref();
            judged.provider = self.providers.name(server, "spec.metricsServer", self.ledger);
        }
        for (i, metric) in self.analysis.metrics.iter().enumerate() {
            let at = format!("{}.metrics[{i}]", self.at);
            match metric.name.as_str() {
                SUCCESS_RATE if metric.is_built_in() => {
                    judged.error_rate = self.success_rate(metric, &at).or(judged.error_rate);
                }
                DURATION if metric.is_built_in() => judged.latency.extend(self.duration(metric, &at)),
                _ => judged.metrics.extend(self.own(metric, &at)?),
            }
        }
        self.threshold(&judged);
        for (at, template) in &self.used {
            self.ledger.settle(at, &template.value["spec"], OF_TEMPLATE);
        }
        Ok(judged)
    }

    /// At least so many percent succeed: at most the rest fail.
    fn success_rate(&mut self, metric: &Metric, at: &str) -> Option<ErrorRate> {
        let (least, field) = bound(metric, at, |range| range.min, "min");
        if let Some(max) = metric.threshold_range.as_ref().and_then(|range| range.max) {
            self.ledger.lost(
                format!("{at}.thresholdRange.max"),
                format!("{max}% is no fault of a share of successes"),
            );
        }
        let Some(max) = least.and_then(|least| percent(100.0 - least)) else {
            self.ledger.lost(at, "it has no least share of successes from 0 to 100, so it judges nothing");
            return None;
        };
        self.ledger.carried(format!("{at}.name"));
        self.ledger.carried(&field);
        self.ledger.differs(
            field,
            format!(
                "there one check above {max} counts as failed; here a run fails once the canary surely fails more than {max} of \
                 its requests, or surely more than stable does in the same minutes"
            ),
        );
        Some(ErrorRate { max: Some(max), ..ErrorRate::default() })
    }

    /// The slowest hundredth took so long at most: at most one in a hundred takes longer.
    fn duration(&mut self, metric: &Metric, at: &str) -> Option<Latency> {
        let (most, field) = bound(metric, at, |range| range.max, "max");
        if let Some(min) = metric.threshold_range.as_ref().and_then(|range| range.min) {
            self.ledger.lost(
                format!("{at}.thresholdRange.min"),
                format!("{min} ms is no fault: nothing is too fast"),
            );
        }
        let span = most.and_then(|most| std::time::Duration::try_from_secs_f64(most / 1e3).ok());
        let (Some(under), Ok(max)) = (span.and_then(duration), "1%".parse()) else {
            self.ledger.lost(at, "it has no greatest duration in milliseconds, so it judges nothing");
            return None;
        };
        self.ledger.carried(format!("{at}.name"));
        self.ledger.carried(&field);
        self.ledger.differs(
            field,
            format!(
                "there the 99th percentile of one check counts; here a run fails once surely more than 1% of the canary's requests \
                 take longer than {under}, or surely more than stable's. The histogram needs a bound there: the largest not above it \
                 is used"
            ),
        );
        Some(Latency { under, tolerate: None, catch: None, max: Some(max), mode: None })
    }

    /// A query with bounds.
    fn own(&mut self, metric: &Metric, at: &str) -> Result<Option<Found>, Fault> {
        let query = match (&metric.template_ref, &metric.query) {
            (Some(wanted), _) => self.of_template(wanted, at)?,
            (None, Some(query)) => {
                Some((query.clone(), format!("{at}.query"), self.spec.metrics_server.clone()))
            }
            (None, None) => {
                self.ledger
                    .lost(at, format!("{} has no query and is no built-in check of Flagger's", metric.name));
                None
            }
        };
        let Some((query, field, address)) = query else { return Ok(None) };
        let window = metric.interval.as_deref().unwrap_or(WINDOW);
        let filled = match fill(&query, |name| self.filling(name, metric, window)) {
            Ok(filled) => filled,
            Err(why) => {
                self.ledger.lost(
                    at,
                    format!("{}: {why}; write it anew, with {{{{canary}}}} in quotes", metric.name),
                );
                return Ok(None);
            }
        };
        let (min, max) = match (&metric.threshold_range, metric.threshold) {
            (Some(range), _) => (range.min, range.max),
            (None, threshold) => (None, threshold),
        };
        let range = Range { min, max, open: vec![], absent: None, between: false };
        let found =
            (min.is_some() || max.is_some()).then(|| plain(&metric.name, filled.text, &range)).flatten();
        let Some(mut found) = found else {
            self.ledger.lost(at, format!("{}: it has no bounds that min and max can say", metric.name));
            return Ok(None);
        };
        self.ledger.carried(field);
        self.told(metric, at, &filled.used);
        let asked = format!("MetricTemplate/{}:spec.provider.address", template_name(metric));
        let asked = if metric.template_ref.is_some() { asked } else { "spec.metricsServer".to_owned() };
        found.provider = self.providers.name(address.as_deref(), &asked, self.ledger);
        found.failures = failures(self.analysis.threshold.unwrap_or(1));
        found.interval = duration(interval(self.analysis));
        Ok(Some(Found { field: at.to_owned(), metric: found }))
    }

    fn told(&mut self, metric: &Metric, at: &str, used: &std::collections::BTreeSet<String>) {
        self.ledger.carried(format!("{at}.name"));
        let given = match (&metric.threshold_range, metric.threshold) {
            (Some(_), Some(_)) => {
                self.ledger.lost(format!("{at}.threshold"), "thresholdRange beats it");
                "thresholdRange"
            }
            (Some(_), None) => "thresholdRange",
            (None, _) => "threshold",
        };
        self.ledger.carried(format!("{at}.{given}"));
        for name in used {
            match name.strip_prefix("variables.") {
                Some(variable) => self.ledger.carried(format!("{at}.templateVariables.{variable}")),
                None if name == "interval" && metric.interval.is_some() => {
                    self.ledger.carried(format!("{at}.interval"));
                }
                None => {}
            }
        }
        if used.contains("target") {
            self.ledger.ask(
                format!("{at}.name"),
                "{{target}} is the Deployment there; {{canary}}, in its place, is the version's name in the routes. Give a version's \
                 Deployment and its Service the same name, or change the label that the query asks for",
            );
        }
    }

    fn filling(&self, name: &str, metric: &Metric, window: &str) -> Option<Filling> {
        match name {
            "target" => Some(Filling::ours("{{canary}}", Some(self.spec.target_ref.name.clone()))),
            "namespace" => Some(Filling::ours("{{namespace}}", self.names.namespace.clone())),
            "name" => Some(Filling::ours("{{rollout}}", Some(self.names.own.clone()))),
            "service" => Some(Filling::text(&self.names.apex)),
            "ingress" => self.spec.ingress_ref.as_ref().map(|ingress| Filling::text(&ingress.name)),
            "interval" => Some(Filling::text(window)),
            _ => metric.template_variables.get(name.strip_prefix("variables.")?).map(Filling::text),
        }
    }

    /// The query of a template, the field that it stands in, and where it is asked. None where that is told.
    fn of_template(
        &mut self,
        wanted: &Reference,
        at: &str,
    ) -> Result<Option<(String, String, Option<String>)>, Fault> {
        let asked = format!("{at}.templateRef");
        let found = self.source.find(GROUP, "MetricTemplate", &wanted.name).filter(|object| {
            let own = object.value["metadata"]["namespace"].as_str();
            own.is_none() || wanted.namespace.is_none() || own == wanted.namespace.as_deref()
        });
        let Some(template) = found else {
            self.ledger.lost(
                at,
                format!(
                    "the MetricTemplate {} is in none of the files; give its file too, with another -f, and it is carried over",
                    wanted.name
                ),
            );
            return Ok(None);
        };
        let field = format!("MetricTemplate/{}:spec", wanted.name);
        let spec: TemplateSpec = serde_path_to_error::deserialize(&template.value["spec"])
            .map_err(|error| Fault::new(format!("{field}.{}", error.path()), error.inner().to_string()))?;
        if spec.provider.kind != "prometheus" {
            self.ledger.lost(
                at,
                format!(
                    "{} is measured by {}: only Prometheus, CloudWatch, Envoy and JSON over HTTP are asked; ask it through a service \
                     that answers in JSON, as a provider of kind web",
                    wanted.name, spec.provider.kind
                ),
            );
            return Ok(None);
        }
        if !self.used.iter().any(|(known, _)| *known == field) {
            self.used.push((field.clone(), template));
        }
        self.ledger.carried(asked);
        self.ledger.carried(format!("{field}.provider.type"));
        Ok(Some((spec.query, format!("{field}.query"), spec.provider.address)))
    }

    /// Flagger counts failed checks of all kinds together; here each metric has its own row of bad looks.
    fn threshold(&mut self, judged: &Judged) {
        let Some(threshold) = self.analysis.threshold else { return };
        if judged.metrics.is_empty() {
            return;
        }
        let at = format!("{}.threshold", self.at);
        self.ledger.carried(&at);
        self.ledger.differs(
            at,
            format!(
                "a run fails there with {threshold} failed checks in all, of any kind; here with {} bad looks in a row of one metric. \
                 Errors and slow requests are judged by evidence, not by a number of checks",
                failures(threshold)
            ),
        );
    }
}

fn template_name(metric: &Metric) -> &str {
    metric.template_ref.as_ref().map_or("", |wanted| wanted.name.as_str())
}

/// A bound of a built-in check, in its new spelling or the old one, and its field.
fn bound(
    metric: &Metric,
    at: &str,
    of: impl Fn(&ThresholdRange) -> Option<f64>,
    word: &str,
) -> (Option<f64>, String) {
    match metric.threshold_range.as_ref().and_then(of) {
        Some(bound) => (Some(bound), format!("{at}.thresholdRange.{word}")),
        None => (metric.threshold, format!("{at}.threshold")),
    }
}
