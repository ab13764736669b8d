//! What is typed after `tidegate demo`.

use std::num::NonZeroU32;

#[cfg(feature = "gateway")]
use super::envoy::program::Wanted;
use super::{routes::Routes, strategy::Strategy};

/// What `tidegate demo` is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoOptions {
    /// The kind of route that splits the traffic.
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub routes: Routes,
    /// How traffic gets to a new version.
    #[arg(long, value_enum, default_value_t, value_name = "STRATEGY")]
    pub strategy: Strategy,
    /// Stay up after the last act, until interrupted, and say how to look around.
    #[arg(long)]
    pub keep: bool,
    /// Let a real Envoy carry the traffic in place of the sandbox's gateway, with routes of App Mesh: PROGRAM, else what
    /// TIDEGATE_ENVOY names, else `envoy` on PATH. Its ports, unlike all else, are open on every address of the machine.
    #[cfg(feature = "gateway")]
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, default_missing_value = "")]
    pub envoy: Option<Wanted>,
    /// Print plain lines on a terminal too.
    #[arg(long)]
    pub plain: bool,
    /// Requests sent to color-app each second; where there are previews, a tenth as many again ask for them. The fewer, the
    /// longer the proof of a step takes.
    #[arg(long, default_value = "1000", value_name = "PER SECOND")]
    pub rate: NonZeroU32,
}
