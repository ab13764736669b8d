//! Label and field selectors of lists and watches.

use serde_json::Value;

use super::failure::Failure;
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
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
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
        let labels = split_outside_parentheses(labels.unwrap_or_default())
            .map(requirement)
            .collect::<Result<_, _>>()
            .map_err(Failure::bad_request)?;
        let fields = fields.unwrap_or_default().split(',').filter(|term| !term.trim().is_empty());
        let fields = fields.map(|term| field_term(resource, term.trim())).collect::<Result<_, _>>()?;
        Ok(Self { namespace, labels, fields })
    }

    /// Restricts to one name, as a watch of a single object does.
    pub fn only_name(&mut self, name: &str) {
        let term = FieldTerm { pointer: "/metadata/name".to_owned(), equal: true, value: name.to_owned() };
        self.fields.push(term);
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

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.iter().any(|wanted| wanted == value)),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
        }
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn split_outside_parentheses(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    selector
        .split(move |letter| {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            letter == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|term| !term.is_empty())
}

fn requirement(term: &str) -> Result<Requirement, String> {
    let list = |text: &str| -> Result<Vec<String>, String> {
        let inside = text.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let inside = inside
            .ok_or_else(|| format!("unable to parse requirement: {term:?} lacks its list of values"))?;
        Ok(inside.split(',').map(|value| value.trim().to_owned()).collect())
    };
    let (key, test) = if let Some((key, values)) = term.split_once(" notin ") {
        (key, Test::NotIn(list(values)?))
    } else if let Some((key, values)) = term.split_once(" in ") {
        (key, Test::In(list(values)?))
    } else if let Some((key, value)) = term.split_once("!=") {
        (key, Test::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (key, Test::In(vec![value.trim().to_owned()]))
    } else if let Some(key) = term.strip_prefix('!') {
        (key, Test::Absent)
    } else {
        (term, Test::Exists)
    };
    let key = key.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(format!("unable to parse requirement: {term:?} has no valid key"));
    }
    Ok(Requirement { key: key.to_owned(), test })
}

fn field_term(resource: &Resource, term: &str) -> Result<FieldTerm, Failure> {
    let (label, value, equal) = if let Some((label, value)) = term.split_once("!=") {
        (label, value, false)
    } else if let Some((label, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (label, value, true)
    } else {
        return Err(Failure::bad_request(format!("invalid selector: {term:?}; can't understand {term:?}")));
    };
    let pointer = match label.trim() {
        "metadata.name" => "/metadata/name".to_owned(),
        "metadata.namespace" => "/metadata/namespace".to_owned(),
        other => match resource.selectable.iter().find(|(known, _)| known == other) {
            Some((_, pointer)) => pointer.clone(),
            None => {
                return Err(Failure::bad_request(format!("field label not supported: {other}")));
            }
        },
    };
    Ok(FieldTerm { pointer, equal, value: value.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors() {
        let labels = json!({"app": "color", "tier": "web"});
        for (selector, want) in [
            ("", true),
            ("app=color", true),
            ("app==color,tier=web", true),
            ("app!=color", false),
            ("app!=other", true),
            ("absent!=x", true),
            ("app in (a, color)", true),
            ("app in (a,b),tier=web", false),
            ("app notin (a,b)", true),
            ("tier notin (web)", false),
            ("app", true),
            ("!app", false),
            ("!absent", true),
        ] {
            let all = split_outside_parentheses(selector).map(|term| requirement(term).unwrap());
            assert_eq!(all.into_iter().all(|one| one.holds(&labels)), want, "{selector}");
        }
        for broken in ["app in color", "=x", "a b"] {
            assert!(requirement(broken).is_err(), "{broken}");
        }
    }
}
