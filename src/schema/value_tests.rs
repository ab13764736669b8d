//! Value validation: what each keyword refuses, and what it must not refuse.

use serde_json::json;

use super::tests::{causes, compile, with_spec};

#[test]
fn values_are_refused_with_their_path_and_reason() {
    const INVALID: &str = "FieldValueInvalid";
    let cases = [
        (json!({"type": "string"}), json!(3), "spec", "FieldValueTypeInvalid"),
        (json!({"type": "string"}), json!(null), "spec", "FieldValueTypeInvalid"),
        (json!({"type": "integer"}), json!(1.5), "spec", "FieldValueTypeInvalid"),
        (json!({"type": "integer", "format": "int32"}), json!(3_000_000_000_i64), "", INVALID),
        (json!({"type": "string", "enum": ["a"]}), json!("b"), "spec", "FieldValueNotSupported"),
        (json!({"type": "integer", "minimum": 1}), json!(0), "spec", INVALID),
        (json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}), json!(1), "spec", INVALID),
        (json!({"type": "integer", "maximum": 1}), json!(2), "spec", INVALID),
        (json!({"type": "number", "maximum": 1, "exclusiveMaximum": true}), json!(1.0), "spec", INVALID),
        (json!({"type": "integer", "multipleOf": 3}), json!(4), "spec", INVALID),
        (json!({"type": "string", "minLength": 2}), json!("é"), "spec", INVALID),
        (json!({"type": "string", "maxLength": 1}), json!("éé"), "spec", "FieldValueTooLong"),
        (json!({"type": "string", "pattern": "^a"}), json!("ba"), "spec", INVALID),
        (json!({"type": "string", "format": "date-time"}), json!("soon"), "spec", "FieldValueTypeInvalid"),
        (json!({"type": "array", "minItems": 1, "items": {"type": "string"}}), json!([]), "spec", INVALID),
        (
            json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}),
            json!(["a", "b"]),
            "spec",
            "FieldValueTooMany",
        ),
        (
            json!({"type": "array", "uniqueItems": true, "items": {"type": "integer"}}),
            json!([1, 1]),
            "spec",
            INVALID,
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a", 1]),
            "spec[1]",
            "FieldValueTypeInvalid",
        ),
        (json!({"type": "object", "minProperties": 1}), json!({}), "spec", INVALID),
        (
            json!({"type": "object", "maxProperties": 0, "additionalProperties": {"type": "string"}}),
            json!({"a": "b"}),
            "spec",
            "FieldValueTooMany",
        ),
        (json!({"type": "object", "required": ["a"]}), json!({}), "spec.a", "FieldValueRequired"),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            json!({"a": "b"}),
            "spec.a",
            "FieldValueTypeInvalid",
        ),
        (json!({"x-kubernetes-int-or-string": true}), json!(true), "spec", "FieldValueTypeInvalid"),
        (
            json!({"type": "object", "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true}),
            json!({"kind": "Pod"}),
            "spec.apiVersion",
            "FieldValueRequired",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
            json!(["a", "b", "a"]),
            "spec[2]",
            "FieldValueDuplicate",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": {"type": "string"}}}}),
            json!([{"name": "a"}, {"name": "a"}]),
            "spec[1]",
            "FieldValueDuplicate",
        ),
        (json!({"type": "string", "not": {"enum": ["a"]}}), json!("a"), "", INVALID),
        (json!({"type": "string", "allOf": [{"minLength": 2}]}), json!("a"), "", INVALID),
        (json!({"type": "string", "anyOf": [{"minLength": 2}, {"enum": ["x"]}]}), json!("a"), "", INVALID),
        (json!({"type": "string", "oneOf": [{"minLength": 1}, {"enum": ["x"]}]}), json!("x"), "", INVALID),
    ];
    for (spec, value, path, reason) in cases {
        let errors = compile(&with_spec(spec.clone())).validate(&json!({"spec": value}), None);
        assert_eq!(causes(&errors).first(), Some(&(path, reason)), "{spec} on {value}: {errors:?}");
    }
}

#[test]
fn values_that_hold_are_accepted() {
    let cases = [
        (json!({"type": "integer"}), json!(1.0)),
        (json!({"type": "string", "nullable": true, "enum": ["a"]}), json!(null)),
        (
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!("50%"),
        ),
        (json!({"x-kubernetes-preserve-unknown-fields": true}), json!([1, {"a": null}])),
        (json!({"type": "string", "format": "made-up"}), json!("anything")),
        (json!({"type": "string", "oneOf": [{"enum": ["a"]}, {"enum": ["b"]}]}), json!("b")),
    ];
    for (spec, value) in cases {
        let errors = compile(&with_spec(spec.clone())).validate(&json!({"spec": value}), None);
        assert_eq!(errors, [], "{spec} on {value}");
    }
}
