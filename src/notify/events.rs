//! Kubernetes Events on the Rollout. Nothing depends on an Event: one that can't be written is logged and forgotten.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::{api::fnv1a, engine::decision::Note};

/// The API server refuses longer notes.
const NOTE_LIMIT: usize = 1024;
/// An Event that takes longer is given up.
const DEADLINE: Duration = Duration::from_secs(5);

/// A recorder goes through all that it remembers at each Event, which among a thousand runs is a sixth of all work;
/// so each has a share of the objects only.
const RECORDERS: u64 = 64;

/// Writes Events. One for the process: its recorders fold repeated ones, for which they have to remember the last.
#[derive(Clone)]
pub struct Notifier {
    recorders: Arc<[Recorder]>,
}

impl Notifier {
    /// A notifier that reports as `tidegate`; the instance is the pod's name, where known.
    pub fn new(client: &Client, instance: Option<String>) -> Self {
        let reporter = Reporter { controller: "tidegate".to_owned(), instance };
        let recorders = (0..RECORDERS).map(|_| Recorder::new(client.clone(), reporter.clone())).collect();
        Self { recorders }
    }

    /// Writes a note as an Event on the object of the reference.
    pub async fn tell(&self, reference: ObjectReference, note: &Note) {
        let reference = about(reference, note.step);
        let event = event(note);
        let Some(recorder) = self.recorder(&reference) else { return };
        match tokio::time::timeout(DEADLINE, recorder.publish(&event, &reference)).await {
            Ok(Ok(())) => {}
            Ok(Err(kube::Error::Api(status))) => {
                // Its message may be the body of an answer that somebody in between gave.
                let (code, why) = (status.code, &status.reason);
                tracing::warn!(
                    reason = note.reason,
                    name = reference.name,
                    code,
                    why,
                    "cannot write an Event"
                );
            }
            Ok(Err(error)) => {
                // The reader repeats what is wrong about an answer.
                let error = match error {
                    kube::Error::SerdeError(_) => "the answer can't be read".to_owned(),
                    other => other.to_string(),
                };
                tracing::warn!(reason = note.reason, name = reference.name, error, "cannot write an Event");
            }
            Err(_) => {
                tracing::warn!(
                    reason = note.reason,
                    name = reference.name,
                    "no answer to an Event within 5s"
                );
            }
        }
    }

    /// The recorder that remembers the Events of this object.
    fn recorder(&self, about: &ObjectReference) -> Option<&Recorder> {
        let place = usize::try_from(fnv1a(about.uid.as_deref().unwrap_or_default()) % RECORDERS).ok()?;
        self.recorders.get(place)
    }
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

fn event(note: &Note) -> Event {
    Event {
        type_: if note.warning { EventType::Warning } else { EventType::Normal },
        reason: note.reason.to_owned(),
        note: Some(note.message[..note.message.floor_char_boundary(NOTE_LIMIT)].to_owned()),
        // Events are folded by action and reason, and a folded one keeps its first text: another run is another action.
        action: note.run.map_or_else(|| "Decide".to_owned(), |run| format!("Run{run}")),
        secondary: None,
    }
}

#[cfg(test)]
mod tests;
