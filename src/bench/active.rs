//! The part `active`: many runs at once. What they cost, whether one that fails among them waits for the others, and how
//! soon a controller that is started among them has all of them under control.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::{
    BenchError,
    idle::{Cost, cost},
    numbers::millis,
    objects::{Pair, Way},
    rollback::{self, Rollback},
    stage::Stage,
};

/// Objects made at once.
const AT_ONCE: usize = 16;
/// How long the beginning of all runs may take.
const BEGINNING: Duration = Duration::from_mins(5);
/// Rollbacks among them.
const ROLLBACKS: usize = 10;

/// What was measured of so many runs at once.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Active {
    /// How many.
    pub rollouts: usize,
    /// The hold of each step, in seconds.
    pub hold: u64,
    /// What the process costs.
    pub cost: Cost,
    /// Rollbacks of one more among them.
    pub rollback: Rollback,
    /// From the start of another controller until each had a new epoch that all routes bear, in milliseconds.
    pub under_control: f64,
}

/// Measures so many runs.
pub async fn measure(
    stage: &mut Stage<'_>,
    rollouts: usize,
    hold: Duration,
    time: Duration,
) -> Result<Active, BenchError> {
    stage.start()?;
    stage.ready().await?;
    begin(stage, rollouts, hold).await?;
    stage.progress.say(&format!("{rollouts} active Rollouts are measured for {} s", time.as_secs()));
    let cost = cost(stage, time).await?;
    let rollback = rollback::measure(stage, 1, ROLLBACKS).await?;
    let under_control = take_over(stage).await?;
    stage.kill();
    Ok(Active { rollouts, hold: hold.as_secs(), cost, rollback, under_control })
}

/// Begins all runs; they step through twenty weights.
async fn begin(stage: &Stage<'_>, rollouts: usize, hold: Duration) -> Result<(), BenchError> {
    let weights = (1..20).map(|step| step * 5).collect();
    let way = Way { weights, hold, interval: Duration::from_secs(10), error_rate: true };
    let names: Vec<String> = (0..rollouts).map(|number| format!("active-{number:06}")).collect();
    let made =
        stream::iter(names.iter().enumerate()).map(|(number, name)| stage.roll(name, Pair::of(number), &way));
    let mut made = made.buffer_unordered(AT_ONCE);
    let mut count = 0_usize;
    while let Some(()) = made.try_next().await? {
        count += 1;
        if count.is_multiple_of(100) {
            stage.progress.step("runs are begun", count, rollouts);
        }
    }
    let begun = |seen: &super::eyes::Seen| names.iter().all(|name| seen.share(name) > 0).then_some(());
    stage.until("a first step of every run", BEGINNING, begun).await
}

/// Kills the controller, starts another, and waits until it has taken every run over.
async fn take_over(stage: &mut Stage<'_>) -> Result<f64, BenchError> {
    stage.progress.say("another controller takes them over");
    stage.lose();
    let before: HashMap<String, i64> = stage.eyes.look(|seen| {
        let active = seen.rollouts.iter().filter(|(name, _)| seen.share(name) > 0 && seen.runs(name, 0));
        active.map(|(name, shown)| (name.clone(), shown.epoch)).collect()
    });
    let started = stage.start()?;
    let controlled = |seen: &super::eyes::Seen| {
        let taken = |(name, epoch): (&String, &i64)| {
            let status = seen.rollouts.get(name).map_or(0, |shown| shown.epoch);
            let route = seen.routes.get(name).map_or(0, |route| route.epoch);
            status > *epoch && route >= status
        };
        before.iter().all(taken).then_some(())
    };
    stage.until("every run under control", BEGINNING, controlled).await?;
    let took = stage.server.clock.now().duration_since(started);
    Ok(millis(Duration::try_from(took).unwrap_or_default()))
}
