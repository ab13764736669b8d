//! Listeners, in Envoy's words.

use std::time::Duration;

use envoy_types::{
    pb::{
        envoy::{
            config::{
                core::v3::ConfigSource,
                listener::v3::{
                    Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, filter, listener_filter,
                },
            },
            extensions::filters::{
                http::router::v3::Router,
                listener::tls_inspector::v3::TlsInspector,
                network::http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, Rds,
                    http_connection_manager::{CodecType, RouteSpecifier, UpgradeConfig},
                    http_filter,
                },
            },
        },
        google::protobuf::Any,
    },
    util::pack_any,
};

use super::{
    any::{address, ads, duration, truth},
    tls::Files,
};
use crate::dataplane::{self, Protocol, ServerTls};

/// The first part of the names of what a gateway's own requests, and those that come to a pod, are counted by.
pub(super) const INGRESS: &str = "ingress";

/// A listener of a gateway; `routes` is the name of its routes.
pub(super) fn listener(name: &str, made: &dataplane::Listener, routes: &str, files: &mut Files) -> Listener {
    let manager = HttpConnectionManager {
        // It is an edge: what a client says of where it is from is not believed.
        use_remote_address: Some(truth(true)),
        ..manager(made.protocol, INGRESS, by_discovery(routes))
    };
    let open = FilterChain { filters: vec![http(&manager)], ..FilterChain::default() };
    let (chains, looks) = encrypted(made.tls.as_ref(), &open, files);
    Listener {
        name: name.to_owned(),
        address: Some(address("0.0.0.0", made.port)),
        filter_chains: chains,
        listener_filters: if looks { vec![tls_inspector()] } else { Vec::new() },
        ..Listener::default()
    }
}

/// A chain with its TLS. Where connections without are taken as well it is two, and Envoy has to look which it is.
pub(super) fn encrypted(
    tls: Option<&ServerTls>,
    open: &FilterChain,
    files: &mut Files,
) -> (Vec<FilterChain>, bool) {
    let Some(tls) = tls else { return (vec![open.clone()], false) };
    let closed = FilterChain { transport_socket: Some(files.server(tls)), ..open.clone() };
    if tls.required {
        return (vec![closed], false);
    }
    let told_apart = |transport: &str, chain: &FilterChain| FilterChain {
        name: format!("{}{transport}", chain.name),
        filter_chain_match: Some(FilterChainMatch {
            transport_protocol: transport.to_owned(),
            ..chain.filter_chain_match.clone().unwrap_or_default()
        }),
        ..chain.clone()
    };
    (vec![told_apart("tls", &closed), told_apart("raw_buffer", open)], true)
}

/// What handles requests of a port that speaks `protocol`, counted under `counted`.
pub(super) fn manager(protocol: Protocol, counted: &str, routes: RouteSpecifier) -> HttpConnectionManager {
    let codec = match protocol {
        Protocol::Http => CodecType::Auto,
        Protocol::Http2 | Protocol::Grpc => CodecType::Http2,
    };
    let forwards = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack_any(Router::default()))),
        ..HttpFilter::default()
    };
    let websocket = UpgradeConfig { upgrade_type: "websocket".to_owned(), ..UpgradeConfig::default() };
    HttpConnectionManager {
        codec_type: codec.into(),
        stat_prefix: counted.to_owned(),
        http_filters: vec![forwards],
        upgrade_configs: vec![websocket],
        route_specifier: Some(routes),
        ..HttpConnectionManager::default()
    }
}

/// Routes that come by RDS.
pub(super) fn by_discovery(name: &str) -> RouteSpecifier {
    RouteSpecifier::Rds(Rds {
        // Without end: an Envoy without its routes must not take itself for ready.
        config_source: Some(ConfigSource { initial_fetch_timeout: Some(duration(Duration::ZERO)), ..ads() }),
        route_config_name: name.to_owned(),
    })
}

/// Handles requests.
pub(super) fn http(manager: &HttpConnectionManager) -> Filter {
    filter("envoy.filters.network.http_connection_manager", pack_any(manager.clone()))
}

/// A filter of connections.
pub(super) fn filter(name: &str, config: Any) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(config)) }
}

/// Looks whether a connection begins with TLS.
pub(super) fn tls_inspector() -> ListenerFilter {
    look("envoy.filters.listener.tls_inspector", pack_any(TlsInspector::default()))
}

/// A filter that looks at a connection before its chain is chosen.
pub(super) fn look(name: &str, config: Any) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(config)),
        ..ListenerFilter::default()
    }
}
