//! The controller: joins the engine, which decides, with the effects, which do.
//!
//! A turn of a Rollout has four verbs: observe, decide, act, publish (`turn`, `carrying`). It reads memory only, which
//! the watches fill (`feeds`, `stores`); it says what it will do before it does it; and what it failed to do it decides
//! anew. No turn waits for a metric backend (`looks`) or an Event (`notes`), and a lowering waits for nothing at all
//! (`precedence`).

mod act;
mod ahead;
mod asks;
mod carrying;
mod context;
mod dialect;
mod error;
mod feeds;
mod following;
mod guarded;
mod interests;
mod kinds;
mod leading;
mod leases;
mod looks;
pub mod meters;
mod notes;
mod observe;
mod on_demand;
mod outbox;
mod own;
pub mod permissions;
mod precedence;
mod publish;
mod raw;
mod replicas;
mod returning;
mod served_schema;
mod server;
mod sharing;
mod start;
mod stores;
mod templates;
mod turn;
mod turns;
mod users;
mod workloads;

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use kube::{Client, runtime::reflector};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use leading::{Candidate, Leadership};
pub use start::{OLDEST_MINOR, client};

use crate::{
    api::RouteKind,
    clock::Clock,
    config::Config,
    engine::observed::Allowed,
    gates::Gates,
    metrics::Providers,
    notify::{Notifier, Receivers},
};
use context::{Context, Guarded, Parts};
use meters::{Meters, Scrape};
use notes::Notes;
use outbox::Outbox;
use precedence::Precedence;
use replicas::Claim;

/// What is under way at a shutdown may take so long to end.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs the controller until `shutdown`; then it starts no further turns, ends those under way within five seconds, and
/// lets leadership go. Where that is lost it ends with an error. The client must retry nothing by itself; [`client`]
/// makes one.
pub async fn run(
    config: Config,
    client: Client,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<(), Error> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|source| Error::Listen { address: config.listen, source })?;
    run_on(listener, config, client, shutdown).await
}

/// The same, with health and metrics on a listener that is bound already.
pub async fn run_on(
    listener: TcpListener,
    config: Config,
    client: Client,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<(), Error> {
    let providers = Providers::from_config(&config.providers)?;
    let gates = Gates::new(&config.gates)?;
    let outbox = Arc::new(Outbox::new(Receivers::new(&config.notifications)?));
    let meters = Arc::new(Meters::new());
    let client = meters::counted(&client, &meters, Clock::start());
    start::check(&client, &config.namespaces).await?;
    let (leadership, claim) = Claim::new(&config, &client).await?;
    // What serves turns stops last, so that a turn under way can still tell.
    let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
    let precedence = Arc::new(Precedence::new());
    let instance = std::env::var("HOSTNAME").ok();
    let notifier = Notifier::new(&client, Clock::start(), instance);
    let allowed = Allowed { previews: config.previews, scaling: config.scaling };
    let parts = |rollouts| Parts {
        client: client.clone(),
        providers: providers.clone(),
        gates: gates.clone(),
        outbox: Arc::clone(&outbox),
        notes: Notes::start(notifier.clone(), Arc::clone(&meters), Arc::clone(&precedence), stopped.clone()),
        meters: Arc::clone(&meters),
        precedence: Arc::clone(&precedence),
        leadership: Arc::clone(&leadership),
        clock: Clock::start(),
        rollouts,
        allowed,
    };
    let scopes: Vec<feeds::Scope> = match config.namespaces.as_slice() {
        [] => vec![None],
        namespaces => namespaces.iter().cloned().map(Some).collect(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(start::tell_missing(client.clone(), config.namespaces.clone(), allowed));
    let mut turns = JoinSet::new();
    let mut contexts = Vec::new();
    for scope in scopes {
        let (rollouts, writer) = reflector::store();
        let (context, woken) = Context::new(parts(rollouts));
        for kind in RouteKind::ALL {
            tasks.spawn(feeds::routes(Arc::clone(&context), kind, scope.clone(), stopped.clone()));
        }
        tasks.spawn(feeds::deployments(Arc::clone(&context), scope.clone(), stopped.clone()));
        tasks.spawn(feeds::stateful_sets(Arc::clone(&context), scope.clone(), stopped.clone()));
        tasks.spawn(feeds::scalers(Arc::clone(&context), scope.clone(), stopped.clone()));
        tasks.spawn(feeds::templates(Arc::clone(&context), scope.clone(), stopped.clone()));
        turns.spawn(serve(Arc::clone(&context), writer, woken, scope, stop.clone()));
        contexts.push(context);
    }
    let scrape = Scrape::new(Arc::clone(&meters), contexts.clone(), config.metrics.per_rollout);
    tasks.spawn(server::serve(listener, contexts.clone(), scrape, stopped.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the controller runs");

    let release = CancellationToken::new();
    let mut leading = pin!(claim.keep(contexts, &meters, release.clone()));
    let lost = tokio::select! {
        () = shutdown => None,
        ended = &mut leading => ended.err(),
        // Whoever gives no turns must not keep others from giving them.
        _ = turns.join_next() => Some(Error::TurnsEnded),
    };
    tracing::info!("shutting down: no further turns, those under way end");
    stop.cancel();
    let drained = async { while turns.join_next().await.is_some() {} };
    let outcome = if let Some(error) = lost {
        drain(drained).await;
        Err(error)
    } else {
        // Leadership is kept until the last write.
        let drained = async {
            drain(drained).await;
            release.cancel();
        };
        tokio::join!(drained, leading).1
    };
    stopped.cancel();
    tasks.shutdown().await;
    outcome
}

async fn drain(turns: impl Future<Output = ()>) {
    if tokio::time::timeout(DRAIN, turns).await.is_err() {
        tracing::warn!("some turns did not end in time; what they did is read back at the next start");
    }
}

/// Gives the Rollouts of a scope their turns until `stop`, and lets those under way end.
async fn serve(
    context: Arc<Context>,
    writer: reflector::store::Writer<Guarded>,
    mut woken: tokio::sync::mpsc::UnboundedReceiver<reflector::ObjectRef<Guarded>>,
    scope: feeds::Scope,
    stop: CancellationToken,
) {
    let changed = feeds::rollouts(&context, writer, &scope);
    let woken = stream::poll_fn(move |task| woken.poll_recv(task));
    let due = stream::select(changed, woken).take_until(stop.cancelled_owned());
    turns::run(context, due, turn::reconcile).await;
}
