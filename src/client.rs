//! What every client of an API server is given here, whoever it speaks for: the controller's and the plugin's differ in what
//! they do about refusals and in nothing below that.

use std::time::Duration;

use http::{HeaderValue, header::USER_AGENT};
use hyper_timeout::TimeoutConnector;
use hyper_util::{client::legacy, client::legacy::connect::HttpConnector, rt::TokioExecutor};
use kube::{
    Client, Config,
    client::{ClientBuilder, ConfigExt, retry::RetryPolicy},
};
use tower::{BoxError, ServiceBuilder, retry::RetryLayer};

/// How long the API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The settings, with what all have in common. `agent` is what API servers see of the program.
#[must_use]
pub fn settings(mut config: Config, agent: &'static str) -> Config {
    // Only the first call in a process has an effect; ring is the one TLS provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    config.connect_timeout = Some(CONNECT);
    config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    if config.cluster_url.scheme_str() == Some("http") && config.proxy_url.is_none() {
        // Nobody is asked for a certificate; reading all that the machine trusts takes a while.
        config.root_cert = Some(Vec::new());
    }
    config
}

/// A client with these settings, like kube's own but for its debug lines, and but for this: nothing that is written waits for
/// the other side to have acknowledged what was written before it. On a new connection the first request would, for the 40 ms
/// after which an API server acknowledges the end of the handshake, and the first one after a quiet time is often the one that
/// lowers.
pub fn connect(config: Config) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        // Whatever is between decides about that.
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let http: legacy::Client<_, kube::client::Body> =
        legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}
