//! Label and field selectors of lists and watches.

use serde_json::Value;

use super::failure::Failure;
use super::label_selector::{self, Requirement};
use super::object;
use super::resource::Resource;

/// Which objects a list or watch is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub namespace: Option<String>,
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug)]
struct FieldTerm {
    pointer: String,
    equal: bool,
    value: String,
}

impl Selection {
    pub fn parse(
        resource: &Resource,
        namespace: Option<String>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Self, Failure> {
        let labels = label_selector::parse(labels.unwrap_or_default()).map_err(Failure::bad_request)?;
        let fields = unescaped_commas(fields.unwrap_or_default());
        let fields = fields.into_iter().filter(|term| !term.is_empty());
        let fields = fields.map(|term| field_term(resource, &term)).collect::<Result<_, _>>()?;
        Ok(Self { namespace, labels, fields })
    }

    /// Whether every object of the resource, or of its namespace, is meant.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, stored: &Value) -> bool {
        let labels = &stored["metadata"]["labels"];
        self.namespace.as_deref().is_none_or(|namespace| object::namespace(stored) == namespace)
            && self.labels.iter().all(|requirement| requirement.holds(labels))
            && self
                .fields
                .iter()
                .all(|term| (shown(stored.pointer(&term.pointer)) == term.value) == term.equal)
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The terms between commas, those behind a backslash excepted.
fn unescaped_commas(selector: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut escaped = false;
    for letter in selector.chars() {
        if letter == ',' && !escaped {
            terms.push(String::new());
            continue;
        }
        if let Some(term) = terms.last_mut() {
            term.push(letter);
        }
        escaped = letter == '\\' && !escaped;
    }
    terms
}

/// A value without its backslashes, which only a comma, an equals sign and a backslash may follow.
fn unescape(value: &str) -> Option<String> {
    let mut plain = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.push(letters.next().filter(|next| ",=\\".contains(*next))?),
            ',' | '=' => return None,
            _ => plain.push(letter),
        }
    }
    Some(plain)
}

fn field_term(resource: &Resource, term: &str) -> Result<FieldTerm, Failure> {
    let (label, value, equal) = if let Some((label, value)) = term.split_once("!=") {
        (label, value, false)
    } else if let Some((label, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (label, value, true)
    } else {
        return Err(Failure::bad_request(format!("invalid selector: {term:?}; can't understand {term:?}")));
    };
    let pointer = match label {
        "metadata.name" => "/metadata/name".to_owned(),
        "metadata.namespace" if resource.namespaced => "/metadata/namespace".to_owned(),
        other => match resource.selectable.iter().find(|(known, _)| known == other) {
            Some((_, pointer)) => pointer.clone(),
            None => {
                return Err(Failure::bad_request(format!("field label not supported: {other}")));
            }
        },
    };
    let value = unescape(value)
        .ok_or_else(|| Failure::bad_request(format!("invalid field selector: invalid value {value:?}")))?;
    Ok(FieldTerm { pointer, equal, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_and_their_escapes() {
        assert_eq!(unescaped_commas(r"a=b,c=d\,e"), ["a=b", r"c=d\,e"]);
        assert_eq!(unescape(r"d\,e\=\\"), Some(r"d,e=\".to_owned()));
        assert_eq!(unescape(r"a\b"), None);
        assert_eq!(unescape("a=b"), None);
    }
}
