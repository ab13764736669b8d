//! Clusters and their endpoints, in Envoy's words.

use std::{net::SocketAddr, time::Duration};

use envoy_types::{
    pb::envoy::{
        config::{
            cluster::v3::{
                CircuitBreakers, Cluster, OutlierDetection,
                circuit_breakers::Thresholds,
                cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, EdsClusterConfig},
            },
            core::v3::{
                HealthCheck, Http1ProtocolOptions, Http2ProtocolOptions,
                health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck},
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
        },
        extensions::upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
            },
        },
        r#type::v3::{CodecClientType, Int64Range},
    },
    util::pack_any,
};

use super::{
    any::{address, ads, duration, number},
    tls::Files,
};
use crate::dataplane::{self, Endpoints, Limits, Outliers, Probe, Protocol};

/// How long a connection to an endpoint may take.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// Where Envoy keeps how it speaks to a cluster.
pub(super) const HTTP: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster.
pub(super) fn cluster(name: &str, made: &dataplane::Cluster, files: &mut Files) -> Cluster {
    let http2 = made.protocol != Protocol::Http;
    let host = match &made.endpoints {
        Endpoints::Dns { host, .. } => Some(host.as_str()),
        Endpoints::Service { .. } | Endpoints::Local { .. } | Endpoints::Nowhere => None,
    };
    let mut cluster = Cluster {
        name: name.to_owned(),
        connect_timeout: Some(duration(CONNECT)),
        health_checks: made.health.iter().map(health).collect(),
        circuit_breakers: Some(CircuitBreakers {
            thresholds: vec![limits(made.limits)],
            ..CircuitBreakers::default()
        }),
        outlier_detection: made.outliers.map(outliers),
        transport_socket: made.tls.as_ref().map(|tls| files.client(tls, host, http2)),
        // An endpoint that is gone is gone, whatever it answered last.
        ignore_health_on_host_removal: true,
        ..Cluster::default()
    };
    cluster.typed_extension_protocol_options.insert(HTTP.to_owned(), pack_any(spoken(http2)));
    let kind = match &made.endpoints {
        Endpoints::Dns { host, port, each } => {
            cluster.dns_lookup_family = DnsLookupFamily::V4Preferred.into();
            cluster.load_assignment = Some(assignment(name, [(host.as_str(), *port)]));
            if *each { DiscoveryType::StrictDns } else { DiscoveryType::LogicalDns }
        }
        Endpoints::Local { port } => {
            cluster.load_assignment = Some(assignment(name, [("127.0.0.1", *port)]));
            DiscoveryType::Static
        }
        Endpoints::Service { .. } | Endpoints::Nowhere => {
            cluster.eds_cluster_config =
                Some(EdsClusterConfig { eds_config: Some(ads()), ..EdsClusterConfig::default() });
            DiscoveryType::Eds
        }
    };
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind.into()));
    cluster
}

/// The endpoints of a cluster that does not ask DNS.
pub(super) fn endpoints(name: &str, found: &[SocketAddr]) -> ClusterLoadAssignment {
    let hosts: Vec<(String, u16)> =
        found.iter().map(|address| (address.ip().to_string(), address.port())).collect();
    assignment(name, hosts.iter().map(|(host, port)| (host.as_str(), *port)))
}

fn assignment<'a>(name: &str, hosts: impl IntoIterator<Item = (&'a str, u16)>) -> ClusterLoadAssignment {
    let endpoint = |(host, port): (&str, u16)| {
        let endpoint = Endpoint { address: Some(address(host, port)), ..Endpoint::default() };
        LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() }
    };
    let lb_endpoints: Vec<LbEndpoint> = hosts.into_iter().map(endpoint).collect();
    let here = LocalityLbEndpoints { lb_endpoints, ..LocalityLbEndpoints::default() };
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: if here.lb_endpoints.is_empty() { Vec::new() } else { vec![here] },
        ..ClusterLoadAssignment::default()
    }
}

fn spoken(http2: bool) -> HttpProtocolOptions {
    let config = if http2 {
        ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())
    } else {
        ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default())
    };
    let explicit = ExplicitHttpConfig { protocol_config: Some(config) };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..HttpProtocolOptions::default()
    }
}

/// Envoy's own limits (1024 of everything, 3 retries) would answer 503 for a healthy node.
fn limits(limits: Limits) -> Thresholds {
    let or_none = |limit: Option<u32>| Some(number(limit.unwrap_or(u32::MAX)));
    Thresholds {
        max_connections: or_none(limits.connections),
        max_pending_requests: or_none(limits.pending),
        max_requests: or_none(limits.requests),
        max_retries: or_none(None),
        ..Thresholds::default()
    }
}

/// No limits at all.
pub(super) fn unlimited() -> Thresholds {
    limits(Limits::default())
}

fn health(made: &dataplane::HealthCheck) -> HealthCheck {
    let checker = match &made.probe {
        Probe::Http { path, http2 } => HealthChecker::HttpHealthCheck(HttpHealthCheck {
            path: path.clone(),
            // Else one bad answer would be enough, however many are allowed.
            retriable_statuses: vec![Int64Range { start: 100, end: 600 }],
            codec_client_type: if *http2 { CodecClientType::Http2 } else { CodecClientType::Http1 }.into(),
            ..HttpHealthCheck::default()
        }),
        Probe::Grpc => HealthChecker::GrpcHealthCheck(GrpcHealthCheck::default()),
        Probe::Tcp => HealthChecker::TcpHealthCheck(TcpHealthCheck::default()),
    };
    HealthCheck {
        timeout: Some(duration(made.timeout)),
        interval: Some(duration(made.interval)),
        // Before it has had traffic, too: a canary's first request must not wait for the first check.
        no_traffic_interval: Some(duration(made.interval)),
        healthy_threshold: Some(number(made.healthy)),
        unhealthy_threshold: Some(number(made.unhealthy)),
        alt_port: made.port.map(|port| number(u32::from(port))),
        health_checker: Some(checker),
        ..HealthCheck::default()
    }
}

/// Errors in a row alone: Envoy would look at the rate of success besides.
fn outliers(made: Outliers) -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: Some(number(made.errors)),
        interval: Some(duration(made.interval)),
        base_ejection_time: Some(duration(made.ejection)),
        max_ejection_percent: Some(number(made.most)),
        enforcing_success_rate: Some(number(0)),
        ..OutlierDetection::default()
    }
}
