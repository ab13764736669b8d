//! `GatewayRoute`s and the backends of virtual nodes, and the virtual routers behind both.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Backend, Found, ObjectKind, ObjectRef, Reason,
    matcher::matcher,
    router::{Router, RouterRoute},
    services::{Behind, Mesh},
};
use crate::dataplane::{
    matching::{HostMatch, Match, PathMatch},
    raw::{Action, Block, MirrorPolicy, Reference, VirtualService},
    rewrite::{HeaderChanges, HostRewrite, PathRewrite, Rewrite},
    settings,
    table::{Destination, Mirror, Protocol, Route, Timeout},
};

/// Combinations of routers' routes behind one gateway route. Two routers of App Mesh's quota of 50 routes make more;
/// nobody has been seen to split a gateway route over two such.
const COMBINATIONS: usize = 1000;

pub(super) fn gateway_route(object: &ObjectRef, value: &Value, mesh: &Mesh<'_>, found: &mut Found) {
    match read(object, value).and_then(|read| behind(read, mesh, found)) {
        Ok(routes) => {
            for (place, (route, routers)) in routes.into_iter().enumerate() {
                found.serve(object, None, place, route);
                found.served.extend(routers);
            }
        }
        Err(reason) => found.reject(object, None, reason),
    }
}

/// What a virtual node sends to one of its backends, by each of the names of that.
pub(super) fn backend(node: &ObjectRef, backend: Backend, mesh: &Mesh<'_>, found: &mut Found) {
    let Backend { service, closed } = backend;
    let part = format!("backend {}", service.service());
    found.served.extend(mesh.named(&service));
    if let Ok(Behind::Router(router)) = mesh.behind(&service)
        && router.is_tcp()
    {
        // Connections pass as they are; it may become a router of requests.
        found.watched.insert(router.object.clone());
        return;
    }
    let hosts = mesh.hosts(&service).unwrap_or_else(|reason| {
        found.reject_once(node, part.clone(), reason);
        [service.service()].into()
    });
    let called = called(node, &service);
    let made = match closed {
        None => behind(Read { route: called.clone(), timed: false }, mesh, found).and_then(somewhere),
        Some(reason) => Err(reason),
    };
    let routes = made.unwrap_or_else(|reason| {
        found.reject_once(node, part, reason);
        vec![(Route { destinations: Vec::new(), ..called }, Vec::new())]
    });
    for host in hosts {
        for (route, routers) in &routes {
            let hostname = Some(HostMatch::Exact(host.clone()));
            let matcher = Match { hostname, ..route.matcher.clone() };
            let place = found.routes.len();
            found.serve(node, None, place, Route { matcher, ..route.clone() });
            found.served.extend(routers.iter().cloned());
        }
    }
}

/// Routes that lead to what a virtual service is provided by, and not to a service that nothing provides.
fn somewhere(routes: Vec<(Route, Vec<ObjectRef>)>) -> Result<Vec<(Route, Vec<ObjectRef>)>, Reason> {
    let all = || routes.iter().flat_map(|(route, _)| &route.destinations);
    match all().find(|to| to.virtual_service.is_none()) {
        Some(nothing) => Err(Reason::NoService(nothing.service())),
        None => Ok(routes),
    }
}

/// The route to a virtual service, by whatever host. Nothing is changed on the way: whoever calls knows what he calls.
fn called(node: &ObjectRef, service: &Destination) -> Route {
    Route {
        name: node.name.clone(),
        namespace: node.namespace.clone(),
        priority: settings::LAST,
        protocol: Protocol::Http,
        matcher: Match {
            method: None,
            hostname: None,
            path: PathMatch::Any,
            headers: Vec::new(),
            query: Vec::new(),
            port: None,
        },
        onward: Vec::new(),
        destinations: vec![service.clone()],
        mirrors: Vec::new(),
        rewrite: Rewrite { path: PathRewrite::Keep, host: HostRewrite::Keep },
        headers: HeaderChanges::default(),
        timeout: Timeout::default(),
        retry: None,
    }
}

/// The object alone; `timed` tells whether it limits time itself.
struct Read {
    route: Route,
    timed: bool,
}

fn read(object: &ObjectRef, value: &Value) -> Result<Read, Reason> {
    let ObjectRef { name, namespace, .. } = object;
    if name.is_empty() || namespace.is_empty() {
        return Err(Reason::Missing("a name and a namespace"));
    }
    let spec = value.get("spec").ok_or(Reason::Missing("spec"))?;
    let (protocol, aws, field, value) = block(spec)?;
    let block = Block::deserialize(value).map_err(|source| Reason::Malformed { field, source })?;
    let has_metadata = !block.r#match.metadata.is_empty();
    let matcher = matcher(block.r#match, protocol)?;
    if matcher.tests_nothing() && !has_metadata {
        return Err(Reason::Missing("a match by path, service or hostname"));
    }
    let mut action = block.action;
    let rewrite = settings::rewrite(action.rewrite.take(), &matcher.path, aws)?;
    let route = Route {
        name: name.clone(),
        namespace: namespace.clone(),
        priority: priority(spec)?,
        protocol,
        destinations: destinations(action, namespace)?,
        rewrite,
        timeout: block.timeout.as_ref().map(settings::timeout).unwrap_or_default(),
        retry: block.retry_policy.map(settings::retry).transpose()?,
        matcher,
        onward: Vec::new(),
        mirrors: mirrors(block.request_mirror_policies, namespace),
        headers: HeaderChanges::default(),
    };
    Ok(Read { route, timed: block.timeout.is_some() })
}

/// The one route block, whether it is in the flat shape, and where it stands.
fn block(spec: &Value) -> Result<(Protocol, bool, String, &Value), Reason> {
    let mut found = Vec::new();
    for (parent, prefix, aws) in [(Some(spec), "", true), (spec.get("routeSpec"), "routeSpec.", false)] {
        for (key, protocol) in Protocol::BLOCKS {
            if let Some(value) = parent.and_then(|parent| parent.get(key)).filter(|value| !value.is_null()) {
                found.push((protocol, aws, format!("{prefix}{key}"), value));
            }
        }
    }
    match found.pop() {
        None => Err(Reason::Missing("one of httpRoute, http2Route and grpcRoute")),
        Some(block) if found.is_empty() => Ok(block),
        Some(_) => Err(Reason::Conflict("httpRoute, http2Route and grpcRoute exclude each other")),
    }
}

fn priority(spec: &Value) -> Result<u16, Reason> {
    let given = |pointer| spec.pointer(pointer).filter(|value| !value.is_null());
    match (given("/priority"), given("/routeSpec/priority")) {
        (value, None) | (None, value) => settings::priority(value),
        (Some(_), Some(_)) => Err(Reason::Conflict("the priority is given twice")),
    }
}

fn destinations(action: Action, namespace: &str) -> Result<Vec<Destination>, Reason> {
    let list = match (action.target, action.weighted_targets, action.targets) {
        (Some(target), None, None) => {
            let service = service(target.virtual_service, target.virtual_service_ref)?;
            return Ok(vec![destination(service, namespace, target.port, 1)]);
        }
        (None, Some(list), None) | (None, None, Some(list)) => list,
        (None, None, None) => return Err(Reason::Missing("action.target or action.weightedTargets")),
        _ => {
            return Err(Reason::Conflict("action takes exactly one of target, weightedTargets and targets"));
        }
    };
    if !(1..=10).contains(&list.len()) {
        return Err(Reason::Entries(list.len()));
    }
    list.into_iter()
        .map(|entry| {
            let service = service(entry.virtual_service, entry.virtual_service_ref)?;
            Ok(destination(service, namespace, entry.port, entry.weight))
        })
        .collect()
}

/// Of virtual services, as they are written.
fn mirrors(policies: Vec<MirrorPolicy>, namespace: &str) -> Vec<Mirror> {
    let one = |policy: MirrorPolicy| {
        let to = destination(policy.virtual_service_ref, namespace, policy.port, 0);
        Mirror::percent(to, policy.percent.unwrap_or(100))
    };
    policies.into_iter().map(one).collect()
}

fn service(nested: Option<VirtualService>, direct: Option<Reference>) -> Result<Reference, Reason> {
    let (reference, arn) = nested.map_or((None, None), |nested| (nested.reference, nested.arn));
    match (direct, reference, arn) {
        (Some(found), None, None) | (None, Some(found), None) => Ok(found),
        (None, None, Some(_)) => Err(Reason::Arn { arn: "virtualServiceARN", instead: "virtualServiceRef" }),
        (None, None, None) => Err(Reason::Missing("a virtualServiceRef in each target")),
        _ => Err(Reason::Conflict("a target names its virtual service twice")),
    }
}

pub(in crate::dataplane) fn destination(
    reference: Reference,
    namespace: &str,
    port: Option<u16>,
    weight: u32,
) -> Destination {
    let namespace = reference.namespace.unwrap_or_else(|| namespace.to_owned());
    Destination { target: reference.name, namespace, port, weight, virtual_service: None }
}

/// One target of a gateway route with what it leads to: itself, or a route of its router.
type Choice<'a> = (&'a Destination, Option<&'a RouterRoute>);

/// Puts in place of each virtual service what is behind it. Where that is a router, a route comes out for each of the
/// router's routes, in its order: it takes what the gateway's match and the router's take. Where several targets have
/// routers, one comes out for each combination of theirs: the first that takes a request is then the combination of
/// what each router by itself would have chosen.
fn behind(read: Read, mesh: &Mesh<'_>, found: &mut Found) -> Result<Vec<(Route, Vec<ObjectRef>)>, Reason> {
    let Read { route, timed } = read;
    let mut targets = Vec::new();
    let mut routers = Vec::new();
    for service in &route.destinations {
        targets.push(match mesh.behind(service)? {
            Behind::Node(node) => (node, None),
            Behind::Router(router) => {
                found.reached.insert(router.object.clone());
                routers.push(router.object.clone());
                (service.clone(), Some(router))
            }
        });
    }
    if routers.is_empty() {
        let chosen: Vec<Choice<'_>> = targets.iter().map(|(node, _)| (node, None)).collect();
        let mirrors = copied(&route, &chosen, mesh, found);
        let destinations = targets.into_iter().map(|(node, _)| node).collect();
        return Ok(vec![(Route { destinations, mirrors, ..route }, routers)]);
    }
    let mut combined = |chosen: &Vec<Choice<'_>>| {
        let mirrors = copied(&route, chosen, mesh, found);
        Ok((Route { mirrors, ..combined(&route, timed, chosen)? }, routers.clone()))
    };
    combinations(&targets)?.iter().map(&mut combined).collect()
}

/// Where copies of a route's requests go. A mirror that leads nowhere is left out alone: nobody's answers depend on it.
fn copied(route: &Route, chosen: &[Choice<'_>], mesh: &Mesh<'_>, found: &mut Found) -> Vec<Mirror> {
    let mut mirrors = Vec::new();
    for mirror in &route.mirrors {
        match mirrored(mirror, &route.destinations, chosen, mesh) {
            Ok(behind) => mirrors.extend(behind),
            Err(reason) => {
                let (namespace, name) = (route.namespace.clone(), route.name.clone());
                let object = ObjectRef { kind: ObjectKind::GatewayRoute, namespace, name };
                found.reject_once(&object, format!("mirror {}", mirror.to.target), reason);
            }
        }
    }
    mirrors
}

/// Where the copies of a mirror go. To a router's nodes they go by its weights; which of its routes that is can only be
/// told of a target that the route lists as well.
fn mirrored(
    mirror: &Mirror,
    listed: &[Destination],
    chosen: &[Choice<'_>],
    mesh: &Mesh<'_>,
) -> Result<Vec<Mirror>, Reason> {
    let same = |entry: &Destination| {
        (&entry.target, &entry.namespace, entry.port)
            == (&mirror.to.target, &mirror.to.namespace, mirror.to.port)
    };
    match mesh.behind(&mirror.to)? {
        Behind::Node(to) => Ok(vec![Mirror { to, ..mirror.clone() }]),
        Behind::Router(_) => {
            let at = listed.iter().position(same);
            let Some((_, Some(route))) = at.and_then(|at| chosen.get(at)) else {
                return Err(Reason::UnlistedMirror(mirror.to.service()));
            };
            let sum: u64 = route.entries.iter().map(|entry| u64::from(entry.weight)).sum();
            if sum == 0 {
                return Err(Reason::NoWeight);
            }
            let part = |entry: &Destination| {
                let millionths = u64::from(mirror.millionths) * u64::from(entry.weight) / sum;
                let virtual_service = entry.virtual_service.clone().or_else(|| Some(mirror.to.service()));
                let to = Destination { virtual_service, ..entry.clone() };
                Mirror { to, millionths: u32::try_from(millionths).unwrap_or(Mirror::ALL) }
            };
            Ok(route.entries.iter().map(part).filter(|mirror| mirror.millionths > 0).collect())
        }
    }
}

fn combinations<'a>(
    targets: &'a [(Destination, Option<&'a Router>)],
) -> Result<Vec<Vec<Choice<'a>>>, Reason> {
    let mut all: Vec<Vec<Choice<'a>>> = vec![Vec::new()];
    for (target, router) in targets {
        let choices: Vec<Choice<'a>> = match router {
            None => vec![(target, None)],
            Some(router) => router.reached_by(target.port).map(|route| (target, Some(route))).collect(),
        };
        if let (Some(router), []) = (router, choices.as_slice()) {
            return Err(Reason::NoRouterRoute(router.object.path()));
        }
        if all.len() * choices.len() > COMBINATIONS {
            return Err(Reason::Combinations(COMBINATIONS));
        }
        let longer = |chosen: &Vec<Choice<'a>>| -> Vec<Vec<Choice<'a>>> {
            choices.iter().map(|choice| [chosen.as_slice(), &[*choice]].concat()).collect()
        };
        all = all.iter().flat_map(longer).collect();
    }
    Ok(all)
}

/// The gateway's route for one choice of routers' routes. Its own limits and retries win over theirs.
fn combined(route: &Route, timed: bool, chosen: &[Choice<'_>]) -> Result<Route, Reason> {
    let routes: Vec<&RouterRoute> = chosen.iter().filter_map(|(_, route)| *route).collect();
    let protocols = chosen.iter().map(|(_, router)| router.map_or(route.protocol, |router| router.protocol));
    let mut protocols = protocols.collect::<Vec<_>>();
    protocols.dedup();
    let [protocol] = protocols.as_slice() else {
        return Err(Reason::Conflict(
            "all targets of a route must speak one protocol, and those here do not",
        ));
    };
    let theirs = routes.iter().find_map(|route| route.timeout).unwrap_or(Timeout::default());
    Ok(Route {
        protocol: *protocol,
        onward: routes.iter().map(|route| route.matcher.clone()).collect(),
        destinations: multiplied(chosen)?,
        timeout: if timed { route.timeout } else { theirs },
        retry: route.retry.clone().or_else(|| routes.iter().find_map(|route| route.retry.clone())),
        ..route.clone()
    })
}

/// The nodes that targets lead to. Each target's weight is shared among its own by their weights, all multiplied up to
/// whole numbers; a router whose weights are all zero gets nothing.
fn multiplied(chosen: &[Choice<'_>]) -> Result<Vec<Destination>, Reason> {
    let sum =
        |route: &RouterRoute| -> u128 { route.entries.iter().map(|entry| u128::from(entry.weight)).sum() };
    let sums = chosen.iter().map(|(_, route)| route.map_or(1, |route| sum(route).max(1)));
    // A lone router's weights stay as they are written.
    let whole = sums.clone().try_fold(1, least_common_multiple).ok_or(Reason::Weights)?;
    let mut nodes = Vec::new();
    for ((target, route), sum) in chosen.iter().zip(sums) {
        let own = [(*target).clone()];
        let entries = route.map_or(own.as_slice(), |route| route.entries.as_slice());
        for entry in entries {
            let share = if route.is_some() { u128::from(entry.weight) } else { 1 };
            let weight =
                (u128::from(target.weight) * share).checked_mul(whole / sum).ok_or(Reason::Weights)?;
            let weight = u32::try_from(weight).map_err(|_| Reason::Weights)?;
            let virtual_service = entry.virtual_service.clone().or_else(|| route.map(|_| target.service()));
            nodes.push(Destination { virtual_service, weight, ..entry.clone() });
        }
    }
    Ok(nodes)
}

fn least_common_multiple(a: u128, b: u128) -> Option<u128> {
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    a.checked_mul(b / divisor)
}

#[cfg(test)]
mod tests;
