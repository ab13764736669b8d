//! Sends a route write, once, and tells what became of it. Trying again is the caller's decision, for it must read
//! and decide anew first.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
    core::Status,
};

use serde::de::Error as _;

use super::{
    FIELD_MANAGER, Unusable,
    patch::{PatchError, patch},
    resource,
};
use crate::{api::RouteRef, engine::decision::RouteWrite};

/// A patch that takes longer may still land; its outcome has to be read back.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// The API server's texts go into our status; this many bytes of one are enough.
const TEXT_LIMIT: usize = 512;

/// Why a route was not written, or not for sure.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The write contradicts the view that it was decided from; nothing was sent.
    #[error("cannot {} {route}: the write is not consistent", .verb)]
    Inconsistent {
        /// The route.
        route: RouteRef,
        /// What was attempted.
        verb: &'static str,
        /// What is wrong with it.
        source: PatchError,
    },
    /// No preview can be made of the route; nothing was sent.
    #[error("cannot {verb} {route}: {source}")]
    NoCopy {
        /// The preview.
        route: RouteRef,
        /// What was attempted.
        verb: &'static str,
        /// What is wrong with the route.
        source: Unusable,
    },
    /// The API server did not do it, or did not say that it did.
    #[error("cannot {} {route}: {failure}", .verb)]
    Request {
        /// The route.
        route: RouteRef,
        /// What was attempted.
        verb: &'static str,
        /// What is to be made of it.
        failure: Failure,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// It was not sent: another controller leads.
    #[error("cannot {} {route}: this controller does not lead any more", .verb)]
    Withheld {
        /// The route.
        route: RouteRef,
        /// What was attempted.
        verb: &'static str,
    },
    /// No answer came in time.
    #[error("cannot {} {route}: no answer within {deadline:?}", .verb)]
    Timeout {
        /// The route.
        route: RouteRef,
        /// What was attempted.
        verb: &'static str,
        /// How long the answer was waited for.
        deadline: Duration,
    },
}

/// What is to be made of a write that was not confirmed. The texts are the API server's own words for people; an
/// answer that is none of its status objects is never passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It is no longer the route that was seen: read again and decide anew.
    #[error("it has changed meanwhile")]
    Changed,
    /// It will be refused as long as nothing else changes.
    #[error("it is refused: {0}")]
    Refused(String),
    /// We may not.
    #[error("it is forbidden: {0}")]
    Forbidden(String),
    /// There is no such route.
    #[error("it does not exist")]
    Gone,
    /// Not now.
    #[error("the API server is busy")]
    Busy {
        /// How long the server wants to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// It may have been done; read back.
    #[error("the outcome is unknown")]
    Unknown,
}

/// Patches a route, once. The answer is the route as it is now.
pub async fn apply(
    client: &Client,
    namespace: &str,
    write: &RouteWrite,
) -> Result<DynamicObject, ApplyError> {
    apply_within(DEADLINE, client, namespace, write).await
}

async fn apply_within(
    deadline: Duration,
    client: &Client,
    namespace: &str,
    write: &RouteWrite,
) -> Result<DynamicObject, ApplyError> {
    let (route, verb) = (&write.route, write.purpose.verb());
    let patch =
        patch(write).map_err(|source| ApplyError::Inconsistent { route: route.clone(), verb, source })?;
    let routes: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource(route.kind));
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        // Where the API server drops a share that it does not know, all requests would be copied.
        field_validation: write
            .mirrors
            .iter()
            .any(|change| change.percent > 0)
            .then_some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let patch = Patch::Json::<()>(patch);
    match tokio::time::timeout(deadline, routes.patch(&route.name, &params, &patch)).await {
        Ok(Ok(object)) => Ok(object),
        Ok(Err(source)) => Err(ApplyError::request(route, verb, source)),
        Err(_) => Err(ApplyError::Timeout { route: route.clone(), verb, deadline }),
    }
}

impl ApplyError {
    /// The API server's answer to an attempt.
    pub(super) fn request(route: &RouteRef, verb: &'static str, source: kube::Error) -> Self {
        let failure = Failure::of(&source);
        Self::Request { route: route.clone(), verb, failure, source: Box::new(without_body(source)) }
    }

    /// What is to be made of it.
    pub fn kind(&self) -> Failure {
        match self {
            Self::Inconsistent { source, .. } => Failure::Refused(source.to_string()),
            Self::NoCopy { source, .. } => Failure::Refused(source.message.clone()),
            Self::Request { failure, .. } => failure.clone(),
            Self::Withheld { .. } => Failure::Busy { retry_after: None },
            Self::Timeout { .. } => Failure::Unknown,
        }
    }

    /// The same as a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Inconsistent { .. } => "Inconsistent",
            Self::NoCopy { .. } => "NoCopy",
            Self::Request { failure, .. } => failure.label(),
            Self::Withheld { .. } => "Withheld",
            Self::Timeout { .. } => "Timeout",
        }
    }
}

impl Failure {
    /// As a metric label.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Changed => "Changed",
            Self::Refused(_) => "Refused",
            Self::Forbidden(_) => "Forbidden",
            Self::Gone => "Gone",
            Self::Busy { .. } => "Busy",
            Self::Unknown => "Unknown",
        }
    }

    fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            kube::Error::BuildRequest(_) => Self::Refused("the request can't be built".into()),
            kube::Error::Auth(_) => Self::Forbidden("the controller's credentials can't be used".into()),
            // Everything else breaks after something was sent, or can't be told from that.
            _ => Self::Unknown,
        }
    }

    fn of_status(status: &Status) -> Self {
        match status.code {
            409 => Self::Changed,
            // A `test` that failed names no causes, the schema does.
            422 => match causes(status) {
                Some(causes) => Self::Refused(causes),
                None => Self::Changed,
            },
            401 | 403 => Self::Forbidden(said(status)),
            404 => Self::Gone,
            429 | 503 => Self::Busy {
                retry_after: status
                    .details
                    .as_ref()
                    .map(|details| Duration::from_secs(details.retry_after_seconds.into()))
                    .filter(|wait| !wait.is_zero()),
            },
            400..=499 => Self::Refused(said(status)),
            _ => Self::Unknown,
        }
    }
}

/// The fields that the schema refused, and why.
fn causes(status: &Status) -> Option<String> {
    let causes = &status.details.as_ref()?.causes;
    let told: Vec<String> =
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    (!told.is_empty()).then(|| cut(&told.join("; ")))
}

/// The API server's own sentence, where it does not let us: a permission is missing, or admission refuses.
pub fn forbidden(error: &kube::Error) -> Option<String> {
    match Failure::of(error) {
        Failure::Forbidden(said) => Some(said),
        Failure::Changed | Failure::Refused(_) | Failure::Gone | Failure::Busy { .. } | Failure::Unknown => {
            None
        }
    }
}

/// The API server's own sentence.
fn said(status: &Status) -> String {
    if status.message.is_empty() || made_up(status) {
        return format!("the answer is HTTP {}", status.code);
    }
    cut(&status.message)
}

/// Whether the answer was no status object; kube then makes one up, body and all.
fn made_up(status: &Status) -> bool {
    status.reason == "Failed to parse error data"
}

/// The error without the answer's text, where that is not the API server's own: whatever stands in between may
/// answer with anything.
pub fn without_body(error: kube::Error) -> kube::Error {
    match error {
        kube::Error::Api(mut status) if made_up(&status) => {
            status.message.clear();
            kube::Error::Api(status)
        }
        // JSON that is not what was asked for: the reader repeats what is wrong about it.
        kube::Error::SerdeError(error) if error.is_data() => {
            let (line, column) = (error.line(), error.column());
            kube::Error::SerdeError(serde_json::Error::custom(format!(
                "the answer is not what was asked for, at line {line} column {column}"
            )))
        }
        other => other,
    }
}

/// The API server's answer in a sentence, under the same rule.
pub fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => told_by(status),
        kube::Error::SerdeError(_) => "the answer can't be read".to_owned(),
        other => other.to_string(),
    }
}

/// What an answer says that is no success.
pub fn told_by(status: &Status) -> String {
    if status.message.is_empty() || made_up(status) {
        return format!("HTTP {}", status.code);
    }
    format!("HTTP {}: {}", status.code, cut(&status.message))
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_LIMIT)].to_owned()
}

#[cfg(test)]
mod tests;
