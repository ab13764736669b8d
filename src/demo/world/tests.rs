use std::num::NonZeroU32;

use clap::ValueEnum;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::*;
use crate::sandbox::load::{Load, LoadConfig, Tally};

/// What each version answers to some requests.
async fn sent(app: &ColorApp, count: u32) -> Tally {
    let config = LoadConfig {
        url: app.url().parse().unwrap(),
        rate: NonZeroU32::new(count * 2).unwrap(),
        in_flight: 1000,
        timeout: Duration::from_secs(10),
        headers: app.routes().headers(),
    };
    let load = Load::new(config, Clock::start()).unwrap();
    load.run(Some(Duration::from_millis(500)), &CancellationToken::new()).await
}

/// Adds v3 to the route's list and gives it all of the weight, as a person would.
async fn give_all_to_v3(api: &Api<DynamicObject>, routes: Routes) {
    let list = match routes {
        Routes::GatewayRoute => "/spec/routeSpec/httpRoute/action/weightedTargets",
        Routes::VirtualRouter => "/spec/routes/0/httpRoute/action/weightedTargets",
        Routes::HttpRoute | Routes::GrpcRoute => "/spec/rules/0/backendRefs",
    };
    let reference = json!({"name": routes.target("v3")});
    let entry = match routes {
        Routes::GatewayRoute => json!({"virtualServiceRef": reference, "weight": 7}),
        Routes::VirtualRouter => json!({"virtualNodeRef": reference, "weight": 7}),
        Routes::HttpRoute | Routes::GrpcRoute => {
            json!({"name": reference["name"], "port": 8080, "weight": 7})
        }
    };
    let patch = json!([
        {"op": "replace", "path": format!("{list}/0/weight"), "value": 0},
        {"op": "add", "path": format!("{list}/-"), "value": entry},
    ]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(patch).unwrap());
    api.patch(routes.name(), &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn color_app_answers_behind_its_gateway_whatever_the_kind_of_its_route() {
    for routes in Routes::value_variants() {
        let server = start_server(None, None).await.unwrap();
        assert_eq!(server.warnings(), Vec::<String>::new());
        let client = server.client().unwrap();
        let app = ColorApp::start(client.clone(), server.clock(), *routes).await.unwrap();
        for version in ["v1", "v2", "v3"] {
            app.set_error_share(version, 0.0);
        }
        let v1 = |tally: &Tally| tally.answers.get(&("v1".to_owned(), 200)).copied();
        let tally = sent(&app, 20).await;
        assert_eq!((v1(&tally), tally.total(), tally.failed), (Some(20), 20, 0), "{routes:?}: {tally:?}");
        // The counters are under the name that the Rollout's series ask for.
        let protocol = if *routes == Routes::GrpcRoute { "grpc" } else { "http" };
        let cluster = format!("cds_egress_color-mesh_{}_default_{protocol}_8080", routes.workload("v1"));
        let line = format!("envoy_cluster_upstream_rq_total{{envoy_cluster_name=\"{cluster}\"}} 20\n");
        let Front::Sandbox { gateway, .. } = app.front() else { panic!("another gateway") };
        let stats = gateway.stats();
        assert!(stats.contains(&line), "{routes:?}: {stats}");
        // The gateway says that it serves a change once it does.
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &routes.resource());
        give_all_to_v3(&api, *routes).await;
        programmed(client.clone(), *routes).await.unwrap();
        let tally = sent(&app, 20).await;
        assert_eq!((tally.of("v3"), tally.total()), (20, 20), "{routes:?}: {tally:?}");
        let route = api.get(routes.name()).await.unwrap();
        let shares: Vec<i64> = routes.shares(&route).iter().map(|share| share.percent).collect();
        assert_eq!(shares, [0, 0, 100], "{routes:?}");
        // A second start finds everything there.
        drop(app);
        ColorApp::start(client, server.clock(), *routes).await.unwrap();
    }
}

#[tokio::test]
async fn a_route_that_cannot_be_served_says_why() {
    let server = start_server(None, None).await.unwrap();
    let client = server.client().unwrap();
    for (routes, pointer, value, told) in [
        (Routes::VirtualRouter, "/spec/routes/0/httpRoute/match/prefix", json!("color"), "must start with /"),
        (Routes::HttpRoute, "/spec/rules/0/backendRefs/0/namespace", json!("other"), "the namespace other"),
        (
            Routes::GrpcRoute,
            "/spec/rules/0/filters",
            json!([{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x"]}}]),
            "the filter ResponseHeaderModifier is not supported",
        ),
    ] {
        let app = ColorApp::start(client.clone(), server.clock(), routes).await.unwrap();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &routes.resource());
        let patch = json!([{"op": "add", "path": pointer, "value": value}]);
        let patch: Patch<()> = Patch::Json(serde_json::from_value(patch).unwrap());
        api.patch(routes.name(), &PatchParams::default(), &patch).await.unwrap();
        let says = |route: Option<&DynamicObject>| {
            route.is_some_and(|route| route.data["status"].to_string().contains(told))
        };
        let said = await_condition(api.clone(), routes.name(), says);
        let route = tokio::time::timeout(Duration::from_secs(20), said).await.unwrap().unwrap().unwrap();
        assert!(!programmer::in_effect(routes.kind(), &route), "{routes:?}: {}", route.data["status"]);
        drop(app);
    }
}

/// They are what the tests of the schemas read, and what was published.
#[test]
fn the_definitions_are_byte_for_byte_those_of_the_tests() {
    let folder = |path: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    for (ours, theirs) in
        [("src/demo/aws", "tests/data/appmesh/crds"), ("src/demo/gateway-api", "tests/data/gateway-api/crds")]
    {
        for file in std::fs::read_dir(folder(ours)).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "yaml") {
                let other = folder(theirs).join(file.file_name().unwrap());
                assert!(
                    std::fs::read(&file).unwrap() == std::fs::read(&other).unwrap(),
                    "{}",
                    file.display()
                );
            }
        }
    }
}
