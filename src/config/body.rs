//! The body of a webhook: a value of JSON in whose texts there may be placeholders. What is put in fills a value and never a
//! text of JSON, so nothing can end the string that it stands in.

use serde_json::Value;

use super::Problem;

/// A value to be filled for each notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The same in every notice: null, a truth value or a number.
    Fixed(Value),
    /// A text; what a single placeholder makes of it may be a number or null.
    Text(Vec<Part>),
    /// A list.
    List(Vec<Body>),
    /// An object.
    Object(Vec<(String, Body)>),
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is written.
    Written(String),
    /// What stands for it.
    Placeholder(Placeholder),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The Rollout's namespace.
    Namespace,
    /// The Rollout's name.
    Rollout,
    /// What happened, in a word.
    Transition,
    /// The number of the run; null where the notice is about none.
    Run,
    /// The step; null where the notice is about no run.
    Step,
    /// The reason in a word.
    Reason,
    /// The sentence.
    Message,
    /// The target.
    Target,
    /// What is stable; null where nothing is yet.
    Stable,
    /// The canary's share in percent; null where it is not known.
    Weight,
    /// When it happened, as RFC 3339 has it.
    At,
    /// The notice's id.
    Id,
    /// The configured name of the cluster; null where there is none.
    ClusterName,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Namespace,
        Self::Rollout,
        Self::Transition,
        Self::Run,
        Self::Step,
        Self::Reason,
        Self::Message,
        Self::Target,
        Self::Stable,
        Self::Weight,
        Self::At,
        Self::Id,
        Self::ClusterName,
    ];

    /// The word between the braces.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Rollout => "rollout",
            Self::Transition => "transition",
            Self::Run => "run",
            Self::Step => "step",
            Self::Reason => "reason",
            Self::Message => "message",
            Self::Target => "target",
            Self::Stable => "stable",
            Self::Weight => "weight",
            Self::At => "at",
            Self::Id => "id",
            Self::ClusterName => "clusterName",
        }
    }
}

/// Parses all texts of a value; `key` and `line` are where it stands.
pub(super) fn resolve(written: Value, key: &str, line: u64) -> Result<Body, Problem> {
    match written {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Body::Fixed(written)),
        Value::String(text) => {
            parts(&text).map(Body::Text).map_err(|problem| Problem::new(line, key, problem))
        }
        Value::Array(elements) => {
            let resolve = |(index, element)| resolve(element, &format!("{key}[{index}]"), line);
            elements.into_iter().enumerate().map(resolve).collect::<Result<_, _>>().map(Body::List)
        }
        Value::Object(fields) => {
            let resolve = |(name, field): (String, Value)| {
                if name.contains("{{") {
                    let text = "there can be no placeholder in a key; put it into the value";
                    return Err(Problem::new(line, key, text));
                }
                let field = resolve(field, &format!("{key}.{name}"), line)?;
                Ok((name, field))
            };
            fields.into_iter().map(resolve).collect::<Result<_, _>>().map(Body::Object)
        }
    }
}

/// The parts of a text, or what is wrong with it.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) =
            after.split_once("}}").ok_or("{{ is never closed; write }} behind the name".to_owned())?;
        let known = Placeholder::ALL.into_iter().find(|known| known.word() == name.trim());
        let placeholder = known.ok_or_else(|| {
            let known: Vec<&str> = Placeholder::ALL.iter().map(|known| known.word()).collect();
            format!("the placeholder {{{{{name}}}}} is not known; it must be one of {}", known.join(", "))
        })?;
        if !before.is_empty() {
            parts.push(Part::Written(before.to_owned()));
        }
        parts.push(Part::Placeholder(placeholder));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Written(rest.to_owned()));
    }
    Ok(parts)
}
