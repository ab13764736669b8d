//! `diff`: what the next step would write to the routes, by the very code that would write it.

use kube::{
    Api,
    api::{ApiResource, DynamicObject},
};
use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{
    Error, Exit, Out,
    args::{Global, Machine},
    cluster::Cluster,
    names,
    out::Tone,
    view::describe,
    words::{self, status},
};
use crate::{
    api::{Rollout, RouteRef},
    clock::Clock,
    engine::{
        self, Ahead, ahead,
        decision::RouteWrite,
        observed::{RouteSeen, RouteState, Subject},
        select,
    },
    routes,
};

/// Show what the next step would write.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Rollout
    #[arg(add = names::rollouts())]
    name: String,
    /// As JSON: the patch of each route
    #[arg(short, long, value_enum)]
    output: Option<Machine>,
}

/// A route before and after.
#[derive(Serialize)]
struct Changed {
    route: String,
    patch: json_patch::Patch,
    #[serde(skip)]
    before: Value,
    #[serde(skip)]
    after: Value,
}

pub(super) async fn run(global: &Global, args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let cluster = Cluster::connect(global).await?;
    let rollout = cluster.rollout(&args.name).await?;
    let found = documents(&cluster, &rollout).await?;
    let (told, changed) = changes(&rollout, &found)?;
    if let Some(Machine::Json) = args.output {
        out.json(&changed)?;
        return Ok(Exit::Reached);
    }
    out.line(&told)?;
    for route in &changed {
        print(route, out)?;
    }
    Ok(Exit::Reached)
}

/// The routes as they are; one that is not there is left out.
async fn documents(cluster: &Cluster, rollout: &Rollout) -> Result<Vec<(RouteRef, Value)>, Error> {
    let mut found: Vec<(RouteRef, Value)> = Vec::new();
    for route in engine::routes(&rollout.spec, &status(rollout)) {
        let resource: ApiResource = routes::resource(route.kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
        let got = api.get_opt(&route.name).await;
        if let Some(object) = got.map_err(|error| Error::api(format!("read {route}"), error))? {
            found.push((route, serde_json::to_value(object)?));
        }
    }
    Ok(found)
}

/// What is written next, in a sentence and route by route.
fn changes(rollout: &Rollout, found: &[(RouteRef, Value)]) -> Result<(String, Vec<Changed>), Error> {
    let (spec, status, metadata) = (&rollout.spec, status(rollout), rollout.metadata.clone());
    let seen = |(route, document): &(RouteRef, Value)| RouteSeen {
        route: route.clone(),
        state: select(spec, &status, route, routes::state(route.kind, document)),
    };
    let subject = Subject {
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        uid: metadata.uid.unwrap_or_default(),
        ..Subject::default()
    };
    let all: Vec<RouteSeen> = found.iter().map(seen).collect();
    let troubled = all.iter().find(|route| !matches!(route.state, RouteState::Present(_)));
    if let Some(RouteSeen { route, .. }) = troubled {
        return Err(Error::Refused(format!(
            "{route} can't be stepped as it is; `kubectl tidegate explain NAME` says why"
        )));
    }
    let (number, writes) = match ahead(spec, &status, subject, all, Clock::start().now()) {
        Ahead::Step(number, writes) => (number, writes),
        Ahead::Last => {
            return Ok((
                last(&status.canary.map(|canary| words::target(&canary)).unwrap_or_default()),
                vec![],
            ));
        }
        Ahead::Resting => return Ok(("no run is under way: nothing is written".to_owned(), vec![])),
    };
    let step = status.run.as_ref().and_then(|run| run.step(number).cloned());
    let what = step.as_ref().map(describe).unwrap_or_default();
    let told = format!("step {number} would give the canary {what}:");
    let changed = writes.iter().map(|write| change(write, found)).collect::<Result<_, _>>()?;
    Ok((told, changed))
}

fn last(canary: &str) -> String {
    format!("the run is at its last step: no weight changes any more, and at its end {canary} is stable")
}

fn change(write: &RouteWrite, found: &[(RouteRef, Value)]) -> Result<Changed, Error> {
    let contradicts =
        |why: String| Error::Refused(format!("{} can't be written as it is: {why}", write.route));
    let patch = routes::patch::patch(write).map_err(|error| contradicts(error.to_string()))?;
    let known = found.iter().find(|(route, _)| route.same(&write.route));
    let before = known.map(|(_, document)| shown(document)).unwrap_or_default();
    let mut after = known.map(|(_, document)| document.clone()).unwrap_or_default();
    json_patch::patch(&mut after, &patch).map_err(|error| contradicts(error.to_string()))?;
    Ok(Changed { route: write.route.to_string(), after: shown(&after), before, patch })
}

/// What of a route is worth reading: no bookkeeping of the API server's.
fn shown(document: &Value) -> Value {
    let mut shown = document.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = shown.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| ["name", "namespace", "annotations"].contains(&key.as_str()));
    }
    shown
}

fn print(route: &Changed, out: &mut Out<'_>) -> Result<(), Error> {
    let spelled = |value: &Value| serde_saphyr::to_string(value).map_err(Box::new);
    let (before, after) = (spelled(&route.before)?, spelled(&route.after)?);
    out.line(&format!("--- {}\n+++ {}", route.route, route.route))?;
    let diff = TextDiff::from_lines(&before, &after);
    for group in diff.grouped_ops(3) {
        out.line("@@")?;
        for change in group.iter().flat_map(|part| diff.iter_changes(part)) {
            let (mark, tone) = match change.tag() {
                ChangeTag::Delete => ('-', Some(Tone::Bad)),
                ChangeTag::Insert => ('+', Some(Tone::Good)),
                ChangeTag::Equal => (' ', None),
            };
            let line = format!("{mark}{}", change.value().trim_end());
            out.line(&tone.map_or(line.clone(), |tone| out.look.paint(tone, &line)))?;
        }
    }
    Ok(())
}
