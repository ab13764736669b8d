//! Providers over HTTP: the first byte is the status, the rest the bodies, with a NUL between two.

use std::{cell::OnceCell, time::Duration};

use http::StatusCode;
use tidegate::{
    api::{Preset, Series},
    config::Config,
    engine::look::LookRequest,
    metrics::{Providers, Span},
    outbound::fuzzing,
};

use crate::{ask, sound};

thread_local! {
    static PROMETHEUS: OnceCell<Providers> = const { OnceCell::new() };
    static ENVOY: OnceCell<Providers> = const { OnceCell::new() };
    static WEB: OnceCell<Providers> = const { OnceCell::new() };
}

/// Answers of a Prometheus, to instant queries and to those over a range.
pub fn prometheus(data: &[u8]) {
    if answer(data).is_none() {
        return;
    }
    let config = "prometheus: {url: \"http://127.0.0.1:9\", scrapeInterval: 1s}";
    let series = Series {
        errors: Some("errors{arm=\"{{target}}\"}".to_owned()),
        total: Some("total{arm=\"{{target}}\"}".to_owned()),
        latency: Some("latency{arm=\"{{target}}\"}".to_owned()),
        ..Series::default()
    };
    let counts = ask::look(series, &[], "queue");
    let mut all = counts.clone();
    if let Some(arms) = &mut all.arms {
        arms.latency = vec![0.5];
        arms.past = Some(Duration::from_hours(1));
    }
    with(&PROMETHEUS, config, |providers| async move {
        for request in [&counts, &all] {
            sound::look(&providers.look(request, ask::now()).await);
            recorded(&providers, request).await;
        }
    });
}

async fn recorded(providers: &Providers, request: &LookRequest) {
    let end = ask::now();
    let start = end.saturating_sub(Duration::from_hours(1)).expect("an hour");
    let span = Span { start, end, step: Duration::from_mins(1) };
    match providers.recorded(request, span, &|_| {}).await {
        Ok(recording) => {
            recording.arms.iter().for_each(sound::arms);
            let mut numbers = recording.numbers.values().flatten();
            assert!(numbers.all(|sample| sample.value.is_finite()), "{recording:?}");
        }
        Err(error) => sound::refusal(&error),
    }
}

/// Statistics of two Envoys.
pub fn envoy(data: &[u8]) {
    if answer(data).is_none() {
        return;
    }
    let config = "envoy: {urls: [\"http://127.0.0.1:9/a\", \"http://127.0.0.1:9/b\"]}";
    let series = ask::preset(Preset::TidegateGateway, &[("mesh", "m"), ("port", "80")]);
    with(&ENVOY, config, |providers| async move {
        for latency in [&[][..], &[0.5]] {
            let request = ask::look(series.clone(), latency, "queue");
            sound::look(&providers.look(&request, ask::now()).await);
        }
    });
}

/// JSON of some service, and, before the first NUL, the JSONPath that a Rollout has.
pub fn web(data: &[u8]) {
    let Some((path, answers)) = split(data, 0) else { return };
    let Ok(path) = std::str::from_utf8(path) else { return };
    // A Rollout's own text may stand in its errors.
    if path.contains(sound::SECRET) || answer(answers).is_none() {
        return;
    }
    let config = "web: {url: \"http://127.0.0.1:9/api\"}";
    let query = format!("stats/{{{{target}}}} | {path}");
    let number = format!("stats | {path}");
    let series = Series { errors: Some(query.clone()), total: Some(query), ..Series::default() };
    let request = ask::look(series, &[], &number);
    with(&WEB, config, |providers| async move {
        sound::look(&providers.look(&request, ask::now()).await);
    });
}

/// Has the bodies answered; `None` where there is not even a status.
fn answer(data: &[u8]) -> Option<()> {
    let (status, bodies) = data.split_first()?;
    // Redirects and refused credentials are told before a body is read.
    let status = match status {
        b'b' => StatusCode::BAD_REQUEST,
        b'u' => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    fuzzing::answer(status, bodies.split(|byte| *byte == 0).map(<[u8]>::to_vec));
    Some(())
}

fn split(data: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = data.split_at(data.iter().position(|byte| *byte == at)?);
    Some((before, &after[1..]))
}

/// Looks by the provider of a configuration, which is made once.
fn with<F: Future<Output = ()>>(
    kept: &'static std::thread::LocalKey<OnceCell<Providers>>,
    config: &str,
    look: impl FnOnce(Providers) -> F,
) {
    let make = || {
        let text = format!("providers: {{default: {{{config}}}}}");
        let config = Config::parse(&text, "fuzz").expect("a configuration");
        let made: Result<Providers, _> = Providers::from_config(&config.providers);
        made.expect("providers")
    };
    let providers = kept.with(|kept| kept.get_or_init(make).clone());
    ask::runtime().block_on(look(providers));
}
