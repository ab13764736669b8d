//! From objects to the table of one gateway: what is common to all kinds.

mod app_mesh;
mod gateway_api;
mod matcher;
mod reason;
mod router;
mod services;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::Value;

pub(super) use self::app_mesh::destination;
pub use self::reason::Reason;
use self::services::Mesh;
use super::{
    matching::Specificity,
    table::{Destination, Route, Table},
};

/// The kinds that tables and plans are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// App Mesh's gateway: its listeners, whose routes it takes, and how it speaks to nodes.
    VirtualGateway,
    /// App Mesh's route of a virtual gateway, in both its shapes.
    GatewayRoute,
    /// App Mesh's name of a service; tells which node or router is behind it.
    VirtualService,
    /// App Mesh's weighted routes behind a virtual service.
    VirtualRouter,
    /// App Mesh's name of what runs: where it is found, and how it wants to be spoken to.
    VirtualNode,
    /// The Gateway API's route of HTTP requests.
    HttpRoute,
    /// The Gateway API's route of gRPC calls.
    GrpcRoute,
}

/// An object, by what names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// `metadata.namespace`; empty where there is none.
    pub namespace: String,
    /// `metadata.name`; empty where there is none.
    pub name: String,
}

/// The gateway whose routes are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRef {
    /// Compared with `virtualGatewayRef.name`, and with the names of a route's `parentRefs`.
    pub name: String,
    /// Compared with the namespace beside that name, which defaults to the route's own.
    pub namespace: String,
    /// Whether it also serves GatewayRoutes without a `virtualGatewayRef`. AWS's webhook fills that field; where the
    /// webhook is absent, the flat shape arrives without one. In the Gateway API a route without parents has none.
    pub takes_unclaimed: bool,
}

/// What became of the objects that name the gateway, and of the virtual routers behind those.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The routes that are served.
    pub table: Table,
    /// The objects that the table serves, whole or in part.
    pub served: BTreeSet<ObjectRef>,
    /// Others that would change the table if they changed.
    pub watched: BTreeSet<ObjectRef>,
    /// What was left out.
    pub rejected: Vec<Rejected>,
}

/// An object, or a part of one, that could not be compiled.
#[derive(Debug)]
pub struct Rejected {
    /// The object.
    pub object: ObjectRef,
    /// The rule or route in it; absent: all of it.
    pub part: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// Compiles the routes that name `gateway`; others are passed over in silence.
pub fn compile<'a>(
    gateway: &GatewayRef,
    objects: impl IntoIterator<Item = (ObjectKind, &'a Value)>,
) -> Compiled {
    let (mut mesh, mut routes) = (Mesh::default(), Vec::new());
    for (kind, object) in objects {
        mesh.add(kind, object);
        match kind {
            ObjectKind::GatewayRoute | ObjectKind::HttpRoute | ObjectKind::GrpcRoute => {
                routes.push((kind, object));
            }
            ObjectKind::VirtualService
            | ObjectKind::VirtualRouter
            | ObjectKind::VirtualGateway
            | ObjectKind::VirtualNode => {}
        }
    }
    let mut found = Found::default();
    for (kind, object) in routes.into_iter().filter(|(kind, object)| gateway.takes(*kind, object)) {
        let named = ObjectRef::of(kind, object);
        match kind {
            ObjectKind::GatewayRoute => app_mesh::gateway_route(&named, object, &mesh, &mut found),
            ObjectKind::HttpRoute => gateway_api::http_route(&named, object, &mut found),
            ObjectKind::GrpcRoute => gateway_api::grpc_route(&named, object, &mut found),
            ObjectKind::VirtualGateway
            | ObjectKind::VirtualService
            | ObjectKind::VirtualRouter
            | ObjectKind::VirtualNode => {}
        }
    }
    found.compiled(mesh)
}

/// A virtual service that a virtual node calls.
pub(super) struct Backend {
    pub(super) service: Destination,
    /// Why connections to it cannot be made as the node demands; its requests are answered 503 then.
    pub(super) closed: Option<Reason>,
}

/// Compiles what a virtual node calls: the virtual services that it names as its backends, each by its own names. Where nothing is
/// behind one, its requests are answered 503 and the reason is told, as at a gateway.
pub(super) fn compile_backends<'a>(
    node: &ObjectRef,
    backends: impl IntoIterator<Item = Backend>,
    objects: impl IntoIterator<Item = (ObjectKind, &'a Value)>,
) -> Compiled {
    let mut mesh = Mesh::default();
    for (kind, object) in objects {
        mesh.add(kind, object);
    }
    let mut found = Found::default();
    for backend in backends {
        app_mesh::backend(node, backend, &mesh, &mut found);
    }
    found.compiled(mesh)
}

/// What has been compiled so far.
#[derive(Default)]
struct Found {
    routes: BTreeMap<Rank, Route>,
    served: BTreeSet<ObjectRef>,
    watched: BTreeSet<ObjectRef>,
    /// Virtual routers that a route leads to.
    reached: BTreeSet<ObjectRef>,
    rejected: Vec<Rejected>,
}

/// In which order routes are tried; the smallest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: u16,
    specificity: Reverse<Specificity>,
    /// Only the Gateway API asks for it. RFC 3339 in UTC, so that the text sorts as the time does.
    created: Option<String>,
    namespace: String,
    name: String,
    kind: ObjectKind,
    /// Where it stands in the object.
    place: usize,
}

impl Found {
    fn serve(&mut self, object: &ObjectRef, created: Option<String>, place: usize, route: Route) {
        let rank = Rank {
            priority: route.priority,
            specificity: Reverse(route.matcher.specificity()),
            created,
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            kind: object.kind,
            place,
        };
        self.routes.insert(rank, route);
        self.served.insert(object.clone());
    }

    fn reject(&mut self, object: &ObjectRef, part: Option<String>, reason: Reason) {
        self.rejected.push(Rejected { object: object.clone(), part, reason });
    }

    /// The same of a part that each of several routes of one object has.
    fn reject_once(&mut self, object: &ObjectRef, part: String, reason: Reason) {
        let part = Some(part);
        if !self.rejected.iter().any(|known| known.object == *object && known.part == part) {
            self.reject(object, part, reason);
        }
    }

    fn compiled(mut self, mesh: Mesh<'_>) -> Compiled {
        for router in mesh.routers().filter(|router| self.reached.contains(&router.object)) {
            self.rejected.extend(router.rejected());
        }
        let table = Table { routes: self.routes.into_values().collect() };
        Compiled { table, served: self.served, watched: self.watched, rejected: self.rejected }
    }
}

impl ObjectKind {
    /// Those that [`compile`] makes a table of.
    pub const ROUTING: [Self; 5] =
        [Self::GatewayRoute, Self::VirtualService, Self::VirtualRouter, Self::HttpRoute, Self::GrpcRoute];

    /// Whether a plan has such objects only as what its routes lead to, and does not name them among those that it serves.
    pub fn is_behind_routes(self) -> bool {
        match self {
            Self::VirtualNode | Self::VirtualService => true,
            Self::VirtualGateway
            | Self::GatewayRoute
            | Self::VirtualRouter
            | Self::HttpRoute
            | Self::GrpcRoute => false,
        }
    }
}

impl ObjectRef {
    pub(super) fn of(kind: ObjectKind, object: &Value) -> Self {
        let text = |field| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        Self { kind, namespace: text("namespace"), name: text("name") }
    }

    /// Namespace and name.
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Rejected {
    /// What is left out and why, in a sentence.
    pub fn sentence(&self) -> String {
        match &self.part {
            Some(part) => format!("{part}: {}", self.reason),
            None => self.reason.to_string(),
        }
    }
}

impl GatewayRef {
    /// Whether a route names this gateway. Kinds that name none are never taken.
    pub fn takes(&self, kind: ObjectKind, object: &Value) -> bool {
        match kind {
            ObjectKind::GatewayRoute => self.claimed_by(object),
            ObjectKind::HttpRoute | ObjectKind::GrpcRoute => {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
                self.parents(&object["spec"], namespace).next().is_some()
            }
            ObjectKind::VirtualGateway
            | ObjectKind::VirtualService
            | ObjectKind::VirtualRouter
            | ObjectKind::VirtualNode => false,
        }
    }

    /// The `parentRefs` that name this gateway, of the spec of a route in `namespace`. The gateway has one listener,
    /// so which `sectionName` or `port` is named makes no difference.
    pub fn parents<'a>(&'a self, spec: &'a Value, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
        let parents = spec["parentRefs"].as_array().into_iter().flatten();
        parents.filter(move |parent| self.is_parent(parent, namespace))
    }

    /// Whether a `parentRef` of a route in `namespace` names this gateway.
    pub fn is_parent(&self, parent: &Value, namespace: &str) -> bool {
        let or = |field: &str, default: &'static str| parent[field].as_str().unwrap_or(default).to_owned();
        or("group", gateway_api::GROUP) == gateway_api::GROUP
            && or("kind", "Gateway") == "Gateway"
            && parent["name"] == self.name.as_str()
            && parent["namespace"].as_str().unwrap_or(namespace) == self.namespace
    }

    fn claimed_by(&self, route: &Value) -> bool {
        let text = |pointer: &str| route.pointer(pointer).and_then(Value::as_str);
        let of = |field: &str| {
            let flat = text(&format!("/spec/virtualGatewayRef/{field}"));
            flat.or_else(|| text(&format!("/spec/routeSpec/virtualGatewayRef/{field}")))
        };
        match of("name") {
            None => self.takes_unclaimed,
            Some(name) => {
                let namespace = of("namespace").or_else(|| text("/metadata/namespace"));
                name == self.name && namespace == Some(self.namespace.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests;
