//! App Mesh's objects as written, both dialects of a gateway route in one. A field that is not known is refused rather than dropped: a test
//! that is ignored would widen the match.

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Block {
    pub(super) r#match: Matcher,
    pub(super) action: Action,
    pub(super) retry_policy: Option<RetryPolicy>,
    pub(super) timeout: Option<Timeouts>,
    #[serde(default)]
    pub(super) request_mirror_policies: Vec<MirrorPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MirrorPolicy {
    pub(super) virtual_service_ref: Reference,
    pub(super) port: Option<u16>,
    pub(super) percent: Option<u32>,
}

/// A route of a virtual router.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RouterBlock {
    pub(super) r#match: Matcher,
    pub(super) action: RouterAction,
    pub(super) retry_policy: Option<RetryPolicy>,
    pub(super) timeout: Option<Timeouts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RouterAction {
    pub(super) weighted_targets: Vec<NodeTarget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeTarget {
    #[serde(rename = "virtualNodeRef")]
    pub(super) reference: Option<Reference>,
    #[serde(rename = "virtualNodeARN")]
    pub(super) arn: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) weight: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) virtual_node: Option<ProviderNode>,
    pub(super) virtual_router: Option<ProviderRouter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderNode {
    #[serde(rename = "virtualNodeRef")]
    pub(super) reference: Option<Reference>,
    #[serde(rename = "virtualNodeARN")]
    pub(super) arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderRouter {
    #[serde(rename = "virtualRouterRef")]
    pub(super) reference: Option<Reference>,
    #[serde(rename = "virtualRouterARN")]
    pub(super) arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Matcher {
    pub(super) prefix: Option<String>,
    pub(super) path: Option<PathTest>,
    pub(super) method: Option<String>,
    pub(super) hostname: Option<Hostname>,
    #[serde(default)]
    pub(super) headers: Vec<Header>,
    #[serde(default)]
    pub(super) query_parameters: Vec<Query>,
    pub(super) port: Option<u16>,
    pub(super) service_name: Option<String>,
    pub(super) method_name: Option<String>,
    #[serde(default)]
    pub(super) metadata: Vec<Header>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathTest {
    pub(super) exact: Option<String>,
    pub(super) regex: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hostname {
    pub(super) exact: Option<String>,
    pub(super) suffix: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) name: String,
    #[serde(default)]
    pub(super) invert: bool,
    pub(super) r#match: Option<HeaderValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum HeaderValue {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Regex(String),
    Range { start: i64, end: i64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) name: String,
    pub(super) r#match: Option<QueryValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryValue {
    pub(super) exact: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Action {
    pub(super) target: Option<Target>,
    pub(super) weighted_targets: Option<Vec<WeightedTarget>>,
    pub(super) targets: Option<Vec<WeightedTarget>>,
    pub(super) rewrite: Option<RewriteBlock>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Target {
    pub(super) virtual_service: Option<VirtualService>,
    pub(super) virtual_service_ref: Option<Reference>,
    pub(super) port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WeightedTarget {
    pub(super) virtual_service: Option<VirtualService>,
    pub(super) virtual_service_ref: Option<Reference>,
    pub(super) port: Option<u16>,
    pub(super) weight: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VirtualService {
    #[serde(rename = "virtualServiceRef")]
    pub(super) reference: Option<Reference>,
    #[serde(rename = "virtualServiceARN")]
    pub(super) arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RewriteBlock {
    pub(super) prefix: Option<PrefixRewrite>,
    pub(super) target_prefix: Option<String>,
    pub(super) path: Option<ExactRewrite>,
    pub(super) hostname: Option<HostnameRewrite>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum PrefixRewrite {
    Dialect(String),
    Aws(AwsPrefix),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AwsPrefix {
    pub(super) value: Option<String>,
    pub(super) default_prefix: Option<Switch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExactRewrite {
    pub(super) exact: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HostnameRewrite {
    pub(super) default_target_hostname: Switch,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Switch {
    Enabled,
    Disabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RetryPolicy {
    #[serde(default)]
    pub(super) http_retry_events: Vec<String>,
    #[serde(default)]
    pub(super) tcp_retry_events: Vec<String>,
    #[serde(default)]
    pub(super) grpc_retry_events: Vec<String>,
    pub(super) max_retries: u32,
    #[serde(alias = "perTryTimeout")]
    pub(super) per_retry_timeout: Option<Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Timeouts {
    pub(super) per_request: Option<Span>,
    pub(super) idle: Option<Span>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    pub(super) unit: Unit,
    pub(super) value: u64,
}

#[derive(Clone, Copy, Deserialize)]
pub(super) enum Unit {
    #[serde(rename = "ms", alias = "MILLIS")]
    Millis,
    #[serde(rename = "s", alias = "SECONDS")]
    Seconds,
}
