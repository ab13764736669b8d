//! Which of several controllers acts: the Lease on the API server, by the rules of `lease`.
//!
//! Everybody follows the Lease by a watch, so whoever waits asks for nothing and sees at once that it was let go. Whoever
//! leads renews it; one that could not for too long has no say any more, and ends. All that is written to Rollouts and
//! routes asks first ([`Leadership::leads`]).

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Client, Resource,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use tokio_util::sync::CancellationToken;

use super::{
    context::lock,
    error::Error,
    following::told,
    leases::{AGAIN, Leases, MOMENT, Written, duration, holder, written},
};
use crate::{
    clock::Clock,
    config::LeaderElection,
    lease::{Election, Move, Seen, Terms},
    routes::without_body,
    shards::Share,
};

/// Whether this process may act.
#[derive(Debug)]
pub struct Leadership {
    clock: Clock,
    /// Until how many milliseconds after the clock's start.
    until: AtomicU64,
    /// The Rollouts that are ours, where several controllers share them.
    share: Mutex<Option<Arc<Share>>>,
}

impl Leadership {
    /// There is one controller, and it may act always.
    pub fn undisputed() -> Self {
        Self::acting_until(u64::MAX)
    }

    /// There may be several: nothing may be done until the Lease is ours.
    pub fn sought() -> Self {
        Self::acting_until(0)
    }

    fn acting_until(until: u64) -> Self {
        Self { clock: Clock::start(), until: AtomicU64::new(until), share: Mutex::default() }
    }

    /// The clock by which it is counted.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether this process may act now.
    pub fn leads(&self) -> bool {
        u128::from(self.until.load(Ordering::Relaxed)) > self.clock.elapsed().as_millis()
    }

    /// Whether this process may act now on a Rollout, named by its UID.
    pub fn leads_for(&self, uid: &str) -> bool {
        self.leads() && lock(&self.share).as_ref().is_none_or(|share| share.owns(uid))
    }

    /// What is ours, where several controllers share the Rollouts, and until when.
    pub fn set_share(&self, share: Option<(Arc<Share>, Duration)>) {
        let (share, until) = share.unzip();
        // In between it is the new share by the old time, which the new one may only have made longer.
        if let Some(share) = share {
            *lock(&self.share) = Some(share);
        }
        self.set(until);
    }

    /// Sets until when this process may act, by its clock.
    pub fn set(&self, until: Option<Duration>) {
        let millis = until.map_or(0, |until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX));
        self.until.store(millis, Ordering::Relaxed);
    }
}

/// One process that seeks to lead.
pub struct Candidate {
    leases: Leases,
    name: String,
    election: Election,
    leadership: Arc<Leadership>,
    /// The Lease as last seen or written.
    known: Option<Lease>,
    leads: bool,
}

impl Candidate {
    /// Makes sure that there is a Lease, held by nobody where it is new.
    pub async fn new(
        client: Client,
        settings: &LeaderElection,
        leadership: Arc<Leadership>,
    ) -> Result<Self, Error> {
        let mut candidate = Self {
            leases: Leases::new(client, settings),
            election: Election::new(Leases::me(), Terms::default()),
            name: settings.lease.clone(),
            leadership,
            known: None,
            leads: false,
        };
        candidate.read().await.map_err(|error| candidate.unusable(error))?;
        if candidate.known.is_none() {
            match candidate.store(None).await {
                Ok(lease) => candidate.known = Some(lease),
                // Another one was faster.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(candidate.unusable(error)),
            }
        }
        Ok(candidate)
    }

    fn unusable(&self, source: kube::Error) -> Error {
        self.leases.unusable(&self.name, source)
    }

    /// Seeks the Lease, keeps it, and lets it go once `release` says so. It is not taken before `warm`. Whenever it
    /// becomes ours `lead` is called. An error says that it was lost.
    pub async fn run(
        mut self,
        warm: impl Future<Output = ()>,
        release: CancellationToken,
        lead: impl Fn(),
    ) -> Result<(), Error> {
        let mut shown = watch_object(self.leases.api.clone(), &self.name).default_backoff().boxed();
        let mut warm = pin!(warm);
        let mut is_warm = false;
        loop {
            let next = self.step(is_warm, &lead).await?;
            tokio::select! {
                biased;
                () = release.cancelled() => {
                    self.let_go().await;
                    return Ok(());
                }
                () = &mut warm, if !is_warm => is_warm = true,
                Some(lease) = shown.next() => match lease {
                    Ok(lease) => self.see(lease),
                    Err(error) => {
                        tracing::info!(error = told(&error), "the watch of the Lease broke; it is tried again");
                    }
                },
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    fn place(&self) -> String {
        self.leases.place(&self.name)
    }

    fn now(&self) -> Duration {
        self.leadership.clock.elapsed()
    }

    /// Takes in what a watch shows, unless our own write is ahead of it.
    fn see(&mut self, lease: Option<Lease>) {
        let version = |lease: &Lease| super::stores::version(lease.meta().resource_version.as_deref());
        let newer = match (&self.known, &lease) {
            (Some(known), Some(shown)) => {
                version(shown) > version(known) || shown.metadata.uid != known.metadata.uid
            }
            (Some(_), None) | (None, _) => true,
        };
        if newer {
            self.known = lease;
        }
    }

    /// Does what is to be done now; returns how long nothing else is.
    async fn step(&mut self, is_warm: bool, lead: &impl Fn()) -> Result<Duration, Error> {
        let now = self.now();
        if self.leads && !self.election.leads(now) {
            return Err(self.lost("it could not be renewed in time"));
        }
        let terms = self.election.terms();
        let due = self.election.renews_at().unwrap_or(now);
        let seen = self.known.as_ref().map(seen);
        match self.election.look(seen.as_ref(), now) {
            Move::Wait if self.leads => Err(self.lost("another controller has it")),
            Move::Wait => {
                let until = self.election.waits_until().unwrap_or(now + terms.retry);
                Ok(until.saturating_sub(now) + MOMENT)
            }
            Move::Take if !is_warm => Ok(terms.retry),
            Move::Renew if now < due => Ok(due.saturating_sub(now) + MOMENT),
            Move::Take | Move::Renew => {
                if self.write(now, lead).await? {
                    return Ok(terms.retry);
                }
                let anothers = self.known.as_ref().is_some_and(|lease| !self.is_mine(lease));
                if anothers {
                    self.leadership.set(None);
                }
                Ok(if anothers { Duration::ZERO } else { AGAIN })
            }
        }
    }

    fn is_mine(&self, lease: &Lease) -> bool {
        holder(lease).as_deref() == Some(self.election.me())
    }

    fn lost(&mut self, why: &'static str) -> Error {
        self.election.lost();
        self.leadership.set(None);
        Error::LeadershipLost { lease: self.place(), why }
    }

    /// Writes the Lease as ours. Returns whether it is; an error says that it never can be, or came to be too late.
    async fn write(&mut self, sent: Duration, lead: &impl Fn()) -> Result<bool, Error> {
        let mine = Some(self.election.me().to_owned());
        match self.store(mine).await {
            Ok(stored) => {
                if self.leads && !self.election.leads(self.now()) {
                    // Turns were turned away meanwhile.
                    return Err(self.lost("it could not be renewed in time"));
                }
                self.known = Some(stored);
                self.election.stored(sent);
                self.leadership.set(self.election.leads_until());
                if !self.leads {
                    self.leads = true;
                    tracing::info!(lease = self.place(), me = self.election.me(), "this controller leads");
                    lead();
                }
                Ok(true)
            }
            Err(error) if Leases::is_hopeless(&error, &self.lease(None)) => {
                self.leadership.set(None);
                Err(self.unusable(error))
            }
            Err(error) => {
                tracing::warn!(lease = self.place(), error = %without_body(error), "the Lease was not written");
                // Whatever it was, what stands there now is what counts.
                if let Err(error) = self.read().await {
                    tracing::warn!(error = %without_body(error), "the Lease can't be read");
                }
                Ok(false)
            }
        }
    }

    async fn store(&self, holder: Option<String>) -> Result<Lease, kube::Error> {
        self.leases.store(&self.name, &self.lease(holder)).await
    }

    async fn read(&mut self) -> Result<(), kube::Error> {
        self.known = self.leases.read(&self.name).await?;
        Ok(())
    }

    /// Whoever waits may lead at once.
    async fn let_go(&mut self) {
        if !self.leads {
            return;
        }
        self.leadership.set(None);
        match self.store(None).await {
            Ok(_) => tracing::info!(lease = self.place(), "this controller has let the Lease go"),
            Err(error) => {
                tracing::warn!(error = %without_body(error), "the Lease could not be let go; it runs out by itself");
            }
        }
    }

    /// The Lease as it is to be stored over the known one.
    fn lease(&self, holder: Option<String>) -> Lease {
        let what = Written {
            name: &self.name,
            holder,
            terms: self.election.terms(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        written(self.known.as_ref(), what, self.leadership.clock.now())
    }
}

/// What the rules need to know of a Lease.
fn seen(lease: &Lease) -> Seen {
    Seen {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: holder(lease),
        duration: duration(lease),
    }
}
