//! The watches: one list and one watch a kind. Whatever they bring is reduced at once to what decisions need, and
//! gives a turn to the Rollouts that named it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{
    Api, Client, Resource, ResourceExt,
    discovery::ApiResource,
    runtime::{
        reflector::{self, ObjectRef, store::Writer},
        watcher::{self, Event},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    act, ahead,
    context::{AFTER_RUNS, Context, Guarded, Interest, lock},
    following::{First, code, follow, told},
    permissions::REMEDY,
    raw::Raw,
    stores::{Key, Listed, Mirror, Versioned, version},
    templates,
};
use crate::{
    api::{AnalysisTemplate, INSTALL_CRDS, RouteKind, WorkloadKind},
    engine::{observed::WorkloadSeen, template::TemplateSeen},
    routes, workloads,
};

/// At the start, no turn comes before all that Rollouts name was listed, unless that takes longer than this.
const FIRST_LISTS: Duration = Duration::from_secs(10);

/// What is read one by one waits so long, and so many at once.
const READ: Duration = Duration::from_secs(5);
const READS: usize = 8;

/// The namespace of a scope; `None` is the whole cluster.
pub type Scope = Option<String>;

/// Keeps the routes of a kind mirrored from when the first Rollout of the scope names one until `stop`.
pub async fn routes(context: Arc<Context>, kind: RouteKind, scope: Scope, stop: CancellationToken) {
    if stop.run_until_cancelled(context.routes.wanted(kind)).await.is_none() {
        return;
    }
    let feed = Feed {
        context: &context,
        mirror: context.routes.of(kind),
        resource: routes::resource(kind),
        reduce: |object: &Raw| act::kept(kind, object),
        interest: |key| Interest::Route(kind, key),
        scope,
    };
    feed.run(stop).await;
}

/// Keeps the Deployments of a scope mirrored until `stop`.
pub async fn deployments(context: Arc<Context>, scope: Scope, stop: CancellationToken) {
    let feed = Feed {
        context: &context,
        mirror: &context.workloads.deployments,
        resource: workloads::resource(WorkloadKind::Deployment),
        reduce: workload,
        interest: |key| Interest::Workload(WorkloadKind::Deployment, key),
        scope,
    };
    feed.run(stop).await;
}

/// Keeps the StatefulSets mirrored from when the first Rollout of the scope names one until `stop`.
pub async fn stateful_sets(context: Arc<Context>, scope: Scope, stop: CancellationToken) {
    let sets = &context.workloads.stateful_sets;
    if stop.run_until_cancelled(sets.wanted()).await.is_none() {
        return;
    }
    let feed = Feed {
        context: &context,
        mirror: sets.mirror(),
        resource: workloads::resource(WorkloadKind::StatefulSet),
        reduce: workload,
        interest: |key| Interest::Workload(WorkloadKind::StatefulSet, key),
        scope,
    };
    feed.run(stop).await;
}

/// Keeps the HorizontalPodAutoscalers mirrored from when the first Rollout of the scope scales anything until `stop`.
pub async fn scalers(context: Arc<Context>, scope: Scope, stop: CancellationToken) {
    let scalers = &context.workloads.scalers;
    if stop.run_until_cancelled(scalers.wanted()).await.is_none() {
        return;
    }
    let feed = Feed {
        context: &context,
        mirror: scalers.mirror(),
        resource: ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        reduce: |object: &Raw| object.reduced(workloads::scaler, |_| None),
        interest: |(namespace, _)| Interest::Scalers(namespace),
        scope,
    };
    feed.run(stop).await;
}

/// Keeps the AnalysisTemplates mirrored from when the first Rollout of the scope names one until `stop`.
pub async fn templates(context: Arc<Context>, scope: Scope, stop: CancellationToken) {
    let templates = context.templates.on_demand();
    if stop.run_until_cancelled(templates.wanted()).await.is_none() {
        return;
    }
    let feed = Feed {
        context: &context,
        mirror: templates.mirror(),
        resource: ApiResource::erase::<AnalysisTemplate>(&()),
        reduce: |object: &Raw| object.reduced(templates::seen, TemplateSeen::Unreadable),
        interest: Interest::Template,
        scope,
    };
    feed.run(stop).await;
}

/// The Rollouts of a scope as they change, after the store has taken the change in; each is to have a turn. Our own
/// writes come back here too, and give none.
pub fn rollouts(
    context: &Arc<Context>,
    writer: Writer<Guarded>,
    scope: &Scope,
) -> impl Stream<Item = ObjectRef<Guarded>> + use<> {
    let api: Api<Guarded> = match scope {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    };
    let waiting = Arc::clone(context);
    let events = follow(api.clone(), First::Streamed).then(move |event| {
        let context = Arc::clone(&waiting);
        async move {
            match &event {
                Ok(Event::InitApply(rollout) | Event::Apply(rollout)) => {
                    context.routes.want(rollout.kinds());
                    if rollout.names_template() {
                        context.templates.on_demand().want();
                    }
                }
                // The store is ready by this, and turns begin: not before there is what they decide from.
                Ok(Event::InitDone) => first_lists(&context).await,
                Ok(Event::Init | Event::Delete(_)) | Err(_) => {}
            }
            event
        }
    });
    let (context, scope) = (Arc::clone(context), scope.clone());
    let begun = async move {
        let mut writer = writer;
        ahead::serve(&context, &mut writer, &api).await;
        reflector::reflector(writer, events).flat_map(move |event| {
            let touched = match event {
                Ok(event) => rollout_event(&context, event),
                Err(error) => {
                    rollouts_failed(&context, &scope, &error);
                    Touched::default()
                }
            };
            touched.in_order()
        })
    };
    begun.flatten_stream()
}

/// Whose turn it is.
#[derive(Default)]
struct Touched {
    /// At once.
    first: Vec<ObjectRef<Guarded>>,
    /// After those: of the many that a list brings, a failing canary must not wait for those at rest.
    then: Vec<ObjectRef<Guarded>>,
}

impl Touched {
    fn in_order(self) -> impl Stream<Item = ObjectRef<Guarded>> {
        let Self { first, then } = self;
        let many = !then.is_empty();
        let later = async move {
            if many {
                tokio::time::sleep(AFTER_RUNS).await;
            }
            stream::iter(then)
        };
        stream::iter(first).chain(later.flatten_stream())
    }
}

/// Where the objects of a kind go.
struct Feed<'a, V, Reduce, Name> {
    context: &'a Context,
    mirror: &'a Mirror<V>,
    resource: ApiResource,
    reduce: Reduce,
    interest: Name,
    scope: Scope,
}

impl<V, Reduce, Name> Feed<'_, V, Reduce, Name>
where
    V: Clone + PartialEq,
    Reduce: Fn(&Raw) -> Versioned<V>,
    Name: Fn(Key) -> Interest,
{
    async fn run(self, stop: CancellationToken) {
        let client: Client = self.context.client.clone();
        let api: Api<Raw> = match &self.scope {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        };
        let mut events = follow(api, First::Paged).boxed();
        while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
            match event {
                Ok(event) => {
                    let doubted = self.take(event);
                    self.settle(doubted).await;
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    /// Takes an event in; returns what is to be read one by one.
    fn take(&self, event: Event<Raw>) -> Vec<(Key, u64)> {
        let lacked = self.mirror.lacks();
        let Listed { changed, doubted } = self.mirror.take(reduced(event, &self.reduce));
        if lacked != self.mirror.lacks() {
            // What is missing now was unreadable before, which is a difference to everybody.
            tracing::info!(kind = self.resource.kind, "listed");
            self.context.wake_all();
            return doubted;
        }
        for key in changed {
            self.context.wake_interested(&(self.interest)(key));
        }
        doubted
    }

    /// Reads what a list has in an older version than we do. What can't be read stays as we know it.
    async fn settle(&self, doubted: Vec<(Key, u64)>) {
        if doubted.is_empty() {
            return;
        }
        tracing::warn!(
            kind = self.resource.kind,
            count = doubted.len(),
            "a list is behind what is known already"
        );
        let reads = stream::iter(doubted).map(async |(key, version)| {
            let (namespace, name) = &key;
            let api: Api<Raw> = Api::namespaced_with(self.context.client.clone(), namespace, &self.resource);
            match tokio::time::timeout(READ, api.get_opt(name)).await {
                Ok(Ok(Some(object))) if self.mirror.settle((self.reduce)(&object), version) => {
                    self.context.wake_interested(&(self.interest)(key));
                }
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => {
                    self.mirror.forget(&key);
                    self.context.wake_interested(&(self.interest)(key));
                }
                Ok(Err(error)) => {
                    let error = routes::told(&error);
                    tracing::warn!(name, error, "what a list has in an older version can't be read");
                }
                Err(_) => tracing::warn!(name, "what a list has in an older version can't be read in time"),
            }
        });
        reads.buffer_unordered(READS).for_each(async |()| {}).await;
    }

    fn failed(&self, error: &watcher::Error) {
        let kind = &self.resource.kind;
        let (news, problem) = match code(error) {
            Some(404) => {
                let problem = format!(
                    "the API server does not serve {kind} ({}): its CRD is not installed; {}",
                    self.resource.api_version,
                    crd_remedy(kind)
                );
                (self.mirror.miss(problem.clone()), problem)
            }
            Some(403) => {
                let problem = forbidden(kind, &self.scope);
                (self.mirror.fail(problem.clone()), problem)
            }
            Some(_) | None => {
                tracing::warn!(kind, error = told(error), "the watch broke; it is tried again");
                return;
            }
        };
        if news {
            self.context.meters.error("KindUnavailable");
            tracing::error!(kind, problem, "the kind is unavailable; it is tried again");
            self.context.wake_all();
        }
    }
}

/// Where the CRD of a kind comes from.
fn crd_remedy(kind: &str) -> String {
    match kind {
        "HTTPRoute" | "GRPCRoute" => "install those of Gateway API (the standard channel, v1)".to_owned(),
        "VirtualRouter" => {
            "it is one of App Mesh's, which come with AWS's controller for Kubernetes".to_owned()
        }
        "GatewayRoute" => {
            "install the superset with: kubectl apply -f crds/appmesh.k8s.aws_gatewayroutes.yaml".to_owned()
        }
        _ => format!("install it with: {INSTALL_CRDS}"),
    }
}

fn reduced<V>(event: Event<Raw>, reduce: impl Fn(&Raw) -> Versioned<V>) -> Event<Versioned<V>> {
    match event {
        Event::Apply(object) => Event::Apply(reduce(&object)),
        Event::Delete(object) => Event::Delete(reduce(&object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(reduce(&object)),
        Event::InitDone => Event::InitDone,
    }
}

/// What is kept of a workload.
pub fn workload(object: &Raw) -> Versioned<WorkloadSeen> {
    object.reduced(workloads::seen, WorkloadSeen::Unreadable)
}

/// Waits until all that Rollouts name was listed once.
async fn first_lists(context: &Context) {
    let lists = context.answered();
    if tokio::time::timeout(FIRST_LISTS, lists).await.is_err() {
        tracing::warn!("turns begin although not everything could be listed yet");
    }
}

fn rollout_event(context: &Context, event: Event<Guarded>) -> Touched {
    match event {
        // What a list brings is in the store once it is whole.
        Event::Init | Event::InitApply(_) => Touched::default(),
        Event::Apply(rollout) => {
            Touched { first: news(context, &rollout).into_iter().collect(), then: vec![] }
        }
        Event::InitDone => {
            *lock(&context.rollouts_lack) = None;
            forget_the_gone(context);
            let (first, then) = context.by_urgency();
            let news =
                |rollouts: Vec<Arc<Guarded>>| rollouts.iter().filter_map(|one| news(context, one)).collect();
            Touched { first: news(first), then: news(then) }
        }
        Event::Delete(rollout) => {
            context.forget(&rollout.uid().unwrap_or_default());
            forget_interests(context, &(rollout.namespace().unwrap_or_default(), rollout.name_any()));
            Touched::default()
        }
    }
}

/// The Rollout, unless what is shown of it is our own doing.
fn news(context: &Context, rollout: &Guarded) -> Option<ObjectRef<Guarded>> {
    let shown = version(rollout.meta().resource_version.as_deref());
    if let Some(entry) = rollout.uid().and_then(|uid| context.known(&uid)) {
        entry.caught_up(shown);
        if entry.own_version.load(std::sync::atomic::Ordering::Relaxed) >= shown {
            return None;
        }
        entry.news.notify_one();
    }
    Some(ObjectRef::from_obj(rollout))
}

/// Drops what is kept of all Rollouts that no longer exist, and gives a turn to those who shared an object with them:
/// a stamp without its Rollout binds nobody.
fn forget_the_gone(context: &Context) {
    let living = context.rollouts.state();
    let uids: HashSet<String> = living.iter().filter_map(|rollout| rollout.uid()).collect();
    context.forget_unless(|uid| uids.contains(uid));
    let keys: HashSet<Key> =
        living.iter().map(|rollout| (rollout.namespace().unwrap_or_default(), rollout.name_any())).collect();
    for gone in context.interests.everybody().iter().filter(|key| !keys.contains(*key)) {
        forget_interests(context, gone);
    }
}

fn forget_interests(context: &Context, gone: &Key) {
    for interest in context.interests.forget(gone) {
        context.wake_interested(&interest);
    }
}

fn rollouts_failed(context: &Context, scope: &Scope, error: &watcher::Error) {
    context.meters.error("RolloutWatch");
    tracing::warn!(error = told(error), "the watch of the Rollouts broke; it is tried again");
    let mut lack = lock(&context.rollouts_lack);
    match code(error) {
        Some(404) => {
            *lack = Some(format!("the Rollout CRD is not installed; install it with: {INSTALL_CRDS}"));
        }
        // Taken away later on, it stops everything as surely as at the start.
        Some(403) => *lack = Some(forbidden("Rollouts", scope)),
        Some(_) | None => {}
    }
}

fn forbidden(kind: &str, scope: &Scope) -> String {
    let place = scope.as_ref().map(|namespace| format!(" in the namespace {namespace}")).unwrap_or_default();
    format!("the controller may not list and watch {kind}{place}; {REMEDY}")
}
