//! What a call that failed means for a look.

use crate::{engine::look::ReadError, outbound::CallError};

impl From<CallError> for ReadError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Timeout(deadline) => Self::Timeout(deadline),
            CallError::Unreachable => Self::Unreachable,
            CallError::Misled => Self::Misled(error.sentence("the provider")),
            CallError::Status(status) => Self::Status(status),
            CallError::Redirect => Self::Redirect,
            CallError::TooLarge => Self::TooLarge,
            CallError::Refused { .. } | CallError::Credentials(_) => {
                Self::Credentials(error.sentence("the provider"))
            }
        }
    }
}
