//! Where certificates come from: files of the machine that Envoy runs on, or a secret that another server gives Envoy. No key
//! ever passes through here.

use super::raw;
use crate::dataplane::compile::Reason;

/// Who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Files where Envoy runs.
    Files {
        /// The certificate and those that lead to its authority, in PEM.
        chain: String,
        /// The private key, in PEM.
        key: String,
    },
    /// A secret by its name.
    Secret(String),
}

/// Whom one believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The authorities.
    pub authorities: Authorities,
    /// The names of which a certificate must bear one; empty: any.
    pub names: Vec<String>,
}

/// Certificates of authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// A file where Envoy runs, in PEM.
    File(String),
    /// A secret by its name.
    Secret(String),
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Whether a connection without TLS is refused (`STRICT`), or taken too (`PERMISSIVE`).
    pub required: bool,
    /// What clients are shown.
    pub certificate: Certificate,
    /// Which clients are taken; absent: those without a certificate too.
    pub clients: Option<Trust>,
}

/// TLS towards a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// What the node is shown, where it asks.
    pub certificate: Option<Certificate>,
    /// Which nodes are believed; absent: any, which hides what is said from others but does not say to whom.
    pub nodes: Option<Trust>,
}

/// What a gateway or a node demands of the connections to its backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientPolicy {
    tls: ClientTls,
    enforced: bool,
    /// Empty: all.
    ports: Vec<u16>,
}

impl ClientPolicy {
    fn read(raw: raw::ClientPolicyTls) -> Result<Self, Reason> {
        let raw::ClientPolicyTls { certificate, enforce, ports, validation } = raw;
        let certificate = certificate.map(self::certificate).transpose()?;
        let tls = ClientTls { certificate, nodes: Some(trust(validation)?) };
        Ok(Self { tls, enforced: enforce.unwrap_or(true), ports })
    }

    /// The one for all backends; none where nothing is demanded.
    pub(super) fn default_of(raw: Option<raw::BackendDefaults>) -> Result<Option<Self>, Reason> {
        Self::of(raw.and_then(|defaults| defaults.client_policy))
    }

    pub(super) fn of(raw: Option<raw::ClientPolicy>) -> Result<Option<Self>, Reason> {
        raw.and_then(|policy| policy.tls).map(Self::read).transpose()
    }

    /// How a node is spoken to at a port; `offered` tells whether it offers TLS there itself.
    pub(super) fn towards(policy: Option<&Self>, port: u16, offered: bool) -> Option<ClientTls> {
        let policy = policy.filter(|policy| policy.ports.is_empty() || policy.ports.contains(&port));
        match policy {
            Some(policy) if policy.enforced || offered => Some(policy.tls.clone()),
            Some(_) => None,
            None => offered.then(ClientTls::default),
        }
    }
}

/// TLS of a listener; none where it is switched off.
pub(super) fn server(raw: raw::ListenerTls) -> Result<Option<ServerTls>, Reason> {
    let required = match raw.mode {
        raw::TlsMode::Disabled => return Ok(None),
        raw::TlsMode::Permissive => false,
        raw::TlsMode::Strict => true,
    };
    let certificate = certificate(raw.certificate)?;
    let clients = raw.validation.map(trust).transpose()?;
    Ok(Some(ServerTls { required, certificate, clients }))
}

fn certificate(raw: raw::CertificateSource) -> Result<Certificate, Reason> {
    match (raw.file, raw.sds, raw.acm) {
        (Some(file), None, None) => {
            Ok(Certificate::Files { chain: file.certificate_chain, key: file.private_key })
        }
        (None, Some(sds), None) => Ok(Certificate::Secret(sds.secret_name)),
        (None, None, Some(_)) => Err(Reason::Acm("a certificate")),
        (None, None, None) => Err(Reason::Missing("file or sds in tls.certificate")),
        _ => Err(Reason::Conflict("tls.certificate takes exactly one of file and sds")),
    }
}

fn trust(raw: raw::Validation) -> Result<Trust, Reason> {
    let authorities = match (raw.trust.file, raw.trust.sds, raw.trust.acm) {
        (Some(file), None, None) => Authorities::File(file.certificate_chain),
        (None, Some(sds), None) => Authorities::Secret(sds.secret_name),
        (None, None, Some(_)) => return Err(Reason::Acm("an authority")),
        (None, None, None) => return Err(Reason::Missing("file or sds in tls.validation.trust")),
        _ => return Err(Reason::Conflict("tls.validation.trust takes exactly one of file and sds")),
    };
    let names = raw.subject_alternative_names.map(|names| names.r#match.exact).unwrap_or_default();
    Ok(Trust { authorities, names })
}
