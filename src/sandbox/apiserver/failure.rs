//! Refusals, worded and shaped like the `Status` objects of a real API server.

use serde_json::{Value, json};

use super::resource::Resource;
use crate::schema::FieldError;

/// A refused request: its HTTP code and `Status` body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    /// HTTP status code; the body repeats it.
    pub code: u16,
    /// Seconds for the `Retry-After` header.
    pub retry_after: Option<u64>,
    /// What the client is warned of besides.
    pub warnings: Vec<String>,
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
        Self { code, retry_after: None, warnings: Vec::new(), body }
    }

    /// The `Status` object; a string where the answer is plain text, as for paths that nobody serves.
    pub fn status(&self) -> &Value {
        &self.body
    }

    /// The same refusal, with what the client is warned of besides.
    #[must_use]
    pub fn with_warnings(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.group_resource());
        Self::new(404, "NotFound", message, Some(resource_details(resource, name)))
    }

    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource", Some(json!({})))
    }

    /// A path of no known group, which no handler takes.
    pub fn no_such_page() -> Self {
        let body = "404 page not found\n".into();
        Self { code: 404, retry_after: None, warnings: Vec::new(), body }
    }

    /// A document that is not there: no body at all.
    pub fn nothing() -> Self {
        Self { code: 404, retry_after: None, warnings: Vec::new(), body: "".into() }
    }

    pub fn already_exists(resource: &Resource, name: &str, terminating: bool) -> Self {
        let prefix = if terminating { "object is being deleted: " } else { "" };
        let message = format!("{prefix}{} {name:?} already exists", resource.group_resource());
        Self::new(409, "AlreadyExists", message, Some(resource_details(resource, name)))
    }

    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.group_resource());
        Self::new(409, "Conflict", message, Some(resource_details(resource, name)))
    }

    /// The conflict of a deletion whose preconditions do not hold; it names the kind.
    pub fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        let (group, kind) = resource.group_kind();
        let shown = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("Operation cannot be fulfilled on {shown} {name:?}: {why}");
        Self::new(409, "Conflict", message, Some(details(group, kind, name)))
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
        let (group, kind) = resource.group_kind();
        Self::invalid_kind(group, kind, name, errors)
    }

    /// A refusal of an object that says it is of this kind.
    pub fn invalid_kind(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut details = details(group, kind, name);
        details["causes"] = errors.iter().map(cause).collect();
        let shown = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("{shown} {name:?} is invalid: {}", sentence(errors));
        Self::new(422, "Invalid", message, Some(details))
    }

    /// An update without the version that it is based on, where the resource insists on one.
    pub fn version_required(resource: &Resource, name: &str) -> Self {
        let error = FieldError {
            path: "metadata.resourceVersion".to_owned(),
            reason: "FieldValueInvalid",
            message: "Invalid value: 0: must be specified for an update".to_owned(),
        };
        // Upstream puts the plural in the place of the kind here.
        Self::invalid_kind(&resource.group, &resource.plural, name, &[error])
    }

    /// A refusal of options, such as `ListOptions`, which have no name.
    pub fn invalid_options(kind: &str, errors: &[FieldError]) -> Self {
        Self::invalid_kind("meta.k8s.io", kind, "", errors)
    }

    /// A patched object that cannot be read, or not strictly.
    pub fn invalid_patch(patched: &Value, why: &str) -> Self {
        let error = FieldError {
            path: "patch".to_owned(),
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {:?}: {why}", patched.to_string()),
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

    /// A list at a version that is forgotten.
    pub fn list_expired() -> Self {
        Self::new(410, "Expired", "The resourceVersion for the provided list is too old.", None)
    }

    /// A page of a list whose version is forgotten; `token` leads to the rest, which may not fit what came before.
    pub fn page_expired(token: &str) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a \
             new list without the continue parameter, or use the continue token in this response to retrieve the \
             remainder of the results. Continuing with the provided token results in an inconsistent list - objects \
             that were created, modified, or deleted between the time the first chunk was returned and now may show \
             up in the list.";
        let mut failure = Self::new(410, "Expired", message, None);
        failure.body["metadata"]["continue"] = token.into();
        failure
    }

    /// A watch from a version that is forgotten.
    pub fn watch_expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"), None)
    }

    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message, None)
    }

    /// A content type that is no patch.
    pub fn no_patch_type(resource: &Resource) -> Self {
        if resource.is_custom() {
            return Self::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            );
        }
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type", Some(json!({})))
    }

    pub fn not_acceptable(message: &str) -> Self {
        Self::new(406, "NotAcceptable", message, None)
    }

    /// A verb that a custom resource or its subresource does not have.
    pub fn verb_not_supported(resource: &Resource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {:?}", resource.group_resource());
        Self::new(405, "MethodNotAllowed", message, Some(details(&resource.group, &resource.plural, "")))
    }

    /// A version that the server has not reached.
    pub fn version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        let details = json!({"causes": [cause], "retryAfterSeconds": 1});
        let mut failure = Self::new(504, "Timeout", format!("Timeout: {message}"), Some(details));
        failure.retry_after = Some(1);
        failure
    }

    /// What upstream answers where it expects no such input: 500 without a reason.
    pub fn unexpected(message: impl Into<String>) -> Self {
        let mut failure = Self::new(500, "", message, None);
        if let Some(fields) = failure.body.as_object_mut() {
            fields.remove("reason");
        }
        failure
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
    details(&resource.group, &resource.plural, name)
}

/// What a refusal is about; empty parts are left out.
fn details(group: &str, kind: &str, name: &str) -> Value {
    let parts = [("name", name), ("group", group), ("kind", kind)];
    parts
        .into_iter()
        .filter(|(_, part)| !part.is_empty())
        .map(|(field, part)| (field.to_owned(), Value::from(part)))
        .collect()
}

fn cause(error: &FieldError) -> Value {
    json!({"reason": error.reason, "message": error.message, "field": shown_path(error)})
}

/// The object itself has no path.
fn shown_path(error: &FieldError) -> &str {
    if error.path.is_empty() { "<nil>" } else { &error.path }
}

fn sentence(errors: &[FieldError]) -> String {
    let parts: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", shown_path(error), error.message)).collect();
    match parts.as_slice() {
        [only] => only.clone(),
        _ => format!("[{}]", parts.join(", ")),
    }
}
