//! One HTTP client a provider: what it sends and refuses is the same for all. Redirects are errors, an answer is cut at
//! 1 MiB while it streams, and no byte of it reaches an error.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header::HeaderMap};

use super::credentials::{self, Fingerprint, Proof};
use crate::{api::units::spell, config::HttpConfig, engine::look::ReadError};

/// The most that is read of an answer.
pub(super) const MAX_ANSWER: usize = 1024 * 1024;

/// How a provider is reached.
pub(super) struct Http {
    config: HttpConfig,
    headers: HeaderMap,
    over_tls: bool,
    ready: Mutex<(Fingerprint, Arc<Ready>)>,
}

/// A client and the proof it presents, as the files held them.
struct Ready {
    client: Client,
    proof: Proof,
}

/// A complete answer.
pub(super) struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body, at most 1 MiB.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body of a success.
    pub(super) fn success(self) -> Result<Vec<u8>, ReadError> {
        if self.status.is_success() { Ok(self.body) } else { Err(ReadError::Status(self.status.as_u16())) }
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Http {
    /// Reads certificates and credentials for the first time.
    pub(super) fn new(config: &HttpConfig, over_tls: bool) -> Result<Self, ReadError> {
        let fingerprint = credentials::fingerprint(config)?;
        let ready = Ready::read(config, over_tls)?;
        Ok(Self {
            config: config.clone(),
            headers: config.headers.iter().cloned().collect(),
            over_tls,
            ready: Mutex::new((fingerprint, Arc::new(ready))),
        })
    }

    /// The deadline of a look.
    pub(super) const fn timeout(&self) -> std::time::Duration {
        self.config.timeout
    }

    /// Sends a request and reads the answer, of whatever status but a redirect.
    pub(super) async fn send(
        &self,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Answer, ReadError> {
        #[cfg(fuzzing)]
        if let Some(answer) = super::fuzzing::next() {
            return Ok(answer);
        }
        let ready = self.ready()?;
        let request = ready.proof.attach(request(&ready.client).headers(self.headers.clone()));
        let response = request.send().await.map_err(|error| self.failure(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(ReadError::Redirect);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(self.refused(status));
        }
        let body = self.read(response).await?;
        Ok(Answer { status, body })
    }

    async fn read(&self, response: Response) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.failure(&error))?;
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(ReadError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The client, made anew when a file has changed. The few small files are read in place.
    fn ready(&self) -> Result<Arc<Ready>, ReadError> {
        let fingerprint = credentials::fingerprint(&self.config)?;
        let mut known = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != fingerprint {
            *known = (fingerprint, Arc::new(Ready::read(&self.config, self.over_tls)?));
        }
        Ok(Arc::clone(&known.1))
    }

    fn failure(&self, error: &reqwest::Error) -> ReadError {
        if error.is_timeout() {
            ReadError::Timeout(spell(self.config.timeout))
        } else {
            ReadError::Unreachable
        }
    }

    fn refused(&self, status: StatusCode) -> ReadError {
        ReadError::Credentials(match self.config.auth {
            Some(_) => format!(
                "the provider answered HTTP {}: it refuses the credentials of auth in the controller's \
                 configuration",
                status.as_u16()
            ),
            None => format!(
                "the provider answered HTTP {}: it asks for credentials; give them as auth in the controller's \
                 configuration",
                status.as_u16()
            ),
        })
    }
}

impl Ready {
    fn read(config: &HttpConfig, over_tls: bool) -> Result<Self, ReadError> {
        Ok(Self { client: credentials::client(config, over_tls)?, proof: Proof::read(config.auth.as_ref())? })
    }
}
