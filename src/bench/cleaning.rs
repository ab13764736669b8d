//! Nothing of a bench stays: its namespaces go, however it ended.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{error::BenchError, progress::Progress};
use crate::api::Rollout;

/// How long a namespace may take to go.
const LIMIT: Duration = Duration::from_mins(10);
const ASK: Duration = Duration::from_millis(500);
/// Objects released at once.
const AT_ONCE: usize = 16;

/// The namespaces that a bench has made and not yet removed.
#[derive(Debug, Default)]
pub struct Rooms(Mutex<BTreeSet<String>>);

impl Rooms {
    /// One is about to be made.
    pub fn add(&self, namespace: &str) {
        self.names().insert(namespace.to_owned());
    }

    /// Removes all of them. No controller may run in them any more.
    pub async fn clean(&self, client: &Client, progress: &Progress) -> Result<(), BenchError> {
        let names: Vec<String> = self.names().iter().cloned().collect();
        for name in names {
            progress.say(&format!("removing the namespace {name}"));
            remove(client, &name).await?;
            self.names().remove(&name);
        }
        Ok(())
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn remove(client: &Client, name: &str) -> Result<(), BenchError> {
    release(client, name).await?;
    let api: Api<Namespace> = Api::all(client.clone());
    let failed = || BenchError::api(format!("remove the namespace {name}"));
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        Err(error) => return Err(failed()(error)),
    }
    let gone = async {
        while api.get_opt(name).await.map_err(failed())?.is_some() {
            tokio::time::sleep(ASK).await;
        }
        Ok(())
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap_or_else(|_| {
        let what = format!("the end of the namespace {name}");
        Err(BenchError::Late { what, seconds: LIMIT.as_secs(), log: String::new() })
    })
}

/// Takes the finalizers off Rollouts in a run: the controller that would is gone.
async fn release(client: &Client, namespace: &str) -> Result<(), BenchError> {
    let api: Api<Rollout> = Api::namespaced(client.clone(), namespace);
    let listed = api.list_metadata(&ListParams::default()).await;
    let held = listed.map_err(BenchError::api(format!("list the Rollouts of {namespace}")))?;
    let held = held.items.into_iter().filter(|rollout| !rollout.finalizers().is_empty());
    let released = stream::iter(held).map(|rollout| {
        let (api, name) = (api.clone(), rollout.name_any());
        async move {
            let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            api.patch_metadata(&name, &PatchParams::default(), &patch).await.map(drop)
        }
    });
    let outcomes: Vec<Result<(), kube::Error>> = released.buffer_unordered(AT_ONCE).collect().await;
    match outcomes.into_iter().find_map(Result::err) {
        Some(error) => Err(BenchError::api("release a Rollout")(error)),
        None => Ok(()),
    }
}
