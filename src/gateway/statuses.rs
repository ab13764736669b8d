//! What the objects' statuses are to say, and the writes that make them say it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use kube::{Client, api::PatchParams};
use serde_json::Value;

use super::{
    evidence::Verdict,
    plans::Plans,
    quarantine::generation,
    world::{World, version},
};
use crate::{
    clock::Clock,
    conditions::patch,
    dataplane::ObjectRef,
    objects::{self, Written},
};

/// Who writes.
const FIELD_MANAGER: &str = "tidegate-gateway";
/// What waits no longer than this may be said at the next acknowledgement.
const AWAITED: Duration = Duration::from_secs(2);
/// Writes at once; those that say only the same in other words, one after the other.
const AT_ONCE: usize = 16;
/// How long a write that failed waits.
const RETRY: Duration = Duration::from_secs(2);

/// A write that has ended.
pub struct Ended {
    named: ObjectRef,
    over: Arc<Value>,
    outcome: Written,
}

/// What is to be said, and is not yet.
struct Unsaid {
    verdict: Verdict,
    /// Since when it is so; what it says in detail may change.
    since: Duration,
    /// How long it waits.
    patience: Duration,
    /// Not before.
    after: Duration,
    /// The version over which it could not be written, for it is not the newest.
    overtaken: Option<Arc<Value>>,
}

/// The statuses of all objects.
pub struct Statuses {
    client: Client,
    clock: Clock,
    unsaid: BTreeMap<ObjectRef, Unsaid>,
    under_way: BTreeSet<ObjectRef>,
    writes: FuturesUnordered<BoxFuture<'static, Ended>>,
}

impl Statuses {
    /// None is to be said yet.
    pub fn new(client: Client, clock: Clock) -> Self {
        let (unsaid, under_way) = (BTreeMap::new(), BTreeSet::new());
        Self { client, clock, unsaid, under_way, writes: FuturesUnordered::new() }
    }

    /// The objects of which something is not said yet that somebody may wait for. The others are for a look at all of them.
    pub fn urgent(&self) -> impl Iterator<Item = &ObjectRef> {
        self.unsaid.iter().filter(|(_, unsaid)| unsaid.patience <= AWAITED).map(|(named, _)| named)
    }

    /// Whether something is not said yet.
    pub fn is_behind(&self) -> bool {
        !self.unsaid.is_empty()
    }

    /// Of others than these nothing is to be said any more.
    pub fn forget_others(&mut self, named: &BTreeSet<ObjectRef>) {
        self.unsaid.retain(|unsaid, _| named.contains(unsaid));
    }

    /// The next write that ends; never where none is under way.
    pub async fn written(&mut self) -> Ended {
        match self.writes.next().await {
            Some(written) => written,
            None => std::future::pending().await,
        }
    }

    /// Takes in that a write has ended.
    pub fn take(&mut self, Ended { named, over, outcome }: Ended, world: &mut World) {
        self.under_way.remove(&named);
        match outcome {
            Written::Stored(object) => {
                self.unsaid.remove(&named);
                world.stored(&named, &over, *object);
            }
            Written::Overtaken => {
                if let Some(unsaid) = self.unsaid.get_mut(&named) {
                    unsaid.overtaken = Some(over);
                }
            }
            Written::Failed => {
                let after = self.clock.elapsed() + RETRY;
                if let Some(unsaid) = self.unsaid.get_mut(&named) {
                    unsaid.after = after;
                }
            }
        }
    }

    /// Says of these objects what is to be said by now.
    pub fn tell(&mut self, world: &World, plans: &Plans, names: BTreeSet<ObjectRef>) {
        let now = self.clock.elapsed();
        for named in names {
            let Some(object) = world.get(&named) else {
                self.unsaid.remove(&named);
                continue;
            };
            let verdict = Verdict::of(&plans.claim(&named, object));
            let Some(patience) = verdict.patience(named.kind, generation(object), &object["status"]) else {
                self.unsaid.remove(&named);
                continue;
            };
            let known = self.unsaid.entry(named.clone()).or_insert_with(|| Unsaid {
                verdict: verdict.clone(),
                since: now,
                patience,
                after: now,
                overtaken: None,
            });
            if (known.verdict.holds, known.verdict.reason) != (verdict.holds, verdict.reason) {
                known.since = now;
            }
            (known.verdict, known.patience) = (verdict, patience);
            // A watch will bring the newer one.
            let is_newest = known.overtaken.as_ref().is_none_or(|over| version(over) != version(object));
            let is_due = now.saturating_sub(known.since) >= patience && now >= known.after;
            let places = if patience > Duration::ZERO { 1 } else { AT_ONCE };
            if is_due && is_newest && !self.under_way.contains(&named) && self.under_way.len() < places {
                let verdict = known.verdict.clone();
                self.write(named, object, &verdict);
            }
        }
    }

    fn write(&mut self, named: ObjectRef, object: &Arc<Value>, verdict: &Verdict) {
        let status = &object["status"];
        let wanted = verdict.status(named.kind, generation(object), status, self.clock.now());
        let Some(patch) = patch(version(object), status, &wanted) else {
            self.unsaid.remove(&named);
            return;
        };
        self.under_way.insert(named.clone());
        let (client, over) = (self.client.clone(), Arc::clone(object));
        self.writes.push(Box::pin(async move {
            let parameters =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let outcome = objects::write_status(client, &named, &parameters, patch).await;
            Ended { named, over, outcome }
        }));
    }
}
