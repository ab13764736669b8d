//! Metadata that is refused, kept or ignored, and fields that nobody knows.

use serde_json::json;

use crate::compare::{Script, script};
use crate::objects::{config_map, widget, with};
use crate::step::{CONFIG_MAPS, WIDGETS, json_patch, merge, post, put};

pub fn scripts() -> Vec<Script> {
    let mut scripts = metadata();
    scripts.extend(validation());
    scripts
}

fn metadata() -> Vec<Script> {
    let make = |change| post(WIDGETS, &with(widget("a"), &change));
    let bad = |field: &str, value: serde_json::Value| make(json!({"metadata": {field: value}}));
    vec![
        script(
            "metadata that is refused",
            vec![
                bad("labels", json!({"x": "_"})),
                bad("labels", json!({"": "y"})),
                bad("labels", json!({"a/b/c": "y"})),
                bad("labels", json!({"a b": "y"})),
                bad("labels", json!({"Upper.example/x": "y"})),
                bad("labels", json!({"x": "v".repeat(64)})),
                bad("labels", json!({"x".repeat(64): "v"})),
                bad("labels", json!({"x": 3})),
                bad("labels", json!(["x"])),
                bad("labels", json!("x")),
                bad("annotations", json!({"a b": "y"})),
                bad("annotations", json!({"Upper.Example/x": "y"})),
                bad("annotations", json!({"x": true})),
                bad("annotations", json!({"x": "v".repeat(262_145)})),
                bad("finalizers", json!(["plain"])),
                bad("finalizers", json!(["a/b", "a/b"])),
                bad("finalizers", json!(["a b/c"])),
                bad("finalizers", json!([""])),
                bad("finalizers", json!("a/b")),
                bad("finalizers", json!(["foregroundDeletion"])),
                bad("ownerReferences", json!([{}])),
                bad("ownerReferences", json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}])),
                bad(
                    "ownerReferences",
                    json!([{"apiVersion": "a/b/c", "kind": "ConfigMap", "name": "x", "uid": "u"}]),
                ),
                bad(
                    "ownerReferences",
                    json!([{"apiVersion": "v1", "kind": "Event", "name": "x", "uid": "u"}]),
                ),
                bad(
                    "ownerReferences",
                    json!([
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u", "controller": true},
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "y", "uid": "w", "controller": true}]),
                ),
                bad(
                    "ownerReferences",
                    json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u", "nonsense": 1}]),
                ),
                bad("generation", json!("x")),
                bad("generation", json!(-1)),
                bad("creationTimestamp", json!("yesterday")),
                bad("name", json!(3)),
                bad("unknown", json!(3)),
                make(json!({"metadata": "text"})),
                make(json!({"metadata": []})),
                post(CONFIG_MAPS, &with(config_map("c"), &json!({"metadata": {"labels": {"x": 3}}}))),
                post(CONFIG_MAPS, &with(config_map("c"), &json!({"metadata": {"finalizers": ["plain"]}}))),
                post(CONFIG_MAPS, &with(config_map("c"), &json!({"metadata": {"unknown": 3}}))),
            ],
        ),
        script(
            "metadata that is kept or not",
            vec![
                make(
                    json!({"metadata": {"labels": {"x": "", "y": null, "example.com/z": "a.b_c-d"}, "annotations": {"k": null, "l": "v"}}}),
                ),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"uid": "other"}})),
                merge(
                    format!("{WIDGETS}/a"),
                    &json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}),
                ),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"creationTimestamp": null}})),
                merge(
                    format!("{WIDGETS}/a"),
                    &json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}),
                ),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"deletionGracePeriodSeconds": 3}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"generateName": "x"}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"selfLink": "x"}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"name": "b"}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"namespace": "other"}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"resourceVersion": null}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"resourceVersion": ""}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"labels": {}, "annotations": {}}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"labels": null, "annotations": null}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": {"finalizers": []}})),
                merge(format!("{WIDGETS}/a"), &json!({"metadata": null})),
                merge(format!("{WIDGETS}/a"), &json!({"kind": "Other"})),
                merge(format!("{WIDGETS}/a"), &json!({"apiVersion": "v7"})),
                merge(format!("{WIDGETS}/a"), &json!({"kind": null})),
            ],
        ),
    ]
}

fn validation() -> Vec<Script> {
    let unknown =
        json!({"spec": {"nonsense": 1, "nested": {"more": true}}, "extra": {}, "metadata": {"odd": 1}});
    let mut scripts = Vec::new();
    for (kind, path, object) in
        [("widget", WIDGETS, widget("a")), ("config map", CONFIG_MAPS, config_map("a"))]
    {
        let spoiled = with(object.clone(), &unknown);
        let mut steps = Vec::new();
        for mode in ["Strict", "Warn", "Ignore", "Nonsense", ""] {
            steps.push(post(format!("{path}?fieldValidation={mode}&dryRun=All"), &spoiled));
        }
        steps.push(post(path, &spoiled));
        for mode in ["Strict", "Warn", "Ignore"] {
            let one = format!("{path}/a?fieldValidation={mode}");
            steps
                .push(put(&one, &with(spoiled.clone(), &json!({"metadata": {"resourceVersion": "$rv(a)"}}))));
            steps.push(merge(&one, &unknown));
            steps.push(json_patch(&one, &json!([{"op": "add", "path": "/nonsense", "value": 1}])));
        }
        scripts.push(script(&format!("{kind}: unknown fields"), steps));
        let doubled = object.to_string().replacen('{', "{\"kind\":\"Zzz\",", 1);
        let twice =
            |mode: &str| post(format!("{path}?fieldValidation={mode}&dryRun=All"), &object).text(&doubled);
        scripts
            .push(script(&format!("{kind}: a field twice"), ["Strict", "Warn", "Ignore"].map(twice).into()));
    }
    scripts
}
