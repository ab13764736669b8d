//! PagerDuty's Events API v2. One Rollout has one alert: what calls for somebody triggers it, whatever else happens resolves it.

use serde_json::json;

use super::{Message, Told, document::document};
use crate::{
    api::{Transition, text::one_line},
    config::Severity,
};

/// PagerDuty refuses longer summaries.
const LONGEST_SUMMARY: usize = 1024;

/// The alert's key is the Rollout's alone, not the run's: what a run left open, the next one's start or end closes.
pub(in crate::notify) fn pager_duty(
    told: Told<'_>,
    routing_key: &str,
    severity: Option<Severity>,
) -> Message {
    let Told { notice, about, cluster } = told;
    let dedup_key = format!("tidegate/{}", about.uid);
    if !notice.transition.is_warning() {
        return Message::json(json!({
            "routing_key": routing_key,
            "event_action": "resolve",
            "dedup_key": dedup_key,
        }));
    }
    let name = format!("{}/{}", about.namespace, about.rollout);
    let summary = format!("{}: {}", told.title(), notice.message);
    Message::json(json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": "Tidegate",
        "payload": {
            "summary": one_line(&summary, LONGEST_SUMMARY),
            "source": cluster.map_or_else(|| name.clone(), |cluster| format!("{cluster}/{name}")),
            "severity": severity.unwrap_or_else(|| usual(notice.transition)),
            "timestamp": notice.at,
            "component": about.rollout,
            "group": about.namespace,
            "class": notice.reason,
            "custom_details": document(told),
        },
    }))
}

/// How bad it is where nobody has said.
const fn usual(transition: Transition) -> Severity {
    match transition {
        Transition::RolledBack => Severity::Error,
        Transition::Paused | Transition::Drifted | Transition::Invalid => Severity::Warning,
        Transition::Started | Transition::Step | Transition::Promoted => Severity::Info,
    }
}
