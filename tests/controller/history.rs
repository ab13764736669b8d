//! Every state that a route was in, in order, as a watch brings them, and as a real API server's audit log has them.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    ResourceExt,
    core::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tidegate::{api::RouteKind, clock::Clock, routes};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{audit, cluster::Cluster, objects::weights_of, waiting::in_time};

/// A route's weights, and when they were seen first.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub at: Timestamp,
    pub weights: BTreeMap<String, i64>,
}

/// Follows the route `color`.
pub struct History {
    shown: Arc<Mutex<Vec<(Timestamp, DynamicObject)>>>,
    _until: DropGuard,
}

impl History {
    pub async fn follow(cluster: &Cluster) -> Self {
        let shown: Arc<Mutex<Vec<(Timestamp, DynamicObject)>>> = Arc::default();
        let listed = CancellationToken::new();
        let (clock, api) = (Clock::start(), cluster.routes());
        let (into, began) = (Arc::clone(&shown), listed.clone());
        let task = async move {
            let only = watcher::Config::default().fields("metadata.name=color");
            let mut events = watcher(api, only).default_backoff().boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(route) | Event::InitApply(route)) => {
                        into.lock().unwrap().push((clock.now(), route));
                    }
                    Ok(Event::InitDone) => began.cancel(),
                    Ok(Event::Init | Event::Delete(_)) | Err(_) => {}
                }
            }
        };
        let over = CancellationToken::new();
        tokio::spawn(over.clone().run_until_cancelled_owned(task));
        in_time("the routes are followed", listed.cancelled()).await;
        Self { shown, _until: over.drop_guard() }
    }

    /// Every version of the route so far, and when it was stored: by the audit log, or when a watch showed it where there
    /// is none. A watch that broke sees things later than they happened, or not at all.
    pub fn versions(&self, cluster: &Cluster) -> Vec<(Timestamp, DynamicObject)> {
        match cluster.server.audited() {
            Some(audited) => {
                let stored = stored_routes(audited, &cluster.namespace, cluster.kind);
                stored.filter(|(_, route)| route.name_any() == "color").collect()
            }
            None => self.shown.lock().unwrap().clone(),
        }
    }

    /// The weights that it had so far.
    pub fn seen(&self, cluster: &Cluster) -> Vec<Seen> {
        let mut seen = Vec::new();
        for (at, route) in self.versions(cluster) {
            push(&mut seen, (cluster.kind, &route), at);
        }
        seen
    }
}

/// The canary's shares in the order in which they were set.
pub fn shares(seen: &[Seen], canary: &str) -> Vec<i64> {
    let mut shares: Vec<i64> =
        seen.iter().map(|seen| seen.weights.get(canary).copied().unwrap_or(0)).collect();
    shares.dedup();
    shares
}

/// How long the canary had a share, where it has moved on.
pub fn held(seen: &[Seen], canary: &str, share: i64) -> Option<Duration> {
    let is = |seen: &&Seen| seen.weights.get(canary).copied().unwrap_or(0) == share;
    let from = seen.iter().position(|seen| is(&seen))?;
    let until = seen.iter().skip(from).find(|seen| !is(seen))?;
    Duration::try_from(until.at.duration_since(seen[from].at)).ok()
}

/// What each write to a route of a kind in a namespace left it as, and when, by the audit log of a control plane's folder from a
/// byte on.
pub fn stored_routes(
    (folder, from): (&Path, u64),
    namespace: &str,
    kind: RouteKind,
) -> impl Iterator<Item = (Timestamp, DynamicObject)> {
    let (mine, namespace) = (namespace.to_owned(), namespace.to_owned());
    let plural = routes::resource(kind).plural;
    let matters = move |line: &str| line.contains(&mine) && line.contains(&plural);
    audit::requests(folder, from, matters).filter_map(move |entry| {
        let route = &entry["responseObject"];
        let is_one = route["kind"] == kind.word() && entry["objectRef"]["namespace"] == namespace;
        let tried = entry["requestURI"].as_str().unwrap().contains("dryRun");
        let stored = entry["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300);
        let at = entry["stageTimestamp"].as_str().unwrap().parse().unwrap();
        (is_one && stored && !tried).then(|| (at, serde_json::from_value(route.clone()).unwrap()))
    })
}

fn push(seen: &mut Vec<Seen>, (kind, route): (RouteKind, &DynamicObject), at: Timestamp) {
    let weights = weights_of(kind, route);
    if seen.last().is_none_or(|last| last.weights != weights) {
        seen.push(Seen { at, weights });
    }
}
