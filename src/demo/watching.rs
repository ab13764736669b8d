//! What the audience sees of the cluster: the Rollout, its route and its events, by watches, never by asking again.

use std::{fmt::Debug, pin::pin};

use futures::StreamExt;
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
    routes::Routes,
    show::{Seen, Told},
    world::NAMESPACE,
};
use crate::api::Rollout;

/// Seen and not yet shown; a watch waits beyond it.
const BACKLOG: usize = 256;

/// Begins to watch; `stop` ends it.
pub fn start(
    client: &Client,
    rollout: &'static str,
    kind: Routes,
    stop: &CancellationToken,
) -> mpsc::Receiver<Seen> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let rollouts: Api<Rollout> = Api::namespaced(client.clone(), NAMESPACE);
    let routes: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind.resource());
    let events: Api<Event> = Api::namespaced(client.clone(), NAMESPACE);
    let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    follow(rollouts, named(rollout), &sender, stop, |rollout| Some(Seen::Rollout(Box::new(rollout))));
    follow(routes, named(kind.name()), &sender, stop, move |route| Some(Seen::Route(kind.shares(&route))));
    follow(events, watcher::Config::default(), &sender, stop, move |event| {
        let regarding = event.regarding?;
        let about =
            regarding.kind.as_deref() == Some("Rollout") && regarding.name.as_deref() == Some(rollout);
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

fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    sender: &mpsc::Sender<Seen>,
    stop: &CancellationToken,
    seen: impl Fn(K) -> Option<Seen> + Send + 'static,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (sender, stop) = (sender.clone(), stop.clone());
    let following = async move {
        let mut objects = pin!(watcher::watcher(api, config).default_backoff().applied_objects());
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
