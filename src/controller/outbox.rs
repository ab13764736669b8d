//! Notices on their way to receivers. What is sent is what the status keeps, as it is stored; it is sent until the receiver
//! takes it, by tasks of their own, so that no turn waits for a receiver. What a process has sent is told to the engine, which
//! takes it out of status; whoever goes on with a Rollout sends what is left there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry as Place},
    sync::Arc,
    time::Duration,
};

use jiff::SignedDuration;
use kube::ResourceExt;
use tokio::sync::Semaphore;

use super::{
    context::{Context, Entry, lock},
    own::Own,
};
use crate::{
    api::{MUTE_ANNOTATION, Notice, Receiver, Rollout, Transition},
    engine::notices::PATIENCE,
    notify::{About, DeliveryError, Receivers},
};

/// So many attempts to reach one receiver are under way at once, of all Rollouts together.
const AT_ONCE: usize = 4;
/// How soon it is sent again, at first and at most.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_mins(5);
/// An attempt has a deadline of its own; this one only guards against one that breaks its word.
const DEADLINE: Duration = Duration::from_mins(10);

/// The receivers, and how many are told at once.
pub struct Outbox {
    receivers: Receivers,
    known: Vec<Receiver>,
    places: HashMap<String, Semaphore>,
}

/// A notice and a receiver.
pub type Errand = (String, String);

/// Where a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// On its way.
    OnItsWay,
    /// The receiver has taken it.
    Taken,
}

impl Outbox {
    /// All configured receivers.
    pub fn new(receivers: Receivers) -> Self {
        let known = receivers.list();
        let places = known.iter().map(|receiver| (receiver.name.clone(), Semaphore::new(AT_ONCE))).collect();
        Self { receivers, known, places }
    }

    /// Who is told of a Rollout, and of what: those of its namespace that it does not mute.
    pub fn receivers(&self, rollout: &Rollout) -> BTreeMap<String, BTreeSet<Transition>> {
        if self.known.is_empty() {
            return BTreeMap::new();
        }
        let namespace = rollout.namespace().unwrap_or_default();
        let muted = rollout.annotations().get(MUTE_ANNOTATION).map(String::as_str).unwrap_or_default();
        let told = |receiver: &&Receiver| {
            let here = receiver.is_for(&namespace);
            let is_muted = |name: &str| name == "*" || name == receiver.name;
            here && !muted.split(',').map(str::trim).any(is_muted)
        };
        let told = self.known.iter().filter(told);
        told.map(|receiver| (receiver.name.clone(), receiver.on.clone())).collect()
    }
}

/// Sends what is kept for receivers and is not on its way: `notices` are those of the Rollout's stored status. A receiver is told
/// in the order in which things happened.
pub fn send(context: &Arc<Context>, entry: &Arc<Entry>, own: &Own, notices: &[Notice]) {
    let mut due = Vec::new();
    {
        let mut sent = lock(&entry.sent);
        if notices.is_empty() && sent.is_empty() {
            return;
        }
        let wanted = |id: &str, receiver: &String| {
            notices.iter().any(|notice| notice.id == id && notice.to.contains(receiver))
        };
        // One that is on its way notices that nobody keeps it any more when it is to be sent again.
        sent.retain(|(id, receiver), _| wanted(id, receiver));
        let mut busy: BTreeSet<&String> = BTreeSet::new();
        for notice in notices {
            for receiver in &notice.to {
                let errand = (notice.id.clone(), receiver.clone());
                if sent.get(&errand) == Some(&Sent::Taken) || !busy.insert(receiver) {
                    continue;
                }
                if let Place::Vacant(place) = sent.entry(errand.clone()) {
                    place.insert(Sent::OnItsWay);
                    due.push((errand, notice.clone()));
                }
            }
        }
    }
    for (errand, notice) in due {
        let about = about(own);
        let end = End { context: Arc::clone(context), entry: Arc::clone(entry), errand, about, taken: false };
        tokio::spawn(deliver(end, notice));
    }
}

fn about(own: &Own) -> About {
    let rollout = &own.rollout;
    About {
        namespace: rollout.namespace().unwrap_or_default(),
        rollout: rollout.name_any(),
        uid: rollout.uid().unwrap_or_default(),
    }
}

/// Sends a notice until its receiver takes it, it is too old, or it is somebody else's to send.
async fn deliver(mut end: End, notice: Notice) {
    let context = Arc::clone(&end.context);
    let Some(places) = context.outbox.places.get(&end.errand.1) else { return };
    let patience = SignedDuration::try_from(PATIENCE).unwrap_or(SignedDuration::MAX);
    for attempt in 0_u32.. {
        let Ok(place) = places.acquire().await else { return };
        let too_old = context.clock.now().duration_since(notice.at) >= patience;
        if too_old || !context.leadership.leads_for(&end.about.uid) || !end.is_kept() {
            return;
        }
        let tried = context.outbox.receivers.deliver(&end.errand.1, &end.about, &notice);
        let outcome = tokio::time::timeout(DEADLINE, tried).await;
        drop(place);
        context.meters.notice(&end.errand.1, matches!(outcome, Ok(Ok(()))));
        let wait = match outcome {
            Ok(Ok(())) => {
                end.taken = true;
                return;
            }
            Ok(Err(error)) => end.failed(attempt, &error),
            Err(_) => LATE,
        };
        // As with all that is tried again: not everybody at the same moment, and nobody before he was asked to.
        tokio::time::sleep(wait.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
    }
}

/// Ends a delivery however its task ends: else the notice would be taken for one that is on its way for ever.
struct End {
    context: Arc<Context>,
    entry: Arc<Entry>,
    errand: Errand,
    about: About,
    taken: bool,
}

impl End {
    /// Tells of a failed attempt; returns how long until the next one. Who refuses for good is asked now and then all the same:
    /// an address or a key may be put right.
    fn failed(&self, attempt: u32, error: &DeliveryError) -> Duration {
        let About { namespace, rollout, .. } = &self.about;
        let (notice, receiver) = &self.errand;
        if attempt == 0 {
            tracing::warn!(namespace, rollout, notice, receiver, %error, "a notice was not taken, and is sent again");
        }
        let soon = SOON.saturating_mul(1 << attempt.min(10)).min(LATE);
        match error {
            DeliveryError::Later { after, .. } => after.unwrap_or_default().max(soon),
            DeliveryError::Refused(_) => LATE,
        }
    }

    /// Whether the status still keeps it for the receiver, as far as is known. That of a Rollout that is gone is kept by nobody,
    /// and sent until it is too old.
    fn is_kept(&self) -> bool {
        lock(&self.entry.sent).contains_key(&self.errand)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut sent = lock(&self.entry.sent);
        match sent.entry(self.errand.clone()) {
            Place::Occupied(mut place) if self.taken => drop(place.insert(Sent::Taken)),
            Place::Occupied(place) => drop(place.remove()),
            Place::Vacant(_) => {}
        }
        drop(sent);
        if self.taken {
            self.context.wake(&self.about.namespace, &self.about.rollout);
        }
    }
}
