//! The JSON paths that CustomResourceDefinitions use: fields, indexes, `[*]` and equality filters.

use serde_json::Value;

/// Values at a path such as `.status.conditions[?(@.type=="Ready")].status`; none where it leads nowhere.
pub(super) fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    for step in steps(path) {
        found = found.into_iter().flat_map(|value| step.apply(value)).collect();
    }
    found
}

/// The pointer of a plain path, such as `/spec/replicas` for `.spec.replicas`.
pub(super) fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

enum Step<'p> {
    Field(String),
    Index(usize),
    All,
    Filter { field: &'p str, wanted: &'p str },
}

impl Step<'_> {
    fn apply<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = value.as_array().into_iter().flatten();
        match self {
            Step::Field(name) => value.get(name).into_iter().collect(),
            Step::Index(index) => value.get(index).into_iter().collect(),
            Step::All => items.collect(),
            Step::Filter { field, wanted } => items
                .filter(|item| find(item, field).first().is_some_and(|value| shown(value) == *wanted))
                .collect(),
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        let (step, after) = if let Some(inside) = rest.strip_prefix('[') {
            let end = closing(inside);
            (bracket(&inside[..end]), inside[end..].strip_prefix(']').unwrap_or_default())
        } else {
            let (name, after) = field(rest.strip_prefix('.').unwrap_or(rest));
            (Some(Step::Field(name)), after)
        };
        steps.extend(step);
        rest = after;
    }
    steps
}

/// A field name up to the next unescaped `.` or `[`; `\.` stands for a dot in the name.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => return (name, &text[at..]),
            _ => {
                name.push(letter);
                escaped = false;
            }
        }
    }
    (name, "")
}

/// Where the bracket closes, quotes respected.
fn closing(text: &str) -> usize {
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (None, ']') => return at,
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
    }
    text.len()
}

fn bracket(text: &str) -> Option<Step<'_>> {
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    if text == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        let (field, wanted) = filter.split_once("==")?;
        let field = field.trim().strip_prefix('@')?;
        return Some(Step::Filter { field, wanted: wanted.trim().trim_matches(['"', '\'']) });
    }
    text.parse().map(Step::Index).ok().or_else(|| Some(Step::Field(unquoted(text))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_printer_columns() {
        let object = json!({
            "spec": {"replicas": 3, "targets": [{"name": "a"}, {"name": "b"}]},
            "metadata": {"annotations": {"x.y/z": "dotted"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        for (path, want) in [
            (".spec.replicas", vec![json!(3)]),
            (".spec.targets[1].name", vec![json!("b")]),
            (".spec.targets[*].name", vec![json!("a"), json!("b")]),
            (r#".status.conditions[?(@.type=="Ready")].status"#, vec![json!("True")]),
            (".status.conditions[?(@.type=='Other')].status", vec![json!("False")]),
            (r".metadata.annotations.x\.y/z", vec![json!("dotted")]),
            (".metadata.annotations['x.y/z']", vec![json!("dotted")]),
            ("{.spec.replicas}", vec![json!(3)]),
            (".spec.absent.deeper", vec![]),
            (".spec.targets[9].name", vec![]),
            ("[", vec![]),
        ] {
            let found: Vec<Value> = find(&object, path).into_iter().cloned().collect();
            assert_eq!(found, want, "{path}");
        }
    }
}
