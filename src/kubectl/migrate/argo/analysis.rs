//! Metrics out of Argo's templates.

use std::time::Duration as Span;

use super::{
    super::{
        condition::{Range, range},
        ledger::{Ledger, join},
        metrics::{Found, Providers, failures, plain},
        source::{Fault, Object, Source},
        values::{duration, span},
    },
    GROUP,
    arguments::{Arguments, Parties, Scope},
    known::{OF_TEMPLATE, of_provider},
    types::{DryRun, Metric, Prometheus, RolloutAnalysis, TemplateRef, TemplateSpec},
};
use crate::api::Mode;

/// Collects the metrics that a Rollout asks for, from all its templates.
pub(super) struct Gatherer<'a> {
    source: &'a Source,
    object: &'a Object,
    /// The names of the two versions, as the arguments of an analysis have them.
    pub(super) parties: Parties,
    providers: Providers,
    used: Vec<(String, &'a Object)>,
}

/// The metrics of one analysis, and how long it takes where it ends by itself.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// The metrics.
    pub(super) metrics: Vec<Found>,
    /// From the first to the last measurement of the slowest.
    pub(super) takes: Span,
}

/// One use of a template: who asks, and for how long.
struct Use<'a> {
    field: &'a str,
    spec: &'a TemplateSpec,
    arguments: Arguments,
    dry: Vec<(String, &'a DryRun)>,
    /// Whether the analysis ends by itself: one beside all steps does not.
    ends: bool,
}

impl<'a> Gatherer<'a> {
    /// For one Rollout.
    pub(super) fn new(source: &'a Source, object: &'a Object, parties: Parties) -> Self {
        Self { source, object, parties, providers: Providers::default(), used: vec![] }
    }

    /// What an analysis measures.
    pub(super) fn gather(
        &mut self,
        analysis: &RolloutAnalysis,
        field: &str,
        ends: bool,
        ledger: &mut Ledger,
    ) -> Result<Gathered, Fault> {
        let mut all = Gathered::default();
        for (i, wanted) in analysis.templates.iter().enumerate() {
            let asked = format!("{field}.templates[{i}]");
            let kind = if wanted.cluster_scope { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" };
            let Some(template) = self.source.find(GROUP, kind, &wanted.template_name) else {
                ledger.lost(asked, missing(kind, wanted));
                continue;
            };
            ledger.carried(asked);
            let at = format!("{kind}/{}:spec", wanted.template_name);
            let spec: TemplateSpec = read(template, &at)?;
            self.remember(&at, template);
            let mut arguments = Arguments::default();
            let parties = self.parties.clone();
            let scope = Scope { object: self.object, parties: &parties };
            arguments.declare(&spec.args, &format!("{at}.args"), &scope);
            arguments.give(&analysis.args, &format!("{field}.args"), &scope, ledger);
            let of = |field: String, dry: &'_ [DryRun]| -> Vec<String> {
                (0..dry.len()).map(|i| format!("{field}[{i}]")).collect()
            };
            let from_rollout =
                of(format!("{field}.dryRun"), &analysis.dry_run).into_iter().zip(&analysis.dry_run);
            let dry =
                from_rollout.chain(of(format!("{at}.dryRun"), &spec.dry_run).into_iter().zip(&spec.dry_run));
            let asked = Use { field: &at, spec: &spec, arguments, dry: dry.collect(), ends };
            self.of_template(&asked, &mut all, ledger)?;
        }
        Ok(all)
    }

    /// Notes what of the templates is not carried over.
    pub(super) fn settle(&self, ledger: &mut Ledger) {
        for (at, template) in &self.used {
            ledger.settle(at, &template.value["spec"], OF_TEMPLATE);
        }
    }

    fn remember(&mut self, at: &str, template: &'a Object) {
        if !self.used.iter().any(|(known, _)| known == at) {
            self.used.push((at.to_owned(), template));
        }
    }

    fn of_template(&mut self, asked: &Use<'_>, all: &mut Gathered, ledger: &mut Ledger) -> Result<(), Fault> {
        for (i, metric) in asked.spec.metrics.iter().enumerate() {
            let field = format!("{}.metrics[{i}]", asked.field);
            if let Some((found, takes)) = self.metric(metric, &field, asked, ledger)? {
                all.takes = all.takes.max(takes);
                all.metrics.push(found);
            }
        }
        Ok(())
    }

    /// A metric, and how long it is measured. None where it is told that it is not carried over.
    fn metric(
        &mut self,
        metric: &Metric,
        field: &str,
        asked: &Use<'_>,
        ledger: &mut Ledger,
    ) -> Result<Option<(Found, Span)>, Fault> {
        let Some(prometheus) = metric.provider.get("prometheus") else {
            let provider = metric.provider.keys().next().map_or("none", String::as_str);
            ledger
                .lost(field, format!("{} is measured by {provider}: {}", metric.name, of_provider(provider)));
            return Ok(None);
        };
        let at = format!("{field}.provider.prometheus");
        let prometheus: Prometheus = serde_path_to_error::deserialize(prometheus)
            .map_err(|error| Fault::new(join(&at, &error.path().to_string()), error.inner().to_string()))?;
        let judged = judge(metric, &asked.arguments, field, ledger);
        let (range, query) =
            match judged.and_then(|range| Ok((range, asked.arguments.query(&prometheus.query)?))) {
                Ok(both) => both,
                Err(why) => {
                    let remedy =
                        "write it as a query that gives one number, with min or max, in analysis.metrics";
                    ledger.lost(field, format!("{}: {why}; {remedy}", metric.name));
                    return Ok(None);
                }
            };
        let Some(mut plain) = plain(&metric.name, query.text, &range) else {
            ledger.lost(field, format!("{}: its bounds have more digits than min and max take", metric.name));
            return Ok(None);
        };
        asked.arguments.used(&query.used, ledger);
        ledger.carried(format!("{field}.name"));
        ledger.carried(format!("{at}.query"));
        plain.provider = self.providers.name(prometheus.address.as_deref(), &format!("{at}.address"), ledger);
        let times = Times::of(metric, asked, field, ledger)?;
        plain.interval = times.interval.and_then(duration);
        let (failures, observed) = limit(metric, asked, field, ledger)?;
        plain.failures = failures;
        let dry = dry(&metric.name, asked, ledger);
        plain.mode = (observed || dry).then_some(Mode::Observe);
        Ok(Some((Found { field: field.to_owned(), metric: plain }, times.takes)))
    }
}

fn missing(kind: &str, wanted: &TemplateRef) -> String {
    format!(
        "the {kind} {} is in none of the files; give its file too, with another -f, and its metrics are carried over",
        wanted.template_name
    )
}

fn read(template: &Object, at: &str) -> Result<TemplateSpec, Fault> {
    serde_path_to_error::deserialize(&template.value["spec"])
        .map_err(|error| Fault::new(format!("{at}.{}", error.path()), error.inner().to_string()))
}

/// What a metric must be, and what is not quite the same about that.
fn judge(metric: &Metric, arguments: &Arguments, field: &str, ledger: &mut Ledger) -> Result<Range, String> {
    let (success, failure) = (&metric.success_condition, &metric.failure_condition);
    let filled = |text: &Option<String>| text.as_deref().map(|text| arguments.text(text)).transpose();
    let (filled_success, filled_failure) = (filled(success)?, filled(failure)?);
    let text =
        |filled: &'_ Option<super::super::query::Filled>| filled.as_ref().map(|filled| filled.text.clone());
    let range = range(text(&filled_success).as_deref(), text(&filled_failure).as_deref())?;
    for filled in [&filled_success, &filled_failure].into_iter().flatten() {
        arguments.used(&filled.used, ledger);
    }
    let fields = [(success, "successCondition"), (failure, "failureCondition")];
    let fields: Vec<String> = fields
        .iter()
        .filter(|(given, _)| given.is_some())
        .map(|(_, name)| format!("{field}.{name}"))
        .collect();
    for field in &fields {
        ledger.carried(field);
    }
    let asked = fields.first().map_or(field, String::as_str);
    for open in &range.open {
        ledger.differs(
            asked,
            format!("exactly {open} is bad there, and good here: min and max are good themselves"),
        );
    }
    if let Some(good) = range.absent {
        let (counts, number) = if good { ("good", "a good") } else { ("bad", "a bad") };
        ledger.differs(
            asked,
            format!(
                "an answer without a number, or with NaN, counts as {counts} there; here it is an error: the step waits, and nothing \
                 is put back. If it shall count, leave NaN out with `>= -Inf` in the query, and add `or vector(…)` with {number} number"
            ),
        );
    }
    if range.between {
        ledger.differs(
            asked,
            "what is neither a success nor a failure is inconclusive there, and stops the run; here it is bad as a failure is",
        );
    }
    Ok(range)
}

/// When a metric is measured.
struct Times {
    interval: Option<Span>,
    takes: Span,
}

impl Times {
    fn of(metric: &Metric, asked: &Use<'_>, field: &str, ledger: &mut Ledger) -> Result<Self, Fault> {
        let at = format!("{field}.interval");
        let interval = match &metric.interval {
            None => None,
            Some(text) => {
                let filled = asked.arguments.text(text).map_err(|why| Fault::new(&at, why))?;
                asked.arguments.used(&filled.used, ledger);
                ledger.carried(&at);
                Some(span(&filled.text).map_err(|why| Fault::new(&at, why))?)
            }
        };
        let at = format!("{field}.count");
        let count = number(metric.count.as_ref(), asked, &at, ledger)?;
        let (Some(count), Some(each)) = (count, interval) else {
            if count.is_some() {
                ledger.lost(at, "it is measured at each look, as long as a step is watched");
            } else if interval.is_none() {
                ledger.differs(field, format!("{}: measured once there, and here at each look", metric.name));
            }
            return Ok(Self { interval, takes: Span::ZERO });
        };
        if !asked.ends {
            ledger.lost(at, "it is measured at each look, until the run is over");
            return Ok(Self { interval, takes: Span::ZERO });
        }
        let gaps = u32::try_from(count - 1).unwrap_or_default();
        ledger.carried(&at);
        ledger.differs(
            &at,
            format!(
                "{}: measured {count} times there, and then the step goes on; here the step is watched for that time, and \
                 measured at each look",
                metric.name
            ),
        );
        Ok(Self { interval, takes: each.saturating_mul(gaps) })
    }
}

/// How many bad looks in a row fail, and whether failing does not count at all.
fn limit(metric: &Metric, asked: &Use<'_>, field: &str, ledger: &mut Ledger) -> Result<(i32, bool), Fault> {
    let at = format!("{field}.failureLimit");
    let Some(limit) = number(metric.failure_limit.as_ref(), asked, &at, ledger)? else {
        return Ok((1, false));
    };
    ledger.carried(&at);
    if limit < 0 {
        ledger.differs(
            at,
            "no number of failures fails the run there: it is judged and told here, with mode: Observe",
        );
        return Ok((1, true));
    }
    let failures = failures(limit.saturating_add(1));
    if limit > 0 {
        ledger.differs(
            at,
            format!(
                "a run fails there with bad measurement number {} in all; here with {failures} bad looks in a row",
                limit.saturating_add(1)
            ),
        );
    }
    Ok((failures, false))
}

fn number(
    given: Option<&super::super::values::IntOrText>,
    asked: &Use<'_>,
    at: &str,
    ledger: &mut Ledger,
) -> Result<Option<i64>, Fault> {
    let Some(given) = given else { return Ok(None) };
    let filled = asked.arguments.text(&given.text()).map_err(|why| Fault::new(at, why))?;
    asked.arguments.used(&filled.used, ledger);
    let parsed = filled.text.parse();
    parsed
        .map(Some)
        .map_err(|_| Fault::new(at, format!("{:?} is no whole number; write it in digits", filled.text)))
}

/// Whether a metric only runs dry.
fn dry(name: &str, asked: &Use<'_>, ledger: &mut Ledger) -> bool {
    let mut any = false;
    for (field, dry) in asked.dry.iter().filter(|(_, dry)| dry.metric_name == "*" || dry.metric_name == name)
    {
        ledger.carried(field);
        any |= !dry.metric_name.is_empty();
    }
    any
}
