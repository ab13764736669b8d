//! What the bench sees of its objects, by two watches; and the part of the data plane, played here because nobody
//! else does: each new generation of a route is reported as in effect at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    objects::{GATEWAY, list},
    server::Server,
};
use crate::{
    api::{Phase, Rollout, STAMP_PREFIX, Stamp},
    clock::Clock,
    dataplane::GatewayRef,
    demo::Routes,
    sandbox::programmer::programmed,
};

/// How many reports are written at once.
const REPORTS: usize = 16;
/// All that has been seen of a namespace.
pub struct Eyes {
    shared: Shared,
    news: watch::Receiver<()>,
    _stop: DropGuard,
}

#[derive(Clone)]
struct Shared {
    clock: Clock,
    routes: Routes,
    gateway: GatewayRef,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<()>,
}

/// The objects by name.
#[derive(Debug, Default)]
pub struct Seen {
    /// The routes.
    pub routes: HashMap<String, RouteShown>,
    /// The Rollouts.
    pub rollouts: HashMap<String, RolloutShown>,
}

/// A route as it was seen.
#[derive(Clone, Debug, Default)]
pub struct RouteShown {
    /// The canary's weights and since when each has been seen; the last one holds.
    pub shares: Vec<(Timestamp, i64)>,
    /// The greatest epoch of a stamp on it.
    pub epoch: i64,
    /// Its newest generation is reported as in effect.
    pub reported: bool,
}

/// A Rollout as it was seen.
#[derive(Clone, Debug, Default)]
pub struct RolloutShown {
    /// Where it stands.
    pub phase: Option<Phase>,
    /// Its present or last run.
    pub run: i64,
    /// The step of that run.
    pub step: i32,
    /// The step's weight is known to be in effect.
    pub in_effect: bool,
    /// The epoch in its status.
    pub epoch: i64,
    /// Whether metrics have been judged.
    pub judged: bool,
}

impl RouteShown {
    /// The canary's weight.
    pub fn share(&self) -> i64 {
        self.shares.last().map_or(0, |(_, share)| *share)
    }

    /// Since when the canary has nothing.
    pub fn stable_since(&self) -> Option<Timestamp> {
        self.shares.last().filter(|(_, share)| *share == 0).map(|(at, _)| *at)
    }
}

impl Seen {
    /// A Rollout is at a step of a run above `run`, and its weight is in effect.
    pub fn runs(&self, rollout: &str, run: i64) -> bool {
        self.rollouts.get(rollout).is_some_and(|shown| {
            shown.run > run && shown.step > 0 && shown.in_effect && shown.phase == Some(Phase::Progressing)
        })
    }

    /// A Rollout stands there.
    pub fn is(&self, rollout: &str, phase: Phase) -> bool {
        self.rollouts.get(rollout).is_some_and(|shown| shown.phase == Some(phase))
    }

    /// The canary's weight on the route of a Rollout.
    pub fn share(&self, rollout: &str) -> i64 {
        self.routes.get(rollout).map_or(0, RouteShown::share)
    }
}

impl Eyes {
    /// Opens them on a namespace.
    pub fn open(server: &Server, namespace: &str) -> Self {
        let (changed, news) = watch::channel(());
        let (client, routes) = (&server.client, server.routes);
        let gateway =
            GatewayRef { name: GATEWAY.to_owned(), namespace: namespace.to_owned(), takes_unclaimed: true };
        let shared = Shared { clock: server.clock, routes, gateway, seen: Arc::default(), changed };
        let stop = CancellationToken::new();
        let routes: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &routes.resource());
        let rollouts: Api<Rollout> = Api::namespaced(client.clone(), namespace);
        tokio::spawn(stop.clone().run_until_cancelled_owned(watch_routes(routes, shared.clone())));
        tokio::spawn(stop.clone().run_until_cancelled_owned(watch_rollouts(rollouts, shared.clone())));
        Self { shared, news, _stop: stop.drop_guard() }
    }

    /// What is seen, for whoever goes on looking by himself.
    pub fn seen(&self) -> Arc<Mutex<Seen>> {
        Arc::clone(&self.shared.seen)
    }

    /// Looks at everything once.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.seen())
    }

    /// Waits until a look finds something; `None` if it never does within the limit.
    pub async fn until<T>(&self, limit: Duration, mut look: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        let mut news = self.news.clone();
        let found = async {
            loop {
                news.mark_unchanged();
                if let Some(found) = look(&self.shared.seen()) {
                    return Some(found);
                }
                news.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, found).await.ok().flatten()
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see_route(&self, route: &DynamicObject, reported: bool) {
        let now = self.clock.now();
        let canary = format!("{}/1/weight", list(self.routes));
        let share = route.data.pointer(&canary).and_then(serde_json::Value::as_i64).unwrap_or_default();
        let stamps = route.annotations().iter().filter(|(key, _)| key.starts_with(STAMP_PREFIX));
        let epoch = stamps.filter_map(|(_, text)| Stamp::parse(text)).map(|stamp| stamp.epoch).max();
        let mut seen = self.seen();
        let shown = seen.routes.entry(route.name_any()).or_default();
        if shown.shares.last().is_none_or(|(_, last)| *last != share) {
            shown.shares.push((now, share));
        }
        shown.epoch = epoch.unwrap_or_default();
        shown.reported = reported;
        drop(seen);
        self.changed.send_replace(());
    }

    fn see_rollout(&self, rollout: &Rollout) {
        let status = rollout.status.clone().unwrap_or_default();
        let shown = RolloutShown {
            phase: status.phase,
            run: status.run.as_ref().map_or(0, |run| run.number),
            step: status.step.as_ref().map_or(0, |step| step.index),
            in_effect: status.step.is_some_and(|step| step.since.is_some()),
            epoch: status.epoch,
            judged: !status.analysis.is_empty(),
        };
        self.seen().rollouts.insert(rollout.name_any(), shown);
        self.changed.send_replace(());
    }
}

async fn watch_routes(api: Api<DynamicObject>, shared: Shared) {
    let permits = Arc::new(Semaphore::new(REPORTS));
    let mut routes =
        watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
    while let Some(route) = routes.next().await {
        let route = match route {
            Ok(route) => route,
            Err(error) => {
                tracing::debug!(%error, "the bench's watch of the routes is begun again");
                continue;
            }
        };
        let report = programmed(&shared.gateway, shared.routes.kind(), &route, shared.clock.now());
        shared.see_route(&route, report.is_none());
        if let Some(report) = report {
            let (api, permits) = (api.clone(), Arc::clone(&permits));
            tokio::spawn(async move {
                let _permit = permits.acquire().await;
                let (params, patch) = (PatchParams::default(), Patch::Merge(report));
                // One that changed meanwhile comes by the watch again.
                if let Err(error) = api.patch_status(&route.name_any(), &params, &patch).await {
                    tracing::debug!(%error, "a route was not reported as in effect");
                }
            });
        }
    }
}

async fn watch_rollouts(api: Api<Rollout>, shared: Shared) {
    let mut rollouts = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
    while let Some(rollout) = rollouts.next().await {
        match rollout {
            Ok(rollout) => shared.see_rollout(&rollout),
            Err(error) => tracing::debug!(%error, "the bench's watch of the Rollouts is begun again"),
        }
    }
}
