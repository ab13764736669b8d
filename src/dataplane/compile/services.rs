//! What is behind a virtual service.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{ObjectKind, ObjectRef, Reason, app_mesh::destination, router::Router};
use crate::dataplane::{
    lazy::Lazy,
    raw::{Provider, Reference},
    table::Destination,
};

/// Namespace and name.
type Key = (String, String);

/// The virtual services and routers that are there.
#[derive(Default)]
pub(super) struct Mesh<'a> {
    services: BTreeMap<Key, &'a Value>,
    /// By name and namespace as one.
    full: BTreeMap<String, &'a Value>,
    /// By the names that they give themselves. Anybody may give himself any, so one that two have is nobody's, and none goes
    /// before a service that is called so.
    given: BTreeMap<String, Vec<&'a Value>>,
    routers: BTreeMap<Key, Lazy<'a, Router>>,
}

/// What a target leads to.
pub(super) enum Behind<'m> {
    /// A virtual node; or the virtual service itself, where it is not known or has no provider.
    Node(Destination),
    /// A router's routes.
    Router(&'m Router),
}

impl<'a> Mesh<'a> {
    /// Takes in a service or a router; other kinds are passed over.
    pub(super) fn add(&mut self, kind: ObjectKind, object: &'a Value) {
        match kind {
            ObjectKind::VirtualService => self.add_service(object),
            ObjectKind::VirtualRouter => self.add_router(object),
            ObjectKind::VirtualGateway
            | ObjectKind::GatewayRoute
            | ObjectKind::VirtualNode
            | ObjectKind::HttpRoute
            | ObjectKind::GrpcRoute => {}
        }
    }

    fn add_service(&mut self, object: &'a Value) {
        let ObjectRef { namespace, name, .. } = ObjectRef::of(ObjectKind::VirtualService, object);
        if let Some(given) = object["spec"]["awsName"].as_str().filter(|given| !given.is_empty()) {
            self.given.entry(given.to_owned()).or_default().push(object);
        }
        self.full.insert(format!("{name}.{namespace}"), object);
        self.services.insert((namespace, name), object);
    }

    fn add_router(&mut self, object: &'a Value) {
        let ObjectRef { namespace, name, .. } = ObjectRef::of(ObjectKind::VirtualRouter, object);
        self.routers.insert((namespace, name), Lazy::new(object));
    }

    /// Those that somebody was led to.
    pub(super) fn routers(self) -> impl Iterator<Item = Router> {
        self.routers.into_values().filter_map(Lazy::into_read)
    }

    /// The virtual service that a target names.
    fn service(&self, named: &Destination) -> Option<&'a Value> {
        let key = (named.namespace.clone(), named.target.clone());
        let full = named.service();
        let given = || match self.given.get(&full).map(Vec::as_slice) {
            Some([only]) => Some(only),
            Some(_) | None => None,
        };
        self.services.get(&key).or_else(|| self.full.get(&full)).or_else(given).copied()
    }

    /// The hosts by which a virtual service is called: its full name, and the one that it gives itself where that is its own. An error
    /// says that it is not.
    pub(super) fn hosts(&self, service: &Destination) -> Result<BTreeSet<String>, Reason> {
        let Some(object) = self.service(service) else { return Ok([service.service()].into()) };
        let ObjectRef { namespace, name, .. } = ObjectRef::of(ObjectKind::VirtualService, object);
        let full = format!("{name}.{namespace}");
        let given = object["spec"]["awsName"].as_str().filter(|given| !given.is_empty() && *given != full);
        let Some(given) = given else { return Ok([full].into()) };
        let is_own =
            self.given.get(given).is_some_and(|all| all.len() == 1) && !self.full.contains_key(given);
        if is_own && !given.contains('*') {
            Ok([full, given.to_owned()].into())
        } else {
            Err(Reason::Host(given.to_owned()))
        }
    }

    /// The object that a target names.
    pub(super) fn named(&self, service: &Destination) -> Option<ObjectRef> {
        self.service(service).map(|object| ObjectRef::of(ObjectKind::VirtualService, object))
    }

    pub(super) fn behind(&self, service: &Destination) -> Result<Behind<'_>, Reason> {
        let Some(object) = self.service(service) else { return Ok(Behind::Node(service.clone())) };
        let provider = object["spec"].get("provider").filter(|provider| !provider.is_null());
        let Some(provider) = provider else { return Ok(Behind::Node(service.clone())) };
        let provider = Provider::deserialize(provider)
            .map_err(|source| Reason::Malformed { field: "provider".to_owned(), source })?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        match (provider.virtual_node, provider.virtual_router) {
            (None, None) => Ok(Behind::Node(service.clone())),
            (Some(node), None) => {
                let node = named(node.reference, node.arn, ["virtualNodeRef", "virtualNodeARN"])?;
                let node = destination(node, namespace, service.port, service.weight);
                Ok(Behind::Node(Destination { virtual_service: Some(service.service()), ..node }))
            }
            (None, Some(router)) => {
                let router = named(router.reference, router.arn, ["virtualRouterRef", "virtualRouterARN"])?;
                self.router(router, namespace, service)
            }
            (Some(_), Some(_)) => {
                Err(Reason::Conflict("a virtual service is provided by a node or by a router, not by both"))
            }
        }
    }

    fn router(
        &self,
        router: Reference,
        namespace: &str,
        service: &Destination,
    ) -> Result<Behind<'_>, Reason> {
        let key = (router.namespace.unwrap_or_else(|| namespace.to_owned()), router.name);
        match self.routers.get(&key) {
            Some(lazy) => Ok(Behind::Router(lazy.get(Router::read))),
            None => {
                Err(Reason::NoRouter { service: service.service(), router: format!("{}/{}", key.0, key.1) })
            }
        }
    }
}

fn named(
    reference: Option<Reference>,
    arn: Option<String>,
    [instead, name]: [&'static str; 2],
) -> Result<Reference, Reason> {
    match (reference, arn) {
        (Some(reference), None) => Ok(reference),
        (None, Some(_)) => Err(Reason::Arn { arn: name, instead }),
        (None, None) => Err(Reason::Missing("a name in the provider of its virtual service")),
        (Some(_), Some(_)) => Err(Reason::Conflict("a virtual service names its provider twice")),
    }
}
