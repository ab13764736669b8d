//! What the controller counts about itself. Every label is from a fixed set or from the configuration.

use std::{fmt, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};

/// The controller's own metrics.
#[derive(Debug)]
pub struct Meters {
    registry: Registry,
    turns: Counter,
    turn_seconds: Histogram,
    errors: Family<ErrorLabel, Counter>,
    writes: Family<WriteLabel, Counter>,
    looks: Family<LookLabel, Counter>,
    quarantined: Gauge,
    leading: Gauge,
    shards: Gauge,
    notes_dropped: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabel {
    error: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabel {
    purpose: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookLabel {
    provider: String,
    outcome: &'static str,
}

impl Meters {
    /// All of them, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tidegate");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        let turns = Counter::<u64, AtomicU64>::default();
        registry.register("reconciles", "Turns that Rollouts had", turns.clone());
        let turn_seconds = Histogram::new(exponential_buckets(0.000_25, 4.0, 10));
        registry.register_with_unit("reconcile", "How long a turn took", Unit::Seconds, turn_seconds.clone());
        let errors = Family::<ErrorLabel, Counter>::default();
        registry.register("errors", "What turns failed of", errors.clone());
        let writes = Family::<WriteLabel, Counter>::default();
        registry.register("api_writes", "Writes to the API server", writes.clone());
        let looks = Family::<LookLabel, Counter>::default();
        registry.register("looks", "Answers of metric providers", looks.clone());
        let quarantined = Gauge::default();
        registry.register(
            "quarantined_rollouts",
            "Rollouts that cannot be served and are set aside",
            quarantined.clone(),
        );
        let shards = Gauge::default();
        registry.register(
            "shards",
            "Controllers that share the Rollouts; 0 where they do not",
            shards.clone(),
        );
        let leading = Gauge::default();
        registry.register("leading", "Whether this controller acts: 1, or 0 while it waits", leading.clone());
        let notes_dropped = Counter::<u64, AtomicU64>::default();
        registry.register(
            "events_dropped",
            "Events that were not sent, for too many waited",
            notes_dropped.clone(),
        );
        Self {
            registry,
            turns,
            turn_seconds,
            errors,
            writes,
            looks,
            quarantined,
            leading,
            shards,
            notes_dropped,
        }
    }

    /// A turn is over.
    pub fn turn(&self, took: std::time::Duration) {
        self.turns.inc();
        self.turn_seconds.observe(took.as_secs_f64());
    }

    /// Something failed.
    pub fn error(&self, label: &'static str) {
        self.errors.get_or_create(&ErrorLabel { error: label }).inc();
    }

    /// A write to the API server was answered, or not.
    pub fn write(&self, purpose: &'static str, stored: bool) {
        let outcome = if stored { "stored" } else { "failed" };
        self.writes.get_or_create(&WriteLabel { purpose, outcome }).inc();
    }

    /// A provider answered, or not. `provider` is a name from the configuration; `None` is the default one.
    pub fn look(&self, provider: Option<&str>, answered: bool) {
        let label = LookLabel {
            provider: provider.unwrap_or("default").to_owned(),
            outcome: if answered { "answered" } else { "failed" },
        };
        self.looks.get_or_create(&label).inc();
    }

    /// Among how many controllers the Rollouts are shared.
    pub fn shards(&self, count: usize) {
        self.shards.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many Rollouts can't be served now.
    pub fn quarantined(&self, count: usize) {
        self.quarantined.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// This controller acts from now on, or no longer.
    pub fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// An Event was not sent.
    pub fn note_dropped(&self) {
        self.notes_dropped.inc();
    }

    /// All of them in the OpenMetrics text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_holds_what_was_counted() {
        let meters = Meters::new();
        meters.turn(std::time::Duration::from_millis(1));
        meters.error("StoreStatus");
        meters.write("lower", true);
        meters.look(None, false);
        meters.quarantined(2);
        meters.note_dropped();
        let text = meters.text().unwrap();
        for line in [
            "tidegate_reconciles_total 1",
            "tidegate_reconcile_seconds_count 1",
            "tidegate_errors_total{error=\"StoreStatus\"} 1",
            "tidegate_api_writes_total{purpose=\"lower\",outcome=\"stored\"} 1",
            "tidegate_looks_total{provider=\"default\",outcome=\"failed\"} 1",
            "tidegate_quarantined_rollouts 2",
            "tidegate_events_dropped_total 1",
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
    }
}
