//! What is read of Argo's objects, and nothing else of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::values::{GoSpan, IntOrText};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RolloutSpec {
    pub(super) strategy: Strategy,
    pub(super) progress_deadline_seconds: Option<i64>,
    pub(super) progress_deadline_abort: Option<bool>,
    pub(super) rollback_window: Option<RollbackWindow>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RollbackWindow {
    pub(super) revisions: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Strategy {
    pub(super) canary: Option<Canary>,
    pub(super) blue_green: Option<BlueGreen>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "they are called so there")]
pub(super) struct Canary {
    pub(super) stable_service: Option<String>,
    pub(super) canary_service: Option<String>,
    pub(super) steps: Vec<Step>,
    pub(super) traffic_routing: Option<TrafficRouting>,
    pub(super) analysis: Option<RolloutAnalysis>,
    pub(super) scale_down_delay_seconds: Option<i64>,
    pub(super) ping_pong: Option<PingPong>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PingPong {
    pub(super) ping_service: String,
    pub(super) pong_service: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Step {
    pub(super) set_weight: Option<i64>,
    pub(super) pause: Option<Pause>,
    pub(super) analysis: Option<RolloutAnalysis>,
    pub(super) set_canary_scale: Option<SetCanaryScale>,
    pub(super) set_header_route: Option<SetHeaderRoute>,
    pub(super) set_mirror_route: Option<SetMirrorRoute>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SetMirrorRoute {
    pub(super) percentage: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pause {
    pub(super) duration: Option<GoSpan>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetCanaryScale {
    pub(super) weight: Option<i32>,
    pub(super) replicas: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SetHeaderRoute {
    #[serde(rename = "match", default)]
    pub(super) matching: Vec<HeaderRouteMatch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeaderRouteMatch {
    pub(super) header_name: String,
    pub(super) header_value: HeaderValue,
}

#[derive(Debug, Deserialize)]
pub(super) struct HeaderValue {
    pub(super) exact: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TrafficRouting {
    pub(super) app_mesh: Option<AppMesh>,
    pub(super) plugins: BTreeMap<String, Value>,
    pub(super) max_traffic_weight: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppMesh {
    pub(super) virtual_service: Option<VirtualService>,
    pub(super) virtual_node_group: Option<VirtualNodeGroup>,
}

#[derive(Debug, Deserialize)]
pub(super) struct VirtualService {
    pub(super) name: String,
    #[serde(default)]
    pub(super) routes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VirtualNodeGroup {
    pub(super) canary_virtual_node_ref: Named,
    pub(super) stable_virtual_node_ref: Named,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GatewayApi {
    #[serde(rename = "httpRoute")]
    pub(super) http_route: Option<String>,
    #[serde(rename = "grpcRoute")]
    pub(super) grpc_route: Option<String>,
    #[serde(rename = "httpRoutes")]
    pub(super) http_routes: Vec<Named>,
    #[serde(rename = "grpcRoutes")]
    pub(super) grpc_routes: Vec<Named>,
    pub(super) namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BlueGreen {
    pub(super) active_service: String,
    pub(super) preview_service: Option<String>,
    pub(super) preview_replica_count: Option<i32>,
    pub(super) auto_promotion_enabled: Option<bool>,
    pub(super) auto_promotion_seconds: Option<i64>,
    pub(super) scale_down_delay_seconds: Option<i64>,
    pub(super) pre_promotion_analysis: Option<RolloutAnalysis>,
    pub(super) post_promotion_analysis: Option<RolloutAnalysis>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RolloutAnalysis {
    pub(super) templates: Vec<TemplateRef>,
    pub(super) args: Vec<Argument>,
    pub(super) dry_run: Vec<DryRun>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TemplateRef {
    pub(super) template_name: String,
    #[serde(default)]
    pub(super) cluster_scope: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) value_from: Option<ValueFrom>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValueFrom {
    pub(super) pod_template_hash_value: Option<String>,
    pub(super) field_ref: Option<FieldRef>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FieldRef {
    pub(super) field_path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DryRun {
    pub(super) metric_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TemplateSpec {
    pub(super) metrics: Vec<Metric>,
    pub(super) args: Vec<Argument>,
    #[serde(rename = "dryRun")]
    pub(super) dry_run: Vec<DryRun>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) interval: Option<String>,
    pub(super) count: Option<IntOrText>,
    pub(super) success_condition: Option<String>,
    pub(super) failure_condition: Option<String>,
    pub(super) failure_limit: Option<IntOrText>,
    pub(super) provider: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Prometheus {
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) query: String,
}
