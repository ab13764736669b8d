//! The SDK's client, set up by what is configured: our TLS, no retries, and no answer above 1 MiB.
//!
//! It is made at the first look, since the pod's credentials may come later than the pod.

use aws_config::{BehaviorVersion, SdkConfig, sts::AssumeRoleProvider};
use aws_sdk_cloudwatch::{
    Client,
    config::{
        ConfigBag, Intercept, Region, RuntimeComponents, SharedCredentialsProvider, SharedHttpClient,
        StalledStreamProtectionConfig, interceptors::BeforeDeserializationInterceptorContextMut,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::BoxError,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use tokio::sync::OnceCell;

use crate::{config::CloudWatchConfig, engine::look::ReadError, outbound::MAX_ANSWER};

/// The name of the session that an assumed role is used under; it stands in CloudTrail.
const SESSION: &str = "tidegate";

/// A client that is made when it is first needed.
#[derive(Debug)]
pub(super) struct LazyClient {
    config: CloudWatchConfig,
    found: Found,
    client: OnceCell<Client>,
}

/// Where region and credentials come from where they are not configured.
#[derive(Clone, Debug)]
pub(in crate::metrics) enum Found {
    /// From the pod's role, the environment, a profile: as the AWS SDKs find them.
    OfTheEnvironment,
    /// They are these, whatever the environment has.
    #[cfg(any(test, fuzzing))]
    These(Box<SdkConfig>),
}

impl LazyClient {
    pub(super) fn new(config: &CloudWatchConfig, found: Found) -> Self {
        Self { config: config.clone(), found, client: OnceCell::new() }
    }

    pub(super) async fn get(&self) -> Result<&Client, ReadError> {
        self.client.get_or_try_init(|| Box::pin(self.make())).await
    }

    async fn make(&self) -> Result<Client, ReadError> {
        let mut found = self.found().await;
        if found.region().is_none() {
            return Err(ReadError::Credentials(
                "no AWS region is known; give cloudWatch.region in the controller's configuration, or AWS_REGION in \
                 its environment"
                    .to_owned(),
            ));
        }
        if let Some(role) = &self.config.role_arn {
            let provider =
                AssumeRoleProvider::builder(role).session_name(SESSION).configure(&found).build().await;
            found =
                found.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build();
        }
        let mut config = aws_sdk_cloudwatch::config::Builder::from(&found)
            // The next look is the retry, and a look has its own deadline.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(AnswerLimit);
        if let Some(endpoint) = &self.config.endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        Ok(Client::from_conf(config.build()))
    }

    /// The region and the credentials of the environment, where none are configured.
    async fn found(&self) -> SdkConfig {
        let region = self.config.region.clone().map(Region::new);
        match &self.found {
            Found::OfTheEnvironment => {
                let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http());
                if let Some(region) = region {
                    loader = loader.region(region);
                }
                loader.load().await
            }
            #[cfg(any(test, fuzzing))]
            Found::These(found) => match region {
                Some(region) => found.to_builder().region(region).build(),
                None => *found.clone(),
            },
        }
    }
}

/// The one TLS stack, for the SDK.
pub(in crate::metrics) fn http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Cuts an answer off at 1 MiB while it streams.
#[derive(Debug)]
struct AnswerLimit;

impl Intercept for AnswerLimit {
    fn name(&self) -> &'static str {
        "AnswerLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, MAX_ANSWER));
        Ok(())
    }
}
