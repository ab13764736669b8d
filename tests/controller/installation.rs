//! What the cluster lacks, or has in another version, is said in a sentence with its remedy; the rest works.

use kube::Api;
use serde_json::{Value, json};
use tidegate::api::{Phase, Rollout, RouteKind, gateway_route_crd::aws_gateway_route_crd};

use crate::{
    access::kubeconfig,
    bad_input::{invalid, lone},
    cluster::Cluster,
    crds::Crds,
    objects::{ROLLOUT, entry, reference, route, route_of},
    waiting::eventually,
};

/// What the program says when it can't start.
pub async fn refuses(cluster: &mut Cluster) -> String {
    cluster.run_program();
    let ended = eventually("it ends by itself", || async { cluster.exit_status() }, Option::is_some).await;
    assert_eq!(ended.unwrap().code(), Some(1));
    cluster.logged()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_that_points_nowhere() {
    let mut cluster = Cluster::without_controller().await;
    std::fs::remove_file(cluster.kubeconfig()).unwrap();
    let told = refuses(&mut cluster).await;
    assert!(told.contains("set KUBECONFIG to a readable kubeconfig"), "{told}");

    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    cluster.file("kubeconfig", &kubeconfig(&format!("http://{dead}"), None));
    let told = refuses(&mut cluster).await;
    assert!(told.contains("cannot reach the API server; check KUBECONFIG"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_too_old() {
    let mut cluster = Cluster::without_controller().await;
    let version = json!({
        "major": "1", "minor": "30+", "gitVersion": "v1.30.14-eks-1", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let old = format!("http://{}", listener.local_addr().unwrap());
    let answer = axum::routing::get(move || async move { axum::Json(version) });
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/version", answer)).await });
    cluster.file("kubeconfig", &kubeconfig(&old, None));
    let told = refuses(&mut cluster).await;
    assert!(told.contains("the API server is v1.30.14-eks-1, and Tidegate needs at least 1.31"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_our_crd() {
    let crds = Crds { rollouts: None, ..Crds::default() };
    let Some(mut cluster) = Cluster::with_crds(crds).await else { return };
    let told = refuses(&mut cluster).await;
    assert!(told.contains("install it with: helm upgrade"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_rollout_crd() {
    let mut crds = Crds::default();
    let older = crds.rollouts.as_mut().unwrap();
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    older.pointer_mut(status).and_then(Value::as_object_mut).unwrap().remove("epoch").unwrap();
    let Some(mut cluster) = Cluster::with_crds(crds).await else { return };
    let told = refuses(&mut cluster).await;
    assert!(
        told.contains("does not know status.epoch")
            && told.contains("kubectl apply -f crds/tidegate.dev_rollouts.yaml"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_crd_whose_objects_cannot_be_asked_for_by_phase() {
    let mut crds = Crds::default();
    let version = crds.rollouts.as_mut().and_then(|crd| crd.pointer_mut("/spec/versions/0")).unwrap();
    version.as_object_mut().unwrap().remove("selectableFields").unwrap();
    let Some(mut cluster) = Cluster::with_crds(crds).await else { return };
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    cluster.kill_controller();
    cluster.ask("promote").await;
    cluster.run_controller();
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_the_routes_crd_until_it_is_there() {
    let crds = Crds { gateway_routes: None, ..Crds::default() };
    let Some(mut cluster) = Cluster::with_crds(crds).await else { return };
    cluster.run_controller();
    cluster.roll(ROLLOUT).await;
    invalid(&cluster, "its CRD is not installed").await;
    cluster.server.install(&Crds::default()).await;
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_not_served_hinders_only_those_who_name_it_whenever_it_comes_or_goes() {
    let crds = Crds { http_routes: None, ..Crds::default() };
    let Some(mut cluster) = Cluster::with_crds(crds.clone()).await else { return };
    cluster.create(route("plain", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.run_controller();
    let plain = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color}";
    cluster.roll(&ROLLOUT.replace(plain, &reference(RouteKind::HttpRoute, "color"))).await;
    invalid(&cluster, "install those of Gateway API").await;
    let other = ROLLOUT
        .replace("metadata: {name: color}", "metadata: {name: plain}")
        .replace("name: color}]", "name: plain}]");
    cluster.roll(&other).await;
    let is = |phase| move |rollout: &Rollout| rollout.status.as_ref().and_then(|s| s.phase) == Some(phase);
    cluster.until("plain", "the other goes its way", is(Phase::Healthy)).await;

    cluster.server.install(&Crds::default()).await;
    cluster.kind = RouteKind::HttpRoute;
    cluster.create(route_of(RouteKind::HttpRoute, "color", &[("v1", 1), ("v2", 0)])).await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.share("v2").await, 100);

    cluster.server.install(&crds).await;
    let target = json!({ "spec": { "target": { "name": "v1", "workloadRef": null } } });
    cluster.patch("color", target.clone()).await;
    invalid(&cluster, "HTTPRoute color").await;
    cluster.patch("plain", target).await;
    let back = |rollout: &Rollout| {
        let status = rollout.status.as_ref();
        status.and_then(|s| s.stable.as_ref()).is_some_and(|stable| stable.name == "v1")
    };
    cluster.until("plain", "the other goes back to v1", back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn awss_own_crd_is_recognised_and_the_remedy_is_told() {
    let crds = Crds { gateway_routes: Some(aws_gateway_route_crd().unwrap()), ..Crds::default() };
    let Some(mut cluster) = Cluster::with_crds(crds).await else { return };
    cluster.create(lone()).await;
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("GatewayRoute, name: color", "GatewayRoute, name: lone")).await;
    invalid(&cluster, "AWS's own GatewayRoute CRD").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_does_not_decode_hinders_nobody() {
    // An API server whose schema knows less than we do: the object passes there and not here.
    let mut loose = Crds::default();
    let version = &mut loose.rollouts.as_mut().unwrap()["spec"]["versions"][0];
    version["schema"] = json!({
        "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    });
    // It can't be asked for what it does not know.
    version.as_object_mut().unwrap().remove("selectableFields").unwrap();
    let Some(mut cluster) = Cluster::with_crds(loose).await else { return };
    let odd = ROLLOUT
        .replace("metadata: {name: color}", "metadata: {name: odd}")
        .replace("weight: 10", "weight: 1000");
    cluster.roll(&odd).await;
    cluster.server.install(&Crds::default()).await;
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.run_controller();
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    let api: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let told = || async {
        let events = api.list(&kube::api::ListParams::default()).await.unwrap().items;
        events.into_iter().any(|event| event.reason.as_deref() == Some("Undecodable"))
    };
    eventually("told about the odd one", told, |told| *told).await;
}
