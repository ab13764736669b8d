//! `VirtualGateway` and `VirtualNode` as written. What changes where a request goes or who may read it is read strictly; what the
//! data plane has no use for (logging, `podSelector`) is passed over.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

use crate::dataplane::raw::{Reference, Span, Timeouts};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Gateway {
    #[serde(rename = "meshRef")]
    pub(super) mesh: Option<MeshRef>,
    pub(super) namespace_selector: Option<LabelSelector>,
    #[serde(rename = "gatewayRouteSelector")]
    pub(super) route_selector: Option<LabelSelector>,
    /// Each is read by itself, so that a bad one is left out alone.
    #[serde(default)]
    pub(super) listeners: Vec<Value>,
    pub(super) backend_defaults: Option<BackendDefaults>,
}

#[derive(Deserialize)]
pub(super) struct MeshRef {
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackendDefaults {
    pub(super) client_policy: Option<ClientPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientPolicy {
    pub(super) tls: Option<ClientPolicyTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientPolicyTls {
    pub(super) certificate: Option<CertificateSource>,
    pub(super) enforce: Option<bool>,
    #[serde(default)]
    pub(super) ports: Vec<u16>,
    pub(super) validation: Validation,
}

/// A listener of a gateway or of a node: they differ in what a node has besides.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) port_mapping: PortMapping,
    pub(super) tls: Option<ListenerTls>,
    pub(super) connection_pool: Option<ConnectionPool>,
    pub(super) health_check: Option<HealthCheck>,
    pub(super) outlier_detection: Option<OutlierDetection>,
    /// Limits of the Envoys beside the node's pods.
    pub(super) timeout: Option<ListenerTimeout>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerTimeout {
    pub(super) http: Option<Timeouts>,
    pub(super) http2: Option<Timeouts>,
    pub(super) grpc: Option<Timeouts>,
    pub(super) tcp: Option<Timeouts>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortMapping {
    pub(super) port: u16,
    pub(super) protocol: Spoken,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Spoken {
    Http,
    Http2,
    Grpc,
    Tcp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerTls {
    pub(super) mode: TlsMode,
    pub(super) certificate: CertificateSource,
    pub(super) validation: Option<Validation>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum TlsMode {
    Disabled,
    Permissive,
    Strict,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateSource {
    pub(super) acm: Option<Value>,
    pub(super) file: Option<CertificateFile>,
    pub(super) sds: Option<Sds>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CertificateFile {
    pub(super) certificate_chain: String,
    pub(super) private_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Sds {
    pub(super) secret_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Validation {
    pub(super) trust: TrustSource,
    pub(super) subject_alternative_names: Option<Names>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustSource {
    pub(super) acm: Option<Value>,
    pub(super) file: Option<TrustFile>,
    pub(super) sds: Option<Sds>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TrustFile {
    pub(super) certificate_chain: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Names {
    pub(super) r#match: NamesMatch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamesMatch {
    pub(super) exact: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionPool {
    pub(super) http: Option<HttpPool>,
    pub(super) http2: Option<RequestPool>,
    pub(super) grpc: Option<RequestPool>,
    pub(super) tcp: Option<TcpPool>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpPool {
    pub(super) max_connections: u32,
    pub(super) max_pending_requests: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestPool {
    pub(super) max_requests: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TcpPool {
    pub(super) max_connections: u32,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HealthCheck {
    pub(super) protocol: Spoken,
    pub(super) path: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) interval_millis: u64,
    pub(super) timeout_millis: u64,
    pub(super) healthy_threshold: Option<u32>,
    pub(super) unhealthy_threshold: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OutlierDetection {
    pub(super) base_ejection_duration: Span,
    pub(super) interval: Span,
    pub(super) max_ejection_percent: u32,
    pub(super) max_server_errors: u32,
}

/// A node as the Envoys beside its pods read it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sidecar {
    #[serde(rename = "meshRef")]
    pub(super) mesh: Option<MeshRef>,
    /// Each is read by itself, so that a bad one is left out alone.
    #[serde(default)]
    pub(super) listeners: Vec<Value>,
    pub(super) backend_defaults: Option<BackendDefaults>,
    /// The same.
    #[serde(default)]
    pub(super) backends: Vec<Value>,
    #[serde(default)]
    pub(super) backend_groups: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Backend {
    pub(super) virtual_service: BackendService,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackendService {
    #[serde(rename = "virtualServiceRef")]
    pub(super) reference: Option<Reference>,
    #[serde(rename = "virtualServiceARN")]
    pub(super) arn: Option<String>,
    pub(super) client_policy: Option<ClientPolicy>,
}

/// A node as those read it that call it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    #[serde(default)]
    pub(super) listeners: Vec<Listener>,
    pub(super) service_discovery: Option<ServiceDiscovery>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ServiceDiscovery {
    pub(super) dns: Option<Dns>,
    #[serde(rename = "awsCloudMap")]
    pub(super) _cloud_map: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Dns {
    pub(super) hostname: String,
    pub(super) response_type: Option<ResponseType>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ResponseType {
    Endpoints,
    LoadBalancer,
}
