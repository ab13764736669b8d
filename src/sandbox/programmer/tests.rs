//! The programmer on an API server that lacks most kinds.

use kube::{api::PostParams, runtime::wait::await_condition};
use serde_json::json;

use super::*;
use crate::{
    api::gateway_route_crd::gateway_route_crd,
    sandbox::{
        apiserver::{ApiServer, Options},
        gateway::{Endpoints, Gateway, GatewayConfig},
    },
};

fn route(name: &str, generation: i64) -> DynamicObject {
    let block = json!({"match": {"prefix": "/"}, "action": {"targets": [{"virtualServiceRef": {"name": "a.default"}, "weight": 1}]}});
    serde_json::from_value(json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute",
        "metadata": {"name": name, "namespace": "default", "generation": generation},
        "spec": {"virtualGatewayRef": {"name": "gw"}, "routeSpec": {"httpRoute": block}},
    }))
    .unwrap()
}

fn missing() -> watcher::Error {
    let status = json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": ""});
    watcher::Error::InitialListFailed(kube::Error::Api(serde_json::from_value(status).unwrap()))
}

#[tokio::test]
async fn kinds_that_are_absent_do_not_keep_the_others_from_being_served() {
    let crds = vec![gateway_route_crd().unwrap()];
    let server = ApiServer::start(Options { crds, ..Options::default() }).await.unwrap();
    let client = server.client().unwrap();
    let gateway =
        Gateway::start(GatewayConfig::default(), Endpoints::default(), server.clock()).await.unwrap();
    let reference = GatewayRef { name: "gw".into(), namespace: "default".into(), takes_unclaimed: false };
    let programmer = Programmer::new(client.clone(), server.clock(), reference, vec![gateway.table()]);
    let stop = CancellationToken::new();
    tokio::spawn(programmer.run(stop.clone()));
    let _stop = stop.drop_guard();
    let kind = ObjectKind::GatewayRoute;
    let routes: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource(kind));
    routes.create(&PostParams::default(), &route("r", 1)).await.unwrap();
    let shown = await_condition(routes, "r", |route: Option<&DynamicObject>| {
        route.is_some_and(|route| in_effect(kind, route))
    });
    tokio::time::timeout(Duration::from_secs(30), shown).await.unwrap().unwrap();
}

#[test]
fn the_first_table_waits_for_the_first_list_of_every_kind() {
    let mut seen = Seen::default();
    let [routes, others @ ..] = ObjectKind::ROUTING;
    for event in [Event::Init, Event::InitApply(route("r", 1)), Event::InitDone] {
        assert!(!seen.take(routes, Ok(event)));
    }
    let (last, others) = others.split_last().unwrap();
    for kind in others {
        assert!(!seen.take(*kind, Err(missing())));
    }
    assert!(!seen.take(*last, Err(watcher::Error::NoResourceVersion)), "it may be there, and was not read");
    assert!(seen.take(*last, Err(missing())));
    assert_eq!(seen.objects().count(), 1);
    assert!(!seen.take(*last, Err(missing())), "still missing: nothing changed");
}
