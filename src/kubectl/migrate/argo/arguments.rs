//! Arguments of Argo's templates: what each stands for, and where that is said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    super::{
        ledger::Ledger,
        query::{Filled, Filling, fill},
        source::Object,
    },
    types::{Argument, ValueFrom},
};

/// The names that stand for the two versions in the manifest.
#[derive(Clone, Debug)]
pub(super) struct Parties {
    /// What has the traffic.
    pub(super) stable: Vec<String>,
    /// What will get it.
    pub(super) canary: Vec<String>,
}

/// An argument's value.
#[derive(Clone, Debug)]
struct Given {
    filling: Option<Filling>,
    field: String,
    todo: Option<String>,
}

/// All arguments of one use of a template.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments {
    given: BTreeMap<String, Given>,
    /// The fields that declare an argument, in the template.
    declared: BTreeMap<String, String>,
}

impl Arguments {
    /// What a template takes where nobody gives anything else.
    pub(super) fn declare(&mut self, args: &[Argument], field: &str, scope: &Scope<'_>) {
        for (i, arg) in args.iter().enumerate() {
            let field = format!("{field}[{i}]");
            self.declared.insert(arg.name.clone(), format!("{field}.name"));
            if arg.value.is_some() || arg.value_from.is_some() {
                self.given.insert(arg.name.clone(), scope.given(arg, field));
            }
        }
    }

    /// What the Rollout gives: it beats what the template has. A default that nobody uses is told.
    pub(super) fn give(&mut self, args: &[Argument], field: &str, scope: &Scope<'_>, ledger: &mut Ledger) {
        for (i, arg) in args.iter().enumerate() {
            let field = format!("{field}[{i}]");
            if let Some(beaten) = self.given.insert(arg.name.clone(), scope.given(arg, field)) {
                ledger.lost(format!("{}.value", beaten.field), "the Rollout gives it another value");
            }
        }
    }

    /// Fills a query, in which ours may stand.
    pub(super) fn query(&self, text: &str) -> Result<Filled, String> {
        fill(text, |name| self.filling(name))
    }

    /// Fills anything else, in which only what is known now may stand.
    pub(super) fn text(&self, text: &str) -> Result<Filled, String> {
        fill(text, |name| self.filling(name).map(|filling| Filling { ours: None, ..filling }))
    }

    fn filling(&self, name: &str) -> Option<Filling> {
        self.given.get(name.strip_prefix("args.")?)?.filling.clone()
    }

    /// Those arguments show in the result.
    pub(super) fn used(&self, names: &BTreeSet<String>, ledger: &mut Ledger) {
        for name in names.iter().filter_map(|name| name.strip_prefix("args.")) {
            if let Some(given) = self.given.get(name) {
                ledger.carried(&given.field);
                if let Some(todo) = &given.todo {
                    ledger.ask(&given.field, todo);
                }
            }
            if let Some(declared) = self.declared.get(name) {
                ledger.carried(declared);
            }
        }
    }
}

/// What the value of an argument may speak of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// The Rollout.
    pub(super) object: &'a Object,
    /// The two versions.
    pub(super) parties: &'a Parties,
}

impl Scope<'_> {
    fn given(&self, arg: &Argument, field: String) -> Given {
        match (&arg.value, &arg.value_from) {
            (Some(value), _) => Given { filling: Some(self.value(value)), field, todo: None },
            (None, Some(from)) => self.from(from, field),
            (None, None) => Given { filling: None, field, todo: None },
        }
    }

    /// A name of one of the versions changes with each release, and so it becomes our placeholder.
    fn value(&self, value: &str) -> Filling {
        let named =
            |ours, names: &[String]| names.iter().map(|name| (ours, name.clone())).collect::<Vec<_>>();
        let canary = named("{{canary}}", &self.parties.canary);
        for (ours, name) in canary.into_iter().chain(named("{{stable}}", &self.parties.stable)) {
            match value.strip_prefix(name.as_str()) {
                Some(rest) if !name.is_empty() && (rest.is_empty() || rest.starts_with('.')) => {
                    return Filling::ours(format!("{ours}{rest}"), Some(value.to_owned()));
                }
                Some(_) | None => {}
            }
        }
        Filling::text(value)
    }

    fn from(&self, from: &ValueFrom, field: String) -> Given {
        if let Some(which) = &from.pod_template_hash_value {
            let ours = match which.as_str() {
                "Latest" => "{{canary}}",
                "Stable" => "{{stable}}",
                _ => return Given { filling: None, field, todo: None },
            };
            let todo = format!(
                "there is no pod template hash to ask for: {ours} is the version's name in the routes. Let the query tell the \
                 versions apart by a label that has that name"
            );
            return Given { filling: Some(Filling::ours(ours, None)), field, todo: Some(todo) };
        }
        let path = from.field_ref.as_ref().map(|field| field.field_path.as_str());
        let text = path.and_then(|path| self.at(path));
        let filling = match path {
            Some("metadata.name") => Some(Filling::ours("{{rollout}}", text)),
            Some("metadata.namespace") => Some(Filling::ours("{{namespace}}", text)),
            Some(_) | None => text.map(Filling::text),
        };
        Given { filling, field, todo: None }
    }

    /// The text at a path of the Rollout: `spec.replicas`, `metadata.labels['app']`.
    fn at(&self, path: &str) -> Option<String> {
        let mut value = &self.object.value;
        let plain = path.replace("['", "\u{0}").replace("']", "");
        let parts = plain.split('\u{0}').enumerate().flat_map(|(i, part)| {
            let split: Vec<&str> = if i == 0 { part.split('.').collect() } else { vec![part] };
            split
        });
        for part in parts {
            value = value.get(part)?;
        }
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(so) => Some(so.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}
