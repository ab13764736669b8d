//! Discovery: which groups, versions and resources there are, in the aggregated and in the older form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::registry::Registry;
use super::resource::Resource;

/// Versions by group; groups in name order, the core group first.
type Groups<'r> = BTreeMap<&'r str, BTreeMap<&'r str, Vec<&'r Arc<Resource>>>>;

/// Reviews that are answered but not stored: group, plural, kind.
pub(super) const REVIEWS: [(&str, &str, &str); 2] = [
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
];

/// What every resource can do; upstream lists it for custom ones in another order.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CUSTOM_VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

fn verbs(resource: &Resource) -> [&'static str; 8] {
    if resource.is_custom() { CUSTOM_VERBS } else { VERBS }
}

fn groups(registry: &Registry) -> Groups<'_> {
    let mut groups = Groups::new();
    for resource in registry.all() {
        groups.entry(&resource.group).or_default().entry(&resource.version).or_default().push(resource);
    }
    for (group, _, _) in REVIEWS {
        groups.entry(group).or_default().entry("v1").or_default();
    }
    groups
}

/// `/api` or `/apis` in the aggregated form; `version` is `v2` or `v2beta1`.
pub(super) fn aggregated(registry: &Registry, core: bool, version: &str) -> Value {
    let items: Vec<Value> = groups(registry)
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .into_iter()
                .map(|(version, resources)| {
                    let mut listed: Vec<Value> =
                        resources.into_iter().map(|resource| aggregated_resource(resource)).collect();
                    listed.extend(REVIEWS.iter().filter(|review| review.0 == group).map(aggregated_review));
                    json!({"version": version, "freshness": "Current", "resources": listed})
                })
                .collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(resource: &Resource) -> Value {
    let kind =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let own = kind(&resource.group, &resource.version, &resource.kind);
    let mut subresources = Vec::new();
    if resource.has_status {
        let verbs = ["get", "patch", "update"];
        subresources.push(json!({"subresource": "status", "responseKind": own, "verbs": verbs}));
    }
    if resource.scale.is_some() {
        let scale = kind("autoscaling", "v1", "Scale");
        let verbs = ["get", "patch", "update"];
        subresources.push(json!({"subresource": "scale", "responseKind": scale, "verbs": verbs}));
    }
    json!({
        "resource": resource.plural, "responseKind": own,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": verbs(resource),
        "shortNames": resource.short_names, "categories": resource.categories, "subresources": subresources,
    })
}

fn aggregated_review(&(group, plural, kind): &(&str, &str, &str)) -> Value {
    json!({
        "resource": plural, "responseKind": {"group": group, "version": "v1", "kind": kind}, "scope": "Cluster",
        "singularResource": kind.to_lowercase(), "verbs": ["create"],
    })
}

/// `/api` in the older form.
pub(super) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis` in the older form.
pub(super) fn group_list(registry: &Registry) -> Value {
    let groups: Vec<Value> = groups(registry)
        .iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| one_group(group, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(super) fn group(registry: &Registry, group: &str) -> Option<Value> {
    let mut found = one_group(group, groups(registry).get(group)?);
    found["kind"] = "APIGroup".into();
    found["apiVersion"] = "v1".into();
    Some(found)
}

fn one_group(group: &str, versions: &BTreeMap<&str, Vec<&Arc<Resource>>>) -> Value {
    let versions: Vec<Value> = versions
        .keys()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// `/api/v1` or `/apis/GROUP/VERSION`.
pub(super) fn resource_list(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let groups = groups(registry);
    let resources = groups.get(group)?.get(version)?;
    let mut listed: Vec<Value> = resources.iter().flat_map(|resource| legacy_entries(resource)).collect();
    listed.extend(REVIEWS.iter().filter(|review| review.0 == group).map(|(_, plural, kind)| {
        json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind, "verbs": ["create"]})
    }));
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}),
    )
}

fn legacy_entries(resource: &Resource) -> Vec<Value> {
    let mut main = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": verbs(resource),
    });
    for (field, names) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !names.is_empty() {
            main[field] = json!(names);
        }
    }
    let mut entries = vec![main];
    let verbs = ["get", "patch", "update"];
    if resource.has_status {
        entries.push(json!({
            "name": format!("{}/status", resource.plural), "singularName": "", "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": verbs,
        }));
    }
    if resource.scale.is_some() {
        entries.push(json!({
            "name": format!("{}/scale", resource.plural), "singularName": "", "namespaced": resource.namespaced,
            "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": verbs,
        }));
    }
    entries
}
