//! The rules that others judge a canary by, beside ours: what they see is the same.

use crate::analysis::Batch;

/// A rule that ends a run at some look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rival {
    /// So many looks in a row with a share above a limit, as a failure count over a query is.
    Threshold {
        /// The greatest share that passes.
        limit: f64,
        /// Looks in a row.
        in_a_row: u32,
    },
    /// A two-sample z-test at 1 %, one-sided, on all counts of the step so far, looked at each time.
    ZTest,
}

/// What most people set up: a query over 5 %, three times in a row.
pub const FIXED: Rival = Rival::Threshold { limit: 0.05, in_a_row: 3 };

/// The 99th percentile of the standard normal distribution.
const Z: f64 = 2.326;
/// Fewer canary requests than this no such test is made on.
const ENOUGH: f64 = 30.0;

/// What a rule remembers of a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    bad: u32,
    seen: Batch,
    step: i32,
}

impl Rival {
    /// What it is called in tables.
    pub fn name(self) -> String {
        match self {
            Self::Threshold { limit, in_a_row } => format!("over {}% {in_a_row} times", limit * 100.0),
            Self::ZTest => "z-test at each look".to_owned(),
        }
    }

    /// Takes in a look; whether the run is ended by it.
    pub fn ends(self, memory: &mut Memory, step: i32, look: Batch) -> bool {
        if memory.step != step {
            *memory = Memory { step, bad: memory.bad, ..Memory::default() };
        }
        match self {
            Self::Threshold { limit, in_a_row } => {
                match look.canary().share() {
                    Some(share) if share > limit => memory.bad += 1,
                    Some(_) => memory.bad = 0,
                    None => {}
                }
                memory.bad >= in_a_row
            }
            Self::ZTest => {
                memory.seen = memory.seen.plus(look);
                is_significant(memory.seen)
            }
        }
    }
}

fn is_significant(seen: Batch) -> bool {
    let (canary, stable) = (seen.canary(), seen.stable());
    let (x, m, y, n) = (canary.errors, canary.requests, stable.errors, stable.requests);
    if m < ENOUGH || n < ENOUGH {
        return false;
    }
    let pooled = (x + y) / (m + n);
    let spread = (pooled * (1.0 - pooled) * (1.0 / m + 1.0 / n)).sqrt();
    spread > 0.0 && (x / m - y / n) / spread > Z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_counts_in_a_row_and_no_traffic_is_no_look() {
        let rule = Rival::Threshold { limit: 0.05, in_a_row: 2 };
        let look = |x, m| Batch::new(x, m, 0.0, 10.0).unwrap();
        let mut memory = Memory::default();
        let ends: Vec<bool> = [(1.0, 10.0), (0.0, 10.0), (1.0, 10.0), (0.0, 0.0), (1.0, 10.0)]
            .into_iter()
            .map(|(x, m)| rule.ends(&mut memory, 1, look(x, m)))
            .collect();
        assert_eq!(ends, [false, false, false, false, true]);
    }

    #[test]
    fn a_z_test_sees_what_is_far_off() {
        assert!(is_significant(Batch::new(10.0, 100.0, 1.0, 100.0).unwrap()));
        assert!(!is_significant(Batch::new(2.0, 100.0, 1.0, 100.0).unwrap()));
        assert!(!is_significant(Batch::new(0.0, 100.0, 0.0, 100.0).unwrap()));
    }
}
