//! TLS, in Envoy's words.
//!
//! Files are those of the machine that Envoy runs on. They are named in secrets of their own, for then Envoy reads them anew when
//! they are renewed, and one that vanishes costs nobody a listener. Other secrets come from the server that Envoy's
//! bootstrap calls [`SECRETS`]. No key passes through here.

use std::collections::BTreeMap;

use envoy_types::{
    pb::{
        envoy::{
            config::core::v3::{
                ApiConfigSource, ApiVersion, ConfigSource, DataSource, GrpcService, TransportSocket,
                WatchedDirectory,
                api_config_source::ApiType,
                config_source::ConfigSourceSpecifier,
                data_source::Specifier,
                grpc_service::{EnvoyGrpc, TargetSpecifier},
            },
            extensions::transport_sockets::tls::v3::{
                CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
                Secret, SubjectAltNameMatcher, TlsCertificate, UpstreamTlsContext,
                common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
                secret,
                subject_alt_name_matcher::SanType,
            },
            r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
        },
        google::protobuf::Any,
    },
    util::pack_any,
};

use super::any::{ads, transport_socket, truth};
use crate::dataplane::{Authorities, Certificate, ClientTls, ServerTls, Trust};

/// The cluster of Envoy's bootstrap that gives it secrets.
pub const SECRETS: &str = "secrets";

/// The secrets that name files, gathered while what uses them is made.
#[derive(Default)]
pub(super) struct Files(BTreeMap<String, Any>);

impl Files {
    /// All of them, by name.
    pub(super) fn secrets(self) -> BTreeMap<String, Any> {
        self.0
    }

    /// TLS of a listener.
    pub(super) fn server(&mut self, tls: &ServerTls) -> TransportSocket {
        let alpn_protocols = vec!["h2".to_owned(), "http/1.1".to_owned()];
        let mut common = CommonTlsContext { alpn_protocols, ..CommonTlsContext::default() };
        common.tls_certificate_sds_secret_configs.push(self.certificate(&tls.certificate));
        common.validation_context_type = tls.clients.as_ref().map(|clients| self.trust(clients));
        transport_socket(pack_any(DownstreamTlsContext {
            common_tls_context: Some(common),
            require_client_certificate: Some(truth(tls.clients.is_some())),
            ..DownstreamTlsContext::default()
        }))
    }

    /// TLS towards a node; `host` is the name it is known by, if it has any.
    pub(super) fn client(&mut self, tls: &ClientTls, host: Option<&str>, http2: bool) -> TransportSocket {
        let alpn = if http2 { "h2" } else { "http/1.1" };
        let common = CommonTlsContext {
            alpn_protocols: vec![alpn.to_owned()],
            tls_certificate_sds_secret_configs: tls
                .certificate
                .iter()
                .map(|own| self.certificate(own))
                .collect(),
            validation_context_type: tls.nodes.as_ref().map(|nodes| self.trust(nodes)),
            ..CommonTlsContext::default()
        };
        transport_socket(pack_any(UpstreamTlsContext {
            common_tls_context: Some(common),
            sni: host.unwrap_or_default().to_owned(),
            ..UpstreamTlsContext::default()
        }))
    }

    fn certificate(&mut self, certificate: &Certificate) -> SdsSecretConfig {
        match certificate {
            Certificate::Files { chain, key } => {
                let certificate = TlsCertificate {
                    certificate_chain: Some(file(chain)),
                    private_key: Some(file(key)),
                    watched_directory: folder(chain),
                    ..TlsCertificate::default()
                };
                self.keep(format!("{chain} {key}"), secret::Type::TlsCertificate(certificate))
            }
            Certificate::Secret(name) => elsewhere(name),
        }
    }

    fn trust(&mut self, trust: &Trust) -> ValidationContextType {
        let names = trust.names.iter().map(|name| SubjectAltNameMatcher {
            san_type: if name.contains("://") { SanType::Uri } else { SanType::Dns }.into(),
            matcher: Some(StringMatcher {
                match_pattern: Some(MatchPattern::Exact(name.clone())),
                ..StringMatcher::default()
            }),
            ..SubjectAltNameMatcher::default()
        });
        let names = CertificateValidationContext {
            match_typed_subject_alt_names: names.collect(),
            ..CertificateValidationContext::default()
        };
        let authorities = match &trust.authorities {
            Authorities::File(path) => {
                let context = CertificateValidationContext {
                    trusted_ca: Some(file(path)),
                    watched_directory: folder(path),
                    ..CertificateValidationContext::default()
                };
                self.keep(path.clone(), secret::Type::ValidationContext(context))
            }
            Authorities::Secret(name) => elsewhere(name),
        };
        ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
            default_validation_context: Some(names),
            validation_context_sds_secret_config: Some(authorities),
            ..CombinedCertificateValidationContext::default()
        })
    }

    fn keep(&mut self, name: String, kind: secret::Type) -> SdsSecretConfig {
        let made = Secret { name: name.clone(), r#type: Some(kind) };
        self.0.insert(name.clone(), pack_any(made));
        SdsSecretConfig { name, sds_config: Some(ads()) }
    }
}

fn file(path: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::Filename(path.to_owned())), ..DataSource::default() }
}

fn folder(path: &str) -> Option<WatchedDirectory> {
    let (folder, _) = path.rsplit_once('/')?;
    let path = if folder.is_empty() { "/" } else { folder }.to_owned();
    Some(WatchedDirectory { path, ..WatchedDirectory::default() })
}

fn elsewhere(name: &str) -> SdsSecretConfig {
    let envoy = EnvoyGrpc { cluster_name: SECRETS.to_owned(), ..EnvoyGrpc::default() };
    let service =
        GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(envoy)), ..GrpcService::default() };
    let source = ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![service],
        ..ApiConfigSource::default()
    };
    let source = ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(source)),
        ..ConfigSource::default()
    };
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(source) }
}
