//! The tools that write Git's weights back, for real: what each does to weights of ours, mid-run and at rest.

use std::{path::PathBuf, process::Command};

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::api::{PauseReason, Phase, Rollout};

use crate::{
    cluster::Cluster,
    objects::{ROLLOUT, entry, route},
    server::is_real,
    skip::skip,
    told::{is_paused_for, message, routes_in_sync},
};

/// What Git says: all to v1.
fn manifest() -> Value {
    route("color", &json!([entry("v1", 100), entry("v2", 0)]))
}

/// Who brings the manifest into the cluster, again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tool {
    /// `kubectl apply`.
    Apply,
    /// `kubectl replace`.
    Replace,
    /// Server-side apply with force, as Flux does.
    Forced,
    /// Helm's three-way merge with a chart whose weights were changed and changed back.
    Helm,
}

impl Tool {
    /// The name that `managedFields` has for it.
    fn manager(self) -> &'static str {
        match self {
            Self::Apply => "kubectl-client-side-apply",
            Self::Replace => "kubectl-replace",
            Self::Forced => "kustomize-controller",
            Self::Helm => "helm",
        }
    }

    /// Whether it is here and the API server serves it; says so if not.
    fn is_there(self) -> bool {
        if matches!(self, Self::Forced | Self::Helm) && !is_real() {
            skip("the sandbox serves neither server-side apply nor Helm; tests/cluster does");
            return false;
        }
        let (program, arguments) = match self {
            Self::Apply | Self::Replace => ("kubectl", ["version", "--client"]),
            Self::Helm => ("helm", ["version", "--short"]),
            // Done here, without a program.
            Self::Forced => return true,
        };
        let answers = Command::new(program_of(program)).args(arguments).output();
        let there = answers.is_ok_and(|output| output.status.success());
        if !there {
            skip(&format!("{program} is not installed"));
        }
        there
    }

    async fn bring(self, cluster: &Cluster) {
        match self {
            Self::Apply => {
                run(cluster, "kubectl", &["apply", "-f", &file(cluster)]);
            }
            Self::Replace => {
                run(cluster, "kubectl", &["replace", "-f", &file(cluster)]);
            }
            Self::Forced => {
                apply(cluster, self.manager(), true).await.unwrap();
            }
            Self::Helm => {
                // The second upgrade differs from the first in the weights, and so writes them.
                for (stable, canary) in [(99, 1), (100, 0)] {
                    helm(cluster, &json!([entry("v1", stable), entry("v2", canary)]));
                }
            }
        }
    }
}

/// A program from `KUBECTL` or `HELM`, or from the path.
fn program_of(name: &str) -> PathBuf {
    std::env::var_os(name.to_uppercase()).map_or_else(|| name.into(), PathBuf::from)
}

fn run(cluster: &Cluster, program: &str, arguments: &[&str]) -> String {
    let kubeconfig = cluster.file("admin", &cluster.server.kubeconfig());
    let home = kubeconfig.parent().unwrap().to_owned();
    let mut command = Command::new(program_of(program));
    command.env("KUBECONFIG", kubeconfig).env("HOME", home).args(arguments).args(["-n", &cluster.namespace]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn file(cluster: &Cluster) -> String {
    cluster.file("route.json", &manifest().to_string()).display().to_string()
}

async fn apply(cluster: &Cluster, manager: &str, force: bool) -> kube::Result<()> {
    let params = PatchParams { force, ..PatchParams::apply(manager) };
    cluster.routes().patch("color", &params, &Patch::Apply(manifest())).await.map(drop)
}

/// Installs or upgrades a chart that has the route with these entries in it, by the three-way merge.
fn helm(cluster: &Cluster, entries: &Value) -> String {
    let chart = cluster.file("Chart.yaml", "apiVersion: v2\nname: color\nversion: 0.1.0\n");
    let chart = chart.parent().unwrap();
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    cluster.file("templates/route.yaml", &route("color", entries).to_string());
    let version = Command::new(program_of("helm")).args(["version", "--short"]).output().unwrap().stdout;
    let mut arguments = vec!["upgrade", "--install", "color", chart.to_str().unwrap()];
    // From 4.0 on it applies server-side where it is not told otherwise.
    if !version.starts_with(b"v3") {
        arguments.push("--server-side=false");
    }
    run(cluster, "helm", &arguments)
}

/// A cluster whose route the tool has made, and the controller running.
async fn made_by(tool: Tool) -> Cluster {
    let mut cluster = Cluster::empty().await;
    match tool {
        Tool::Replace => run(&cluster, "kubectl", &["create", "-f", &file(&cluster)]),
        Tool::Helm => helm(&cluster, &json!([entry("v1", 100), entry("v2", 0)])),
        Tool::Apply | Tool::Forced => {
            tool.bring(&cluster).await;
            String::new()
        }
    };
    cluster.run_controller();
    cluster
}

/// Mid-run the canary's share is taken away: it is left so, the run pauses and names the tool, and goes on when told.
async fn mid_run(tool: Tool) {
    if !tool.is_there() {
        return;
    }
    let cluster = made_by(tool).await;
    // However long the tool takes, the step is not over before.
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    tool.bring(&cluster).await;
    let what = format!("paused, and {} named", tool.manager());
    let is_paused = |rollout: &Rollout| {
        is_paused_for(rollout, PauseReason::Drifted) && message(rollout).contains(tool.manager())
    };
    cluster.until("color", &what, is_paused).await;
    assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0));
    cluster.ask("resume").await;
    cluster.until_share("v2", 10).await;
    cluster.ask("promote-full").await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.share("v2").await, 100);
}

/// At rest, what is live gets its weight back, and the tool is named.
async fn at_rest(tool: Tool) {
    if !tool.is_there() {
        return;
    }
    let cluster = made_by(tool).await;
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    tool.bring(&cluster).await;
    let restored = |rollout: &Rollout| {
        routes_in_sync(rollout) && rollout.status.as_ref().is_some_and(|status| !status.restored.is_empty())
    };
    cluster.until("color", "restored", restored).await;
    cluster.until_share("v2", 100).await;
    let event = cluster.event("Drifted").await.message.unwrap();
    assert!(event.contains(tool.manager()), "{event}");
}

macro_rules! tools {
    ($($tool:ident: $mid_run:ident $at_rest:ident),*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $mid_run() {
            mid_run(Tool::$tool).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $at_rest() {
            at_rest(Tool::$tool).await;
        }
    )* };
}

tools!(
    Apply: kubectl_apply_mid_run kubectl_apply_at_rest,
    Replace: kubectl_replace_mid_run kubectl_replace_at_rest,
    Forced: forced_server_side_apply_mid_run forced_server_side_apply_at_rest,
    Helm: a_changed_chart_mid_run a_changed_chart_at_rest
);

/// The route's version.
async fn version(cluster: &Cluster) -> Option<String> {
    cluster.routes().get("color").await.unwrap().metadata.resource_version
}

/// At rest nobody has written the route since, neither the tool nor the controller; nor was there ever anything to mend.
async fn was_left_alone(cluster: &Cluster, before: Option<String>) {
    assert_eq!(version(cluster).await, before);
    assert_eq!(cluster.share("v2").await, 100);
    let status = cluster.rollouts().get("color").await.unwrap().status.unwrap();
    assert!(status.restored.is_empty(), "{:?}", status.restored);
    let drifted = cluster.events("Drifted").await;
    assert!(drifted.is_empty(), "{drifted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_without_force_is_refused_and_nothing_changes() {
    if !is_real() {
        skip("the sandbox does not serve server-side apply; tests/cluster does");
        return;
    }
    let mut cluster = Cluster::empty().await;
    apply(&cluster, "argocd-controller", false).await.unwrap();
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    let kube::Error::Api(status) = apply(&cluster, "argocd-controller", false).await.unwrap_err() else {
        panic!("a conflict is answered by the API server")
    };
    assert_eq!(status.code, 409, "{}", status.message);
    assert!(status.message.contains("tidegate"), "the conflict names us: {}", status.message);
    cluster.ask("promote-full").await;
    cluster.phase(Phase::Healthy).await;
    let before = version(&cluster).await;
    assert!(apply(&cluster, "argocd-controller", false).await.is_err());
    was_left_alone(&cluster, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chart_that_did_not_change_leaves_the_weights_alone() {
    if !Tool::Helm.is_there() {
        return;
    }
    let cluster = made_by(Tool::Helm).await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    helm(&cluster, &json!([entry("v1", 100), entry("v2", 0)]));
    assert_eq!(cluster.share("v2").await, 10);
    cluster.ask("promote-full").await;
    cluster.phase(Phase::Healthy).await;
    let before = version(&cluster).await;
    helm(&cluster, &json!([entry("v1", 100), entry("v2", 0)]));
    was_left_alone(&cluster, before).await;
}
