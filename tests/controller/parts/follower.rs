//! Makes an Envoy go by the weights of the route in the API server, and says on the route that it does.

use futures::StreamExt;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use tidegate::{
    api::RouteKind,
    clock::Clock,
    dataplane::{GatewayRef, ObjectKind},
    sandbox::programmer::programmed,
};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::envoy::{GATEWAY, Routes, Weights};
use crate::{cluster::Cluster, objects::weights_of, waiting::eventually};

pub struct Follower {
    taken: watch::Receiver<Weights>,
    _until: DropGuard,
}

impl Follower {
    /// Follows the route `color` from now on.
    pub fn start(cluster: &Cluster, routes: Routes) -> Self {
        let (taking, taken) = watch::channel(Weights::new());
        let (clock, api) = (Clock::start(), cluster.routes());
        let gateway =
            GatewayRef { name: GATEWAY.into(), namespace: cluster.namespace.clone(), takes_unclaimed: true };
        let task = async move {
            let only = watcher::Config::default().fields("metadata.name=color");
            let changes = watcher::watcher(api.clone(), only).default_backoff().applied_objects();
            let mut changes = std::pin::pin!(changes);
            let mut version = 0;
            while let Some(change) = changes.next().await {
                let Ok(route) = change else { continue };
                let weights = weights_of(RouteKind::GatewayRoute, &route);
                if *taking.borrow() != weights {
                    version += 1;
                    routes.write(version, &weights).await;
                    taking.send_replace(weights);
                }
                if let Some(said) = programmed(&gateway, ObjectKind::GatewayRoute, &route, clock.now()) {
                    // Overtaken by another write, it would be untrue; that write is on its way here.
                    let params = PatchParams::default();
                    let _ = api.patch_status(&route.name_any(), &params, &Patch::Merge(said)).await;
                }
            }
        };
        let over = CancellationToken::new();
        tokio::spawn(over.clone().run_until_cancelled_owned(task));
        Self { taken, _until: over.drop_guard() }
    }

    /// Waits until Envoy goes by this weight.
    pub async fn until_taken(&self, version: &str, weight: i64) {
        let taken = || async { self.taken.borrow().clone() };
        let wanted = |taken: &Weights| taken.get(version) == Some(&weight);
        eventually(&format!("Envoy gives {version} {weight}"), taken, wanted).await;
    }
}
