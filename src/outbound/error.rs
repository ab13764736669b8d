//! What keeps a call from bringing an answer that counts.

use std::fmt;

/// Why a call brought no answer that counts. The texts carry no byte of a response, no address and no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No answer within the deadline, which is spelled as people write it.
    Timeout(String),
    /// No connection, or it broke.
    Unreachable,
    /// The name leads to the pod itself, to the machine's link, or to metadata.
    Misled,
    /// An HTTP status that is no success.
    Status(u16),
    /// The HTTP status 401 or 403.
    Refused {
        /// Which of them.
        status: u16,
        /// Whether credentials are configured.
        presented: bool,
    },
    /// A redirect, which is never followed.
    Redirect,
    /// More than 1 MiB.
    TooLarge,
    /// The credentials or certificates named in the configuration can't be used; the sentence.
    Credentials(String),
}

impl CallError {
    /// The sentence; `who` was called, as "the gate".
    pub fn sentence(&self, who: &str) -> String {
        match self {
            Self::Timeout(deadline) => format!("{who} gave no answer within {deadline}"),
            Self::Unreachable => format!("{who} can't be reached"),
            Self::Misled => format!(
                "the name of {who} leads to a loopback, link-local or metadata address, which is not called; correct the name, or \
                 configure the address itself if it is meant"
            ),
            Self::Status(status) => format!("{who} answered HTTP {status}"),
            Self::Refused { status, presented: true } => format!(
                "{who} answered HTTP {status}: it refuses the credentials of auth in the controller's configuration"
            ),
            Self::Refused { status, presented: false } => format!(
                "{who} answered HTTP {status}: it asks for credentials; give them as auth in the controller's \
                 configuration"
            ),
            Self::Redirect => {
                format!("{who} answered with a redirect, which is not followed; configure the final address")
            }
            Self::TooLarge => format!("the answer of {who} is larger than 1 MiB"),
            Self::Credentials(sentence) => sentence.clone(),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence("the server"))
    }
}

impl std::error::Error for CallError {}
