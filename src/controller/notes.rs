//! What is to be told goes through a bounded queue, off the way of everything else: an Event may come late or be
//! lost, it never delays a write.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{meters::Meters, precedence::Precedence};
use crate::{engine::decision::Note, notify::Notifier};

/// How many may wait.
const QUEUE: usize = 1024;

/// Takes what is to be told. Cheap to clone.
#[derive(Clone)]
pub struct Notes {
    queue: mpsc::Sender<(ObjectReference, Note)>,
    meters: Arc<Meters>,
}

impl Notes {
    /// The queue, and the task that empties it until `stop`.
    pub fn start(
        notifier: Notifier,
        meters: Arc<Meters>,
        precedence: Arc<Precedence>,
        stop: CancellationToken,
    ) -> Self {
        let (queue, mut waiting) = mpsc::channel::<(ObjectReference, Note)>(QUEUE);
        tokio::spawn(async move {
            while let Some(Some((about, note))) = stop.run_until_cancelled(waiting.recv()).await {
                let _few = precedence.give_way().await;
                notifier.tell(about, &note).await;
            }
        });
        Self { queue, meters }
    }

    /// Queues a note about an object; where too many wait already, it is dropped and counted.
    pub fn tell(&self, about: ObjectReference, note: Note) {
        if self.queue.try_send((about, note)).is_err() {
            self.meters.note_dropped();
        }
    }
}
