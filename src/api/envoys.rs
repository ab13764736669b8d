//! The list of Envoys that the gateways' control plane gives to whoever reads their statistics.

use serde::{Deserialize, Serialize};

/// The path of an Envoy's statistics, in the text format of Prometheus.
pub const STATS_PATH: &str = "/stats/prometheus";

/// An Envoy that is connected to the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEnvoy {
    /// What it is one of.
    #[serde(flatten)]
    pub of: EnvoyOf,
    /// The address and the port of its statistics, at [`STATS_PATH`]; absent where its bootstrap opens none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<std::net::SocketAddr>,
}

/// What an Envoy is one of, as `<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EnvoyOf {
    /// A `VirtualGateway`.
    Gateway(String),
    /// A `VirtualNode`: it stands beside a pod of that.
    VirtualNode(String),
}

impl std::fmt::Display for EnvoyOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gateway(name) => f.write_str(name),
            Self::VirtualNode(name) => write!(f, "the node {name}"),
        }
    }
}
