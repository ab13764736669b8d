//! Whatever JSON the admin wants. Placeholders are filled in a value, never in a text of JSON.

use serde_json::Value;

use super::{Message, Told, document::document};
use crate::config::{Body, Part, Placeholder};

/// Without a body of its own it is sent all that is known.
pub(in crate::notify) fn webhook(told: Told<'_>, body: Option<&Body>) -> Message {
    Message::json(body.map_or_else(|| document(told), |body| fill(told, body)))
}

fn fill(told: Told<'_>, body: &Body) -> Value {
    match body {
        Body::Fixed(value) => value.clone(),
        Body::Text(parts) => match parts.as_slice() {
            [Part::Placeholder(only)] => value(told, *only),
            parts => parts.iter().map(|part| text(told, part)).collect::<String>().into(),
        },
        Body::List(elements) => elements.iter().map(|element| fill(told, element)).collect(),
        Body::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), fill(told, field))).collect()
        }
    }
}

fn text(told: Told<'_>, part: &Part) -> String {
    match part {
        Part::Written(text) => text.clone(),
        Part::Placeholder(placeholder) => match value(told, *placeholder) {
            Value::Null => String::new(),
            Value::String(text) => text,
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        },
    }
}

fn value(told: Told<'_>, placeholder: Placeholder) -> Value {
    let Told { notice, about, cluster } = told;
    match placeholder {
        Placeholder::Namespace => about.namespace.as_str().into(),
        Placeholder::Rollout => about.rollout.as_str().into(),
        Placeholder::Transition => notice.transition.word().into(),
        Placeholder::Run => notice.run.into(),
        Placeholder::Step => notice.step.into(),
        Placeholder::Reason => notice.reason.as_str().into(),
        Placeholder::Message => notice.message.as_str().into(),
        Placeholder::Target => notice.target.as_str().into(),
        Placeholder::Stable => notice.stable.as_deref().into(),
        Placeholder::Weight => notice.weight.into(),
        Placeholder::At => notice.at.to_string().into(),
        Placeholder::Id => told.id().into(),
        Placeholder::ClusterName => cluster.into(),
    }
}
