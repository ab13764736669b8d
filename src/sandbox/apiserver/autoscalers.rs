//! Says of HorizontalPodAutoscalers that they do not scale, in the words of a real controller that finds nothing to scale.

use serde_json::{Value, json};

use super::State;
use super::builtins::AUTOSCALERS;
use super::controllers::{living, put};
use super::managed_fields::seconds;
use super::write::Part;

pub(super) fn reconcile(state: &mut State) {
    let Some(resource) = state.registry.by_storage(AUTOSCALERS) else {
        return;
    };
    for autoscaler in living(state, AUTOSCALERS) {
        // Who says something else is a controller of its own.
        if autoscaler["status"]["conditions"].as_array().is_some_and(|told| !told.is_empty()) {
            continue;
        }
        let mut wanted = Value::clone(&autoscaler);
        wanted["status"]["conditions"] = json!([{
            "type": "AbleToScale", "status": "False", "reason": "FailedGetScale",
            "message": "nothing scales in the embedded API server",
            "lastTransitionTime": seconds(state.clock.now()),
        }]);
        put(state, &resource, &wanted, Part::Status);
    }
}
