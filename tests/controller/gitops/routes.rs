//! Routes of every kind and spelling as Git has them, and as a run makes them.

use kube::api::DynamicObject;
use serde_json::{Value, json};
use tidegate::api::RouteKind;

use super::doc;
use crate::{
    cluster::Cluster,
    objects::{list_of, rollout_of, route_of},
};

/// A kind of route, and how it spells its list.
pub struct Shape {
    /// The row of the documentation's table.
    pub row: &'static str,
    pub kind: RouteKind,
    pub list: &'static str,
}

const fn shape(row: &'static str, kind: RouteKind, list: &'static str) -> Shape {
    Shape { row, kind, list }
}

pub const SHAPES: [Shape; 7] = [
    shape("GatewayRoute", RouteKind::GatewayRoute, list_of(RouteKind::GatewayRoute)),
    shape("GatewayRoute, `targets`", RouteKind::GatewayRoute, "/spec/httpRoute/action/targets"),
    shape(
        "GatewayRoute, `routeSpec`",
        RouteKind::GatewayRoute,
        "/spec/routeSpec/httpRoute/action/weightedTargets",
    ),
    shape(
        "GatewayRoute, `routeSpec`, `targets`",
        RouteKind::GatewayRoute,
        "/spec/routeSpec/httpRoute/action/targets",
    ),
    shape("VirtualRouter", RouteKind::VirtualRouter, list_of(RouteKind::VirtualRouter)),
    shape("HTTPRoute", RouteKind::HttpRoute, list_of(RouteKind::HttpRoute)),
    shape("GRPCRoute", RouteKind::GrpcRoute, list_of(RouteKind::GrpcRoute)),
];

/// A route in the middle of a run to a version that it does not list.
pub struct MidRun {
    pub cluster: Cluster,
    /// The manifest in Git.
    pub git: Value,
    /// The object as it was before the run.
    pub before: Value,
    /// The object as it is.
    pub live: Value,
}

impl Shape {
    /// The jq path and the JSON pointer of its list, as the documentation gives them.
    pub fn paths(&self) -> (String, String) {
        let rows = doc::table("What to leave alone");
        let row = rows.into_iter().find(|row| row[0] == self.row);
        let [_, jq, pointer] = row.unwrap().try_into().unwrap();
        (jq, pointer)
    }

    /// What Git says: all to v1.
    pub fn manifest(&self) -> Value {
        let mut route = route_of(self.kind, "color", &[("v1", 100), ("v2", 0)]);
        if self.kind != RouteKind::GatewayRoute {
            return route;
        }
        let mut http = route["spec"]["httpRoute"].take();
        if self.list.ends_with("/targets") {
            let list = http["action"]["weightedTargets"].take();
            http["action"] = json!({ "targets": list });
        }
        let spec = json!({ "httpRoute": http });
        route["spec"] = if self.list.contains("/routeSpec/") { json!({ "routeSpec": spec }) } else { spec };
        route
    }

    /// The rule, or the whole route, that the list is of.
    fn rule(&self) -> &'static str {
        match self.kind {
            RouteKind::GatewayRoute | RouteKind::VirtualRouter => {
                self.list.rsplit_once("/action/").map_or(self.list, |(rule, _)| rule)
            }
            RouteKind::HttpRoute | RouteKind::GrpcRoute => {
                self.list.rsplit_once('/').map_or(self.list, |(rule, _)| rule)
            }
        }
    }

    /// An edit of what the list is of, besides the list.
    pub fn edit(&self, route: &mut Value) {
        let rule = route.pointer_mut(self.rule()).unwrap();
        match self.kind {
            RouteKind::GatewayRoute | RouteKind::VirtualRouter => {
                rule["match"] = json!({ "prefix": "/edited" });
            }
            RouteKind::HttpRoute => {
                rule["matches"][0]["path"] = json!({ "type": "PathPrefix", "value": "/edited" });
            }
            RouteKind::GrpcRoute => rule["matches"][0]["method"]["service"] = json!("edited.Edited"),
        }
    }

    /// Whether a route has that edit.
    pub fn is_edited(&self, route: &Value) -> bool {
        let rule = route.pointer(self.rule()).unwrap().to_string();
        rule.contains("/edited") || rule.contains("edited.Edited")
    }

    /// An edit of what stands in no list together with it.
    pub fn edit_outside(&self, route: &mut Value) {
        route["metadata"]["labels"] = json!({ "edited": "outside" });
        match self.kind {
            RouteKind::GatewayRoute => {}
            RouteKind::VirtualRouter => {
                route["spec"]["listeners"] = json!([{ "portMapping": { "port": 9090, "protocol": "http" } }]);
            }
            RouteKind::HttpRoute | RouteKind::GrpcRoute => {
                route["spec"]["hostnames"] = json!(["edited.example.com"]);
            }
        }
    }

    /// A cluster with the route made from its manifest, and the controller running.
    pub async fn made(&self) -> Cluster {
        let mut cluster = Cluster::empty().await;
        cluster.kind = self.kind;
        cluster.create(applied(self.manifest())).await;
        cluster.create_way_to("color").await;
        cluster.run_controller();
        cluster
    }

    pub async fn mid_run(&self) -> MidRun {
        let cluster = self.made().await;
        let before = live(&cluster).await;
        to_a_new_version(&cluster).await;
        let live = live(&cluster).await;
        MidRun { cluster, git: self.manifest(), before, live }
    }
}

/// A manifest as a client brings it that keeps in the object what it applied.
pub fn applied(mut manifest: Value) -> Value {
    let kept = manifest.to_string();
    manifest["metadata"]["annotations"] = json!({ "kubectl.kubernetes.io/last-applied-configuration": kept });
    manifest
}

/// A run to a version that the route does not list, at its first step.
pub async fn to_a_new_version(cluster: &Cluster) {
    let rollout = rollout_of(cluster.kind).replace("v2", "v3").replace("hold: 1s", "hold: 5m");
    cluster.roll(&rollout.replace("  strategy:", "  stable: {name: v1}\n  strategy:")).await;
    cluster.at(10).await;
}

/// The route as the API server has it.
pub async fn live(cluster: &Cluster) -> Value {
    let route: DynamicObject = cluster.routes().get("color").await.unwrap();
    serde_json::to_value(route).unwrap()
}
