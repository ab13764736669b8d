//! Keeps gateways at the routes of an API server, and says on each route's status what is in effect.
//!
//! A table is published before anything is reported. The first table waits for the first list of every kind: a route
//! whose virtual service is not known yet would go astray.

mod evidence;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, stream::select_all};
use kube::{
    Api, Client,
    api::{DynamicObject, PatchParams},
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
    objects::{self, Watched, Written, resource},
};

/// How long a failed status write waits.
const RETRY: Duration = Duration::from_secs(1);
/// Watches routes for a gateway and its replicas.
pub struct Programmer {
    client: Client,
    clock: Clock,
    gateway: GatewayRef,
    replicas: Vec<TableHandle>,
    namespace: Option<String>,
}

/// What the watches have shown, by kind.
struct Seen(BTreeMap<ObjectKind, Watched<ObjectRef, DynamicObject>>);

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
            let compiled = self.program(&seen);
            unsaid = !self.report(&compiled, &mut seen).await;
        }
    }

    fn program(&self, seen: &Seen) -> Compiled {
        let objects: Vec<(ObjectKind, Value)> = seen
            .objects()
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
    async fn report(&self, compiled: &Compiled, seen: &mut Seen) -> bool {
        let left_out = compiled.rejected.iter().map(|rejected| &rejected.object);
        let named: BTreeSet<&ObjectRef> = compiled.served.iter().chain(left_out).collect();
        let mut whole = true;
        for named in named {
            let Some(object) = seen.get(named) else { continue };
            let standing = Standing {
                served: compiled.served.contains(named),
                left_out: compiled.rejected.iter().filter(|rejected| rejected.object == *named).collect(),
                gateways: self.replicas.len(),
            };
            let now = self.clock.now();
            if let Some(patch) = evidence::report(&self.gateway, named.kind, object, &standing, now) {
                let parameters = PatchParams::default();
                match objects::write_status(self.client.clone(), named, &parameters, patch).await {
                    // Our own write comes back by the watch; until then this copy keeps us from writing it twice.
                    Written::Stored(object) => seen.put(named, *object),
                    Written::Overtaken => {}
                    Written::Failed => whole = false,
                }
            }
        }
        whole
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self(ObjectKind::ROUTING.into_iter().map(|kind| (kind, Watched::default())).collect())
    }
}

impl Seen {
    /// Takes in what the watch of a kind says; whether a table can be made of it.
    fn take(&mut self, kind: ObjectKind, event: watcher::Result<Event<DynamicObject>>) -> bool {
        let watched = self.0.entry(kind).or_default();
        let changed = watched.take(event, |object| (objects::named(kind, &object), object)).is_some();
        changed && self.0.values().all(Watched::is_known)
    }

    fn objects(&self) -> impl Iterator<Item = (&ObjectRef, &DynamicObject)> {
        self.0.values().flat_map(Watched::there)
    }

    fn get(&self, named: &ObjectRef) -> Option<&DynamicObject> {
        self.0.get(&named.kind)?.there().get(named)
    }

    fn put(&mut self, named: &ObjectRef, object: DynamicObject) {
        self.0.entry(named.kind).or_default().there_mut().insert(named.clone(), object);
    }
}

#[cfg(test)]
mod tests;
