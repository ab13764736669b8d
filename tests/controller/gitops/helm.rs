//! Helm: what an upgrade writes, by either of its ways to merge.

use std::process::{Command, Output};

use serde_json::Value;
use tidegate::api::{PauseReason, Phase, RouteKind};

use super::{
    doc,
    routes::{SHAPES, live},
    tool::{Tool, manifest, outcome, program_of},
    weights::{hold_at_ten, version, was_left_alone},
};
use crate::{cluster::Cluster, told::paused_for};

/// How an upgrade merges.
#[derive(Clone, Copy)]
pub enum Merge {
    ThreeWay,
    ServerSide,
    ServerSideForced,
}

/// Installs or upgrades a chart that has the route in it.
pub fn upgrade(cluster: &Cluster, merge: Merge, route: &Value) {
    succeeds(&upgraded(cluster, merge, &route.to_string(), &[]));
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What comes of an upgrade to a chart with this template.
fn upgraded(cluster: &Cluster, merge: Merge, template: &str, values: &[&str]) -> Output {
    let chart = cluster.file("Chart.yaml", "apiVersion: v2\nname: color\nversion: 0.1.0\n");
    let chart = chart.parent().unwrap();
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    cluster.file("templates/route.yaml", template);
    let mut arguments = vec!["upgrade", "--install", "color", chart.to_str().unwrap()];
    match merge {
        // From 4.0 on it applies server-side where it is not told otherwise.
        Merge::ThreeWay if is_version_3() => {}
        Merge::ThreeWay => arguments.push("--server-side=false"),
        Merge::ServerSide => {}
        Merge::ServerSideForced => arguments.push("--force-conflicts"),
    }
    arguments.extend(values);
    outcome(cluster, "helm", &arguments)
}

fn is_version_3() -> bool {
    let version = Command::new(program_of("helm")).args(["version", "--short"]).output().unwrap();
    version.stdout.starts_with(b"v3")
}

/// A cluster whose route a release has made, and the controller running.
async fn released(kind: RouteKind, merge: Merge) -> Cluster {
    let mut cluster = Cluster::empty().await;
    cluster.kind = kind;
    upgrade(&cluster, merge, &manifest(kind));
    cluster.create_way_to("color").await;
    cluster.run_controller();
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chart_that_did_not_change_leaves_the_weights_alone() {
    if !Tool::Helm.is_there() {
        return;
    }
    for kind in RouteKind::ALL {
        let cluster = released(kind, Merge::ThreeWay).await;
        hold_at_ten(&cluster).await;
        upgrade(&cluster, Merge::ThreeWay, &manifest(kind));
        assert_eq!(cluster.share("v2").await, 10);
        cluster.ask("promote-full").await;
        cluster.phase(Phase::Healthy).await;
        let before = version(&cluster).await;
        upgrade(&cluster, Merge::ThreeWay, &manifest(kind));
        was_left_alone(&cluster, before).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_template_may_change_around_its_weights() {
    if !Tool::Helm.is_there() {
        return;
    }
    let mut cluster = Cluster::empty().await;
    let template = doc::snippet("template");
    succeeds(&upgraded(&cluster, Merge::ThreeWay, &template, &[]));
    cluster.run_controller();
    hold_at_ten(&cluster).await;
    succeeds(&upgraded(&cluster, Merge::ThreeWay, &template, &["--set", "prefix=/other"]));
    let route = live(&cluster).await;
    assert_eq!(route["spec"]["httpRoute"]["match"]["prefix"], "/other");
    assert_eq!(cluster.share("v2").await, 10);
    cluster.ask("promote-full").await;
    cluster.phase(Phase::Healthy).await;
    was_left_alone(&cluster, version(&cluster).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_rules_is_written_as_a_whole() {
    if !Tool::Helm.is_there() {
        return;
    }
    for shape in SHAPES {
        let mut cluster = Cluster::empty().await;
        cluster.kind = shape.kind;
        let mut chart = shape.manifest();
        upgrade(&cluster, Merge::ThreeWay, &chart);
        cluster.create_way_to("color").await;
        cluster.run_controller();
        hold_at_ten(&cluster).await;
        cluster.kill_controller();
        let list = |route: &Value| route.pointer(shape.list).cloned().unwrap();
        let stepped = list(&live(&cluster).await);
        shape.edit_outside(&mut chart);
        upgrade(&cluster, Merge::ThreeWay, &chart);
        assert_eq!(list(&live(&cluster).await), stepped, "{}", shape.row);
        shape.edit(&mut chart);
        upgrade(&cluster, Merge::ThreeWay, &chart);
        let route = live(&cluster).await;
        assert!(shape.is_edited(&route), "{}", shape.row);
        assert_eq!(list(&route) == stepped, shape.kind == RouteKind::GatewayRoute, "{}", shape.row);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_side_it_meets_a_conflict_or_forces_the_weights_of_the_chart() {
    if !Tool::Helm.is_there() || is_version_3() {
        return;
    }
    for kind in RouteKind::ALL {
        let cluster = released(kind, Merge::ServerSide).await;
        hold_at_ten(&cluster).await;
        let refused = upgraded(&cluster, Merge::ServerSide, &manifest(kind).to_string(), &[]);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains("tidegate"), "{kind:?}: {told}");
        assert_eq!(cluster.share("v2").await, 10);
        upgrade(&cluster, Merge::ServerSideForced, &manifest(kind));
        cluster.until("color", "paused for drift", paused_for(PauseReason::Drifted)).await;
        assert_eq!(cluster.share("v2").await, 0);
    }
}
