//! Mutual TLS towards Envoys, from files that are read anew when they change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// The files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate that is shown, and those that lead to an authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities that the certificates of Envoys have to be of.
    pub authority: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file that cannot be read, or has something else in it.
    #[error("cannot read {what} from {path}: {source}")]
    Read {
        /// What it should have.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file without what it is for.
    #[error("{path} has no certificate in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// An authority that is none.
    #[error("{path} has no authority in it that can be used: {told}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        told: String,
    },
    /// Certificate and key do not go together.
    #[error("the certificate of {certificate} and the key of {key} can't be used: {source}")]
    Pair {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// What is shown to Envoys, and which of them are let in.
pub struct Identity {
    files: Files,
    read: Option<[SystemTime; 3]>,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Reads the files.
    pub fn read(files: Files) -> Result<Self, IdentityError> {
        let read = changed(&files);
        Ok(Self { config: files.config()?, files, read })
    }

    /// As the files are now. Where they cannot be used, as they were, and the log says so.
    pub fn config(&mut self) -> Arc<ServerConfig> {
        let now = changed(&self.files);
        if now != self.read {
            match self.files.config() {
                Ok(config) => {
                    tracing::info!("the certificates for Envoys were read anew");
                    self.config = config;
                }
                Err(error) => tracing::error!(%error, "the certificates for Envoys stay as they were"),
            }
            self.read = now;
        }
        Arc::clone(&self.config)
    }
}

impl Files {
    fn config(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let chain = certificates("the certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| IdentityError::Read {
            what: "the key",
            path: self.key.clone(),
            source,
        })?;
        let unusable = |told: String| IdentityError::Authority { path: self.authority.clone(), told };
        let mut authorities = RootCertStore::empty();
        for authority in certificates("the authority", &self.authority)? {
            authorities.add(authority).map_err(|error| unusable(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder(Arc::new(authorities))
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|source| IdentityError::Pair {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                source,
            })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|source| IdentityError::Read { what, path: path.to_owned(), source })?;
    if found.is_empty() { Err(IdentityError::Empty { path: path.to_owned() }) } else { Ok(found) }
}

/// When each file was changed; `None` where one is not there.
fn changed(files: &Files) -> Option<[SystemTime; 3]> {
    let of = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    Some([of(&files.certificate)?, of(&files.key)?, of(&files.authority)?])
}
