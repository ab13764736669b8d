//! Whose turn it is: each Rollout one at a time, as many Rollouts at once as there are.
//!
//! kube's own runner asks every turn under way whether it is over whenever one of them, or anything that is due, goes on:
//! with hundreds that wait for their writes this takes longer than all they do. Here a turn that ends says so.

use std::{
    collections::HashSet,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt, stream, stream::FuturesUnordered};
use kube::runtime::{
    reflector::ObjectRef,
    scheduler::{ScheduleRequest, Scheduler},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    context::{Context, Guarded},
    turn,
};

type Key = ObjectRef<Guarded>;
/// A turn under way: whose it is, and how long until the next one where nothing happens before.
type UnderWay = Pin<Box<dyn Future<Output = (Key, Option<Duration>)> + Send>>;

/// Gives turns to those who are due, until that ends, and lets those under way end. Nobody has one before the Rollouts
/// are known.
pub async fn run(context: Arc<Context>, due: impl Stream<Item = Key> + Send) {
    let (again, mut asked) = mpsc::unbounded_channel();
    let asked = stream::poll_fn(move |task| asked.poll_recv(task));
    let (ended, over) = tokio::sync::oneshot::channel::<()>();
    let due = due.map(|key| at(key, Duration::ZERO)).chain(
        // Whoever waits for a next turn waits for nothing once nobody new is due.
        stream::once(async move { drop(ended) }).filter_map(async |()| None),
    );
    let requests = stream::select(due, asked.take_until(over));
    let mut scheduler = pin!(kube::runtime::scheduler(requests));
    if !known(&context, scheduler.as_mut()).await {
        return;
    }
    let mut names = HashSet::new();
    let mut turns: FuturesUnordered<UnderWay> = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some((key, next)) = turns.next(), if !turns.is_empty() => {
                names.remove(&key);
                if let Some(wait) = next {
                    // Nobody listens any more only where it is over.
                    let _ = again.send(at(key, wait));
                }
            }
            key = next(scheduler.as_mut(), &names) => {
                let Some(key) = key else { break };
                // One that was deleted meanwhile needs no turn.
                if let Some(rollout) = context.rollouts.get(&key) {
                    names.insert(key.clone());
                    turns.push(turn::reconcile(rollout, Arc::clone(&context)).map(|next| (key, next)).boxed());
                }
            }
        }
    }
    while turns.next().await.is_some() {}
}

#[expect(clippy::disallowed_methods, reason = "the scheduler runs by tokio's clock")]
fn at(message: Key, wait: Duration) -> ScheduleRequest<Key> {
    ScheduleRequest { message, run_at: Instant::now() + wait }
}

/// The next one who is due and has no turn under way.
async fn next<R>(scheduler: Pin<&mut Scheduler<Key, R>>, under_way: &HashSet<Key>) -> Option<Key>
where
    R: Stream<Item = ScheduleRequest<Key>>,
{
    scheduler.hold_unless(|key| !under_way.contains(key)).next().await
}

/// Waits until the Rollouts are known; who is due meanwhile has its turn afterwards. What is due also brings them, so it
/// is listened to. Returns false where it ends before.
async fn known<R>(context: &Context, mut scheduler: Pin<&mut Scheduler<Key, R>>) -> bool
where
    R: Stream<Item = ScheduleRequest<Key>>,
{
    tokio::select! {
        biased;
        ready = context.rollouts.wait_until_ready() => ready.is_ok(),
        _ = async { scheduler.as_mut().hold().next().await } => false,
    }
}
