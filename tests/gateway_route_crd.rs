//! The GatewayRoute CRD keeps the whole dialect, and refuses or prunes nothing that AWS's CRD takes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may end the test")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use tidegate::api::gateway_route_crd::{aws_gateway_route_crd, gateway_route_crd};
use tidegate::schema::{FieldError, Schema};

const DIALECT: &str = include_str!("data/appmesh/gateway-route-dialect.yaml");

fn open_api(crd: &Value) -> Value {
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn compile(crd: &Value) -> Schema {
    let (schema, warnings) = Schema::compile(&open_api(crd)).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    schema
}

fn ours() -> Schema {
    compile(&gateway_route_crd().unwrap())
}

fn aws() -> Schema {
    compile(&aws_gateway_route_crd().unwrap())
}

/// What an API server makes of a manifest: the stored object, what was pruned, and what is wrong.
fn admit(schema: &Schema, manifest: &Value) -> (Value, Vec<String>, Vec<FieldError>) {
    let mut object = manifest.clone();
    let pruned = schema.prune(&mut object);
    schema.apply_defaults(&mut object);
    let errors = schema.validate(&object, None);
    (object, pruned, errors)
}

fn dialect() -> Vec<Value> {
    serde_saphyr::from_multiple(DIALECT).unwrap()
}

fn weighted(entries: &Value) -> Value {
    json!({"metadata": {"name": "r"}, "spec": {"httpRoute": {
        "match": {"prefix": "/"}, "action": {"weightedTargets": entries}}}})
}

fn entry(name: &str, weight: i64) -> Value {
    json!({"virtualServiceRef": {"name": name}, "weight": weight})
}

#[test]
fn bad_lists_of_targets_are_refused_where_they_are_wrong() {
    let eleven: Vec<Value> = (0..11).map(|i| entry(&format!("v{i}"), 1)).collect();
    let action = "spec.httpRoute.action";
    let both = json!({"target": {"virtualServiceRef": {"name": "a"}}, "weightedTargets": [entry("a", 1)]});
    let aliases = json!({"targets": [entry("a", 1)], "weightedTargets": [entry("a", 1)]});
    let cases = [
        ("both", both, action.to_owned()),
        ("both names", aliases, action.to_owned()),
        ("neither", json!({}), action.to_owned()),
        ("eleven", json!({"weightedTargets": eleven}), format!("{action}.weightedTargets")),
        ("empty", json!({"weightedTargets": []}), format!("{action}.weightedTargets")),
        ("empty alias", json!({"targets": []}), format!("{action}.targets")),
        ("negative", json!({"targets": [entry("a", -1)]}), format!("{action}.targets[0].weight")),
        ("huge", json!({"targets": [entry("a", 1_000_001)]}), format!("{action}.targets[0].weight")),
        (
            "unweighted",
            json!({"targets": [{"virtualServiceRef": {"name": "a"}}]}),
            format!("{action}.targets[0].weight"),
        ),
        (
            "port 0",
            json!({"targets": [{"virtualServiceRef": {"name": "a"}, "weight": 1, "port": 0}]}),
            format!("{action}.targets[0].port"),
        ),
        (
            "nameless",
            json!({"targets": [{"virtualServiceRef": {}, "weight": 1}]}),
            format!("{action}.targets[0].virtualServiceRef.name"),
        ),
        ("target without service", json!({"target": {"port": 80}}), format!("{action}.target")),
    ];
    let schema = ours();
    for (name, action, path) in cases {
        for wrapped in [false, true] {
            let route = json!({"httpRoute": {"match": {"prefix": "/"}, "action": action}});
            let spec = if wrapped { json!({"routeSpec": route}) } else { route };
            let path = if wrapped { path.replacen("spec.", "spec.routeSpec.", 1) } else { path.clone() };
            let (_, pruned, errors) = admit(&schema, &json!({"metadata": {"name": "r"}, "spec": spec}));
            assert_eq!(pruned, Vec::<String>::new(), "{name}");
            let error = errors.iter().find(|error| error.path == path);
            assert!(error.is_some(), "{name}: {errors:?}");
        }
    }
}

#[test]
fn contradictions_are_refused_with_a_sentence_that_helps() {
    let route = json!({"match": {"prefix": "/"}, "action": {"targets": [entry("a", 1)]}});
    let with = |field: &str, value: Value| {
        let mut route = route.clone();
        route[field] = value;
        json!({"spec": {"httpRoute": route}})
    };
    let second = json!({"unit": "s", "value": 1});
    let cases = [
        (json!({"spec": {"routeSpec": {"httpRoute": route}, "grpcRoute": route}}), "not in both"),
        (
            json!({"spec": {"routeSpec": {}}}),
            "exactly one of httpRoute, http2Route and grpcRoute must be set",
        ),
        (
            with("retryPolicy", json!({"maxRetries": 1, "perTryTimeout": second, "perRetryTimeout": second})),
            "only one",
        ),
        (with("retryPolicy", json!({"maxRetries": 1, "httpRetryEvents": ["sometimes"]})), "supported values"),
        (with("timeout", json!({"idle": {"unit": "h", "value": 1}})), "supported values"),
        (with("timeout", json!({"idle": {"unit": "s"}})), "Required value"),
    ];
    let schema = ours();
    for (manifest, sentence) in cases {
        let (_, _, errors) = admit(&schema, &manifest);
        assert!(errors.iter().any(|error| error.message.contains(sentence)), "{manifest}: {errors:?}");
    }
}

#[test]
fn short_spellings_of_the_wrapper_are_paths_or_objects_and_nothing_else() {
    let schema = ours();
    let cases = [
        (json!("/a"), true),
        (json!({"exact": "/a", "value": "/a"}), true),
        (json!("a"), false),
        (json!(""), false),
        (json!(3), false),
        (json!(0), false),
        (json!(1.5), false),
        (json!(true), false),
        (json!([]), false),
        (json!(["/a"]), false),
        (json!({"exact": "", "value": ""}), false),
    ];
    for (value, accepted) in cases {
        let route = |prefix: &Value, path: &Value| {
            json!({"spec": {"routeSpec": {"httpRoute": {"match": {"path": path}, "action": {
                "rewrite": {"prefix": prefix}, "targets": [entry("a", 1)]}}}}})
        };
        for manifest in [route(&value, &json!("/")), route(&json!("/"), &value)] {
            let (object, pruned, errors) = admit(&schema, &manifest);
            assert_eq!(errors.is_empty(), accepted, "{manifest}: {errors:?}");
            assert_eq!((object, pruned), (manifest, vec![]));
        }
    }
}

#[test]
fn every_document_of_the_dialect_is_accepted_whole() {
    let documents = dialect();
    assert_eq!(documents.len(), 6);
    let schema = ours();
    for document in documents {
        let (object, pruned, errors) = admit(&schema, &document);
        assert_eq!(errors, [], "{document}");
        assert_eq!((object, pruned), (document, vec![]));
    }
}

#[test]
fn aws_prunes_or_refuses_all_of_the_dialect_but_its_own_shape() {
    let schema = aws();
    for document in dialect() {
        let (_, pruned, errors) = admit(&schema, &document);
        let whole = pruned.is_empty() && errors.is_empty();
        assert_eq!(whole, document["metadata"]["name"] == "plain-aws", "{document}");
    }
}

#[test]
fn conditions_keep_their_generation_and_may_be_ours() {
    let mut manifest = weighted(&json!([entry("a", 1)]));
    manifest["status"] = json!({"conditions": [{"type": "Programmed", "status": "True", "observedGeneration": 3,
        "reason": "Served", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let (object, pruned, errors) = admit(&ours(), &manifest);
    assert_eq!((object, pruned, errors), (manifest, vec![], vec![]));
}

#[test]
fn everything_outside_the_schema_is_as_aws_has_it() {
    let (mut ours, mut aws) = (gateway_route_crd().unwrap(), aws_gateway_route_crd().unwrap());
    for crd in [&mut ours, &mut aws] {
        crd["spec"]["versions"][0]["schema"].take();
    }
    let note = ours["metadata"]["annotations"].as_object_mut().unwrap().remove("tidegate.dev/superset-of");
    assert!(note.is_some());
    assert_eq!(ours, aws);
}

/// Values that a schema accepts, with unknown fields and droppable nulls strewn in.
fn valid(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(options) = schema["enum"].as_array() {
        return select(options.clone()).boxed();
    }
    match schema["type"].as_str().unwrap() {
        "string" if schema["format"] == "date-time" => Just(json!("2026-01-01T00:00:00Z")).boxed(),
        "string" => {
            let (min, max) = (size(schema, "minLength", 0), size(schema, "maxLength", 40));
            assert!(schema["pattern"].is_null(), "AWS's CRD has no patterns; generate them if it ever does");
            vec(select(vec!['a', '/', '-', '.', '*', ' ', 'é', '漢']), min..=max)
                .prop_map(|chars| Value::from(chars.into_iter().collect::<String>()))
                .boxed()
        }
        "integer" => {
            let (min, max) = (bound(schema, "minimum", i64::MIN), bound(schema, "maximum", i64::MAX));
            prop_oneof![Just(min), Just(max), min..=max].prop_map(Value::from).boxed()
        }
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "array" => {
            let (min, max) = (size(schema, "minItems", 0), size(schema, "maxItems", 3));
            vec(valid(&schema["items"]), min..=max).prop_map(Value::from).boxed()
        }
        "object" => valid_object(schema),
        other => panic!("no generator for {other}"),
    }
}

fn size(schema: &Value, keyword: &str, default: usize) -> usize {
    schema[keyword].as_u64().map_or(default, |size| usize::try_from(size).unwrap())
}

fn bound(schema: &Value, keyword: &str, default: i64) -> i64 {
    schema[keyword].as_i64().unwrap_or(default)
}

fn valid_object(schema: &Value) -> BoxedStrategy<Value> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut fields = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let name = name.clone();
        let value = valid(property);
        fields.push(if required.contains(&name.as_str()) {
            value.prop_map(move |value| Some((name.clone(), value))).boxed()
        } else {
            prop_oneof![4 => value.prop_map(Some), 4 => Just(None), 1 => Just(Some(Value::Null))]
                .prop_map(move |value| Some((name.clone(), value?)))
                .boxed()
        });
    }
    // Some of these names our CRD knows, though not where they appear here.
    let unknown = (
        select(vec!["unknown", "x-y_z", "weight", "perTryTimeout", "value2"]),
        select(vec![
            json!(1),
            json!("a"),
            json!(null),
            json!({"targets": [1], "name": "a"}),
            json!([{"weight": 1}]),
        ]),
    );
    let unknown = prop_oneof![3 => Just(None), 1 => unknown.prop_map(Some)];
    fields.push(unknown.prop_map(|field| field.map(|(name, value)| (name.to_owned(), value))).boxed());
    fields.prop_map(|fields| fields.into_iter().flatten().collect::<Map<_, _>>().into()).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_aws_accepts_is_refused_or_pruned_otherwise(
        spec in valid(&open_api(&aws_gateway_route_crd().unwrap())["properties"]["spec"]),
        status in valid(&open_api(&aws_gateway_route_crd().unwrap())["properties"]["status"]),
        extra in any::<bool>(),
    ) {
        let mut manifest = json!({
            "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute",
            "metadata": {"name": "r", "namespace": "n"}, "spec": spec, "status": status,
        });
        if extra {
            manifest["beside"] = json!({"any": ["thing"]});
        }
        thread_local! {
            static SCHEMAS: (Schema, Schema) = (aws(), ours());
        }
        SCHEMAS.with(|(aws, ours)| {
            let theirs = admit(aws, &manifest);
            prop_assert_eq!(&theirs.2, &Vec::new(), "the generator made what AWS refuses");
            prop_assert_eq!(theirs, admit(ours, &manifest));
            Ok(())
        })?;
    }
}
