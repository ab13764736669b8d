//! The burst factor, learnt from how stable's errors fall on its pods.
//!
//! Independent errors spread over pods like their requests. Errors that come together (a pod's bad second, a
//! retried call) pile up on some, and then each is weaker evidence: the evidence is divided by the factor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exact;

/// Looks at which the default factor of 2 and what was learnt have equal say, in degrees of freedom.
const PRIOR_DEGREES: f64 = 20.0;
/// The default factor.
const PRIOR_BURST: f64 = 2.0;

/// Errors and requests of one stable pod in one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PodCounts {
    /// Requests that failed.
    pub errors: f64,
    /// All requests.
    pub requests: f64,
}

/// Pearson's χ² of errors over pods, summed over looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dispersion {
    /// Σ (errors − expected)²/expected over pods with requests.
    #[serde(with = "exact")]
    #[schemars(with = "exact::Decimal")]
    pub chi2: f64,
    /// Σ (pods with requests − 1).
    pub df: i32,
}

impl Dispersion {
    /// Takes in one look. Looks without errors, or with fewer than two pods that had requests, tell nothing.
    pub fn observe(&mut self, pods: &[PodCounts]) {
        let live = || pods.iter().filter(|pod| pod.requests > 0.0);
        let errors: f64 = pods.iter().map(|pod| pod.errors).sum();
        let requests: f64 = pods.iter().map(|pod| pod.requests).sum();
        let others = i32::try_from(live().count()).unwrap_or(i32::MAX).saturating_sub(1);
        if others < 1 || errors.is_nan() || errors <= 0.0 {
            return;
        }
        self.chi2 += live()
            .map(|pod| {
                let expected = errors * pod.requests / requests;
                (pod.errors - expected).powi(2) / expected
            })
            .sum::<f64>();
        self.df = self.df.saturating_add(others);
    }

    /// The burst factor, at least 1. It starts at 2 and moves to what was seen as looks accumulate.
    pub fn burst(&self) -> f64 {
        let learnt = (self.chi2 + PRIOR_BURST * PRIOR_DEGREES) / (f64::from(self.df) + PRIOR_DEGREES);
        learnt.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_tell_nothing_leave_the_default() {
        let pod = |errors, requests| PodCounts { errors, requests };
        let mut seen = Dispersion::default();
        for look in
            [vec![], vec![pod(3.0, 10.0)], vec![pod(3.0, 10.0), pod(0.0, 0.0)], vec![pod(0.0, 9.0); 4]]
        {
            seen.observe(&look);
        }
        assert_eq!(seen, Dispersion::default());
        assert!((seen.burst() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn even_errors_bring_the_factor_down_to_one() {
        let mut seen = Dispersion::default();
        for _ in 0..100 {
            seen.observe(&[PodCounts { errors: 2.0, requests: 50.0 }; 4]);
        }
        assert!((seen.burst() - 1.0).abs() < 1e-12);
    }
}
