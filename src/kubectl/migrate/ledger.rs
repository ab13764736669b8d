//! The ledger of a migration: each field of the source is carried over, or a note says what to do instead. What nobody
//! spoke for is noted when the ledger is settled, so nothing is lost in silence.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Kind {
    /// The field has no counterpart, or none that says the same.
    NotCarried,
    /// A person has to fill something in, or to see to something in the cluster.
    ToDo,
    /// It is carried over, and does not do quite the same.
    Differs,
}

impl Kind {
    /// As comments say it.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::NotCarried => "Not carried over",
            Self::ToDo => "To do",
            Self::Differs => "Differs",
        }
    }
}

/// What somebody should know about one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Note {
    /// What it is about.
    pub(super) kind: Kind,
    /// The field, of the source where it is not carried over or differs.
    pub(super) field: String,
    /// Why, and what to do.
    pub(super) message: String,
}

/// A field of which something is known though it has no counterpart: its path, with `[]` for any item, and what to say.
pub(super) type Known = (&'static str, &'static str);

/// What became of each field so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    carried: BTreeSet<String>,
    notes: Vec<Note>,
}

impl Ledger {
    /// A field, with all that is in it, shows in the result.
    pub(super) fn carried(&mut self, field: impl Into<String>) {
        self.carried.insert(field.into());
    }

    /// A field, with all that is in it, does not show in the result.
    pub(super) fn lost(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.note(Kind::NotCarried, field, message);
    }

    /// Something to be done by a person.
    pub(super) fn ask(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.note(Kind::ToDo, field, message);
    }

    /// A field that is carried over and does not do quite the same.
    pub(super) fn differs(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.note(Kind::Differs, field, message);
    }

    fn note(&mut self, kind: Kind, field: impl Into<String>, message: impl Into<String>) {
        let note = Note { kind, field: field.into(), message: message.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Notes every field of a source for which nobody has spoken. `at` is the path of the source itself.
    pub(super) fn settle(&mut self, at: &str, source: &Value, known: &[Known]) {
        if source.is_null() || self.covers(at) {
            return;
        }
        let spoken_for = self.speaks_below(at);
        let pattern = pattern(at);
        let told = known.iter().find(|(path, _)| pattern.strip_suffix(path).is_some_and(starts_whole));
        if let (Some((_, message)), false) = (told, spoken_for) {
            return self.lost(at, *message);
        }
        let told_below = known.iter().any(|(path, _)| {
            let rest = path.strip_prefix(below(&pattern));
            rest.is_some_and(|rest| rest.starts_with(['.', '[']))
        });
        let children = children(at, source);
        if children.is_empty() || !(spoken_for || told_below || at.ends_with("spec")) {
            return self.lost(at, "Tidegate has no such field");
        }
        for (path, child) in children {
            self.settle(&path, child, known);
        }
    }

    /// The notes, by what they are about, and in the order in which they were made.
    pub(super) fn into_notes(self) -> Vec<Note> {
        let mut notes = self.notes;
        notes.sort_by_key(|note| note.kind);
        notes
    }

    /// What was carried over.
    #[cfg(test)]
    pub(super) fn all_carried(&self) -> Vec<String> {
        self.carried.iter().cloned().collect()
    }

    /// Whether the field, or what it is in, was carried over or is told not to be.
    pub(super) fn covers(&self, field: &str) -> bool {
        self.spoken().any(|known| within(field, known))
    }

    fn speaks_below(&self, field: &str) -> bool {
        self.spoken().any(|known| within(known, field))
    }

    fn spoken(&self) -> impl Iterator<Item = &str> {
        let lost = self.notes.iter().filter(|note| note.kind == Kind::NotCarried);
        self.carried.iter().map(String::as_str).chain(lost.map(|note| note.field.as_str()))
    }
}

/// Whether a path is another one or lies in it.
pub(super) fn within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A path with `[]` for the number of any item.
fn pattern(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |so_far, part| match part.split_once(']') {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{so_far}[]{rest}")
        }
        Some(_) | None => format!("{so_far}[{part}"),
    })
}

/// A path without the object that it is in: `AnalysisTemplate/a:spec.args` is `spec.args`.
fn below(pattern: &str) -> &str {
    pattern.rsplit_once(':').map_or(pattern, |(_, path)| path)
}

/// Whether what stands before a path is nothing, or the object that the path is in.
fn starts_whole(before: &str) -> bool {
    before.is_empty() || before.ends_with(':')
}

/// The fields or items of a value, by their paths. Nothing that is not there: a null says nothing.
pub(super) fn children<'a>(at: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    let all: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, child)| (join(at, key), child)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(i, child)| (format!("{at}[{i}]"), child)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    };
    all.into_iter().filter(|(_, child)| !child.is_null()).collect()
}

/// The path of a field of an object.
pub(super) fn join(at: &str, key: &str) -> String {
    if key.contains(['.', '[', ':']) { format!("{at}['{key}']") } else { format!("{at}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: &[Known] = &[("spec.paused", "said"), ("spec.steps[].mirror", "no mirrors")];

    fn settled(source: &Value, carried: &[&str], lost: &[&str]) -> Vec<String> {
        let mut ledger = Ledger::default();
        for field in carried {
            ledger.carried(*field);
        }
        for field in lost {
            ledger.lost(*field, "lost");
        }
        ledger.settle("spec", source, KNOWN);
        ledger.into_notes().into_iter().map(|note| format!("{}: {}", note.field, note.message)).collect()
    }

    #[test]
    fn what_nobody_spoke_for_is_noted() {
        let none = "Tidegate has no such field";
        let cases = [
            ("nothing", json!({}), &[][..], &[][..], vec![format!("spec: {none}")]),
            ("a field", json!({"a": 1, "b": 2}), &["spec.a"], &[], vec![format!("spec.b: {none}")]),
            ("a null", json!({"a": 1, "b": null}), &["spec.a"], &[], vec![]),
            ("a known field", json!({"paused": true}), &[], &[], vec!["spec.paused: said".into()]),
            (
                "a known field of an item",
                json!({"steps": [{"weight": 1}, {"mirror": {"a": 1}}]}),
                &["spec.steps[0].weight"],
                &[],
                vec!["spec.steps[1].mirror: no mirrors".into()],
            ),
            ("all of it", json!({"a": {"b": {"c": 1, "d": 2}}}), &[], &[], vec![format!("spec.a: {none}")]),
            (
                "part of it",
                json!({"a": {"b": {"c": 1, "d": 2}}}),
                &["spec.a.b.c"],
                &[],
                vec![format!("spec.a.b.d: {none}")],
            ),
            (
                "not a longer name",
                json!({"ab": 1, "a": 2}),
                &["spec.a"],
                &[],
                vec![format!("spec.ab: {none}")],
            ),
            ("noted before", json!({"a": {"b": 1}}), &[], &["spec.a"], vec!["spec.a: lost".into()]),
            ("a name with a dot", json!({"a.b": 1}), &[], &[], vec![format!("spec['a.b']: {none}")]),
        ];
        for (name, source, carried, lost, want) in cases {
            assert_eq!(settled(&source, carried, lost), want, "{name}");
        }
    }

    #[test]
    fn the_object_before_a_path_is_left_out_of_what_is_known() {
        let mut ledger = Ledger::default();
        ledger.settle("T/a:spec", &json!({"steps": [{"mirror": 1}]}), KNOWN);
        assert_eq!(ledger.into_notes()[0].field, "T/a:spec.steps[0].mirror");
    }

    #[test]
    fn to_do_and_differs_speak_for_nothing() {
        let mut ledger = Ledger::default();
        ledger.differs("spec.a", "so");
        ledger.ask("spec.a", "so");
        ledger.settle("spec", &json!({"a": 1}), &[]);
        let kinds: Vec<Kind> = ledger.into_notes().iter().map(|note| note.kind).collect();
        assert_eq!(kinds, [Kind::NotCarried, Kind::ToDo, Kind::Differs]);
    }
}
