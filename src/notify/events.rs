//! Kubernetes Events on the Rollout. Nothing depends on an Event: one that can't be written is logged and forgotten.
//!
//! A repeated one is folded into the one before, as Events are. kube's own recorder keeps each of the last minutes whole for that,
//! and goes through all of them at each: among a thousand runs that was half of all memory and a sixth of all work. All that
//! folding needs is a digest, a name and a count.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use serde_json::json;

use crate::{api::fnv1a, clock::Clock, engine::decision::Note};

/// The API server refuses longer notes.
const NOTE_LIMIT: usize = 1024;
/// An Event that takes longer is given up.
const DEADLINE: Duration = Duration::from_secs(5);
/// Who reports.
const CONTROLLER: &str = "tidegate";
/// An Event that was not repeated for so long is another one when it comes again, as with kubelet's.
const FOLDED_WITHIN: SignedDuration = SignedDuration::from_mins(6);
/// How often those that are older are forgotten.
const SWEPT_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Writes Events. One for the process, since it folds repeated ones.
#[derive(Clone)]
pub struct Notifier {
    client: Client,
    clock: Clock,
    instance: String,
    written: Arc<Mutex<Written>>,
}

/// The Events that may be repeated, by their digests.
#[derive(Default)]
struct Written {
    events: HashMap<u64, Last>,
    swept: Timestamp,
}

/// An Event as it was last written.
#[derive(Clone)]
struct Last {
    name: String,
    count: i32,
    at: Timestamp,
}

impl Written {
    fn last(&self, digest: u64, now: Timestamp) -> Option<Last> {
        self.events.get(&digest).filter(|last| now.duration_since(last.at) < FOLDED_WITHIN).cloned()
    }

    fn note(&mut self, digest: u64, last: Last) {
        let now = last.at;
        self.events.insert(digest, last);
        if now.duration_since(self.swept) >= SWEPT_EVERY {
            self.events.retain(|_, last| now.duration_since(last.at) < FOLDED_WITHIN);
            self.swept = now;
        }
    }
}

impl Notifier {
    /// A notifier that reports as `tidegate`; the instance is the pod's name, where known.
    pub fn new(client: &Client, clock: Clock, instance: Option<String>) -> Self {
        let instance = instance.unwrap_or_else(|| CONTROLLER.to_owned());
        Self { client: client.clone(), clock, instance, written: Arc::default() }
    }

    /// Writes a note as an Event on the object of the reference.
    pub async fn tell(&self, reference: ObjectReference, note: &Note) {
        let reference = about(reference, note.step);
        let name = reference.name.clone();
        let why = match tokio::time::timeout(DEADLINE, self.write(reference, note)).await {
            Ok(Ok(())) => return,
            // Its message may be the body of an answer that somebody in between gave.
            Ok(Err(kube::Error::Api(status))) => format!("HTTP {} {}", status.code, status.reason),
            // The reader repeats what is wrong about an answer.
            Ok(Err(kube::Error::SerdeError(_))) => "the answer can't be read".to_owned(),
            Ok(Err(other)) => other.to_string(),
            Err(_) => "no answer within 5s".to_owned(),
        };
        tracing::warn!(reason = note.reason, name, why, "cannot write an Event");
    }

    async fn write(&self, about: ObjectReference, note: &Note) -> Result<(), kube::Error> {
        let now = self.clock.now();
        let digest = digest(&about, note);
        let events: Api<Event> =
            Api::namespaced(self.client.clone(), about.namespace.as_deref().unwrap_or_default());
        let last = self.written.lock().unwrap_or_else(PoisonError::into_inner).last(digest, now);
        let (name, count) = match last {
            Some(Last { name, count, .. }) if Self::repeat(&events, &name, count + 1, now).await? => {
                (name, count + 1)
            }
            Some(_) | None => {
                let event = event(about, note, &self.instance, now);
                events.create(&PostParams::default(), &event).await?;
                (event.metadata.name.unwrap_or_default(), 1)
            }
        };
        let last = Last { name, count, at: now };
        self.written.lock().unwrap_or_else(PoisonError::into_inner).note(digest, last);
        Ok(())
    }

    /// Counts an Event that is there once more. Returns whether it is.
    async fn repeat(
        events: &Api<Event>,
        name: &str,
        count: i32,
        now: Timestamp,
    ) -> Result<bool, kube::Error> {
        let series = Patch::Merge(json!({"series": {"count": count, "lastObservedTime": MicroTime(now)}}));
        match events.patch_metadata(name, &PatchParams::default(), &series).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            // Who may only create them has each as one of its own.
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                tracing::warn!(
                    name,
                    why = "patch is forbidden",
                    "cannot write an Event again, and writes another one"
                );
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// What a repeated Event has in common with the one before.
fn digest(about: &ObjectReference, note: &Note) -> u64 {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let warning = if note.warning { "!" } else { "" };
    let parts =
        [&text(&about.uid), &text(&about.field_path), warning, &action(note), note.reason].map(str::to_owned);
    fnv1a(&parts.join("\n"))
}

/// Events are folded by action and reason, and a folded one keeps its first text: another run is another action.
fn action(note: &Note) -> String {
    note.run.map_or_else(|| "Decide".to_owned(), |run| format!("Run{run}"))
}

/// The reference that Events of one step share. Events are folded by it, so it names the step, lest one step's
/// Event swallow the next one's; and no resourceVersion, which changes all the time.
fn about(reference: ObjectReference, step: Option<i32>) -> ObjectReference {
    ObjectReference {
        field_path: step.filter(|step| *step > 0).map(|step| format!("status.run.plan[{}]", step - 1)),
        resource_version: None,
        ..reference
    }
}

fn event(about: ObjectReference, note: &Note, instance: &str, now: Timestamp) -> Event {
    let rollout = about.name.as_deref().unwrap_or(CONTROLLER);
    Event {
        metadata: ObjectMeta {
            namespace: about.namespace.clone(),
            name: Some(format!("{rollout}.{:x}", now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(note.reason.to_owned()),
        note: Some(note.message[..note.message.floor_char_boundary(NOTE_LIMIT)].to_owned()),
        action: Some(action(note)),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        regarding: Some(about),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests;
