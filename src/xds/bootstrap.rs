//! How an Envoy is started, so that it asks for the rest.

use serde_json::{Value, json};

use super::{fleet::Fleet, tls::SECRETS};

/// The cluster of the bootstrap that serves discovery.
const DISCOVERY: &str = "tidegate";
/// The cluster of Envoy's own pages.
const ADMIN: &str = "admin";
/// The field of a node's metadata that says on which port its statistics are to be had.
pub(super) const STATS_PORT: &str = "tidegate.dev/stats-port";

/// Where an Envoy finds what it needs.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The fleet that it is one of.
    pub fleet: Fleet,
    /// The mesh of the fleet.
    pub mesh: String,
    /// The host of the control plane.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the control plane is spoken to; absent: in the clear.
    pub tls: Option<Identity>,
    /// The address and the port of Envoy's own pages. Who reaches them may end the Envoy: a loopback address.
    pub admin: (String, u16),
    /// The port at which everybody may read its statistics and whether it is ready, and nothing else; absent: nowhere.
    pub stats: Option<u16>,
    /// The socket of the server of secrets (SDS), where objects name secrets of one; absent: there is none.
    pub secrets: Option<String>,
}

/// Files, on the machine of the Envoy, with what it shows to the control plane and whom it trusts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its certificate, and those that lead to an authority.
    pub certificate: String,
    /// The key of its certificate.
    pub key: String,
    /// The authorities that the control plane's certificate has to be of.
    pub authority: String,
}

impl Bootstrap {
    /// The configuration, as Envoy reads it with `--config-path`.
    pub fn config(&self) -> Value {
        let Self { fleet, mesh, admin, .. } = self;
        // Without end: an Envoy that has been given nothing yet must not take itself for ready.
        let ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let mut node = json!({"id": fleet.node(mesh), "cluster": fleet.full()});
        let mut clusters = vec![self.discovery()];
        let mut listeners = Vec::new();
        if let Some(port) = self.stats {
            node["metadata"] = json!({ STATS_PORT: port });
            clusters.push(json!({
                "name": ADMIN, "type": "STATIC", "connect_timeout": "1s",
                "load_assignment": assignment(ADMIN, &address(&admin.0, admin.1)),
            }));
            listeners.push(statistics(port));
        }
        if let Some(path) = &self.secrets {
            clusters.push(json!({
                "name": SECRETS, "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": http2(&json!({})),
                "load_assignment": assignment(SECRETS, &json!({"pipe": {"path": path}})),
            }));
        }
        // As App Mesh's own Envoys had them with ENABLE_ENVOY_STATS_TAGS, so that queries and dashboards go on.
        let tag =
            |name: &str, value: &str| json!({"tag_name": format!("appmesh.{name}"), "fixed_value": value});
        json!({
            "node": node,
            "stats_config": {"stats_tags": [tag("mesh", mesh), tag(fleet.tag(), &fleet.full())]},
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
            "static_resources": {"clusters": clusters, "listeners": listeners},
        })
    }

    /// The cluster of the control plane. Only the replica that leads takes connections; Envoy tries the addresses of the name one
    /// after the other.
    fn discovery(&self) -> Value {
        // A control plane that is gone without a word is noticed, and another replica asked.
        let alive = json!({"connection_keepalive": {"interval": "10s", "timeout": "5s"}});
        let mut cluster = json!({
            "name": DISCOVERY, "type": "STRICT_DNS", "connect_timeout": "5s",
            "typed_extension_protocol_options": http2(&alive),
            "load_assignment": assignment(DISCOVERY, &address(&self.host, self.port)),
        });
        if let Some(Identity { certificate, key, authority }) = &self.tls {
            cluster["transport_socket"] = json!({
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                    "sni": self.host,
                    "common_tls_context": {
                        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                        "tls_certificates": [{
                            "certificate_chain": {"filename": certificate},
                            "private_key": {"filename": key},
                        }],
                        "validation_context": {
                            "trusted_ca": {"filename": authority},
                            "match_typed_subject_alt_names": [
                                {"san_type": san_type(&self.host), "matcher": {"exact": self.host}},
                            ],
                        },
                    },
                },
            });
        }
        cluster
    }
}

fn san_type(host: &str) -> &'static str {
    if host.parse::<std::net::IpAddr>().is_ok() { "IP_ADDRESS" } else { "DNS" }
}

fn address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

fn assignment(name: &str, address: &Value) -> Value {
    json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]})
}

fn http2(options: &Value) -> Value {
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({ name: {
        "@type": format!("type.googleapis.com/{name}"),
        "explicit_http_config": {"http2_protocol_options": options},
    }})
}

/// A port that gives the statistics and whether Envoy is ready, to whoever asks; the other pages change things.
fn statistics(port: u16) -> Value {
    let only_get = json!([{"name": ":method", "string_match": {"exact": "GET"}}]);
    let route =
        |path: &str| json!({"match": {"path": path, "headers": only_get}, "route": {"cluster": ADMIN}});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        // What it counts of itself must not be taken for requests of the gateway.
        "stat_prefix": "tidegate_statistics",
        "route_config": {"name": "statistics", "virtual_hosts": [{
            "name": "statistics", "domains": ["*"], "routes": [route("/stats/prometheus"), route("/ready")],
        }]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        }}],
    });
    json!({
        "name": "statistics", "address": address("0.0.0.0", port),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
        }]}],
    })
}
