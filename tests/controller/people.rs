//! What people and their tools do to a cluster while the controller is at work.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tidegate::{clock::Clock, sandbox::apiserver::READY_ANNOTATION};

use crate::{cluster::Cluster, objects::list_of, server::Server, told::runs, waiting::eventually};

impl Cluster {
    /// Creates a Rollout from its YAML.
    pub async fn roll(&self, yaml: &str) {
        self.create(serde_saphyr::from_str(yaml).unwrap()).await;
    }

    /// Changes a Rollout as a person would.
    pub async fn patch(&self, name: &str, patch: Value) {
        let params = PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
        self.rollouts().patch(name, &params, &Patch::Merge(patch)).await.unwrap();
    }

    /// Annotates the Rollout with a request for the run and step as they are now.
    pub async fn ask(&self, action: &str) {
        let rollout = self.rollouts().get("color").await.unwrap();
        let step = rollout.status.as_ref().and_then(|s| s.step.as_ref()).map_or(0, |s| s.index);
        self.request(action, runs(&rollout), step).await;
    }

    /// Annotates the Rollout with a request for a run and a step; returns its id.
    pub async fn request(&self, action: &str, run: i64, step: i32) -> String {
        let at = Clock::start().now();
        let id = format!("{action}-{at}");
        let request = json!({ "action": action, "run": run, "step": step, "by": "ann", "at": at, "id": id });
        let annotations = json!({ "tidegate.dev/request": request.to_string() });
        self.patch("color", json!({ "metadata": { "annotations": annotations } })).await;
        id
    }

    pub async fn abort(&self, reason: &str) {
        self.abort_of("color", reason).await;
    }

    pub async fn abort_of(&self, name: &str, reason: &str) {
        let run = runs(&self.rollouts().get(name).await.unwrap());
        let abort = json!({ "run": run, "by": "ann", "at": Clock::start().now(), "reason": reason });
        let annotations = json!({ "tidegate.dev/abort": abort.to_string() });
        self.patch(name, json!({ "metadata": { "annotations": annotations } })).await;
    }

    /// Somebody changes a route.
    pub async fn edit_route(&self, name: &str, change: Value) {
        self.routes().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Somebody else sets a route's weights.
    pub async fn set_weights(&self, route: &str, manager: &str, weights: &[(usize, i64)]) {
        let ops: Vec<Value> = weights
            .iter()
            .map(|(index, weight)| {
                let path = format!("{}/{index}/weight", list_of(self.kind));
                json!({ "op": "replace", "path": path, "value": weight })
            })
            .collect();
        let patch = Patch::Json::<()>(serde_json::from_value(json!(ops)).unwrap());
        let params = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
        self.routes().patch(route, &params, &patch).await.unwrap();
    }

    /// Whether the pods of a workload may be ready: all, or none.
    pub async fn ready(&self, name: &str, ready: bool) {
        self.ready_pods(name, if ready { 2 } else { 0 }).await;
    }

    /// How many of a workload's two pods are ready, from now on.
    pub async fn ready_pods(&self, name: &str, wanted: i32) {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let count = || async {
            let deployment = deployments.get(name).await.unwrap();
            deployment.status.and_then(|status| status.ready_replicas).unwrap_or_default()
        };
        if wanted < 2 {
            // Pods that are about to become ready would do so after this has been taken for done.
            eventually(&format!("{name} is up"), count, |count| *count == 2).await;
        }
        if let Server::Sandbox(_) = self.server {
            let pods = (wanted < 2).then(|| wanted.to_string());
            let annotations = json!({ READY_ANNOTATION: pods });
            let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
            deployments.patch(name, &PatchParams::default(), &patch).await.unwrap();
        } else {
            self.annotate_pods(name, wanted).await;
        }
        eventually(&format!("{name} has {wanted} ready"), count, |count| *count == wanted).await;
    }

    /// Tells what plays the kubelet for how many of a workload's pods the probes are to succeed.
    async fn annotate_pods(&self, name: &str, ready: i32) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let of = ListParams::default().labels(&format!("app={name}"));
        let made = || async { pods.list(&of).await.unwrap().items };
        let made = eventually("the pods are there", made, |pods| pods.len() == 2).await;
        for (number, pod) in (0..).zip(made) {
            let unready = (number >= ready).then_some("true");
            let annotations = json!({ "tidegate.dev/test-unready": unready });
            let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
            pods.patch(&pod.metadata.name.unwrap(), &PatchParams::default(), &patch).await.unwrap();
        }
    }
}
