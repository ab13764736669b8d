//! The kubectl plugin on both servers, as the account of a pipeline with exactly the permissions that `examples/ci` tells.

use std::process::Output;

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tidegate::api::{Phase, RequestOutcome};

use crate::{cluster::Cluster, objects::ROLLOUT, server::is_real};

/// Each step waits for a person; there are no metrics.
const BY_PEOPLE: &str = r"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: color}
spec:
  routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}]
  target: {name: v1, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: v1}}
  rollbackWindow: {within: 1h}
  strategy: {canary: {hold: 1s, steps: [{weight: 10, approval: Required}, {weight: 50, approval: Required}]}}
";

impl Cluster {
    /// What `examples/ci` says that a pipeline's account needs.
    async fn with_the_account_of_a_pipeline(&self) {
        if !is_real() {
            // Everybody may do everything there, and there are no accounts.
            return;
        }
        let page = include_str!("../../examples/ci/README.md");
        let block = page.split("```yaml").nth(1).unwrap().split("```").next().unwrap();
        let objects = block.replace("namespace: default", &format!("namespace: {}", self.namespace));
        for object in serde_saphyr::from_multiple::<DynamicObject>(&objects).unwrap() {
            self.create(serde_json::to_value(object).unwrap()).await;
        }
    }

    /// Runs the plugin as that account; its exit code and what it printed.
    async fn plugin(&self, line: &str) -> (i32, String) {
        let kubeconfig = self.file("people", &self.server.kubeconfig());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-tidegate"));
        command.env("KUBECONFIG", kubeconfig).args(line.split(' '));
        command.args(["--namespace", &self.namespace]);
        command.args(["--as", &format!("system:serviceaccount:{}:tidegate-ci", self.namespace)]);
        let Output { status, stdout, stderr } =
            tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (status.code().unwrap_or(-1), text)
    }

    /// The same, which must end so; what it printed.
    async fn ends(&self, line: &str, code: i32) -> String {
        let (ended, text) = self.plugin(line).await;
        assert_eq!(ended, code, "{line}: {text}");
        text
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_s_account_releases_promotes_and_waits() {
    let cluster = Cluster::start().await;
    cluster.with_the_account_of_a_pipeline().await;
    cluster.roll(BY_PEOPLE).await;
    cluster.ends("status color --wait --timeout 60s", 0).await;
    cluster.ends("release color --target v2 --wait --timeout 60s", 4).await;
    let (one, other) =
        tokio::join!(cluster.plugin("promote color --step 1"), cluster.plugin("promote color --step 1"));
    let mut codes = [one.0, other.0];
    codes.sort_unstable();
    assert!(matches!(codes, [0, 0 | 5]), "{one:?} {other:?}");
    cluster.ends("status color --wait --for step=2 --timeout 60s", 0).await;
    let last = cluster.rollouts().get("color").await.unwrap().status.unwrap().last_request.unwrap();
    let account = if is_real() {
        format!("system:serviceaccount:{}:tidegate-ci", cluster.namespace)
    } else {
        "sandbox".to_owned()
    };
    assert_eq!(last.by.as_deref(), Some(account.as_str()), "as the API server knows it");
    assert_eq!(last.outcome, RequestOutcome::Accepted);
    cluster.ends("status color --wait --timeout 60s", 4).await;
    let whole = cluster.ends("get color", 0).await;
    assert!(whole.contains("step 2 of 3, now: 50%, paused") && whole.contains("v2   50%"), "{whole}");
    let table = cluster.ends("list -o wide", 0).await;
    assert!(table.contains("Paused") && table.contains("promote to go on"), "{table}");
    cluster.ends("promote color --full", 0).await;
    cluster.ends("status color --wait --target v2 --timeout 60s", 0).await;
    let undone = cluster.ends("undo color --wait --timeout 60s", 0).await;
    assert!(undone.contains("one step to 100%"), "{undone}");
    let history = cluster.ends("history color", 0).await;
    assert_eq!(history.matches("Promoted").count(), 2, "{history}");
    // It may do nothing else, and reads no routes.
    let diff = cluster.ends("diff color", if is_real() { 5 } else { 0 }).await;
    assert!(!is_real() || diff.contains("cannot get resource"), "{diff}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_has_its_exit_code() {
    let cluster = Cluster::start().await;
    cluster.with_the_account_of_a_pipeline().await;
    cluster.gateway.fail("v2", 0.3);
    cluster.roll(ROLLOUT).await;
    let failed = cluster.ends("status color --wait --timeout 60s", 1).await;
    assert!(failed.contains("Rolled back at 10%") && failed.contains("canary failed "), "{failed}");
    cluster.ends("status nothing", 2).await;
    cluster.ends("status color --for paused --target v3 --wait --timeout 1s", 3).await;
    let refused = cluster.ends("pause color", 5).await;
    assert!(refused.contains("no run is active"), "{refused}");
    cluster.ends("release color --target v2", 1).await;
    // The schema's own word.
    let refused = cluster.plugin("release color --target v3 --port 70000").await;
    assert!(refused.0 == 5 && refused.1.contains("spec.target.port"), "{refused:?}");
    cluster.phase(Phase::Failed).await;
    let unread: Value = json!({"metadata": {"annotations": {"tidegate.dev/request": "please"}}});
    cluster.patch("color", unread).await;
    cluster.gateway.fail("v2", 0.0);
    cluster.ends("retry color", 0).await;
    cluster.ends("status color --wait --timeout 60s", 0).await;
}
