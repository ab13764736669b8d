//! Whether the queries of an analysis could be asked: placeholders are filled as the product fills them, and what comes of
//! it must parse.

use std::collections::BTreeMap;

use promql_parser::parser::{self, value::ValueType};
use serde_json::json;

use super::{finding::Fault, objects::Object, references};
use crate::{
    api::{Analysis, AnalysisTemplateSpec, RolloutSpec},
    config::{Config, ProvidersConfig},
    engine::{
        look::{ArmsRequest, LookRequest, NumberRequest},
        template,
    },
    metrics::questions::{self, Kind, PromQl},
};

/// The namespace that stands for one that is not told before the manifest is applied.
const ANY_NAMESPACE: &str = "default";
/// The value that stands for an arg that has no default.
const ANY_VALUE: &str = "1";
/// What stands between the path and the JSONPath of a web query.
const WEB: &str = " | $";

/// What can't be asked of a Rollout's own analysis, and of its steps'.
pub(super) fn of_rollout(
    object: &Object,
    spec: &RolloutSpec,
    analysis: &Analysis,
    config: Option<&Config>,
) -> Vec<Fault> {
    let namespace = if object.namespace.is_empty() { ANY_NAMESPACE } else { &object.namespace };
    // Before it is known what is stable, any name stands for it.
    let stable = spec.stable.as_ref().unwrap_or(&spec.target);
    let arms = (spec.target.name.as_str(), stable.name.as_str());
    let request = LookRequest::of_run(spec, analysis, (namespace, &object.name), arms);
    Asking { spec, analysis, request: &request, config }.faults()
}

/// What can't be asked of a template's analysis, whoever names it.
pub(super) fn of_template(
    object: &Object,
    spec: &AnalysisTemplateSpec,
    config: Option<&Config>,
) -> Vec<Fault> {
    let given = |arg: &crate::api::TemplateArg| {
        (arg.name.clone(), arg.default.clone().unwrap_or_else(|| ANY_VALUE.to_owned()))
    };
    let args: BTreeMap<String, String> = spec.args.iter().map(given).collect();
    let rollout = json!({
        "routes": [], "target": {"name": "target"}, "strategy": {},
        "analysis": {"templateRef": {"name": object.name}, "args": args},
    });
    let rollout: RolloutSpec = match serde_json::from_value(rollout) {
        Ok(rollout) => rollout,
        Err(error) => return vec![Fault::error("spec.args", error.to_string())],
    };
    match template::analysis(&rollout, &references::seen(spec)) {
        Ok(Some(analysis)) => of_rollout(object, &rollout, &analysis, config),
        Ok(None) => vec![],
        Err((_, _, sentence)) => vec![Fault::error("spec.analysis", sentence)],
    }
}

/// What a provider is known to be.
#[derive(Clone, Copy)]
enum Provider {
    /// By the configuration, or by a preset.
    Certain(Kind),
    /// By the form of its query.
    Guessed(Kind),
}

impl Provider {
    const fn kind(self) -> Kind {
        match self {
            Self::Certain(kind) | Self::Guessed(kind) => kind,
        }
    }

    /// A fault, if it is one: what was only taken for PromQL may be something else.
    fn fault(self, field: &str, message: &str) -> Fault {
        match self {
            Self::Guessed(Kind::Prometheus) => Fault::warning(
                field,
                format!(
                    "{message} (it is taken for PromQL, since no --config says of what kind its provider is)"
                ),
            ),
            Self::Certain(_) | Self::Guessed(Kind::Envoy | Kind::CloudWatch | Kind::Web) => {
                Fault::error(field, message)
            }
        }
    }
}

/// All questions of an analysis.
struct Asking<'a> {
    spec: &'a RolloutSpec,
    analysis: &'a Analysis,
    request: &'a LookRequest,
    config: Option<&'a Config>,
}

impl Asking<'_> {
    fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.request.arms.iter().flat_map(|arms| self.of_arms(arms)).collect();
        faults.extend(self.request.numbers.iter().filter_map(|number| self.of_number(number)));
        faults
    }

    fn of_arms(&self, arms: &ArmsRequest) -> Vec<Fault> {
        let field = "spec.analysis.series";
        let provider = match self.provider(arms.provider.as_deref(), || guess_arms(arms)) {
            Ok(provider) => provider,
            Err(unknown) => return vec![Fault::error("spec.analysis.provider", unknown)],
        };
        match questions::of_arms(provider.kind(), self.request, arms) {
            Err(error) => vec![provider.fault(field, &error.to_string())],
            Ok(asked) => asked
                .iter()
                .filter_map(|asked| {
                    Some(provider.fault(&format!("{field}.{}", asked.role), &counters(asked).err()?))
                })
                .collect(),
        }
    }

    fn of_number(&self, number: &NumberRequest) -> Option<Fault> {
        let field = self.field(number);
        let provider = match self.provider(number.provider.as_deref(), || self.guess_number(number)) {
            Ok(provider) => provider,
            Err(unknown) => return Some(Fault::error(format!("{field}.provider"), unknown)),
        };
        let field = format!("{field}.query");
        match questions::of_number(provider.kind(), self.request, number) {
            Err(error) => Some(provider.fault(&field, &error.to_string())),
            Ok(asked) => Some(provider.fault(&field, &one_number(&asked?).err()?)),
        }
    }

    /// Of what kind a provider is; else that there is none of that name.
    fn provider(&self, name: Option<&str>, guess: impl Fn() -> Provider) -> Result<Provider, String> {
        let Some(Config { providers, .. }) = self.config else { return Ok(guess()) };
        let ProvidersConfig { default, entries } = providers;
        let known = name.or(default.as_deref()).and_then(|name| entries.get(name));
        known.map(|provider| Provider::Certain(Kind::of(provider))).ok_or_else(|| unknown(name, providers))
    }

    /// What the arms are asked of by the same name is of their kind.
    fn guess_number(&self, number: &NumberRequest) -> Provider {
        let arms = self.request.arms.as_ref().filter(|arms| arms.provider == number.provider);
        match arms.map(guess_arms) {
            Some(certain @ Provider::Certain(Kind::CloudWatch)) => certain,
            Some(Provider::Certain(_) | Provider::Guessed(_)) | None => guess(&number.query),
        }
    }

    /// The field of a metric: the analysis' own, or a step's.
    fn field(&self, number: &NumberRequest) -> String {
        let is_it = |metric: &crate::api::PlainMetric| NumberRequest::of(metric, self.analysis) == *number;
        if let Some(at) = self.analysis.metrics.iter().position(is_it) {
            return format!("spec.analysis.metrics[{at}]");
        }
        let steps = self.spec.strategy.canary.iter().flat_map(|canary| &canary.steps).enumerate();
        let mut of_steps = steps.filter_map(|(at, step)| Some((at, step.analysis.as_ref()?)));
        let found = of_steps.find_map(|(at, own)| Some((at, own.metrics.iter().position(is_it)?)));
        found.map_or_else(
            || "spec.analysis.metrics".to_owned(),
            |(step, at)| format!("spec.strategy.canary.steps[{step}].analysis.metrics[{at}]"),
        )
    }
}

fn guess_arms(arms: &ArmsRequest) -> Provider {
    match arms.series.preset {
        Some(preset) => Provider::Certain(Kind::of_preset(preset)),
        None => guess(arms.series.total.as_deref().unwrap_or_default()),
    }
}

fn guess(query: &str) -> Provider {
    Provider::Guessed(if query.contains(WEB) { Kind::Web } else { Kind::Prometheus })
}

fn unknown(name: Option<&str>, providers: &ProvidersConfig) -> String {
    let known: Vec<&str> = providers.entries.keys().map(String::as_str).collect();
    let known =
        if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
    match name {
        Some(name) => format!(
            "the controller's configuration has no provider {name} ({known}); name one of its providers, or add it there"
        ),
        None => format!(
            "no provider is named, and the controller's configuration has no default ({known}); name one of its providers"
        ),
    }
}

/// What both arms are asked for must be series.
fn counters(asked: &PromQl) -> Result<(), String> {
    match value_type(asked)? {
        ValueType::Vector => Ok(()),
        ValueType::Matrix => Err(format!(
            "the query {} asks for a range of time, and must ask for counters as they are now: take the [...] off",
            asked.role
        )),
        ValueType::Scalar | ValueType::String => Err(format!(
            "the query {} has no series in it, and must ask for counters, like requests_total{{...}}",
            asked.role
        )),
    }
}

/// A plain number must be one.
fn one_number(asked: &PromQl) -> Result<(), String> {
    match value_type(asked)? {
        ValueType::Vector | ValueType::Scalar => Ok(()),
        ValueType::Matrix => Err(format!(
            "the query {} asks for a range of time, and must return one number: put it into a function like rate or \
             avg_over_time",
            asked.role
        )),
        ValueType::String => Err(format!("the query {} is a text, and must return one number", asked.role)),
    }
}

fn value_type(asked: &PromQl) -> Result<ValueType, String> {
    let PromQl { role, query } = asked;
    let parsed = parser::parse(query).map_err(|why| {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("the query {role} is no PromQL: {why}; it is asked as {query}")
    })?;
    Ok(parsed.value_type())
}
