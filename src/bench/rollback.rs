//! The part `rollback`: the time from a bad answer of the metrics to the route with all traffic on stable.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    BenchError,
    calls::Call,
    numbers::{Summary, millis},
    objects::{Pair, Way},
    stage::{PATIENCE, Stage},
};
use crate::api::Phase;

/// The shortest time between looks that there is.
const POLL: Duration = Duration::from_secs(1);
/// Long enough to be in the first step whenever the metric turns bad.
const HOLD: Duration = Duration::from_mins(10);
/// Nothing is judged for so long after a step's weight was written: it settles (0.5 s), a look asks for what was there a
/// scrape ago (0.1 s), and at a whole second. The metrics here answer with what is now, so a flip before that would be answered
/// by a look that can't count.
const SETTLED: Duration = Duration::from_millis(1_700);

/// What was measured of so many failing at once. All in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// How many failed at once.
    pub at_once: usize,
    /// From the metric turning bad to the route on stable.
    pub flip_to_moved: Option<Summary>,
    /// Of that: until the next look asked.
    pub poll_wait: Option<Summary>,
    /// Of that: from the bad answer to the route on stable.
    pub answer_to_moved: Option<Summary>,
    /// Of that: from the bad answer until the write reached the API server; needs a record of calls.
    pub decision: Option<Summary>,
    /// Of that: from there until the watch showed it.
    pub write: Option<Summary>,
}

/// The moments of one rollback.
#[derive(Clone, Copy, Debug)]
struct Moments {
    flipped: Timestamp,
    answered: Timestamp,
    /// When the write reached the API server, where that is known.
    written: Option<Timestamp>,
    moved: Timestamp,
}

/// Measures so many rollbacks, so many at once.
pub async fn measure(stage: &Stage<'_>, at_once: usize, runs: usize) -> Result<Rollback, BenchError> {
    let way = Way { weights: vec![20, 50], hold: HOLD, interval: POLL, error_rate: false };
    let names: Vec<String> = (0..at_once).map(|number| format!("failing{at_once}-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        stage.roll(name, Pair::of(number), &way).await?;
    }
    let rounds = runs.div_ceil(at_once);
    let mut moments = Vec::new();
    for round in 0..rounds {
        stage.progress.step(&format!("rollbacks, {at_once} at once"), round * at_once, rounds * at_once);
        moments.extend(once(stage, &names, round).await?);
    }
    stage.progress.step(&format!("rollbacks, {at_once} at once"), rounds * at_once, rounds * at_once);
    Ok(summed(at_once, &moments))
}

async fn once(stage: &Stage<'_>, names: &[String], round: usize) -> Result<Vec<Moments>, BenchError> {
    let earlier = i64::try_from(round).unwrap_or(i64::MAX);
    let running = |seen: &super::eyes::Seen| names.iter().all(|name| seen.runs(name, earlier)).then_some(());
    stage.until("a step in effect", PATIENCE, running).await?;
    // Somewhere between two looks, as life has it.
    tokio::time::sleep(SETTLED + POLL.mul_f64(fastrand::f64())).await;
    let mark = stage.server.mark();
    stage.prometheus.flip(names);
    let moved = |seen: &super::eyes::Seen| {
        names.iter().map(|name| seen.routes.get(name)?.stable_since()).collect::<Option<Vec<Timestamp>>>()
    };
    let moved = stage.until("traffic on stable", PATIENCE, moved).await?;
    let failed =
        |seen: &super::eyes::Seen| names.iter().all(|name| seen.is(name, Phase::Failed)).then_some(());
    stage.until("a failed run", PATIENCE, failed).await?;
    let calls = stage.server.calls_since(mark, &stage.namespace)?;
    let moments = names.iter().zip(moved).filter_map(|(name, moved)| {
        let flip = stage.prometheus.flipped(name)?;
        let answered = flip.answered?;
        Some(Moments { flipped: flip.at, answered, written: written(&calls, name, answered), moved })
    });
    let moments = moments.collect();
    stage.prometheus.heal();
    for name in names {
        stage.retry(name).await?;
    }
    Ok(moments)
}

/// When the first write of a route after an answer reached the API server.
fn written(calls: &[Call], route: &str, answered: Timestamp) -> Option<Timestamp> {
    let is = |call: &&Call| call.at >= answered && call.patches_a_route() && call.name == route;
    calls.iter().find(is).map(|call| call.at)
}

fn summed(at_once: usize, moments: &[Moments]) -> Rollback {
    let between = |span: &dyn Fn(&Moments) -> Option<(Timestamp, Timestamp)>| {
        let spans = moments.iter().filter_map(|moments| {
            let (from, to) = span(moments)?;
            Some(millis(Duration::try_from(to.duration_since(from)).unwrap_or_default()))
        });
        Summary::of(&spans.collect::<Vec<_>>())
    };
    Rollback {
        at_once,
        flip_to_moved: between(&|m| Some((m.flipped, m.moved))),
        poll_wait: between(&|m| Some((m.flipped, m.answered))),
        answer_to_moved: between(&|m| Some((m.answered, m.moved))),
        decision: between(&|m| Some((m.answered, m.written?))),
        write: between(&|m| Some((m.written?, m.moved))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn a_rollback_is_split_at_its_moments() {
        let whole = Moments { flipped: at(0), answered: at(400), written: Some(at(405)), moved: at(412) };
        let unrecorded = Moments { written: None, ..whole };
        let rollback = summed(1, &[whole, unrecorded]);
        let max = |summary: Option<Summary>| summary.map(|summary| (summary.count, summary.max));
        assert_eq!(max(rollback.flip_to_moved), Some((2, 412.0)));
        assert_eq!(max(rollback.poll_wait), Some((2, 400.0)));
        assert_eq!(max(rollback.answer_to_moved), Some((2, 12.0)));
        assert_eq!(max(rollback.decision), Some((1, 5.0)));
        assert_eq!(max(rollback.write), Some((1, 7.0)));
    }

    #[test]
    fn only_the_first_write_of_that_route_after_the_answer_counts() {
        let call = |millis, verb: &str, resource: &str, name: &str| Call {
            at: at(millis),
            verb: verb.into(),
            resource: resource.into(),
            name: name.into(),
        };
        let calls = [
            call(1, "patch", "gatewayroutes", "r"),
            call(6, "update", "rollouts/status", "r"),
            call(7, "patch", "gatewayroutes", "other"),
            call(8, "patch", "gatewayroutes", "r"),
            call(9, "patch", "gatewayroutes", "r"),
        ];
        assert_eq!(written(&calls, "r", at(5)), Some(at(8)));
        assert_eq!(written(&calls, "r", at(10)), None);
    }
}
