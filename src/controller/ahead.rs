//! At the start, those in a run are served before all Rollouts were listed: among ten thousand at rest that takes seconds,
//! and a failing canary must not wait for it. They and what they name are read one by one; the lists bring the same, and
//! all that happens to them, a little later. Where this fails, or finds too many, nothing is lost but that lead.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all, stream};
use kube::{
    Api, ResourceExt,
    api::ListParams,
    runtime::{reflector::store::Writer, watcher::Event},
};

use super::{
    act,
    context::{Context, Guarded},
    feeds,
    observe::{key, workloads},
    raw::Raw,
};
use crate::{
    api::{Phase, Rollout},
    engine::{self, observed::WorkloadKey},
    routes,
};

/// So many are served ahead; where more are under way, the list brings the others.
const MOST: usize = 32;
/// So many are looked at for that: some that are not at rest are in no run either.
const LOOKED_AT: u32 = 256;
/// What so many of them name is read at once.
const AT_ONCE: usize = 4;
/// How long a question may take; the list is not kept waiting for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves those in a run as they stand now. The writer is that of the store of Rollouts, which the list fills anew.
pub async fn serve(context: &Arc<Context>, writer: &mut Writer<Guarded>, api: &Api<Guarded>) {
    let found = match tokio::time::timeout(PATIENCE, api.list(&not_at_rest())).await {
        Ok(Ok(found)) => found.items,
        Ok(Err(error)) => {
            let error = routes::told(&error);
            tracing::info!(error, "those in a run can't be asked for; they are served once all are listed");
            return;
        }
        Err(_) => {
            tracing::info!("those in a run were not told in time; they are served once all are listed");
            return;
        }
    };
    let under_way: Vec<Guarded> = found.into_iter().filter(Guarded::is_under_way).take(MOST).collect();
    if under_way.is_empty() {
        return;
    }
    writer.apply_watcher_event(&Event::Init);
    for guarded in &under_way {
        writer.apply_watcher_event(&Event::InitApply(guarded.clone()));
    }
    writer.apply_watcher_event(&Event::InitDone);
    let context = Arc::clone(context);
    tokio::spawn(async move {
        let count = under_way.len();
        let context = &context;
        let each = |guarded: Guarded| async move {
            if let Ok(rollout) = guarded.rollout()
                && learn(context, &rollout).await
            {
                context.wake(&rollout.namespace().unwrap_or_default(), &rollout.name_any());
            }
        };
        stream::iter(under_way).for_each_concurrent(AT_ONCE, each).await;
        tracing::info!(count, "those in a run are served before all are listed");
    });
}

/// Rollouts that may be in a run.
fn not_at_rest() -> ListParams {
    let terms = [Phase::Healthy, Phase::Failed, Phase::Invalid]
        .map(|phase| format!("status.phase!={}", phase.word()));
    ListParams::default().fields(&terms.join(",")).limit(LOOKED_AT)
}

/// Reads the routes and workloads that a Rollout names. Returns whether all are known by that.
async fn learn(context: &Context, rollout: &Rollout) -> bool {
    let namespace = rollout.namespace().unwrap_or_default();
    let status = rollout.status.clone().unwrap_or_default();
    let (routes, keys) = (engine::routes(&rollout.spec, &status), workloads(rollout, &status, &namespace));
    let known_routes = join_all(routes.iter().map(|route| act::read(context, &namespace, route)));
    let known_workloads = join_all(keys.iter().map(|key| read_workload(context, &namespace, key)));
    let (known_routes, known_workloads) = tokio::join!(known_routes, known_workloads);
    known_routes.into_iter().chain(known_workloads).all(|known| known)
}

/// Reads a workload by a list, which is what we may. Returns whether it is known by that.
async fn read_workload(context: &Context, namespace: &str, workload: &WorkloadKey) -> bool {
    let WorkloadKey { kind, name } = workload;
    if !act::can_be_a_name(name) {
        context.workloads.of(*kind).forget(&key(namespace, name));
        return true;
    }
    let resource = crate::workloads::resource(*kind);
    let api: Api<Raw> = Api::namespaced_with(context.client.clone(), namespace, &resource);
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    let Ok(Ok(found)) = tokio::time::timeout(PATIENCE, api.list(&named)).await else {
        return false;
    };
    match found.items.first() {
        Some(object) => context.workloads.of(*kind).learn(feeds::workload(object)),
        None => context.workloads.of(*kind).forget(&key(namespace, name)),
    }
    true
}
