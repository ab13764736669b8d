//! What is asked, and when.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use tidegate::{
    api::{Preset, Series},
    engine::look::{ArmsRequest, LookRequest, NumberRequest},
};
use tokio::runtime::{Builder, Runtime};

/// When looks begin, in Unix seconds.
pub const NOW: i64 = 1_800_000_000;

/// A time that nothing was looked at before, so that no answer is remembered.
pub fn now() -> Timestamp {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    let later = SignedDuration::from_secs(10 * LOOKS.fetch_add(1, Ordering::Relaxed));
    at(NOW).saturating_add(later).expect("a span of seconds")
}

/// A time of Unix seconds.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time of this century")
}

/// A runtime whose time passes at once.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// A look at both arms and a number.
pub fn look(series: Series, latency: &[f64], number: &str) -> LookRequest {
    let arms = ArmsRequest { provider: None, series, latency: latency.to_vec(), past: None };
    let number = NumberRequest { name: "queue".to_owned(), provider: None, query: number.to_owned() };
    LookRequest {
        namespace: "shop".to_owned(),
        rollout: "color".to_owned(),
        canary: "v2".to_owned(),
        stable: "v1".to_owned(),
        args: BTreeMap::new(),
        arms: Some(arms),
        numbers: vec![number],
    }
}

/// Series by a preset.
pub fn preset(preset: Preset, params: &[(&str, &str)]) -> Series {
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Series { preset: Some(preset), params: params.collect::<BTreeMap<_, _>>(), ..Series::default() }
}
