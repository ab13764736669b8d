//! What is made of routes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::routes;
use crate::dataplane::{ObjectKind, plan};

fn object(name: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

#[test]
fn what_a_router_has_for_calls_takes_nothing_else_whatever_leads_there() {
    let call = json!({"match": {"serviceName": "paint.Colors"}, "action": {"weightedTargets": [
        {"virtualNodeRef": {"name": "v1"}, "weight": 1},
    ]}});
    let page = json!({"match": {"prefix": "/"}, "action": call["action"]});
    let behind = json!([
        {"name": "call", "priority": 1, "grpcRoute": call}, {"name": "page", "priority": 2, "httpRoute": page},
    ]);
    let listeners = |port: u16| json!([{"portMapping": {"port": port, "protocol": "http"}}]);
    let provider = json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": "router"}}}});
    let target = json!({"target": {"virtualServiceRef": {"name": "colors"}}});
    let block = json!({"match": {"prefix": "/"}, "action": target});
    let objects = [
        (ObjectKind::VirtualNode, object("v1", &json!({"listeners": listeners(8080)}))),
        (ObjectKind::VirtualRouter, object("router", &json!({"routes": behind}))),
        (ObjectKind::VirtualService, object("colors", &provider)),
        (ObjectKind::GatewayRoute, object("r", &json!({"routeSpec": {"httpRoute": block}}))),
    ];
    let gateway = object("gw", &json!({"listeners": listeners(8088), "namespaceSelector": {}}));
    let objects = objects.iter().map(|(kind, object)| (*kind, object));
    let planned = plan(&gateway, &BTreeMap::new(), objects).unwrap();
    let made = routes("routes", 8088, &planned.plan.routes);
    let calls_alone =
        made.virtual_hosts[0].routes.iter().map(|route| route.r#match.as_ref().unwrap().grpc.is_some());
    assert_eq!(calls_alone.collect::<Vec<_>>(), [true, false]);
}
