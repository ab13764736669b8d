//! The log: one line of text or one JSON object an event, filtered as configured or as `RUST_LOG` says.

use std::io::IsTerminal;

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter,
    filter::filter_fn,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

use crate::config::{LogConfig, LogFormat};

/// Goes before every filter, which may overrule it by naming the same. The client's watcher spells every refused list and
/// watch out in full, again and again; the controller tells them once, in a sentence.
const QUIET: &str = "kube_runtime::watcher=off";

/// The client's own word on answers that it can't read: it spells them out whole, a proxy's page or somebody's object. No
/// filter brings it back; what the controller makes of such an answer is told by itself.
const ANSWERS: &str = "kube_client::client";

/// Whether something may be logged at all, whatever is asked for.
fn is_fit(metadata: &Metadata<'_>) -> bool {
    metadata.target() != ANSWERS
}

/// Why the log can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter can't be read.
    #[error("cannot read the log filter {filter:?}; it must be like info or info,kube=debug")]
    Filter {
        /// The filter as given.
        filter: String,
        /// Where it is wrong.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has a log already.
    #[error("cannot set up the log a second time")]
    Twice(#[source] TryInitError),
}

/// Sets up the log of this process. `over`, where given, is used in place of the configured filter.
pub fn start(config: &LogConfig, over: Option<&str>) -> Result<(), TelemetryError> {
    let filter = over.unwrap_or(&config.level);
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match config.format {
        LogFormat::Text => builder.finish().with(filter_fn(is_fit)).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().with(filter_fn(is_fit)).try_init(),
    }
    .map_err(TelemetryError::Twice)
}
