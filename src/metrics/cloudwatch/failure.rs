//! Why a call failed, as a sentence with the remedy. Codes are looked up; texts of an answer go no further.

use std::{error::Error, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudwatch::{
    error::{ProvideErrorMetadata, SdkError},
    operation::get_metric_data::GetMetricDataError,
};
use http_body_util::LengthLimitError;

use super::queries::Query;
use crate::{api::units::spell, engine::look::ReadError};

/// What a failed call means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Too many calls.
    Throttled,
    /// Anything else.
    Read(ReadError),
}

/// What a call was about.
pub(super) struct Call<'a> {
    pub queries: &'a [Query],
    /// Whether a role is assumed first.
    pub assumes: bool,
    pub timeout: Duration,
}

impl Call<'_> {
    /// Tells a failure.
    pub(super) fn failure(&self, error: &SdkError<GetMetricDataError>) -> Failure {
        // The innermost one: a role that can't be assumed for lack of credentials lacks credentials.
        if let Some(lacking) = chain(error).filter_map(|cause| cause.downcast_ref()).last() {
            return Failure::Read(self.credentials(lacking));
        }
        let status = error.raw_response().map(|response| response.status().as_u16());
        Failure::Read(match error {
            SdkError::ServiceError(service) => {
                return self.service(service.err().code(), status.unwrap_or_default());
            }
            SdkError::TimeoutError(_) => ReadError::Timeout(spell(self.timeout)),
            SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => {
                ReadError::Timeout(spell(self.timeout))
            }
            SdkError::ResponseError(_) if chain(error).any(<dyn Error>::is::<LengthLimitError>) => {
                ReadError::TooLarge
            }
            SdkError::ResponseError(_) if status.is_some_and(|status| (300..400).contains(&status)) => {
                ReadError::Redirect
            }
            SdkError::ResponseError(_) => ReadError::Malformed,
            SdkError::ConstructionFailure(_) => ReadError::Defect,
            _ => ReadError::Unreachable,
        })
    }

    fn service(&self, code: Option<&str>, status: u16) -> Failure {
        let credentials = |text: &str| Failure::Read(ReadError::Credentials(text.to_owned()));
        match code.unwrap_or_default() {
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "LimitExceeded"
            | "LimitExceededException"
            | "BandwidthLimitExceeded"
            | "SlowDown" => Failure::Throttled,
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized" => {
                credentials("CloudWatch denies access; grant the controller's role cloudwatch:GetMetricData")
            }
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => credentials(
                "the AWS credentials have expired; renew them, or give the pod a role that renews them",
            ),
            "RequestTimeTooSkewed" => {
                credentials("CloudWatch refuses the time of the signature; set the node's clock")
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "OptInRequired"
            | "InvalidAccessKeyId" => credentials(
                "CloudWatch does not accept the AWS credentials; check that they are of this account and its region \
                 is enabled",
            ),
            "ValidationError"
            | "ValidationException"
            | "InvalidParameterValue"
            | "InvalidParameterValueException"
            | "InvalidParameterCombination"
            | "InvalidParameterCombinationException"
            | "MissingParameter"
            | "InvalidFormat"
            | "InvalidFormatFault" => Failure::Read(ReadError::BadQuery { query: self.roles() }),
            "InvalidNextToken" => Failure::Read(ReadError::Malformed),
            _ => by_status(status),
        }
    }

    fn credentials(&self, error: &CredentialsError) -> ReadError {
        ReadError::Credentials(
            match error {
                CredentialsError::CredentialsNotLoaded(_) => {
                    "no AWS credentials were found; give the controller's pod a role (IRSA or Pod Identity)"
                }
                CredentialsError::ProviderTimedOut(_) => {
                    "no AWS credentials came in time; check that the pod reaches the service that gives them"
                }
                CredentialsError::InvalidConfiguration(_) => {
                    "the AWS credentials of the environment are not configured rightly; check the AWS_ variables and \
                     the profile"
                }
                _ if self.assumes => {
                    "the role of cloudWatch.roleArn can't be assumed; grant the controller sts:AssumeRole on it, and \
                     let the role trust the controller"
                }
                _ => {
                    "the AWS credentials can't be had; check the pod's role and that its token has not expired"
                }
            }
            .to_owned(),
        )
    }

    /// The queries' names, as errors call them.
    fn roles(&self) -> String {
        let mut roles: Vec<&str> = self.queries.iter().map(Query::role).collect();
        roles.sort_unstable();
        roles.dedup();
        roles.join(" or ")
    }
}

fn by_status(status: u16) -> Failure {
    match status {
        429 => Failure::Throttled,
        // A good answer that can't be decoded.
        200..300 => Failure::Read(ReadError::Malformed),
        300..400 => Failure::Read(ReadError::Redirect),
        _ => Failure::Read(ReadError::Status(status)),
    }
}

/// An error and all its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    fn cause<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        (*error).source()
    }
    std::iter::successors(Some(error), cause)
}
