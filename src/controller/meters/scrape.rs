//! One answer to `/metrics`: what was counted, and how everything stands now.

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::text, registry::Registry};

use super::{Meters, process::Process, standings::Standings};
use crate::controller::context::Context;

/// What is asked at each scrape.
#[derive(Debug)]
pub struct Scrape {
    meters: Arc<Meters>,
    /// What is read anew each time. It holds the contexts, which hold the meters: so it stands apart from them.
    now: Registry,
}

impl Scrape {
    /// Of these scopes; `per_rollout` says whether each Rollout has series of its own.
    pub fn new(meters: Arc<Meters>, contexts: Vec<Arc<Context>>, per_rollout: bool) -> Self {
        let mut now = Registry::default();
        if let Some(context) = contexts.first() {
            now.register_collector(Box::new(Process { started: context.clock.now() }));
        }
        now.register_collector(Box::new(Standings { contexts, per_rollout }));
        Self { meters, now }
    }

    /// All of it in the OpenMetrics text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        self.meters.write_to(&mut out)?;
        text::encode_registry(&mut out, &self.now)?;
        text::encode_eof(&mut out)?;
        Ok(out)
    }
}
