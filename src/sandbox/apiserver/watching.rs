//! Watch streams: each follows the log of changes from its own position.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, Sleep};

use super::Inner;
use super::audit::RequestRecord;
use super::failure::Failure;
use super::faults::Effect;
use super::object;
use super::resource::Resource;
use super::selectors::Selection;
use super::store::Change;
use super::view::View;

/// How often a bookmark tells a quiet watch where the server is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(5);
/// How long before the end of a watch the last bookmark comes; a shorter watch gets none.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// What a client wants to watch, and how.
#[derive(Debug)]
pub(super) struct Wanted {
    pub resource: Arc<Resource>,
    pub selection: Selection,
    pub view: View,
    /// `None`: what exists is told first, as additions.
    pub from: Option<u64>,
    /// Whether a bookmark tells where what exists ends and what happens begins.
    pub marks_initial_end: bool,
    pub bookmarks: bool,
    pub timeout: Duration,
}

struct Stream {
    server: Arc<Inner>,
    request: RequestRecord,
    wanted: Wanted,
    /// Changes up to here have been told.
    position: u64,
    bookmarked: u64,
    pending: VecDeque<Value>,
    columns_told: bool,
    frozen: bool,
    ended: bool,
    deadline: Pin<Box<Sleep>>,
    /// `None` once the last bookmark has come.
    last_bookmark_due: Option<Pin<Box<Sleep>>>,
    bookmark_due: Interval,
    changed: watch::Receiver<u64>,
    faults_changed: watch::Receiver<()>,
}

/// The body of a watch.
pub(super) fn body(server: Arc<Inner>, request: RequestRecord, wanted: Wanted) -> Body {
    let stream = Stream::open(server, request, wanted);
    Body::from_stream(futures::stream::unfold(stream, |mut stream| async move {
        let chunk = stream.next().await?;
        if chunk.is_err() {
            stream.ended = true;
        }
        Some((chunk, stream))
    }))
}

impl Stream {
    fn open(server: Arc<Inner>, request: RequestRecord, wanted: Wanted) -> Self {
        let mut bookmark_due = tokio::time::interval(BOOKMARK_EVERY);
        bookmark_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        bookmark_due.reset();
        let deadline = Box::pin(tokio::time::sleep(wanted.timeout));
        let last_bookmark_due = wanted.timeout.checked_sub(LAST_BOOKMARK).filter(|after| !after.is_zero());
        let last_bookmark_due = last_bookmark_due.map(|after| Box::pin(tokio::time::sleep(after)));
        let faults_changed = server.faults.subscribe();
        let state = server.state();
        let changed = state.store.subscribe();
        let mut pending = VecDeque::new();
        let position = wanted.from.unwrap_or_else(|| state.store.revision());
        if wanted.from.is_none() {
            let existing = state.store.list(&wanted.resource.storage, wanted.selection.namespace.as_deref());
            let now = state.clock.now();
            for (_, stored) in existing.filter(|(_, stored)| wanted.selection.matches(stored)) {
                let shown = wanted.view.object(&wanted.resource, stored, now);
                pending.push_back(json!({"type": "ADDED", "object": shown}));
            }
        }
        if wanted.marks_initial_end {
            let mut object = wanted.view.bookmark(&wanted.resource, position, state.clock.now());
            let marked = json!({"k8s.io/initial-events-end": "true"});
            match wanted.view {
                View::Table(_) => object["rows"][0]["object"]["metadata"]["annotations"] = marked,
                View::Object | View::Metadata => object["metadata"]["annotations"] = marked,
            }
            pending.push_back(json!({"type": "BOOKMARK", "object": object}));
        }
        drop(state);
        Self {
            server,
            request,
            wanted,
            position,
            bookmarked: position,
            pending,
            columns_told: false,
            frozen: false,
            ended: false,
            deadline,
            last_bookmark_due,
            bookmark_due,
            changed,
            faults_changed,
        }
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if self.ended {
                return None;
            }
            match self.server.faults.for_watch(&self.request) {
                Some(Effect::DropWatch) => {
                    return Some(Err(io::Error::other("the watch was dropped by a fault")));
                }
                Some(_) => self.frozen = true,
                None => {}
            }
            if !self.frozen {
                self.follow();
                if let Some(chunk) = self.take_pending() {
                    return Some(Ok(chunk));
                }
            }
            let stop = self.server.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return None,
                () = &mut self.deadline => return None,
                () = elapsed(self.last_bookmark_due.as_mut()) => {
                    self.last_bookmark_due = None;
                    self.bookmark();
                }
                _ = self.bookmark_due.tick() => self.bookmark(),
                _ = self.changed.changed() => {}
                _ = self.faults_changed.changed() => {}
            }
        }
    }

    /// Takes new changes from the log.
    fn follow(&mut self) {
        let state = self.server.state();
        let now = state.clock.now();
        let changes = match state.store.changes_after(self.position) {
            Ok(changes) => changes,
            Err(compacted) => {
                let expired = Failure::watch_expired(self.position, compacted.oldest);
                self.pending.push_back(json!({"type": "ERROR", "object": expired.status()}));
                self.ended = true;
                return;
            }
        };
        let mut last = self.position;
        for change in changes {
            last = change.revision;
            if change.key.storage != self.wanted.resource.storage {
                continue;
            }
            if let Some((type_, stored)) = event(change, &self.wanted.selection) {
                let object = self.wanted.view.object(&self.wanted.resource, &stored, now);
                self.pending.push_back(json!({"type": type_, "object": object}));
            }
        }
        drop(state);
        self.position = last;
    }

    fn bookmark(&mut self) {
        if self.wanted.bookmarks && !self.frozen && self.position > self.bookmarked {
            let now = self.server.clock.now();
            let object = self.wanted.view.bookmark(&self.wanted.resource, self.position, now);
            self.pending.push_back(json!({"type": "BOOKMARK", "object": object}));
            self.bookmarked = self.position;
        }
    }

    fn take_pending(&mut self) -> Option<Bytes> {
        if self.pending.is_empty() {
            return None;
        }
        let mut chunk = Vec::new();
        for mut event in self.pending.drain(..) {
            if matches!(self.wanted.view, View::Table(_)) && event["type"] != "ERROR" {
                // Clients print the header again whenever columns are repeated.
                if self.columns_told {
                    event["object"]["columnDefinitions"] = Value::Null;
                }
                self.columns_told = true;
            }
            // As from every API server the type comes first: clients need not keep the object until they know it.
            let (type_, object) = (&event["type"], &event["object"]);
            chunk.extend(format!("{{\"type\":{type_},\"object\":{object}}}\n").into_bytes());
        }
        Some(chunk.into())
    }
}

/// Waits for a moment; for ever where there is none to come.
async fn elapsed(moment: Option<&mut Pin<Box<Sleep>>>) {
    match moment {
        Some(moment) => moment.await,
        None => std::future::pending().await,
    }
}

/// What a change means to a watch with this selection: objects may enter and leave it.
fn event(change: &Change, selection: &Selection) -> Option<(&'static str, Arc<Value>)> {
    let before = change.before.as_ref().filter(|stored| selection.matches(stored));
    let after = change.after.as_ref().filter(|stored| selection.matches(stored));
    match (before, after) {
        (None, Some(after)) => Some(("ADDED", after.clone())),
        (Some(_), Some(after)) => Some(("MODIFIED", after.clone())),
        (Some(before), None) => {
            let mut last = (**before).clone();
            object::set_metadata(&mut last, "resourceVersion", change.revision.to_string().into());
            Some(("DELETED", Arc::new(last)))
        }
        (None, None) => None,
    }
}
