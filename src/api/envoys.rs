//! The list of Envoys that the gateways' control plane gives to whoever reads their statistics.

use serde::{Deserialize, Serialize};

/// The path of an Envoy's statistics, in the text format of Prometheus.
pub const STATS_PATH: &str = "/stats/prometheus";

/// An Envoy that is connected to the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEnvoy {
    /// The gateway that it is one of, as `<namespace>/<name>`.
    pub gateway: String,
    /// The address and the port of its statistics, at [`STATS_PATH`]; absent where its bootstrap opens none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<std::net::SocketAddr>,
}
