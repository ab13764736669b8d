//! JSON Patch and merge patch, good and bad.

use serde_json::json;

use crate::compare::{Script, script};
use crate::objects::{config_map, gateway_route, widget, with};
use crate::step::{CONFIG_MAPS, GATEWAY_ROUTES, WIDGETS, get, json_patch, merge, post};

pub fn scripts() -> Vec<Script> {
    let cm = format!("{CONFIG_MAPS}/a");
    let wd = format!("{WIDGETS}/a");
    let route = format!("{GATEWAY_ROUTES}/a");
    let targets = "/spec/httpRoute/action/weightedTargets";
    let op =
        |op: &str, path: &str, value: serde_json::Value| json!([{"op": op, "path": path, "value": value}]);
    vec![
        script(
            "json patch of a route, as the controller writes it",
            vec![
                post(GATEWAY_ROUTES, &gateway_route("a")),
                json_patch(
                    format!("{route}?fieldManager=tidegate"),
                    &json!([
                        {"op": "test", "path": format!("{targets}/0/virtualServiceRef/name"), "value": "v1"},
                        {"op": "replace", "path": format!("{targets}/0/weight"), "value": 80},
                        {"op": "replace", "path": format!("{targets}/1/weight"), "value": 20},
                    ]),
                ),
                json_patch(&route, &op("test", &format!("{targets}/0/weight"), json!(90))),
                json_patch(&route, &op("test", &format!("{targets}/0/weight"), json!(80))),
                json_patch(&route, &op("test", &format!("{targets}/0/weight"), json!(80.0))),
                json_patch(&route, &op("test", "/metadata/resourceVersion", json!("1"))),
                json_patch(&route, &op("replace", "/metadata/resourceVersion", json!("$oldrv(a)"))),
                json_patch(&route, &op("add", "/metadata/annotations/x", json!("y"))),
                json_patch(&route, &op("add", "/metadata/annotations", json!({"a/b": "y"}))),
                json_patch(&route, &op("test", "/metadata/annotations/a~1b", json!("y"))),
                json_patch(&route, &op("replace", &format!("{targets}/0/weight"), json!("heavy"))),
                json_patch(&route, &op("replace", &format!("{targets}/0/weight"), json!(-1))),
                json_patch(&route, &op("replace", &format!("{targets}/0/weight"), json!(80))),
                json_patch(
                    &route,
                    &op(
                        "add",
                        &format!("{targets}/-"),
                        json!({"virtualServiceRef": {"name": "v3"}, "weight": 0}),
                    ),
                ),
                json_patch(&route, &json!([{"op": "remove", "path": format!("{targets}/7")}])),
                json_patch(&route, &json!([{"op": "remove", "path": format!("{targets}/2")}])),
                json_patch(
                    &route,
                    &json!([{"op": "move", "from": "/metadata/annotations/a~1b", "path": "/metadata/annotations/c"}]),
                ),
                json_patch(
                    &route,
                    &json!([{"op": "copy", "from": "/metadata/annotations/c", "path": "/metadata/annotations/d"}]),
                ),
            ],
        ),
        script(
            "json patch that does not apply",
            vec![
                post(CONFIG_MAPS, &config_map("a")),
                json_patch(&cm, &json!([])),
                json_patch(&cm, &json!({})),
                json_patch(&cm, &json!("x")),
                json_patch(&cm, &json!(null)),
                json_patch(&cm, &json!([{"op": "nonsense", "path": "/data/a"}])),
                json_patch(&cm, &json!([{"path": "/data/a"}])),
                json_patch(&cm, &json!([{"op": "remove"}])),
                json_patch(&cm, &json!([{"op": "add", "path": "/data/b"}])),
                json_patch(&cm, &json!([{"op": "remove", "path": "/data/absent"}])),
                json_patch(&cm, &json!([{"op": "replace", "path": "/data/absent", "value": "1"}])),
                json_patch(&cm, &json!([{"op": "add", "path": "data/x", "value": "1"}])),
                json_patch(&cm, &json!([{"op": "add", "path": "/data/x/y", "value": "1"}])),
                json_patch(&cm, &json!([{"op": "add", "path": "/data/n", "value": 1}])),
                json_patch(&cm, &json!([{"op": "add", "path": "/data/n", "value": null}])),
                json_patch(&cm, &json!([{"op": "replace", "path": "", "value": {}}])),
                json_patch(&cm, &json!([{"op": "remove", "path": ""}])),
                json_patch(&cm, &json!([{"op": "test", "path": "/data/absent", "value": null}])),
                json_patch(&cm, &json!([{"op": "test", "path": "/metadata/labels", "value": null}])),
                json_patch(&cm, &json!([{"op": "replace", "path": "/metadata/name", "value": "b"}])),
                json_patch(&cm, &json!([{"op": "replace", "path": "/kind", "value": "Other"}])),
                json_patch(&cm, &json!([{"op": "remove", "path": "/kind"}])),
                json_patch(&cm, &json!([{"op": "remove", "path": "/metadata"}])),
                json_patch(&cm, &json!([])).text("[{"),
                json_patch(&cm, &json!([])).text(""),
                json_patch(
                    format!("{CONFIG_MAPS}/absent"),
                    &json!([{"op": "add", "path": "/data/b", "value": "1"}]),
                ),
                get(&cm),
            ],
        ),
        script(
            "merge patch",
            vec![
                post(CONFIG_MAPS, &config_map("a")),
                merge(&cm, &json!({"data": {"b": "2", "a": null}})),
                merge(&cm, &json!({"data": {"b": 2}})),
                merge(&cm, &json!({"data": null})),
                merge(&cm, &json!({"data": []})),
                merge(&cm, &json!({})),
                merge(&cm, &json!([])),
                merge(&cm, &json!("x")),
                merge(&cm, &json!(null)),
                merge(&cm, &json!({})).text("{"),
                merge(&cm, &json!({})).text(""),
                merge(&cm, &json!({"metadata": {"resourceVersion": "$oldrv(a)"}, "data": {"c": "3"}})),
                merge(&cm, &json!({"metadata": {"resourceVersion": "$rv(a)"}, "data": {"c": "3"}})),
                merge(&cm, &json!({"metadata": {"resourceVersion": "x"}, "data": {"c": "4"}})),
                merge(&cm, &json!({"metadata": {"uid": "x"}, "data": {"c": "4"}})),
                merge(&cm, &json!({"metadata": {"name": "b"}})),
                merge(format!("{CONFIG_MAPS}/absent"), &json!({"data": {"b": "2"}})),
            ],
        ),
        script(
            "merge patch of custom resources",
            vec![
                post(WIDGETS, &with(widget("a"), &json!({"spec": {"numbers": [1, 2], "maybe": "x"}}))),
                merge(&wd, &json!({"spec": {"numbers": [3]}})),
                merge(&wd, &json!({"spec": {"maybe": null}})),
                merge(&wd, &json!({"spec": {"replicas": null, "mode": null}})),
                merge(&wd, &json!({"spec": {"color": null}})),
                merge(&wd, &json!({"spec": null})),
                merge(&wd, &json!({"spec": {"color": "nonsense"}})),
                merge(&wd, &json!({"spec": {"nonsense": 1}})),
                merge(format!("{wd}?fieldValidation=Strict"), &json!({"spec": {"nonsense": 1}})),
                merge(format!("{wd}?fieldValidation=Ignore"), &json!({"spec": {"nonsense": 1}})),
                merge(format!("{wd}?force=true"), &json!({"spec": {"color": "green"}})),
                merge(format!("{wd}?dryRun=All"), &json!({"spec": {"color": "blue"}})),
                merge(&wd, &json!({"spec": {"color": "blue", "replicas": 2}})),
            ],
        ),
    ]
}
