//! The workloads behind the versions of a Rollout, and their pods, as they are shown.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{Api, api::ListParams};

use super::{cluster::Cluster, words};
use crate::{
    api::{Rollout, Target, WorkloadKind},
    engine::observed::{WorkloadKey, workload_keys},
};

/// So many pods of a workload are shown.
const MOST: usize = 10;

/// A workload behind a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// `stable` or `canary`.
    pub role: &'static str,
    /// The version, as routes name it.
    pub target: String,
    /// The workload; none where none is known.
    pub workload: Option<Workload>,
}

/// A workload as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    /// Its kind and name.
    pub name: String,
    /// How many pods it wants, and how many are ready.
    pub pods: (i32, i32),
    /// The first few of them.
    pub shown: Vec<PodShown>,
}

/// A pod as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodShown {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How it is, in a word or two: `ready`, `CrashLoopBackOff, 4 restarts`.
    pub how: String,
    /// Since when it is there.
    pub since: Option<Timestamp>,
}

/// The workloads of the versions that have to do with the Rollout now. What can't be read is left out: the view is of the
/// Rollout, and not everybody may read pods.
pub(super) async fn of(cluster: &Cluster, rollout: &Rollout) -> Vec<Shown> {
    let status = words::status(rollout);
    let same = status.stable.as_ref().zip(status.canary.as_ref()).is_some_and(|(a, b)| a.same_entry(b));
    let canary = status.canary.as_ref().filter(|_| !same);
    let all = [("stable", status.stable.as_ref()), ("canary", canary)];
    let mut shown = Vec::new();
    for (role, target) in all.into_iter().filter_map(|(role, target)| Some((role, target?))) {
        let workload = workload(cluster, target).await;
        shown.push(Shown { role, target: words::target(target), workload });
    }
    shown
}

async fn workload(cluster: &Cluster, target: &Target) -> Option<Workload> {
    for key in workload_keys(&target.name, &cluster.namespace, target.workload_ref.as_ref()) {
        let Some((wants, ready, selector)) = read(cluster, &key).await else { continue };
        let shown = pods(cluster, selector.match_labels.unwrap_or_default()).await;
        let name = format!("{} {}", key.kind.word(), key.name);
        return Some(Workload { name, pods: (wants, ready), shown });
    }
    None
}

async fn read(cluster: &Cluster, key: &WorkloadKey) -> Option<(i32, i32, LabelSelector)> {
    let (client, namespace) = (cluster.client.clone(), &cluster.namespace);
    match key.kind {
        WorkloadKind::Deployment => {
            let found: Deployment = Api::namespaced(client, namespace).get_opt(&key.name).await.ok()??;
            let spec = found.spec?;
            let ready = found.status.and_then(|status| status.ready_replicas).unwrap_or_default();
            Some((spec.replicas.unwrap_or(1), ready, spec.selector))
        }
        WorkloadKind::StatefulSet => {
            let found: StatefulSet = Api::namespaced(client, namespace).get_opt(&key.name).await.ok()??;
            let spec = found.spec?;
            let ready = found.status.and_then(|status| status.ready_replicas).unwrap_or_default();
            Some((spec.replicas.unwrap_or(1), ready, spec.selector))
        }
    }
}

async fn pods(cluster: &Cluster, labels: BTreeMap<String, String>) -> Vec<PodShown> {
    if labels.is_empty() {
        return Vec::new();
    }
    let selector: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let params = ListParams::default().labels(&selector.join(","));
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let Ok(list) = api.list(&params).await else { return Vec::new() };
    let mut shown: Vec<PodShown> = list.items.iter().map(pod).collect();
    // Those in trouble first.
    shown.sort_by_key(|pod| pod.ready);
    shown.truncate(MOST);
    shown
}

fn pod(pod: &Pod) -> PodShown {
    let status = pod.status.clone().unwrap_or_default();
    let is_ready = |condition: &k8s_openapi::api::core::v1::PodCondition| {
        condition.type_ == "Ready" && condition.status == "True"
    };
    let ready = status.conditions.iter().flatten().any(is_ready);
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let waiting = containers.iter().find_map(|one| one.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let restarts: i32 = containers.iter().map(|one| one.restart_count).sum();
    let going = pod.metadata.deletion_timestamp.is_some().then(|| "Terminating".to_owned());
    let mut how = going.or(waiting).unwrap_or_else(|| {
        if ready { "ready".to_owned() } else { status.phase.unwrap_or_default() + ", not ready" }
    });
    let again = match restarts {
        0 => String::new(),
        1 => ", 1 restart".to_owned(),
        many => format!(", {many} restarts"),
    };
    how.push_str(&again);
    let since = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    PodShown { name: pod.metadata.name.clone().unwrap_or_default(), ready, how, since }
}
