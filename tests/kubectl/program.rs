//! A stage with a Rollout on it, and the program.

use std::{
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use assert_cmd::Command;
use kube::api::PostParams;
use serde_json::Value;
use tidegate::{
    api::{Phase, Rollout},
    demo::Routes,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::ChildStdout,
};

use crate::stage::Stage;

/// Longer than anything here takes on a busy machine.
pub const LONG: Duration = Duration::from_mins(2);

/// color-app-v1 is live; v2 gets there by 20 %, then 50 % with an approval. No metrics: steps go by their holds.
pub const BY_HOLDS: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: color, namespace: default, labels: {app: color}}
spec:
  routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color-gateway-route}]
  target: {name: color-app-v1.default, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: color-app-v1}}
  rollbackWindow: {within: 1h}
  strategy: {canary: {hold: 1s, steps: [{weight: 20}, {weight: 50, approval: Required}]}}
";

/// The same, judged by its errors.
pub const JUDGED: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: color, namespace: default}
spec:
  routes: [{group: appmesh.k8s.aws, kind: GatewayRoute, name: color-gateway-route}]
  target: {name: color-app-v1.default, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: color-app-v1}}
  strategy: {canary: {hold: 2m, steps: [{weight: 50}]}}
  analysis:
    interval: 1s
    settle: 1s
    series: {preset: tidegate-gateway, params: {mesh: color-mesh, port: '8080'}}
    errorRate: {max: 10%}
";

/// A stage, a Rollout on it whose target is live, and a kubeconfig.
pub struct Scene {
    pub stage: Stage,
    folder: tempfile::TempDir,
}

impl Scene {
    pub async fn of(rollout: &str) -> Self {
        let stage = Stage::set(Routes::GatewayRoute).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kubeconfig"), stage.server.kubeconfig()).unwrap();
        let rollout: Rollout = serde_saphyr::from_str(rollout).unwrap();
        stage.rollouts().create(&PostParams::default(), &rollout).await.unwrap();
        let scene = Self { stage, folder };
        scene.until_phase(Phase::Healthy).await;
        scene
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub async fn until_phase(&self, phase: Phase) {
        let is =
            |rollout: &Rollout| rollout.status.as_ref().is_some_and(|status| status.phase == Some(phase));
        self.stage.until(phase.word(), is).await;
    }

    pub async fn rollout(&self) -> Rollout {
        self.stage.rollouts().get("color").await.unwrap()
    }

    /// Runs the program; what it printed and its exit code.
    pub async fn run(&self, line: &str) -> Ran {
        self.run_words(&line.split(' ').collect::<Vec<_>>()).await
    }

    pub async fn run_words(&self, words: &[&str]) -> Ran {
        let mut command = program();
        command.env("KUBECONFIG", self.kubeconfig()).args(words);
        tokio::task::spawn_blocking(move || Ran::of(&command.output().unwrap())).await.unwrap()
    }

    /// Makes v2 the target and waits for its approval.
    pub async fn to_approval(&self) {
        let ran = self.run("release color --target color-app-v2.default --wait").await;
        assert_eq!(ran.code, 4, "{ran:?}");
    }
}

/// A run of the program that is still going on.
pub struct Begun {
    child: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: String,
}

impl Begun {
    pub fn with(scene: &Scene, line: &str) -> Self {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kubectl-tidegate"));
        command.env("KUBECONFIG", scene.kubeconfig()).args(line.split(' '));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: String::new() }
    }

    pub async fn first_line(&mut self) -> String {
        let line = tokio::time::timeout(LONG, self.lines.next_line()).await.unwrap().unwrap().unwrap();
        self.seen.push_str(&line);
        line
    }

    pub async fn end(mut self) -> Ran {
        let rest = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push('\n');
                self.seen.push_str(&line);
            }
            self.child.wait_with_output().await.unwrap()
        };
        let output = tokio::time::timeout(LONG, rest).await.unwrap();
        Ran { out: self.seen, ..Ran::of(&output) }
    }
}

/// The program, without anything of the caller's.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-tidegate"));
    for name in ["KUBECONFIG", "NO_COLOR", "CLICOLOR_FORCE", "COMPLETE", "TIDEGATE_CONFIG"] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").timeout(LONG);
    command
}

/// What came of a run of the program.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    #[track_caller]
    pub fn says(self, what: &str) -> Self {
        assert!(
            self.out.contains(what) || self.err.contains(what),
            "no {what:?} in {}\n{}",
            self.out,
            self.err
        );
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}
