//! The part `requests`: how many calls a whole run costs, a step of it, the time after it, and an abort.

use std::time::Duration;

use serde::Serialize;

use super::{
    BenchError,
    calls::{Call, Counted, split, step_starts},
    objects::{Pair, Way},
    stage::Stage,
};
use crate::api::Phase;

/// The weights of the five steps; 100 follows by itself.
const WEIGHTS: [i32; 4] = [5, 20, 40, 60];
/// Events and the like may come a little after what they tell of.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// After the time in which an abort may have its calls, none may come in so long.
const STILL: Duration = Duration::from_secs(10);

/// How long things last here.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The hold of each step.
    pub hold: Duration,
    /// The time between looks.
    pub interval: Duration,
    /// How long a finished Rollout is listened to.
    pub idle: Duration,
    /// How long an aborted one is.
    pub abort: Duration,
}

impl Times {
    /// The usual ones.
    pub const USUAL: Self = Self {
        hold: Duration::from_secs(20),
        interval: Duration::from_secs(5),
        idle: Duration::from_mins(2),
        abort: Duration::from_secs(30),
    };
    /// Too short for figures, long enough to see that it works.
    pub const BRIEF: Self = Self {
        hold: Duration::from_secs(1),
        interval: Duration::from_secs(1),
        idle: Duration::from_secs(2),
        abort: Duration::from_secs(2),
    };
}

/// What was counted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// A whole run of five steps with analysis, from the Rollout's creation until it is healthy.
    pub run: Counted,
    /// The same, split: before the first step, then a step each.
    pub steps: Vec<Counted>,
    /// The time after it.
    pub idle: Counted,
    /// How long that was, in seconds.
    pub idle_seconds: u64,
    /// The time after an abort.
    pub abort: Counted,
    /// How long that was, in seconds.
    pub abort_seconds: u64,
    /// The ten seconds after that.
    pub after_abort: Counted,
}

/// Counts; `None` where the API server keeps no record that could be read.
pub async fn measure(stage: &mut Stage<'_>, times: Times) -> Result<Option<Requests>, BenchError> {
    if !stage.server.records() {
        return Ok(None);
    }
    stage.start()?;
    stage.ready().await?;
    // What it asks once at its start is no part of a run.
    stage.quiet().await?;
    let (run, steps) = whole_run(stage, times).await?;

    let mark = stage.server.mark();
    stage.progress.wait("a finished Rollout is listened to", times.idle).await;
    let idle = counted(stage, mark)?;

    let (abort, after_abort) = aborted(stage, times).await?;
    Ok(Some(Requests {
        run,
        steps,
        idle: Counted::of(&idle),
        idle_seconds: times.idle.as_secs(),
        abort,
        abort_seconds: times.abort.as_secs(),
        after_abort,
    }))
}

async fn whole_run(stage: &Stage<'_>, times: Times) -> Result<(Counted, Vec<Counted>), BenchError> {
    const NAME: &str = "run";
    let way = Way { weights: WEIGHTS.to_vec(), hold: times.hold, interval: times.interval, error_rate: true };
    let steps = WEIGHTS.len() + 1;
    let limit = times.hold * 20 + Duration::from_mins(1);
    let mark = stage.server.mark();
    stage.roll(NAME, Pair::of(0), &way).await?;
    for step in 1..=steps {
        stage.progress.step("a run steps", step - 1, steps);
        let reached = |step: usize| {
            let weight = i64::from(WEIGHTS.get(step - 1).copied().unwrap_or(100));
            move |seen: &super::eyes::Seen| (seen.share(NAME) >= weight).then_some(())
        };
        stage.until("the next step", limit, reached(step)).await?;
    }
    stage.until("a promotion", limit, |seen| seen.is(NAME, Phase::Healthy).then_some(())).await?;
    stage.progress.step("a run steps", steps, steps);
    tokio::time::sleep(AFTERWARDS).await;
    let calls = counted(stage, mark)?;
    let shown = stage.eyes.look(|seen| {
        let shares = seen.routes.get(NAME).map(|route| route.shares.clone()).unwrap_or_default();
        shares.into_iter().filter(|(_, share)| *share > 0).map(|(at, _)| at).collect::<Vec<_>>()
    });
    Ok((Counted::of(&calls), split(&calls, &step_starts(&calls, &shown))))
}

async fn aborted(stage: &Stage<'_>, times: Times) -> Result<(Counted, Counted), BenchError> {
    const NAME: &str = "aborted";
    let hold = Duration::from_mins(10);
    let way = Way { weights: WEIGHTS.to_vec(), hold, interval: times.interval, error_rate: true };
    let limit = Duration::from_mins(1);
    stage.roll(NAME, Pair::of(1), &way).await?;
    let judged = |seen: &super::eyes::Seen| {
        seen.runs(NAME, 0) && seen.rollouts.get(NAME).is_some_and(|shown| shown.judged)
    };
    stage.until("a judged step", limit, |seen| judged(seen).then_some(())).await?;
    tokio::time::sleep(AFTERWARDS).await;
    let mark = stage.server.mark();
    stage.abort(NAME).await?;
    stage.until("the end of the run", limit, |seen| seen.is(NAME, Phase::Failed).then_some(())).await?;
    stage.progress.wait("an aborted Rollout is listened to", times.abort).await;
    let abort = counted(stage, mark)?;
    let mark = stage.server.mark();
    tokio::time::sleep(STILL.min(times.abort)).await;
    Ok((Counted::of(&abort), Counted::of(&counted(stage, mark)?)))
}

fn counted(stage: &Stage<'_>, mark: super::server::Mark) -> Result<Vec<Call>, BenchError> {
    stage.server.calls_since(mark, &stage.namespace)
}
