//! Act: writes to routes. Nothing is forced: whatever does not land as decided is read again and decided anew.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use kube::{Api, ResourceExt, api::DynamicObject};

use super::{
    context::{Context, Problem, RouteKept, Working},
    error::TurnError,
    meters,
    observe::key,
    raw::Raw,
    stores::Versioned,
    users,
};
use crate::{
    api::{RouteKind, RouteRef},
    engine::{
        SENT_WITHIN,
        decision::{PreviewWrite, RouteWrite, ScaleWrite},
        observed::Subject,
    },
    routes::{self, ApplyError, Failure, Packed},
    workloads::{self, ScaleError},
};

/// A route that refuses a write is left alone for so long.
pub const SLOW: SignedDuration = SignedDuration::from_secs(30);
/// A lowering that is forbidden comes again sooner: an API server that has just started refuses everybody for a moment,
/// until it knows the roles.
const FORBIDDEN: SignedDuration = SignedDuration::from_secs(3);
/// Reading a route takes no longer than this.
const DEADLINE: Duration = Duration::from_secs(5);

/// Carries out lowering writes, all at once, each sent until it is stored or known to be outdated. After a while
/// the turn ends nevertheless: the next one decides the same again, from what stands then.
pub async fn lower(
    context: &Context,
    subject: &Subject,
    writes: &[&RouteWrite],
) -> Vec<(RouteWrite, ApplyError)> {
    let lowered = join_all(writes.iter().map(|write| async move {
        let attempt = || write_once(context, subject, write);
        let stored = attempt.retry(patience()).when(is_passing).adjust(honour_retry_after).await;
        stored.err().map(|error| ((*write).clone(), error))
    }));
    lowered.await.into_iter().flatten().collect()
}

/// Sends a write once, when it is its turn. What comes back is known to all turns at once.
pub async fn write_once(context: &Context, subject: &Subject, write: &RouteWrite) -> Result<(), ApplyError> {
    if !context.leadership.leads_for(&subject.uid) {
        return Err(ApplyError::Withheld { route: write.route.clone(), verb: write.purpose.verb() });
    }
    let apply = routes::apply(&context.client, &subject.namespace, write);
    let answer = if write.purpose.takes_from_canary() {
        let _urgent = context.precedence.go_first();
        apply.await
    } else {
        let _few = context.precedence.give_way().await;
        apply.await
    };
    context.meters.write(meters::purpose(write.purpose), answer.is_ok());
    let object = answer?;
    context.routes.of(write.route.kind).learn(answered(write.route.kind, &object));
    tracing::info!(
        route = %write.route,
        purpose = write.purpose.verb(),
        version = object.resource_version(),
        "wrote the route"
    );
    Ok(())
}

/// Creates, changes or deletes a preview, when it is its turn. What comes back is known to all turns at once.
pub async fn write_preview(
    context: &Context,
    subject: &Subject,
    write: &PreviewWrite,
) -> Result<(), ApplyError> {
    let (route, verb) = (&write.route, write.change.verb());
    if !context.leadership.leads_for(&subject.uid) {
        return Err(ApplyError::Withheld { route: route.clone(), verb });
    }
    let _few = context.precedence.give_way().await;
    let answer = routes::apply_preview(&context.client, &subject.namespace, write).await;
    context.meters.write("preview", answer.is_ok());
    match answer? {
        Some(object) => context.routes.of(route.kind).learn(answered(route.kind, &object)),
        None => context.routes.of(route.kind).forget(&key(&subject.namespace, &route.name)),
    }
    tracing::info!(%route, verb, "wrote the preview");
    Ok(())
}

/// Scales a workload. What comes of it shows in the watch. A scaling down is not sent long after it was decided: what it is
/// about may have been given traffic again since. Nor is it sent without having asked the API server who uses the workload.
pub async fn scale(
    context: &Context,
    subject: &Subject,
    write: &ScaleWrite,
    decided: Timestamp,
) -> Result<(), ScaleError> {
    let in_time = || {
        let gone = Duration::try_from(context.clock.now().duration_since(decided)).unwrap_or_default();
        write.to > write.from || gone <= SENT_WITHIN
    };
    let may = || context.leadership.leads_for(&subject.uid) && in_time();
    let answer = async {
        if write.to < write.from {
            users::unused(context, subject, &write.workload).await?;
        }
        workloads::scale(&context.client, &subject.namespace, write, may).await
    };
    let answer = answer.await.map_err(without_text);
    context.meters.write("scale", answer.is_ok());
    answer?;
    tracing::info!(workload = %write.workload, from = write.from, to = write.to, "scaled");
    Ok(())
}

/// Draws the consequence of a write that failed: a route that refuses it is left alone for a while, with the reason
/// told; any other is read back.
pub async fn after_failure(
    context: &Context,
    namespace: &str,
    working: &mut Working,
    (route, lowering): (&RouteRef, bool),
    error: ApplyError,
    now: Timestamp,
) -> TurnError {
    match error.kind() {
        failure @ (Failure::Refused(_) | Failure::Forbidden(_)) => {
            let wait = if lowering && matches!(failure, Failure::Forbidden(_)) { FORBIDDEN } else { SLOW };
            let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
            let problem = Problem { message: error.to_string(), until, lowering };
            working.problems.insert(route.to_string(), problem);
        }
        Failure::Changed | Failure::Gone | Failure::Unknown => {
            read(context, namespace, route).await;
        }
        Failure::Busy { .. } => {}
    }
    TurnError::Write(error)
}

/// Whether an object can have this name. It becomes a part of a path, in which a Rollout that names `../../other/…` would
/// lead out of its namespace.
pub fn can_be_a_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (first, last) = (name.bytes().next(), name.bytes().next_back());
    first.is_some_and(plain)
        && last.is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'.'))
}

/// Reads a route from the API server. Returns whether it is known by that; where it is not, the watch or the next attempt
/// will tell. The API server is not asked for what can't be there.
pub async fn read(context: &Context, namespace: &str, route: &RouteRef) -> bool {
    if !can_be_a_name(&route.name) {
        context.routes.of(route.kind).forget(&key(namespace, &route.name));
        return true;
    }
    let resource = routes::resource(route.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, &resource);
    match tokio::time::timeout(DEADLINE, api.get_opt(&route.name)).await {
        Ok(Ok(Some(object))) => context.routes.of(route.kind).learn(answered(route.kind, &object)),
        Ok(Ok(None)) => context.routes.of(route.kind).forget(&key(namespace, &route.name)),
        Ok(Err(error)) => {
            tracing::debug!(%route, error = routes::told(&error), "cannot read the route");
            return false;
        }
        Err(_) => {
            tracing::debug!(%route, "cannot read the route in time");
            return false;
        }
    }
    true
}

/// What is kept of a route.
pub fn kept(kind: RouteKind, object: &Raw) -> Versioned<RouteKept> {
    let view = |whole: &_| match routes::view(kind, whole) {
        Ok(view) => Ok(Packed::from(view)),
        Err(unusable) => Err((unusable.reason, unusable.message)),
    };
    object.reduced(view, |defect| Err(("Defect", defect)))
}

/// What is kept of a route that a call of ours returned.
fn answered(kind: RouteKind, object: &DynamicObject) -> Versioned<RouteKept> {
    // An object that came as JSON goes back to it.
    kept(kind, &Raw::from(serde_json::to_value(object).unwrap_or_default()))
}

/// The error, fit for status and log.
fn without_text(error: ScaleError) -> ScaleError {
    match error {
        ScaleError::Request { workload, source } => {
            ScaleError::Request { workload, source: Box::new(routes::without_body(*source)) }
        }
        ScaleError::Changed { .. }
        | ScaleError::Used { .. }
        | ScaleError::Timeout { .. }
        | ScaleError::Withheld(_) => error,
    }
}

fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .with_total_delay(Some(Duration::from_secs(10)))
        .without_max_times()
        .with_jitter()
}

/// The same write may be sent again: where the first one landed after all, its own tests stop the second.
fn is_passing(error: &ApplyError) -> bool {
    match error.kind() {
        Failure::Busy { .. } | Failure::Unknown => true,
        Failure::Changed | Failure::Refused(_) | Failure::Forbidden(_) | Failure::Gone => false,
    }
}

fn honour_retry_after(error: &ApplyError, wait: Option<Duration>) -> Option<Duration> {
    match error.kind() {
        Failure::Busy { retry_after: Some(least) } => wait.map(|wait| least.saturating_add(wait)),
        Failure::Busy { retry_after: None }
        | Failure::Unknown
        | Failure::Changed
        | Failure::Refused(_)
        | Failure::Forbidden(_)
        | Failure::Gone => wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::observed::WorkloadKey;

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for name in ["color", "color-v2.default", "0", "a.b-c.9"] {
            assert!(can_be_a_name(name), "{name}");
        }
        let elsewhere = [
            "",
            ".",
            "..",
            "../../other/httproutes/color",
            "color/status",
            "/color",
            "color/",
            "color?dryRun=All",
            "color#",
            "color%2Fstatus",
            "%2e%2e",
            "color\\..",
            "color\n",
            "color ",
            "Color",
            "cölor",
            "-color",
            "color.",
            "color,metadata.name!=color",
        ];
        for name in elsewhere {
            assert!(!can_be_a_name(name), "{name}");
        }
    }

    #[test]
    fn a_page_in_place_of_an_answer_is_not_told_of_a_workload() {
        let page = "<html>hunter2</html>";
        let status = kube::core::Status::failure(page, "Failed to parse error data").with_code(403);
        let source = Box::new(kube::Error::Api(Box::new(status)));
        let error = without_text(ScaleError::Request { workload: WorkloadKey::deployment("v2"), source });
        let told = format!("{error:?} {:?}", error.refusal());
        assert!(told.contains("HTTP 403") && !told.contains("hunter2"), "{told}");
    }
}
