//! What a look would ask of a provider, worked out without one: no address is known, no credential read, nothing sent.

use std::time::Duration;

use reqwest::Url;

#[cfg(feature = "cloudwatch")]
use super::cloudwatch;
use super::{
    envoy,
    presets::{self, ArmScope, Errors},
    prometheus, web,
};
use crate::{
    api::Preset,
    config::ProviderConfig,
    engine::look::{ArmsRequest, LookRequest, NumberRequest, ReadError},
};

/// An address to put paths below; none of it matters to what is checked.
const ANY_ADDRESS: &str = "http://provider.invalid/";

/// The kinds of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Prometheus.
    Prometheus,
    /// Gateway Envoys.
    Envoy,
    /// CloudWatch.
    CloudWatch,
    /// JSON over HTTP.
    Web,
}

/// A question in PromQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromQl {
    /// What it is called: `errors`, `total`, `latency`, or a metric's name.
    pub role: String,
    /// The query, placeholders filled.
    pub query: String,
}

impl Kind {
    /// Of a configured provider.
    pub const fn of(provider: &ProviderConfig) -> Self {
        match provider {
            ProviderConfig::Prometheus(_) => Self::Prometheus,
            ProviderConfig::Envoy(_) => Self::Envoy,
            ProviderConfig::CloudWatch(_) => Self::CloudWatch,
            ProviderConfig::Web(_) => Self::Web,
        }
    }

    /// That which a preset is read from; of two that serve, the one that takes plain numbers too.
    pub const fn of_preset(preset: Preset) -> Self {
        match preset {
            Preset::TidegateGateway | Preset::AppmeshEnvoy | Preset::Istio | Preset::Linkerd => {
                Self::Prometheus
            }
            Preset::AppmeshExtension | Preset::Alb | Preset::VpcLattice => Self::CloudWatch,
        }
    }
}

/// How long after a weight change a provider so configured still shows the time before it; none for a kind that this
/// program was built without.
pub fn settle(provider: &ProviderConfig) -> Option<Duration> {
    match provider {
        ProviderConfig::Prometheus(config) => Some(prometheus::settle(config.scrape_interval)),
        ProviderConfig::Envoy(_) => Some(envoy::SETTLE),
        #[cfg(feature = "cloudwatch")]
        ProviderConfig::CloudWatch(config) => Some(cloudwatch::settle(config.period)),
        #[cfg(not(feature = "cloudwatch"))]
        ProviderConfig::CloudWatch(_) => None,
        ProviderConfig::Web(_) => Some(web::SETTLE),
    }
}

/// What is asked of both arms, where that is PromQL; else why it can't be asked, in a sentence with the remedy.
pub fn of_arms(kind: Kind, request: &LookRequest, arms: &ArmsRequest) -> Result<Vec<PromQl>, ReadError> {
    match kind {
        Kind::Prometheus => {
            prometheus::check(request, arms)?;
            let queries = presets::prometheus(&arms.series, ArmScope::of(request, &request.canary))?;
            let errors = match queries.errors {
                Errors::Query(query) => Some(("errors", query)),
                Errors::Nowhere | Errors::AmongTotal(_) => None,
            };
            let latency = queries.latency.map(|query| ("latency", query));
            let all = errors.into_iter().chain([("total", queries.total)]).chain(latency);
            Ok(all.map(|(role, query)| PromQl { role: role.to_owned(), query }).collect())
        }
        Kind::Envoy => envoy::check(request, arms).map(|()| vec![]),
        Kind::CloudWatch => check_arms(request, arms).map(|()| vec![]),
        Kind::Web => web::check(&any_address()?, request, arms).map(|()| vec![]),
    }
}

/// What is asked as one plain number, where that is PromQL; else why it can't be asked, in a sentence with the remedy.
pub fn of_number(
    kind: Kind,
    request: &LookRequest,
    number: &NumberRequest,
) -> Result<Option<PromQl>, ReadError> {
    match kind {
        Kind::Prometheus => {
            let query = presets::number(number, request)?;
            Ok(Some(PromQl { role: number.name.clone(), query }))
        }
        Kind::Envoy => Err(envoy::has_no_number(number)),
        Kind::CloudWatch => check_number(request, number).map(|()| None),
        Kind::Web => web::check_number(&any_address()?, request, number).map(|()| None),
    }
}

fn any_address() -> Result<Url, ReadError> {
    Url::parse(ANY_ADDRESS).map_err(|_| ReadError::Defect)
}

#[cfg(feature = "cloudwatch")]
fn check_arms(request: &LookRequest, arms: &ArmsRequest) -> Result<(), ReadError> {
    cloudwatch::check(request, arms)
}

#[cfg(feature = "cloudwatch")]
fn check_number(request: &LookRequest, number: &NumberRequest) -> Result<(), ReadError> {
    cloudwatch::check_number(request, number)
}

#[cfg(not(feature = "cloudwatch"))]
fn check_arms(_: &LookRequest, _: &ArmsRequest) -> Result<(), ReadError> {
    Err(without_cloudwatch())
}

#[cfg(not(feature = "cloudwatch"))]
fn check_number(_: &LookRequest, _: &NumberRequest) -> Result<(), ReadError> {
    Err(without_cloudwatch())
}

#[cfg(not(feature = "cloudwatch"))]
fn without_cloudwatch() -> ReadError {
    presets::unsupported("this program was built without CloudWatch, and can't tell what is asked of it")
}
