//! Before a run starts: how long proof will take at each step, at best.

use std::time::Duration;

use super::bounds::min_clean_requests;

/// A step of the plan as far as the estimate needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// Percent of all traffic.
    pub weight: i32,
    /// The longest the step is held for proof.
    pub max_hold: Duration,
}

/// What a step must be able to prove.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProofGoal {
    /// `absolute` of the level to catch.
    pub absolute: f64,
    /// β, the bound on a wrong Safe.
    pub beta: f64,
    /// The burst factor.
    pub burst: f64,
}

/// How long proof takes at one step, if the canary has no error at all. Errors make it longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepEstimate {
    /// Percent of all traffic.
    pub weight: i32,
    /// Canary requests that proof takes; `None` if no traffic would be enough.
    pub requests: Option<i64>,
    /// Time until the canary has had them; `None` if it never will.
    pub time: Option<Duration>,
    /// Whether that is within the step's greatest hold.
    pub provable: bool,
}

/// Estimates every step of a plan from the `rate` of all traffic in requests per second.
pub fn preflight(rate: f64, steps: &[PlannedStep], goal: ProofGoal) -> Vec<StepEstimate> {
    let requests = min_clean_requests(goal.absolute, goal.beta, goal.burst);
    steps
        .iter()
        .map(|step| {
            let canary_rate = rate * f64::from(step.weight) / 100.0;
            let time = requests.and_then(|requests| {
                Duration::try_from_secs_f64(requests as f64 / canary_rate.max(0.0)).ok()
            });
            let provable = time.is_some_and(|time| time <= step.max_hold);
            StepEstimate { weight: step.weight, requests, time, provable }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL: ProofGoal = ProofGoal { absolute: 0.01, beta: 0.05, burst: 2.0 };

    fn step(weight: i32) -> PlannedStep {
        PlannedStep { weight, max_hold: Duration::from_mins(15) }
    }

    #[test]
    fn without_traffic_nothing_can_be_proved() {
        for (rate, weight) in [(0.0, 50), (-1.0, 50), (f64::NAN, 50), (10.0, 0)] {
            let estimate = preflight(rate, &[step(weight)], GOAL)[0];
            assert_eq!((estimate.time, estimate.provable), (None, false), "{rate} {weight}");
        }
        assert_eq!(preflight(10.0, &[step(50)], ProofGoal { absolute: 0.0, ..GOAL })[0].requests, None);
    }

    #[test]
    fn tells_which_steps_can_be_proved_in_their_time() {
        let seen: Vec<_> = preflight(2.0, &[step(5), step(20), step(50), step(100)], GOAL)
            .into_iter()
            .map(|estimate| (estimate.requests, estimate.time.map(|time| time.as_secs()), estimate.provable))
            .collect();
        let want = [(7240, false), (1810, false), (724, true), (362, true)];
        assert_eq!(seen, want.map(|(seconds, provable)| (Some(724), Some(seconds), provable)));
    }
}
