//! Compiling, pruning, defaulting, and real CRDs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{FieldError, Schema};

/// The schema of an object whose `spec` is `spec`.
pub(super) fn with_spec(spec: Value) -> Value {
    let mut schema = json!({"type": "object", "properties": {}});
    schema["properties"]["spec"] = spec;
    schema
}

pub(super) fn compile(schema: &Value) -> Schema {
    let (schema, warnings) = Schema::compile(schema).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    schema
}

pub(super) fn causes(errors: &[FieldError]) -> Vec<(&str, &str)> {
    errors.iter().map(|error| (error.path.as_str(), error.reason)).collect()
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    let cases = [
        (json!(true), "must be an object"),
        (json!({"type": "string"}), "root must be of type object"),
        (with_spec(json!({})), "properties[spec].type must not be empty"),
        (with_spec(json!({"type": "strnig"})), "must be one OpenAPI type"),
        (with_spec(json!({"type": "array"})), "an array needs items"),
        (with_spec(json!({"type": "string", "minLength": -1})), "whole number"),
        (with_spec(json!({"type": "string", "pattern": "("})), "cannot compile the pattern"),
        (
            with_spec(json!({"type": "string", "default": 3})),
            "default at properties[spec].default is refused",
        ),
        (
            with_spec(json!({"type": "object", "properties": {}, "additionalProperties": true})),
            "exclude each other",
        ),
        (
            with_spec(json!({"type": "object", "anyOf": [{"properties": {"a": {"type": "object"}}}]})),
            "type must stand outside",
        ),
        (with_spec(json!({"type": "object", "allOf": [{"nullable": true}]})), "value validations only"),
        (
            with_spec(json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"})),
            "needs x-kubernetes-list-map-keys",
        ),
        (
            with_spec(json!({"type": "array", "items":
                {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}})),
            "oldSelf cannot be found",
        ),
        (
            with_spec(json!({"type": "string", "x-kubernetes-validations": [{"mesage": "x"}]})),
            "cannot read the rule",
        ),
    ];
    for (schema, expected) in cases {
        let error = Schema::compile(&schema).unwrap_err().to_string();
        assert!(error.contains(expected), "{schema}: {error}");
    }
}

#[test]
fn unknown_fields_are_pruned_and_told() {
    let schema = compile(&with_spec(json!({"type": "object", "properties": {
        "routes": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object"}}},
        "map": {"type": "object", "additionalProperties": {"type": "object"}},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {}},
    }})));
    let mut object = json!({
        "apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a", "labels": {"x": "y"}}, "status": {},
        "spec": {
            "foo": 1,
            "routes": [{"name": "a", "bar": {}}],
            "any": {"free": {"a": 1}, "known": {"b": 1}},
            "map": {"k": {"c": 1}},
            "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}},
        },
    });
    let mut pruned = schema.prune(&mut object);
    pruned.sort();
    assert_eq!(
        pruned,
        [
            "spec.any.known.b",
            "spec.foo",
            "spec.map.k.c",
            "spec.routes[0].bar",
            "spec.template.spec",
            "status"
        ]
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a", "labels": {"x": "y"}},
            "spec": {
                "routes": [{"name": "a"}],
                "any": {"free": {"a": 1}, "known": {}},
                "map": {"k": {}},
                "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}},
            },
        })
    );
    assert_eq!(schema.prune(&mut object), Vec::<String>::new());
}

#[test]
fn defaults_fill_what_is_absent_or_a_forbidden_null() {
    let schema = compile(&with_spec(json!({"type": "object", "properties": {
        "weight": {"type": "integer", "default": 1},
        "gone": {"type": "string"},
        "kept": {"type": "string", "nullable": true, "default": "x"},
        "nested": {"type": "object", "default": {}, "properties": {"a": {"type": "string", "default": "b"}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer", "default": 2}}}},
        "map": {"type": "object", "additionalProperties": {"type": "integer", "default": 3}},
    }})));
    let mut object = json!({"spec": {"weight": null, "gone": null, "kept": null, "list": [{}, {"n": 5}], "map": {"k": null}}});
    schema.apply_defaults(&mut object);
    assert_eq!(
        object,
        json!({"spec": {"weight": 1, "kept": null, "nested": {"a": "b"}, "list": [{"n": 2}, {"n": 5}],
            "map": {"k": 3}}})
    );
}

#[test]
fn a_schema_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Schema>();
}

/// Every version of the CRDs in `folder` with its schema.
fn crd_schemas(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut schemas = Vec::new();
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
        let crd: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for version in crd["spec"]["versions"].as_array().unwrap() {
            let name = format!("{} {}", crd["metadata"]["name"], version["name"]);
            schemas.push((name, version["schema"]["openAPIV3Schema"].clone()));
        }
    }
    schemas
}

#[test]
fn the_crds_of_app_mesh_and_gateway_api_compile_without_warnings() {
    for (folder, count) in [("appmesh/crds", 6), ("gateway-api/crds", 7)] {
        let schemas = crd_schemas(folder);
        assert_eq!(schemas.len(), count, "{folder}");
        for (name, schema) in schemas {
            let (_, warnings) = Schema::compile(&schema).unwrap();
            assert_eq!(warnings, Vec::<String>::new(), "{name}");
        }
    }
}

#[test]
fn an_http_route_is_defaulted_and_judged_by_its_rules() {
    let schemas = crd_schemas("gateway-api/crds");
    let (_, schema) =
        schemas.iter().find(|(name, _)| name.contains("httproutes") && name.contains("\"v1\"")).unwrap();
    let schema = compile(schema);
    let mut route = json!({"metadata": {"name": "r"}, "spec": {"parentRefs": [{"name": "gw"}], "rules": [{
        "matches": [{"path": {"type": "PathPrefix", "value": "/a"}}],
        "backendRefs": [{"name": "v1", "port": 80, "weight": 90}, {"name": "v2", "port": 80}]}]}});
    assert_eq!(schema.prune(&mut route), Vec::<String>::new());
    schema.apply_defaults(&mut route);
    assert_eq!(route["spec"]["rules"][0]["backendRefs"][1]["weight"], 1);
    assert_eq!(schema.validate(&route, None), []);

    let mut bad = route.clone();
    bad["spec"]["rules"][0]["matches"][0]["path"]["value"] = json!("/a//b");
    let errors = schema.validate(&bad, None);
    assert_eq!(causes(&errors), [("spec.rules[0].matches[0].path", "FieldValueInvalid")], "{errors:?}");

    let mut portless = route;
    portless["spec"]["rules"][0]["backendRefs"][0].as_object_mut().unwrap().remove("port");
    let errors = schema.validate(&portless, None);
    assert_eq!(causes(&errors), [("spec.rules[0].backendRefs[0]", "FieldValueInvalid")], "{errors:?}");
}
