//! The CRD of Rollout: its schema is structural, and refuses what no run could follow.

#![expect(clippy::unwrap_used, reason = "helpers of tests may end the test")]

use kube::CustomResourceExt;
use serde_json::{Value, json};
use tidegate::{
    api::{AnalysisTemplate, Rollout},
    schema::Schema,
};

fn open_api() -> Value {
    serde_json::to_value(Rollout::crd()).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn good() -> Value {
    json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"}, "spec": {
        "routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "shop"}],
        "target": {"name": "shop-v2"},
        "progressDeadline": "1h",
        "strategy": {"canary": {"hold": "5m", "steps": [{"weight": 5}, {"weight": 20, "maxHold": "20m"}]}},
        "analysis": {"series": {"preset": "tidegate-gateway"}, "errorRate": {}, "latency": [{"under": "300ms"}],
            "metrics": [{"name": "lag", "query": "lag", "max": "5"}]}}})
}

/// What is wrong with the good example once the value at `pointer` is `value`.
fn refusals(schema: &Schema, pointer: &str, value: Value) -> String {
    let mut object = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key] = value;
    assert_eq!(schema.prune(&mut object), Vec::<String>::new(), "{pointer}");
    schema.apply_defaults(&mut object);
    let errors = schema.validate(&object, None);
    let told: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
    told.join("\n")
}

#[test]
fn copies_come_first_and_stand_alone() {
    let (schema, _) = Schema::compile(&open_api()).unwrap();
    let matching = json!({"headers": [{"name": "x-team", "exact": "a"}]});
    let cases = [
        (json!([{"mirror": 5}, {"mirror": 100}, {"weight": 5}]), ""),
        (json!([{"mirror": 5}, {"match": matching}, {"weight": 5}]), ""),
        (json!([{"weight": 5, "mirror": 5}]), "exactly one of weight, match and mirror"),
        (json!([{"weight": 5}, {"mirror": 5}]), "come before all others"),
        (json!([{"match": matching}, {"mirror": 5}]), "come before all others"),
        (json!([{"mirror": 0}]), "mirror"),
        (json!([{"mirror": 101}]), "mirror"),
    ];
    for (steps, want) in cases {
        let told = refusals(&schema, "/spec/strategy/canary/steps", steps.clone());
        assert!(if want.is_empty() { told.is_empty() } else { told.contains(want) }, "{steps}: {told}");
    }
}

#[test]
fn each_rule_refuses_its_bad_example() {
    let (schema, warnings) = Schema::compile(&open_api()).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(refusals(&schema, "/spec/suspend", json!(false)), "");
    let route = json!({"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "shop"});
    let router = |more: Value| {
        let mut router = json!({"group": "appmesh.k8s.aws", "kind": "VirtualRouter", "name": "shop"});
        router.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        router
    };
    let steps = "/spec/strategy/canary/steps";
    let header = |name: &str| json!({"headers": [{"name": name, "exact": "true"}]});
    let blue_green = |rest: Value| json!({ "blueGreen": rest });
    let cases = [
        ("/spec/routes", json!([route, route]), "the same rule of it, twice"),
        ("/spec/routes", json!([router(json!({"rule": "a"})), router(json!({"rule": "b"}))]), ""),
        (
            "/spec/routes",
            json!([router(json!({"rule": "a"})), router(json!({"rule": "a"}))]),
            "same rule of it, twice",
        ),
        ("/spec/routes", json!([router(json!({"rule": "a"})), router(json!({}))]), "must each name a rule"),
        (
            "/spec/routes",
            json!([router(json!({"rule": "a", "target": "x"})), router(json!({"rule": "b"}))]),
            "the same for every rule",
        ),
        ("/spec/routes", json!([router(json!({"stable": "x"}))]), "must be given too"),
        (
            "/spec/routes",
            json!([{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "shop", "rule": "a"}]),
            "no rules",
        ),
        (
            "/spec/routes",
            json!([{"group": "appmesh.k8s.aws", "kind": "HTTPRoute", "name": "shop"}]),
            "of gateway.networking.k8s.io",
        ),
        (steps, json!([]), "spec.strategy.canary.steps"),
        (steps, json!([{"weight": 20}, {"weight": 20}]), "must increase"),
        (steps, json!([{"weight": 20}, {"weight": 5}]), "must increase"),
        (steps, json!([{"weight": 101}]), "weight"),
        (steps, json!([{"weight": 5, "hold": "9m", "maxHold": "8m"}]), "longer than its maxHold"),
        (steps, json!([{"match": header("x-team")}, {"weight": 5}, {"match": header("x-beta")}]), ""),
        (steps, json!([{"hold": "1m"}]), "exactly one of weight, match and mirror"),
        (steps, json!([{"weight": 5, "match": header("x-team")}]), "exactly one of weight, match and mirror"),
        (steps, json!([{"weight": 100}, {"match": header("x-team")}]), "follow that of weight 100"),
        (steps, json!([{"match": {"headers": []}}]), "headers"),
        (steps, json!([{"match": header("x team")}]), "name"),
        (
            steps,
            json!([{"match": {"headers": [{"name": "a", "exact": "b"}, {"name": "a", "exact": "c"}]}}]),
            "headers",
        ),
        ("/spec/strategy", json!({}), "exactly one of canary and blueGreen"),
        ("/spec/strategy/blueGreen", json!({}), "exactly one of canary and blueGreen"),
        ("/spec/strategy", blue_green(json!({})), ""),
        ("/spec/strategy", blue_green(json!({"preview": header("a"), "before": {}})), ""),
        ("/spec/strategy", blue_green(json!({"preview": header("a")})), "give before too"),
        (
            "/spec/strategy",
            blue_green(json!({"before": {"hold": "9m", "maxHold": "8m"}})),
            "longer than its maxHold",
        ),
        ("/spec/strategy", blue_green(json!({"after": {"hold": "20m"}})), "longer than the maxHold of"),
        ("/spec/strategy", blue_green(json!({"before": {"maxHold": "60m"}})), "longer than the maxHold of"),
        ("/spec/strategy/canary/hold", json!("5 minutes"), "hold"),
        ("/spec/strategy/canary/hold", json!("0s"), "hold"),
        ("/metadata/name", json!("a".repeat(64)), "at most 63"),
        ("/spec/analysis/interval", json!("500ms"), "between 1s and 5m"),
        ("/spec/analysis/interval", json!("6m"), "between 1s and 5m"),
        ("/spec/progressDeadline", json!("20m"), "progressDeadline must be longer"),
        ("/spec/analysis/metrics", json!([{"name": "lag", "query": "lag"}]), "min or max"),
        ("/spec/analysis/series", json!({"preset": "tidegate-gateway", "total": "t"}), "either a preset"),
        ("/spec/analysis/series", json!({}), "series must"),
        ("/spec/analysis", json!({"templateRef": {"name": "a"}}), ""),
        (
            "/spec/analysis",
            json!({"templateRef": {"name": "a"}, "args": {"b": "c"}, "mode": "Observe", "ignoreStable": true}),
            "",
        ),
        (
            "/spec/analysis",
            json!({"templateRef": {"name": "a"}, "interval": "1m"}),
            "the rest is the template's",
        ),
        (
            "/spec/analysis",
            json!({"templateRef": {"name": "a"}, "provider": "b"}),
            "the rest is the template's",
        ),
        ("/spec/analysis", json!({"templateRef": {"name": "a"}, "args": {"b": "{{target}}"}}), "args"),
        ("/spec/analysis/args", json!({"b": "c"}), "are for a template; name it"),
    ];
    for (pointer, value, want) in cases {
        let got = refusals(&schema, pointer, value.clone());
        assert_eq!(want.is_empty(), got.is_empty(), "{pointer} = {value}: {got}");
        assert!(got.contains(want), "{pointer} = {value}: wanted {want:?}, got {got:?}");
    }
}

#[test]
fn a_template_names_no_other_and_has_something_that_judges() {
    let crd = serde_json::to_value(AnalysisTemplate::crd()).unwrap();
    let (schema, warnings) =
        Schema::compile(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let metrics = json!({"metrics": [{"name": "lag", "query": "lag{a=\"{{args.a}}\"}", "max": "5"}]});
    let named = json!({"templateRef": {"name": "b"}});
    let cases = [
        (json!({"args": [{"name": "a"}, {"name": "b-c", "default": "{x}"}], "analysis": metrics}), ""),
        (json!({"analysis": named}), "a template names no other template"),
        (json!({"analysis": {}}), "or a templateRef"),
        (json!({"args": [{"name": "a b"}], "analysis": metrics}), "args[0].name"),
        (json!({"args": [{"name": "a", "default": "{{args.b}}"}], "analysis": metrics}), "args[0].default"),
        (json!({"args": [{"name": "a"}, {"name": "a"}], "analysis": metrics}), "args[1]"),
    ];
    for (spec, want) in cases {
        let mut object = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "a"}, "spec": spec,
        });
        assert_eq!(schema.prune(&mut object), Vec::<String>::new());
        schema.apply_defaults(&mut object);
        let errors = schema.validate(&object, None);
        let told: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
        assert_eq!(want.is_empty(), told.is_empty(), "{spec}: {told:?}");
        assert!(told.join("\n").contains(want), "{spec}: {told:?}");
    }
}

#[test]
fn before_a_switch_something_has_to_judge() {
    let (schema, _) = Schema::compile(&open_api()).unwrap();
    let preview = json!({"headers": [{"name": "a", "exact": "b"}]});
    let metrics = json!([{"name": "lag", "query": "lag", "max": "5"}]);
    let series = json!({"preset": "tidegate-gateway"});
    let with =
        |rate: Value, metrics: &Value| json!({"series": series, "errorRate": rate, "metrics": metrics});
    let (relative, level) = (with(json!({}), &json!([])), with(json!({"max": "5%"}), &json!([])));
    let slow = json!({"series": series, "latency": [{"under": "1s", "max": "5%"}]});
    let cases = [
        (json!({}), &relative, false),
        (json!({}), &level, true),
        (json!({}), &slow, true),
        (json!({"before": {}}), &level, false),
        (json!({"before": {}}), &with(json!({}), &metrics), true),
        (json!({"before": {"approval": "Required"}}), &relative, true),
        (json!({"before": {}, "preview": preview}), &relative, false),
        (json!({"before": {}, "preview": preview}), &level, true),
    ];
    for (blue_green, analysis, good) in cases {
        let mut object = good_with(&json!({ "blueGreen": blue_green }), analysis);
        assert_eq!(schema.prune(&mut object), Vec::<String>::new());
        schema.apply_defaults(&mut object);
        let told: Vec<String> = schema.validate(&object, None).iter().map(|e| e.message.clone()).collect();
        let refused = told.iter().any(|told| told.contains("nothing to compare the target with"));
        assert_eq!((told.is_empty(), refused), (good, !good), "{blue_green} {analysis}: {told:?}");
    }
}

fn good_with(strategy: &Value, analysis: &Value) -> Value {
    let mut object = good();
    object["spec"]["strategy"] = strategy.clone();
    object["spec"]["analysis"] = analysis.clone();
    object
}

/// Paths of keywords that a structural schema may not hold.
fn unstructural(schema: &Value, path: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                let bad = match key.as_str() {
                    "prefixItems" | "$ref" | "anyOf" => true,
                    "items" => value.is_array(),
                    _ => false,
                };
                if bad {
                    found.push(format!("{path}.{key}"));
                }
                unstructural(value, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| unstructural(value, path, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What would lead out of a Rollout's namespace, make the controller call somebody, or hold what is to be kept from others.
const FOREIGN: [&str; 26] = [
    "namespace",
    "url",
    "uri",
    "host",
    "hostname",
    "address",
    "endpoint",
    "server",
    "proxy",
    "webhook",
    "token",
    "password",
    "secret",
    "credential",
    "auth",
    "username",
    "apikey",
    "cafile",
    "cabundle",
    "certificate",
    "insecureskipverify",
    "tls",
    "rolearn",
    "serviceaccount",
    "cluster",
    "kubeconfig",
];

/// The fields of a schema, as paths.
fn fields(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.push(path.clone());
        fields(field, &path, found);
    }
    for inner in ["items", "additionalProperties"].into_iter().filter_map(|inner| schema.get(inner)) {
        fields(inner, path, found);
    }
}

/// Whether a field is called so: `secret`, `secretRef`, `tokenFile` and `hosts` alike, but not `target` or `author`.
fn is_foreign(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or_default();
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter.is_uppercase() {
            words.push(String::new());
        }
        words.last_mut().unwrap().push(letter);
    }
    words.push(name.to_owned());
    let bare = |word: &str| word.to_lowercase().trim_end_matches('s').to_owned();
    words.iter().any(|word| FOREIGN.iter().any(|foreign| bare(foreign) == bare(word)))
}

/// Nothing that a tenant writes names another namespace, an address or a secret, and nothing is kept that has no name.
#[test]
fn no_field_leads_out_of_the_namespace_or_holds_a_secret() {
    for (path, foreign) in [
        (".spec.url", true),
        (".spec.a.secretRef", true),
        (".spec.tokenFile", true),
        (".spec.basicAuth", true),
        (".spec.caBundle", true),
        (".spec.hosts", true),
        (".spec.target", false),
        (".spec.progressDeadline", false),
        (".spec.author", false),
    ] {
        assert_eq!(is_foreign(path), foreign, "{path}");
    }
    let template = serde_json::to_value(AnalysisTemplate::crd()).unwrap();
    let template = template["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    for schema in [open_api(), template] {
        let spec = &schema["properties"]["spec"];
        let mut found = Vec::new();
        fields(spec, ".spec", &mut found);
        assert!(found.len() > 20, "{found:?}");
        let foreign: Vec<&String> = found.iter().filter(|path| is_foreign(path)).collect();
        assert_eq!(foreign, Vec::<&String>::new());
        let text = spec.to_string();
        for open in [
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource",
            "\"additionalProperties\":true",
        ] {
            assert!(!text.contains(open), "{open}");
        }
    }
}

#[test]
fn evidence_is_stored_under_plain_lists() {
    let schema = open_api();
    let mut found = Vec::new();
    unstructural(&schema, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let sequence = schema
        .pointer("/properties/status/properties/run/properties/evidence/properties/metrics/additionalProperties/properties/sequence")
        .unwrap();
    for (list, bets) in [("harm", 6), ("safe", 4)] {
        let list = &sequence["properties"][list];
        assert_eq!((&list["type"], &list["items"]["type"]), (&json!("array"), &json!("string")));
        assert_eq!((&list["minItems"], &list["maxItems"]), (&json!(bets), &json!(bets)));
    }
}

#[test]
fn what_no_controller_has_seen_answers_to_no_generation() {
    let status = &open_api()["properties"]["status"];
    assert_eq!(status["default"], json!({ "observedGeneration": -1 }), "kstatus would call it current");
    let (schema, _) = Schema::compile(&open_api()).unwrap();
    let mut new = good();
    schema.apply_defaults(&mut new);
    let errors = schema.validate(&new, None);
    assert!(errors.is_empty() && new["status"]["observedGeneration"] == json!(-1), "{new}");
}

/// Nothing that is installed has the API server wait for us: no webhook admits or converts anything.
#[test]
fn no_webhook_is_installed() {
    for crd in [serde_json::to_value(Rollout::crd()), serde_json::to_value(AnalysisTemplate::crd())] {
        assert_eq!(crd.unwrap()["spec"]["conversion"]["strategy"].as_str().unwrap_or("None"), "None");
    }
    let mut looked_at = 0;
    for folder in ["charts/tidegate/templates", "charts/tidegate/files", "charts/tidegate/files/crds", "crds"]
    {
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        for path in files.filter(|path| path.is_file()) {
            let text = std::fs::read_to_string(&path).unwrap();
            for webhook in
                ["WebhookConfiguration", "strategy: Webhook", "webhookClientConfig", "kind: APIService"]
            {
                assert!(!text.contains(webhook), "{webhook} in {}", path.display());
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 10, "{looked_at}");
}

/// The documents of every example file, with where they stand.
fn examples() -> Vec<(String, Value)> {
    let folders = ["", "demo", "virtual-router", "http-route", "grpc-route", "blue-green"];
    let folders = folders.map(|folder| std::fs::read_dir(format!("examples/{folder}")).unwrap());
    let paths = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let documents = files.flat_map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        let found: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        found.into_iter().map(move |document| (path.display().to_string(), document))
    });
    documents.collect()
}

#[test]
fn every_example_passes_its_schema_and_its_rules() {
    let superset = tidegate::api::gateway_route_crd::gateway_route_crd().unwrap();
    let superset = superset["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    let theirs = |file: &str| -> Value {
        let crd: Value =
            serde_saphyr::from_str(&std::fs::read_to_string(format!("tests/data/{file}")).unwrap()).unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    };
    let schemas = [
        ("Rollout", open_api()),
        ("GatewayRoute", superset),
        ("VirtualRouter", theirs("appmesh/crds/appmesh.k8s.aws_virtualrouters.yaml")),
        ("HTTPRoute", theirs("gateway-api/crds/gateway.networking.k8s.io_httproutes.yaml")),
        ("GRPCRoute", theirs("gateway-api/crds/gateway.networking.k8s.io_grpcroutes.yaml")),
    ];
    let mut seen = [0; 5];
    for (path, document) in examples() {
        for (place, (kind, schema)) in schemas.iter().enumerate() {
            if document["kind"] != *kind {
                continue;
            }
            let (schema, _) = Schema::compile(schema).unwrap();
            let mut object = document.clone();
            assert_eq!(schema.prune(&mut object), Vec::<String>::new(), "{path}");
            schema.apply_defaults(&mut object);
            let errors: Vec<String> =
                schema.validate(&object, None).iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
            assert!(errors.is_empty(), "{path}: {errors:?}");
            seen[place] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "there are examples of both kinds: {seen:?}");
}
