//! Certificates and credentials out of files. They are read again when a file changes, so a rotated secret
//! needs no restart. What is in them never reaches an error text; which key of the configuration names them
//! does.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use reqwest::{Certificate, Client, Identity, RequestBuilder};

use super::{CallError, resolve::Guarded};
use crate::config::{Auth, HttpConfig, TlsConfig};

/// Connections that wait for the next call, at most: what a hundred looks a second need at their busiest moments. With fewer,
/// a connection is made and closed for each of many queries.
const IDLE_CONNECTIONS: usize = 64;

/// Tells whether files changed: time of modification and length of each.
pub(super) type Fingerprint = Vec<(SystemTime, u64)>;

/// The fingerprint of the files that a configuration names.
pub(super) fn fingerprint(config: &HttpConfig) -> Result<Fingerprint, CallError> {
    files(config)
        .into_iter()
        .map(|(key, path)| {
            let metadata = std::fs::metadata(path).map_err(|error| unreadable(key, path, &error))?;
            let modified = metadata.modified().map_err(|error| unreadable(key, path, &error))?;
            Ok((modified, metadata.len()))
        })
        .collect()
}

/// A client that presents the configured certificate, follows no redirect, uses no proxy of
/// the environment and retries nothing.
pub(super) fn client(config: &HttpConfig, over_tls: bool) -> Result<Client, CallError> {
    // One TLS provider for the whole program; a second installation is refused and means the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .dns_resolver(Arc::new(Guarded))
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        // A moment of many calls must not leave a connection for each.
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .timeout(config.timeout);
    if over_tls {
        builder = tls(builder, &config.tls.clone().unwrap_or_default())?;
    } else {
        // Plain HTTP needs no authority, and an image from scratch has none to load.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|_| {
        CallError::Credentials(
            "no TLS client can be made of the configuration; check that the files of tls hold PEM certificates \
             and their key, or give tls.caFile where the system has no authorities"
                .to_owned(),
        )
    })
}

fn tls(mut builder: reqwest::ClientBuilder, config: &TlsConfig) -> Result<reqwest::ClientBuilder, CallError> {
    if let Some(path) = &config.ca_file {
        let pem = read("tls.caFile", path)?;
        let authorities = Certificate::from_pem_bundle(&pem)
            .map_err(|_| unusable("tls.caFile", path, "PEM certificates"))?;
        if authorities.is_empty() {
            return Err(unusable("tls.caFile", path, "PEM certificates"));
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let Some((cert, key)) = &config.identity {
        let mut pem = read("tls.certFile", cert)?;
        pem.push(b'\n');
        pem.extend(read("tls.keyFile", key)?);
        let identity = Identity::from_pem(&pem)
            .map_err(|_| unusable("tls.certFile", cert, "a PEM certificate for the key of tls.keyFile"))?;
        builder = builder.identity(identity);
    }
    if config.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    Ok(builder)
}

/// What proves who the controller is. No `Debug`: it must not reach a log.
pub(super) enum Proof {
    /// Nothing is configured.
    None,
    /// Name and password.
    Basic(String, String),
    /// A token.
    Bearer(String),
}

impl Proof {
    /// Reads the configured secrets.
    pub(super) fn read(auth: Option<&Auth>) -> Result<Self, CallError> {
        let password = |path| secret("auth.basic.passwordFile", path);
        match auth {
            None => Ok(Self::None),
            Some(Auth::Bearer { token_file }) => {
                secret("auth.bearer.tokenFile", token_file).map(Self::Bearer)
            }
            Some(Auth::Basic { username, password_file }) => {
                Ok(Self::Basic(username.clone(), password(password_file)?))
            }
            Some(Auth::BasicFiles { username_file, password_file }) => {
                Ok(Self::Basic(secret("auth.basic.usernameFile", username_file)?, password(password_file)?))
            }
        }
    }

    /// Puts the proof on a request.
    pub(super) fn attach(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Basic(name, password) => request.basic_auth(name, Some(password)),
            Self::Bearer(token) => request.bearer_auth(token),
        }
    }
}

/// The one line of text that a file holds; `key` names it in the configuration.
pub fn secret(key: &str, path: &Path) -> Result<String, CallError> {
    let text = String::from_utf8(read(key, path)?).map_err(|_| unusable(key, path, "one line of text"))?;
    match text.trim() {
        "" => Err(unusable(key, path, "one line of text")),
        secret if secret.contains(char::is_control) => Err(unusable(key, path, "one line of text")),
        secret => Ok(secret.to_owned()),
    }
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, CallError> {
    std::fs::read(path).map_err(|error| unreadable(key, path, &error))
}

fn unreadable(key: &str, path: &Path, error: &std::io::Error) -> CallError {
    CallError::Credentials(format!(
        "cannot read {} of {key}: {}; mount it, or correct {key} in the controller's configuration",
        path.display(),
        error.kind()
    ))
}

fn unusable(key: &str, path: &Path, wanted: &str) -> CallError {
    CallError::Credentials(format!("{} of {key} does not hold {wanted}; correct it", path.display()))
}

/// Every file that a configuration names, with its key.
fn files(config: &HttpConfig) -> Vec<(&'static str, &PathBuf)> {
    let mut files = Vec::new();
    if let Some(tls) = &config.tls {
        files.extend(tls.ca_file.as_ref().map(|path| ("tls.caFile", path)));
        if let Some((cert, key)) = &tls.identity {
            files.extend([("tls.certFile", cert), ("tls.keyFile", key)]);
        }
    }
    match &config.auth {
        None => {}
        Some(Auth::Bearer { token_file }) => files.push(("auth.bearer.tokenFile", token_file)),
        Some(Auth::Basic { password_file, .. }) => files.push(("auth.basic.passwordFile", password_file)),
        Some(Auth::BasicFiles { username_file, password_file }) => files
            .extend([("auth.basic.usernameFile", username_file), ("auth.basic.passwordFile", password_file)]),
    }
    files
}
