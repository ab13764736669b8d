//! What is read of Flagger's objects, and nothing else of them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::values::GoSpan;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CanarySpec {
    pub(super) provider: Option<String>,
    pub(super) metrics_server: Option<String>,
    pub(super) target_ref: Reference,
    pub(super) ingress_ref: Option<Reference>,
    pub(super) service: Service,
    pub(super) analysis: Option<Analysis>,
    /// What `analysis` was called before.
    pub(super) canary_analysis: Option<Analysis>,
    pub(super) progress_deadline_seconds: Option<i64>,
    pub(super) skip_analysis: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Service {
    pub(super) name: Option<String>,
    pub(super) port: i32,
    pub(super) mesh_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Analysis {
    pub(super) interval: Option<GoSpan>,
    pub(super) iterations: Option<u32>,
    pub(super) max_weight: Option<i32>,
    pub(super) step_weight: Option<i32>,
    pub(super) step_weights: Vec<i32>,
    pub(super) mirror: bool,
    pub(super) mirror_weight: Option<i32>,
    pub(super) threshold: Option<i64>,
    pub(super) metrics: Vec<Metric>,
    pub(super) webhooks: Vec<Webhook>,
    #[serde(rename = "match")]
    pub(super) matching: Vec<HttpMatch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) interval: Option<String>,
    pub(super) threshold: Option<f64>,
    pub(super) threshold_range: Option<ThresholdRange>,
    pub(super) query: Option<String>,
    pub(super) template_ref: Option<Reference>,
    #[serde(default)]
    pub(super) template_variables: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ThresholdRange {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Webhook {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
}

/// A match of Istio's kind. What asks for more than headers is another match than one of its headers alone.
#[derive(Debug, Deserialize)]
pub(super) struct HttpMatch {
    #[serde(default)]
    pub(super) headers: BTreeMap<String, StringMatch>,
    #[serde(flatten)]
    pub(super) more: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StringMatch {
    pub(super) exact: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TemplateSpec {
    #[serde(default)]
    pub(super) provider: Provider,
    #[serde(default)]
    pub(super) query: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Provider {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) address: Option<String>,
}
