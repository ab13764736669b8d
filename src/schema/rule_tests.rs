//! CEL rules: verdicts, messages, transitions, and what cannot be evaluated.

use serde_json::json;

use super::Schema;
use super::tests::{causes, compile, with_spec};

#[test]
fn rules_are_checked_where_they_stand() {
    let name_rule = json!({"type": "object",
        "x-kubernetes-validations": [{"rule": "self.metadata.name.size() <= 3", "message": "must be short"}],
        "properties": {"metadata": {"type": "object"}}});
    let errors = compile(&name_rule).validate(&json!({"metadata": {"name": "long"}}), None);
    assert_eq!(causes(&errors), [("", "FieldValueInvalid")]);
    assert_eq!(errors[0].message, "Invalid value: \"object\": must be short");

    let cases = [
        // What the rule says, and the fields it reads under their escaped names.
        (json!([{"rule": "self.a_b == 1 && self.c__dash__d == 2 && self.__namespace__ == 'n'"}]), None),
        (
            json!([{"rule": "self.at > timestamp('2020-01-01T00:00:00Z') && self.took < duration('1h')"}]),
            None,
        ),
        (json!([{"rule": "has(self.hidden)"}]), Some(("spec", "FieldValueInvalid"))),
        (
            json!([{"rule": "self.a_b > 1", "fieldPath": ".a_b", "reason": "FieldValueForbidden"}]),
            Some(("spec.a_b", "FieldValueForbidden")),
        ),
        (json!([{"rule": "self.absent == 1"}]), Some(("spec", "FieldValueInvalid"))),
        (json!([{"rule": "self.a_b"}]), Some(("spec", "FieldValueInvalid"))),
        (json!([{"rule": "self.parts.all(p, p.size() == 1)"}]), Some(("spec", "FieldValueInvalid"))),
    ];
    for (rules, expected) in cases {
        let schema = compile(&with_spec(
            json!({"type": "object", "x-kubernetes-validations": rules, "properties": {
                "a_b": {"type": "integer"}, "c-d": {"type": "integer"}, "namespace": {"type": "string"},
                "at": {"type": "string", "format": "date-time"}, "took": {"type": "string", "format": "duration"},
                "hidden": {"x-kubernetes-preserve-unknown-fields": true}, "absent": {"type": "integer"},
                "parts": {"type": "array", "items": {"type": "string"}},
            }}),
        ));
        let object = json!({"spec": {"a_b": 1, "c-d": 2, "namespace": "n", "at": "2024-01-01T00:00:00Z",
            "took": "30m", "hidden": 1, "parts": ["a", "bb"]}});
        let errors = schema.validate(&object, None);
        assert_eq!(causes(&errors).first().copied(), expected, "{rules}: {errors:?}");
    }
}

#[test]
fn messages_come_from_the_expression_then_the_text_then_the_rule() {
    let cases = [
        (json!({"messageExpression": "'got ' + string(self)", "message": "plain"}), "got 3"),
        (json!({"messageExpression": "''", "message": "plain"}), "plain"),
        (json!({}), "failed rule: self > 3"),
    ];
    for (mut rule, expected) in cases {
        rule["rule"] = json!("self > 3");
        let schema = compile(&with_spec(json!({"type": "integer", "x-kubernetes-validations": [rule]})));
        let errors = schema.validate(&json!({"spec": 3}), None);
        assert_eq!(errors[0].message, format!("Invalid value: \"integer\": {expected}"));
    }
}

#[test]
fn transition_rules_run_on_updates_of_what_can_be_paired() {
    let schema = compile(&with_spec(json!({"type": "object", "properties": {
        "name": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]},
        "count": {"type": "integer", "x-kubernetes-validations":
            [{"rule": "!oldSelf.hasValue() || self >= oldSelf.value()", "optionalOldSelf": true}]},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
            "items": {"type": "object", "properties": {"id": {"type": "string"},
                "fixed": {"type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}}},
    }})));
    let old = json!({"spec": {"name": "a", "count": 2, "items": [{"id": "x", "fixed": 1}, {"id": "y", "fixed": 2}]}});
    assert_eq!(schema.validate(&old, None), []);
    assert_eq!(schema.validate(&old, Some(&old)), []);

    let reordered = json!({"spec": {"items": [{"id": "y", "fixed": 2}, {"id": "z", "fixed": 9}]}});
    assert_eq!(schema.validate(&reordered, Some(&old)), []);

    let changed = json!({"spec": {"name": "b", "count": 1, "items": [{"id": "y", "fixed": 3}]}});
    let errors = schema.validate(&changed, Some(&old));
    let mut paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["spec.count", "spec.items[0].fixed", "spec.name"]);
}

#[test]
fn a_rule_that_cannot_be_evaluated_warns_and_then_refuses() {
    for rule in ["self.sortBy(x, x)", "self ==", "cel.bind(x, self, x == 1)", "nosuch(self)"] {
        let schema = with_spec(json!({"type": "integer", "x-kubernetes-validations": [{"rule": rule}]}));
        let (schema, warnings) = Schema::compile(&schema).unwrap();
        assert!(
            warnings[0].starts_with("properties[spec].x-kubernetes-validations[0]: rule"),
            "{warnings:?}"
        );
        let errors = schema.validate(&json!({"spec": 1}), None);
        assert_eq!(causes(&errors), [("spec", "FieldValueInvalid")], "{rule}");
        assert_eq!(schema.validate(&json!({}), None), [], "a rule of an absent field");
    }
}

#[test]
fn rules_wait_for_a_well_formed_object() {
    let schema = compile(&with_spec(json!({"type": "object", "required": ["a"],
        "x-kubernetes-validations": [{"rule": "self.a > 1"}], "properties": {"a": {"type": "integer"}}})));
    let errors = schema.validate(&json!({"spec": {}}), None);
    assert_eq!(causes(&errors), [("spec.a", "FieldValueRequired"), ("", "FieldValueInvalid")]);
}
