//! Metric providers: they answer a look, and judge nothing.
//!
//! A look never panics and never outlasts its provider's deadline; each part has its own error, and no error
//! carries a byte of a response or of a secret. Nothing is retried here: the next look is the retry. A Rollout
//! names a provider; addresses and credentials stand in the controller's configuration alone.

mod called;
#[cfg(feature = "cloudwatch")]
mod cloudwatch;
mod envoy;
mod exposition;
#[cfg(all(fuzzing, feature = "cloudwatch"))]
pub mod fuzzing;
mod places;
pub mod presets;
mod prometheus;
pub mod questions;
mod recorded;
mod registry;
mod template;
mod web;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;

use crate::{
    api::units::spell,
    config::{ProviderConfig, ProvidersConfig},
    engine::look::{Arms, ArmsRequest, Look, LookRequest, NumberRequest, ReadError, Sample},
};
#[cfg(feature = "cloudwatch")]
use cloudwatch::CloudWatch;
use envoy::Envoy;
use prometheus::Prometheus;
pub use recorded::{Recording, Span};
use web::Web;

/// All configured providers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Providers {
    default: Option<String>,
    entries: Arc<BTreeMap<String, Provider>>,
}

/// Hears of what was read.
pub type Told<'a> = dyn Fn(Option<&str>, Option<&ReadError>) + Send + Sync + 'a;

/// Why a configured provider can't serve. It stops the start.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the provider {name}: {reason}")]
pub struct ProviderError {
    name: String,
    reason: String,
}

#[derive(Debug)]
enum Provider {
    Prometheus(Prometheus),
    Envoy(Envoy),
    #[cfg(feature = "cloudwatch")]
    CloudWatch(CloudWatch),
    Web(Box<Web>),
}

impl Providers {
    /// Sets all providers up and reads their credentials once, so that a missing file stops the start.
    pub fn from_config(config: &ProvidersConfig) -> Result<Self, ProviderError> {
        let mut entries = BTreeMap::new();
        for (name, entry) in &config.entries {
            let provider = match entry {
                ProviderConfig::Prometheus(config) => Prometheus::new(config).map(Provider::Prometheus),
                ProviderConfig::Envoy(config) => Envoy::new(config).map(Provider::Envoy),
                ProviderConfig::Web(config) => Web::new(config).map(Box::new).map(Provider::Web),
                #[cfg(feature = "cloudwatch")]
                ProviderConfig::CloudWatch(config) => {
                    Ok(Provider::CloudWatch(CloudWatch::new(config, cloudwatch::Found::OfTheEnvironment)))
                }
                #[cfg(not(feature = "cloudwatch"))]
                ProviderConfig::CloudWatch(_) => Err(ReadError::Unsupported(
                    "this program was built without CloudWatch; use one that was built with the cargo feature \
                     cloudwatch, or remove the provider"
                        .to_owned(),
                )),
            };
            let provider =
                provider.map_err(|error| ProviderError { name: name.clone(), reason: error.to_string() })?;
            entries.insert(name.clone(), provider);
        }
        Ok(Self { default: config.default.clone(), entries: Arc::new(entries) })
    }

    /// Whether such a provider is configured; `None` asks for the default.
    pub fn has(&self, provider: Option<&str>) -> bool {
        self.find(provider).is_ok()
    }

    /// How long after a weight change a provider still shows the time before it; `None` where there is no
    /// such provider.
    pub fn settle(&self, provider: Option<&str>) -> Option<Duration> {
        self.find(provider).ok().map(|provider| match provider {
            Provider::Prometheus(prometheus) => prometheus.settle(),
            Provider::Envoy(_) => envoy::SETTLE,
            Provider::Web(_) => web::SETTLE,
            #[cfg(feature = "cloudwatch")]
            Provider::CloudWatch(cloud_watch) => cloud_watch.settle(),
        })
    }

    /// Why one of these questions could not even be put, whatever would be answered: a placeholder that nobody knows, a param
    /// that a preset lacks, what a provider has not. Providers that are not configured are not told here.
    pub fn refused(&self, request: &LookRequest) -> Option<String> {
        let arms = request.arms.iter().filter_map(|arms| {
            match self.find(arms.provider.as_deref()).ok()? {
                Provider::Prometheus(_) => prometheus::check(request, arms),
                Provider::Envoy(_) => envoy::check(request, arms),
                Provider::Web(web) => web.check(request, arms),
                #[cfg(feature = "cloudwatch")]
                Provider::CloudWatch(cloud_watch) => cloud_watch.check(request, arms),
            }
            .err()
        });
        let numbers = request.numbers.iter().filter_map(|number| {
            match self.find(number.provider.as_deref()).ok()? {
                Provider::Prometheus(_) => presets::number(number, request).map(drop),
                Provider::Envoy(_) => Err(envoy::has_no_number(number)),
                Provider::Web(web) => web.check_number(request, number),
                #[cfg(feature = "cloudwatch")]
                Provider::CloudWatch(cloud_watch) => cloud_watch.check_number(request, number),
            }
            .err()
        });
        arms.chain(numbers).next().map(|error| error.to_string())
    }

    /// Answers a look: everything at once, each part under its provider's deadline.
    pub async fn look(&self, request: &LookRequest, now: Timestamp) -> Look {
        self.look_telling(request, now, &|_, _| ()).await
    }

    /// The same. `told` hears of each part as it comes in: which provider it is from, by its name in the configuration, and
    /// why it was not read, if it was not.
    pub async fn look_telling(&self, request: &LookRequest, now: Timestamp, told: &Told<'_>) -> Look {
        let arms = async {
            let arms = request.arms.as_ref()?;
            let read = self.arms(request, arms, now).await;
            told(self.configured(arms.provider.as_deref()), read.as_ref().err());
            Some(read)
        };
        let numbers = join_all(request.numbers.iter().map(|number| async move {
            let read = self.number(request, number, now).await;
            told(self.configured(number.provider.as_deref()), read.as_ref().err());
            (number.name.clone(), read)
        }));
        let (arms, numbers) = futures::join!(arms, numbers);
        Look { arms, numbers: numbers.into_iter().collect() }
    }

    async fn arms(
        &self,
        request: &LookRequest,
        arms: &ArmsRequest,
        now: Timestamp,
    ) -> Result<Arms, ReadError> {
        match self.find(arms.provider.as_deref())? {
            Provider::Prometheus(prometheus) => {
                within(prometheus.timeout(), prometheus.arms(request, arms, now)).await
            }
            Provider::Envoy(envoy) => within(envoy.timeout(), envoy.arms(request, arms, now)).await,
            Provider::Web(web) => within(web.timeout(), web.arms(request, arms, now)).await,
            #[cfg(feature = "cloudwatch")]
            Provider::CloudWatch(cloud_watch) => {
                within(cloud_watch.timeout(), cloud_watch.arms(request, arms, now)).await
            }
        }
    }

    async fn number(
        &self,
        request: &LookRequest,
        number: &NumberRequest,
        now: Timestamp,
    ) -> Result<Sample, ReadError> {
        match self.find(number.provider.as_deref())? {
            Provider::Prometheus(prometheus) => {
                within(prometheus.timeout(), prometheus.number(request, number, now)).await
            }
            Provider::Envoy(_) => Err(envoy::has_no_number(number)),
            Provider::Web(web) => within(web.timeout(), web.number(request, number, now)).await,
            #[cfg(feature = "cloudwatch")]
            Provider::CloudWatch(cloud_watch) => {
                within(cloud_watch.timeout(), cloud_watch.number(request, number, now)).await
            }
        }
    }

    /// A provider's name in the configuration; `None` asks for the default's.
    fn configured(&self, provider: Option<&str>) -> Option<&str> {
        let (name, _) = self.entries.get_key_value(provider.or(self.default.as_deref())?)?;
        Some(name)
    }

    fn find(&self, provider: Option<&str>) -> Result<&Provider, ReadError> {
        let name = provider.or(self.default.as_deref());
        name.and_then(|name| self.entries.get(name))
            .ok_or_else(|| ReadError::UnknownProvider(name.unwrap_or("default").to_owned()))
    }
}

/// The deadline of one look at one provider, whatever it waits for.
async fn within<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, ReadError> {
    tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| Err(ReadError::Timeout(spell(deadline))))
}

#[cfg(test)]
mod tests;
