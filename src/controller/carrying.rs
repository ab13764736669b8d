//! Carrying out what was decided: a turn says what it will do before it does it, and publishes even where it failed to
//! do it.

use std::{pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use tokio::sync::SemaphorePermit;

use super::{
    act, asks,
    context::{Context, Entry, Problem, Working, lock},
    error::TurnError,
    looks,
    own::Own,
    precedence::Kind,
    publish,
};
use crate::{
    api::RouteRef,
    engine::{
        decision::{Decision, Effect, RouteWrite, ScaleWrite},
        gate::AskDone,
        observed::{LookDone, Subject},
    },
    routes::ApplyError,
    workloads::ScaleError,
};

/// How long a turn waits for its place among those who write.
const PATIENCE: Duration = Duration::from_secs(5);

/// What carrying out a decision needs throughout.
pub struct Turn<'a> {
    /// What all turns share.
    pub context: &'a Arc<Context>,
    /// What is kept of the Rollout.
    pub entry: &'a Arc<Entry>,
    /// The Rollout, as it was decided on.
    pub subject: &'a Subject,
    /// When it was decided.
    pub now: Timestamp,
    /// The decision lowers: nothing overtakes it.
    pub lowers: bool,
}

/// What had come back for a decision.
pub struct Used {
    /// The look.
    pub look: Option<LookDone>,
    /// What gates said.
    pub answered: Option<AskDone>,
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
                Effect::Preview(_) => needs.route = true,
                Effect::Hold | Effect::Release => needs.rollout = true,
                // Rare, and nobody's traffic waits for it.
                Effect::Scale(_)
                | Effect::Look { .. }
                | Effect::Ask { .. }
                | Effect::Tell(_)
                | Effect::Reread => {}
            }
        }
        needs
    }
}

impl Turn<'_> {
    /// Lowering writes run at once; none waits for another, or for status. What else is written gives way to them for a
    /// moment.
    pub async fn carry_out(
        &self,
        working: &mut Working,
        own: Own,
        used: &Used,
        decision: &Decision,
    ) -> Result<(), TurnError> {
        let lowering: Vec<&RouteWrite> = decision
            .effects
            .iter()
            .filter(|effect| effect.lowers())
            .filter_map(|effect| match effect {
                Effect::Write(write) => Some(write),
                Effect::Preview(_)
                | Effect::Scale(_)
                | Effect::Look { .. }
                | Effect::Ask { .. }
                | Effect::Tell(_)
                | Effect::Hold
                | Effect::Release
                | Effect::Reread => None,
            })
            .collect();
        let (lowered, rest) = tokio::join!(
            act::lower(self.context, self.subject, &lowering),
            self.publish_and_act(working, own, used, decision)
        );
        let mut outcome = Ok(());
        for (write, error) in lowered {
            let error = self.failed(working, (&write.route, true), error).await;
            outcome = outcome.and(Err(error));
        }
        outcome.and(rest)
    }

    async fn publish_and_act(
        &self,
        working: &mut Working,
        mut own: Own,
        used: &Used,
        decision: &Decision,
    ) -> Result<(), TurnError> {
        let needs = Needs::of(decision);
        let _places = match self.places(working, &own, needs).await {
            Ok(places) => places,
            Err(error) => {
                self.not_published(working, used, decision, &error);
                return Err(error);
            }
        };
        if let Some(before) = &decision.before {
            match publish::store_status(self.context, &own.rollout, before).await {
                Ok(stored) => {
                    self.stored(working, &own, &stored);
                    own = stored;
                }
                Err(error) => {
                    working.not_stored(&own, before, &error);
                    self.not_published(working, used, decision, &error);
                    return Err(error);
                }
            }
        }
        let last_stored_at = working.memory.stored_at;
        working.status = Some(Arc::clone(&decision.after));
        working.memory = decision.memory.clone();
        let acted = self.act(working, &mut own, decision).await;
        let rollout = &own.rollout;
        // A Rollout being deleted that nobody holds any more is gone.
        let gone = rollout.metadata.deletion_timestamp.is_some() && rollout.finalizers().is_empty();
        if gone || !decision.store {
            return acted;
        }
        let place = if needs.rollout { Ok(None) } else { self.place(self.record(), || !self.lowers).await };
        let _place = match place {
            Ok(place) => place,
            // A record can wait for a better one.
            Err(error) => {
                working.memory.stored_at = last_stored_at;
                return acted.and(Err(error));
            }
        };
        match publish::store_status(self.context, rollout, &decision.after).await {
            Ok(stored) => self.stored(working, &own, &stored),
            Err(error) => {
                working.not_stored(&own, &decision.after, &error);
                working.memory.stored_at = last_stored_at;
                working.refresh = true;
                return acted.and(Err(error));
            }
        }
        acted
    }

    /// A status stands in place of that of `own`: what has happened by that is counted here, and nowhere else.
    fn stored(&self, working: &mut Working, own: &Own, stored: &Own) {
        self.context.meters.stored(&own.status, &stored.status, self.context.clock.now());
        working.unsure = None;
        working.stand_on(self.entry, stored.clone());
    }

    /// Waits for the places that a decision needs, before any of it is written: what is decided is not sent much later.
    /// Where something calls for a lowering meanwhile, that is decided first and waits for nobody.
    async fn places(
        &self,
        working: &Working,
        own: &Own,
        needs: Needs,
    ) -> Result<[Option<SemaphorePermit<'_>>; 2], TurnError> {
        let overtaken = || !self.lowers && working.calls_for_lowering(self.context, self.entry, own);
        let route = if needs.route { self.place(Kind::Route, overtaken).await? } else { None };
        let rollout = if needs.rollout { self.place(self.record(), overtaken).await? } else { None };
        Ok([route, rollout])
    }

    /// What a write to the Rollout counts as.
    fn record(&self) -> Kind {
        if self.lowers { Kind::Ending } else { Kind::Rollout }
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
    /// decision. What had come back for the decision is kept for that.
    fn not_published(&self, working: &mut Working, used: &Used, decision: &Decision, error: &TurnError) {
        if !error.is_unsent() {
            working.refresh = true;
            let stored = working.base.as_ref().map_or(0, |base| base.epoch);
            let raises = decision.before.as_ref().is_some_and(|before| before.epoch > stored);
            // It may be stored all the same, now or later: who took that epoch for somebody else's would stand aside for
            // itself.
            if raises || matches!(error, TurnError::StatusUnknown(_) | TurnError::Pruned { .. }) {
                working.memory.held = None;
            }
        }
        lock(&self.entry.look).give_back(used.look.as_ref());
        lock(&self.entry.asks).give_back(used.answered.as_ref());
    }

    /// Everything but lowering, in order; a write that fails stops the writes after it.
    async fn act(&self, working: &mut Working, own: &mut Own, decision: &Decision) -> Result<(), TurnError> {
        let (mut outcome, mut scaled) = (Ok(()), Ok(()));
        for effect in decision.effects.iter().filter(|effect| !effect.lowers()) {
            match effect {
                Effect::Look { run, step, request } => {
                    looks::start(self.context, self.entry, *run, *step, request.clone());
                }
                Effect::Ask { step, request } => {
                    asks::start(self.context, self.entry, *step, request.clone());
                }
                Effect::Tell(note) => self.context.notes.tell(own.rollout.object_ref(&()), note.clone()),
                Effect::Reread => working.refresh = true,
                Effect::Write(_) | Effect::Preview(_) | Effect::Hold | Effect::Release
                    if outcome.is_err() => {}
                Effect::Write(write) => {
                    if let Err(error) = act::write_once(self.context, self.subject, write).await {
                        outcome = Err(self.failed(working, (&write.route, false), error).await);
                    }
                }
                Effect::Preview(write) => {
                    if let Err(error) = act::write_preview(self.context, self.subject, write).await {
                        outcome = Err(self.failed(working, (&write.route, false), error).await);
                    }
                }
                Effect::Scale(write) => {
                    // No route waits for it.
                    if let Err(error) = act::scale(self.context, self.subject, write, self.now).await {
                        scaled = Err(self.not_scaled(working, write, error));
                    }
                }
                Effect::Hold => outcome = self.set_finalizer(working, own, true).await,
                Effect::Release => outcome = self.set_finalizer(working, own, false).await,
            }
        }
        outcome.and(scaled)
    }

    /// Draws the consequence of a workload that was not scaled, or not for sure: what it wants shows in the watch. One that
    /// may not be is left alone for a while, with the reason told.
    fn not_scaled(&self, working: &mut Working, write: &ScaleWrite, error: ScaleError) -> TurnError {
        working.memory.scaled = None;
        if let Some(message) = error.refusal() {
            let until = self.now.saturating_add(act::SLOW).unwrap_or(Timestamp::MAX);
            let problem = Problem { message, until, lowering: false };
            working.problems.insert(write.workload.to_string(), problem);
        }
        TurnError::Scale(error)
    }

    /// Draws the consequence of a write to a route that failed; whether it was a lowering stands beside the route.
    async fn failed(&self, working: &mut Working, route: (&RouteRef, bool), error: ApplyError) -> TurnError {
        act::after_failure(self.context, &self.subject.namespace, working, route, error, self.now).await
    }

    async fn set_finalizer(&self, working: &mut Working, own: &mut Own, hold: bool) -> Result<(), TurnError> {
        match publish::set_finalizer(self.context, &own.rollout, hold).await {
            Ok(stored) => {
                working.remember(self.entry, stored.clone());
                *own = stored;
                Ok(())
            }
            Err(error) => {
                working.refresh = true;
                Err(error)
            }
        }
    }
}
