//! Tables, as `kubectl get` prints them: the server renders every cell.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::jsonpath;
use super::object;
use super::resource::{Cell, Column, Resource};
use super::view::{Include, metadata_only};

/// A `Table` of the given objects.
pub(super) fn render<'v>(
    resource: &Resource,
    objects: impl Iterator<Item = &'v Value>,
    metadata: &Value,
    include: Include,
    now: Timestamp,
) -> Value {
    let rows: Vec<Value> = objects.map(|stored| row(resource, stored, include, now)).collect();
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": metadata,
        "columnDefinitions": definitions(resource), "rows": rows,
    })
}

/// What every table says about its first column.
const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow \
     a client to request the generation of an appropriate name automatically. Name is primarily intended for creation \
     idempotence and configuration definition. Cannot be updated. More info: \
     https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

fn definitions(resource: &Resource) -> Vec<Value> {
    let name =
        json!({"name": "Name", "type": "string", "format": "name", "description": NAME, "priority": 0});
    let name = (!names_last(resource)).then_some(name);
    let rest = resource.columns.iter().map(|column| {
        // A date cell is an age by the time it is printed, so built-in kinds declare it as text.
        let is_age = column.type_ == "date" && matches!(column.cell, Cell::Path(_)) && !resource.is_custom();
        let type_ = if is_age { "string" } else { &column.type_ };
        let format = if column.name == "Name" { "name" } else { "" };
        let description = match &column.cell {
            Cell::Path(path) if resource.is_custom() && column.description.is_empty() => {
                format!("Custom resource definition column (in JSONPath format): {path}")
            }
            Cell::Path(_) | Cell::Computed(_) | Cell::Since(_) => column.description.clone(),
        };
        json!({
            "name": column.name, "type": type_, "format": format, "description": description,
            "priority": column.priority,
        })
    });
    name.into_iter().chain(rest).collect()
}

/// Events begin with their times; their names say nothing and come last.
fn names_last(resource: &Resource) -> bool {
    resource.columns.last().is_some_and(|column| column.name == "Name")
}

fn row(resource: &Resource, stored: &Value, include: Include, now: Timestamp) -> Value {
    let name = (!names_last(resource)).then(|| json!(object::name(stored)));
    let cells: Vec<Value> = name
        .into_iter()
        .chain(resource.columns.iter().map(|column| cell(resource, column, stored, now)))
        .collect();
    match include {
        Include::Nothing => json!({"cells": cells, "object": null}),
        Include::Metadata => json!({"cells": cells, "object": metadata_only(stored)}),
        Include::Object => json!({"cells": cells, "object": resource.present(stored)}),
    }
}

/// The cells of a bookmark: those of an object without anything.
pub(super) fn empty_cells(resource: &Resource, now: Timestamp) -> Value {
    let metadata = if resource.is_custom() { json!({}) } else { json!({"creationTimestamp": ""}) };
    row(resource, &json!({"metadata": metadata}), Include::Nothing, now)["cells"].take()
}

fn cell(resource: &Resource, column: &Column, stored: &Value, now: Timestamp) -> Value {
    let value = match &column.cell {
        Cell::Computed(compute) => return compute(stored),
        Cell::Since(compute) => return json!(age(compute(stored).as_str().unwrap_or_default(), now)),
        Cell::Path(path) => match jsonpath::find(stored, path).as_slice() {
            // A built-in kind has its fields, though they be empty.
            [] if column.type_ == "string" && !resource.is_custom() => json!(""),
            [] => Value::Null,
            [one] => (*one).clone(),
            many => json!(many.iter().map(|value| shown(value)).collect::<Vec<_>>().join(",")),
        },
    };
    match (column.type_.as_str(), &value) {
        (_, Value::Null) => Value::Null,
        ("date", _) => json!(age(value.as_str().unwrap_or_default(), now)),
        ("string", Value::String(_)) => value,
        ("string", other) => json!(other.to_string()),
        _ => value,
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The time since a timestamp, in the words of kubectl: `12s`, `3m4s`, `5h`, `2d3h`, `12d`.
fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else {
        return "<unknown>".to_owned();
    };
    let seconds = now.duration_since(since).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1..=0 => "0s".to_owned(),
        1..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn ages_read_like_kubectls() {
        let born = "2026-01-01T00:00:00Z";
        for (seconds, want) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (184, "3m4s"),
            (600, "10m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (180_000, "2d2h"),
            (864_000, "10d"),
            (64_000_000, "2y10d"),
            (-60, "<invalid>"),
        ] {
            let now = born.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds);
            assert_eq!(age(born, now), want, "{seconds}");
        }
        assert_eq!(age("nonsense", Timestamp::UNIX_EPOCH), "<unknown>");
    }
}
