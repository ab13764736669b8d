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

use super::context::{Context, Guarded};

type Key = ObjectRef<Guarded>;
/// A turn under way: whose it is, and how long until the next one where nothing happens before.
type UnderWay = Pin<Box<dyn Future<Output = (Key, Option<Duration>)> + Send>>;

/// Gives turns to those who are due, until that ends, and lets those under way end. Nobody has one before the Rollouts
/// are known. A turn says how long it is until the next one, where nothing gives it one before.
pub async fn run<T>(
    context: Arc<Context>,
    due: impl Stream<Item = Key> + Send,
    turn: impl Fn(Arc<Guarded>, Arc<Context>) -> T,
) where
    T: Future<Output = Option<Duration>> + Send + 'static,
{
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
                    turns.push(turn(rollout, Arc::clone(&context)).map(|next| (key, next)).boxed());
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

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use http::{Request, Response};
    use http_body_util::BodyExt;
    use kube::{
        Client, ResourceExt,
        client::Body,
        runtime::{reflector, watcher::Event},
    };
    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        clock::Clock,
        config::Config,
        controller::{
            context::{Parts, lock},
            error::TurnError,
            leading::Leadership,
            meters::Meters,
            notes::Notes,
            outbox::Outbox,
            precedence::Precedence,
            turn::confined,
        },
        gates::Gates,
        metrics::Providers,
        notify::{Notifier, Receivers},
    };

    type Told = Arc<Mutex<Vec<Value>>>;

    /// An API server that takes Events and nothing else.
    fn events() -> (Client, Told) {
        let told = Told::default();
        let kept = Arc::clone(&told);
        let service = tower::service_fn(move |request: Request<Body>| {
            let kept = Arc::clone(&kept);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let event: Value = serde_json::from_slice(&body).unwrap_or_default();
                lock(&kept).push(event.clone());
                Ok::<_, kube::Error>(Response::new(Body::from(event.to_string().into_bytes())))
            }
        });
        (Client::new(service, "ns"), told)
    }

    fn context(client: Client) -> (Arc<Context>, reflector::store::Writer<Guarded>) {
        let (rollouts, writer) = reflector::store();
        let (meters, precedence) = (Arc::new(Meters::new()), Arc::new(Precedence::new()));
        let notifier = Notifier::new(&client, Clock::start(), None);
        let parts = Parts {
            client,
            gates: Gates::default(),
            outbox: Arc::new(Outbox::new(Receivers::default())),
            providers: Providers::from_config(&Config::default().providers).unwrap(),
            notes: Notes::start(
                notifier,
                Arc::clone(&meters),
                Arc::clone(&precedence),
                CancellationToken::new(),
            ),
            meters,
            precedence,
            leadership: Arc::new(Leadership::undisputed()),
            clock: Clock::start(),
            rollouts,
            allowed: crate::engine::observed::Allowed::default(),
        };
        (Context::new(parts).0, writer)
    }

    fn rollout(name: &str) -> Guarded {
        let metadata = json!({"namespace": "ns", "name": name, "uid": name, "resourceVersion": "1"});
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_whose_turns_panic_is_told_once_and_hinders_nobody() {
        let (client, told) = events();
        let (context, mut writer) = context(client);
        writer.apply_watcher_event(&Event::Init);
        for name in ["broken", "sound"] {
            writer.apply_watcher_event(&Event::InitApply(rollout(name)));
        }
        writer.apply_watcher_event(&Event::InitDone);
        context.entry("broken").working.lock().await.memory.held = Some(7);
        // It had a turn that went well, and is to have another one.
        *lock(&context.entry("broken").wake) = Some(context.clock.now());

        let turns: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let mended = Arc::new(AtomicUsize::new(usize::MAX));
        let count = Arc::clone(&turns);
        let from = Arc::clone(&mended);
        let turn = move |guarded: Arc<Guarded>, context: Arc<Context>| {
            let name = guarded.name_any();
            let mut counts = lock(&count);
            let nth = counts.entry(name.clone()).or_default();
            *nth += 1;
            let broken = name == "broken" && *nth < from.load(Ordering::Relaxed);
            let uid = guarded.uid().unwrap_or_default();
            let shared = Arc::clone(&context);
            let turn = async move {
                tokio::task::yield_now().await;
                assert!(!broken, "a planted defect with a secret in it");
                shared.at_work(&uid);
                Ok::<_, TurnError>(Some(Duration::from_secs(1)))
            };
            confined(guarded, context, turn)
        };
        let stop = CancellationToken::new();
        let due = stream::iter(["broken", "sound"].map(|name| ObjectRef::new(name).within("ns")))
            .chain(stream::pending())
            .take_until(stop.clone().cancelled_owned());
        let running = tokio::spawn(run(Arc::clone(&context), due, turn));

        tokio::time::sleep(Duration::from_mins(5)).await;
        let counts = lock(&turns).clone();
        assert!(counts["sound"] > 250, "{counts:?}");
        assert!((10..=30).contains(&counts["broken"]), "tried again, slowly: {counts:?}");
        let events = lock(&told).clone();
        assert_eq!(events.len(), 1, "{events:#?}");
        assert_eq!(events[0]["reason"], "Defect");
        let regarding = &events[0]["regarding"]["name"];
        assert_eq!(regarding, "broken");
        assert!(!events[0].to_string().contains("secret"), "{events:#?}");
        assert_eq!(context.set_aside(), 1);
        let anew = context.entry("broken").anew.load(Ordering::Relaxed);
        assert!(anew, "what was half done is not gone on with");

        mended.store(0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(context.set_aside(), 0);
        stop.cancel();
        running.await.unwrap();
    }
}
