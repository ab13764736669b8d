//! A preview as an object: a copy of the user's route that asks for headers besides, sends all that it takes to the
//! canary, and goes before the route. Pure.
//!
//! Of a GatewayRoute the smaller priority number goes first; of HTTPRoutes and GRPCRoutes the one that asks for more headers.
//! GitOps tools must not take the copy for what they have applied, so none of their labels is copied.

use json_patch::{
    AddOperation, Patch, PatchOperation, TestOperation,
    jsonptr::{PointerBuf, Token},
};
use serde_json::{Map, Value, json};

use super::{gateway_route, object::Unusable, view};
use crate::{
    api::{GROUP, RouteKind, stamp_annotation},
    engine::{
        decision::PreviewContent,
        observed::{ListSeen, RouteView},
    },
};

#[cfg(test)]
mod tests;

/// Labels by which tools know what is theirs.
const THEIRS: [&str; 4] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "argocd.argoproj.io/",
    "toolkit.fluxcd.io/",
];

/// The preview of a route, as it is to be created.
pub fn preview(
    kind: RouteKind,
    route: &Value,
    name: &str,
    content: &PreviewContent,
) -> Result<Value, Unusable> {
    let spec = spec(kind, route, name, content)?;
    let (rollout, uid) = &content.owner;
    Ok(json!({
        "apiVersion": super::resource(kind).api_version,
        "kind": kind.word(),
        "metadata": {
            "name": name,
            "labels": labels(route),
            "annotations": {stamp_annotation(rollout): content.stamp.spelled()},
            // Should we not be there any more to delete it, it goes with the Rollout all the same.
            "ownerReferences": [{
                "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Rollout", "name": rollout, "uid": uid,
                "controller": true,
            }],
        },
        "spec": spec,
    }))
}

/// The patch that makes what was seen a preview like this `copy`, if it is as it was seen: everything but the metadata, and our
/// mark.
pub fn replacement(view: &RouteView, copy: &Value, content: &PreviewContent) -> Patch {
    let at = |parts: &[&str]| PointerBuf::from_tokens(parts.iter().map(|part| Token::new(*part)));
    let test = |parts: &[&str], value| PatchOperation::Test(TestOperation { path: at(parts), value });
    let add = |parts: &[&str], value| PatchOperation::Add(AddOperation { path: at(parts), value });
    let stamp = stamp_annotation(&content.owner.0);
    Patch(vec![
        test(&["metadata", "resourceVersion"], json!(view.resource_version)),
        add(&["spec"], copy.get("spec").cloned().unwrap_or_default()),
        add(&["metadata", "annotations", &stamp], json!(content.stamp.spelled())),
    ])
}

fn labels(route: &Value) -> Value {
    let theirs = |key: &str| THEIRS.iter().any(|label| key == *label || key.contains(label));
    let labels = route.pointer("/metadata/labels").and_then(Value::as_object);
    let kept = labels.into_iter().flatten().filter(|(key, _)| !theirs(key));
    let mut labels: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    labels.insert("app.kubernetes.io/managed-by".into(), json!(super::FIELD_MANAGER));
    Value::Object(labels)
}

/// The spec of a preview.
fn spec(kind: RouteKind, route: &Value, name: &str, content: &PreviewContent) -> Result<Value, Unusable> {
    let seen = view(kind, route)?;
    if let Some(why) = seen.no_preview {
        return Err(Unusable::new("NoPreview", why));
    }
    let mut route = route.clone();
    let taken = |list: &&ListSeen| content.lists.iter().any(|(rule, _)| *rule == list.rule);
    let lists: Vec<&ListSeen> = seen.lists.iter().filter(taken).collect();
    if lists.is_empty() {
        return Err(Unusable::new("RuleNotFound", "none of the run's rules is there any more"));
    }
    let mut rules = Vec::new();
    for list in lists {
        let like = content
            .lists
            .iter()
            .find(|(rule, _)| *rule == list.rule)
            .map(|(_, entry)| serde_json::Value::clone(&entry.0));
        let entry = like.and_then(|entry| canary_entry(entry, seen.name_field, list.lone, content));
        let entry =
            entry.ok_or_else(|| Unusable::new("BadEntry", "stable's entry has no place for a name"))?;
        *at(&mut route, &list.path)? = if list.lone { entry } else { json!([entry]) };
        match kind {
            RouteKind::GatewayRoute => gateway(&mut route, name, content)?,
            RouteKind::HttpRoute | RouteKind::GrpcRoute => {
                let rule = list.path.trim_end_matches("/backendRefs").to_owned();
                rules.push(matched(at(&mut route, &rule)?.clone(), content));
            }
            RouteKind::VirtualRouter => {}
        }
    }
    if !rules.is_empty() {
        *at(&mut route, "/spec/rules")? = Value::Array(rules);
    }
    Ok(route.get_mut("spec").map(Value::take).unwrap_or_default())
}

fn at<'a>(route: &'a mut Value, pointer: &str) -> Result<&'a mut Value, Unusable> {
    route
        .pointer_mut(pointer)
        .ok_or_else(|| Unusable::new("BadEntry", format!("it has nothing at {pointer}")))
}

/// The only entry of the preview: a copy of stable's with the canary's name and port.
fn canary_entry(mut entry: Value, name: &str, lone: bool, content: &PreviewContent) -> Option<Value> {
    *entry.pointer_mut(name)? = json!(content.name);
    let fields = entry.as_object_mut()?;
    if let Some(port) = content.port {
        fields.insert("port".into(), json!(port));
    }
    if !lone {
        fields.insert("weight".into(), json!(100));
    }
    Some(entry)
}

/// What makes a GatewayRoute's copy another route, that goes before it and asks for the headers.
fn gateway(route: &mut Value, name: &str, content: &PreviewContent) -> Result<(), Unusable> {
    let action = gateway_route::action(route)?;
    let priority = gateway_route::priority(route, &action) - 1;
    let headers = gateway_route::headers_field(&action);
    let tests = content.matching.headers.iter();
    let tests = tests.map(|header| json!({"name": header.name, "match": {"exact": header.exact}}));
    set(route, gateway_route::priority_field(&action), json!(priority));
    match route.pointer_mut(&headers).and_then(Value::as_array_mut) {
        Some(there) => there.extend(tests),
        None => set(route, &headers, Value::Array(tests.collect())),
    }
    // Both name the route where it is served, and no two can have one name there.
    if let Some(spec) = route.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("awsName");
        if spec.contains_key("gatewayRouteName") {
            spec.insert("gatewayRouteName".into(), json!(name));
        }
    }
    Ok(())
}

/// Sets a field, and the object that it is in where there is none.
fn set(value: &mut Value, pointer: &str, to: Value) {
    let Some((above, field)) = pointer.rsplit_once('/') else { return };
    if value.pointer(above).is_none_or(Value::is_null) {
        set(value, above, json!({}));
    }
    if let Some(object) = value.pointer_mut(above).and_then(Value::as_object_mut) {
        object.insert(field.to_owned(), to);
    }
}

/// A rule each of whose matches asks for the headers besides.
fn matched(mut rule: Value, content: &PreviewContent) -> Value {
    let tests = || {
        let tests = content.matching.headers.iter();
        tests.map(|header| json!({"type": "Exact", "name": header.name, "value": header.exact}))
    };
    let Some(fields) = rule.as_object_mut() else { return rule };
    let matches = fields.entry("matches").or_insert_with(|| json!([]));
    if matches.as_array().is_none_or(Vec::is_empty) {
        *matches = json!([{}]);
    }
    for one in matches.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        match one.get_mut("headers").and_then(Value::as_array_mut) {
            Some(there) => there.extend(tests()),
            None => {
                one.insert("headers".into(), tests().collect());
            }
        }
    }
    rule
}
