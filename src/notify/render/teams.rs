//! A message of Teams, as a webhook of a Workflow takes it: an Adaptive Card. All texts are text runs, in which Teams knows no
//! Markdown, so nothing needs an escape.

use serde_json::{Value, json};

use super::{Message, Told, emoji};
use crate::api::{Transition, text::one_line};

/// Teams refuses messages above 28 KB.
const LONGEST_MESSAGE: usize = 4000;

pub(in crate::notify) fn teams(told: Told<'_>) -> Message {
    let notice = told.notice;
    let title = format!("{} {}", emoji(notice.transition), told.title());
    let title = json!({
        "type": "TextRun", "text": title, "weight": "Bolder", "size": "Medium", "color": color(notice.transition),
    });
    let message = json!({"type": "TextRun", "text": one_line(&notice.message, LONGEST_MESSAGE)});
    let facts: Vec<String> = told.facts().iter().map(|(name, value)| format!("{name} {value}")).collect();
    let facts = json!({"type": "TextRun", "text": facts.join(" · "), "size": "Small", "isSubtle": true});
    Message::json(json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": [line(&title), line(&message), line(&facts)],
            },
        }],
    }))
}

fn line(run: &Value) -> Value {
    json!({"type": "RichTextBlock", "inlines": [run]})
}

const fn color(transition: Transition) -> &'static str {
    match transition {
        Transition::Started | Transition::Step => "Accent",
        Transition::Promoted => "Good",
        Transition::Paused | Transition::Drifted => "Warning",
        Transition::RolledBack | Transition::Invalid => "Attention",
    }
}
