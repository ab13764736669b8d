//! The template of an analysis: what a Rollout that names one is judged by. Pure.
//!
//! It is resolved when a run starts, and the run keeps the outcome: whoever edits or deletes the template changes the runs
//! to come alone. Args in `series.params` are put in here. In queries they stay placeholders until the look, for only the
//! provider knows how a value is escaped where it stands.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use crate::api::{Analysis, AnalysisTemplateSpec, Mode, Phase, RolloutSpec};

/// What placeholders of args begin with.
const ARGS: &str = "args.";

/// The template that a Rollout names, as it was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TemplateSeen {
    /// It stands.
    Present(Arc<AnalysisTemplateSpec>),
    /// There is none of that name; or the Rollout names none.
    #[default]
    Missing,
    /// It is not known yet whether it stands.
    Pending,
    /// Nothing is known of it; the sentence says why.
    Unreadable(String),
}

/// Why a template can't be followed: what it makes of the Rollout, the reason's word, and a sentence with the remedy.
pub type Refusal = (Phase, &'static str, String);

/// By what a run that starts now is judged. The `mode` is the template's, where one is named: what the Rollout says besides
/// counts as it is at each moment.
pub fn analysis<'a>(
    spec: &'a RolloutSpec,
    seen: &TemplateSeen,
) -> Result<Option<Cow<'a, Analysis>>, Refusal> {
    match &spec.analysis {
        Some(own) if own.template_ref.is_some() => {
            resolve(own, seen).map(|analysis| Some(Cow::Owned(analysis)))
        }
        own => Ok(own.as_ref().map(Cow::Borrowed)),
    }
}

fn resolve(own: &Analysis, seen: &TemplateSeen) -> Result<Analysis, Refusal> {
    let name = own.template_ref.as_ref().map_or("", |template| template.name.as_str());
    let invalid = |reason, sentence| (Phase::Invalid, reason, sentence);
    match seen {
        TemplateSeen::Present(template) => {
            filled_in(own, template, name).map_err(|sentence| invalid("InvalidTemplate", sentence))
        }
        TemplateSeen::Pending => {
            let sentence =
                format!("the run waits until it is known whether there is an AnalysisTemplate {name}");
            Err((Phase::Progressing, "Waiting", sentence))
        }
        TemplateSeen::Missing => {
            let sentence = format!(
                "spec.analysis.templateRef: there is no AnalysisTemplate {name} in this namespace; create it, or name \
                 another"
            );
            Err(invalid("TemplateNotFound", sentence))
        }
        TemplateSeen::Unreadable(why) => {
            let sentence =
                format!("spec.analysis.templateRef: the AnalysisTemplate {name} can't be read: {why}");
            Err(invalid("TemplateUnreadable", sentence))
        }
    }
}

/// The template's analysis with all that the Rollout gives it; else a sentence.
fn filled_in(own: &Analysis, template: &AnalysisTemplateSpec, name: &str) -> Result<Analysis, String> {
    if !own.is_only_named() {
        return Err(
            "spec.analysis has a templateRef and judges by something itself; leave one of the two".to_owned()
        );
    }
    if template.analysis.template_ref.is_some() {
        return Err(format!("the AnalysisTemplate {name} names another template; put its analysis in"));
    }
    if template.analysis.judges_nothing() {
        return Err(format!(
            "the AnalysisTemplate {name} judges nothing; give it at least one of errorRate, latency and metrics"
        ));
    }
    let args = args(own, template, name)?;
    let mut analysis = template.analysis.clone();
    if let Some(unknown) = unknown(&analysis, &args) {
        return Err(format!(
            "the AnalysisTemplate {name} has the placeholder {{{{args.{unknown}}}}}, and no arg of that name; add it to \
             its args"
        ));
    }
    if let Some(series) = &mut analysis.series {
        for value in series.params.values_mut() {
            *value = filled(value, &args);
        }
    }
    analysis.template_ref.clone_from(&own.template_ref);
    analysis.args = args;
    analysis.ignore_stable |= own.ignore_stable;
    Ok(analysis)
}

/// All args with their values.
fn args(
    own: &Analysis,
    template: &AnalysisTemplateSpec,
    name: &str,
) -> Result<BTreeMap<String, String>, String> {
    let declared = || template.args.iter().map(|arg| arg.name.as_str()).collect::<Vec<_>>();
    if let Some(unknown) = own.args.keys().find(|given| !declared().contains(&given.as_str())) {
        let known = match declared().as_slice() {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        return Err(format!(
            "spec.analysis.args has {unknown}, which the AnalysisTemplate {name} does not take (it takes {known}); remove \
             it"
        ));
    }
    let mut args = BTreeMap::new();
    for arg in &template.args {
        let Some(value) = own.args.get(&arg.name).or(arg.default.as_ref()) else {
            return Err(format!(
                "the AnalysisTemplate {name} needs the arg {}; add it to spec.analysis.args",
                arg.name
            ));
        };
        if value.contains("{{") {
            return Err(format!(
                "the arg {} of the AnalysisTemplate {name} has a placeholder in its value, which is taken as it is; put \
                 the placeholder into the template",
                arg.name
            ));
        }
        args.insert(arg.name.clone(), value.clone());
    }
    Ok(args)
}

/// A placeholder of an arg that is none.
fn unknown<'a>(analysis: &'a Analysis, args: &BTreeMap<String, String>) -> Option<&'a str> {
    let series = analysis.series.iter();
    let params = series.clone().flat_map(|series| series.params.values());
    let queries = series.flat_map(|series| [&series.errors, &series.total, &series.latency]).flatten();
    let metrics = analysis.metrics.iter().map(|metric| &metric.query);
    let texts = params.chain(queries).chain(metrics);
    texts.flat_map(|text| placeholders(text)).find(|name| !args.contains_key(*name))
}

/// The names of args that a text has placeholders of.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let opened = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    opened.filter_map(|(name, _)| name.trim().strip_prefix(ARGS))
}

fn filled(text: &str, args: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part.split_once("}}").and_then(|(name, rest)| {
            let value = args.get(name.trim().strip_prefix(ARGS)?)?;
            Some((value, rest))
        });
        match value {
            Some((value, rest)) => filled.extend([value, rest]),
            None => filled.extend(["{{", part]),
        }
    }
    filled
}

/// The mode that a run has now whose Rollout names a template: the Rollout's own `Observe` counts at once, and what the
/// template said at the run's start stays.
pub(super) fn mode(frozen: &Analysis, own: &Analysis) -> Mode {
    if own.mode == Mode::Enforce && frozen.template_ref.is_some() { frozen.mode } else { own.mode }
}
