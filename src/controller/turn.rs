//! A turn of one Rollout: observe, decide, and carry out (`carrying`). Everything is decided in the engine.

use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use futures::{FutureExt, future::join_all, poll};
use jiff::Timestamp;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use tokio_util::task::AbortOnDropHandle;

use super::{
    carrying::{Turn, Used},
    context::{Context, Entry, Guarded, Looked, Working, lock},
    dialect,
    error::{REFUSED_FOR_GOOD, TurnError, backoff},
    observe::{Unlisted, hide_problems, holds, observe, unlisted},
    outbox,
    own::Own,
    publish,
};
use crate::{
    api::{INSTALL_CRDS, Rollout, RolloutStatus},
    engine::{
        self,
        decision::{Decision, Effect, Note},
        observed::Observed,
    },
};

/// What is told of a Rollout whose turn panicked. Nothing of the panic itself: it may hold anything.
const DEFECT: &str = "A defect of the controller ended its decision about this Rollout: its routes stay as they are, and \
                      it is tried again twice a minute; the other Rollouts go on. The controller's log says where: \
                      please report it, and shift traffic by hand where that can't wait";

/// Gives a Rollout its turn. A panic is confined to it.
///
/// Most turns wait for nothing and end where they begin. One that waits goes on as a task of its own: thousands of
/// tasks at a start would take the memory of thousands of turns, and the turns of others go on meanwhile.
///
/// Returns how long until its next turn, where nothing gives it one before.
pub async fn reconcile(guarded: Arc<Guarded>, context: Arc<Context>) -> Option<Duration> {
    let turn = turn(Arc::clone(&context), Arc::clone(&guarded));
    Box::pin(confined(guarded, context, turn)).await
}

/// Sees a turn through; a panic of it, too, has an end that is told and a next turn.
#[tracing::instrument(skip_all, fields(namespace = guarded.namespace(), rollout = guarded.name_any()))]
pub(super) async fn confined(
    guarded: Arc<Guarded>,
    context: Arc<Context>,
    turn: impl Future<Output = Result<Option<Duration>, TurnError>> + Send + 'static,
) -> Option<Duration> {
    let started = context.clock.now();
    let turn = AssertUnwindSafe(turn).catch_unwind();
    let mut turn = Box::pin(tracing::Instrument::in_current_span(turn));
    // Tokio would have it wait for its neighbours' sake.
    let outcome = match poll!(tokio::task::unconstrained(turn.as_mut())) {
        Poll::Ready(outcome) => outcome.ok(),
        // It ends with whoever waits for it: past a shutdown nothing goes on writing.
        Poll::Pending => AbortOnDropHandle::new(tokio::spawn(turn)).await.ok().and_then(Result::ok),
    };
    let outcome = outcome.unwrap_or(Err(TurnError::Panicked));
    let took = context.clock.now().duration_since(started);
    context.meters.turn(Duration::try_from(took).unwrap_or_default());
    outcome.unwrap_or_else(|error| Some(after_error(&guarded, &error, &context)))
}

/// The one place where a failed turn is told, and where it is decided when the next one comes.
fn after_error(guarded: &Guarded, error: &TurnError, context: &Context) -> Duration {
    let entry = context.entry(&guarded.uid().unwrap_or_default());
    // News are no failure.
    let attempt = if matches!(error, TurnError::Overtaken) { 0 } else { entry.failed() };
    if let TurnError::Panicked = error {
        // What the turn left half done is not gone on with, nor what it was to be followed by.
        entry.anew.store(true, Ordering::Relaxed);
        *lock(&entry.wake) = None;
        if context.quarantine(&guarded.uid().unwrap_or_default()) {
            warn(guarded, context, "Defect", DEFECT.to_owned());
        }
    }
    let mut wait = backoff(error.again(), attempt, fastrand::f64());
    // What the Rollout waits for besides does not wait longer for its failure.
    if let Some(wake) = *lock(&entry.wake) {
        wait = wait.min(until(wake, context.clock.now()));
    }
    context.meters.error(error.label());
    if let TurnError::Forbidden { .. } = error
        && attempt >= REFUSED_FOR_GOOD
        && !entry.told_forbidden.swap(true, Ordering::Relaxed)
    {
        // A status that can't be stored can't say so: an Event does, once for each row of refusals.
        warn(guarded, context, "Forbidden", error.to_string());
    }
    let (namespace, rollout) = (guarded.namespace(), guarded.name_any());
    let cause = error.cause();
    if error.is_race() {
        tracing::debug!(namespace, rollout, %error, cause, attempt, "the turn is tried again");
    } else {
        tracing::warn!(namespace, rollout, %error, cause, attempt, retry_in = ?wait, "the turn failed");
    }
    wait
}

async fn turn(context: Arc<Context>, watched: Arc<Guarded>) -> Result<Option<Duration>, TurnError> {
    let uid = watched.uid().unwrap_or_default();
    if !context.leadership.leads_for(&uid) {
        // Whoever may act on it from some time on gives it a turn, and tells of it what there is to tell.
        context.at_work(&uid);
        return Ok(None);
    }
    let entry = context.entry(&uid);
    let mut working = entry.working.lock().await;
    if entry.anew.swap(false, Ordering::Relaxed) {
        *working = Working { refresh: true, ..Working::default() };
        // What gates said then may be long over; a look knows its time by itself.
        lock(&entry.asks).done = None;
    }
    // What there was of news by now is seen by this turn.
    let _ = entry.news.notified().now_or_never();
    let read = match working.read(&context, &entry, &watched).await {
        Read::Gone => return Ok(None),
        Read::Invalid(why) => {
            working.memory.stop_clocks();
            if context.quarantine(&uid) {
                tell_undecodable(&watched, &context, &why);
            }
            return Ok(None);
        }
        Read::Is(read) => read,
    };
    if !context.leadership.leads_for(&uid) {
        // It was another's while it was read, whose record would be taken for what to go on from.
        return Ok(None);
    }

    let now = context.clock.now();
    working.problems.retain(|_, problem| problem.until > now);
    let (mut seen, mut decision) = working.decide(&context, entry.take_look(), &read, now);
    if dialect::explain(&context, &mut seen).await {
        decision = engine::decide(&read.rollout.spec, &read.status, &seen, &working.memory, now);
    }
    // A thousand turns that wait for their writes take the memory of what each of them holds: no more than it needs.
    let Observed { subject, look, answered, .. } = seen;
    let Reading { rollout, stored, failed, .. } = read;
    let own = Own { rollout, status: stored };
    let turn = Turn { context: &context, entry: &entry, subject: &subject, now, lowers: decision.lowers() };
    let used = Used { look, answered };
    let acted = turn.carry_out(&mut working, own, &used, &decision).await;
    working.memory.not_watched(now, context.clock.now());

    let due = working.problems.values().map(|problem| problem.until).chain(decision.wake).min();
    *lock(&entry.wake) = due;
    if working.memory.newer {
        context.quarantine(&uid);
    } else {
        context.at_work(&uid);
    }
    if let Some(own) = &working.own {
        // One that is deleted keeps nothing for long: what there is to tell of that is sent as it is decided.
        let notices = if subject.deleting { &decision.after.notices } else { &own.status.notices };
        outbox::send(&context, &entry, own, notices);
    }
    acted?;
    if let Some(error) = failed {
        return Err(error);
    }
    entry.went_well();
    // What was just written is known here already, and its echo gives no turn: what follows from it is decided now.
    if working.refresh || wrote(&decision) {
        return Ok(Some(Duration::ZERO));
    }
    let Some(due) = due else {
        working.rest(context.shown(&ObjectRef::from_obj(watched.as_ref())));
        return Ok(None);
    };
    Ok(Some(until(due, context.clock.now())))
}

/// Whether a decision that was carried out has left the cluster other than it saw it.
fn wrote(decision: &Decision) -> bool {
    decision.before.is_some() || decision.effects.iter().any(Effect::writes)
}

/// A Rollout at the beginning of a turn.
struct Reading {
    rollout: Arc<Rollout>,
    /// Its status as it is stored.
    stored: Arc<RolloutStatus>,
    /// Its status as last decided, stored or not.
    status: Arc<RolloutStatus>,
    /// The others that were read with it; none where it comes from a cache.
    read: Option<Unlisted>,
    /// It should have been read from the API server, and could not be.
    failed: Option<TurnError>,
}

enum Read {
    Is(Reading),
    Gone,
    /// It can't be read as a Rollout, and why.
    Invalid(String),
}

impl Working {
    /// The newest Rollout known, read from the API server where that is due.
    async fn read(&mut self, context: &Context, entry: &Entry, watched: &Guarded) -> Read {
        let (mut failed, mut read) = (None, None);
        if self.refresh {
            let asked = context.clock.now();
            match publish::read(context, watched.meta()).await {
                Ok(None) => return Read::Gone,
                Ok(Some(own)) => {
                    read = Some(read_unlisted(context, &own, &self.memory.gone).await);
                    self.refresh = false;
                    if let Some((before, sent)) = self.unsure.take()
                        && own.status == sent
                    {
                        context.meters.stored(&before, &sent, context.clock.now());
                    }
                    self.remember(entry, own);
                }
                Err(error) => failed = Some(error),
            }
            self.memory.not_watched(asked, context.clock.now());
        }
        self.own.take_if(|own| !holds(&own.rollout, watched.meta()));
        let own = match &mut self.own {
            Some(own) => own,
            None => match watched.rollout() {
                Ok(rollout) => self.own.insert(rollout.into()),
                Err(why) => return Read::Invalid(why),
            },
        };
        match &self.base {
            Some(base) if Arc::ptr_eq(base, &own.status) => {}
            // The same from now on, so that it is not compared again.
            Some(base) if *base == own.status => own.status = Arc::clone(base),
            // Somebody else wrote status: what we made of the old one no longer counts.
            Some(_) | None => {
                self.status = Some(Arc::clone(&own.status));
                self.base = Some(Arc::clone(&own.status));
            }
        }
        let Own { rollout, status: stored } = own.clone();
        let status = self.status.clone().unwrap_or_default();
        Read::Is(Reading { rollout, stored, status, read, failed })
    }

    fn decide(
        &self,
        context: &Context,
        looked: Looked,
        read: &Reading,
        now: Timestamp,
    ) -> (Observed, Decision) {
        let rollout = &read.rollout;
        let status = &read.status;
        let seen = observe(context, looked, rollout, Arc::clone(&read.stored), status, read.read.as_ref());
        let decide = |seen: &Observed| engine::decide(&rollout.spec, status, seen, &self.memory, now);
        let decision = decide(&seen);
        match hide_problems(&seen, &decision, &self.problems) {
            None => (seen, decision),
            Some(hidden) => {
                let decision = decide(&hidden);
                (hidden, decision)
            }
        }
    }

    /// Whether a decision on what is known now would lower something. Nothing is taken for it.
    pub(super) fn calls_for_lowering(&self, context: &Context, entry: &Entry, own: &Own) -> bool {
        let rollout = &own.rollout;
        let watched = context.rollouts.get(&named(rollout));
        let newer = watched.filter(|watched| !holds(rollout, watched.meta()));
        let newer = newer.and_then(|watched| watched.rollout().ok()).map(Own::from);
        let Own { rollout, status: stored } = newer.unwrap_or_else(|| own.clone());
        let read = Reading {
            stored,
            rollout,
            status: self.status.clone().unwrap_or_default(),
            read: None,
            failed: None,
        };
        let (_, decision) = self.decide(context, entry.peek_look(), &read, context.clock.now());
        decision.lowers()
    }

    /// Takes in what our own write or read returned.
    pub(super) fn remember(&mut self, entry: &Entry, own: Own) {
        entry.own_version.fetch_max(own.version(), Ordering::Relaxed);
        self.own = Some(own);
    }

    /// A status was sent and not stored. It may stand all the same: what has happened by it is counted once it is read back.
    pub(super) fn not_stored(&mut self, own: &Own, sent: &Arc<RolloutStatus>, error: &TurnError) {
        let unsure = matches!(error, TurnError::StatusUnknown(_));
        self.unsure = unsure.then(|| (Arc::clone(&own.status), Arc::clone(sent)));
    }

    /// Takes in what our own write of a status returned: the working status stands on it.
    pub(super) fn stand_on(&mut self, entry: &Entry, stored: Own) {
        self.base = Some(Arc::clone(&stored.status));
        self.remember(entry, stored);
    }
}

/// Reads those that left a stamp on its routes, that no list has and that are not known to be gone. One that can't be read lives.
async fn read_unlisted(context: &Context, own: &Own, gone: &BTreeSet<String>) -> Unlisted {
    let namespace = own.rollout.namespace().unwrap_or_default();
    let asked =
        unlisted(context, &own.rollout, &own.status).into_iter().filter(|(_, uid)| !gone.contains(uid));
    let read = asked.map(|(name, uid)| {
        let namespace = &namespace;
        async move { Some((publish::uid_of(context, namespace, &name).await.unwrap_or(Some(uid))?, name)) }
    });
    join_all(read).await.into_iter().flatten().map(|(uid, name)| (name, uid)).collect()
}

fn named(rollout: &Rollout) -> ObjectRef<Guarded> {
    ObjectRef::new(&rollout.name_any()).within(&rollout.namespace().unwrap_or_default())
}

/// A Rollout that can't be read is told once, and left alone until it changes.
fn tell_undecodable(guarded: &Guarded, context: &Context, why: &str) {
    context.meters.error("Undecodable");
    tracing::error!(error = why, "the Rollout can't be read and is left alone until it changes");
    let message = format!(
        "This Rollout can't be read ({why}) and is left alone until it is put right; its routes stay as they are. The \
         installed CRD may be older or newer than the controller: {INSTALL_CRDS}"
    );
    warn(guarded, context, "Undecodable", message);
}

/// Tells what a status can't.
fn warn(guarded: &Guarded, context: &Context, reason: &'static str, message: String) {
    let note = Note { warning: true, reason, message, run: None, step: None };
    context.notes.tell(guarded.object_ref(&()), note);
}

/// How long until a moment; a little at least, so that a moment just past can't spin.
fn until(moment: Timestamp, now: Timestamp) -> Duration {
    const LEAST: Duration = Duration::from_millis(5);
    Duration::try_from(moment.duration_since(now)).unwrap_or_default().max(LEAST)
}
