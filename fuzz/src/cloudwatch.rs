//! CloudWatch: the first byte is the status, the rest the CBOR that the SDK's own client reads.

use std::{cell::RefCell, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use tidegate::{
    api::{Preset, Series},
    config::CloudWatchConfig,
    engine::look::{Look, ReadError},
    metrics::{Providers, fuzzing},
};

use crate::{ask, sound};

thread_local! {
    /// What is answered, and by which providers.
    static ANSWER: RefCell<(u16, Vec<u8>)> = const { RefCell::new((200, Vec::new())) };
    static PROVIDERS: RefCell<Option<Providers>> = const { RefCell::new(None) };
}

/// Pages of sums, or errors of the service.
pub fn cloudwatch(data: &[u8]) {
    let Some((status, body)) = data.split_first() else { return };
    let status = match status {
        b'b' => 400,
        b't' => 429,
        b'u' => 503,
        _ => 200,
    };
    ANSWER.set((status, body.to_vec()));
    let groups = [("loadBalancer", "app/l/1"), ("targetGroup", "targetgroup/{{name}}/1")];
    let metrics = ask::preset(Preset::Alb, &groups);
    let expressions = Series {
        errors: Some("SEARCH('errors {{target}}', 'Sum', {{period}})".to_owned()),
        total: Some("SEARCH('total {{target}}', 'Sum', {{period}})".to_owned()),
        ..Series::default()
    };
    ask::runtime().block_on(async {
        for (series, latency) in [(metrics, &[0.5][..]), (expressions, &[])] {
            let mut request = ask::look(series, latency, "METRICS()");
            if let Some(arms) = &mut request.arms {
                arms.past = Some(Duration::from_hours(1));
            }
            let providers = PROVIDERS.with_borrow_mut(|kept| {
                kept.get_or_insert_with(|| fuzzing::cloud_watch(&config(), sdk())).clone()
            });
            let look = providers.look(&request, ask::at(ask::NOW)).await;
            sound::look(&look);
            // Throttled once, they ask no more for a while.
            if is_throttled(&look) {
                PROVIDERS.set(None);
            }
        }
    });
}

fn is_throttled(look: &Look) -> bool {
    let arms = look.arms.iter().filter_map(|arms| arms.as_ref().err());
    let numbers = look.numbers.values().filter_map(|number| number.as_ref().err());
    arms.chain(numbers).any(|error| matches!(error, ReadError::Throttled(_)))
}

fn config() -> CloudWatchConfig {
    CloudWatchConfig {
        region: None,
        role_arn: None,
        endpoint: None,
        period: Duration::from_mins(1),
        timeout: Duration::from_secs(10),
    }
}

fn sdk() -> SdkConfig {
    let answers = infallible_client_fn(|_| {
        let (status, body) = ANSWER.with_borrow(Clone::clone);
        http::Response::builder()
            .status(status)
            .header("smithy-protocol", "rpc-v2-cbor")
            .header("content-type", "application/cbor")
            .body(SdkBody::from(body))
            .expect("an answer")
    });
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys("id", "key", None)))
        .http_client(answers)
        .build()
}
