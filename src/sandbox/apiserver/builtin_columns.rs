//! What `kubectl get` shows of built-in kinds, after the name.

use serde_json::{Value, json};

use super::object::{number, text};
use super::resource::{Cell, Column};

fn path(name: &str, type_: &str, path: &str) -> Column {
    let cell = Cell::Path(path.to_owned());
    Column { name: name.to_owned(), type_: type_.to_owned(), description: String::new(), priority: 0, cell }
}

pub(super) fn computed(name: &str, cell: fn(&Value) -> Value) -> Column {
    Column { cell: Cell::Computed(cell), ..path(name, "string", "") }
}

fn count(name: &str, cell: fn(&Value) -> Value) -> Column {
    Column { type_: "integer".to_owned(), ..computed(name, cell) }
}

fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}

/// The age column, which every kind ends with.
pub(super) fn age() -> Column {
    path("Age", "date", ".metadata.creationTimestamp")
}

pub(super) fn age_only() -> Vec<Column> {
    vec![age()]
}

pub(super) fn namespace() -> Vec<Column> {
    vec![path("Status", "string", ".status.phase"), age()]
}

pub(super) fn config_map() -> Vec<Column> {
    let data = computed("Data", |object| {
        let count = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
        json!(count("data") + count("binaryData"))
    });
    vec![data, age()]
}

pub(super) fn service() -> Vec<Column> {
    vec![
        path("Type", "string", ".spec.type"),
        computed("Cluster-IP", |object| or_none(text(object, "/spec/clusterIP"))),
        computed("External-IP", |object| match text(object, "/spec/type") {
            "" => json!("<unknown>"),
            "LoadBalancer" => json!("<pending>"),
            _ => or_none(text(object, "/spec/externalName")),
        }),
        computed("Port(s)", |object| {
            join(&object["spec"]["ports"], |port| {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                format!("{}/{protocol}", port["port"])
            })
        }),
        age(),
        wide(computed("Selector", |object| labels(&object["spec"]["selector"]))),
    ]
}

pub(super) fn pod() -> Vec<Column> {
    vec![
        computed("Ready", |object| {
            let states = object["status"]["containerStatuses"].as_array();
            let ready = states.into_iter().flatten().filter(|state| state["ready"] == true).count();
            json!(format!("{ready}/{}", object["spec"]["containers"].as_array().map_or(0, Vec::len)))
        }),
        computed("Status", |object| {
            let phase = if super::object::is_terminating(object) {
                "Terminating"
            } else {
                text(object, "/status/phase")
            };
            json!(if phase.is_empty() { "Unknown" } else { phase })
        }),
        computed("Restarts", |object| {
            let states = object["status"]["containerStatuses"].as_array();
            json!(
                states.into_iter().flatten().filter_map(|state| state["restartCount"].as_i64()).sum::<i64>()
            )
        }),
        age(),
        wide(computed("IP", |object| or_none(text(object, "/status/podIP")))),
        wide(computed("Node", |object| or_none(text(object, "/spec/nodeName")))),
        wide(computed("Nominated Node", |object| or_none(text(object, "/status/nominatedNodeName")))),
        wide(computed("Readiness Gates", |_| or_none(""))),
    ]
}

pub(super) fn endpoints() -> Vec<Column> {
    let addresses = computed("Endpoints", |object| {
        let subsets = object["subsets"].as_array().into_iter().flatten();
        let ips: Vec<&str> = subsets
            .flat_map(|subset| subset["addresses"].as_array().into_iter().flatten())
            .filter_map(|address| address["ip"].as_str())
            .collect();
        or_none(&ips.join(","))
    });
    vec![addresses, age()]
}

pub(super) fn endpoint_slice() -> Vec<Column> {
    vec![
        path("AddressType", "string", ".addressType"),
        computed("Ports", |object| join(&object["ports"], |port| port["port"].to_string())),
        computed("Endpoints", |object| {
            join(&object["endpoints"], |endpoint| text(endpoint, "/addresses/0").to_owned())
        }),
        age(),
    ]
}

pub(super) fn event() -> Vec<Column> {
    vec![
        since("Last Seen", last_seen),
        path("Type", "string", ".type"),
        path("Reason", "string", ".reason"),
        computed("Object", |object| {
            let kind = text(object, "/involvedObject/kind").to_lowercase();
            match text(object, "/involvedObject/name") {
                "" => json!(kind),
                name => json!(format!("{kind}/{name}")),
            }
        }),
        wide(computed("Subobject", |object| json!(text(object, "/involvedObject/fieldPath")))),
        wide(computed("Source", |object| {
            let component = first_of(object, &["/source/component", "/reportingComponent"]);
            match first_of(object, &["/source/host", "/reportingInstance"]) {
                "" => json!(component),
                instance => json!(format!("{component}, {instance}")),
            }
        })),
        computed("Message", |object| json!(text(object, "/message").trim())),
        wide(since("First Seen", first_seen)),
        wide(computed("Count", |object| {
            let count = number(object, "/series/count").or_else(|| number(object, "/count"));
            json!(count.filter(|count| *count > 0).unwrap_or(1))
        })),
        wide(computed("Name", |object| json!(text(object, "/metadata/name")))),
    ]
}

fn since(name: &str, time: fn(&Value) -> Value) -> Column {
    Column { cell: Cell::Since(time), ..path(name, "string", "") }
}

fn first_of<'v>(object: &'v Value, pointers: &[&str]) -> &'v str {
    pointers.iter().map(|at| text(object, at)).find(|found| !found.is_empty()).unwrap_or_default()
}

fn first_seen(object: &Value) -> Value {
    json!(first_of(object, &["/firstTimestamp", "/eventTime"]))
}

fn last_seen(object: &Value) -> Value {
    json!(first_of(object, &["/series/lastObservedTime", "/lastTimestamp", "/firstTimestamp", "/eventTime"]))
}

pub(super) fn deployment() -> Vec<Column> {
    vec![
        ready_replicas(),
        computed("Up-to-date", |object| json!(number(object, "/status/updatedReplicas").unwrap_or_default())),
        computed("Available", |object| {
            json!(number(object, "/status/availableReplicas").unwrap_or_default())
        }),
        age(),
        container_names(),
        container_images(),
        wide(computed("Selector", |object| selector(&object["spec"]["selector"]))),
    ]
}

pub(super) fn stateful_set() -> Vec<Column> {
    vec![ready_replicas(), age(), container_names(), container_images()]
}

pub(super) fn replica_set() -> Vec<Column> {
    vec![
        count("Desired", |object| json!(number(object, "/spec/replicas").unwrap_or_default())),
        count("Current", |object| json!(number(object, "/status/replicas").unwrap_or_default())),
        count("Ready", |object| json!(number(object, "/status/readyReplicas").unwrap_or_default())),
        age(),
        container_names(),
        container_images(),
        wide(computed("Selector", |object| selector(&object["spec"]["selector"]))),
    ]
}

pub(super) fn lease() -> Vec<Column> {
    vec![computed("Holder", |object| json!(text(object, "/spec/holderIdentity"))), age()]
}

pub(super) fn definition() -> Vec<Column> {
    vec![
        computed("Scope", |object| json!(text(object, "/spec/scope"))),
        computed("Versions", |object| {
            join(&object["spec"]["versions"], |version| {
                let stored = if version["storage"] == true { "(storage)" } else { "" };
                format!("{}{stored}", text(version, "/name"))
            })
        }),
        Column {
            type_: "date".to_owned(),
            ..computed("Created At", |object| json!(text(object, "/metadata/creationTimestamp")))
        },
        wide(computed("Group", |object| json!(text(object, "/spec/group")))),
        wide(computed("Kind", |object| json!(text(object, "/spec/names/kind")))),
        wide(computed("ShortNames", |object| {
            let names = object["spec"]["names"]["shortNames"].as_array().into_iter().flatten();
            json!(names.filter_map(Value::as_str).collect::<Vec<_>>().join(","))
        })),
        wide(Column {
            type_: "boolean".to_owned(),
            ..computed("Established", |object| {
                let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
                json!(
                    conditions.into_iter().any(|one| one["type"] == "Established" && one["status"] == "True")
                )
            })
        }),
    ]
}

fn or_none(text: &str) -> Value {
    json!(if text.is_empty() { "<none>" } else { text })
}

fn join(list: &Value, show: impl Fn(&Value) -> String) -> Value {
    let shown: Vec<String> = list.as_array().into_iter().flatten().map(show).collect();
    or_none(&shown.join(","))
}

fn labels(map: &Value) -> Value {
    let pairs = map.as_object().into_iter().flatten();
    let shown: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or_none(&shown.join(","))
}

/// A selector that is not there selects nothing, which is shown as nothing.
fn selector(selector: &Value) -> Value {
    if selector.is_null() { json!("") } else { labels(&selector["matchLabels"]) }
}

fn ready_replicas() -> Column {
    computed("Ready", |object| {
        let ready = number(object, "/status/readyReplicas").unwrap_or_default();
        json!(format!("{ready}/{}", number(object, "/spec/replicas").unwrap_or_default()))
    })
}

fn container_names() -> Column {
    wide(computed("Containers", |object| containers(object, "name")))
}

fn container_images() -> Column {
    wide(computed("Images", |object| containers(object, "image")))
}

fn containers(object: &Value, field: &str) -> Value {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let shown = containers.map(|container| container[field].as_str().unwrap_or_default());
    json!(shown.collect::<Vec<_>>().join(","))
}
