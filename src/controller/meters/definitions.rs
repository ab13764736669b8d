//! Every metric that the controller has of itself: one table. What is counted is registered from it, and the reference
//! `docs/metrics.md` is made from it, as are the checks of the dashboard and of the alerts.
//!
//! Names are Prometheus' own way: base units at the end, `_total` for counters. Shares are percent, as Rollouts spell them.
//! The number of series is bounded: a label has values from a list here or names from the configuration; those of
//! Rollouts, which are as many as there are, can be switched off.

use super::labels;

/// A metric.
#[derive(Debug)]
pub struct Definition {
    /// The name to ask for; a histogram's without `_bucket`, `_sum` or `_count`.
    pub name: &'static str,
    /// How it grows.
    pub kind: Kind,
    /// What it means, in a sentence without its full stop.
    pub help: &'static str,
    /// What tells its series apart.
    pub labels: &'static [Label],
}

/// How a metric grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins at 0 with the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many were at most so large.
    Histogram,
    /// Always 1; its labels say something.
    Info,
}

impl Kind {
    /// The word that Prometheus has for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// What tells series of a metric apart.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub values: Values,
}

/// What a label may be.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// One of these.
    Of(&'static [&'static str]),
    /// As many as there are of something, and of what.
    Each(&'static str),
}

/// The units that names end with.
const UNITS: [&str; 3] = ["seconds", "bytes", "percent"];

impl Definition {
    /// What it is counted in, as its name says; none where things are counted.
    pub fn unit(&self) -> Option<&'static str> {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        UNITS.into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
    }

    /// Its name without what the text format adds by itself: the unit, and the ending of a counter or an info.
    pub fn stem(&self) -> &'static str {
        let name = match self.kind {
            Kind::Counter => self.name.strip_suffix("_total"),
            Kind::Info => self.name.strip_suffix("_info"),
            Kind::Gauge | Kind::Histogram => None,
        };
        let name = name.unwrap_or(self.name);
        let without_unit = self.unit().and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_'));
        without_unit.unwrap_or(name)
    }

    /// Whether it has series for each Rollout, which can be switched off.
    pub fn is_per_rollout(&self) -> bool {
        self.labels.iter().any(|label| label.name == "rollout")
    }

    /// A value of its label at a place, or what stands for all that is in no list.
    pub fn bounded<'a>(&self, place: usize, value: &'a str) -> &'a str {
        match self.labels.get(place).map(|label| label.values) {
            Some(Values::Of(list)) if !list.contains(&value) => labels::OTHER,
            Some(Values::Of(_) | Values::Each(_)) | None => value,
        }
    }
}

/// Metrics that belong together.
#[derive(Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// They.
    pub metrics: &'static [&'static Definition],
}

/// All of them, in the order of the reference.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    GROUPS.iter().flat_map(|group| group.metrics).copied()
}

macro_rules! definitions {
    ($($title:literal {
        $($constant:ident = $kind:ident $name:literal $help:literal [$($label:expr),* $(,)?];)*
    })*) => {
        $($(
            #[doc = $help]
            pub const $constant: Definition =
                Definition { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*] };
        )*)*
        /// All of them, in the order of the reference.
        pub const GROUPS: &[Group] = &[$(Group { title: $title, metrics: &[$(&$constant),*] }),*];
    };
}

const fn of(name: &'static str, list: &'static [&'static str]) -> Label {
    Label { name, values: Values::Of(list) }
}

const fn each(name: &'static str, of: &'static str) -> Label {
    Label { name, values: Values::Each(of) }
}

const PROVIDER: Label =
    each("provider", "providers of the configuration; `unknown` for all that it does not have");
const GATE: Label = each("gate", "gates of the configuration; `unknown` for all that it does not have");
const RECEIVER: Label = each("receiver", "receivers of the configuration");
const NAMESPACE: Label = each("namespace", "namespaces");
const ROLLOUT: Label = each("rollout", "Rollouts that this controller acts on");
const METRIC: Label = each(
    "metric",
    "what the run's analysis judges: `errorRate`, `latency<…`, and names that the schema bounds",
);

definitions! {
    "The program" {
    BUILD = Info "tidegate_build_info" "The program" [each("version", "versions")];
    RESIDENT = Gauge "process_resident_memory_bytes" "Memory of the process in RAM; only on Linux" [];
    CPU = Counter "process_cpu_seconds_total" "Processor time of the process; only on Linux" [];
    STARTED = Gauge "process_start_time_seconds" "When the process started, in seconds since 1970" [];
    }
    "Who acts" {
    LEADER = Gauge "tidegate_leader"
        "Whether this controller acts: 1, or 0 while it waits. Where several share the Rollouts, each that has a share is at 1" [];
    SHARDS = Gauge "tidegate_shards"
        "Controllers that share the Rollouts, as this one sees it; 0 where they are not shared" [];
    READY = Gauge "tidegate_ready"
        "Whether everything that decisions need has been listed: 1, or 0 as long as /readyz says what is missing" [];
    }
    "All Rollouts" {
    ROLLOUTS = Gauge "tidegate_rollouts" "Rollouts that this controller acts on, by where they stand"
        [of("phase", labels::PHASES)];
    PAUSED = Gauge "tidegate_paused_rollouts"
        "Rollouts whose run waits, by why. Requested, Approval, Drifted, Deadline and RouteGone wait for a person"
        [of("reason", labels::PAUSES)];
    STALLED = Gauge "tidegate_stalled_rollouts"
        "Rollouts that nothing moves until somebody acts: those whose condition Stalled is True" [];
    QUARANTINED = Gauge "tidegate_quarantined_rollouts"
        "Rollouts that are set aside, and told so by an Event: they can't be read (by an older or newer schema), or a defect of the controller ends every decision about them" [];
    }
    "Runs" {
    RUNS_STARTED = Counter "tidegate_runs_started_total" "Runs that began" [];
    RUNS = Counter "tidegate_runs_total"
        "Runs that ended, by how, as status.run.ended.reason says it. All but Promoted put traffic back on stable, so this counts rollbacks by reason"
        [of("outcome", labels::OUTCOMES)];
    RUN_SECONDS = Histogram "tidegate_run_seconds" "How long runs took, from their start until their end was decided"
        [of("outcome", labels::OUTCOMES)];
    STEP_SECONDS = Histogram "tidegate_step_seconds"
        "How long steps took, from when their weight was in effect until the next step or the end of the run" [];
    PAUSES = Counter "tidegate_pauses_total" "How often runs began to wait, by why" [of("reason", labels::PAUSES)];
    VERDICTS = Counter "tidegate_verdicts_total"
        "How often what a metric says became this, as it was stored; each step begins with Collecting"
        [of("verdict", labels::VERDICTS)];
    }
    "Decisions" {
    RECONCILES = Counter "tidegate_reconciles_total" "Turns that Rollouts had" [];
    RECONCILE_SECONDS = Histogram "tidegate_reconcile_seconds" "How long a turn took, with its writes" [];
    ERRORS = Counter "tidegate_errors_total"
        "What turns and watches failed of. StatusConflict, Changed, Overtaken and Crowded are lost races, which is part of the normal course"
        [of("error", labels::ERRORS)];
    }
    "The API server" {
    API_REQUESTS = Counter "tidegate_api_requests_total"
        "Requests to the API server, lists and watches included, by what was answered"
        [of("verb", labels::VERBS), of("resource", labels::RESOURCES), of("code", labels::CODES)];
    API_SECONDS = Histogram "tidegate_api_request_seconds"
        "How long the API server took until its answer began; a watch goes on after that" [of("verb", labels::VERBS)];
    API_WRITES = Counter "tidegate_api_writes_total"
        "Writes to Rollouts, routes and workloads, by what for. A lower that keeps failing leaves traffic on a bad version"
        [of("purpose", labels::PURPOSES), of("outcome", labels::WRITTEN)];
    EVENTS_DROPPED = Counter "tidegate_events_dropped_total" "Events that were not sent, for too many waited" [];
    }
    "Metric providers" {
    PROVIDER_READS = Counter "tidegate_provider_reads_total"
        "What was read from metric providers, by what came of it: each look reads the counters of both versions and every plain metric"
        [PROVIDER, of("outcome", labels::READS)];
    PROVIDER_SECONDS = Histogram "tidegate_provider_read_seconds" "How long a provider took for a read, failed ones included"
        [PROVIDER];
    }
    "Gates and receivers" {
    GATE_ANSWERS = Counter "tidegate_gate_answers_total"
        "What gates said; `down` is no answer that counts" [GATE, of("answer", labels::ANSWERS)];
    NOTICES = Counter "tidegate_notices_total"
        "Attempts to tell a receiver of a notice. One that failed is made again for a day" [RECEIVER, of("outcome", labels::DELIVERED)];
    }
    "Each Rollout" {
    ROLLOUT_PHASE = Gauge "tidegate_rollout_phase" "1 for the phase in which a Rollout is; the others have no series"
        [NAMESPACE, ROLLOUT, of("phase", labels::PHASES)];
    ROLLOUT_PAUSED = Gauge "tidegate_rollout_paused" "1 while a run waits, with why"
        [NAMESPACE, ROLLOUT, of("reason", labels::PAUSES)];
    ROLLOUT_WEIGHT = Gauge "tidegate_rollout_weight_percent" "The share that the canary is to have in a run"
        [NAMESPACE, ROLLOUT];
    ROLLOUT_SEEN = Gauge "tidegate_rollout_seen_weight_percent"
        "The share that the canary of a run has on the routes, as last seen: the largest of them all" [NAMESPACE, ROLLOUT];
    ROLLOUT_STEP = Gauge "tidegate_rollout_step" "The step of a run, from 1; 0 before the first" [NAMESPACE, ROLLOUT];
    ROLLOUT_STEPS = Gauge "tidegate_rollout_steps" "How many steps a run has" [NAMESPACE, ROLLOUT];
    ROLLOUT_STEP_STARTED = Gauge "tidegate_rollout_step_started_timestamp_seconds"
        "Since when the weight of a step is in effect, in seconds since 1970: time() minus it is the time in the step. None before"
        [NAMESPACE, ROLLOUT];
    ROLLOUT_HELD = Gauge "tidegate_rollout_step_held_seconds"
        "How much of a step's hold has gone by under observation, as of the last checkpoint" [NAMESPACE, ROLLOUT];
    ROLLOUT_RUN_STARTED = Gauge "tidegate_rollout_run_started_timestamp_seconds"
        "When a run started, in seconds since 1970" [NAMESPACE, ROLLOUT];
    ROLLOUT_VERDICT = Gauge "tidegate_rollout_verdict" "1 for what a metric of a run says; the other verdicts have no series"
        [NAMESPACE, ROLLOUT, METRIC, of("verdict", labels::VERDICTS)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_counted_in_what() {
        for definition in all() {
            let Definition { name, kind, help, .. } = definition;
            assert!(name.starts_with("tidegate_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_info"), *kind == Kind::Info, "{name}");
            assert!(*kind != Kind::Histogram || definition.unit() == Some("seconds"), "{name}");
            assert!(
                !help.ends_with('.') && help.starts_with(|first: char| !first.is_lowercase()),
                "{name}: {help}"
            );
            assert_eq!(definition.is_per_rollout(), name.starts_with("tidegate_rollout_"), "{name}");
        }
    }

    #[test]
    fn the_stem_is_what_the_text_format_adds_nothing_to() {
        for (definition, unit, stem) in [
            (&RECONCILES, None, "tidegate_reconciles"),
            (&RECONCILE_SECONDS, Some("seconds"), "tidegate_reconcile"),
            (&BUILD, None, "tidegate_build"),
            (&CPU, Some("seconds"), "process_cpu"),
            (&ROLLOUT_WEIGHT, Some("percent"), "tidegate_rollout_weight"),
            (&ROLLOUT_RUN_STARTED, Some("seconds"), "tidegate_rollout_run_started_timestamp"),
        ] {
            assert_eq!((definition.unit(), definition.stem()), (unit, stem), "{}", definition.name);
        }
    }

    #[test]
    fn what_is_in_no_list_makes_no_series_of_its_own() {
        assert_eq!(ERRORS.bounded(0, "Late"), "Late");
        assert_eq!(ERRORS.bounded(0, "something that somebody wrote"), labels::OTHER);
        assert_eq!(PROVIDER_READS.bounded(0, "prod"), "prod", "the configuration bounds it");
    }
}
