//! Create, replace, dry run, field validation, subresources, names and metadata.

use serde_json::{Value, json};

use crate::compare::{Script, script};
use crate::objects::{config_map, rollout, widget, with};
use crate::step::{CONFIG_MAPS, ROLLOUTS, WIDGETS, get, json_patch, merge, post, put};

pub fn scripts() -> Vec<Script> {
    let mut scripts = Vec::new();
    for (kind, path, object) in [
        ("config map", CONFIG_MAPS, config_map("a")),
        ("widget", WIDGETS, widget("a")),
        ("rollout", ROLLOUTS, rollout("a")),
    ] {
        scripts.extend(of_any_kind(kind, path, &object));
    }
    scripts.extend(of_widgets());
    scripts
}

fn of_any_kind(kind: &str, path: &str, object: &Value) -> Vec<Script> {
    vec![
        create_twice(kind, path, object),
        replace(kind, path, object),
        create_with_what_only_servers_set(kind, path, object),
        other_names(kind, path, object),
        dry_run(kind, path, object),
        managers(kind, path, object),
    ]
}

fn create_twice(kind: &str, path: &str, object: &Value) -> Script {
    let one = format!("{path}/a");
    script(
        &format!("{kind}: create, get, create again"),
        vec![post(path, object), get(&one), post(path, object), get(format!("{path}/absent"))],
    )
}

fn replace(kind: &str, path: &str, object: &Value) -> Script {
    let one = format!("{path}/a");
    let labelled = with(object.clone(), &json!({"metadata": {"labels": {"x": "y"}}}));
    script(
        &format!("{kind}: replace"),
        vec![
            put(&one, object),
            post(path, object),
            put(&one, object),
            put(&one, &labelled),
            put(&one, &with(labelled.clone(), &json!({"metadata": {"resourceVersion": "$rv(a)"}}))),
            put(&one, &with(object.clone(), &json!({"metadata": {"resourceVersion": "$oldrv(a)"}}))),
            put(&one, &with(object.clone(), &json!({"metadata": {"resourceVersion": "$rv(a)"}}))),
            put(&one, &with(object.clone(), &json!({"metadata": {"resourceVersion": "$rv(a)"}}))),
            put(&one, &with(object.clone(), &json!({"metadata": {"resourceVersion": "garbage"}}))),
            put(&one, &with(object.clone(), &json!({"metadata": {"resourceVersion": "0"}}))),
            put(&one, &with(object.clone(), &json!({"metadata": {"resourceVersion": "99999999"}}))),
            put(
                &one,
                &with(object.clone(), &json!({"metadata": {"uid": "other", "resourceVersion": "$rv(a)"}})),
            ),
            put(
                &one,
                &with(object.clone(), &json!({"metadata": {"uid": "$uid(a)", "resourceVersion": "$rv(a)"}})),
            ),
            put(
                &one,
                &with(object.clone(), &json!({"metadata": {"name": "b", "resourceVersion": "$rv(a)"}})),
            ),
            put(
                &one,
                &with(object.clone(), &json!({"metadata": {"name": null, "resourceVersion": "$rv(a)"}})),
            ),
            put(&one, &with(object.clone(), &json!({"metadata": {"namespace": "other"}}))),
            put(&one, &with(object.clone(), &json!({"kind": "Other"}))),
            put(&one, &with(object.clone(), &json!({"apiVersion": "v9"}))),
            put(&one, &with(object.clone(), &json!({"apiVersion": null}))),
            put(&one, &with(object.clone(), &json!({"kind": null}))),
        ],
    )
}

fn create_with_what_only_servers_set(kind: &str, path: &str, object: &Value) -> Script {
    script(
        &format!("{kind}: create with what only servers set"),
        vec![
            post(path, &with(object.clone(), &json!({"metadata": {"resourceVersion": "5"}}))),
            post(
                path,
                &with(
                    object.clone(),
                    &json!({"metadata": {
                "uid": "mine", "generation": 7, "creationTimestamp": "2020-01-01T00:00:00Z",
                "deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 5, "selfLink": "/x"}}),
                ),
            ),
        ],
    )
}

fn other_names(kind: &str, path: &str, object: &Value) -> Script {
    // Upstream also runs CEL rules on an object of another kind, to which it gives no defaults; a Rollout's then fail.
    let other_kind = if kind == "rollout" { "Rollout" } else { "Other" };
    script(
        &format!("{kind}: create with other names"),
        vec![
            post(path, &with(object.clone(), &json!({"metadata": {"name": null}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": ""}}))),
            post(path, &with(object.clone(), &json!({"metadata": null}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": null, "generateName": "gen-"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"generateName": "gen-"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": null, "generateName": "Bad_"}}))),
            post(
                path,
                &with(object.clone(), &json!({"metadata": {"name": null, "generateName": "g".repeat(80)}})),
            ),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "Upper"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "a_b"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "-a"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "a.b"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "a/b"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "."}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "a%b"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "n".repeat(63)}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "n".repeat(64)}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "n".repeat(253)}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"name": "n".repeat(254)}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"namespace": "other"}}))),
            post(path, &with(object.clone(), &json!({"metadata": {"namespace": ""}}))),
            post(path, &with(object.clone(), &json!({"kind": other_kind}))),
            post(path, &with(object.clone(), &json!({"apiVersion": "v9"}))),
            post(path, &with(object.clone(), &json!({"apiVersion": null}))),
            post(path, &with(object.clone(), &json!({"kind": null, "apiVersion": null}))),
        ],
    )
}

fn dry_run(kind: &str, path: &str, object: &Value) -> Script {
    let one = format!("{path}/a");
    let labelled = with(object.clone(), &json!({"metadata": {"labels": {"x": "y"}}}));
    script(
        &format!("{kind}: dry run"),
        vec![
            post(format!("{path}?dryRun=All"), object),
            get(&one),
            post(format!("{path}?dryRun=Some"), object),
            post(format!("{path}?dryRun="), &with(object.clone(), &json!({"metadata": {"name": "empty"}}))),
            post(path, object),
            post(format!("{path}?dryRun=All"), object),
            put(
                format!("{one}?dryRun=All"),
                &with(labelled.clone(), &json!({"metadata": {"resourceVersion": "$rv(a)"}})),
            ),
            merge(format!("{one}?dryRun=All"), &json!({"metadata": {"labels": {"z": "1"}}})),
            merge(format!("{one}?dryRun=All"), &json!({"metadata": {"labels": {"z": "_"}}})),
            get(&one),
            crate::step::delete(format!("{one}?dryRun=All")),
            crate::step::delete_with(&one, &json!({"dryRun": ["All"]})),
            crate::step::delete_with(&one, &json!({"dryRun": ["Some"]})),
            get(&one),
        ],
    )
}

fn managers(kind: &str, path: &str, object: &Value) -> Script {
    let one = format!("{path}/a");
    script(
        &format!("{kind}: managers"),
        vec![
            post(format!("{path}?fieldManager=first"), object),
            merge(format!("{one}?fieldManager=second"), &json!({"metadata": {"labels": {"x": "1"}}})),
            merge(format!("{one}?fieldManager=third"), &json!({"metadata": {"labels": {"x": "2"}}})),
            merge(format!("{one}?fieldManager=third"), &json!({"metadata": {"labels": {"x": "2"}}})),
            json_patch(
                format!("{one}?fieldManager=fourth"),
                &json!([{"op": "remove", "path": "/metadata/labels/x"}]),
            ),
            merge(&one, &json!({"metadata": {"annotations": {"n": "1"}}})),
            merge(
                format!("{one}?fieldManager={}", "m".repeat(129)),
                &json!({"metadata": {"annotations": {"n": "2"}}}),
            ),
            merge(format!("{one}?fieldManager=a%0Ab"), &json!({"metadata": {"annotations": {"n": "3"}}})),
            merge(&one, &json!({"metadata": {"managedFields": [{}]}})),
            merge(&one, &json!({"metadata": {"managedFields": null}})),
            merge(&one, &json!({"metadata": {"managedFields": []}})),
        ],
    )
}

fn of_widgets() -> Vec<Script> {
    vec![generation(), status(), scale(), absent_subresources()]
}

fn generation() -> Script {
    let one = format!("{WIDGETS}/a");
    script(
        "widget: generation counts the desired state",
        vec![
            post(WIDGETS, &with(widget("a"), &json!({"status": {"phase": "Up"}}))),
            merge(&one, &json!({"spec": {"replicas": 2}})),
            merge(&one, &json!({"spec": {"replicas": 2}})),
            merge(&one, &json!({"metadata": {"labels": {"x": "y"}}})),
            merge(&one, &json!({"status": {"phase": "Down"}})),
            merge(&one, &json!({"metadata": {"generation": 9}})),
        ],
    )
}

fn status() -> Script {
    let one = format!("{WIDGETS}/a");
    let status = format!("{one}/status");
    script(
        "widget: /status",
        vec![
            get(&status),
            post(WIDGETS, &widget("a")),
            get(&status),
            merge(&status, &json!({"status": {"phase": "Up"}, "spec": {"color": "green"}})),
            merge(&status, &json!({"status": {"phase": "Up"}})),
            merge(
                &status,
                &json!({"metadata": {"labels": {"x": "y"}, "annotations": {"x": "y"}, "finalizers": ["a/b"]}}),
            ),
            merge(
                &status,
                &json!({"metadata": {"resourceVersion": "$oldrv(a)"}, "status": {"phase": "Down"}}),
            ),
            merge(&status, &json!({"metadata": {"resourceVersion": "$rv(a)"}, "status": {"phase": "Down"}})),
            merge(&status, &json!({"status": {"phase": 3}})),
            merge(&status, &json!({"status": {"unknown": 3}})),
            merge(format!("{status}?fieldValidation=Strict"), &json!({"status": {"unknown": 3}})),
            merge(&status, &json!({"status": null})),
            merge(&status, &json!({"spec": null})),
            merge(&status, &json!({"spec": {"color": "nonsense"}})),
            put(&status, &with(widget("a"), &json!({"status": {"phase": "Put"}}))),
            put(
                &status,
                &with(
                    widget("a"),
                    &json!({"metadata": {"resourceVersion": "$rv(a)"}, "status": {"phase": "Put"}}),
                ),
            ),
            put(
                &status,
                &with(widget("a"), &json!({"metadata": {"resourceVersion": "$rv(a)"}, "spec": null})),
            ),
            json_patch(&status, &json!([{"op": "add", "path": "/status", "value": {"phase": "J"}}])),
            json_patch(&status, &json!([{"op": "test", "path": "/status/phase", "value": "K"}])),
            post(&status, &widget("a")),
            crate::step::delete(&status),
            merge(format!("{one}?fieldManager=x"), &json!({"status": {"phase": "ignored"}})),
        ],
    )
}

fn scale() -> Script {
    let one = format!("{WIDGETS}/a");
    let scale = format!("{one}/scale");
    script(
        "widget: /scale",
        vec![
            get(&scale),
            post(WIDGETS, &widget("a")),
            get(&scale),
            merge(&scale, &json!({"spec": {"replicas": 4}})),
            get(&one),
            merge(&scale, &json!({"spec": {"replicas": 4}})),
            merge(&scale, &json!({"spec": {"replicas": -1}})),
            merge(&scale, &json!({"spec": {"replicas": 1000}})),
            merge(&scale, &json!({"spec": {"replicas": "3"}})),
            merge(&scale, &json!({"spec": null})),
            merge(&scale, &json!({"metadata": {"labels": {"x": "y"}}})),
            merge(&scale, &json!({"metadata": {"resourceVersion": "$oldrv(a)"}, "spec": {"replicas": 5}})),
            put(
                &scale,
                &json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 6}}),
            ),
            get(&one),
            put(
                &scale,
                &json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a", "namespace": "$NS"}, "spec": {"replicas": 6}}),
            ),
            put(
                &scale,
                &json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "b"}, "spec": {"replicas": 6}}),
            ),
            put(
                &scale,
                &json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a", "namespace": "$NS", "resourceVersion": "$oldrv(a)"}, "spec": {"replicas": 6}}),
            ),
            json_patch(&scale, &json!([{"op": "replace", "path": "/spec/replicas", "value": 7}])),
            merge(format!("{one}/status"), &json!({"status": {"replicas": 3, "selector": "app=x"}})),
            get(&scale),
            get(&one),
            crate::step::delete(&scale),
        ],
    )
}

fn absent_subresources() -> Script {
    let one = format!("{WIDGETS}/a");
    script(
        "subresources that are not there",
        vec![
            post(WIDGETS, &widget("a")),
            get(format!("{one}/nonsense")),
            merge(format!("{one}/nonsense"), &json!({})),
            post(CONFIG_MAPS, &config_map("a")),
            get(format!("{CONFIG_MAPS}/a/status")),
            get(format!("{CONFIG_MAPS}/a/scale")),
            post(ROLLOUTS, &rollout("a")),
            get(format!("{ROLLOUTS}/a/scale")),
            get(format!("{ROLLOUTS}/a/status")),
        ],
    )
}
