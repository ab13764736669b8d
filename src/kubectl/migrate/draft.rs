//! The Rollout that comes out: valid by its CRD, without what goes without saying.

use kube::CustomResourceExt;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::{
    Error,
    ledger::{Ledger, Note},
};
use crate::{
    api::{GROUP, Rollout, RolloutSpec, TargetRef, WorkloadKind, WorkloadRef, WorkloadVersion},
    schema::Schema,
};

/// A Rollout that came out of another object, and what became of that object's fields.
#[derive(Debug)]
pub(super) struct Draft {
    /// Its name.
    pub(super) name: String,
    /// Its namespace, where that is known.
    pub(super) namespace: Option<String>,
    /// What it wants.
    pub(super) spec: RolloutSpec,
    /// What became of each field.
    pub(super) ledger: Ledger,
}

/// A Rollout as a manifest, and what somebody should know about it.
#[derive(Debug, Serialize)]
pub(super) struct Migrated {
    /// The manifest.
    pub(super) rollout: Ordered,
    /// The notes.
    pub(super) notes: Vec<Note>,
}

/// A version as routes name it.
pub(super) fn target(name: String, port: Option<i32>, workload_ref: Option<WorkloadRef>) -> TargetRef {
    TargetRef { name, port, workload_ref }
}

/// A Deployment.
pub(super) fn workload(name: String) -> WorkloadRef {
    WorkloadRef { api_version: WorkloadVersion::AppsV1, kind: WorkloadKind::Deployment, name }
}

/// The schema of Rollouts.
pub(super) fn schema() -> Result<Schema, Error> {
    let crd = serde_json::to_value(Rollout::crd())?;
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let (schema, _) = Schema::compile(schema)
        .map_err(|error| Error::Refused(format!("cannot read the schema of Rollouts: {error}")))?;
    Ok(schema)
}

impl Draft {
    /// As a manifest. What the API server would refuse, for a value of the source that no rule foresaw, is a note.
    pub(super) fn finish(self, schema: &Schema) -> Result<Migrated, Error> {
        let Self { name, namespace, spec, mut ledger } = self;
        let mut metadata = json!({ "name": name });
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        let object = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"),
            "kind": "Rollout",
            "metadata": metadata,
            "spec": serde_json::to_value(spec)?,
        });
        let mut full = object.clone();
        schema.apply_defaults(&mut full);
        for error in schema.validate(&full, None) {
            ledger.ask(error.path, format!("change it, for it would be refused: {}", error.message));
        }
        let slim = without_defaults(schema, object, &full);
        Ok(Migrated { rollout: Ordered(slim), notes: ledger.into_notes() })
    }
}

/// What is left when each field is taken out that comes back by itself.
fn without_defaults(schema: &Schema, object: Value, full: &Value) -> Value {
    let mut slim = object;
    for pointer in pointers(&slim, "") {
        let mut less = slim.clone();
        if !remove(&mut less, &pointer) {
            continue;
        }
        let mut completed = less.clone();
        schema.apply_defaults(&mut completed);
        if completed == *full {
            slim = less;
        }
    }
    slim
}

/// Pointers to all fields, outer ones first.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let below = |key: String, child: &Value, is_field: bool| {
        let here = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        let own = is_field.then(|| here.clone());
        own.into_iter().chain(pointers(child, &here)).collect::<Vec<_>>()
    };
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, child)| below(key.clone(), child, true)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(i, child)| below(i.to_string(), child, false)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

fn remove(value: &mut Value, pointer: &str) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return false };
    let key = key.replace("~1", "/").replace("~0", "~");
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.is_some_and(|parent| parent.remove(&key).is_some())
}

/// Which field comes first; the others follow by name.
const ORDER: &[&str] = &[
    "group",
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "spec",
    "suspend",
    "routes",
    "rule",
    "target",
    "port",
    "stable",
    "workloadRef",
    "strategy",
    "preset",
    "params",
    "total",
    "errors",
    "under",
    "weight",
    "match",
    "hold",
    "scale",
    "steps",
    "preview",
    "before",
    "after",
    "versions",
    "within",
    "query",
    "min",
    "max",
    "approval",
    "rollbackWindow",
    "retire",
    "provider",
    "interval",
    "series",
    "errorRate",
    "latency",
    "metrics",
    "analysis",
    "progressDeadline",
    "onDeadline",
];

/// A value whose fields are spelled in the order in which people write them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ordered(pub(super) Value);

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Object(fields) => {
                let place = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
                let mut all: Vec<(&String, &Value)> = fields.iter().collect();
                all.sort_by_key(|(key, _)| (place(key), (*key).clone()));
                let mut map = to.serialize_map(Some(all.len()))?;
                for (key, value) in all {
                    map.serialize_entry(key, &Self(value.clone()))?;
                }
                map.end()
            }
            Value::Array(items) => to.collect_seq(items.iter().map(|item| Self(item.clone()))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.0.serialize(to),
        }
    }
}
