//! How long the plugin's reads take among ten thousand Rollouts, and its start. The goals: a read under a second, the start
//! under 30 ms.
//!
//! `cargo bench --bench kubectl`, on the sandbox; on another cluster with `TIDEGATE_TEST_KUBECONFIG`, where it makes a
//! namespace of its own and deletes it at the end. `KUBECTL_TIDEGATE` names another program than the one that is built with it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it is a measurement")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tidegate::{api::Rollout, clock::Clock, demo::world::start_server, sandbox::apiserver::ApiServer};

const ROLLOUTS: usize = 10_000;
/// Those of one team, which a label selects.
const TEAM: usize = 100;
const NAMESPACE: &str = "tidegate-bench-kubectl";
/// Each command is run so often.
const RUNS: usize = 11;
const READ: Duration = Duration::from_secs(1);
const START: Duration = Duration::from_millis(30);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (client, kubeconfig, server) = runtime.block_on(cluster(folder.path()));
    runtime.block_on(fill(&client));
    let all_reached = measure(&kubeconfig);
    runtime.block_on(async {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
        if let Some(server) = server {
            server.shutdown().await;
        }
    });
    assert!(all_reached, "a goal is missed");
}

async fn cluster(folder: &Path) -> (Client, PathBuf, Option<ApiServer>) {
    if let Some(file) = std::env::var_os("TIDEGATE_TEST_KUBECONFIG") {
        let read = Kubeconfig::read_from(&file).unwrap();
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        return (Client::try_from(config).unwrap(), file.into(), None);
    }
    let server = start_server(None, None).await.unwrap();
    let file = folder.join("kubeconfig");
    std::fs::write(&file, server.kubeconfig()).unwrap();
    (server.client().unwrap(), file, Some(server))
}

/// Makes the Rollouts, each with the status of one that has had ten runs.
async fn fill(client: &Client) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let api: Api<Rollout> = Api::namespaced(client.clone(), NAMESPACE);
    let clock = Clock::start();
    let make = |number: usize| {
        let api = api.clone();
        async move {
            let name = format!("rollout-{number:05}");
            let rollout: Rollout = serde_json::from_value(json!({
                "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
                "metadata": {"name": name, "labels": {"team": format!("team-{}", number / TEAM)}},
                "spec": {
                    "routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": name}],
                    "target": {"name": "shop-v2"},
                    "strategy": {"canary": {"steps": [{"weight": 5}, {"weight": 20}, {"weight": 50}]}},
                },
            }))
            .unwrap();
            api.create(&PostParams::default(), &rollout).await.unwrap();
            let entry = |run: i64| {
                json!({"run": run, "target": {"name": "shop-v2"}, "stable": {"name": "shop-v1"}, "outcome": "Promoted",
                       "message": "shop-v2 is live: it took 100% and passed; shop-v1 was stable before",
                       "at": "2026-01-01T00:00:00Z"})
            };
            let status = json!({"status": {
                "observedGeneration": 1, "phase": "Healthy", "message": "shop-v2 is live", "epoch": 20,
                "stable": {"name": "shop-v2"}, "canary": {"name": "shop-v2"},
                "history": (1..=10).map(entry).collect::<Vec<_>>(),
            }});
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        }
    };
    futures::stream::iter(0..ROLLOUTS).map(make).buffer_unordered(16).collect::<Vec<()>>().await;
    println!("{ROLLOUTS} Rollouts made in {:.1} s", clock.elapsed().as_secs_f64());
}

/// Prints the times, the middle one and the longest of each command; whether the middle ones keep to their goals.
fn measure(kubeconfig: &Path) -> bool {
    println!("{:<34} {:>10} {:>10} {:>10}", "command", "median", "longest", "goal");
    let mut reached = true;
    for (line, goal) in [
        ("version", START),
        ("--help", START),
        ("status rollout-07777", READ),
        ("get rollout-07777", READ),
        ("explain rollout-07777", READ),
        ("history rollout-07777", READ),
        ("list -l team=team-42", READ),
        ("list", READ),
        ("list -o wide", READ),
        ("list -A", READ),
        ("list -o name", READ),
    ] {
        let mut times: Vec<Duration> = (0..RUNS).map(|_| once(kubeconfig, line)).collect();
        times.sort();
        let median = times[RUNS / 2];
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
        println!("{line:<34} {:>10} {:>10} {:>10}", ms(median), ms(times[RUNS - 1]), ms(goal));
        reached &= median < goal;
    }
    reached
}

fn once(kubeconfig: &Path, line: &str) -> Duration {
    let program = std::env::var_os("KUBECTL_TIDEGATE");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_kubectl-tidegate").into()));
    command.env("KUBECONFIG", kubeconfig).stdout(Stdio::null()).args(line.split(' '));
    if line.contains("rollout-") || line.starts_with("list") && !line.contains("-A") {
        command.args(["--namespace", NAMESPACE]);
    }
    let clock = Clock::start();
    assert!(command.status().unwrap().success(), "{line}");
    clock.elapsed()
}
