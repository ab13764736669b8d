//! The routes of a `VirtualRouter`.

use std::cmp::Reverse;

use serde::Deserialize;
use serde_json::Value;

use super::{ObjectKind, ObjectRef, Reason, Rejected, app_mesh::destination, matcher::matcher};
use crate::dataplane::{
    matching::Match,
    raw::{NodeTarget, RouterBlock},
    settings,
    table::{Destination, Protocol, Retry, Timeout},
};

/// A virtual router, read.
pub(super) struct Router {
    pub(super) object: ObjectRef,
    /// The port of its listener; none where it has several, or none.
    listener: Option<u16>,
    /// In the order in which they are tried.
    routes: Vec<RouterRoute>,
    refused: Vec<(String, Reason)>,
}

/// A route of a virtual router.
pub(super) struct RouterRoute {
    priority: u16,
    /// The listener it belongs to, where it names one.
    port: Option<u16>,
    pub(super) protocol: Protocol,
    /// What is tested once the gateway's route has rewritten the path.
    pub(super) matcher: Match,
    /// Virtual nodes.
    pub(super) entries: Vec<Destination>,
    pub(super) timeout: Option<Timeout>,
    pub(super) retry: Option<Retry>,
}

impl Router {
    pub(super) fn read(value: &Value) -> Self {
        let object = ObjectRef::of(ObjectKind::VirtualRouter, value);
        let (mut routes, mut refused) = (Vec::new(), Vec::new());
        for (place, raw) in value["spec"]["routes"].as_array().into_iter().flatten().enumerate() {
            match route(raw, &object.namespace) {
                Ok(route) => routes.push(route),
                Err(reason) => {
                    let name = raw["name"].as_str().map(ToOwned::to_owned);
                    refused.push((format!("route {}", name.unwrap_or(place.to_string())), reason));
                }
            }
        }
        // A stable sort: among equals the router's own order holds.
        routes.sort_by_key(|route| (route.priority, Reverse(route.matcher.specificity())));
        let listener = match value["spec"]["listeners"].as_array().map(Vec::as_slice) {
            Some([listener]) => {
                listener["portMapping"]["port"].as_u64().and_then(|port| port.try_into().ok())
            }
            Some(_) | None => None,
        };
        Self { object, listener, routes, refused }
    }

    /// Whether it routes connections, and no requests.
    pub(super) fn is_tcp(&self) -> bool {
        let is_tcp = |(_, reason): &(String, Reason)| matches!(reason, Reason::Tcp);
        self.routes.is_empty() && !self.refused.is_empty() && self.refused.iter().all(is_tcp)
    }

    /// The routes for a target that names `port`, or none.
    pub(super) fn reached_by(&self, port: Option<u16>) -> impl Iterator<Item = &RouterRoute> {
        let port = port.or(self.listener);
        let at_port = move |route: &&RouterRoute| match (route.port, port) {
            (Some(own), Some(port)) => own == port,
            (None, _) | (_, None) => true,
        };
        self.routes.iter().filter(at_port)
    }

    /// What of it is left out.
    pub(super) fn rejected(self) -> impl Iterator<Item = Rejected> {
        let Self { object, refused, .. } = self;
        let rejected = move |(part, reason)| Rejected { object: object.clone(), part: Some(part), reason };
        refused.into_iter().map(rejected)
    }
}

fn route(raw: &Value, namespace: &str) -> Result<RouterRoute, Reason> {
    let blocks = Protocol::BLOCKS.into_iter().chain([("tcpRoute", Protocol::Http)]);
    let given =
        |(key, protocol)| raw.get(key).filter(|block| !block.is_null()).map(|block| (key, protocol, block));
    let blocks: Vec<_> = blocks.filter_map(given).collect();
    let (protocol, block) = match blocks.as_slice() {
        [("tcpRoute", _, _)] => return Err(Reason::Tcp),
        [(key, protocol, block)] => {
            let malformed = |source| Reason::Malformed { field: format!("routes[].{key}"), source };
            (*protocol, RouterBlock::deserialize(*block).map_err(malformed)?)
        }
        [] => return Err(Reason::Missing("one of httpRoute, http2Route and grpcRoute")),
        _ => {
            return Err(Reason::Conflict("httpRoute, http2Route, grpcRoute and tcpRoute exclude each other"));
        }
    };
    let mut matcher = matcher(block.r#match, protocol)?;
    let list = block.action.weighted_targets;
    if !(1..=10).contains(&list.len()) {
        return Err(Reason::Entries(list.len()));
    }
    Ok(RouterRoute {
        priority: settings::priority(raw.get("priority").filter(|priority| !priority.is_null()))?,
        // The router's port, not the gateway's: which of them is meant is known at the target.
        port: matcher.port.take(),
        protocol,
        matcher,
        entries: list.into_iter().map(|entry| node(entry, namespace)).collect::<Result<_, _>>()?,
        timeout: block.timeout.as_ref().map(settings::timeout),
        retry: block.retry_policy.map(settings::retry).transpose()?,
    })
}

fn node(entry: NodeTarget, namespace: &str) -> Result<Destination, Reason> {
    match (entry.reference, entry.arn) {
        (Some(reference), None) => Ok(destination(reference, namespace, entry.port, entry.weight)),
        (None, Some(_)) => Err(Reason::Arn { arn: "virtualNodeARN", instead: "virtualNodeRef" }),
        (None, None) => Err(Reason::Missing("a virtualNodeRef in each target")),
        (Some(_), Some(_)) => Err(Reason::Conflict("a target names its virtual node twice")),
    }
}
