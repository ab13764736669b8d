//! Those who bring manifests into a cluster: as programs, or as what they ask of the API server.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use kube::api::{Patch, PatchParams};
use serde_json::Value;
use tidegate::api::RouteKind;

use super::helm::{Merge, upgrade};
use crate::{cluster::Cluster, objects::route_of, server::is_real, skip::skip};

/// What Git says: all to v1.
pub fn manifest(kind: RouteKind) -> Value {
    route_of(kind, "color", &[("v1", 100), ("v2", 0)])
}

/// Who brings the manifest into the cluster, again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tool {
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
    pub fn manager(self) -> &'static str {
        match self {
            Self::Apply => "kubectl-client-side-apply",
            Self::Replace => "kubectl-replace",
            Self::Forced => "kustomize-controller",
            Self::Helm => "helm",
        }
    }

    /// Whether it is here and the API server serves it; says so if not.
    pub fn is_there(self) -> bool {
        if matches!(self, Self::Forced | Self::Helm) && !is_real() {
            skip("the sandbox serves neither server-side apply nor Helm; tests/cluster does");
            return false;
        }
        match self {
            Self::Apply | Self::Replace => is_installed("kubectl", &["version", "--client"]),
            Self::Helm => is_installed("helm", &["version", "--short"]),
            // Done here, without a program.
            Self::Forced => true,
        }
    }

    /// Makes the route in a cluster that has none.
    pub async fn make(self, cluster: &Cluster) {
        match self {
            Self::Replace => {
                run(cluster, "kubectl", &["create", "-f", &file(cluster, &manifest(cluster.kind))]);
            }
            Self::Helm => upgrade(cluster, Merge::ThreeWay, &manifest(cluster.kind)),
            Self::Apply | Self::Forced => self.bring(cluster).await,
        }
    }

    pub async fn bring(self, cluster: &Cluster) {
        let manifest = manifest(cluster.kind);
        match self {
            Self::Apply => {
                run(cluster, "kubectl", &["apply", "-f", &file(cluster, &manifest)]);
            }
            Self::Replace => {
                run(cluster, "kubectl", &["replace", "-f", &file(cluster, &manifest)]);
            }
            Self::Forced => apply(cluster, self.manager(), true).await.unwrap(),
            Self::Helm => {
                // The second upgrade differs from the first in the weights, and so writes them.
                upgrade(cluster, Merge::ThreeWay, &route_of(cluster.kind, "color", &[("v1", 99), ("v2", 1)]));
                upgrade(cluster, Merge::ThreeWay, &manifest);
            }
        }
    }
}

/// Server-side apply of the manifest.
pub async fn apply(cluster: &Cluster, manager: &str, force: bool) -> kube::Result<()> {
    let params = PatchParams { force, ..PatchParams::apply(manager) };
    let manifest = Patch::Apply(manifest(cluster.kind));
    cluster.routes().patch("color", &params, &manifest).await.map(drop)
}

/// A program from `KUBECTL` or `HELM`, or from the path.
pub fn program_of(name: &str) -> PathBuf {
    std::env::var_os(name.to_uppercase()).map_or_else(|| name.into(), PathBuf::from)
}

/// Whether a program is here; says so if not.
pub fn is_installed(program: &str, version: &[&str]) -> bool {
    let answers = Command::new(program_of(program)).args(version).output();
    let there = answers.is_ok_and(|output| output.status.success());
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there
}

/// What comes of a program that acts in the cluster's namespace as a person does.
pub fn outcome(cluster: &Cluster, program: &str, arguments: &[&str]) -> Output {
    let kubeconfig = cluster.file("admin", &cluster.server.kubeconfig());
    let home = kubeconfig.parent().unwrap().to_owned();
    let mut command = Command::new(program_of(program));
    command.env("KUBECONFIG", kubeconfig).env("HOME", home).args(arguments).args(["-n", &cluster.namespace]);
    command.output().unwrap()
}

/// The same of one that is to succeed.
pub fn run(cluster: &Cluster, program: &str, arguments: &[&str]) {
    let output = outcome(cluster, program, arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
}

/// A file with a manifest.
pub fn file(cluster: &Cluster, manifest: &Value) -> String {
    cluster.file("route.json", &manifest.to_string()).display().to_string()
}
