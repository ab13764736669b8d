//! TLS: whom a provider is taken for, and mutual TLS from files that change.

use std::{path::Path, sync::Arc};

use axum::{Router, routing::post};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::TlsConfig;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key.
fn issued(by: &Authority) -> (rcgen::Certificate, KeyPair) {
    issued_for("localhost", by, |_| {})
}

fn issued_for(
    host: &str,
    by: &Authority,
    change: impl FnOnce(&mut CertificateParams),
) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    change(&mut params);
    (params.signed_by(&key, by).unwrap(), key)
}

fn private(
    (certificate, key): (rcgen::Certificate, KeyPair),
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    (vec![certificate.der().clone()], PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
}

/// Serves those alone that show a certificate of the authority.
async fn serve(authority: &Authority) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let (chain, key) = private(issued(authority));
    listen(ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap())
        .await
}

/// Serves everybody, as whom the certificate says.
async fn serve_as(identity: (rcgen::Certificate, KeyPair)) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (chain, key) = private(identity);
    listen(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()).await
}

async fn listen(config: ServerConfig) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let app = Router::new().route("/api/v1/query", post(async || ONE));
                let service = hyper_util::service::TowerToHyperService::new(app);
                let _ = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new())
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    port
}

fn write_identity(folder: &Path, by: &Authority) {
    let (certificate, key) = issued(by);
    std::fs::write(folder.join("client.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn a_rotated_certificate_is_presented_without_a_restart() {
    let (right, wrong) = (authority(), authority());
    let port = serve(&right).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("ca.pem"), right.pem()).unwrap();
    write_identity(folder.path(), &wrong);
    let tls = TlsConfig {
        ca_file: Some(file("ca.pem")),
        identity: Some((file("client.pem"), file("client.key"))),
        insecure_skip_verify: false,
    };
    let url = format!("https://localhost:{port}").parse().unwrap();
    let mut config = prometheus_at(url, Duration::from_secs(5));
    config.http.tls = Some(tls);
    let providers = providers(ProviderConfig::Prometheus(config));
    let number = async || providers.look(&look_at_number("q"), now()).await.numbers["queue"].clone();
    assert_eq!(number().await, Err(ReadError::Unreachable), "a certificate of somebody else");

    write_identity(folder.path(), &right);
    assert_eq!(number().await.map(|sample| sample.value), Ok(1.0));

    std::fs::write(file("ca.pem"), SECRET).unwrap();
    let error = providers.look(&look_at_number("another"), now()).await.numbers["queue"].clone();
    let error = told(error.as_ref().unwrap_err());
    assert!(error.contains("tls.caFile does not hold PEM certificates; correct it"), "{error}");
}

#[tokio::test]
async fn who_cannot_prove_to_be_the_provider_is_asked_nothing() {
    let (right, wrong) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, right.pem()).unwrap();
    let expired = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let cases = [
        ("the provider", issued(&right), "localhost", true),
        ("an unknown authority", issued(&wrong), "localhost", false),
        ("another host", issued_for("prometheus.example", &right, |_| {}), "localhost", false),
        ("an address that the certificate does not name", issued(&right), "127.0.0.1", false),
        ("a certificate of the past", issued_for("localhost", &right, expired), "localhost", false),
    ];
    for (name, identity, host, trusted) in cases {
        let port = serve_as(identity).await;
        let url: reqwest::Url = format!("https://{host}:{port}").parse().unwrap();
        let number = async |tls: TlsConfig| {
            let mut config = prometheus_at(url.clone(), Duration::from_secs(5));
            config.http.tls = Some(tls);
            let providers = providers(ProviderConfig::Prometheus(config));
            providers.look(&look_at_number("q"), now()).await.numbers["queue"].clone()
        };
        let verified = number(TlsConfig { ca_file: Some(ca.clone()), ..TlsConfig::default() }).await;
        let wanted = if trusted { Ok(1.0) } else { Err(ReadError::Unreachable) };
        assert_eq!(verified.map(|sample| sample.value), wanted, "{name}");
        // Only the admin's word passes over that.
        let skipped = number(TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() }).await;
        assert_eq!(skipped.map(|sample| sample.value), Ok(1.0), "{name}");
    }
}
