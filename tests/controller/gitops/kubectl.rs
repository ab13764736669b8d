//! kubectl: what each way to bring the unchanged manifest does, by the documentation's table.

use serde_json::Value;
use tidegate::api::RouteKind;

use super::{
    doc,
    tool::{Tool, file, manifest, outcome, run},
    weights::hold_at_ten,
};
use crate::{cluster::Cluster, server::is_real, skip::skip};

/// `kubectl apply` of a manifest.
pub fn apply(cluster: &Cluster, manifest: &Value) {
    run(cluster, "kubectl", &["apply", "-f", &file(cluster, manifest)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_does_what_the_table_says() {
    if !Tool::Apply.is_there() {
        return;
    }
    for row in doc::table("kubectl") {
        let [command, does] = row.try_into().unwrap();
        if command.contains("--server-side") && !is_real() {
            skip(&format!("{command}: the sandbox does not serve server-side apply; tests/cluster does"));
            continue;
        }
        for kind in RouteKind::ALL {
            comes_of(&command, &does, kind).await;
        }
    }
}

async fn comes_of(command: &str, does: &str, kind: RouteKind) {
    let mut cluster = Cluster::of_kind(kind).await;
    hold_at_ten(&cluster).await;
    // What it does about that is another matter.
    cluster.kill_controller();
    let path = file(&cluster, &manifest(kind));
    let arguments: Vec<&str> = command.split(' ').skip(1).chain(["-f", &path]).collect();
    let output = outcome(&cluster, "kubectl", &arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    let refused = does.starts_with("nothing: refused");
    assert_eq!(output.status.success(), !refused, "{command}, {kind:?}: {told}");
    assert_eq!(cluster.share("v2").await, if refused { 10 } else { 0 }, "{command}, {kind:?}");
    if refused {
        assert!(
            does.contains("names `tidegate`") && told.contains("tidegate"),
            "{command}, {kind:?}: {told}"
        );
    }
    let route = cluster.routes().get("color").await.unwrap();
    let stamped = route.metadata.annotations.unwrap_or_default().contains_key("state.tidegate.dev/color");
    assert_eq!(!stamped, does.contains("takes our annotation away"), "{command}, {kind:?}");
}
