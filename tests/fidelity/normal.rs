//! Makes equal what must differ between two servers: identities, versions, times, addresses.
//!
//! Identities and versions are numbered by first appearance, so that what was equal stays equal and what was not
//! stays unequal. Messages are dropped: they are for people. `planted.rs` shows that what is left can differ.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::side::Answer;
use crate::step::Step;

/// Where built-in kinds are served.
const BUILT_IN: [&str; 6] = [
    "/api/v1/",
    "/apis/apps/",
    "/apis/autoscaling/",
    "/apis/coordination.k8s.io/",
    "/apis/events.k8s.io/",
    "/apis/apiextensions.k8s.io/",
];

const YEAR_2021: Timestamp = Timestamp::constant(1_609_459_200, 0);

/// Objects that a real control plane puts into every namespace.
const FOREIGN: [&str; 1] = ["kube-root-ca.crt"];

/// The names given so far to what one server made up, within one script.
pub struct Normal {
    namespace: String,
    versions: Vec<String>,
    uids: Vec<String>,
    generated: Vec<(String, String)>,
    is_built_in: bool,
    /// Whether the request is a watch of a second, in which a real server's clock may send a bookmark, or may not.
    is_brief: bool,
    /// The `generateName` of the request.
    prefix: String,
}

impl Normal {
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            versions: Vec::new(),
            uids: Vec::new(),
            generated: Vec::new(),
            is_built_in: false,
            is_brief: false,
            prefix: String::new(),
        }
    }

    /// An answer as one value that the other server's must equal.
    pub fn answer(&mut self, step: &Step, answer: &Answer) -> Value {
        self.prefix = prefix(&step.body);
        self.is_built_in = BUILT_IN.iter().any(|prefix| step.path.starts_with(prefix));
        self.is_brief = step.path.contains("timeoutSeconds=1&") || step.path.ends_with("timeoutSeconds=1");
        let warnings: Vec<String> = answer.warnings.iter().map(|warning| self.text(warning)).collect();
        json!({
            "code": answer.code,
            "type": answer.content_type.replace(' ', ""),
            "warnings": warnings,
            "body": self.body(&answer.body),
        })
    }

    fn body(&mut self, body: &Value) -> Value {
        match body {
            Value::Array(events) => {
                let is_brief = self.is_brief;
                let told = events.iter().filter(|event| !is_incidental(event, is_brief));
                told.map(|event| self.event(event)).collect()
            }
            Value::Object(fields) if body["kind"] == "Status" => self.status(fields),
            Value::Object(fields) => self.document(fields),
            // Not JSON: only that there is text, and whether there is any.
            Value::String(text) => json!(if text.is_empty() { "" } else { "text" }),
            other => other.clone(),
        }
    }

    fn event(&mut self, event: &Value) -> Value {
        let mut object = event["object"].clone();
        if event["type"] == "BOOKMARK" {
            // Of a built-in kind, a real server also shows the fields that nothing fills.
            if let Some(fields) = object.as_object_mut().filter(|fields| !fields.contains_key("rows")) {
                fields.retain(|name, _| ["apiVersion", "kind", "metadata"].contains(&name.as_str()));
            }
            // It tells how far the server is with what all scripts write.
            for at in ["/metadata/resourceVersion", "/rows/0/object/metadata/resourceVersion"] {
                if let Some(version) = object.pointer_mut(at).filter(|version| version.is_string()) {
                    *version = json!("<version of a bookmark>");
                }
            }
        }
        json!({"type": event["type"], "object": self.body(&object)})
    }

    fn status(&mut self, status: &Map<String, Value>) -> Value {
        let mut plain = status.clone();
        plain.remove("message");
        if let Some(token) = plain.get_mut("metadata").and_then(|metadata| metadata.get_mut("continue")) {
            *token = json!("<continue of the list>");
        }
        let name = plain.get_mut("details").and_then(|details| details.get_mut("name"));
        if let Some(name) = name.filter(|_| !self.prefix.is_empty()) {
            *name = json!(format!("{}<generated>", self.prefix));
        }
        let causes = plain.get_mut("details").and_then(|details| details.get_mut("causes")?.as_array_mut());
        if let Some(causes) = causes {
            causes.iter_mut().filter_map(Value::as_object_mut).for_each(|cause| {
                cause.remove("message");
            });
            causes.sort_by_key(Value::to_string);
            // The same field may be refused for several reasons, some of which upstream tells several times.
            causes.dedup();
        }
        self.value("", &Value::Object(plain))
    }

    fn document(&mut self, document: &Map<String, Value>) -> Value {
        let mut plain = document.clone();
        // A real server lists the kinds of a group's several definitions in any order.
        if plain.get("kind").is_some_and(|kind| kind == "APIResourceList")
            && let Some(resources) = plain.get_mut("resources").and_then(Value::as_array_mut)
        {
            resources.sort_by_key(|resource| resource["name"].to_string());
        }
        let items_field = ["items", "rows"].into_iter().find(|field| plain.contains_key(*field));
        if let Some(items_field) = items_field {
            if let Some(metadata) = plain.get_mut("metadata").and_then(Value::as_object_mut) {
                for field in ["resourceVersion", "continue"] {
                    if metadata.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
                        metadata.insert(field.to_owned(), json!(format!("<{field} of the list>")));
                    }
                }
            }
            if let Some(items) = document[items_field].as_array() {
                let is_own = |item: &&Value| {
                    let metadata = item.pointer("/metadata").or_else(|| item.pointer("/object/metadata"));
                    metadata.is_none_or(|metadata| !FOREIGN.iter().any(|name| metadata["name"] == *name))
                };
                let own: Vec<Value> = items.iter().filter(is_own).cloned().collect();
                // Had there been no others, there would be no list, where empty ones are written as null.
                let is_nothing = own.len() < items.len() && own.is_empty();
                let nothing =
                    if document["kind"] == "PartialObjectMetadataList" { Value::Null } else { json!([]) };
                plain.insert(items_field.to_owned(), if is_nothing { nothing } else { own.into() });
            }
        }
        self.value("", &Value::Object(plain))
    }

    fn value(&mut self, field: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => self.object(field, fields),
            Value::Array(items) if field == "managedFields" => managers(items),
            Value::Array(items) if field == "cells" => items.iter().map(|cell| self.cell(cell)).collect(),
            // A hint for controllers that migrate storage, which there are none of.
            Value::Array(items) if field == "resources" => {
                let mut items = items.clone();
                items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| {
                    item.remove("storageVersionHash");
                });
                items.iter().map(|item| self.value("", item)).collect()
            }
            Value::Array(items) if field == "clusterIPs" => {
                items.iter().map(|item| self.value("clusterIP", item)).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.value("", item)).collect(),
            Value::String(text) if field == "uid" && !text.is_empty() => {
                numbered(&mut self.uids, text, "uid")
            }
            Value::String(text) if field == "clusterIP" && text.contains('.') => json!("<address>"),
            // Documentation, which the embedded server does not carry for built-in kinds.
            Value::String(_) if field == "description" && self.is_built_in => json!("<documentation>"),
            Value::String(text) => self.text(text).into(),
            Value::Number(_) if field == "nodePort" => json!("<port>"),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn object(&mut self, field: &str, fields: &Map<String, Value>) -> Value {
        let mut fields = fields.clone();
        if field == "status" && self.is_built_in {
            // What an earlier workload of the name left behind is collected in its own time, and counts in a revision's
            // name, of which a set's own is the rest.
            fields.remove("collisionCount");
            if fields.contains_key("updateRevision") {
                let is_newest = fields.get("currentRevision") == fields.get("updateRevision");
                let current = if is_newest { "<newest revision>" } else { "<revision before>" };
                fields.insert("currentRevision".to_owned(), json!(current));
                fields.insert("updateRevision".to_owned(), json!("<newest revision>"));
            }
            // Which condition changed last, and so stands last, is the controllers' own.
            if let Some(conditions) = fields.get_mut("conditions").and_then(Value::as_array_mut) {
                conditions.iter_mut().filter_map(Value::as_object_mut).for_each(|condition| {
                    condition.remove("message");
                });
                conditions.sort_by_key(|condition| condition["type"].to_string());
            }
        }
        let fields = &fields;
        if field == "metadata" {
            self.learn_generated_name(fields);
        }
        let mut plain = Map::new();
        for (name, value) in fields {
            let shown = match (name.as_str(), value) {
                ("resourceVersion", Value::String(version))
                    if field == "metadata" && version.bytes().all(|byte| byte.is_ascii_digit()) =>
                {
                    numbered(&mut self.versions, version, "version")
                }
                _ => self.value(name, value),
            };
            plain.insert(name.clone(), shown);
        }
        Value::Object(plain)
    }

    fn learn_generated_name(&mut self, metadata: &Map<String, Value>) {
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, prefix) = (text("name"), text("generateName"));
        // A long prefix is cut, so that a label can hold the name.
        let kept = prefix.get(..58).unwrap_or(&prefix);
        let is_known = self.generated.iter().any(|(known, _)| *known == name);
        if !prefix.is_empty() && name.len() == kept.len() + 5 && name.starts_with(kept) && !is_known {
            let number = self.generated.len();
            self.generated.push((name, format!("{prefix}<generated {number}>")));
        }
    }

    fn cell(&mut self, cell: &Value) -> Value {
        match cell {
            Value::String(text) if is_age(text) => json!("<age>"),
            Value::String(text) if text.parse::<std::net::Ipv4Addr>().is_ok() => json!("<address>"),
            other => self.value("", other),
        }
    }

    fn text(&self, text: &str) -> String {
        let mut shown = text.replace(&self.namespace, "<namespace>");
        for (name, token) in &self.generated {
            shown = shown.replace(name, token);
        }
        match text.parse::<Timestamp>() {
            // The times that the tests give are older.
            Ok(time) if time > YEAR_2021 => "<time>".to_owned(),
            _ => shown,
        }
    }
}

/// The prefix of a name that a body asks to be completed.
fn prefix(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let metadata = &body["metadata"];
    let prefix = metadata["generateName"].as_str().filter(|_| metadata["name"].is_null());
    prefix.unwrap_or_default().to_owned()
}

/// Whether an event of a watch is about something of a real control plane's own, or only tells by chance how far it is.
fn is_incidental(event: &Value, is_brief: bool) -> bool {
    let of_first = |field: &str| {
        let object = event.pointer(&format!("/object/metadata/{field}"));
        object.or_else(|| event.pointer(&format!("/object/rows/0/object/metadata/{field}")))
    };
    let marks_the_end =
        of_first("annotations").is_some_and(|marks| marks.get("k8s.io/initial-events-end").is_some());
    (event["type"] == "BOOKMARK" && is_brief && !marks_the_end)
        || FOREIGN.iter().any(|name| of_first("name") == Some(&json!(name)))
}

fn numbered(known: &mut Vec<String>, value: &str, what: &str) -> Value {
    let at = known.iter().position(|earlier| earlier == value).unwrap_or_else(|| {
        known.push(value.to_owned());
        known.len() - 1
    });
    json!(format!("<{what} {at}>"))
}

/// Who is recorded as a writer, and how.
fn managers(entries: &[Value]) -> Value {
    let mut shown: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let mut entry = entry.clone();
            if let Some(fields) = entry.as_object_mut() {
                fields.remove("time");
                fields.remove("fieldsV1");
            }
            entry
        })
        .collect();
    shown.sort_by_key(Value::to_string);
    Value::Array(shown)
}

fn is_age(text: &str) -> bool {
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd']);
    digits.len() < text.len() && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
