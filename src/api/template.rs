//! The `AnalysisTemplate`: an `analysis` block for several Rollouts.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Analysis;

/// The spec of an `AnalysisTemplate`: by what the Rollouts are judged that name it as `spec.analysis.templateRef`, and what
/// they say of themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "AnalysisTemplate",
    namespaced,
    derive = "PartialEq",
    shortname = "tgat",
    category = "tidegate",
    doc = "AnalysisTemplate holds an analysis for several Rollouts, which name it as spec.analysis.templateRef. A run takes it as it is when the run starts.",
    printcolumn(name = "Interval", type_ = "string", json_path = ".spec.analysis.interval"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.analysis.templateRef) && (!has(self.analysis.args) || size(self.analysis.args) == 0)")
        .message("a template names no other template: its analysis has neither templateRef nor args")
)]
pub struct AnalysisTemplateSpec {
    /// What Rollouts give as `spec.analysis.args`. Each fills `{{args.NAME}}` in queries and in `series.params`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub args: Vec<TemplateArg>,
    /// By what the Rollouts are judged.
    pub analysis: Analysis,
}

/// An arg of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateArg {
    /// Its name.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z][A-Za-z0-9_-]*$"))]
    pub name: String,
    /// What it is where a Rollout gives none. Absent: each Rollout must give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = r"^(\{?[^{])*\{?$"))]
    pub default: Option<String>,
}
