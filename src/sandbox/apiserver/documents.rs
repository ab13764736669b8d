//! Paths that are not resources: discovery, OpenAPI, version, health.

use serde_json::{Value, json};

use super::State;
use super::failure::Failure;
use super::handlers::Reply;
use super::registry::Registry;
use super::request::ApiRequest;
use super::{discovery, openapi, unserved};

/// Answers such a path. That of a custom group is answered whatever the method.
pub(super) fn get(state: &State, request: &ApiRequest, path: &[String]) -> Result<Reply, Failure> {
    let registry = &state.registry;
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    let is_custom = matches!(segments.as_slice(), ["apis", group, ..] if registry.is_custom_group(group));
    if request.method != http::Method::GET && !is_custom {
        return Err(Failure::method_not_allowed());
    }
    let document: Option<Value> = match segments.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => return Ok(Reply::Text("ok")),
        ["version"] => Some(version()),
        ["api" | "apis"] => return Ok(root(state, request, segments == ["api"])),
        ["api", version] => discovery::resource_list(registry, "", version),
        ["apis", group] => discovery::group(registry, group),
        ["apis", group, version] => discovery::resource_list(registry, group, version),
        ["openapi", "v3"] => Some(openapi::index(registry, state.store.revision())),
        ["openapi", "v3", "api", version] => openapi::document(registry, "", version),
        ["openapi", "v3", "apis", group, version] => openapi::document(registry, group, version),
        _ => None,
    };
    let unserved = || unserved::document(registry, &segments);
    let nowhere = || match segments.as_slice() {
        ["api", ..] => Failure::no_such_path(),
        ["apis", group, ..] => no_such_resource(registry, group),
        ["openapi", "v3", ..] => Failure::nothing(),
        _ => Failure::no_such_page(),
    };
    let body = document.ok_or_else(|| unserved().unwrap_or_else(nowhere))?;
    Ok(Reply::Json { code: 200, body, warnings: Vec::new() })
}

/// Nothing in this group, or not under this name: only groups that are built in tell so with a `Status`.
pub(super) fn no_such_resource(registry: &Registry, group: &str) -> Failure {
    if registry.is_built_in_group(group) { Failure::no_such_path() } else { Failure::no_such_page() }
}

/// `/api` or `/apis`, aggregated where the client prefers that.
fn root(state: &State, request: &ApiRequest, core: bool) -> Reply {
    let preferred = request.accept.split(',').find_map(|offer| {
        let aggregated = offer.contains("g=apidiscovery.k8s.io");
        match (aggregated, offer.contains("v=v2beta1"), offer.contains("v=v2")) {
            (true, true, _) => Some("v2beta1"),
            (true, false, true) => Some("v2"),
            _ => None,
        }
    });
    if let Some(version) = preferred {
        return Reply::Discovery { body: discovery::aggregated(&state.registry, core, version), version };
    }
    let body = if core { discovery::core_versions() } else { discovery::group_list(&state.registry) };
    Reply::Json { code: 200, body, warnings: Vec::new() }
}

/// The Kubernetes version whose ways this server follows.
fn version() -> Value {
    json!({
        "major": "1", "minor": "37", "gitVersion": "v1.37.0+tidegate", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "loopback",
    })
}
