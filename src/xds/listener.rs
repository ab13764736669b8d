//! Listeners, in Envoy's words.

use std::time::Duration;

use envoy_types::{
    pb::{
        envoy::{
            config::{
                core::v3::{ConfigSource, TransportSocket},
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
use crate::dataplane::{self, Protocol};

/// The first part of the names of what a gateway's own requests are counted by.
const INGRESS: &str = "ingress";

/// A listener; `routes` is the name of its routes.
pub(super) fn listener(name: &str, made: &dataplane::Listener, routes: &str, files: &mut Files) -> Listener {
    let manager = pack_any(manager(made, routes));
    let chain = |transport: &str, socket: Option<TransportSocket>| FilterChain {
        name: transport.to_owned(),
        filter_chain_match: (!transport.is_empty()).then(|| FilterChainMatch {
            transport_protocol: transport.to_owned(),
            ..FilterChainMatch::default()
        }),
        filters: vec![filter(manager.clone())],
        transport_socket: socket,
        ..FilterChain::default()
    };
    let (chains, looks) = match &made.tls {
        None => (vec![chain("", None)], false),
        Some(tls) if tls.required => (vec![chain("", Some(files.server(tls)))], false),
        Some(tls) => (vec![chain("tls", Some(files.server(tls))), chain("raw_buffer", None)], true),
    };
    Listener {
        name: name.to_owned(),
        address: Some(address("0.0.0.0", made.port)),
        filter_chains: chains,
        listener_filters: if looks { vec![tls_inspector()] } else { Vec::new() },
        ..Listener::default()
    }
}

fn manager(made: &dataplane::Listener, routes: &str) -> HttpConnectionManager {
    let codec = match made.protocol {
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
        stat_prefix: INGRESS.to_owned(),
        // It is an edge: what a client says of where it is from is not believed.
        use_remote_address: Some(truth(true)),
        http_filters: vec![forwards],
        upgrade_configs: vec![websocket],
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            // Without end: an Envoy without its routes must not take itself for ready.
            config_source: Some(ConfigSource {
                initial_fetch_timeout: Some(duration(Duration::ZERO)),
                ..ads()
            }),
            route_config_name: routes.to_owned(),
        })),
        ..HttpConnectionManager::default()
    }
}

fn filter(config: Any) -> Filter {
    Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(config)),
    }
}

fn tls_inspector() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack_any(TlsInspector::default()))),
        ..ListenerFilter::default()
    }
}
