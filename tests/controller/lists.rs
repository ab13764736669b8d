//! Lists that the API server has answered, to be answered again by one that is behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use serde_json::Value;

/// What ends the objects that there are, where they come as the beginning of a watch.
const END: &str = "k8s.io/initial-events-end";

#[derive(Default)]
pub struct Lists {
    /// By what was asked, the first answer with anything in it.
    kept: Mutex<BTreeMap<String, Bytes>>,
    /// What was asked and answered anew.
    replayed: Mutex<BTreeSet<String>>,
}

impl Lists {
    /// Keeps the list in an answer, if there is one, while it is passed on.
    pub fn keep(self: &Arc<Self>, question: String, answer: Response) -> Response {
        if question.contains("watch=true") && !question.contains("sendInitialEvents=true") {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        let (lists, mut read, mut over) = (Arc::clone(self), Vec::new(), false);
        let passed = body.into_data_stream().inspect_ok(move |chunk| {
            if over {
                return;
            }
            read.extend_from_slice(chunk);
            if let Some(list) = list(&read) {
                over = true;
                if has_objects(list) {
                    let list = Bytes::copy_from_slice(list);
                    lists.kept.lock().unwrap().entry(question.clone()).or_insert(list);
                }
            }
        });
        Response::from_parts(parts, Body::from_stream(passed))
    }

    /// The list as it was first; after one that is streamed nothing comes for a time, and then its end.
    pub fn replay(&self, question: &str, behind: Duration) -> Option<Response> {
        let list = self.kept.lock().unwrap().get(question).cloned()?;
        self.replayed.lock().unwrap().insert(question.to_owned());
        let list = stream::once(async { Ok::<_, std::io::Error>(list) });
        let body = if question.contains("watch=true") {
            let silence = tokio::time::sleep(behind).map(|()| Ok(Bytes::new())).into_stream();
            Body::from_stream(list.chain(silence))
        } else {
            Body::from_stream(list)
        };
        Some(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    }

    /// What there is from now on is kept instead.
    pub fn forget(&self) {
        self.kept.lock().unwrap().clear();
    }

    /// Whether a list of these is there to be answered again.
    pub fn has_kept(&self, resource: &str) -> bool {
        self.kept.lock().unwrap().keys().any(|question| asks_for(question, resource))
    }

    /// Whether a list of these was answered again.
    pub fn has_replayed(&self, resource: &str) -> bool {
        self.replayed.lock().unwrap().iter().any(|question| asks_for(question, resource))
    }
}

fn asks_for(question: &str, resource: &str) -> bool {
    question.contains(&format!("/{resource}?"))
}

/// The list that is whole in what was read so far.
fn list(read: &[u8]) -> Option<&[u8]> {
    if let Some(end) = find(read, END) {
        let rest = read[end..].iter().position(|byte| *byte == b'\n')?;
        return Some(&read[..=end + rest]);
    }
    let value: Value = serde_json::from_slice(read).ok()?;
    value["items"].is_array().then_some(read)
}

fn has_objects(list: &[u8]) -> bool {
    find(list, "\"uid\"").is_some()
}

fn find(text: &[u8], part: &str) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part.as_bytes())
}
