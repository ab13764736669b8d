//! CloudEvents 1.0 over HTTP, in the structured mode: the whole event is one JSON document. In the binary mode attributes would be
//! headers, where names and sources need escapes of their own, and brokers take both.

use serde_json::json;

use super::{Message, Told, document::document};

/// What such a body is.
const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";

pub(in crate::notify) fn cloud_events(told: Told<'_>, source: &str) -> Message {
    let word = told.notice.transition.word().to_ascii_lowercase();
    let body = json!({
        "specversion": "1.0",
        "id": told.id(),
        "source": source,
        "type": format!("dev.tidegate.rollout.{word}"),
        "subject": format!("{}/{}", told.about.namespace, told.about.rollout),
        "time": told.notice.at,
        "datacontenttype": super::JSON,
        "data": document(told),
    });
    Message { content_type: STRUCTURED, body }
}
