//! CloudWatch as the SDK reaches it, against a fake of ours.

mod batching;
mod credentials;
mod evidence;
mod fake;
mod misbehaving;

use aws_config::BehaviorVersion;
use aws_sdk_cloudwatch::config::{Credentials, Region};

use super::*;
use crate::{
    api::Preset,
    config::CloudWatchConfig,
    metrics::cloudwatch::{Found as FoundConfig, http},
};
use fake::{Called, Fake, Found, Page, Queried, Reply, page, serve};

/// The end of the newest complete period at [`now`].
const END: i64 = 1_790_855_880;
/// The oldest period of the window.
const START: i64 = END - 3600;

fn config(fake: &Fake) -> CloudWatchConfig {
    CloudWatchConfig {
        region: Some("eu-central-1".to_owned()),
        role_arn: None,
        endpoint: Some(fake.url.clone()),
        period: Duration::from_mins(1),
        timeout: Duration::from_secs(5),
    }
}

/// What the environment is taken to have.
fn environment() -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIAEXAMPLE", SECRET, None, None, "test"))
}

fn with(config: &CloudWatchConfig, environment: aws_config::SdkConfig) -> Providers {
    let provider = CloudWatch::new(config, FoundConfig::These(Box::new(environment)));
    let entries = BTreeMap::from([("default".to_owned(), Provider::CloudWatch(provider))]);
    Providers { default: Some("default".to_owned()), entries: Arc::new(entries) }
}

async fn reading(fake: &Fake) -> Providers {
    with(&config(fake), environment().load().await)
}

/// A look at two target groups.
fn look_at_groups() -> LookRequest {
    let params = [
        ("loadBalancer", "app/shop/50dc6c495c0c9188"),
        ("targetGroup.v1", "targetgroup/v1/73e2d6bc24d8a067"),
        ("targetGroup.v2", "targetgroup/v2/943f017f100becff"),
    ];
    let mut request = look_at_arms();
    if let Some(arms) = &mut request.arms {
        arms.series = Series {
            preset: Some(Preset::Alb),
            params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Series::default()
        };
    }
    request
}

/// A look at own expressions.
fn look_at_expressions() -> LookRequest {
    let mut request = look_at_arms();
    if let Some(arms) = &mut request.arms {
        let search = |metric: &str| {
            Some(format!(
                "SEARCH('{{shop,Target}} MetricName=\"{metric}\" Target=\"{{{{target}}}}\"', 'Sum', {{{{period}}}})"
            ))
        };
        arms.series = Series { errors: search("errors"), total: search("total"), ..Series::default() };
    }
    request
}

/// Which arm a query is about.
fn arm(query: &Queried) -> &str {
    query.dimensions.get("TargetGroup").map_or("", |group| group.split('/').nth(1).unwrap_or_default())
}

/// Two quiet periods.
fn healthy(called: &Called) -> Page {
    page(called, |query| match query.what.as_str() {
        "Sum RequestCount" => vec![(END - 120, 100.0), (END - 60, 50.0)],
        _ => Vec::new(),
    })
}

fn sums(of: &[(i64, f64)]) -> BTreeMap<String, f64> {
    of.iter().map(|(start, sum)| (start.to_string(), *sum)).collect()
}
