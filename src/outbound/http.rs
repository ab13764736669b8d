//! One HTTP client for each that is called: what it sends and refuses is the same for all.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

use super::{
    CallError,
    credentials::{self, Fingerprint, Proof},
    resolve::is_misled,
};
use crate::{api::units::spell, config::HttpConfig};

/// The most that is read of an answer.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// How somebody is reached.
pub struct Http {
    config: HttpConfig,
    headers: HeaderMap,
    over_tls: bool,
    ready: Mutex<(Fingerprint, Arc<Ready>)>,
    /// How big an answer may be, in bytes.
    most: usize,
}

/// A client and the proof it presents, as the files held them.
struct Ready {
    client: Client,
    proof: Proof,
}

/// What became of something that was sent, where nothing is to be read but the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The HTTP status.
    pub status: StatusCode,
    /// How long the other side asks not to be called again, where it says so in seconds.
    pub retry_after: Option<Duration>,
}

/// A complete answer.
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body, at most 1 MiB.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body of a success.
    pub fn success(self) -> Result<Vec<u8>, CallError> {
        if self.status.is_success() { Ok(self.body) } else { Err(CallError::Status(self.status.as_u16())) }
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Http {
    /// Reads certificates and credentials for the first time.
    pub fn new(config: &HttpConfig, over_tls: bool) -> Result<Self, CallError> {
        let fingerprint = credentials::fingerprint(config)?;
        let ready = Ready::read(config, over_tls)?;
        Ok(Self {
            config: config.clone(),
            headers: config.headers.iter().cloned().collect(),
            over_tls,
            most: MAX_ANSWER,
            ready: Mutex::new((fingerprint, Arc::new(ready))),
        })
    }

    /// The same, for answers that may be bigger than usual, in bytes.
    #[must_use]
    pub fn reading_up_to(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The deadline of a call.
    pub const fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// Sends a request and reads the answer, of whatever status but a redirect and refused credentials.
    pub async fn send(&self, request: impl FnOnce(&Client) -> RequestBuilder) -> Result<Answer, CallError> {
        #[cfg(fuzzing)]
        if let Some(answer) = super::fuzzing::next() {
            return Ok(answer);
        }
        let response = self.call(request).await?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let presented = self.config.auth.is_some();
            return Err(CallError::Refused { status: status.as_u16(), presented });
        }
        let body = self.read(response).await?;
        Ok(Answer { status, body })
    }

    /// Sends a request and leaves the body of the answer unread.
    pub async fn tell(&self, request: impl FnOnce(&Client) -> RequestBuilder) -> Result<Receipt, CallError> {
        let response = self.call(request).await?;
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Receipt { status: response.status(), retry_after: seconds.map(Duration::from_secs) })
    }

    async fn call(&self, request: impl FnOnce(&Client) -> RequestBuilder) -> Result<Response, CallError> {
        let ready = self.ready()?;
        let request = ready.proof.attach(request(&ready.client).headers(self.headers.clone()));
        let response = request.send().await.map_err(|error| self.failure(&error))?;
        if response.status().is_redirection() {
            return Err(CallError::Redirect);
        }
        Ok(response)
    }

    async fn read(&self, response: Response) -> Result<Vec<u8>, CallError> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.failure(&error))?;
            if body.len() + chunk.len() > self.most {
                return Err(CallError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The client, made anew when a file has changed. The few small files are read in place.
    fn ready(&self) -> Result<Arc<Ready>, CallError> {
        let fingerprint = credentials::fingerprint(&self.config)?;
        let mut known = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != fingerprint {
            *known = (fingerprint, Arc::new(Ready::read(&self.config, self.over_tls)?));
        }
        Ok(Arc::clone(&known.1))
    }

    fn failure(&self, error: &reqwest::Error) -> CallError {
        if error.is_timeout() {
            CallError::Timeout(spell(self.config.timeout))
        } else if is_misled(error) {
            CallError::Misled
        } else {
            CallError::Unreachable
        }
    }
}

impl Ready {
    fn read(config: &HttpConfig, over_tls: bool) -> Result<Self, CallError> {
        Ok(Self { client: credentials::client(config, over_tls)?, proof: Proof::read(config.auth.as_ref())? })
    }
}
