//! The listeners of an Envoy beside a pod, in Envoy's words.
//!
//! They are where App Mesh's were: the init container or CNI plugin that redirects a pod's connections to them leads what the pod
//! sends to port 15001, and what comes to it to port 15000. A program that knows its Envoy may send to 15001 by itself, with the
//! virtual service as the host.

use std::time::Duration;

use envoy_types::{
    pb::envoy::{
        config::{
            cluster::v3::{
                CircuitBreakers, Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
            },
            core::v3::{Http1ProtocolOptions, Http2ProtocolOptions},
            listener::v3::{
                Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter,
                ListenerFilterChainMatchPredicate,
                listener_filter_chain_match_predicate::{MatchSet, Rule},
            },
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action,
                route_action::ClusterSpecifier, route_match::PathSpecifier,
            },
        },
        extensions::{
            filters::{
                listener::{http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst},
                network::{
                    http_connection_manager::v3::{
                        HttpConnectionManager, http_connection_manager::RouteSpecifier,
                    },
                    tcp_proxy::v3::{TcpProxy, tcp_proxy},
                },
            },
            upstreams::http::v3::{
                HttpProtocolOptions,
                http_protocol_options::{UpstreamProtocolOptions, UseDownstreamHttpConfig},
            },
        },
        r#type::v3::Int32Range,
    },
    util::pack_any,
};

use super::{
    any::{address, duration, limit, number},
    cluster::{CONNECT, HTTP, unlimited},
    listener::{INGRESS, by_discovery, encrypted, filter, http, look, manager, tls_inspector},
    tls::Files,
};
use crate::dataplane::{Inbound, Protocol, Timeout};

/// The listener of what the pod sends, its routes, and what they are counted by.
pub(super) const EGRESS: &str = "egress";
/// The routes of what a pod sends to its Envoy itself, and not to somewhere else: those to its backends alone.
pub(super) const DIRECT: &str = "direct";
/// The port of that.
pub(super) const EGRESS_PORT: u16 = 15001;
/// The port of what comes to the pod.
const INGRESS_PORT: u16 = 15000;
/// The cluster of what the pod sends to others than its backends: it goes where it was going.
pub(super) const PASSTHROUGH: &str = "passthrough";
/// A cluster that is not there: requests are answered 503, and connections are closed.
const NOWHERE: &str = "nowhere";
/// So long the first bytes of a connection are waited for: who speaks second, as a client of MySQL, waits so long for each. Who
/// opens a connection some time before its first request must not be taken for one of those.
const FIRST_BYTES: Duration = Duration::from_secs(5);
/// How Envoy says that a connection begins as HTTP.
const SPEAKS_HTTP: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];

/// What takes what the pod sends. Requests to its backends go by the routes, everything else passes, but for what was sent to Envoy
/// itself: that would come back to it.
pub(super) fn egress() -> Listener {
    let requests = |name: &str, going_to: Option<u16>| FilterChain {
        name: name.to_owned(),
        filter_chain_match: Some(FilterChainMatch {
            application_protocols: SPEAKS_HTTP.map(str::to_owned).to_vec(),
            ..to_port(going_to)
        }),
        filters: vec![http(&beside(Protocol::Http, EGRESS, by_discovery(name)))],
        ..FilterChain::default()
    };
    Listener {
        name: EGRESS.to_owned(),
        // Others must not send by it.
        address: Some(address("127.0.0.1", EGRESS_PORT)),
        filter_chains: vec![requests(EGRESS, None), requests(DIRECT, Some(EGRESS_PORT)), closed(EGRESS_PORT)],
        default_filter_chain: Some(bytes()),
        listener_filters: vec![
            original_destination(),
            look("envoy.filters.listener.http_inspector", pack_any(HttpInspector::default())),
        ],
        listener_filters_timeout: Some(duration(FIRST_BYTES)),
        continue_on_listener_filters_timeout: true,
        ..Listener::default()
    }
}

/// What takes what comes to the pod; none where nothing does. The port that a connection was going to tells which of the pod's ports
/// it is for; where there is one, what was not redirected is for that. To ports that the node does not name, connections pass.
pub(super) fn ingress(inbound: &[Inbound], files: &mut Files) -> Option<Listener> {
    let mut chains = Vec::new();
    for port in inbound {
        let taken = if inbound.len() == 1 { vec![port.port, INGRESS_PORT] } else { vec![port.port] };
        for number in taken {
            let open = FilterChain {
                name: format!("{number} "),
                filter_chain_match: Some(to_port(Some(number))),
                filters: vec![to_the_pod(port)],
                ..FilterChain::default()
            };
            chains.extend(encrypted(port.tls.as_ref(), &open, files).0);
        }
    }
    if inbound.len() > 1 {
        chains.push(closed(INGRESS_PORT));
    }
    let may_be_encrypted = |port: &&Inbound| port.tls.as_ref().is_some_and(|tls| !tls.required);
    let looked_at = inbound.iter().filter(may_be_encrypted).map(|port| port.port);
    let own = (inbound.len() == 1).then_some(INGRESS_PORT);
    let mut looks = vec![original_destination()];
    if inbound.iter().any(|port| may_be_encrypted(&port)) {
        // Whoever waits for its server to speak first would wait for this in vain.
        let elsewhere = not(any_of(looked_at.chain(own)));
        looks.push(ListenerFilter { filter_disabled: Some(elsewhere), ..tls_inspector() });
    }
    (!chains.is_empty()).then(|| Listener {
        name: INGRESS.to_owned(),
        address: Some(address("0.0.0.0", INGRESS_PORT)),
        filter_chains: chains,
        default_filter_chain: Some(bytes()),
        listener_filters: looks,
        continue_on_listener_filters_timeout: true,
        ..Listener::default()
    })
}

/// What is nobody's goes where it was going.
fn bytes() -> FilterChain {
    FilterChain {
        name: "bytes".to_owned(),
        filters: vec![passes(PASSTHROUGH, PASSTHROUGH, None)],
        ..FilterChain::default()
    }
}

/// Connections that were going to a port; none: to any.
fn to_port(port: Option<u16>) -> FilterChainMatch {
    FilterChainMatch {
        destination_port: port.map(|port| number(u32::from(port))),
        ..FilterChainMatch::default()
    }
}

/// Connections to a port of Envoy's are closed: where they were going is here.
fn closed(port: u16) -> FilterChain {
    FilterChain {
        name: "closed".to_owned(),
        filter_chain_match: Some(to_port(Some(port))),
        filters: vec![passes(NOWHERE, NOWHERE, None)],
        ..FilterChain::default()
    }
}

/// Connections to one of these ports.
fn any_of(ports: impl Iterator<Item = u16>) -> ListenerFilterChainMatchPredicate {
    let one = |port: u16| {
        let range = Int32Range { start: i32::from(port), end: i32::from(port) + 1 };
        ListenerFilterChainMatchPredicate { rule: Some(Rule::DestinationPortRange(range)) }
    };
    let mut rules: Vec<_> = ports.map(one).collect();
    match (rules.len(), rules.pop()) {
        // A choice has two sides at least.
        (1, Some(only)) => only,
        (_, last) => {
            rules.extend(last);
            ListenerFilterChainMatchPredicate { rule: Some(Rule::OrMatch(MatchSet { rules })) }
        }
    }
}

fn not(predicate: ListenerFilterChainMatchPredicate) -> ListenerFilterChainMatchPredicate {
    ListenerFilterChainMatchPredicate { rule: Some(Rule::NotMatch(Box::new(predicate))) }
}

fn to_the_pod(port: &Inbound) -> Filter {
    let Inbound { protocol, timeout, cluster, .. } = port;
    match protocol {
        None => passes(cluster, cluster, Some(timeout)),
        Some(protocol) => {
            let routes = RouteConfiguration {
                name: cluster.clone(),
                virtual_hosts: vec![everything_to(cluster, timeout)],
                ..RouteConfiguration::default()
            };
            http(&beside(*protocol, INGRESS, RouteSpecifier::RouteConfig(routes)))
        }
    }
}

/// Handles requests of, or for, the pod, which may be as old as HTTP/1.0: it was spoken before there was an Envoy.
fn beside(protocol: Protocol, counted: &str, routes: RouteSpecifier) -> HttpConnectionManager {
    let old = Http1ProtocolOptions {
        accept_http_10: true,
        // It need not name a host, and this one is no backend's.
        default_host_for_http_10: "localhost".to_owned(),
        ..Http1ProtocolOptions::default()
    };
    HttpConnectionManager { http_protocol_options: Some(old), ..manager(protocol, counted, routes) }
}

/// All requests of whatever host to a cluster.
fn everything_to(cluster: &str, timeout: &Timeout) -> VirtualHost {
    let any =
        RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..RouteMatch::default() };
    let action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        timeout: Some(limit(timeout.per_request)),
        idle_timeout: Some(limit(timeout.idle)),
        ..RouteAction::default()
    };
    let route = Route { r#match: Some(any), action: Some(Action::Route(action)), ..Route::default() };
    VirtualHost {
        name: "*".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        ..VirtualHost::default()
    }
}

/// The routes of what a pod sends to somewhere else, and to its Envoy itself, made of those to its backends. Requests to other hosts
/// pass without any limit of ours, or go nowhere.
pub(super) fn sent(backends: &RouteConfiguration) -> [RouteConfiguration; 2] {
    let unlimited = Timeout { per_request: None, idle: None };
    [(EGRESS, PASSTHROUGH), (DIRECT, NOWHERE)].map(|(name, others)| {
        let mut routes = RouteConfiguration { name: name.to_owned(), ..backends.clone() };
        routes.virtual_hosts.push(everything_to(others, &unlimited));
        routes
    })
}

/// Where connections were going before they were redirected; one that was not goes nowhere.
pub(super) fn passthrough() -> Cluster {
    let as_they_come = UseDownstreamHttpConfig {
        http_protocol_options: Some(Http1ProtocolOptions::default()),
        http2_protocol_options: Some(Http2ProtocolOptions::default()),
        ..UseDownstreamHttpConfig::default()
    };
    let spoken = HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(as_they_come)),
        ..HttpProtocolOptions::default()
    };
    Cluster {
        name: PASSTHROUGH.to_owned(),
        connect_timeout: Some(duration(CONNECT)),
        lb_policy: LbPolicy::ClusterProvided.into(),
        circuit_breakers: Some(CircuitBreakers {
            thresholds: vec![unlimited()],
            ..CircuitBreakers::default()
        }),
        typed_extension_protocol_options: [(HTTP.to_owned(), pack_any(spoken))].into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        ..Cluster::default()
    }
}

/// Hands bytes to a cluster; without limits nobody ends a connection but those at its ends.
fn passes(cluster: &str, counted: &str, timeout: Option<&Timeout>) -> Filter {
    let proxy = TcpProxy {
        stat_prefix: counted.to_owned(),
        cluster_specifier: Some(tcp_proxy::ClusterSpecifier::Cluster(cluster.to_owned())),
        idle_timeout: Some(limit(timeout.and_then(|timeout| timeout.idle))),
        ..TcpProxy::default()
    };
    filter("envoy.filters.network.tcp_proxy", pack_any(proxy))
}

fn original_destination() -> ListenerFilter {
    look("envoy.filters.listener.original_dst", pack_any(OriginalDst::default()))
}
