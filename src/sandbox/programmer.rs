//! Keeps gateways at the routes of an API server, and says on each route's status what is in effect.
//!
//! A table is published before anything is reported, and a new list replaces the old one only when it is whole, so
//! a dropped watch never serves half of the routes. The first table waits for the first list of every kind: a route
//! whose virtual service is not known yet would go astray. A kind that the API server does not have is no longer
//! waited for; it is asked for again now and then, and joins when it is there.

mod evidence;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, stream::select_all};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::evidence::Standing;
pub use self::evidence::{CONTROLLER, PROGRAMMED, in_effect, programmed};
use super::gateway::TableHandle;
use crate::{
    clock::Clock,
    dataplane::{self, Compiled, GatewayRef, ObjectKind, ObjectRef},
};

/// How long a failed status write waits.
const RETRY: Duration = Duration::from_secs(1);
/// Limit of one status write: a server that hangs must not keep a new table from the gateways for longer.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// Watches routes for a gateway and its replicas.
pub struct Programmer {
    client: Client,
    clock: Clock,
    gateway: GatewayRef,
    replicas: Vec<TableHandle>,
    namespace: Option<String>,
}

/// What the watches have shown.
struct Seen {
    objects: BTreeMap<ObjectRef, DynamicObject>,
    /// Of lists that are not whole yet.
    fresh: BTreeMap<ObjectRef, DynamicObject>,
    /// Kinds without a whole list so far.
    awaited: BTreeSet<ObjectKind>,
}

impl Programmer {
    /// Prepares it; `replicas` all get the same table.
    pub fn new(client: Client, clock: Clock, gateway: GatewayRef, replicas: Vec<TableHandle>) -> Self {
        Self { client, clock, gateway, replicas, namespace: None }
    }

    /// The same for the routes of one namespace alone.
    #[must_use]
    pub fn within(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// Works until `stop` is cancelled. A watch that fails is begun again with backoff.
    pub async fn run(self, stop: CancellationToken) {
        let work = self.watch();
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    async fn watch(&self) {
        let mut events = select_all(ObjectKind::ROUTING.map(|kind| {
            let (client, resource) = (self.client.clone(), resource(kind));
            let objects: Api<DynamicObject> = match &self.namespace {
                Some(namespace) => Api::namespaced_with(client, namespace, &resource),
                None => Api::all_with(client, &resource),
            };
            let events = watcher::watcher(objects, watcher::Config::default()).default_backoff();
            events.map(move |event| (kind, event)).boxed()
        }));
        let mut seen = Seen::default();
        let mut unsaid = false;
        loop {
            let event = tokio::select! {
                event = events.next() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
                () = tokio::time::sleep(RETRY), if unsaid => None,
            };
            if event.is_some_and(|(kind, event)| !seen.take(kind, event)) {
                continue;
            }
            let compiled = self.program(&seen.objects);
            unsaid = !self.report(&compiled, &mut seen.objects).await;
        }
    }

    fn program(&self, objects: &BTreeMap<ObjectRef, DynamicObject>) -> Compiled {
        let objects: Vec<(ObjectKind, Value)> = objects
            .iter()
            .filter_map(|(named, object)| Some((named.kind, serde_json::to_value(object).ok()?)))
            .collect();
        let objects = objects.iter().map(|(kind, object)| (*kind, object));
        let compiled = dataplane::compile(&self.gateway, objects);
        for replica in self.replicas.iter().filter(|replica| !replica.serves(&compiled.table)) {
            replica.publish(compiled.table.clone());
        }
        compiled
    }

    /// Writes what changed; false if a write failed and must be tried again.
    async fn report(&self, compiled: &Compiled, objects: &mut BTreeMap<ObjectRef, DynamicObject>) -> bool {
        let left_out = compiled.rejected.iter().map(|rejected| &rejected.object);
        let named: BTreeSet<&ObjectRef> = compiled.served.iter().chain(left_out).collect();
        let mut whole = true;
        for named in named {
            let Some(object) = objects.get(named) else { continue };
            let standing = Standing {
                served: compiled.served.contains(named),
                left_out: compiled.rejected.iter().filter(|rejected| rejected.object == *named).collect(),
                gateways: self.replicas.len(),
            };
            let now = self.clock.now();
            if let Some(patch) = evidence::report(&self.gateway, named.kind, object, &standing, now) {
                match self.write(named, patch).await {
                    // Our own write comes back by the watch; until then this copy keeps us from writing it twice.
                    Written::Stored(object) => drop(objects.insert(named.clone(), *object)),
                    Written::Overtaken => {}
                    Written::Failed => whole = false,
                }
            }
        }
        whole
    }

    async fn write(&self, named: &ObjectRef, patch: Value) -> Written {
        let ObjectRef { kind, namespace, name } = named;
        let kind = resource(*kind).kind;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource(named.kind));
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        match tokio::time::timeout(WRITE_LIMIT, api.patch_status(name, &params, &patch)).await {
            Ok(Ok(object)) => Written::Stored(Box::new(object)),
            // Changed or gone meanwhile: the watch brings what is true now.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Written::Overtaken,
            Ok(Err(error)) => {
                tracing::warn!(%error, kind, namespace, name, "cannot write a route's status");
                Written::Failed
            }
            Err(_) => {
                tracing::warn!(kind, namespace, name, "writing a route's status took too long");
                Written::Failed
            }
        }
    }
}

enum Written {
    Stored(Box<DynamicObject>),
    Overtaken,
    Failed,
}

impl Default for Seen {
    fn default() -> Self {
        let awaited = ObjectKind::ROUTING.into();
        Self { objects: BTreeMap::new(), fresh: BTreeMap::new(), awaited }
    }
}

impl Seen {
    /// Takes in what the watch of a kind says; whether a table can be made of it.
    fn take(&mut self, kind: ObjectKind, event: watcher::Result<Event<DynamicObject>>) -> bool {
        match event {
            Ok(Event::Init) => {
                self.fresh.retain(|named, _| named.kind != kind);
                return false;
            }
            Ok(Event::InitApply(object)) => {
                self.fresh.insert(named(kind, &object), object);
                return false;
            }
            Ok(Event::InitDone) => {
                let fresh = std::mem::take(&mut self.fresh).into_iter();
                let (listed, others): (BTreeMap<_, _>, _) = fresh.partition(|(named, _)| named.kind == kind);
                self.fresh = others;
                self.objects.retain(|named, _| named.kind != kind);
                self.objects.extend(listed);
                self.awaited.remove(&kind);
            }
            Ok(Event::Apply(object)) => drop(self.objects.insert(named(kind, &object), object)),
            Ok(Event::Delete(object)) => drop(self.objects.remove(&named(kind, &object))),
            Err(error) if is_unserved(&error) => {
                tracing::debug!(?kind, "the API server has no such kind");
                let before = self.objects.len();
                self.objects.retain(|named, _| named.kind != kind);
                // It is asked for again and again, and only the first time is news.
                if !self.awaited.remove(&kind) && self.objects.len() == before {
                    return false;
                }
            }
            Err(error) => {
                tracing::warn!(%error, ?kind, "cannot watch routes");
                return false;
            }
        }
        self.awaited.is_empty()
    }
}

fn is_unserved(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => false,
    }
}

/// How the API names a kind.
pub fn resource(kind: ObjectKind) -> ApiResource {
    let (group, version, kind, plural) = match kind {
        ObjectKind::VirtualGateway => ("appmesh.k8s.aws", "v1beta2", "VirtualGateway", "virtualgateways"),
        ObjectKind::VirtualNode => ("appmesh.k8s.aws", "v1beta2", "VirtualNode", "virtualnodes"),
        ObjectKind::GatewayRoute => ("appmesh.k8s.aws", "v1beta2", "GatewayRoute", "gatewayroutes"),
        ObjectKind::VirtualService => ("appmesh.k8s.aws", "v1beta2", "VirtualService", "virtualservices"),
        ObjectKind::VirtualRouter => ("appmesh.k8s.aws", "v1beta2", "VirtualRouter", "virtualrouters"),
        ObjectKind::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
        ObjectKind::GrpcRoute => ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn named(kind: ObjectKind, object: &DynamicObject) -> ObjectRef {
    ObjectRef { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

#[cfg(test)]
mod tests;
