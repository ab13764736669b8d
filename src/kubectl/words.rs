//! Words that several commands use: spans, shares, and where a Rollout stands.

use std::time::Duration;

use jiff::Timestamp;

use super::out::{Look, Tone};
use crate::{
    analysis::Verdict,
    api::{Phase, Rollout, RolloutStatus, Target, units::spell},
};

/// The span between two times in whole seconds, as people write it; nothing where the second is not later.
pub fn since(from: Timestamp, to: Timestamp) -> String {
    spell(Duration::from_secs(to.duration_since(from).unsigned_abs().as_secs() * u64::from(to > from)))
}

/// An age as `kubectl get` tells it: in the one or two greatest units.
pub fn age(from: Timestamp, to: Timestamp) -> String {
    let seconds = u64::try_from(to.duration_since(from).as_secs()).unwrap_or_default();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The tone of a phase.
pub const fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Healthy => Tone::Good,
        Phase::Progressing => Tone::Busy,
        Phase::Paused | Phase::Suspended | Phase::RollingBack => Tone::Warn,
        Phase::Failed | Phase::Invalid => Tone::Bad,
    }
}

/// The tone of a verdict.
pub const fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Safe | Verdict::Pass => Tone::Good,
        Verdict::Fail => Tone::Bad,
        Verdict::Collecting => Tone::Busy,
        Verdict::Error => Tone::Warn,
    }
}

/// The status, or an empty one where no controller has seen the Rollout yet.
pub fn status(rollout: &Rollout) -> RolloutStatus {
    rollout.status.clone().unwrap_or_default()
}

/// Whether the status answers to the spec as it is.
pub fn is_current(rollout: &Rollout) -> bool {
    let observed = rollout.status.as_ref().and_then(|status| status.observed_generation);
    observed >= rollout.metadata.generation
}

/// The number of the present or last run; 0 where there was none.
pub fn run_number(rollout: &Rollout) -> i64 {
    rollout.status.as_ref().and_then(|status| status.run.as_ref()).map_or(0, |run| run.number)
}

/// The step where a run is under way, as `2/4 at 20%`.
pub fn step(status: &RolloutStatus) -> Option<String> {
    let run = status.active_run()?;
    let step = status.step.as_ref().filter(|step| step.index > 0)?;
    let traffic =
        run.step(step.index).map_or_else(|| step.weight.to_string(), |step| step.traffic().to_string());
    Some(format!("{} at {traffic}", step.label))
}

/// Where it stands, in a line: the phase, the step, the sentence.
pub fn standing(rollout: &Rollout, look: Look) -> String {
    let Some(status) = rollout.status.as_ref().filter(|status| status.phase.is_some()) else {
        return "no controller has seen it yet".to_owned();
    };
    let phase = status.phase.map(|phase| look.paint(tone(phase), phase.word())).unwrap_or_default();
    let step = step(status).map(|step| format!(" {step}")).unwrap_or_default();
    let message = status.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    format!("{phase}{step}{message}")
}

/// A target's name, and its port where it has one.
pub fn target(target: &Target) -> String {
    match target.port {
        Some(port) => format!("{}:{port}", target.name),
        None => target.name.clone(),
    }
}

/// Several names in a sentence: `a`, `a and b`, `a, b and c`.
pub fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_ages() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(since(at(0), at(192)), "3m12s");
        assert_eq!(since(at(5), at(5)), "0s");
        assert_eq!(since(at(9), at(5)), "0s");
        let ages = [(59, "59s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d")];
        for (seconds, want) in ages {
            assert_eq!(age(at(0), at(seconds)), want);
        }
        assert_eq!(age(at(9), at(0)), "0s", "a clock that is behind");
    }

    #[test]
    fn names_in_a_sentence() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let said: Vec<String> = (0..4).map(|count| list(&names[..count])).collect();
        assert_eq!(said, ["", "a", "a and b", "a, b and c"]);
    }
}
