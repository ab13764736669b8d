//! Plain metrics: a number with bounds, judged without statistics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{exact, verdict::Verdict};

/// Bounds of a plain metric, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bounds {
    /// The least good value; none: no lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exact::option")]
    #[schemars(with = "Option<exact::Decimal>")]
    pub min: Option<f64>,
    /// The greatest good value; none: no upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exact::option")]
    #[schemars(with = "Option<exact::Decimal>")]
    pub max: Option<f64>,
    /// Bad looks in a row that make a Fail; at least 1, the default.
    pub failures: i32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { min: None, max: None, failures: 1 }
    }
}

impl Bounds {
    /// Whether `value` is within the bounds.
    pub fn allow(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// A value that says nothing: NaN or infinite. The look is an error and counts neither way.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("cannot judge {value}: the value of a metric must be a finite number")]
pub struct NotFinite {
    /// The value that was given.
    pub value: f64,
}

/// What a plain metric has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThresholdState {
    /// Bad looks in a row, up to the latest.
    pub bad: i32,
    /// The latest value; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exact::option")]
    #[schemars(with = "Option<exact::Decimal>")]
    pub last: Option<f64>,
}

impl ThresholdState {
    /// Takes in the value of one look and says what the metric says now.
    pub fn update(&mut self, value: f64, bounds: &Bounds) -> Result<Verdict, NotFinite> {
        if !value.is_finite() {
            return Err(NotFinite { value });
        }
        self.bad = if bounds.allow(value) { 0 } else { self.bad.saturating_add(1) };
        self.last = Some(value);
        Ok(self.verdict(bounds))
    }

    /// Pass after a good value, Fail after enough bad ones in a row, Collecting in between and before the first.
    pub fn verdict(&self, bounds: &Bounds) -> Verdict {
        if self.last.is_none() {
            Verdict::Collecting
        } else if self.bad == 0 {
            Verdict::Pass
        } else if self.bad >= bounds.failures.max(1) {
            Verdict::Fail
        } else {
            Verdict::Collecting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Bounds = Bounds { min: Some(1.0), max: Some(500.0), failures: 3 };

    #[test]
    fn values_that_say_nothing_count_neither_way() {
        let mut state = ThresholdState { bad: 2, last: Some(612.0) };
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = state.update(value, &THREE).expect_err("not finite");
            assert!(error.to_string().starts_with("cannot judge"), "{error}");
        }
        assert_eq!(state, ThresholdState { bad: 2, last: Some(612.0) });
    }

    #[test]
    fn only_bad_looks_in_a_row_fail() {
        use Verdict::{Collecting, Fail, Pass};
        let mut state = ThresholdState::default();
        assert_eq!(state.verdict(&THREE), Collecting);
        let looks = [
            (501.0, Collecting),
            (0.9, Collecting),
            (500.0, Pass),
            (612.0, Collecting),
            (612.0, Collecting),
            (612.0, Fail),
            (612.0, Fail),
            (1.0, Pass),
        ];
        for (value, want) in looks {
            assert_eq!(state.update(value, &THREE), Ok(want), "{value}");
        }
    }

    #[test]
    fn by_default_the_first_bad_look_fails() {
        let bounds = Bounds { max: Some(0.0), ..Bounds::default() };
        assert_eq!(ThresholdState::default().update(0.1, &bounds), Ok(Verdict::Fail));
        assert_eq!(ThresholdState::default().update(-9.0, &bounds), Ok(Verdict::Pass));
    }

    #[test]
    fn survives_storage() {
        for state in [ThresholdState::default(), ThresholdState { bad: 1, last: Some(0.1 + 0.2) }] {
            let stored = serde_json::to_string(&state).expect("plain data");
            assert!(!stored.contains("null"), "{stored}");
            assert_eq!(serde_json::from_str::<ThresholdState>(&stored).expect("as written"), state);
        }
    }
}
