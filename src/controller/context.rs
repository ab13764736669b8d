//! What the turns of all Rollouts of a scope share, and what the process keeps of each between its turns.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use kube::{
    Client, Resource, ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::sync::{Notify, mpsc, mpsc::UnboundedSender};

pub use super::{
    guarded::Guarded,
    interests::{Interest, Interests},
};
use super::{
    kinds::Routes,
    leading::Leadership,
    meters::Meters,
    notes::Notes,
    outbox::{Errand, Outbox, Sent},
    own::Own,
    precedence::Precedence,
    returning::Slot,
    stores::version,
    templates::Templates,
    workloads::Workloads,
};
use crate::{
    api::RolloutStatus,
    clock::Clock,
    engine::{
        gate::AskDone,
        memory::Memory,
        observed::{Allowed, LookDone},
    },
    gates::Gates,
    metrics::Providers,
    routes::Packed,
};

/// How long those at rest wait for those that are under way, where all have a turn.
pub const AFTER_RUNS: Duration = Duration::from_millis(50);

/// A route as it is kept: what there is to know of it, or why it can't be stepped (a reason in a word, and a sentence).
pub type RouteKept = Result<Packed, (&'static str, String)>;

/// What the turns of all Rollouts of a scope share.
pub struct Context {
    /// Speaks to the API server; retries nothing by itself.
    pub client: Client,
    /// Where metrics come from.
    pub providers: Providers,
    /// The gates.
    pub gates: Gates,
    /// How soon each gate is asked again.
    pub intervals: BTreeMap<String, Duration>,
    /// Takes what is to be told.
    pub notes: Notes,
    /// Who is told of what happens.
    pub outbox: Arc<Outbox>,
    /// Counts what is done.
    pub meters: Arc<Meters>,
    /// Says which write goes first.
    pub precedence: Arc<Precedence>,
    /// Says whether anything may be written at all.
    pub leadership: Arc<Leadership>,
    /// The process' clock.
    pub clock: Clock,
    /// The Rollouts as the watch has shown them.
    pub rollouts: Store<Guarded>,
    /// The routes.
    pub routes: Routes,
    /// The workloads, and what scales them.
    pub workloads: Workloads,
    /// The templates that Rollouts name.
    pub templates: Templates,
    /// Who wants to hear of which object.
    pub interests: Interests,
    /// Which GatewayRoute CRD is installed, where that was asked.
    pub dialect: Mutex<super::dialect::Known>,
    /// Why the Rollouts can't be served yet, in a sentence; `None` once they are.
    pub rollouts_lack: Mutex<Option<String>>,
    /// What the installation has switched on.
    pub allowed: Allowed,
    /// What is kept of each Rollout, by UID.
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    /// The UIDs of Rollouts that can't be read, or whose turns panic, and whose people have been told.
    quarantined: Mutex<HashSet<String>>,
    wakes: UnboundedSender<ObjectRef<Guarded>>,
}

/// What a context is made of.
pub struct Parts {
    /// See [`Context::client`].
    pub client: Client,
    /// See [`Context::providers`].
    pub providers: Providers,
    /// See [`Context::gates`].
    pub gates: Gates,
    /// See [`Context::notes`].
    pub notes: Notes,
    /// See [`Context::outbox`].
    pub outbox: Arc<Outbox>,
    /// See [`Context::meters`].
    pub meters: Arc<Meters>,
    /// See [`Context::precedence`].
    pub precedence: Arc<Precedence>,
    /// See [`Context::leadership`].
    pub leadership: Arc<Leadership>,
    /// See [`Context::clock`].
    pub clock: Clock,
    /// See [`Context::rollouts`].
    pub rollouts: Store<Guarded>,
    /// See [`Context::allowed`].
    pub allowed: Allowed,
}

impl Context {
    /// The context of a scope, and the Rollouts that are to have a turn as they come.
    pub fn new(parts: Parts) -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<Guarded>>) {
        let (wakes, woken) = mpsc::unbounded_channel();
        let context = Self {
            client: parts.client,
            providers: parts.providers,
            intervals: parts.gates.names(),
            gates: parts.gates,
            notes: parts.notes,
            outbox: parts.outbox,
            meters: parts.meters,
            precedence: parts.precedence,
            leadership: parts.leadership,
            clock: parts.clock,
            rollouts: parts.rollouts,
            routes: Routes::new(),
            workloads: Workloads::new(),
            templates: Templates::new(),
            interests: Interests::default(),
            dialect: Mutex::new(None),
            rollouts_lack: Mutex::new(Some("the Rollouts have not been listed yet".to_owned())),
            allowed: parts.allowed,
            entries: Mutex::default(),
            quarantined: Mutex::default(),
            wakes,
        };
        (Arc::new(context), woken)
    }

    /// Gives a Rollout a turn.
    pub fn wake(&self, namespace: &str, rollout: &str) {
        // The receiver only goes when the controller stops; then nobody needs a turn.
        let _ = self.wakes.send(ObjectRef::new(rollout).within(namespace));
    }

    /// Gives every Rollout a turn that wants to hear of this object.
    pub fn wake_interested(&self, interest: &Interest) {
        for (namespace, rollout) in self.interests.of(interest) {
            self.wake(&namespace, &rollout);
        }
    }

    /// Waits until Rollouts and all that they name are known, or can't be: whoever leads from then on can act at once.
    pub async fn warm(&self) {
        // An error says that nothing will ever come any more.
        let _ = self.rollouts.wait_until_ready().await;
        self.answered().await;
    }

    /// Waits until all that Rollouts name was listed once, or can't be.
    pub async fn answered(&self) {
        let templates = self.templates.on_demand().answered();
        tokio::join!(self.routes.answered(), self.workloads.answered(), templates);
    }

    /// All Rollouts: those in a run, for a failing canary must not wait for the others, and those at rest.
    pub fn by_urgency(&self) -> (Vec<Arc<Guarded>>, Vec<Arc<Guarded>>) {
        self.rollouts.state().into_iter().partition(|rollout| rollout.is_under_way())
    }

    /// Gives Rollouts a turn, named by their UIDs, those in a run first: this controller may act on them from now on. Others
    /// may have until then, so what is remembered of them no longer counts.
    pub fn take_up(&self, which: impl Fn(&str) -> bool) {
        let taken = |rollouts: Vec<Arc<Guarded>>| -> Vec<ObjectRef<Guarded>> {
            let mut due = Vec::new();
            for rollout in rollouts {
                let uid = rollout.uid().unwrap_or_default();
                if !which(&uid) {
                    continue;
                }
                if let Some(entry) = self.known(&uid) {
                    entry.anew.store(true, Ordering::Relaxed);
                }
                due.push(ObjectRef::from_obj(rollout.as_ref()));
            }
            due
        };
        let (first, then) = self.by_urgency();
        let (first, then) = (taken(first), taken(then));
        for rollout in first {
            // As in `wake`.
            let _ = self.wakes.send(rollout);
        }
        let wakes = self.wakes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_RUNS).await;
            for rollout in then {
                let _ = wakes.send(rollout);
            }
        });
    }

    /// Gives every Rollout a turn.
    pub fn wake_all(&self) {
        for (namespace, rollout) in self.interests.everybody() {
            self.wake(&namespace, &rollout);
        }
    }

    /// What is kept of a Rollout.
    pub fn entry(&self, uid: &str) -> Arc<Entry> {
        lock(&self.entries).entry(uid.to_owned()).or_default().clone()
    }

    /// The same, where there is something.
    pub fn known(&self, uid: &str) -> Option<Arc<Entry>> {
        lock(&self.entries).get(uid).cloned()
    }

    /// The version of a Rollout that the watch has shown; 0 where it has shown none.
    pub fn shown(&self, rollout: &ObjectRef<Guarded>) -> u64 {
        self.rollouts.get(rollout).map_or(0, |kept| version(kept.meta().resource_version.as_deref()))
    }

    /// Whether all Rollouts are known: the store holds a few ahead of the others at the start.
    pub fn rollouts_are_listed(&self) -> bool {
        lock(&self.rollouts_lack).is_none()
    }

    /// What is not there yet, in sentences; empty once everything is.
    pub fn lacks(&self) -> Vec<String> {
        let rollouts = lock(&self.rollouts_lack).clone();
        // Templates that can't be read are told by those who name one, and keep nobody else from anything.
        rollouts.into_iter().chain(self.routes.lacks()).chain(self.workloads.lacks()).collect()
    }

    /// Drops what is kept of a Rollout that is gone.
    pub fn forget(&self, uid: &str) {
        lock(&self.entries).remove(uid);
        self.at_work(uid);
    }

    /// Drops what is kept of all Rollouts that are gone.
    pub fn forget_unless(&self, living: impl Fn(&str) -> bool) {
        lock(&self.entries).retain(|uid, _| living(uid));
        lock(&self.quarantined).retain(|uid| living(uid));
    }

    /// Sets a Rollout aside that can't be served. Returns whether that is news.
    pub fn quarantine(&self, uid: &str) -> bool {
        lock(&self.quarantined).insert(uid.to_owned())
    }

    /// A Rollout can be served (again).
    pub fn at_work(&self, uid: &str) {
        lock(&self.quarantined).remove(uid);
    }

    /// How many Rollouts are set aside.
    pub fn set_aside(&self) -> usize {
        lock(&self.quarantined).len()
    }
}

/// What is kept of one Rollout between its turns.
#[derive(Debug, Default)]
pub struct Entry {
    /// What its turns work on; one turn at a time.
    pub working: tokio::sync::Mutex<Working>,
    /// Its look at the metrics.
    pub look: Mutex<Slot<LookDone>>,
    /// What gates are asked for it.
    pub asks: Mutex<Slot<AskDone>>,
    /// The notices that its stored status keeps, each with its receiver, and where they are.
    pub sent: Mutex<BTreeMap<Errand, Sent>>,
    /// Told when a look came back or the Rollout changed, for a turn that waits.
    pub news: Notify,
    /// Failed turns in a row.
    pub attempts: AtomicU32,
    /// Its people were told in this row that something is forbidden.
    pub told_forbidden: AtomicBool,
    /// The resourceVersion of our own newest write to it, so that its echo gives no turn.
    pub own_version: AtomicU64,
    /// Somebody else had it meanwhile: what its turns remember no longer counts.
    pub anew: AtomicBool,
    /// When it wants its next turn, whatever the last one failed of.
    pub wake: Mutex<Option<Timestamp>>,
}

/// What the turns of one Rollout work on.
#[derive(Debug, Default)]
pub struct Working {
    /// The Rollout as our newest own write or read returned it; ahead of the watch at times.
    pub own: Option<Own>,
    /// The stored status that the working one grew from.
    pub base: Option<Arc<RolloutStatus>>,
    /// The status as last decided, stored or not; none at rest, where it is the stored one.
    pub status: Option<Arc<RolloutStatus>>,
    /// A status that was stored or not, which is to be seen, and the one that it was to replace.
    pub unsure: Option<(Arc<RolloutStatus>, Arc<RolloutStatus>)>,
    /// What the engine remembers.
    pub memory: Memory,
    /// The Rollout is to be read from the API server before the next decision.
    pub refresh: bool,
    /// Routes whose last write was refused for good.
    pub problems: BTreeMap<String, Problem>,
}

impl Working {
    /// Nothing is awaited: lets go what the next turn reads from the store again, so that the many Rollouts at rest
    /// take little memory.
    pub fn rest(&mut self, shown: u64) {
        if self.base == self.status {
            (self.base, self.status) = (None, None);
        }
        self.caught_up(shown);
    }

    fn caught_up(&mut self, shown: u64) {
        let at_rest = self.base.is_none();
        self.own.take_if(|own| at_rest && own.version() <= shown);
    }
}

/// A route that refuses our writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Why, in a sentence.
    pub message: String,
    /// Not tried again before this.
    pub until: Timestamp,
    /// It was a lowering that was refused.
    pub lowering: bool,
}

/// What has come back for a Rollout since the last decision.
#[derive(Debug)]
pub struct Looked {
    /// The look that came back.
    pub done: Option<LookDone>,
    /// One is under way.
    pub under_way: bool,
    /// What gates said.
    pub answered: Option<AskDone>,
    /// Gates are being asked.
    pub asking: bool,
    /// The notices that were taken, each with its receiver.
    pub taken: Vec<Errand>,
}

impl Entry {
    /// What came back, taken, and what is under way.
    pub fn take_look(&self) -> Looked {
        let (mut look, mut asks) = (lock(&self.look), lock(&self.asks));
        Looked {
            done: look.take(),
            under_way: look.under_way,
            answered: asks.take(),
            asking: asks.under_way,
            taken: self.taken(),
        }
    }

    /// The same, left for who takes it.
    pub fn peek_look(&self) -> Looked {
        let (look, asks) = (lock(&self.look), lock(&self.asks));
        Looked {
            done: look.peek(),
            under_way: look.under_way,
            answered: asks.peek(),
            asking: asks.under_way,
            taken: self.taken(),
        }
    }

    /// The notices that were taken, each with its receiver.
    fn taken(&self) -> Vec<Errand> {
        let sent = lock(&self.sent);
        sent.iter().filter(|(_, sent)| **sent == Sent::Taken).map(|(errand, _)| errand.clone()).collect()
    }

    /// Counts a failed turn; returns how many failed before it in a row.
    pub fn failed(&self) -> u32 {
        self.attempts.fetch_add(1, Ordering::Relaxed)
    }

    /// The watch has shown a version: our own copy of one that is not newer is no longer needed at rest.
    pub fn caught_up(&self, shown: u64) {
        // A turn that is under way looks by itself when it ends.
        if let Ok(mut working) = self.working.try_lock() {
            working.caught_up(shown);
        }
    }

    /// A turn went well.
    pub fn went_well(&self) {
        self.attempts.store(0, Ordering::Relaxed);
        self.told_forbidden.store(false, Ordering::Relaxed);
    }
}

/// Locks; a panic elsewhere while locked leaves plain data that is still whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
