//! How an Envoy is started, so that it asks for the rest.

use serde_json::{Value, json};

use super::hub::Gateway;

/// The cluster of the bootstrap that serves discovery.
const DISCOVERY: &str = "tidegate";

/// Where an Envoy finds what it needs.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The gateway that it is one of.
    pub gateway: Gateway,
    /// The mesh of the gateway.
    pub mesh: String,
    /// The host of the control plane.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The address and the port of Envoy's own pages, statistics among them.
    pub admin: (String, u16),
}

impl Bootstrap {
    /// The configuration, as Envoy reads it with `--config-path`.
    pub fn config(&self) -> Value {
        let Self { gateway, mesh, host, port, admin } = self;
        let full = format!("{}_{}", gateway.name, gateway.namespace);
        let ads = json!({"ads": {}, "resource_api_version": "V3"});
        let address =
            |host: &str, port: u16| json!({"socket_address": {"address": host, "port_value": port}});
        let http2 = json!({
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            // A control plane that is gone without a word is noticed, and another replica asked.
            "explicit_http_config": {"http2_protocol_options": {
                "connection_keepalive": {"interval": "10s", "timeout": "5s"},
            }},
        });
        json!({
            "node": {"id": format!("mesh/{mesh}/virtualGateway/{full}"), "cluster": full},
            "admin": {"address": address(&admin.0, admin.1)},
            // Statistics of the latency are as fresh as this, and counters always are.
            "stats_flush_interval": "1s",
            // By default Envoy refuses all routes for a pattern that is not quite small.
            "layered_runtime": {"layers": [{
                "name": "tidegate", "static_layer": {"re2.max_program_size.error_level": u32::MAX},
            }]},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": DISCOVERY}}],
                },
                "cds_config": ads,
                "lds_config": ads,
            },
            "static_resources": {"clusters": [{
                "name": DISCOVERY, "type": "STRICT_DNS", "connect_timeout": "5s",
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2,
                },
                "load_assignment": {"cluster_name": DISCOVERY, "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": address(host, *port)}},
                ]}]},
            }]},
        })
    }
}
