//! Tables of Rollouts. The API server renders the cells, from the columns of the CRD: a row is a few words, however much a
//! Rollout holds, and ten thousand of them are read in a moment.

use futures::TryStreamExt;
use http::{Request, header::ACCEPT};
use kube::core::{WatchEvent, request};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Error, Exit, Out,
    cluster::Cluster,
    out::{Cell, Look, columns},
    words::tone,
};
use crate::api::{GROUP, Phase};

/// Rows a page.
const PAGE: usize = 500;
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Which Rollouts, and how much of them.
pub(super) struct Wanted {
    /// None: all namespaces.
    pub namespace: Option<String>,
    /// A label selector.
    pub labels: Option<String>,
    /// Only this one.
    pub name: Option<String>,
    /// The columns besides, too.
    pub wide: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Table {
    metadata: ListMeta,
    /// Told once; in later events of a watch they are null.
    column_definitions: Option<Vec<Column>>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    continue_: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    cells: Vec<Value>,
    object: Value,
}

/// Prints the table; then, if asked, a row for each change, until nobody reads any more.
pub(super) async fn show(
    cluster: &Cluster,
    wanted: &Wanted,
    watch: bool,
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    let failed = |error| cluster.about("list Rollouts", error);
    let mut all = Table::default();
    loop {
        let page: Table =
            cluster.client.request(asked(wanted, &all.metadata, false)?).await.map_err(failed)?;
        all.column_definitions = all.column_definitions.or(page.column_definitions);
        all.metadata = page.metadata;
        all.rows.extend(page.rows);
        if all.metadata.continue_.is_empty() {
            break;
        }
    }
    if all.rows.is_empty() && wanted.name.is_some() && !watch {
        let name = wanted.name.as_deref().unwrap_or_default();
        let what = format!("there is no Rollout {name} in the namespace {}", cluster.namespace);
        return Err(Error::Usage(what));
    }
    if all.rows.is_empty() && !watch {
        let place =
            wanted.namespace.as_ref().map(|name| format!(" in the namespace {name}")).unwrap_or_default();
        out.line(&format!("there are no Rollouts{place}"))?;
        return Ok(Exit::Reached);
    }
    for line in columns(&rows(&all, wanted, true, out.look), out.look.width) {
        out.line(&line)?;
    }
    if watch { changes(cluster, wanted, all, out).await } else { Ok(Exit::Reached) }
}

async fn changes(
    cluster: &Cluster,
    wanted: &Wanted,
    mut all: Table,
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    let failed = |error| cluster.about("watch Rollouts", error);
    while !out.has_left() {
        let events = cluster
            .client
            .request_events::<Table>(asked(wanted, &all.metadata, true)?)
            .await
            .map_err(failed)?;
        let mut events = std::pin::pin!(events);
        loop {
            let event = tokio::select! {
                event = events.try_next() => event,
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
            };
            match event {
                Ok(Some(
                    WatchEvent::Added(change) | WatchEvent::Modified(change) | WatchEvent::Deleted(change),
                )) => {
                    all.rows = change.rows;
                    if let Some(version) = all
                        .rows
                        .iter()
                        .rev()
                        .find_map(|row| row.object["metadata"]["resourceVersion"].as_str())
                    {
                        version.clone_into(&mut all.metadata.resource_version);
                    }
                    for line in columns(&rows(&all, wanted, false, out.look), out.look.width) {
                        out.line(&line)?;
                    }
                }
                Ok(Some(WatchEvent::Bookmark(_))) => {}
                Ok(Some(WatchEvent::Error(status))) => return Err(failed(kube::Error::Api(status))),
                // It is renewed from where it was.
                Ok(None) | Err(kube::Error::ReadEvents(_)) => break,
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(Exit::Reached)
}

/// The question for a page, or for what changes after it.
fn asked(wanted: &Wanted, at: &ListMeta, watch: bool) -> Result<Request<Vec<u8>>, Error> {
    let scope = wanted.namespace.as_ref().map(|name| format!("namespaces/{name}/")).unwrap_or_default();
    // Without their objects, rows don't tell their namespace.
    let include = if watch || wanted.namespace.is_none() { "Metadata" } else { "None" };
    let mut query = vec![("includeObject", include.to_owned())];
    let selector = wanted.name.as_ref().map(|name| format!("metadata.name={name}"));
    query.extend(wanted.labels.clone().map(|labels| ("labelSelector", labels)));
    query.extend(selector.map(|selector| ("fieldSelector", selector)));
    if watch {
        query.push(("watch", "true".to_owned()));
        query.push(("resourceVersion", at.resource_version.clone()));
    } else {
        query.push(("limit", PAGE.to_string()));
        if !at.continue_.is_empty() {
            query.push(("continue", at.continue_.clone()));
        }
    }
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let query: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
    let uri = format!("/apis/{GROUP}/v1alpha1/{scope}rollouts?{}", query.join("&"));
    let built = Request::get(uri).header(ACCEPT, TABLE).body(Vec::new());
    built.map_err(|error| {
        let error = kube::Error::BuildRequest(request::Error::BuildRequest(error));
        Error::api("ask for a table", error)
    })
}

/// The cells that are wanted, with the headline.
fn rows(table: &Table, wanted: &Wanted, headline: bool, look: Look) -> Vec<Vec<Cell>> {
    let known_columns = table.column_definitions.as_deref().unwrap_or_default();
    let shown: Vec<usize> =
        (0..known_columns.len()).filter(|at| wanted.wide || known_columns[*at].priority == 0).collect();
    let phase = known_columns.iter().position(|column| column.name == "Phase");
    let several = wanted.namespace.is_none();
    let head = || {
        let names = shown.iter().map(|at| Cell::plain(known_columns[*at].name.to_uppercase()));
        several.then(|| Cell::plain("NAMESPACE")).into_iter().chain(names).collect()
    };
    let row = |row: &Row| {
        let namespace = row.object["metadata"]["namespace"].as_str().unwrap_or_default();
        let cells = shown.iter().map(|at| {
            let text = text(row.cells.get(*at).unwrap_or(&Value::Null));
            match Some(*at).filter(|at| Some(*at) == phase).and_then(|_| known(&text)) {
                Some(phase) => Cell::toned(text, tone(phase), look),
                None => Cell::plain(text),
            }
        });
        several.then(|| Cell::plain(namespace)).into_iter().chain(cells).collect()
    };
    headline.then(head).into_iter().chain(table.rows.iter().map(row)).collect()
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() || text == "<none>" => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => cell.to_string(),
    }
}

fn known(phase: &str) -> Option<Phase> {
    serde_json::from_value(Value::from(phase)).ok()
}
