//! Refusals, worded and shaped like the `Status` objects of a real API server.

use serde_json::{Value, json};

use super::resource::Resource;
use crate::sandbox::schema::FieldError;

/// A refused request: its HTTP code and `Status` body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    /// HTTP status code; the body repeats it.
    pub code: u16,
    /// Seconds for the `Retry-After` header.
    pub retry_after: Option<u64>,
    body: Value,
}

impl Failure {
    fn new(code: u16, reason: &str, message: impl Into<String>, details: Option<Value>) -> Self {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message.into(), "reason": reason, "code": code,
        });
        if let Some(details) = details {
            body["details"] = details;
        }
        Self { code, retry_after: None, body }
    }

    /// The `Status` object.
    pub fn status(&self) -> &Value {
        &self.body
    }

    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.group_resource());
        Self::new(404, "NotFound", message, Some(resource_details(resource, name)))
    }

    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource", Some(json!({})))
    }

    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.group_resource());
        Self::new(409, "AlreadyExists", message, Some(resource_details(resource, name)))
    }

    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.group_resource());
        Self::new(409, "Conflict", message, Some(resource_details(resource, name)))
    }

    /// The conflict of a writer who read an older version.
    pub fn stale(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub fn namespace_terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let target = resource.group_resource();
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = json!({
            "reason": "NamespaceTerminating", "field": "metadata.namespace",
            "message": format!("namespace {namespace} is being terminated"),
        });
        let mut details = resource_details(resource, name);
        details["causes"] = json!([cause]);
        Self::new(403, "Forbidden", format!("{target} {name:?} is forbidden: {why}"), Some(details))
    }

    /// A refusal by schema or by the rules of metadata: 422 with a cause per field.
    pub fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        let kind = match resource.group.as_str() {
            "" => resource.kind.clone(),
            group => format!("{}.{group}", resource.kind),
        };
        let mut details = json!({"name": name, "group": resource.group, "kind": resource.kind});
        details["causes"] = errors.iter().map(cause).collect();
        let message = format!("{kind} {name:?} is invalid: {}", sentence(errors));
        Self::new(422, "Invalid", message, Some(details))
    }

    /// A refusal of query options, which have no object to name.
    pub fn invalid_options(error: &FieldError) -> Self {
        let details = json!({"group": "meta.k8s.io", "kind": "ListOptions", "causes": [cause(error)]});
        let message =
            format!("ListOptions.meta.k8s.io \"\" is invalid: {}", sentence(std::slice::from_ref(error)));
        Self::new(422, "Invalid", message, Some(details))
    }

    /// A patched object with unknown fields under strict validation.
    pub fn invalid_patch(message: &str) -> Self {
        let error = FieldError {
            path: "patch".to_owned(),
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {message}"),
        };
        let message = format!(" \"\" is invalid: {}", sentence(std::slice::from_ref(&error)));
        Self::new(422, "Invalid", message, Some(json!({"causes": [cause(&error)]})))
    }

    /// A JSON Patch that does not apply: 422 without causes, which tells it from a refusal by the schema.
    pub fn patch_does_not_apply() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message, Some(json!({})))
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message, None)
    }

    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"), None)
    }

    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message, None)
    }

    pub fn not_acceptable() -> Self {
        Self::new(406, "NotAcceptable", "the embedded API server answers in JSON only", None)
    }

    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message, Some(json!({})))
    }

    /// Something a real server offers and this one deliberately does not.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(501, "NotImplemented", message, None)
    }

    pub fn too_many_requests(retry_after_seconds: u64) -> Self {
        let details = json!({"retryAfterSeconds": retry_after_seconds});
        let message = "the server has received too many requests and has asked us to try again later";
        let mut failure = Self::new(429, "TooManyRequests", message, Some(details));
        failure.retry_after = Some(retry_after_seconds);
        failure
    }

    /// An injected failure of any code.
    pub fn injected(code: u16) -> Self {
        let reason = match code {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            410 => "Expired",
            413 => "RequestEntityTooLarge",
            422 => "Invalid",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        Self::new(code, reason, format!("injected failure with code {code}"), None)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message, None)
    }
}

fn resource_details(resource: &Resource, name: &str) -> Value {
    json!({"name": name, "group": resource.group, "kind": resource.plural})
}

fn cause(error: &FieldError) -> Value {
    json!({"reason": error.reason, "message": error.message, "field": error.path})
}

fn sentence(errors: &[FieldError]) -> String {
    let parts: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
    match parts.as_slice() {
        [only] => only.clone(),
        _ => format!("[{}]", parts.join(", ")),
    }
}
