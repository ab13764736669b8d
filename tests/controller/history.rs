//! Every state that a route was in, in order, as a watch brings them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    core::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tidegate::clock::Clock;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{cluster::Cluster, objects::weights_of};

/// A route's weights, and when they were seen first.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub at: Timestamp,
    pub weights: BTreeMap<String, i64>,
}

/// Follows the route `color`.
pub struct History {
    seen: Arc<Mutex<Vec<Seen>>>,
    _until: DropGuard,
}

impl History {
    pub async fn follow(cluster: &Cluster) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let begun = CancellationToken::new();
        let (clock, api) = (Clock::start(), cluster.routes());
        let (into, began) = (Arc::clone(&seen), begun.clone());
        let task = async move {
            let only = watcher::Config::default().fields("metadata.name=color");
            let mut events = watcher(api, only).default_backoff().boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(route) | Event::InitApply(route)) => take(&into, &route, clock.now()),
                    Ok(Event::InitDone) => began.cancel(),
                    Ok(Event::Init | Event::Delete(_)) | Err(_) => {}
                }
            }
        };
        let over = CancellationToken::new();
        tokio::spawn(over.clone().run_until_cancelled_owned(task));
        begun.cancelled().await;
        Self { seen, _until: over.drop_guard() }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The canary's shares in the order in which they were set.
    pub fn shares(&self, canary: &str) -> Vec<i64> {
        let mut shares: Vec<i64> =
            self.seen().iter().map(|seen| seen.weights.get(canary).copied().unwrap_or(0)).collect();
        shares.dedup();
        shares
    }

    /// How long the canary had a share, where it has moved on.
    pub fn held(&self, canary: &str, share: i64) -> Option<Duration> {
        let seen = self.seen();
        let is = |seen: &&Seen| seen.weights.get(canary).copied().unwrap_or(0) == share;
        let from = seen.iter().position(|seen| is(&seen))?;
        let until = seen.iter().skip(from).find(|seen| !is(seen))?;
        Duration::try_from(until.at.duration_since(seen[from].at)).ok()
    }
}

fn take(seen: &Mutex<Vec<Seen>>, route: &DynamicObject, at: Timestamp) {
    let mut seen = seen.lock().unwrap();
    let weights = weights_of(route);
    if seen.last().is_none_or(|last| last.weights != weights) {
        seen.push(Seen { at, weights });
    }
}
