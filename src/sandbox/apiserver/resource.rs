//! What the server knows about one served resource (a group, version and plural).

use std::sync::Arc;

use serde_json::Value;

use super::builtin_schema::BuiltinSchema;
use super::event_shape;
use super::names::NameRule;
use super::object;
use crate::schema::Compiled;

/// One served resource. Built-in ones come from a table, custom ones from CustomResourceDefinitions.
#[derive(Debug)]
pub(super) struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub name_rule: NameRule,
    pub updates: Updates,
    /// Where its objects are kept: versions and shapes of one thing share a storage.
    pub storage: String,
    /// Whether `/status` is served; then status and the rest are written apart.
    pub has_status: bool,
    pub scale: Option<Scale>,
    /// Whether `metadata.generation` counts changes of the desired state.
    pub counts_generation: bool,
    /// Columns of `kubectl get` after the name.
    pub columns: Vec<Column>,
    /// Field selectors besides `metadata.name` and `metadata.namespace`: label and JSON pointer.
    pub selectable: Vec<(String, String)>,
    pub model: Model,
}

/// What updates of a resource may do; custom resources allow neither.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Updates {
    /// An update of what does not exist creates it.
    pub may_create: bool,
    /// An update may leave out the version that it is based on.
    pub unconditional: bool,
}

/// How the content of a resource is checked.
#[derive(Debug)]
pub(super) enum Model {
    /// Known to Kubernetes itself.
    BuiltIn(BuiltinSchema),
    /// Core events seen as `events.k8s.io/v1`: kept in the core shape, shown in the newer one.
    NewEvent(BuiltinSchema),
    /// Declared by a CustomResourceDefinition: the compiled schema and its text.
    Custom { compiled: Arc<Compiled>, text: Value },
}

/// JSON paths of the scale subresource.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    pub spec_replicas: String,
    pub status_replicas: String,
    pub label_selector: Option<String>,
}

/// One column of a table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub type_: String,
    pub description: String,
    /// Above 0: only shown by `-o wide`.
    pub priority: i64,
    pub cell: Cell,
}

/// Where a column's value comes from.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// A JSON path of the object.
    Path(String),
    /// Computed from the object.
    Computed(fn(&Value) -> Value),
    /// The age of a time computed from the object.
    Since(fn(&Value) -> Value),
}

impl Resource {
    /// `plural.group`, or the plural alone in the core group: how messages name a resource.
    pub fn group_resource(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// The group and kind that refusals of an object name. Events of both groups are one kind, the core one.
    pub fn group_kind(&self) -> (&str, &str) {
        let group = if matches!(self.model, Model::NewEvent(_)) { "" } else { &self.group };
        (group, &self.kind)
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    pub fn is_custom(&self) -> bool {
        matches!(self.model, Model::Custom { .. })
    }

    /// A stored object as this resource shows it.
    pub fn present(&self, stored: &Value) -> Value {
        let mut shown = match self.model {
            Model::NewEvent(_) => event_shape::to_new(stored),
            Model::BuiltIn(_) | Model::Custom { .. } => stored.clone(),
        };
        shown["apiVersion"] = self.api_version().into();
        shown["kind"] = self.kind.as_str().into();
        shown
    }

    /// An object as a client sent it, in the shape it is stored in.
    pub fn accept(&self, sent: Value) -> Value {
        match self.model {
            Model::NewEvent(_) => event_shape::to_core(&sent),
            Model::BuiltIn(_) | Model::Custom { .. } => sent,
        }
    }

    /// What `metadata.generation` counts changes of.
    pub fn desired_state(&self, stored: &Value) -> Value {
        if !self.is_custom() {
            return stored["spec"].clone();
        }
        let mut state = stored.clone();
        if let Some(fields) = state.as_object_mut() {
            fields.remove("metadata");
            if self.has_status {
                fields.remove("status");
            }
        }
        state
    }

    /// Removes what the type does not know; returns the paths removed, or the first value of a wrong type.
    pub fn prune(&self, sent: &mut Value) -> Result<Vec<String>, String> {
        let mut unknown = match &self.model {
            Model::BuiltIn(schema) | Model::NewEvent(schema) => schema.prune(sent)?,
            Model::Custom { compiled, .. } => {
                // Schemas leave these three to the server, so pruning must not see them.
                let mut kept = Vec::new();
                if let Some(fields) = sent.as_object_mut() {
                    for field in ["apiVersion", "kind", "metadata"] {
                        kept.extend(fields.remove(field).map(|value| (field, value)));
                    }
                }
                let unknown = compiled.schema.prune(sent);
                for (field, value) in kept {
                    sent[field] = value;
                }
                unknown
            }
        };
        // Custom resources have their metadata read first, built-in ones where it stands.
        let of_metadata = object::prune_metadata(sent);
        if self.is_custom() {
            unknown.splice(0..0, of_metadata);
        } else {
            let at = unknown.partition_point(|path| path.as_str() < "metadata");
            unknown.splice(at..at, of_metadata);
        }
        Ok(unknown)
    }
}
