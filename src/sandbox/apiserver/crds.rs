//! CustomResourceDefinitions: checked, established at once, and turned into served resources.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::builtin_columns;
use super::jsonpath;
use super::managed_fields::seconds;
use super::names::NameRule;
use super::object::{self, text};
use super::resource::{Cell, Column, Model, Resource, Scale, Updates};
use crate::schema::{Compiled, FieldError};

/// Where the instances of a definition are stored.
pub(super) fn storage(definition: &Value) -> String {
    format!("{}/{}", text(definition, "/spec/group"), text(definition, "/spec/names/plural"))
}

/// What is wrong with a definition.
pub(super) fn check(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let required = ["group", "names/plural", "names/kind", "scope"];
    for field in required.iter().filter(|field| text(definition, &format!("/spec/{field}")).is_empty()) {
        let path = format!("spec.{}", field.replace('/', "."));
        errors.push(FieldError { path, reason: "FieldValueRequired", message: "Required value".to_owned() });
    }
    let wanted = format!("{}.{}", text(definition, "/spec/names/plural"), text(definition, "/spec/group"));
    if object::name(definition) != wanted {
        errors.push(FieldError {
            path: "metadata.name".to_owned(),
            reason: "FieldValueInvalid",
            message: format!(
                "Invalid value: {:?}: must be spec.names.plural+\".\"+spec.group",
                object::name(definition)
            ),
        });
    }
    for (index, version) in versions(definition).enumerate() {
        if let Err(error) = Compiled::of(&version["schema"]["openAPIV3Schema"]) {
            errors.push(FieldError {
                path: format!("spec.versions[{index}].schema.openAPIV3Schema"),
                reason: "FieldValueInvalid",
                message: format!("Invalid value: {error}"),
            });
        }
        errors.extend(unselectable(version));
    }
    errors
}

/// Fields that objects are to be asked for by, and that the schema has not, or not as one value.
fn unselectable(version: &Value) -> impl Iterator<Item = FieldError> {
    let schema = &version["schema"]["openAPIV3Schema"];
    let declared = version["selectableFields"].as_array().into_iter().flatten().enumerate();
    declared.filter_map(move |(index, field)| {
        let path = text(field, "/jsonPath");
        let names = path.split('.').filter(|name| !name.is_empty());
        let found = names.fold(schema, |schema, name| &schema["properties"][name]);
        let fits = ["string", "boolean", "integer"].contains(&text(found, "/type"));
        // A real server tells it of the whole definition, as long as there is one version.
        (!fits).then(|| FieldError {
            path: format!("spec.selectableFields[{index}].jsonPath"),
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {path:?}: is an invalid path: does not refer to a valid field"),
        })
    })
}

/// Fills in names and, at creation, the status that a real server reaches after a moment.
pub(super) fn establish(definition: &mut Value, created: Option<Timestamp>) {
    let kind = text(definition, "/spec/names/kind").to_owned();
    if let Some(names) = definition.pointer_mut("/spec").and_then(|spec| object::child(spec, "names")) {
        names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
    let names = definition["spec"]["names"].clone();
    let stored: Vec<Value> = versions(definition)
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    let Some(status) = object::child(definition, "status") else {
        return;
    };
    status.insert("acceptedNames".to_owned(), names);
    status.insert("storedVersions".to_owned(), stored.into());
    if let Some(created) = created {
        let condition = |type_: &str, reason: &str, message: &str| {
            json!({
                "type": type_, "status": "True", "reason": reason, "message": message,
                "lastTransitionTime": seconds(created),
            })
        };
        let conditions = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]);
        status.insert("conditions".to_owned(), conditions);
    }
}

/// The resources that a definition serves, and what its schemas ask that cannot be checked.
pub(super) fn resources(definition: &Value) -> (Vec<Resource>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut resources = Vec::new();
    for version in versions(definition).filter(|version| version["served"] == true) {
        let schema_text = &version["schema"]["openAPIV3Schema"];
        match Compiled::of(schema_text) {
            Ok(compiled) => {
                let name = object::name(definition);
                warnings.extend(compiled.warnings.iter().map(|warning| format!("{name}: {warning}")));
                let model = Model::Custom { compiled, text: schema_text.clone() };
                resources.push(resource(definition, version, model));
            }
            Err(error) => warnings.push(format!("{} is not served: {error}", object::name(definition))),
        }
    }
    (resources, warnings)
}

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    definition["spec"]["versions"].as_array().into_iter().flatten()
}

fn resource(definition: &Value, version: &Value, model: Model) -> Resource {
    let names = |field: &str| text(definition, &format!("/spec/names/{field}")).to_owned();
    let listed = |field: &str| strings(&definition["spec"]["names"][field]);
    let scale = version.pointer("/subresources/scale").map(|scale| Scale {
        spec_replicas: text(scale, "/specReplicasPath").to_owned(),
        status_replicas: text(scale, "/statusReplicasPath").to_owned(),
        label_selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
    });
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    Resource {
        group: text(definition, "/spec/group").to_owned(),
        version: text(version, "/name").to_owned(),
        kind: names("kind"),
        list_kind: names("listKind"),
        plural: names("plural"),
        singular: names("singular"),
        short_names: listed("shortNames"),
        categories: listed("categories"),
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        name_rule: NameRule::Subdomain,
        updates: Updates::default(),
        storage: storage(definition),
        has_status: version.pointer("/subresources/status").is_some(),
        scale,
        counts_generation: true,
        columns: columns(version),
        selectable: selectable
            .map(|field| text(field, "/jsonPath"))
            .map(|path| (path.trim_start_matches('.').to_owned(), jsonpath::pointer(path)))
            .collect(),
        model,
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let declared = version["additionalPrinterColumns"].as_array().into_iter().flatten();
    let columns: Vec<Column> = declared
        .map(|column| Column {
            name: text(column, "/name").to_owned(),
            type_: text(column, "/type").to_owned(),
            description: text(column, "/description").to_owned(),
            priority: column["priority"].as_i64().unwrap_or_default(),
            cell: Cell::Path(text(column, "/jsonPath").to_owned()),
        })
        .collect();
    if columns.is_empty() { builtin_columns::age_only() } else { columns }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
