//! What the watches have shown: the mesh's objects, the labels of namespaces, the endpoints of Services.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{
    Stream, StreamExt,
    stream::{BoxStream, select_all},
};
use k8s_openapi::api::{core::v1::Namespace, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde_json::{Value, json};

use super::endpoints::{Addresses, Service, Slice};
use crate::{
    dataplane::{Labels, ObjectKind, ObjectRef},
    objects::{self, Watched},
};

/// The kinds that plans are made of.
const KINDS: [ObjectKind; 5] = [
    ObjectKind::VirtualGateway,
    ObjectKind::GatewayRoute,
    ObjectKind::VirtualService,
    ObjectKind::VirtualRouter,
    ObjectKind::VirtualNode,
];
/// The label that every namespace has of itself.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The namespace that a watch is of; `None` is the whole cluster.
pub type Scope = Option<String>;

/// What a watch says.
pub enum News {
    Object(ObjectKind, Scope, watcher::Result<Event<DynamicObject>>),
    Slice(Scope, watcher::Result<Event<EndpointSlice>>),
    Namespace(watcher::Result<Event<PartialObjectMeta<Namespace>>>),
}

/// What may have changed.
#[derive(Debug, Default)]
pub struct Touched {
    /// These objects.
    pub objects: BTreeSet<ObjectRef>,
    /// Of these only what is said of them: nothing is made of that.
    pub statuses: BTreeSet<ObjectRef>,
    /// The endpoints of these Services.
    pub services: BTreeSet<Service>,
    /// Those of any.
    pub all_services: bool,
    /// The labels of a namespace.
    pub namespaces: bool,
}

impl Touched {
    /// Whether nothing has changed that plans are made of.
    pub fn is_nothing(&self) -> bool {
        let Self { objects, statuses: _, services, all_services, namespaces } = self;
        objects.is_empty() && services.is_empty() && !all_services && !namespaces
    }
}

/// Everything that has been shown.
pub struct World {
    objects: BTreeMap<(ObjectKind, Scope), Watched<ObjectRef, Arc<Value>>>,
    slices: BTreeMap<Scope, Watched<(String, String), Slice>>,
    /// Absent where only some namespaces are served, whose labels need not be allowed to be read.
    namespaces: Option<Watched<String, Labels>>,
    labels: BTreeMap<String, Labels>,
    addresses: Addresses,
    /// Slices have changed since.
    stale: bool,
}

/// The watches of a cluster, or of some of its namespaces. Those that fail are begun again with backoff.
pub fn watches(client: &Client, namespaces: &[String]) -> impl Stream<Item = News> + Send + use<> {
    let mut all: Vec<BoxStream<'static, News>> = Vec::new();
    for scope in scopes(namespaces) {
        for kind in KINDS {
            let (client, resource) = (client.clone(), objects::resource(kind));
            let api: Api<DynamicObject> = match &scope {
                Some(namespace) => Api::namespaced_with(client, namespace, &resource),
                None => Api::all_with(client, &resource),
            };
            let scope = scope.clone();
            let news = move |event| News::Object(kind, scope.clone(), event);
            all.push(watcher(api, watcher::Config::default()).default_backoff().map(news).boxed());
        }
        let api: Api<EndpointSlice> = match &scope {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let news = move |event| News::Slice(scope.clone(), event);
        all.push(watcher(api, watcher::Config::default()).default_backoff().map(news).boxed());
    }
    if namespaces.is_empty() {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
        all.push(watcher(api, watcher::Config::default()).default_backoff().map(News::Namespace).boxed());
    }
    select_all(all)
}

fn scopes(namespaces: &[String]) -> Vec<Scope> {
    match namespaces {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    }
}

impl World {
    /// Nothing yet, of a cluster or of some of its namespaces.
    pub fn new(namespaces: &[String]) -> Self {
        let scopes = scopes(namespaces);
        let kinds =
            scopes.iter().flat_map(|scope| KINDS.map(|kind| ((kind, scope.clone()), Watched::default())));
        let own_name = |name: &String| (name.clone(), [(NAMESPACE_NAME.to_owned(), name.clone())].into());
        Self {
            objects: kinds.collect(),
            slices: scopes.iter().map(|scope| (scope.clone(), Watched::default())).collect(),
            namespaces: namespaces.is_empty().then(Watched::default),
            labels: namespaces.iter().map(own_name).collect(),
            addresses: Addresses::default(),
            stale: false,
        }
    }

    /// Takes in what a watch says; what it touches is added.
    pub fn take(&mut self, news: News, touched: &mut Touched) {
        match news {
            News::Object(kind, scope, event) => {
                let Some(watched) = self.objects.get_mut(&(kind, scope)) else { return };
                let read = |object: DynamicObject| (objects::named(kind, &object), Arc::new(plain(object)));
                let is_said = match &event {
                    Ok(Event::Apply(object)) => {
                        let known = watched.there().get(&objects::named(kind, object));
                        known.is_some_and(|known| differs_by_status(known, object))
                    }
                    Ok(Event::Delete(_) | Event::Init | Event::InitApply(_) | Event::InitDone) | Err(_) => {
                        false
                    }
                };
                let all = watched.take(event, read).into_iter().flatten();
                if is_said { touched.statuses.extend(all) } else { touched.objects.extend(all) }
            }
            News::Slice(scope, event) => {
                let Some(watched) = self.slices.get_mut(&scope) else { return };
                let one = match &event {
                    Ok(Event::Apply(slice) | Event::Delete(slice)) => Some(Slice::read(slice).service),
                    Ok(Event::Init | Event::InitApply(_) | Event::InitDone) | Err(_) => None,
                };
                let read = |slice: EndpointSlice| {
                    let key = (slice.namespace().unwrap_or_default(), slice.name_any());
                    (key, Slice::read(&slice))
                };
                if watched.take(event, read).is_none() {
                    return;
                }
                self.stale = true;
                match one {
                    Some(service) => drop(touched.services.insert(service)),
                    None => touched.all_services = true,
                }
            }
            News::Namespace(event) => {
                let Some(watched) = &mut self.namespaces else { return };
                let read = |namespace: PartialObjectMeta<Namespace>| {
                    (namespace.name_any(), namespace.metadata.labels.unwrap_or_default())
                };
                if watched.take(event, read).is_some() {
                    self.labels = watched.there().clone();
                    touched.namespaces = true;
                }
            }
        }
    }

    /// Takes in what many events at once mean together.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.addresses = Addresses::of(self.slices.values().flat_map(|watched| watched.there().values()));
        }
    }

    /// What has not been listed yet; nothing can be made of the rest without it, for a route whose service is not known would go
    /// astray.
    pub fn lacks(&self) -> Vec<String> {
        let objects = self.objects.iter().filter(|(_, watched)| !watched.is_known());
        let slices = self.slices.values().filter(|watched| !watched.is_known());
        let namespaces = self.namespaces.iter().filter(|watched| !watched.is_known());
        let mut lacks: Vec<String> = objects.map(|((kind, _), _)| objects::resource(*kind).kind).collect();
        lacks.extend(slices.map(|_| "EndpointSlice".to_owned()));
        lacks.extend(namespaces.map(|_| "Namespace".to_owned()));
        lacks.dedup();
        lacks
    }

    /// The objects of the kinds that plans are made of.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectRef, &Arc<Value>)> {
        self.objects.values().flat_map(Watched::there)
    }

    /// The objects of one kind.
    pub fn of_kind(&self, kind: ObjectKind) -> impl Iterator<Item = (&ObjectRef, &Arc<Value>)> {
        self.objects.iter().filter(move |((of, _), _)| *of == kind).flat_map(|(_, watched)| watched.there())
    }

    /// One object.
    pub fn get(&self, named: &ObjectRef) -> Option<&Arc<Value>> {
        let scoped = self.objects.get(&(named.kind, Some(named.namespace.clone())));
        scoped.or_else(|| self.objects.get(&(named.kind, None)))?.there().get(named)
    }

    /// An object as the API server has stored our write over a version of it; the watch will show the same, or has shown a newer
    /// one.
    pub fn stored(&mut self, named: &ObjectRef, over: &Value, object: DynamicObject) {
        let scope = Some(named.namespace.clone());
        let scope = if self.objects.contains_key(&(named.kind, scope.clone())) { scope } else { None };
        let watched = self.objects.get_mut(&(named.kind, scope));
        let known = watched.and_then(|watched| watched.there_mut().get_mut(named));
        if let Some(known) = known.filter(|known| version(known) == version(over)) {
            *known = Arc::new(plain(object));
        }
    }

    /// The labels of the namespaces.
    pub fn labels(&self) -> &BTreeMap<String, Labels> {
        &self.labels
    }

    /// The endpoints of the Services.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }
}

/// The version of an object; none where the API server gave it none.
pub fn version(object: &Value) -> Option<&str> {
    object["metadata"]["resourceVersion"].as_str()
}

/// Whether an object differs from what is known of it in nothing but what is said of it. Every one of our own writes comes back so.
fn differs_by_status(known: &Value, object: &DynamicObject) -> bool {
    let (known, now) = (&known["metadata"], &object.metadata);
    now.generation.is_some()
        && known["generation"] == json!(now.generation)
        && known["uid"] == json!(now.uid)
        && known["labels"] == json!(now.labels)
        && known["annotations"] == json!(now.annotations)
}

/// An object without what nobody reads here.
fn plain(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    serde_json::to_value(object).unwrap_or_default()
}
