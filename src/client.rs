//! What every client of an API server is given here, whoever it speaks for: the controller's and the plugin's differ in what
//! they do about refusals and in nothing below that.

use std::time::Duration;

use http::{HeaderValue, header::USER_AGENT};
use kube::Config;

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
