//! The door that fuzzers come in by where a provider has a client of its own: a CloudWatch that asks nobody.
//!
//! It is there only under `--cfg fuzzing`, as cargo-fuzz builds. Providers over HTTP are answered through
//! `outbound::fuzzing`.

use std::{collections::BTreeMap, sync::Arc};

use super::{CloudWatch, Provider, Providers, cloudwatch::Found};

/// The default provider is a CloudWatch whose SDK is set up like this, with a connection of its own.
pub fn cloud_watch(config: &crate::config::CloudWatchConfig, sdk: aws_config::SdkConfig) -> Providers {
    let provider = Provider::CloudWatch(CloudWatch::new(config, Found::These(Box::new(sdk))));
    let entries = BTreeMap::from([("default".to_owned(), provider)]);
    Providers { default: Some("default".to_owned()), entries: Arc::new(entries) }
}
