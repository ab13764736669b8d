//! A Rollout as the watch's store keeps it: as text, which takes a small part of the memory of the value, and a small part of
//! the time; only those that have a turn are values. Whether it can be read shows then.

use std::{borrow::Cow, fmt, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::NamespaceResourceScope};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{kinds::Kinds, meters::Standing, raw::identity};
use crate::api::{Rollout, RouteKind, text::why_unreadable};

/// What people's tools leave on an object for themselves; it is as large as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A Rollout that may turn out to be none that can be read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// Namespace, name, UID and resourceVersion; nothing else.
    identity: ObjectMeta,
    /// It was in a run, or being deleted, when this was read.
    under_way: bool,
    /// Where it stood when this was read.
    standing: Standing,
    /// The kinds of the routes that it names or still has.
    kinds: Kinds,
    /// Its analysis is a template's.
    names_template: bool,
    /// Its JSON without what nobody here reads.
    content: Arc<str>,
}

impl Guarded {
    /// What is kept of a Rollout as the API server shows it, without its managed fields.
    fn of(mut object: Value) -> Self {
        if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
        {
            annotations.remove(LAST_APPLIED);
        }
        // A JSON value has no way to fail.
        let content = serde_json::to_string(&object).unwrap_or_default().into();
        Self {
            identity: identity(&object),
            under_way: under_way(&object),
            standing: standing(&object),
            kinds: kinds(&object),
            names_template: object.pointer("/spec/analysis/templateRef").is_some_and(Value::is_object),
            content,
        }
    }

    /// The Rollout as a value, or why it can't be read.
    pub fn rollout(&self) -> Result<Rollout, String> {
        serde_json::from_str(&self.content).map_err(|error| why_unreadable(&error))
    }

    /// A part of it, without the work that the rest would be.
    pub fn part<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(&self.content)
    }

    /// Where it stood when this was read.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The kinds of the routes that it names, or still has from its last run.
    pub fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// Whether its analysis is a template's.
    pub fn names_template(&self) -> bool {
        self.names_template
    }

    /// Whether it was in a run, or being deleted, when this was read: somebody's traffic waits for it.
    pub fn is_under_way(&self) -> bool {
        self.under_way
    }
}

fn kinds(object: &Value) -> Kinds {
    let all = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let named = all("/spec/routes").filter_map(|route| route.get("kind"));
    let kept = all("/status/routes").filter_map(|route| route.pointer("/ref/kind"));
    named.chain(kept).filter_map(|kind| RouteKind::deserialize(kind).ok()).fold(Kinds::default(), Kinds::with)
}

fn under_way(object: &Value) -> bool {
    let stands = |pointer: &str| object.pointer(pointer).is_some_and(|value| !value.is_null());
    let settled = object.pointer("/status/run/ended/settled") == Some(&Value::Bool(true));
    stands("/metadata/deletionTimestamp") || (stands("/status/run") && !settled)
}

fn standing(object: &Value) -> Standing {
    let ended = object.pointer("/status/run/ended").is_some_and(|ended| !ended.is_null());
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let stalled = |condition: &Value| condition["type"] == "Stalled" && condition["status"] == "True";
    let pause = object.pointer("/status/run/pause/reason").filter(|_| !ended);
    Standing {
        phase: object.pointer("/status/phase").and_then(|phase| Deserialize::deserialize(phase).ok()),
        pause: pause.and_then(|reason| Deserialize::deserialize(reason).ok()),
        stalled: conditions.is_some_and(|all| all.iter().any(stalled)),
    }
}

impl<'de> Deserialize<'de> for Guarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Taken in only to be left out, it would cost as much as all the rest.
        Without(&["metadata", "managedFields"]).deserialize(deserializer).map(Self::of)
    }
}

/// An object without the field at a path.
struct Without(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Without {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Without {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(field) = fields.next_key::<String>()? {
            match self.0 {
                [last] if field == *last => {
                    fields.next_value::<IgnoredAny>()?;
                }
                [first, rest @ ..] if field == *first => {
                    let value = fields.next_value_seed(Without(rest))?;
                    object.insert(field, value);
                }
                _ => {
                    let value = fields.next_value()?;
                    object.insert(field, value);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

impl Resource for Guarded {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Rollout::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Rollout::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Rollout::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Rollout::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.identity
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.identity
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;
    use crate::api::{PauseReason, Phase};

    fn object(spec: &Value) -> Value {
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
            "metadata": {
                "name": "color", "namespace": "ns", "uid": "u", "resourceVersion": "7",
                "annotations": {"tidegate.dev/request": "{}", LAST_APPLIED: "{…}"},
                "managedFields": [{"manager": "kubectl", "operation": "Update"}],
            },
            "spec": spec,
        })
    }

    #[test]
    fn a_rollout_comes_back_without_what_nobody_reads() {
        let spec = json!({
            "routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "r"}],
            "target": {"name": "v2"},
            "strategy": {"canary": {"steps": [{"weight": 5}]}},
        });
        let guarded: Guarded = serde_json::from_value(object(&spec)).unwrap();
        let rollout = guarded.rollout().unwrap();
        assert_eq!(rollout.spec.target.name, "v2");
        assert_eq!(guarded.kinds(), Kinds::default().with(RouteKind::GatewayRoute));
        assert_eq!(rollout.metadata.managed_fields, None);
        let kept: Vec<&String> = rollout.annotations().keys().collect();
        assert_eq!(kept, ["tidegate.dev/request"]);
        assert_eq!((guarded.name_any(), guarded.uid()), ("color".to_owned(), Some("u".to_owned())));
    }

    #[test]
    fn who_is_in_a_run_or_going_is_under_way() {
        let of = |deleted: Value, run: Value| {
            let spec = json!({
                "routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "r"}],
                "target": {"name": "v2"},
                "strategy": {"canary": {"steps": [{"weight": 5}]}},
            });
            let mut object = object(&spec);
            object["metadata"]["deletionTimestamp"] = deleted;
            object["status"] = json!({"run": run});
            let guarded = Guarded::of(object);
            guarded.rollout().unwrap();
            guarded.is_under_way()
        };
        let run = |ended: Value| {
            json!({
                "number": 1, "startedAt": "2026-01-01T00:00:00Z", "plan": [], "progressDeadline": "1h",
                "onDeadline": "Rollback", "withoutProgress": "0s", "ended": ended,
            })
        };
        let ended = |settled: bool| json!({"reason": "Failed", "message": "", "at": "2026-01-01T00:00:00Z", "settled": settled});
        assert!(!of(Value::Null, Value::Null), "it has never run");
        assert!(of(Value::Null, run(Value::Null)), "in a run");
        assert!(of(Value::Null, run(ended(false))), "not everything is lowered yet");
        assert!(!of(Value::Null, run(ended(true))), "at rest");
        assert!(of(json!("2026-01-01T00:00:00Z"), run(ended(true))), "being deleted");
    }

    #[test]
    fn where_it_stands_is_told_by_words_that_are_known() {
        let stalled = json!([{"type": "Ready", "status": "False"}, {"type": "Stalled", "status": "True"}]);
        for (status, phase, pause, want) in [
            (json!({}), None, None, false),
            (json!({"phase": "Healthy", "run": {"ended": null}}), Some(Phase::Healthy), None, false),
            (
                json!({"phase": "Paused", "run": {"pause": {"reason": "Approval"}}}),
                Some(Phase::Paused),
                Some(PauseReason::Approval),
                false,
            ),
            (
                json!({"phase": "Failed", "run": {"pause": {"reason": "Approval"}, "ended": {}}, "conditions": stalled}),
                Some(Phase::Failed),
                None,
                true,
            ),
            (json!({"phase": "Later", "conditions": 7, "run": {"pause": {"reason": 7}}}), None, None, false),
        ] {
            let found = standing(&json!({ "status": status }));
            assert_eq!(found, Standing { phase, pause, stalled: want }, "{status}");
        }
    }

    #[test]
    fn one_that_cannot_be_read_is_still_somebody() {
        let guarded: Guarded = serde_json::from_value(object(&json!({"routes": 7}))).unwrap();
        assert!(guarded.rollout().unwrap_err().contains("invalid type"), "{guarded:?}");
        assert_eq!(guarded.resource_version(), Some("7".to_owned()));
    }
}
