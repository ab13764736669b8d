//! Tables of Rollouts. The API server renders the cells, from the columns of the CRD: a row is a few words, however much a
//! Rollout holds, and ten thousand of them are read in a moment.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use http::{Request, header::ACCEPT};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::ListParams,
    core::{WatchEvent, request},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Error, Exit, Out, cluster::Cluster, out::Look, words::tone};
use crate::{
    api::{GROUP, Phase},
    columns::{Cell, columns},
};

/// Rows a page.
const PAGE: usize = 500;
/// Namespaces that are asked for at once.
const AT_ONCE: usize = 8;
/// How long after its end a watch begins anew.
const RENEWED: Duration = Duration::from_secs(1);
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Which Rollouts, and how much of them.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// None: all namespaces.
    pub namespace: Option<String>,
    /// A label selector.
    pub labels: Option<String>,
    /// Only this one.
    pub name: Option<String>,
    /// The columns besides, too.
    pub wide: bool,
    /// Nothing but the names.
    pub names: bool,
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
    object: Option<Object>,
}

/// What of an object's metadata is needed; the rest is not even kept while it is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: ObjectMeta,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectMeta {
    namespace: String,
    resource_version: String,
}

/// Prints the names alone, as kubectl takes them.
pub(super) async fn names(cluster: &Cluster, wanted: &Wanted, out: &mut Out<'_>) -> Result<Exit, Error> {
    let table = read(cluster, wanted, false).await?;
    let names: String = table
        .rows
        .iter()
        .filter_map(|row| row.cells.first())
        .map(|name| format!("rollout.{GROUP}/{}\n", text(name)))
        .collect();
    out.text(&names)?;
    Ok(Exit::Reached)
}

/// The whole table. One Rollout that is asked for must be there.
async fn read(cluster: &Cluster, wanted: &Wanted, watch: bool) -> Result<Table, Error> {
    let all = match (&wanted.namespace, wanted.names || watch) {
        (None, false) => by_namespace(cluster, wanted).await?,
        (Some(_), _) | (None, true) => pages(cluster, wanted).await?,
    };
    match &wanted.name {
        Some(name) if all.rows.is_empty() => Err(cluster.lacks(name)),
        Some(_) | None => Ok(all),
    }
}

/// What a question has for answer, page by page.
async fn pages(cluster: &Cluster, wanted: &Wanted) -> Result<Table, Error> {
    let mut all = Table::default();
    loop {
        let page = cluster.client.request::<Table>(asked(wanted, &all.metadata, false)?).await;
        let page = page.map_err(|error| cluster.about("list Rollouts", error))?;
        all.column_definitions = all.column_definitions.or(page.column_definitions);
        all.metadata = page.metadata;
        all.rows.extend(page.rows);
        if all.metadata.continue_.is_empty() {
            return Ok(all);
        }
    }
}

/// The table of all namespaces, asked of each: a row tells its namespace only with the whole metadata of its object, which is
/// many times the row. Who may not list namespaces gets it so.
async fn by_namespace(cluster: &Cluster, wanted: &Wanted) -> Result<Table, Error> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let names = match namespaces.list_metadata(&ListParams::default()).await {
        Ok(list) => list.items.into_iter().filter_map(|namespace| namespace.metadata.name),
        Err(kube::Error::Api(status)) if status.code == 403 => return pages(cluster, wanted).await,
        Err(error) => return Err(Error::api("list namespaces", error)),
    };
    let one = async |name: String| {
        let wanted = Wanted { namespace: Some(name.clone()), ..wanted.clone() };
        let mut table = pages(cluster, &wanted).await?;
        let object = Object { metadata: ObjectMeta { namespace: name, resource_version: String::new() } };
        for row in &mut table.rows {
            row.object = Some(object.clone());
        }
        Ok::<_, Error>(table)
    };
    let tables: Vec<Table> = futures::stream::iter(names).map(one).buffered(AT_ONCE).try_collect().await?;
    let mut all = Table::default();
    for table in tables {
        all.column_definitions = all.column_definitions.or(table.column_definitions);
        all.rows.extend(table.rows);
    }
    Ok(all)
}

/// Prints the table; then, if asked, a row for each change, until nobody reads any more.
pub(super) async fn show(
    cluster: &Cluster,
    wanted: &Wanted,
    watch: bool,
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    let all = read(cluster, wanted, watch).await?;
    if all.rows.is_empty() && !watch {
        let place =
            wanted.namespace.as_ref().map(|name| format!(" in the namespace {name}")).unwrap_or_default();
        out.line(&format!("there are no Rollouts{place}"))?;
        return Ok(Exit::Reached);
    }
    print(&all, wanted, true, out)?;
    if watch { changes(cluster, wanted, all, out).await } else { Ok(Exit::Reached) }
}

async fn changes(
    cluster: &Cluster,
    wanted: &Wanted,
    mut all: Table,
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    while !out.has_left() {
        tokio::select! {
            watched = watched(cluster, wanted, &mut all, out) => match watched {
                // What changed meanwhile is forgotten by the API server: everything is new.
                Err(Error::Answered { code: 410, .. }) => {
                    all = read(cluster, wanted, true).await?;
                    print(&all, wanted, false, out)?;
                }
                Err(error) if !error.may_pass() => return Err(error),
                Ok(()) | Err(_) => {}
            },
            _ = &mut interrupted => return Ok(Exit::Interrupted),
        }
        tokio::select! {
            () = tokio::time::sleep(RENEWED) => {}
            _ = &mut interrupted => return Ok(Exit::Interrupted),
        }
    }
    Ok(Exit::Reached)
}

/// Prints a row for each change, until the watch ends.
async fn watched(
    cluster: &Cluster,
    wanted: &Wanted,
    all: &mut Table,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let failed = |error| cluster.about("watch Rollouts", error);
    let question = asked(wanted, &all.metadata, true)?;
    let events = cluster.client.request_events::<Table>(question).await.map_err(failed)?;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.try_next().await.map_err(failed)? {
        let change = match event {
            WatchEvent::Added(change) | WatchEvent::Modified(change) | WatchEvent::Deleted(change) => change,
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(status) => return Err(failed(kube::Error::Api(status))),
        };
        all.rows = change.rows;
        let newest = all.rows.iter().rev().find_map(|row| row.object.as_ref());
        if let Some(Object { metadata }) = newest {
            all.metadata.resource_version.clone_from(&metadata.resource_version);
        }
        print(all, wanted, false, out)?;
        if out.has_left() {
            break;
        }
    }
    Ok(())
}

fn print(table: &Table, wanted: &Wanted, headline: bool, out: &mut Out<'_>) -> Result<(), Error> {
    for line in columns(&rows(table, wanted, headline, out.look), out.look.width) {
        out.line(&line)?;
    }
    Ok(())
}

/// The question for a page, or for what changes after it.
fn asked(wanted: &Wanted, at: &ListMeta, watch: bool) -> Result<Request<Vec<u8>>, Error> {
    let scope = wanted.namespace.as_ref().map(|name| format!("namespaces/{name}/")).unwrap_or_default();
    // Without their objects, rows tell neither their namespace nor their version.
    let include = if watch || wanted.namespace.is_none() && !wanted.names { "Metadata" } else { "None" };
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
        let namespace =
            row.object.as_ref().map(|object| object.metadata.namespace.as_str()).unwrap_or_default();
        let cells = shown.iter().map(|at| {
            let text = text(row.cells.get(*at).unwrap_or(&Value::Null));
            match Some(*at).filter(|at| Some(*at) == phase).and_then(|_| known(&text)) {
                Some(phase) => look.cell(tone(phase), text),
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
