//! Stable as the measure: what it did before, and whether it is itself sick now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    batch::{Arm, Batch, BatchError},
    exact,
    level::{HARM_GRID, Level, log_mean},
    sequential::bet_on_harm,
};

/// Requests of stable below which its past says too little to judge a canary that has all traffic.
pub const MIN_REQUESTS: f64 = 400.0;

/// The tolerated level and the level to catch, both shares by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Levels {
    /// The level that is not punished.
    pub tolerate: Level,
    /// The level that must not pass unnoticed, one point above.
    pub catch: Level,
}

impl Levels {
    const fn one_point_above(share: f64) -> Self {
        Self { tolerate: Level::share(share), catch: Level::share(share + 0.01) }
    }

    /// The levels of an explicit `max` share.
    pub const fn at_most(max: f64) -> Self {
        Self::one_point_above(max)
    }

    /// The levels at weight 100, where no stable is left to compare with in the same minutes, from what `stable`
    /// had in the hour before the switch. One error is added, since a clean hour does not prove a share of zero.
    /// `None` when it had fewer than 400 requests: not applicable.
    pub fn after_switch(stable: Arm) -> Option<Self> {
        (stable.requests >= MIN_REQUESTS)
            .then(|| Self::one_point_above(2.0 * (stable.errors + 1.0) / stable.requests + 0.005))
    }
}

/// Stable's share of errors above which it counts as sick, from what it had in the 15 minutes `before`: three
/// times that, and never under 1 %. Without requests before, everything is allowed.
pub fn sick_limit(before: Arm) -> f64 {
    if before.requests > 0.0 { (3.0 * (before.errors + 1.0) / before.requests).clamp(0.01, 1.0) } else { 1.0 }
}

/// Odds at which stable counts as sick: 100 to 1.
const SICK_ODDS: f64 = 100.0;
/// Looks within the limit, in a row, after which it counts as well again.
const CALM_LOOKS: i32 = 5;

/// Watches stable for being sick itself: a one-sample test of its own errors against a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StableWatch {
    /// ln fortune of each bet that stable is above the limit; −∞ until capital came.
    #[serde(with = "exact::list")]
    #[schemars(with = "[exact::Decimal; 6]")]
    harm: [f64; HARM_GRID.len()],
    /// Looks with traffic since the watch began, or since stable was last found well again.
    looks: i32,
    /// Looks within the limit in a row while sick; none while stable is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calm: Option<i32>,
}

impl Default for StableWatch {
    fn default() -> Self {
        Self { harm: [f64::NEG_INFINITY; HARM_GRID.len()], looks: 0, calm: None }
    }
}

impl StableWatch {
    /// Takes in stable's counts of one look. `limit` is [`sick_limit`], `planned_polls` and `burst` are those of
    /// the metric. A look without traffic changes nothing.
    pub fn update(
        &mut self,
        stable: Arm,
        limit: f64,
        planned_polls: i32,
        burst: f64,
    ) -> Result<(), BatchError> {
        let batch = Batch::one_sample(stable.errors, stable.requests)?;
        let Some(share) = batch.canary().share() else {
            return Ok(());
        };
        match self.calm {
            None => self.bet(batch, limit, planned_polls, burst),
            Some(_) if share > limit => self.calm = Some(0),
            Some(calm) if calm + 1 < CALM_LOOKS => self.calm = Some(calm + 1),
            // Well again: a later sickness is a new question, asked with new capital.
            Some(_) => *self = Self::default(),
        }
        Ok(())
    }

    fn bet(&mut self, batch: Batch, limit: f64, planned_polls: i32, burst: f64) {
        self.looks = self.looks.saturating_add(1);
        let planned = planned_polls.max(1);
        let capital = if self.looks <= planned { 1.0 / f64::from(planned) } else { 0.0 };
        bet_on_harm(&mut self.harm, capital, batch, Level::share(limit), burst);
        if log_mean(self.harm) >= SICK_ODDS.ln() {
            self.calm = Some(0);
        }
    }

    /// Whether stable is sick, so that a step must hold.
    pub const fn is_sick(&self) -> bool {
        self.calm.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(errors: f64, requests: f64) -> Arm {
        Arm { errors, requests }
    }

    #[test]
    fn too_little_past_is_not_applicable() {
        assert_eq!(Levels::after_switch(arm(0.0, 399.0)), None);
        assert_eq!(Levels::after_switch(Arm::default()), None);
    }

    #[test]
    fn levels_after_the_switch_stand_above_the_past() {
        let levels = Levels::after_switch(arm(3.0, 4000.0)).expect("enough requests");
        assert!((levels.tolerate.absolute - 0.007).abs() < 1e-12);
        assert!((levels.catch.absolute - 0.017).abs() < 1e-12);
        assert!(levels.tolerate.ratio.abs() < f64::EPSILON && levels.catch.ratio.abs() < f64::EPSILON);
    }

    #[test]
    fn limit_of_sickness() {
        for (before, want) in
            [(arm(0.0, 0.0), 1.0), (arm(9.0, 9.0), 1.0), (arm(0.0, 9e5), 0.01), (arm(19.0, 1e3), 0.06)]
        {
            assert!((sick_limit(before) - want).abs() < 1e-12, "{before:?}");
        }
    }

    #[test]
    fn sickness_is_noticed_and_ends_after_five_calm_looks() {
        let mut watch = StableWatch::default();
        let mut look = |errors, requests| {
            watch.update(arm(errors, requests), 0.01, 30, 2.0).expect("possible counts");
            watch.is_sick()
        };
        assert!(!look(0.0, 0.0));
        assert!(!(0..30).any(|_| look(5.0, 1000.0)));
        assert!((0..5).any(|_| look(50.0, 1000.0)));
        assert!((0..4).all(|_| look(5.0, 1000.0)));
        assert!(look(50.0, 1000.0));
        assert!((0..4).all(|_| look(5.0, 1000.0)));
        assert!(look(0.0, 0.0), "no traffic is not a calm look");
        assert!(!look(5.0, 1000.0));
        assert!((0..5).any(|_| look(50.0, 1000.0)), "a second sickness is noticed as well");
    }

    #[test]
    fn impossible_counts_leave_the_watch_as_it_was() {
        let mut watch = StableWatch::default();
        assert!(watch.update(arm(2.0, 1.0), 0.01, 30, 2.0).is_err());
        assert_eq!(watch, StableWatch::default());
    }
}
