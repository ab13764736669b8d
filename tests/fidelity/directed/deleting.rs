//! Deletion: options, preconditions, finalizers, owners, collections, namespaces.

use serde_json::json;

use crate::compare::{Script, script};
use crate::objects::{config_map, widget, with};
use crate::step::{CONFIG_MAPS, JSON_PATCH, WIDGETS, delete, delete_with, get, json_patch, merge, post, put};

pub fn scripts() -> Vec<Script> {
    let mut scripts = Vec::new();
    for (kind, path, object) in
        [("config map", CONFIG_MAPS, config_map("a")), ("widget", WIDGETS, widget("a"))]
    {
        let one = format!("{path}/a");
        scripts.push(script(
            &format!("{kind}: delete"),
            vec![
                delete(&one),
                post(path, &object),
                delete(&one),
                get(&one),
                delete(&one),
                post(path, &object),
                delete_with(&one, &json!({"preconditions": {"uid": "other"}})),
                delete_with(&one, &json!({"preconditions": {"resourceVersion": "1"}})),
                delete_with(&one, &json!({"preconditions": {"uid": "$uid(a)", "resourceVersion": "7"}})),
                delete_with(
                    &one,
                    &json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Nonsense"}),
                ),
                delete_with(&one, &json!({"propagationPolicy": "Background", "orphanDependents": false})),
                delete(format!("{one}?propagationPolicy=Nonsense")),
                delete_with(&one, &json!({"kind": "Other", "apiVersion": "v1"})),
                delete_with(&one, &json!({"gracePeriodSeconds": "x"})),
                delete_with(&one, &json!({"nonsense": 1})),
                post(path, &object),
                delete_with(&one, &json!({})).text("{"),
                delete_with(&one, &json!({})).text("[]"),
                delete_with(&one, &json!({})).content_type(JSON_PATCH),
                post(path, &object),
                delete_with(
                    &one,
                    &json!({"gracePeriodSeconds": 30, "propagationPolicy": "Background",
                "preconditions": {"uid": "$uid(a)", "resourceVersion": "$rv(a)"}}),
                ),
                post(path, &object),
                delete(format!("{one}?propagationPolicy=Background&gracePeriodSeconds=0")),
                get(&one),
            ],
        ));
        let held = with(
            object.clone(),
            &json!({"metadata": {"finalizers": ["tests.dev/hold", "tests.dev/second"]}}),
        );
        scripts.push(script(
            &format!("{kind}: finalizers"),
            vec![
                post(path, &held),
                delete(&one),
                delete(&one),
                delete_with(&one, &json!({"preconditions": {"uid": "other"}})),
                get(&one),
                post(path, &object),
                merge(&one, &json!({"metadata": {"labels": {"x": "y"}}})),
                merge(&one, &json!({"metadata": {"finalizers": ["tests.dev/hold", "tests.dev/third"]}})),
                merge(&one, &json!({"metadata": {"deletionTimestamp": null}})),
                merge(&one, &json!({"metadata": {"finalizers": ["tests.dev/hold"]}})),
                put(
                    &one,
                    &with(
                        object.clone(),
                        &json!({"metadata": {"resourceVersion": "$rv(a)", "finalizers": ["tests.dev/hold"]}}),
                    ),
                ),
                json_patch(&one, &json!([{"op": "remove", "path": "/metadata/finalizers/0"}])),
                get(&one),
                post(path, &held),
                merge(&one, &json!({"metadata": {"finalizers": null}})),
                delete(&one),
                get(&one),
            ],
        ));
        scripts.push(script(&format!("{kind}: collections"), vec![
            post(path, &with(object.clone(), &json!({"metadata": {"labels": {"x": "1"}}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "b", "labels": {"x": "2"}}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "c", "labels": {"x": "2"}, "finalizers": ["tests.dev/hold"]}}))),
            delete(format!("{path}?labelSelector=x%3D3")),
            delete(format!("{path}?labelSelector=x%3D2&dryRun=All")),
            delete(format!("{path}?labelSelector=x%3D2")),
            get(&one),
            get(format!("{path}/b")),
            get(format!("{path}/c")),
            merge(format!("{path}/c"), &json!({"metadata": {"finalizers": null}})),
            delete(format!("{path}?fieldSelector=metadata.name%3Da")),
            get(&one),
        ]));
    }
    scripts.push(owners());
    scripts.extend(namespaces());
    scripts
}

fn owners() -> Script {
    let owned = |name: &str, owner: &str| {
        with(
            config_map(name),
            &json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": format!("$uid({owner})")}]}}),
        )
    };
    let shared = with(
        config_map("shared"),
        &json!({"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "$uid(a)"},
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": "$uid(b)"}]}}),
    );
    script(
        "owners take their dependants along",
        vec![
            post(CONFIG_MAPS, &config_map("a")),
            post(CONFIG_MAPS, &config_map("b")),
            post(CONFIG_MAPS, &owned("one", "a")),
            post(CONFIG_MAPS, &shared),
            delete_with(format!("{CONFIG_MAPS}/a"), &json!({"propagationPolicy": "Background"})),
            get(format!("{CONFIG_MAPS}/one")).until(404),
            get(format!("{CONFIG_MAPS}/shared")).until_owners(1),
            delete(format!("{CONFIG_MAPS}/b")),
            get(format!("{CONFIG_MAPS}/shared")).until(404),
            get(CONFIG_MAPS),
        ],
    )
}

fn namespaces() -> Vec<Script> {
    let other = "/api/v1/namespaces/$NS-other";
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    vec![
        script(
            "namespaces",
            vec![
                post("/api/v1/namespaces", &named("$NS")),
                post("/api/v1/namespaces", &named("a.b")),
                post("/api/v1/namespaces", &named("Upper")),
                post("/api/v1/namespaces", &named(&"n".repeat(64))),
                get("/api/v1/namespaces/$NS"),
                get("/api/v1/namespaces/$NS-absent"),
                merge("/api/v1/namespaces/$NS", &json!({"metadata": {"labels": {"x": "y"}}})),
                merge(
                    "/api/v1/namespaces/$NS",
                    &json!({"metadata": {"labels": {"kubernetes.io/metadata.name": null}}}),
                ),
                merge("/api/v1/namespaces/$NS/status", &json!({"status": {"phase": "Nonsense"}})),
                post("/api/v1/namespaces/$NS-absent/configmaps", &config_map("a")),
                post("/apis/fidelity.tidegate.dev/v1/namespaces/$NS-absent/widgets", &widget("a")),
                get("/api/v1/namespaces/$NS-absent/configmaps"),
                get("/api/v1/namespaces/$NS-absent/configmaps/a"),
                delete("/api/v1/namespaces/$NS-absent/configmaps/a"),
            ],
        ),
        script(
            "an empty namespace ends",
            vec![
                post("/api/v1/namespaces", &named("$NS-other")),
                delete_with(other, &json!({"preconditions": {"uid": "nonsense"}})),
                delete(other),
                get(other).until(404),
            ],
        ),
        script(
            "a namespace that ends",
            vec![
                post("/api/v1/namespaces", &named("$NS-other")),
                post(
                    format!("{other}/configmaps"),
                    &with(config_map("held"), &json!({"metadata": {"finalizers": ["tests.dev/hold"]}})),
                ),
                post(format!("{other}/configmaps"), &config_map("free")),
                delete(other),
                get(format!("{other}/configmaps/free")).until(404),
                post(format!("{other}/configmaps"), &config_map("late")),
                post("/apis/fidelity.tidegate.dev/v1/namespaces/$NS-other/widgets", &widget("late")),
                merge(format!("{other}/configmaps/held"), &json!({"metadata": {"finalizers": null}})),
            ],
        ),
    ]
}
