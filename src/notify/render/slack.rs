//! A message of Slack. Its markup begins with `<` and its entities with `&`; with these escaped no text can link, mention or call
//! a channel, and `verbatim` keeps Slack from finding names and addresses in the rest.

use serde_json::{Value, json};

use super::{LONGEST_FACT, Message, Told, emoji};
use crate::api::text::one_line;

/// Slack refuses longer texts of a block.
const LONGEST_TEXT: usize = 3000;
/// The most characters of a title: more than a namespace and a name have.
const LONGEST_TITLE: usize = 400;

pub(in crate::notify) fn slack(told: Told<'_>) -> Message {
    let title = format!("{} *{}*", emoji(told.notice.transition), escape(&told.title(), LONGEST_TITLE));
    let message = escape(&told.notice.message, LONGEST_TEXT);
    let facts: Vec<String> =
        told.facts().iter().map(|(name, value)| format!("{name} {}", escape(value, LONGEST_FACT))).collect();
    // What is shown where blocks are not, as in a notification.
    let fallback = format!("{}: {message}", escape(&told.title(), LONGEST_TITLE));
    let mut blocks = vec![json!({"type": "section", "text": text(&title)})];
    if !message.is_empty() {
        blocks.push(json!({"type": "section", "text": text(&message)}));
    }
    blocks.push(json!({"type": "context", "elements": [text(&facts.join(" · "))]}));
    Message::json(json!({ "text": fallback, "blocks": blocks }))
}

fn text(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// A text that stands for itself, at most so many characters long with its escapes.
fn escape(text: &str, most: usize) -> String {
    let mut escaped = String::new();
    let mut left = most - 1;
    for c in one_line(text, usize::MAX).chars() {
        let entity = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        let Some(rest) = left.checked_sub(entity.len().max(1)) else {
            escaped.push('…');
            break;
        };
        left = rest;
        if entity.is_empty() { escaped.push(c) } else { escaped.push_str(entity) }
    }
    escaped
}
