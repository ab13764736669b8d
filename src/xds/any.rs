//! Small parts that many messages have.

use std::time::Duration;

use envoy_types::pb::{
    envoy::config::core::v3::{
        Address, AggregatedConfigSource, ApiVersion, ConfigSource, SocketAddress, TransportSocket, address,
        config_source::ConfigSourceSpecifier, socket_address::PortSpecifier, transport_socket,
    },
    google::protobuf::{self, Any, BoolValue, UInt32Value},
};

pub(super) fn duration(span: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0),
    }
}

/// Zero stands for no limit.
pub(super) fn limit(span: Option<Duration>) -> protobuf::Duration {
    duration(span.unwrap_or_default())
}

pub(super) const fn number(value: u32) -> UInt32Value {
    UInt32Value { value }
}

pub(super) const fn truth(value: bool) -> BoolValue {
    BoolValue { value }
}

pub(super) fn address(host: &str, port: u16) -> Address {
    let socket = SocketAddress {
        address: host.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(u32::from(port))),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

/// What comes by the same stream.
pub(super) fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

pub(super) fn transport_socket(config: Any) -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(config)),
    }
}
