//! Holds the schema that an API server shows against our own. A CRD that lacks a field of ours is older than this
//! program: the API server would drop the field from all that we store, without a word.

use serde_json::Value;

/// The first field of spec or status in our CRD that the OpenAPI v3 document of our group doesn't have, as a path
/// like `status.run.plan`. `None` as well where the document has no Rollouts, for then it tells nothing.
pub fn lacks(crd: &Value, document: &Value) -> Option<String> {
    let ours = crd.pointer("/spec/versions/0/schema/openAPIV3Schema")?;
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    let theirs = schemas.values().find(|schema| {
        let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
        kinds
            .into_iter()
            .flatten()
            .any(|kind| kind["kind"] == "Rollout" && kind["group"] == crate::api::GROUP)
    })?;
    ["spec", "status"].iter().find_map(|part| {
        let of = |schema: &Value| schema.get("properties").and_then(|fields| fields.get(part)).cloned();
        match (of(ours), of(theirs)) {
            (Some(ours), Some(theirs)) => lost(&ours, &theirs).map(|path| join(part, &path)),
            (Some(_), None) if keeps_all(theirs) => None,
            (Some(_), None) => Some((*part).to_owned()),
            (None, _) => None,
        }
    })
}

/// The first path under `ours` that `theirs` would drop.
fn lost(ours: &Value, theirs: &Value) -> Option<String> {
    if keeps_all(theirs) {
        return None;
    }
    let fields = ours.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (name, schema) in fields {
        let Some(other) = theirs.get("properties").and_then(|fields| fields.get(name)) else {
            return Some(name.clone());
        };
        if let Some(path) = lost(schema, other) {
            return Some(join(name, &path));
        }
    }
    ["items", "additionalProperties"].iter().find_map(|below| {
        let (ours, theirs) = (ours.get(below)?, theirs.get(below)?);
        lost(ours, theirs)
    })
}

fn keeps_all(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool) == Some(true)
}

fn join(part: &str, path: &str) -> String {
    format!("{part}.{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::CustomResourceExt;
    use serde_json::json;

    /// The document in which an API server shows this schema.
    fn document(schema: &Value) -> Value {
        let mut schema = schema.clone();
        schema["x-kubernetes-group-version-kind"] =
            json!([{ "group": "tidegate.dev", "kind": "Rollout", "version": "v1alpha1" }]);
        json!({ "components": { "schemas": { "dev.tidegate.v1alpha1.Rollout": schema } } })
    }

    #[test]
    fn the_first_field_that_is_missing_is_named() {
        let crd = serde_json::to_value(crate::api::Rollout::crd()).unwrap();
        let ours = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(lacks(&crd, &document(ours)), None, "our own");

        let without = |pointer: &str, name: &str| {
            let mut schema = ours.clone();
            let fields = schema.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
            fields.remove(name).unwrap();
            lacks(&crd, &document(&schema))
        };
        assert_eq!(without("/properties", "status").as_deref(), Some("status"));
        assert_eq!(without("/properties/status/properties", "taken").as_deref(), Some("status.taken"));
        let route = "/properties/spec/properties/routes/items/properties";
        assert_eq!(without(route, "name").as_deref(), Some("spec.routes.name"));
    }

    #[test]
    fn what_tells_nothing_is_held_against_nobody() {
        let crd = serde_json::to_value(crate::api::Rollout::crd()).unwrap();
        assert_eq!(lacks(&crd, &json!({})), None);
        assert_eq!(lacks(&crd, &json!({ "components": { "schemas": {} } })), None);
        let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        assert_eq!(lacks(&crd, &document(&open)), None, "it keeps everything");
    }
}
