//! Decisions told in sentences, with the counts in them. Plain inputs, no state: what is said is what was judged.

use std::time::Duration;

use super::{batch::Arm, bounds::RatioBounds, level::Level, preflight::StepEstimate, threshold::Bounds};

mod text;

pub use text::{count, percent, seconds};

use text::{level_text, more, number, odds, plural, times};

/// What of the requests the canary gets, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// So many are its to answer.
    Weight(i32),
    /// So many are copied to it, and it answers none.
    Mirror(i32),
}

/// As sentences say it: "5%", "a mirror of 5%".
impl std::fmt::Display for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Weight(percent) => write!(f, "{percent}%"),
            Self::Mirror(percent) => write!(f, "a mirror of {percent}%"),
        }
    }
}

/// What is counted against a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// It failed.
    Failed,
    /// It was slower than a bound, spelled as people write it: `300ms`.
    SlowerThan(&'a str),
}

impl Fault<'_> {
    /// "24 of 2,400 (1.0%)" as something an arm did.
    fn done(self, who: &str, arm: Arm) -> String {
        match self {
            Self::Failed => format!("{who} failed {}", of(arm)),
            Self::SlowerThan(bound) => format!("{who} was slower than {bound} in {}", of(arm)),
        }
    }

    /// "0 of 180 canary requests failed".
    fn among_requests(self, arm: Arm) -> String {
        let what = match self {
            Self::Failed => "failed".to_owned(),
            Self::SlowerThan(bound) => format!("slower than {bound}"),
        };
        let requests = plural(arm.requests, "canary request");
        format!("{} of {} {requests} {what}", count(arm.errors), count(arm.requests))
    }
}

/// "24 of 2,400 (1.0%)".
fn of(arm: Arm) -> String {
    let counts = format!("{} of {}", count(arm.errors), count(arm.requests));
    arm.share().map_or_else(|| counts.clone(), |share| format!("{counts} ({})", percent(share)))
}

/// The odds that a rollback stands on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Odds {
    /// ln E of harm.
    pub log_e_harm: f64,
    /// M, the judged metrics of the run.
    pub metrics: i32,
    /// α, the bound on false rollbacks.
    pub alpha: f64,
}

impl Odds {
    fn told(self) -> String {
        let needed = number(f64::from(self.metrics.max(1)) / self.alpha, 0);
        format!("Odds against chance {} (needed {needed}).", odds(self.log_e_harm))
    }
}

/// A Fail because the canary is worse than stable in the same minutes.
///
/// It starts with "canary": whoever ends the run for it says at which weight, "Rolled back at 10%: ".
pub fn failed(fault: Fault<'_>, canary: Arm, stable: Arm, bounds: RatioBounds, evidence: Odds) -> String {
    let stable_counts = match fault {
        Fault::Failed => format!("stable {}", of(stable)),
        Fault::SlowerThan(_) => format!("stable in {}", of(stable)),
    };
    let about = canary
        .share()
        .zip(stable.share().filter(|share| *share > 0.0))
        .map(|(canary, stable)| format!("about {}", times(canary / stable)));
    let surely = bounds.at_least.map(|rung| format!("surely over {}", times(rung)));
    let ratio: Vec<String> = about.into_iter().chain(surely).collect();
    let ratio = if ratio.is_empty() { String::new() } else { format!(": {}", ratio.join(", ")) };
    let canary = fault.done("canary", canary);
    format!("{canary}, {stable_counts} in the same minutes{ratio}. {}", evidence.told())
}

/// Where a level that stands by itself comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelOrigin {
    /// Stable's hour before the switch to 100 %.
    HourBefore,
    /// An explicit `max`.
    Max,
}

/// A Fail because the canary is above a level that does not compare it with stable: at 100 %, or a `max`.
///
/// Like [`failed`], without the weight in front.
pub fn failed_above(
    fault: Fault<'_>,
    canary: Arm,
    tolerated: f64,
    origin: LevelOrigin,
    evidence: Odds,
) -> String {
    let origin = match origin {
        LevelOrigin::HourBefore => "tolerated after stable's hour before",
        LevelOrigin::Max => "set as max",
    };
    let canary = fault.done("canary", canary);
    format!("{canary}, surely over the {} {origin}. {}", percent(tolerated), evidence.told())
}

/// Waiting for proof. `requests` is how many more are needed, `rate` the canary's requests per second.
pub fn waiting(
    at: Traffic,
    fault: Fault<'_>,
    canary: Arm,
    catch: Level,
    requests: Option<i64>,
    rate: Option<f64>,
) -> String {
    let so_far = fault.among_requests(canary);
    let needed = match requests {
        None => format!("not on the way to rule out {}", level_text(catch)),
        Some(0) => format!("{} ruled out", level_text(catch)),
        Some(requests) => {
            let time = rate
                .and_then(|rate| Duration::try_from_secs_f64(requests as f64 / rate.max(0.0)).ok())
                .map_or_else(String::new, |time| format!(", about {}", seconds(time)));
            format!("about {} more needed to rule out {}{time}", more(requests), level_text(catch))
        }
    };
    format!("Waiting at {at}: {so_far}; {needed}.")
}

/// Safe: the level to catch is ruled out. `stable` is `None` where the canary is judged by itself.
pub fn safe(at: Traffic, fault: Fault<'_>, canary: Arm, stable: Option<Arm>, catch: Level) -> String {
    let stable = stable.map_or_else(String::new, |stable| match fault {
        Fault::Failed => format!(", stable {}", of(stable)),
        Fault::SlowerThan(_) => format!(", stable in {}", of(stable)),
    });
    format!("Safe at {at}: {}{stable}; {} ruled out.", fault.done("canary", canary), level_text(catch))
}

/// No request reached the canary in this step.
pub fn no_canary_traffic(at: Traffic) -> String {
    format!("Waiting at {at}: no canary traffic in this step, so nothing is known of it yet.")
}

/// The canary's share of a step's requests is far from what the routes give it.
pub fn share_off(at: Traffic, canary: f64, all: f64) -> String {
    let share = percent(canary / all.max(1.0));
    let (canary, all) = (count(canary), count(all));
    match at {
        Traffic::Weight(_) => format!(
            "At {at} the canary had {canary} of {all} requests ({share}): something beside these routes sends or keeps traffic, so \
             what is judged may not be what users see. See who calls either version directly, or by another route, and take \
             that in or out of the series."
        ),
        Traffic::Mirror(_) => format!(
            "At {at} the canary had {canary} of {all} requests ({share}), copies included: the data plane copies another share than \
             the routes say, or something else calls either version. See whether it knows the percentage of a mirror, \
             and who calls them directly."
        ),
    }
}

/// Paused because a metric could not be read. `cause` is a clause: "Prometheus gave no `total` for stable".
pub fn metric_error(at: Traffic, cause: &str, looks: i32) -> String {
    let polls = plural(f64::from(looks), "poll");
    format!("Paused at {at}: {cause} in {looks} {polls}. Nothing rolled back.")
}

/// Holding because stable itself is sick. Shares from 0 to 1.
pub fn stable_sick(at: Traffic, stable: f64, before: f64, canary: Option<f64>) -> String {
    let canary = canary.map_or_else(String::new, |share| format!(" Canary {}: not blamed.", percent(share)));
    format!("Holding at {at}: stable itself fails {} ({} before).{canary}", percent(stable), percent(before))
}

/// A plain metric, `bad` looks in a row outside its bounds; 0 when its latest `value` is within. `None` before the
/// first look. A Fail is told without the weight in front, like [`failed`].
pub fn threshold(at: Traffic, name: &str, value: Option<f64>, bounds: &Bounds, bad: i32) -> String {
    let Some(value) = value else {
        return format!("Waiting at {at}: {name} has no value yet.");
    };
    let (shown, failures) = (number(value, 4), bounds.failures.max(1));
    let broken = match (bounds.min.filter(|min| value < *min), bounds.max.filter(|max| value > *max)) {
        (Some(min), _) => format!("below {}", number(min, 4)),
        (None, Some(max)) => format!("above {}", number(max, 4)),
        (None, None) => return format!("Pass at {at}: {name} is {shown}{}.", within(bounds)),
    };
    if bad >= failures {
        let row = if bad > 1 { format!(", {bad} looks in a row") } else { String::new() };
        format!("{name} is {shown}, {broken}{row}.")
    } else {
        format!("Waiting at {at}: {name} is {shown}, {broken}; {bad} bad of {failures} looks in a row.")
    }
}

fn within(bounds: &Bounds) -> String {
    match (bounds.min, bounds.max) {
        (Some(min), Some(max)) => format!(", within {} and {}", number(min, 4), number(max, 4)),
        (Some(min), None) => format!(", at least {}", number(min, 4)),
        (None, Some(max)) => format!(", at most {}", number(max, 4)),
        (None, None) => String::new(),
    }
}

/// What a step will take, told before the run. `rate` is that of all traffic, in requests per second.
pub fn preflight(rate: f64, step: &StepEstimate, max_hold: Duration) -> String {
    let weight = step.weight;
    let Some(requests) = step.requests else {
        return format!(
            "Step {weight}%: no traffic can prove it, its level to catch adds nothing to stable's."
        );
    };
    let needed = format!("proof takes {} canary requests without an error", count(requests as f64));
    match step.time {
        None => format!("Step {weight}%: {needed}, and there is no traffic."),
        Some(time) => {
            let time = format!("at least {} at {} requests/s in all", seconds(time), number(rate, 1));
            if step.provable {
                format!("Step {weight}%: {needed}, {time}.")
            } else {
                format!("Step {weight}%: {needed}, {time}: longer than its maxHold of {}.", seconds(max_hold))
            }
        }
    }
}

#[cfg(test)]
mod tests;
