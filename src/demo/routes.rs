//! What the demo plays with: for each kind of route, its manifests, its names, and where it keeps its weights.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject},
};
use serde_json::Value;

use super::{show::Share, strategy::Strategy, world::NAMESPACE};
use crate::{dataplane::ObjectKind, objects};

/// The Rollout's name in all examples.
pub const ROLLOUT: &str = "color";

/// The kind of route that splits the traffic of color-app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Routes {
    /// App Mesh's GatewayRoute, in the dialect with weights; its targets are VirtualServices
    #[default]
    GatewayRoute,
    /// App Mesh's VirtualRouter, behind a GatewayRoute with one target; its targets are VirtualNodes
    VirtualRouter,
    /// The Gateway API's HTTPRoute; its targets are Services
    HttpRoute,
    /// The Gateway API's GRPCRoute; its targets are Services
    GrpcRoute,
}

impl Routes {
    /// Workloads and routes: v1 has all traffic, v2 is listed.
    pub(super) fn app(self) -> &'static str {
        match self {
            Self::GatewayRoute => include_str!("../../examples/color-app.yaml"),
            Self::VirtualRouter => include_str!("../../examples/virtual-router/color.yaml"),
            Self::HttpRoute => include_str!("../../examples/http-route/color.yaml"),
            Self::GrpcRoute => include_str!("../../examples/grpc-route/color.yaml"),
        }
    }

    /// The workload of v3, which no route lists.
    pub(super) fn third(self) -> &'static str {
        match self {
            Self::GatewayRoute => include_str!("../../examples/demo/color-app-v3.yaml"),
            Self::VirtualRouter => include_str!("../../examples/virtual-router/color-v3.yaml"),
            Self::HttpRoute => include_str!("../../examples/http-route/color-v3.yaml"),
            Self::GrpcRoute => include_str!("../../examples/grpc-route/color-v3.yaml"),
        }
    }

    /// The Rollout, whose target is v1.
    pub(super) fn rollout(self, strategy: Strategy) -> &'static str {
        match strategy {
            Strategy::Canary => match self {
                Self::GatewayRoute => include_str!("../../examples/demo/rollout.yaml"),
                Self::VirtualRouter => include_str!("../../examples/virtual-router/rollout.yaml"),
                Self::HttpRoute => include_str!("../../examples/http-route/rollout.yaml"),
                Self::GrpcRoute => include_str!("../../examples/grpc-route/rollout.yaml"),
            },
            Strategy::BlueGreen => match self {
                Self::GatewayRoute => include_str!("../../examples/blue-green/gateway-route.yaml"),
                Self::VirtualRouter => include_str!("../../examples/blue-green/virtual-router.yaml"),
                Self::HttpRoute => include_str!("../../examples/blue-green/http-route.yaml"),
                Self::GrpcRoute => include_str!("../../examples/blue-green/grpc-route.yaml"),
            },
        }
    }

    /// The kind as tables are made of it.
    pub fn kind(self) -> ObjectKind {
        match self {
            Self::GatewayRoute => ObjectKind::GatewayRoute,
            Self::VirtualRouter => ObjectKind::VirtualRouter,
            Self::HttpRoute => ObjectKind::HttpRoute,
            Self::GrpcRoute => ObjectKind::GrpcRoute,
        }
    }

    /// How the API names the kind.
    pub fn resource(self) -> ApiResource {
        objects::resource(self.kind())
    }

    /// The name of the route with the weights.
    pub fn name(self) -> &'static str {
        match self {
            Self::GatewayRoute => "color-gateway-route",
            Self::VirtualRouter | Self::HttpRoute | Self::GrpcRoute => "color",
        }
    }

    /// Whether all objects are App Mesh's, which the gateways' control plane serves.
    #[cfg(feature = "gateway")]
    pub(super) fn are_of_app_mesh(self) -> bool {
        match self {
            Self::GatewayRoute | Self::VirtualRouter => true,
            Self::HttpRoute | Self::GrpcRoute => false,
        }
    }

    /// Whether there can be a preview beside a route of the kind.
    pub(super) fn has_previews(self) -> bool {
        match self {
            Self::GatewayRoute | Self::HttpRoute | Self::GrpcRoute => true,
            Self::VirtualRouter => false,
        }
    }

    /// What the preview of the route with the weights is called.
    pub(super) fn preview(self) -> String {
        format!("{}-preview-{ROLLOUT}", self.name())
    }

    /// A version's name in the route.
    pub fn target(self, version: &str) -> String {
        match self {
            Self::GatewayRoute => self.service(version),
            Self::VirtualRouter | Self::HttpRoute | Self::GrpcRoute => self.workload(version),
        }
    }

    /// A version's full name among the gateway's destinations.
    pub(super) fn service(self, version: &str) -> String {
        format!("{}.{NAMESPACE}", self.workload(version))
    }

    /// A version's Deployment.
    pub(super) fn workload(self, version: &str) -> String {
        match self {
            Self::GatewayRoute => format!("color-app-{version}"),
            Self::VirtualRouter | Self::HttpRoute | Self::GrpcRoute => format!("color-{version}"),
        }
    }

    /// What clients ask the gateway for.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::GatewayRoute | Self::VirtualRouter | Self::HttpRoute => "/color",
            Self::GrpcRoute => "/color.Color/Get",
        }
    }

    /// What clients send with it: the gateway knows a call by its content type.
    pub(super) fn headers(self) -> HeaderMap {
        match self {
            Self::GatewayRoute | Self::VirtualRouter | Self::HttpRoute => HeaderMap::new(),
            Self::GrpcRoute => {
                [(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))].into_iter().collect()
            }
        }
    }

    /// The shares of a route's entries, in the list that its kind keeps them in; empty where it has no weights. The
    /// demo's routes have one such list.
    pub(super) fn shares(self, route: &DynamicObject) -> Vec<Share> {
        let (lists, name, absent) = match self {
            Self::GatewayRoute => (
                &[
                    "/spec/routeSpec/httpRoute/action/weightedTargets",
                    "/spec/routeSpec/httpRoute/action/targets",
                    "/spec/httpRoute/action/weightedTargets",
                    "/spec/httpRoute/action/targets",
                ][..],
                "/virtualServiceRef/name",
                0,
            ),
            Self::VirtualRouter => {
                (&["/spec/routes/0/httpRoute/action/weightedTargets"][..], "/virtualNodeRef/name", 0)
            }
            Self::HttpRoute | Self::GrpcRoute => (&["/spec/rules/0/backendRefs"][..], "/name", 1),
        };
        let list = lists.iter().find_map(|list| route.data.pointer(list)).and_then(Value::as_array);
        let Some(entries) = list else {
            tracing::debug!(route = %route.name_any(), "a route without weights");
            return Vec::new();
        };
        let weight = |entry: &Value| entry["weight"].as_i64().unwrap_or(absent);
        let total: i64 = entries.iter().map(weight).sum();
        let share = |entry: &Value| Share {
            name: entry.pointer(name).and_then(Value::as_str).unwrap_or_default().to_owned(),
            percent: (weight(entry) * 100 + total / 2).checked_div(total).unwrap_or_default(),
        };
        entries.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use serde_json::json;

    use super::*;
    use crate::{
        api::{Rollout, RolloutStatus},
        demo::{manifests, traffic::ASKING},
        engine,
    };

    #[test]
    fn shares_are_of_the_sum() {
        let mesh = |name: &str, weight: i64| json!({"virtualServiceRef": {"name": name}, "weight": weight});
        let node = |name: &str, weight: i64| json!({"virtualNodeRef": {"name": name}, "weight": weight});
        let action = |action: Value| json!({"routeSpec": {"httpRoute": {"action": action}}});
        let routes = |list: Value| json!({"routes": [{"httpRoute": {"action": {"weightedTargets": list}}}]});
        let rules = |list: Value| json!({"rules": [{"backendRefs": list}]});
        let cases = [
            (Routes::GatewayRoute, action(json!({"target": {"virtualServiceRef": {"name": "a"}}})), vec![]),
            (Routes::GatewayRoute, action(json!({"targets": [mesh("a", 0)]})), vec![("a", 0)]),
            (
                Routes::GatewayRoute,
                action(json!({"weightedTargets": [mesh("a", 1), mesh("b", 2)]})),
                vec![("a", 33), ("b", 67)],
            ),
            (
                Routes::GatewayRoute,
                json!({"httpRoute": {"action": {"targets": [mesh("a", 100), mesh("b", 0)]}}}),
                vec![("a", 100), ("b", 0)],
            ),
            (Routes::VirtualRouter, json!({"routes": []}), vec![]),
            (Routes::VirtualRouter, routes(json!([node("a", 3), node("b", 1)])), vec![("a", 75), ("b", 25)]),
            (
                Routes::HttpRoute,
                rules(json!([{"name": "a"}, {"name": "b", "weight": 0}])),
                vec![("a", 100), ("b", 0)],
            ),
            (Routes::GrpcRoute, rules(json!([{"name": "a"}, {"name": "b"}])), vec![("a", 50), ("b", 50)]),
        ];
        for (kind, spec, want) in cases {
            let route = json!({"apiVersion": "x/v1", "kind": "Any", "metadata": {"name": "r"}, "spec": spec});
            let got = kind.shares(&serde_json::from_value(route).unwrap());
            let got: Vec<_> = got.iter().map(|share| (share.name.as_str(), share.percent)).collect();
            assert_eq!(got, want, "{kind:?}");
        }
    }

    /// The manifests of every kind tell the same story under the names that the demo uses.
    #[test]
    fn the_manifests_have_the_names_of_their_kind() {
        for routes in Routes::value_variants() {
            let app = manifests::parse(routes.app()).unwrap();
            let named = |kind: &str, name: &str, objects: &[DynamicObject]| {
                let is = |object: &&DynamicObject| {
                    object.types.as_ref().is_some_and(|types| types.kind == kind) && object.name_any() == name
                };
                objects.iter().find(is).cloned()
            };
            let route = named(&routes.resource().kind, routes.name(), &app).unwrap();
            let share = |version: &str, percent| Share { name: routes.target(version), percent };
            assert_eq!(routes.shares(&route), [share("v1", 100), share("v2", 0)]);
            for version in ["v1", "v2"] {
                assert!(named("Deployment", &routes.workload(version), &app).is_some(), "{routes:?}");
            }
            let third = manifests::parse(routes.third()).unwrap();
            assert!(named("Deployment", &routes.workload("v3"), &third).is_some(), "{routes:?}");
            for strategy in Strategy::value_variants() {
                let [rollout] = manifests::parse(routes.rollout(*strategy)).unwrap().try_into().unwrap();
                assert_eq!(rollout.name_any(), ROLLOUT);
                let spec = &rollout.data["spec"];
                assert_eq!(spec["routes"][0]["kind"], routes.resource().kind);
                assert_eq!(spec["routes"][0]["group"], routes.resource().group);
                assert_eq!(spec["routes"][0]["name"], routes.name());
                assert_eq!(spec["target"]["name"], routes.target("v1"));
                assert_eq!(spec["target"]["workloadRef"]["name"], routes.workload("v1"));
            }
        }
    }

    #[test]
    fn previews_are_where_the_controller_makes_them() {
        for routes in Routes::value_variants() {
            let rollout: Rollout = serde_saphyr::from_str(routes.rollout(Strategy::BlueGreen)).unwrap();
            let asked = &rollout.spec.strategy.blue_green.as_ref().unwrap().preview;
            let headers = asked.iter().map(ToString::to_string);
            assert_eq!(
                headers.collect::<Vec<_>>(),
                if routes.has_previews() { vec![ASKING] } else { vec![] }
            );
            let made = engine::previews(&rollout.spec, &RolloutStatus::default(), ROLLOUT);
            let names = made.into_iter().map(|(_, preview)| preview.name);
            let want = routes.has_previews().then(|| routes.preview());
            assert_eq!(names.collect::<Vec<_>>(), want.into_iter().collect::<Vec<_>>());
        }
    }
}
