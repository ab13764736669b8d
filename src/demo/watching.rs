//! What the audience sees of the cluster: the Rollout, its route with its preview, and its events, by watches, never by
//! asking again.

use std::{fmt::Debug, pin::pin};

use futures::{Stream, StreamExt};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, Client, Resource,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    routes::{ROLLOUT, Routes},
    show::{Seen, Told},
    world::NAMESPACE,
};
use crate::api::Rollout;

/// Seen and not yet shown; a watch waits beyond it.
const BACKLOG: usize = 256;

/// Begins to watch; `stop` ends it.
pub fn start(client: &Client, kind: Routes, stop: &CancellationToken) -> mpsc::Receiver<Seen> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let rollouts: Api<Rollout> = Api::namespaced(client.clone(), NAMESPACE);
    let routes: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind.resource());
    let events: Api<Event> = Api::namespaced(client.clone(), NAMESPACE);
    let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    let rollout = applied(rollouts, named(ROLLOUT));
    follow(rollout, &sender, stop, |rollout| Some(Seen::Rollout(Box::new(rollout))));
    if kind.has_previews() {
        let preview = watcher::watch_object(routes.clone(), &kind.preview());
        follow(preview, &sender, stop, move |preview| {
            let target = preview.and_then(|preview| kind.shares(&preview).into_iter().next());
            Some(Seen::Preview(target.map(|share| share.name)))
        });
    }
    let route = applied(routes, named(kind.name()));
    follow(route, &sender, stop, move |route| Some(Seen::Route(kind.shares(&route))));
    follow(applied(events, watcher::Config::default()), &sender, stop, move |event| {
        let regarding = event.regarding?;
        let about =
            regarding.kind.as_deref() == Some("Rollout") && regarding.name.as_deref() == Some(ROLLOUT);
        about.then(|| {
            Seen::Event(Told {
                uid: event.metadata.uid.unwrap_or_default(),
                reason: event.reason.unwrap_or_default(),
                note: event.note.unwrap_or_default(),
            })
        })
    });
    receiver
}

/// The objects as they are written, without those that are deleted.
fn applied<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = watcher::Result<K>> + Send
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher::watcher(api, config).applied_objects()
}

fn follow<T>(
    objects: impl Stream<Item = watcher::Result<T>> + Send + 'static,
    sender: &mpsc::Sender<Seen>,
    stop: &CancellationToken,
    seen: impl Fn(T) -> Option<Seen> + Send + 'static,
) where
    T: Send + 'static,
{
    let (sender, stop) = (sender.clone(), stop.clone());
    let following = async move {
        let mut objects = pin!(objects.default_backoff());
        while let Some(object) = objects.next().await {
            match object {
                Ok(object) => {
                    if let Some(seen) = seen(object)
                        && sender.send(seen).await.is_err()
                    {
                        return;
                    }
                }
                Err(error) => tracing::debug!(%error, "a watch of the demo failed and is begun again"),
            }
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = following => {}
        }
    });
}
