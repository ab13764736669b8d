//! Keeps gateways at the `GatewayRoute`s of an API server, and says on each route's status what is in effect.
//!
//! A table is published before anything is reported, and a new list replaces the old one only when it is whole, so
//! a dropped watch never serves half of the routes.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::gateway::TableHandle;
use crate::{
    clock::Clock,
    dataplane::{self, Compiled, GatewayRef},
};

/// The condition's type.
pub const PROGRAMMED: &str = "Programmed";
/// How long a failed status write waits.
const RETRY: Duration = Duration::from_secs(1);
/// Limit of one status write: a server that hangs must not keep a new table from the gateways for longer.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

type Key = (String, String);

/// Watches routes for a gateway and its replicas.
pub struct Programmer {
    client: Client,
    clock: Clock,
    gateway: GatewayRef,
    replicas: Vec<TableHandle>,
    namespace: Option<String>,
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
        let (client, resource) = (self.client.clone(), resource());
        let routes: Api<DynamicObject> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let mut stream = watcher::watcher(routes, watcher::Config::default()).default_backoff().boxed();
        let (mut routes, mut fresh) = (BTreeMap::new(), BTreeMap::new());
        let mut unsaid = false;
        loop {
            let event = tokio::select! {
                event = stream.next() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
                () = tokio::time::sleep(RETRY), if unsaid => None,
            };
            match event {
                Some(Ok(Event::Init)) => {
                    fresh.clear();
                    continue;
                }
                Some(Ok(Event::InitApply(route))) => {
                    fresh.insert(key(&route), route);
                    continue;
                }
                Some(Ok(Event::InitDone)) => routes = std::mem::take(&mut fresh),
                Some(Ok(Event::Apply(route))) => {
                    routes.insert(key(&route), route);
                }
                Some(Ok(Event::Delete(route))) => {
                    routes.remove(&key(&route));
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "cannot watch GatewayRoutes");
                    continue;
                }
                None => {}
            }
            let compiled = self.program(&routes);
            unsaid = !self.report(&compiled, &mut routes).await;
        }
    }

    fn program(&self, routes: &BTreeMap<Key, DynamicObject>) -> Compiled {
        let objects: Vec<Value> =
            routes.values().filter_map(|route| serde_json::to_value(route).ok()).collect();
        let compiled = dataplane::compile(&self.gateway, &objects);
        for replica in self.replicas.iter().filter(|replica| !replica.serves(&compiled.table)) {
            replica.publish(compiled.table.clone());
        }
        compiled
    }

    /// Writes what changed; false if a write failed and must be tried again.
    async fn report(&self, compiled: &Compiled, routes: &mut BTreeMap<Key, DynamicObject>) -> bool {
        let count = self.replicas.len();
        let served =
            compiled.table.routes.iter().map(|route| ((route.namespace.clone(), route.name.clone()), None));
        let refused = compiled
            .rejected
            .iter()
            .map(|route| ((route.namespace.clone(), route.name.clone()), Some(route.reason.to_string())));
        let mut whole = true;
        for (key, refusal) in served.chain(refused) {
            let Some(route) = routes.get(&key) else { continue };
            let generation = route.metadata.generation.unwrap_or_default();
            let wanted = match refusal {
                None => {
                    let message = format!("{count} of {count} gateways serve generation {generation}");
                    Wanted { status: "True", reason: "Programmed", message, generation }
                }
                Some(message) => Wanted { status: "False", reason: "Invalid", message, generation },
            };
            let Some(patch) = wanted.patch(route, self.clock.now()) else {
                continue;
            };
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &key.0, &resource());
            let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
            let write = api.patch_status(&key.1, &params, &patch);
            let Ok(written) = tokio::time::timeout(WRITE_LIMIT, write).await else {
                tracing::warn!(namespace = key.0, route = key.1, "writing a route's status took too long");
                whole = false;
                continue;
            };
            match written {
                // Our own write comes back by the watch; until then this copy keeps us from writing it twice.
                Ok(written) => drop(routes.insert(key, written)),
                // Changed or gone meanwhile: the watch brings what is true now.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => {
                    tracing::warn!(%error, namespace = key.0, route = key.1, "cannot write a route's status");
                    whole = false;
                }
            }
        }
        whole
    }
}

/// The merge patch of a route's status that reports its present generation as in effect; none where that is reported
/// already.
pub fn programmed(route: &DynamicObject, message: &str, now: Timestamp) -> Option<Value> {
    let generation = route.metadata.generation.unwrap_or_default();
    let wanted = Wanted { status: "True", reason: "Programmed", message: message.to_owned(), generation };
    wanted.patch(route, now)
}

/// What the condition should say.
struct Wanted {
    status: &'static str,
    reason: &'static str,
    message: String,
    generation: i64,
}

impl Wanted {
    /// The merge patch that makes it so, with every other condition kept; none if it says so already.
    fn patch(&self, route: &DynamicObject, now: Timestamp) -> Option<Value> {
        let listed = route.data.pointer("/status/conditions").and_then(Value::as_array).cloned();
        let mut conditions = listed.unwrap_or_default();
        let at = conditions.iter().position(|condition| condition["type"] == PROGRAMMED);
        let old = at.and_then(|at| conditions.get(at));
        let mut wanted = json!({
            "type": PROGRAMMED, "status": self.status, "reason": self.reason, "message": self.message,
            "observedGeneration": self.generation,
        });
        let since =
            old.filter(|old| old["status"] == self.status).and_then(|old| old.get("lastTransitionTime"));
        // Whole seconds, as every API server stores them.
        let since = since.cloned().unwrap_or_else(|| json!(format!("{now:.0}")));
        wanted["lastTransitionTime"] = since;
        if old == Some(&wanted) {
            return None;
        }
        match at.and_then(|at| conditions.get_mut(at)) {
            Some(condition) => *condition = wanted,
            None => conditions.push(wanted),
        }
        // A stale copy must fail: the list of conditions is replaced whole, and others write to it.
        Some(
            json!({"metadata": {"resourceVersion": route.resource_version()}, "status": {"conditions": conditions}}),
        )
    }
}

fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("appmesh.k8s.aws", "v1beta2", "GatewayRoute");
    ApiResource::from_gvk_with_plural(&kind, "gatewayroutes")
}

fn key(route: &DynamicObject) -> Key {
    (route.namespace().unwrap_or_default(), route.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_written_once_and_keeps_its_time_and_its_neighbours() {
        let now: Timestamp = "2026-11-01T10:00:00.7Z".parse().unwrap();
        let mut route: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute",
            "metadata": {"name": "r", "namespace": "n", "resourceVersion": "5", "generation": 7},
            "status": {"conditions": [{"type": "Other", "status": "True"}]},
        }))
        .unwrap();
        let wanted = |generation, status| Wanted { status, reason: "R", message: "m".into(), generation };
        let patch = wanted(7, "True").patch(&route, now).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "5");
        assert_eq!(patch["status"]["conditions"][0]["type"], "Other");
        let first = patch["status"]["conditions"][1].clone();
        assert_eq!((&first["observedGeneration"], &first["type"]), (&json!(7), &json!(PROGRAMMED)));
        route.data["status"] = patch["status"].clone();
        let later = now + jiff::SignedDuration::from_mins(1);
        assert_eq!(wanted(7, "True").patch(&route, later), None);
        let next = wanted(8, "True").patch(&route, later).unwrap();
        assert_eq!(next["status"]["conditions"][1]["lastTransitionTime"], first["lastTransitionTime"]);
        let flipped = wanted(8, "False").patch(&route, later).unwrap();
        assert_ne!(flipped["status"]["conditions"][1]["lastTransitionTime"], first["lastTransitionTime"]);
    }
}
