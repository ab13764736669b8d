//! Paths, methods, bodies and content types that do not fit.

use serde_json::json;

use crate::compare::{Script, script};
use crate::objects::{config_map, widget, with};
use crate::step::{CONFIG_MAPS, JSON_PATCH, MERGE_PATCH, WIDGETS, delete, get, merge, post, put, send};

pub fn scripts() -> Vec<Script> {
    let mut scripts = vec![
        script(
            "paths that lead nowhere",
            [
                "/nonsense",
                "/api/v2",
                "/api/v1/nonsense",
                "/api/v1/namespaces/$NS/nonsense",
                "/api/v1/namespaces/$NS/nonsense/a",
                "/apis/nonsense",
                "/apis/nonsense/v1",
                "/apis/nonsense/v1/things",
                "/apis/nonsense/v1/namespaces/$NS/things/a",
                "/apis/apps/v9",
                "/apis/apps/v1/nonsense",
                "/apis/apps/v9/deployments",
                "/apis/fidelity.tidegate.dev/v9/namespaces/$NS/widgets",
                "/apis/fidelity.tidegate.dev/v9",
                "/apis/fidelity.tidegate.dev/v1/namespaces/$NS/nonsense",
                "/apis/fidelity.tidegate.dev/v1/nonsense/a/b/c/d",
                "/apis/fidelity.tidegate.dev/v1/namespaces/$NS/Widgets",
                "/api/v1/namespaces/$NS/namespaces",
                "/openapi/v3/apis/nonsense/v1",
                "/openapi/v3/nonsense",
            ]
            .map(get)
            .into(),
        ),
        script(
            "lists of all namespaces and cluster scope",
            vec![
                get("/apis/fidelity.tidegate.dev/v1/widgets?labelSelector=absent"),
                get("/apis/fidelity.tidegate.dev/v1/widgets/a"),
                post("/apis/fidelity.tidegate.dev/v1/widgets", &widget("a")),
                post("/api/v1/configmaps", &config_map("a")),
                delete("/apis/fidelity.tidegate.dev/v1/widgets?labelSelector=absent"),
                get("/api/v1/configmaps?labelSelector=absent"),
                get("/api/v1/configmaps/a"),
                delete("/api/v1/configmaps?labelSelector=absent"),
            ],
        ),
        script(
            "discovery of one group",
            vec![
                get("/apis/fidelity.tidegate.dev"),
                get("/apis/fidelity.tidegate.dev/v1"),
                get("/apis/tidegate.dev/v1alpha1"),
                get("/apis/coordination.k8s.io/v1"),
                post("/apis/fidelity.tidegate.dev/v1", &json!({})),
                delete("/apis/fidelity.tidegate.dev"),
            ],
        ),
    ];
    for (kind, path, object) in
        [("config map", CONFIG_MAPS, config_map("a")), ("widget", WIDGETS, widget("a"))]
    {
        let one = format!("{path}/a");
        scripts.push(script(
            &format!("{kind}: methods"),
            vec![
                post(path, &object),
                send("POST", &one, &object.to_string()),
                send("PUT", path, &object.to_string()),
                send("PATCH", path, "{}").content_type(MERGE_PATCH),
                send("OPTIONS", path, ""),
                send("NONSENSE", path, ""),
                send("TRACE", &one, ""),
                get(format!("{one}/")),
                get(format!("{path}/")),
                get(path.replacen("/namespaces", "//namespaces", 1)),
            ],
        ));
        scripts.push(script(
            &format!("{kind}: bodies"),
            [
                "",
                "{",
                "[]",
                "null",
                "3",
                "\"text\"",
                "{}",
                "{\"metadata\":",
                "{} trailing",
                "\u{0}",
                "{\"metadata\":{\"name\":\"a\"}}",
            ]
            .map(|text| post(path, &object).text(text))
            .into_iter()
            .chain([
                put(&one, &object).text(""),
                put(&one, &object).text("{}"),
                put(&one, &object).text("[]"),
                put(&one, &object).text("{"),
            ])
            .chain([post(path, &object)])
            .chain([
                put(&one, &object).text(""),
                put(&one, &object).text("{}"),
                put(&one, &object).text("[]"),
                put(&one, &object).text("null"),
            ])
            .collect(),
        ));
        scripts.push(script(
            &format!("{kind}: content types"),
            vec![
                post(path, &object).content_type("text/plain"),
                post(path, &object).content_type("application/json; charset=utf-8"),
                post(path, &object).content_type(MERGE_PATCH),
                post(path, &object).content_type("nonsense"),
                put(&one, &object).content_type("text/plain"),
                merge(&one, &json!({"metadata": {"labels": {"x": "y"}}})).content_type("application/json"),
                merge(&one, &json!({})).content_type("text/plain"),
                merge(&one, &json!({})).content_type("application/merge-patch+json; charset=utf-8"),
                merge(format!("{path}/absent"), &json!({})).content_type("text/plain"),
                merge(&one, &json!({})).content_type(JSON_PATCH),
            ],
        ));
        let wrong = |change| post(path, &with(object.clone(), &change));
        scripts.push(script(
            &format!("{kind}: wrong types"),
            vec![
                wrong(json!({"data": 3})),
                wrong(json!({"data": {"a": 3}})),
                wrong(json!({"spec": 3})),
                wrong(json!({"spec": []})),
                wrong(json!({"apiVersion": 3})),
                wrong(json!({"kind": {}})),
                wrong(json!({"immutable": "yes"})),
            ],
        ));
    }
    scripts
}
