//! What a route's status says of the gateways, in each kind's own way.
//!
//! A `GatewayRoute` has the condition `Programmed`. A `VirtualRouter` has `VirtualRouterActive` and the generation beside
//! it, as AWS's controller writes them: its schema knows no generation in a condition. `HTTPRoute` and `GRPCRoute` have
//! an entry for each parent, with `Accepted`, `ResolvedRefs` and, where rules are left out, `PartiallyInvalid`.

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    conditions::{Condition, conditions, patch},
    dataplane::{GatewayRef, ObjectKind, Reason, Rejected},
};

/// The type of a GatewayRoute's condition.
pub const PROGRAMMED: &str = "Programmed";
/// Who writes the entries of parents.
pub const CONTROLLER: &str = "tidegate.dev/sandbox";

const ACTIVE: &str = "VirtualRouterActive";
const ACCEPTED: &str = "Accepted";
const RESOLVED: &str = "ResolvedRefs";
const PARTIALLY_INVALID: &str = "PartiallyInvalid";

/// What became of an object.
pub(super) struct Standing<'a> {
    /// Whether anything of it is served.
    pub(super) served: bool,
    /// What of it is left out.
    pub(super) left_out: Vec<&'a Rejected>,
    /// How many gateways serve the table.
    pub(super) gateways: usize,
}

/// The merge patch of a route's status that reports its present generation as in effect, in its kind's own way; none where
/// that is reported already. Of Gateway API's kinds it is the parent of the gateway's name that reports.
pub fn programmed(
    gateway: &GatewayRef,
    kind: ObjectKind,
    route: &DynamicObject,
    now: Timestamp,
) -> Option<Value> {
    report(gateway, kind, route, &Standing { served: true, left_out: vec![], gateways: 1 }, now)
}

/// Whether a route's status says that its present generation is in effect. Kinds that are not reported never are.
pub fn in_effect(kind: ObjectKind, route: &DynamicObject) -> bool {
    let (status, generation) = (&route.data["status"], generation(route));
    match kind {
        ObjectKind::GatewayRoute => holds(status, PROGRAMMED, Some(generation)),
        ObjectKind::VirtualRouter => {
            status["observedGeneration"] == generation && holds(status, ACTIVE, None)
        }
        ObjectKind::HttpRoute | ObjectKind::GrpcRoute => {
            let parents = status["parents"].as_array();
            parents.into_iter().flatten().any(|parent| {
                let holds = |kind| holds(parent, kind, Some(generation));
                parent["controllerName"] == CONTROLLER && holds(ACCEPTED) && holds(RESOLVED)
            })
        }
        ObjectKind::VirtualGateway | ObjectKind::VirtualService | ObjectKind::VirtualNode => false,
    }
}

/// The merge patch of an object's status that makes it say what is true; none if it says so already.
pub(super) fn report(
    gateway: &GatewayRef,
    kind: ObjectKind,
    object: &DynamicObject,
    standing: &Standing<'_>,
    now: Timestamp,
) -> Option<Value> {
    let old = &object.data["status"];
    let generation = generation(object);
    let status = match kind {
        ObjectKind::GatewayRoute => {
            // AWS's own CRD drops the condition's generation, and knows this one.
            let mut status = json!({"conditions": conditions(old), "observedGeneration": generation});
            standing.whole(PROGRAMMED, "Programmed", generation).put(&mut status, now);
            status
        }
        ObjectKind::VirtualRouter => {
            let mut status = json!({"conditions": conditions(old), "observedGeneration": generation});
            let wanted = standing.whole(ACTIVE, "Active", generation);
            Condition { generation: None, ..wanted }.put(&mut status, now);
            status
        }
        ObjectKind::HttpRoute | ObjectKind::GrpcRoute => {
            json!({"parents": parents(gateway, object, standing, now)})
        }
        ObjectKind::VirtualGateway | ObjectKind::VirtualService | ObjectKind::VirtualNode => return None,
    };
    patch(object.metadata.resource_version.as_deref(), old, &status)
}

/// The entries of all parents: those of this gateway as they should be, the others' as they are.
fn parents(
    gateway: &GatewayRef,
    object: &DynamicObject,
    standing: &Standing<'_>,
    now: Timestamp,
) -> Vec<Value> {
    let namespace = object.namespace().unwrap_or_default();
    let wanted: Vec<&Value> = gateway.parents(&object.data["spec"], &namespace).collect();
    let mut parents = object.data["status"]["parents"].as_array().cloned().unwrap_or_default();
    let ours = |entry: &Value| entry["controllerName"] == CONTROLLER;
    parents.retain(|entry| {
        let parent = &entry["parentRef"];
        !ours(entry) || !gateway.is_parent(parent, &namespace) || wanted.contains(&parent)
    });
    for parent in wanted {
        let at = parents.iter().position(|entry| ours(entry) && entry["parentRef"] == *parent);
        let mut entry = at.map_or(Value::Null, |at| parents.remove(at));
        entry = json!({
            "parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions(&entry),
        });
        standing.parent(&mut entry, generation(object), now);
        parents.insert(at.unwrap_or(parents.len()), entry);
    }
    parents
}

impl Standing<'_> {
    /// The one condition of a kind that is served whole or not at all.
    fn whole(&self, kind: &'static str, reason: &'static str, generation: i64) -> Condition<'static> {
        let generation = Some(generation);
        // A tcpRoute that no HTTP gateway could serve is no fault of its router.
        let faults = self.left_out.iter().any(|rejected| !matches!(rejected.reason, Reason::Tcp));
        if self.served && !faults {
            Condition { kind, holds: true, reason, message: self.told(generation), generation }
        } else {
            Condition { kind, holds: false, reason: "Invalid", message: self.sentence(), generation }
        }
    }

    /// The conditions of a parent's entry.
    fn parent(&self, entry: &mut Value, generation: i64, now: Timestamp) {
        let generation = Some(generation);
        let unresolved = self.left_out.iter().find_map(|rejected| unresolved(&rejected.reason));
        let accepted = if self.served { "Accepted" } else { "UnsupportedValue" };
        let told = if self.served { self.told(generation) } else { self.sentence() };
        let resolved = unresolved.map_or("all backends are Services".to_owned(), |_| self.sentence());
        Condition { kind: ACCEPTED, holds: self.served, reason: accepted, message: told, generation }
            .put(entry, now);
        let reason = unresolved.unwrap_or("ResolvedRefs");
        Condition { kind: RESOLVED, holds: unresolved.is_none(), reason, message: resolved, generation }
            .put(entry, now);
        if self.served && !self.left_out.is_empty() {
            let message = format!("Dropped Rule: {}", self.sentence());
            let reason = "UnsupportedValue";
            Condition { kind: PARTIALLY_INVALID, holds: true, reason, message, generation }.put(entry, now);
        } else if let Some(conditions) = entry["conditions"].as_array_mut() {
            conditions.retain(|condition| condition["type"] != PARTIALLY_INVALID);
        }
    }

    fn told(&self, generation: Option<i64>) -> String {
        let count = self.gateways;
        format!("{count} of {count} gateways serve generation {}", generation.unwrap_or_default())
    }

    fn sentence(&self) -> String {
        self.left_out.iter().map(|rejected| rejected.sentence()).collect::<Vec<_>>().join("; ")
    }
}

/// The Gateway API's word for a backend that cannot be resolved; none where something else is wrong.
fn unresolved(reason: &Reason) -> Option<&'static str> {
    if matches!(reason, Reason::BackendKind(_)) {
        Some("InvalidKind")
    } else if matches!(reason, Reason::BackendNamespace(_)) {
        Some("RefNotPermitted")
    } else {
        None
    }
}

fn holds(parent: &Value, kind: &str, generation: Option<i64>) -> bool {
    let conditions = parent["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == kind
            && condition["status"] == "True"
            && generation.is_none_or(|generation| condition["observedGeneration"] == generation)
    })
}

fn generation(object: &DynamicObject) -> i64 {
    object.metadata.generation.unwrap_or_default()
}

#[cfg(test)]
mod tests;
