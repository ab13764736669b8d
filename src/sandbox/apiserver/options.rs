//! The options of writes: `CreateOptions`, `UpdateOptions`, `PatchOptions`, `DeleteOptions`.

use serde_json::{Value, json};

use super::body;
use super::failure::Failure;
use super::request::ApiRequest;
use crate::schema::FieldError;

/// The longest name of a field manager, in bytes.
const MANAGER_LIMIT: usize = 128;

/// What unknown fields lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Strict,
    Warn,
    Ignore,
}

/// What a write asks for besides its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteOptions {
    pub validation: FieldValidation,
    pub dry_run: bool,
}

/// What a deletion demands of the object, and whether it is only tried.
#[derive(Clone, Debug, Default)]
pub(super) struct DeleteOptions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
}

impl WriteOptions {
    /// Reads the query of a write of this kind, such as `PatchOptions`.
    pub fn parse(request: &ApiRequest, kind: &str) -> Result<Self, Failure> {
        let parameters = &request.parameters;
        let mut errors = Vec::new();
        let dry_run = dry_run(&parameters.dry_run, &mut errors);
        if kind == "PatchOptions" && parameters.force.as_deref().is_some_and(|force| !force.is_empty()) {
            let message = "Forbidden: may not be specified for non-apply patch".to_owned();
            errors.push(FieldError { path: "force".to_owned(), reason: "FieldValueForbidden", message });
        }
        errors.extend(manager_refusal(parameters.field_manager.as_deref().unwrap_or_default()));
        let validation = match parameters.field_validation.as_deref() {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            Some(other) => {
                errors.push(not_supported("fieldValidation", other, "\"Ignore\", \"Strict\", \"Warn\""));
                FieldValidation::Warn
            }
        };
        if errors.is_empty() {
            Ok(Self { validation, dry_run })
        } else {
            Err(Failure::invalid_options(kind, &errors))
        }
    }
}

impl DeleteOptions {
    /// Reads the options of a deletion: its body where there is one, its query otherwise.
    pub fn parse(request: &ApiRequest) -> Result<Self, Failure> {
        let parameters = &request.parameters;
        let options = if request.body.is_empty() {
            let policy = parameters.propagation_policy.as_deref();
            json!({"propagationPolicy": policy, "dryRun": parameters.dry_run})
        } else {
            decode(request)?
        };
        let mut errors = Vec::new();
        let dry_runs: Vec<String> = options["dryRun"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|mode| mode.as_str().unwrap_or_default().to_owned())
            .collect();
        let dry_run = dry_run(&dry_runs, &mut errors);
        let (policy, orphan) = (options["propagationPolicy"].as_str(), options["orphanDependents"].as_bool());
        if let Some(policy) = policy
            && !["Foreground", "Background", "Orphan", ""].contains(&policy)
        {
            errors.push(not_supported(
                "propagationPolicy",
                policy,
                "\"Foreground\", \"Background\", \"Orphan\", \"nil\"",
            ));
        }
        if let (Some(policy), Some(_)) = (policy, orphan) {
            let message = format!(
                "Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set"
            );
            errors.push(FieldError {
                path: "propagationPolicy".to_owned(),
                reason: "FieldValueInvalid",
                message,
            });
        }
        if !errors.is_empty() {
            return Err(Failure::invalid_options("DeleteOptions", &errors));
        }
        if matches!(policy, Some("Foreground" | "Orphan")) || orphan == Some(true) {
            return Err(Failure::not_implemented(
                "the embedded API server deletes dependants in the background only, not in the foreground, and orphans none",
            ));
        }
        let demand = |field: &str| options["preconditions"][field].as_str().map(str::to_owned);
        Ok(Self { uid: demand("uid"), resource_version: demand("resourceVersion"), dry_run })
    }
}

/// Reads the body of a deletion, which must be a `DeleteOptions` if it names its kind.
fn decode(request: &ApiRequest) -> Result<Value, Failure> {
    let unreadable = |why: &str| {
        Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type DeleteOptions): {why}"
        ))
    };
    request.check_json()?;
    let (options, _) = body::parse(&request.body).map_err(|error| unreadable(&error.to_string()))?;
    if !options.is_object() && !options.is_null() {
        return Err(unreadable("couldn't get version/kind; json parse error"));
    }
    let fits = |field: &str, fits: fn(&Value) -> bool| options[field].is_null() || fits(&options[field]);
    let typed = fits("gracePeriodSeconds", Value::is_i64)
        && fits("propagationPolicy", Value::is_string)
        && fits("orphanDependents", Value::is_boolean)
        && fits("dryRun", Value::is_array)
        && fits("preconditions", Value::is_object);
    if !typed {
        let why =
            "DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: json: cannot unmarshal";
        return Err(Failure::bad_request(why));
    }
    match options["kind"].as_str() {
        None | Some("" | "DeleteOptions") => Ok(options),
        Some(other) => {
            Err(Failure::bad_request(format!("decoded object cannot be converted to DeleteOptions: {other}")))
        }
    }
}

fn dry_run(modes: &[String], errors: &mut Vec<FieldError>) -> bool {
    if modes.iter().any(|mode| mode != "All") {
        errors.push(not_supported("dryRun", &modes.join(","), "\"All\""));
    }
    !modes.is_empty()
}

fn manager_refusal(manager: &str) -> Option<FieldError> {
    let path = "fieldManager".to_owned();
    if manager.len() > MANAGER_LIMIT {
        let message = format!("Too long: may not be more than {MANAGER_LIMIT} bytes");
        return Some(FieldError { path, reason: "FieldValueTooLong", message });
    }
    manager.chars().any(char::is_control).then(|| {
        let message = format!("Invalid value: {manager:?}: it has characters that cannot be printed");
        FieldError { path, reason: "FieldValueInvalid", message }
    })
}

fn not_supported(field: &str, value: &str, supported: &str) -> FieldError {
    let message = format!("Unsupported value: {value:?}: supported values: {supported}");
    FieldError { path: field.to_owned(), reason: "FieldValueNotSupported", message }
}
