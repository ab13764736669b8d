//! Objects as a watch brings them, writes of their statuses, and how the API names the kinds that routing is made of.
//!
//! A new list replaces the one before only when it is whole, so that a watch that broke never shows half of the objects. A kind
//! that the API server does not have is no longer waited for; it is asked for again now and then, and joins when it is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    runtime::watcher::{self, Event},
};
use serde_json::Value;

use crate::dataplane::{ObjectKind, ObjectRef};

/// What one watch has shown.
#[derive(Debug)]
pub struct Watched<K, V> {
    there: BTreeMap<K, V>,
    /// Of a list that is not whole yet.
    fresh: BTreeMap<K, V>,
    is_known: bool,
}

impl<K, V> Default for Watched<K, V> {
    fn default() -> Self {
        Self { there: BTreeMap::new(), fresh: BTreeMap::new(), is_known: false }
    }
}

impl<K: Ord + Clone, V> Watched<K, V> {
    /// The objects that are there.
    pub fn there(&self) -> &BTreeMap<K, V> {
        &self.there
    }

    /// The same, to be changed ahead of what the watch will show.
    pub fn there_mut(&mut self) -> &mut BTreeMap<K, V> {
        &mut self.there
    }

    /// Whether there was a whole list, or no such kind.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Takes in what the watch says. Which objects may have changed; `None` where nothing has, and a list is no further than
    /// before.
    pub fn take<O>(
        &mut self,
        event: watcher::Result<Event<O>>,
        read: impl FnOnce(O) -> (K, V),
    ) -> Option<BTreeSet<K>> {
        match event {
            Ok(Event::Init) => {
                self.fresh.clear();
                None
            }
            Ok(Event::InitApply(object)) => {
                let (key, value) = read(object);
                self.fresh.insert(key, value);
                None
            }
            Ok(Event::InitDone) => {
                self.is_known = true;
                let gone = std::mem::replace(&mut self.there, std::mem::take(&mut self.fresh));
                Some(gone.into_keys().chain(self.there.keys().cloned()).collect())
            }
            Ok(Event::Apply(object)) => {
                let (key, value) = read(object);
                self.there.insert(key.clone(), value);
                Some([key].into())
            }
            Ok(Event::Delete(object)) => {
                let (key, _) = read(object);
                self.there.remove(&key);
                Some([key].into())
            }
            Err(error) if is_unserved(&error) => {
                // It is asked for again and again, and only the first time is news.
                let is_news = !std::mem::replace(&mut self.is_known, true) || !self.there.is_empty();
                let gone = std::mem::take(&mut self.there);
                is_news.then(|| gone.into_keys().collect())
            }
            Err(error) => {
                tracing::warn!(%error, kind = std::any::type_name::<O>(), "cannot watch objects");
                None
            }
        }
    }
}

/// Whether the API server has no such kind.
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

/// How long a write of a status may take: a server that hangs must not keep others waiting.
const LIMIT: Duration = Duration::from_secs(5);

/// What became of a write of a status.
#[derive(Debug)]
pub enum Written {
    /// It is stored, as this.
    Stored(Box<DynamicObject>),
    /// The object was changed or is gone meanwhile: its watch brings what is true now.
    Overtaken,
    /// It has to be tried again; the log says why.
    Failed,
}

/// Writes an object's status by a merge patch.
pub async fn write_status(
    client: Client,
    named: &ObjectRef,
    parameters: &PatchParams,
    patch: Value,
) -> Written {
    let ObjectRef { kind, namespace, name } = named;
    let resource = resource(*kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let (kind, patch) = (&resource.kind, Patch::Merge(patch));
    match tokio::time::timeout(LIMIT, api.patch_status(name, parameters, &patch)).await {
        Ok(Ok(object)) => Written::Stored(Box::new(object)),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Written::Overtaken,
        Ok(Err(error)) => {
            tracing::warn!(%error, kind, namespace, name, "cannot write a status");
            Written::Failed
        }
        Err(_) => {
            tracing::warn!(kind, namespace, name, "writing a status took too long");
            Written::Failed
        }
    }
}

/// What names an object of a kind.
pub fn named(kind: ObjectKind, object: &DynamicObject) -> ObjectRef {
    ObjectRef { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Names = Watched<&'static str, ()>;

    fn take(watched: &mut Names, event: watcher::Result<Event<&'static str>>) -> Option<Vec<&'static str>> {
        watched.take(event, |name| (name, ())).map(|touched| touched.into_iter().collect())
    }

    fn missing() -> watcher::Error {
        let status = json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": ""});
        watcher::Error::InitialListFailed(kube::Error::Api(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn a_list_replaces_the_one_before_only_when_it_is_whole() {
        let mut watched = Names::default();
        assert_eq!(take(&mut watched, Ok(Event::Init)), None);
        assert_eq!(take(&mut watched, Ok(Event::InitApply("old"))), None);
        assert!(!watched.is_known());
        assert_eq!(take(&mut watched, Ok(Event::InitDone)), Some(vec!["old"]));
        assert!(watched.is_known());
        for event in [Event::Init, Event::InitApply("lost"), Event::Init, Event::InitApply("new")] {
            assert_eq!(take(&mut watched, Ok(event)), None);
            assert!(watched.there().contains_key("old"));
        }
        assert_eq!(take(&mut watched, Ok(Event::InitDone)), Some(vec!["new", "old"]));
        assert_eq!(watched.there().keys().collect::<Vec<_>>(), [&"new"]);
        assert_eq!(take(&mut watched, Ok(Event::Delete("new"))), Some(vec!["new"]));
        assert!(watched.there().is_empty());
    }

    #[test]
    fn a_kind_that_is_absent_is_known_and_news_once() {
        let mut watched = Names::default();
        assert_eq!(take(&mut watched, Err(watcher::Error::NoResourceVersion)), None);
        assert!(!watched.is_known(), "it may be there, and was not read");
        assert_eq!(take(&mut watched, Err(missing())), Some(vec![]));
        assert_eq!(take(&mut watched, Err(missing())), None);
        assert_eq!(take(&mut watched, Ok(Event::Apply("one"))), Some(vec!["one"]));
        // Its definition was deleted.
        assert_eq!(take(&mut watched, Err(missing())), Some(vec!["one"]));
        assert!(watched.there().is_empty());
    }
}
