//! OpenAPI v3 documents, generated: as much as kubectl's validation and `kubectl explain` read.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::builtins::NAMESPACES;
use super::registry::Registry;
use super::resource::{Model, Resource};

/// `/openapi/v3`: where each group version has its document.
pub(super) fn index(registry: &Registry, revision: u64) -> Value {
    let mut paths = Map::new();
    for resource in registry.all() {
        let path = prefix(resource);
        let url = format!("/openapi/v3/{path}?hash={revision}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// The document of one group version.
pub(super) fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let resources: Vec<&Arc<Resource>> =
        registry.all().filter(|resource| resource.group == group && resource.version == version).collect();
    let first = resources.first()?;
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in &resources {
        add_paths(resource, &mut paths);
        add_schema(registry, resource, &mut schemas);
    }
    Some(json!({
        "openapi": "3.0.0", "info": {"title": "Tidegate sandbox", "version": first.api_version()},
        "paths": paths, "components": {"schemas": schemas},
    }))
}

fn prefix(resource: &Resource) -> String {
    match resource.group.as_str() {
        "" => format!("api/{}", resource.version),
        group => format!("apis/{group}/{}", resource.version),
    }
}

fn schema_name(resource: &Resource) -> String {
    match &resource.model {
        Model::BuiltIn(schema) | Model::NewEvent(schema) => schema.name().to_owned(),
        Model::Custom { .. } => {
            let reversed: Vec<&str> = resource.group.rsplit('.').collect();
            format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind)
        }
    }
}

fn add_paths(resource: &Resource, paths: &mut Map<String, Value>) {
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("/{}{scope}/{}", prefix(resource), resource.plural);
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let response = json!({"200": {
        "description": "OK",
        "content": {"application/json": {"schema": {"$ref": reference(&schema_name(resource))}}},
    }});
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let operation = |action: &str, writes: bool| {
        let parameters: Vec<Value> = if writes {
            ["dryRun", "fieldManager", "fieldValidation"].map(parameter).into()
        } else {
            Vec::new()
        };
        json!({
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind, "parameters": parameters,
            "responses": response,
        })
    };
    let item = json!({
        "get": operation("get", false), "put": operation("put", true), "patch": operation("patch", true),
        "delete": operation("delete", false),
    });
    paths.insert(format!("{collection}/{{name}}"), item);
    paths.insert(collection, json!({"get": operation("list", false), "post": operation("post", true)}));
}

fn add_schema(registry: &Registry, resource: &Resource, schemas: &mut Map<String, Value>) {
    let name = schema_name(resource);
    match &resource.model {
        Model::BuiltIn(schema) | Model::NewEvent(schema) => {
            add_referenced(schema.definitions(), &name, schemas, &mut BTreeSet::new());
        }
        Model::Custom { text, .. } => {
            schemas.insert(name.clone(), text.clone());
            add_object_fields(registry, &name, schemas);
        }
    }
    if let Some(schema) = schemas.get_mut(&name).and_then(Value::as_object_mut) {
        let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
        schema.insert("x-kubernetes-group-version-kind".to_owned(), json!([kind]));
    }
}

/// Gives a custom resource the three fields that every object has, as built-in kinds describe them.
fn add_object_fields(registry: &Registry, name: &str, schemas: &mut Map<String, Value>) {
    let Some(namespaces) = registry.by_storage(NAMESPACES) else {
        return;
    };
    let Model::BuiltIn(any) = &namespaces.model else {
        return;
    };
    let mut known =
        any.definitions().get(any.name()).map_or(Value::Null, |schema| schema["properties"].clone());
    let mut referenced = Vec::new();
    wrap_references(&mut known, &mut referenced);
    if let Some(properties) =
        schemas.get_mut(name).and_then(|schema| super::object::child(schema, "properties"))
    {
        for field in ["apiVersion", "kind", "metadata"] {
            properties.insert(field.to_owned(), known[field].clone());
        }
    }
    let mut seen = BTreeSet::new();
    for target in
        known["metadata"]["allOf"].as_array().into_iter().flatten().filter_map(|part| part["$ref"].as_str())
    {
        add_referenced(any.definitions(), target.rsplit('/').next().unwrap_or_default(), schemas, &mut seen);
    }
}

/// Adds a built-in schema and everything that it refers to.
fn add_referenced(
    definitions: &Map<String, Value>,
    name: &str,
    schemas: &mut Map<String, Value>,
    seen: &mut BTreeSet<String>,
) {
    let Some(schema) = definitions.get(name).filter(|_| seen.insert(name.to_owned())) else {
        return;
    };
    let mut schema = schema.clone();
    let mut referenced = Vec::new();
    wrap_references(&mut schema, &mut referenced);
    schemas.insert(name.to_owned(), schema);
    for name in referenced {
        add_referenced(definitions, &name, schemas, seen);
    }
}

/// OpenAPI 3.0 ignores what stands beside a `$ref`, such as its description, so the reference goes into `allOf`.
fn wrap_references(schema: &mut Value, referenced: &mut Vec<String>) {
    if let Some(fields) = schema.as_object_mut()
        && let Some(target) =
            fields.get("$ref").and_then(Value::as_str).and_then(|target| target.rsplit('/').next())
    {
        let target = target.to_owned();
        fields.remove("$ref");
        fields.insert("allOf".to_owned(), json!([{"$ref": reference(&target)}]));
        referenced.push(target);
        return;
    }
    match schema {
        Value::Object(fields) => {
            for (field, value) in fields.iter_mut() {
                match (field.as_str(), value.as_array_mut()) {
                    ("allOf", Some(parts)) => {
                        let targets = parts.iter().filter_map(|part| part["$ref"].as_str());
                        referenced.extend(
                            targets.filter_map(|target| target.rsplit('/').next()).map(str::to_owned),
                        );
                    }
                    _ => wrap_references(value, referenced),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| wrap_references(item, referenced)),
        _ => {}
    }
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}
