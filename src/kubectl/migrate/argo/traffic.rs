//! The routes behind Argo's traffic routing, and the two versions as they name them.

use super::{
    super::{
        ledger::{Ledger, join},
        source::{Fault, Object, Source},
        values::placeholder,
    },
    types::{AppMesh, Canary, GatewayApi, TrafficRouting},
};
use crate::api::{RouteKind, RouteRef};

/// The plugin that steps routes of the Gateway API.
const GATEWAY_API: &str = "argoproj-labs/gatewayAPI";
const AT: &str = "spec.strategy.canary.trafficRouting";

/// The routes, and the versions' names.
pub(super) struct Routed {
    /// The routes.
    pub(super) routes: Vec<RouteRef>,
    /// What has the traffic, by its name in the routes, where that is known.
    pub(super) stable: Option<String>,
    /// What will get it.
    pub(super) canary: Option<String>,
    /// The Rollout's namespace, where only the routing says it.
    pub(super) namespace: Option<String>,
}

impl Routed {
    /// Whether a header can be matched: no other route can stand beside a VirtualRouter.
    pub(super) fn matches(&self) -> bool {
        self.routes.iter().all(|route| route.kind != RouteKind::VirtualRouter)
    }
}

/// A route that a person has to name.
pub(super) fn unknown_route() -> Vec<RouteRef> {
    vec![RouteRef::new(RouteKind::HttpRoute, placeholder("route"))]
}

/// The routes of a canary.
pub(super) fn of_canary(
    source: &Source,
    object: &Object,
    canary: &Canary,
    ledger: &mut Ledger,
) -> Result<Routed, Fault> {
    let none = TrafficRouting::default();
    let routing = canary.traffic_routing.as_ref().unwrap_or(&none);
    let mut routed = services(canary, ledger, routing.app_mesh.is_some());
    if let Some(mesh) = &routing.app_mesh {
        of_mesh(source, mesh, &mut routed, ledger);
    }
    if let Some(plugin) = routing.plugins.get(GATEWAY_API) {
        let at = join(&format!("{AT}.plugins"), GATEWAY_API);
        let plugin: GatewayApi = serde_path_to_error::deserialize(plugin)
            .map_err(|error| Fault::new(format!("{at}.{}", error.path()), error.inner().to_string()))?;
        of_plugin(object, &plugin, &at, &mut routed, ledger);
    }
    if routed.routes.is_empty() {
        let why = if canary.traffic_routing.is_none() {
            "traffic is split there by numbers of pods behind one Service"
        } else {
            "its traffic routing steps none of the routes that Tidegate does"
        };
        ledger.ask(
            "spec.routes",
            format!(
                "{why}; name the GatewayRoute, VirtualRouter, HTTPRoute or GRPCRoute that splits the traffic, with one entry for \
                 each version"
            ),
        );
        routed.routes = unknown_route();
    }
    Ok(routed)
}

fn services(canary: &Canary, ledger: &mut Ledger, mesh: bool) -> Routed {
    let mut routed = Routed { routes: vec![], stable: None, canary: None, namespace: None };
    if mesh {
        for (field, given) in
            [("stableService", &canary.stable_service), ("canaryService", &canary.canary_service)]
        {
            if given.is_some() {
                ledger.lost(
                    format!("spec.strategy.canary.{field}"),
                    "the entries of a VirtualRouter name VirtualNodes; the Service is behind them",
                );
            }
        }
        return routed;
    }
    let mut take = |field: &str, given: &Option<String>| {
        given.as_ref().map(|name| {
            ledger.carried(format!("spec.strategy.canary.{field}"));
            name.clone()
        })
    };
    routed.stable = take("stableService", &canary.stable_service);
    routed.canary = take("canaryService", &canary.canary_service);
    if let Some(both) = &canary.ping_pong {
        let (first, second) = (Some(both.ping_service.clone()), Some(both.pong_service.clone()));
        routed.stable = routed.stable.or_else(|| take("pingPong.pingService", &first));
        routed.canary = routed.canary.or_else(|| take("pingPong.pongService", &second));
        ledger.ask(
            "spec.strategy.canary.pingPong",
            "see which of the two Services has the traffic, and name that one as stable; they take turns",
        );
    }
    routed
}

fn of_mesh(source: &Source, mesh: &AppMesh, routed: &mut Routed, ledger: &mut Ledger) {
    if let Some(group) = &mesh.virtual_node_group {
        ledger.carried(format!("{AT}.appMesh.virtualNodeGroup.stableVirtualNodeRef.name"));
        ledger.carried(format!("{AT}.appMesh.virtualNodeGroup.canaryVirtualNodeRef.name"));
        routed.stable = Some(group.stable_virtual_node_ref.name.clone());
        routed.canary = Some(group.canary_virtual_node_ref.name.clone());
    }
    let Some(service) = &mesh.virtual_service else { return };
    let at = format!("{AT}.appMesh.virtualService");
    ledger.carried(format!("{at}.name"));
    let found = source.find("appmesh.k8s.aws", "VirtualService", &service.name).and_then(|object| {
        object
            .value
            .pointer("/spec/provider/virtualRouter/virtualRouterRef/name")?
            .as_str()
            .map(str::to_owned)
    });
    let name = found.unwrap_or_else(|| {
        let name = placeholder(&format!("router-of-{}", service.name));
        ledger.ask(
            format!("{at}.name"),
            format!(
                "put the VirtualRouter behind the VirtualService {} in place of {name}; it is in the VirtualService's \
                 spec.provider.virtualRouter.virtualRouterRef",
                service.name
            ),
        );
        name
    });
    let route = RouteRef::new(RouteKind::VirtualRouter, name);
    if service.routes.is_empty() {
        routed.routes.push(route.clone());
    }
    for (i, rule) in service.routes.iter().enumerate() {
        ledger.carried(format!("{at}.routes[{i}]"));
        add(RouteRef { rule: Some(rule.clone()), ..route.clone() }, &mut routed.routes);
    }
}

fn of_plugin(object: &Object, plugin: &GatewayApi, at: &str, routed: &mut Routed, ledger: &mut Ledger) {
    let one = |kind, field: &str, name: &Option<String>| {
        name.iter().map(|name| (kind, format!("{at}.{field}"), name.clone())).collect::<Vec<_>>()
    };
    let many = |kind, field: &str, named: &[super::types::Named]| {
        let named = named.iter().enumerate();
        named
            .map(|(i, named)| (kind, format!("{at}.{field}[{i}].name"), named.name.clone()))
            .collect::<Vec<_>>()
    };
    let all = [
        one(RouteKind::HttpRoute, "httpRoute", &plugin.http_route),
        many(RouteKind::HttpRoute, "httpRoutes", &plugin.http_routes),
        one(RouteKind::GrpcRoute, "grpcRoute", &plugin.grpc_route),
        many(RouteKind::GrpcRoute, "grpcRoutes", &plugin.grpc_routes),
    ];
    for (kind, field, name) in all.into_iter().flatten() {
        ledger.carried(field);
        add(RouteRef::new(kind, name), &mut routed.routes);
    }
    if let Some(namespace) = &plugin.namespace {
        let own = object.value["metadata"]["namespace"].as_str();
        let field = format!("{at}.namespace");
        if own.is_none_or(|own| own == namespace) {
            ledger.carried(field);
            routed.namespace = Some(namespace.clone());
        } else {
            ledger.lost(
                field,
                "all that a Rollout names is in its own namespace; put the Rollout into the namespace of the routes, with \
                 the Deployments and Services",
            );
        }
    }
}

/// A route once, however often it is named.
fn add(route: RouteRef, routes: &mut Vec<RouteRef>) {
    if !routes.contains(&route) {
        routes.push(route);
    }
}
