//! A turn of one Rollout: observe, decide, act, publish. Everything is decided in the engine; a turn says what it
//! will do before it does it, and publishes even where it failed to do it.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use futures::{FutureExt, poll};
use jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};
use tokio::sync::SemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

use super::{
    act,
    context::{Context, Entry, Guarded, Looked, Working, lock},
    dialect,
    error::{REFUSED_FOR_GOOD, TurnError, backoff},
    looks,
    observe::{hide_problems, holds, observe},
    precedence::Kind,
    publish,
    stores::version,
};
use crate::{
    api::{Rollout, RolloutStatus},
    engine::{
        self,
        decision::{Decision, Effect, Note, RouteWrite},
        observed::{LookDone, Observed},
    },
};

/// How long a turn waits for its place among those who write.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives a Rollout its turn. A panic is confined to it.
///
/// Most turns wait for nothing and end where they begin. One that waits goes on as a task of its own: thousands of
/// tasks at a start would take the memory of thousands of turns, and the turns of others go on meanwhile.
#[tracing::instrument(skip_all, fields(namespace = guarded.namespace(), rollout = guarded.name_any()))]
pub async fn reconcile(guarded: Arc<Guarded>, context: Arc<Context>) -> Result<Action, TurnError> {
    let started = context.clock.now();
    let turn = AssertUnwindSafe(turn(Arc::clone(&context), guarded)).catch_unwind();
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
    outcome
}

/// The one place where a failed turn is told, and where it is decided when the next one comes.
pub fn after_error(guarded: &Guarded, error: &TurnError, context: &Context) -> Action {
    let entry = context.entry(&guarded.uid().unwrap_or_default());
    // News are no failure.
    let attempt = if matches!(error, TurnError::Overtaken) { 0 } else { entry.failed() };
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
        tell_forbidden(guarded, error, context);
    }
    let (namespace, rollout) = (guarded.namespace(), guarded.name_any());
    let cause = error.cause();
    if error.is_race() {
        tracing::debug!(namespace, rollout, %error, cause, attempt, "the turn is tried again");
    } else {
        tracing::warn!(namespace, rollout, %error, cause, attempt, retry_in = ?wait, "the turn failed");
    }
    Action::requeue(wait)
}

async fn turn(context: Arc<Context>, watched: Arc<Guarded>) -> Result<Action, TurnError> {
    let uid = watched.uid().unwrap_or_default();
    let entry = context.entry(&uid);
    let mut working = entry.working.lock().await;
    // What there was of news by now is seen by this turn.
    let _ = entry.news.notified().now_or_never();
    let read = match working.read(&context, &entry, &watched).await {
        Read::Gone => return Ok(Action::await_change()),
        Read::Invalid(why) => {
            quarantine(&context, &watched, &why);
            return Ok(Action::await_change());
        }
        Read::Is(read) => read,
    };
    context.readable(&uid);

    let now = context.clock.now();
    working.problems.retain(|_, problem| problem.until > now);
    let (mut seen, mut decision) = working.decide(&context, entry.take_look(), &read, now);
    if dialect::explain(&context, &mut seen).await {
        decision = engine::decide(&read.rollout.spec, &read.status, &seen, &working.memory, now);
    }
    // A thousand turns that wait for their writes take the memory of what each of them holds: no more than it needs.
    let Observed { subject, look, .. } = seen;
    let Reading { rollout, failed, .. } = read;
    let turn = Turn { context: &context, entry: &entry, namespace: &subject.namespace, now };
    let acted = turn.carry_out(&mut working, rollout, look.as_ref(), &decision).await;

    let due = working.problems.values().map(|problem| problem.until).chain(decision.wake).min();
    *lock(&entry.wake) = due;
    acted?;
    if let Some(error) = failed {
        return Err(error);
    }
    entry.went_well();
    // What was just written is known here already, and its echo gives no turn: what follows from it is decided now.
    if working.refresh || wrote(&decision) {
        return Ok(Action::requeue(Duration::ZERO));
    }
    let Some(due) = due else {
        working.rest(context.shown(&ObjectRef::from_obj(watched.as_ref())));
        return Ok(Action::await_change());
    };
    Ok(Action::requeue(until(due, context.clock.now())))
}

/// A status that can't be stored can't say so: an Event does, once for each row of refusals.
fn tell_forbidden(guarded: &Guarded, error: &TurnError, context: &Context) {
    let message = error.to_string();
    let note = Note { warning: true, reason: "Forbidden", message, run: None, step: None };
    context.notes.tell(guarded.object_ref(&()), note);
}

/// Whether a decision that was carried out has left the cluster other than it saw it.
fn wrote(decision: &Decision) -> bool {
    let writes = |effect: &Effect| match effect {
        Effect::Write(_) | Effect::Hold | Effect::Release => true,
        Effect::Look { .. } | Effect::Tell(_) | Effect::Reread => false,
    };
    decision.before.is_some() || decision.effects.iter().any(writes)
}

/// A Rollout at the beginning of a turn.
struct Reading {
    rollout: Arc<Rollout>,
    /// Its status as last decided, stored or not.
    status: Arc<RolloutStatus>,
    fresh: bool,
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
        let mut failed = None;
        let mut fresh = false;
        if self.refresh {
            match publish::read(context, watched.meta()).await {
                Ok(None) => return Read::Gone,
                Ok(Some(read)) => {
                    self.remember(entry, read);
                    self.refresh = false;
                    fresh = true;
                }
                Err(error) => failed = Some(error),
            }
        }
        self.own.take_if(|own| !holds(own, watched.meta()));
        let rollout = match &self.own {
            Some(own) => Arc::clone(own),
            None => match watched.rollout() {
                Ok(rollout) => Arc::clone(self.own.insert(Arc::new(rollout))),
                Err(why) => return Read::Invalid(why),
            },
        };
        // Somebody else wrote status: what we made of the old one no longer counts.
        let stored = rollout.status.clone().unwrap_or_default();
        if self.base.as_deref() != Some(&stored) {
            self.base = Some(Arc::new(stored));
            self.status.clone_from(&self.base);
        }
        let status = self.status.clone().unwrap_or_default();
        Read::Is(Reading { rollout, status, fresh, failed })
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
        let seen = observe(context, looked, rollout, status, read.fresh);
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
    fn calls_for_lowering(&self, context: &Context, entry: &Entry, rollout: &Arc<Rollout>) -> bool {
        let watched = context.rollouts.get(&named(rollout));
        let newer = watched.filter(|watched| !holds(rollout, watched.meta()));
        let newer = newer.and_then(|watched| watched.rollout().ok()).map(Arc::new);
        let read = Reading {
            rollout: newer.unwrap_or_else(|| Arc::clone(rollout)),
            status: self.status.clone().unwrap_or_default(),
            fresh: false,
            failed: None,
        };
        let (_, decision) = self.decide(context, entry.peek_look(), &read, context.clock.now());
        decision.effects.iter().any(Effect::lowers)
    }

    /// Takes in what our own write or read returned.
    fn remember(&mut self, entry: &Entry, rollout: Arc<Rollout>) {
        let own = version(rollout.metadata.resource_version.as_deref());
        entry.own_version.fetch_max(own, Ordering::Relaxed);
        self.own = Some(rollout);
    }

    /// The same, of a status that we stored: the working status stands on it.
    fn stand_on(&mut self, entry: &Entry, stored: Arc<Rollout>) {
        self.base = Some(Arc::new(stored.status.clone().unwrap_or_default()));
        self.remember(entry, stored);
    }
}

/// What carrying out a decision needs throughout.
struct Turn<'a> {
    context: &'a Arc<Context>,
    entry: &'a Arc<Entry>,
    namespace: &'a str,
    now: Timestamp,
}

/// The kinds that a decision writes to before anything follows from it, urgent writes and records apart.
#[derive(Clone, Copy)]
struct Needs {
    rollout: bool,
    route: bool,
}

impl Needs {
    fn of(decision: &Decision) -> Self {
        let mut needs = Self { rollout: decision.before.is_some(), route: false };
        for effect in &decision.effects {
            match effect {
                Effect::Write(write) => needs.route |= !write.purpose.takes_from_canary(),
                Effect::Hold | Effect::Release => needs.rollout = true,
                Effect::Look { .. } | Effect::Tell(_) | Effect::Reread => {}
            }
        }
        needs
    }
}

fn kind_of(lowers: bool) -> Kind {
    if lowers { Kind::Ending } else { Kind::Rollout }
}

impl Turn<'_> {
    /// Lowering writes run at once; none waits for another, or for status. What else is written gives way to them for a
    /// moment.
    async fn carry_out(
        &self,
        working: &mut Working,
        rollout: Arc<Rollout>,
        look: Option<&LookDone>,
        decision: &Decision,
    ) -> Result<(), TurnError> {
        let lowering: Vec<&RouteWrite> = decision
            .effects
            .iter()
            .filter(|effect| effect.lowers())
            .filter_map(|effect| match effect {
                Effect::Write(write) => Some(write),
                Effect::Look { .. } | Effect::Tell(_) | Effect::Hold | Effect::Release | Effect::Reread => {
                    None
                }
            })
            .collect();
        let (lowered, rest) = tokio::join!(
            act::lower(self.context, self.namespace, &lowering),
            self.publish_and_act(working, rollout, look, decision)
        );
        let mut outcome = Ok(());
        for (write, error) in lowered {
            let error =
                act::after_failure(self.context, self.namespace, working, &write, error, self.now).await;
            outcome = outcome.and(Err(error));
        }
        outcome.and(rest)
    }

    async fn publish_and_act(
        &self,
        working: &mut Working,
        mut rollout: Arc<Rollout>,
        look: Option<&LookDone>,
        decision: &Decision,
    ) -> Result<(), TurnError> {
        let lowers = decision.effects.iter().any(Effect::lowers);
        let needs = Needs::of(decision);
        let _places = match self.places(working, &rollout, needs, lowers).await {
            Ok(places) => places,
            Err(error) => {
                self.not_published(working, look, &error);
                return Err(error);
            }
        };
        if let Some(before) = &decision.before {
            match publish::store_status(self.context, &rollout, before).await {
                Ok(stored) => {
                    working.stand_on(self.entry, Arc::clone(&stored));
                    rollout = stored;
                }
                Err(error) => {
                    self.not_published(working, look, &error);
                    return Err(error);
                }
            }
        }
        let last_stored_at = working.memory.stored_at;
        working.status = Some(Arc::clone(&decision.after));
        working.memory = decision.memory.clone();
        let acted = self.act(working, &mut rollout, decision).await;
        // A Rollout being deleted that nobody holds any more is gone.
        let gone = rollout.metadata.deletion_timestamp.is_some() && rollout.finalizers().is_empty();
        if gone || !decision.store {
            return acted;
        }
        let place = if needs.rollout { Ok(None) } else { self.place(kind_of(lowers), || !lowers).await };
        let _place = match place {
            Ok(place) => place,
            // A record can wait for a better one.
            Err(error) => {
                working.memory.stored_at = last_stored_at;
                return acted.and(Err(error));
            }
        };
        match publish::store_status(self.context, &rollout, &decision.after).await {
            Ok(stored) => working.stand_on(self.entry, stored),
            Err(error) => {
                working.memory.stored_at = last_stored_at;
                working.refresh = true;
                return acted.and(Err(error));
            }
        }
        acted
    }

    /// Waits for the places that a decision needs, before any of it is written: what is decided is not sent much later.
    /// Where something calls for a lowering meanwhile, that is decided first and waits for nobody.
    async fn places(
        &self,
        working: &Working,
        rollout: &Arc<Rollout>,
        needs: Needs,
        lowers: bool,
    ) -> Result<[Option<SemaphorePermit<'_>>; 2], TurnError> {
        let overtaken = || !lowers && working.calls_for_lowering(self.context, self.entry, rollout);
        let route = if needs.route { self.place(Kind::Route, overtaken).await? } else { None };
        let rollout = if needs.rollout { self.place(kind_of(lowers), overtaken).await? } else { None };
        Ok([route, rollout])
    }

    /// Waits for a place, unless there is news that overtake it. Not for long: looks are asked for and time is seen to
    /// pass in turns.
    async fn place(
        &self,
        kind: Kind,
        overtaken: impl Fn() -> bool,
    ) -> Result<Option<SemaphorePermit<'_>>, TurnError> {
        let mut place = pin!(self.context.precedence.place(kind));
        let mut patience = pin!(tokio::time::sleep(PATIENCE));
        loop {
            tokio::select! {
                biased;
                () = self.entry.news.notified() => {
                    if overtaken() {
                        return Err(TurnError::Overtaken);
                    }
                }
                place = place.as_mut() => return Ok(place),
                () = patience.as_mut() => return Err(TurnError::Crowded { seconds: PATIENCE.as_secs() }),
            }
        }
    }

    /// The intent was not stored: nothing that was decided on it counts, and the Rollout is read before the next
    /// decision. The look that the decision used is kept for that.
    fn not_published(&self, working: &mut Working, look: Option<&LookDone>, error: &TurnError) {
        working.refresh |= !error.is_unsent();
        if matches!(error, TurnError::StatusUnknown(_) | TurnError::Pruned { .. }) {
            working.memory.held = None;
        }
        let mut slot = lock(&self.entry.look);
        if slot.done.is_none() && !slot.under_way {
            slot.done = look.cloned().map(Box::new);
        }
    }

    /// Everything but lowering, in order; a write that fails stops the writes after it.
    async fn act(
        &self,
        working: &mut Working,
        rollout: &mut Arc<Rollout>,
        decision: &Decision,
    ) -> Result<(), TurnError> {
        let mut outcome = Ok(());
        for effect in decision.effects.iter().filter(|effect| !effect.lowers()) {
            match effect {
                Effect::Look { run, step, request } => {
                    looks::start(self.context, self.entry, *run, *step, request.clone());
                }
                Effect::Tell(note) => self.context.notes.tell(rollout.object_ref(&()), note.clone()),
                Effect::Reread => working.refresh = true,
                Effect::Write(_) | Effect::Hold | Effect::Release if outcome.is_err() => {}
                Effect::Write(write) => {
                    if let Err(error) = act::write_once(self.context, self.namespace, write).await {
                        let failed =
                            act::after_failure(self.context, self.namespace, working, write, error, self.now);
                        outcome = Err(failed.await);
                    }
                }
                Effect::Hold => outcome = self.set_finalizer(working, rollout, true).await,
                Effect::Release => outcome = self.set_finalizer(working, rollout, false).await,
            }
        }
        outcome
    }

    async fn set_finalizer(
        &self,
        working: &mut Working,
        rollout: &mut Arc<Rollout>,
        hold: bool,
    ) -> Result<(), TurnError> {
        match publish::set_finalizer(self.context, rollout, hold).await {
            Ok(stored) => {
                working.remember(self.entry, Arc::clone(&stored));
                *rollout = stored;
                Ok(())
            }
            Err(error) => {
                working.refresh = true;
                Err(error)
            }
        }
    }
}

fn named(rollout: &Rollout) -> ObjectRef<Guarded> {
    ObjectRef::new(&rollout.name_any()).within(&rollout.namespace().unwrap_or_default())
}

/// A Rollout that can't be read: told once, left alone until it changes.
fn quarantine(context: &Context, guarded: &Guarded, why: &str) {
    if !context.quarantine(&guarded.uid().unwrap_or_default()) {
        return;
    }
    context.meters.error("Undecodable");
    tracing::error!(error = why, "the Rollout can't be read and is left alone until it changes");
    let note = Note {
        warning: true,
        reason: "Undecodable",
        message: format!(
            "This Rollout can't be read ({why}) and is left alone until it is put right; its routes stay as they are. \
             The installed CRD may be older or newer than the controller: kubectl apply -f crds/"
        ),
        run: None,
        step: None,
    };
    context.notes.tell(guarded.object_ref(&()), note);
}

/// How long until a moment; a little at least, so that a moment just past can't spin.
fn until(moment: Timestamp, now: Timestamp) -> Duration {
    const LEAST: Duration = Duration::from_millis(5);
    Duration::try_from(moment.duration_since(now)).unwrap_or_default().max(LEAST)
}
