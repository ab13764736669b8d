//! The Gateway API's rules as written. A field that is not known is refused rather than dropped: a test that is ignored
//! would widen the match.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpRule {
    #[serde(rename = "name")]
    pub(super) _name: Option<String>,
    #[serde(default)]
    pub(super) matches: Vec<HttpMatch>,
    #[serde(default)]
    pub(super) filters: Vec<Filter>,
    #[serde(default)]
    pub(super) backend_refs: Vec<BackendRef>,
    pub(super) timeouts: Option<Timeouts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GrpcRule {
    #[serde(rename = "name")]
    pub(super) _name: Option<String>,
    #[serde(default)]
    pub(super) matches: Vec<GrpcMatch>,
    #[serde(default)]
    pub(super) filters: Vec<Filter>,
    #[serde(default)]
    pub(super) backend_refs: Vec<BackendRef>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpMatch {
    pub(super) path: Option<PathTest>,
    #[serde(default)]
    pub(super) headers: Vec<NameTest>,
    #[serde(default)]
    pub(super) query_params: Vec<NameTest>,
    pub(super) method: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathTest {
    pub(super) r#type: Option<PathKind>,
    pub(super) value: Option<String>,
}

#[derive(Deserialize)]
pub(super) enum PathKind {
    Exact,
    PathPrefix,
    RegularExpression,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrpcMatch {
    pub(super) method: Option<MethodTest>,
    #[serde(default)]
    pub(super) headers: Vec<NameTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MethodTest {
    #[serde(default)]
    pub(super) r#type: TestKind,
    pub(super) service: Option<String>,
    pub(super) method: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameTest {
    #[serde(default)]
    pub(super) r#type: TestKind,
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Default, Deserialize)]
pub(super) enum TestKind {
    #[default]
    Exact,
    RegularExpression,
}

/// Only what the supported types need is read; another type is refused by its name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    pub(super) r#type: String,
    pub(super) request_header_modifier: Option<HeaderModifier>,
    pub(super) url_rewrite: Option<UrlRewrite>,
    pub(super) request_mirror: Option<RequestMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestMirror {
    pub(super) backend_ref: BackendRef,
    pub(super) percent: Option<u32>,
    pub(super) fraction: Option<Fraction>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fraction {
    pub(super) numerator: u32,
    pub(super) denominator: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderModifier {
    #[serde(default)]
    pub(super) set: Vec<HeaderValue>,
    #[serde(default)]
    pub(super) add: Vec<HeaderValue>,
    #[serde(default)]
    pub(super) remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderValue {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UrlRewrite {
    pub(super) hostname: Option<String>,
    pub(super) path: Option<PathModifier>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum PathModifier {
    ReplaceFullPath { replace_full_path: String },
    ReplacePrefixMatch { replace_prefix_match: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendRef {
    #[serde(default)]
    pub(super) group: String,
    #[serde(default = "service")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) port: Option<u16>,
    #[serde(default = "one")]
    pub(super) weight: u32,
    #[serde(default)]
    pub(super) filters: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Timeouts {
    pub(super) request: Option<String>,
    pub(super) backend_request: Option<String>,
}

fn service() -> String {
    "Service".to_owned()
}

fn one() -> u32 {
    1
}
