//! The part `endurance`: many Rollouts in a loop of releases for an hour. Whether memory grows, or the calls.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde::Serialize;
use serde_json::json;

use super::{
    BenchError,
    calls::{Call, Counted},
    eyes::Seen,
    numbers::slope,
    objects::{Pair, Way},
    process::Usage,
    receiver::Receiver,
    stage::Stage,
};
use crate::api::{Phase, Rollout};

/// The weights of a release; 100 follows by itself.
const WEIGHTS: [i32; 2] = [20, 50];
/// Objects made, and releases begun, at once.
const AT_ONCE: usize = 8;
/// How often finished ones are released anew.
const ROUND: Duration = Duration::from_secs(2);

/// How long it lasts, and how busy it is.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// All of it, warm-up included.
    pub whole: Duration,
    /// The hold of each step.
    pub hold: Duration,
    /// The time between looks.
    pub interval: Duration,
    /// How often it is measured.
    pub sample: Duration,
}

impl Times {
    /// The first release of each begins somewhere in this time, so that releases are spread evenly; then all of them have
    /// ended one, and what is measured from then on is the loop.
    fn warm_up(&self) -> Duration {
        self.hold * 4
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endurance {
    /// How many Rollouts.
    pub rollouts: usize,
    /// The hold of each step, in seconds.
    pub hold: u64,
    /// How long it lasted without the warm-up, in minutes.
    pub minutes: f64,
    /// All samples, those of the warm-up included.
    pub samples: Vec<Sample>,
    /// Where the warm-up ended, in minutes.
    pub warm: f64,
    /// Releases that came to their end after the warm-up.
    pub promoted: usize,
    /// Runs that ended otherwise; nothing is wrong with any of the versions.
    pub failed: usize,
    /// Notices that the receiver took, where there is one.
    pub notices: Option<usize>,
    /// How much memory grew by least squares, in MB an hour.
    pub growth: Option<f64>,
    /// How much the calls a minute grew by least squares, in percent of their mean an hour; needs a record of calls.
    pub calls_growth: Option<f64>,
}

/// What was measured at one time.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Minutes since the beginning.
    pub minute: f64,
    /// Memory in RAM, files included, in MB.
    pub rss: f64,
    /// Memory that belongs to no file, in MB.
    pub anonymous: f64,
    /// Processors kept busy since the sample before.
    pub cores: f64,
    /// Calls a minute since the sample before, where they are recorded; lists, watches and the Lease aside.
    pub calls: Option<f64>,
}

/// Measures so many Rollouts for so long.
pub async fn measure(stage: &mut Stage<'_>, rollouts: usize, times: Times) -> Result<Endurance, BenchError> {
    stage.start()?;
    stage.ready().await?;
    let stage = &*stage;
    let mut releases =
        Releases { stage, times, next: 0, rollouts, given: HashMap::new(), tally: Tally::default() };
    let began = stage.server.clock.now();
    let minute = |at: Timestamp| at.duration_since(began).as_secs_f64() / 60.0;
    let (warm, whole) = (times.warm_up().as_secs_f64() / 60.0, times.whole.as_secs_f64() / 60.0);
    let mut before = Tally::default();
    let mut samples = Vec::new();
    let mut last = Measured { at: began, mark: stage.server.mark(), usage: stage.usage()? };
    loop {
        let now = stage.server.clock.now();
        releases.round(now.duration_since(began).as_secs_f64() / times.warm_up().as_secs_f64()).await?;
        if Duration::try_from(now.duration_since(last.at)).unwrap_or_default() >= times.sample {
            samples.push(last.sample(stage, minute)?);
            if minute(now) <= warm {
                before = releases.tally;
            }
            let shown = |minutes: f64| minutes as usize;
            stage.progress.step("minutes", shown(minute(now)), shown(whole) + 1);
        }
        if minute(now) >= whole {
            break;
        }
        tokio::time::sleep(ROUND).await;
    }
    let tally = releases.tally;
    let steady: Vec<&Sample> = samples.iter().filter(|sample| sample.minute > warm).collect();
    let points = |of: fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
        steady.iter().filter_map(|sample| Some((sample.minute / 60.0, of(sample)?))).collect()
    };
    let calls = points(|sample| sample.calls);
    let mean = calls.iter().map(|(_, calls)| calls).sum::<f64>() / calls.len() as f64;
    Ok(Endurance {
        rollouts,
        hold: times.hold.as_secs(),
        minutes: whole - warm,
        warm,
        promoted: tally.promoted - before.promoted,
        failed: tally.failed,
        notices: stage.receiver.as_ref().map(Receiver::taken),
        growth: slope(&points(|sample| Some(sample.rss))),
        calls_growth: slope(&calls).map(|growth| growth / mean * 100.0),
        samples,
    })
}

/// What stood when it was last measured.
struct Measured {
    at: Timestamp,
    mark: super::server::Mark,
    usage: Usage,
}

impl Measured {
    /// Measures what was since then; from now on, since now.
    fn sample(&mut self, stage: &Stage<'_>, minute: impl Fn(Timestamp) -> f64) -> Result<Sample, BenchError> {
        let now = Self { at: stage.server.clock.now(), mark: stage.server.mark(), usage: stage.usage()? };
        let took = now.at.duration_since(self.at).as_secs_f64();
        let calls = if stage.server.records() {
            let made: Vec<Call> = stage.server.calls_since(self.mark, &stage.namespace)?;
            // What has come in since `now` is the next sample's.
            let made = made.iter().filter(|call| call.at < now.at);
            Some(Counted::of(made).calls as f64 / took * 60.0)
        } else {
            None
        };
        let megabytes = |kib: u64| kib as f64 * 1024.0 / 1e6;
        let sample = Sample {
            minute: minute(now.at),
            rss: megabytes(now.usage.rss),
            anonymous: megabytes(now.usage.anonymous),
            cores: now.usage.cpu.saturating_sub(self.usage.cpu).as_secs_f64() / took,
            calls,
        };
        *self = now;
        Ok(sample)
    }
}

/// How runs have ended.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    promoted: usize,
    failed: usize,
}

/// The people who release.
struct Releases<'a> {
    stage: &'a Stage<'a>,
    times: Times,
    /// The first Rollout that is not made yet.
    next: usize,
    rollouts: usize,
    /// The run that was last seen at its end, and the version that was wanted last, `1` or `2`, by Rollout.
    given: HashMap<String, (i64, u8)>,
    tally: Tally,
}

impl Releases<'_> {
    /// Makes Rollouts, so many of them as `warmed` is a part of the warm-up, and releases anew what has ended.
    async fn round(&mut self, warmed: f64) -> Result<(), BenchError> {
        let due = ((self.rollouts as f64 * warmed).ceil().max(0.0) as usize).min(self.rollouts);
        let Times { hold, interval, .. } = self.times;
        let way = Way { weights: WEIGHTS.to_vec(), hold, interval, error_rate: true };
        let (stage, way) = (self.stage, &way);
        let made = stream::iter(self.next..due).map(|number| async move {
            let name = name_of(number);
            stage.roll(&name, Pair::of(number), way).await.map(|()| name)
        });
        let made: Vec<String> = made.buffer_unordered(AT_ONCE).try_collect().await?;
        self.given.extend(made.into_iter().map(|name| (name, (0, 2))));
        self.next = self.next.max(due);

        let ended = stage.eyes.look(|seen| ended(seen, &self.given));
        let anew = stream::iter(ended).map(|(name, run, version, phase)| async move {
            let number = name.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
            match phase {
                Phase::Failed => stage.retry(&name).await?,
                _ => release(stage, &name, Pair::of(number), version).await?,
            }
            Ok::<_, BenchError>((name, run, version, phase))
        });
        let anew: Vec<(String, i64, u8, Phase)> = anew.buffer_unordered(AT_ONCE).try_collect().await?;
        for (name, run, version, phase) in anew {
            match phase {
                Phase::Failed => self.tally.failed += 1,
                _ => self.tally.promoted += 1,
            }
            self.given.insert(name, (run, version));
        }
        Ok(())
    }
}

fn name_of(number: usize) -> String {
    format!("enduring-{number:06}")
}

/// Which have ended a run that nobody has answered yet, and the version to be wanted next.
fn ended(seen: &Seen, given: &HashMap<String, (i64, u8)>) -> Vec<(String, i64, u8, Phase)> {
    let ended = |(name, (run, version)): (&String, &(i64, u8))| {
        let shown = seen.rollouts.get(name)?;
        let next = match shown.phase? {
            Phase::Healthy => 3 - version,
            Phase::Failed => *version,
            _ => return None,
        };
        (shown.run > *run).then(|| Some((name.clone(), shown.run, next, shown.phase?)))?
    };
    given.iter().filter_map(ended).collect()
}

/// A commit that wants the other version.
async fn release(stage: &Stage<'_>, name: &str, pair: Pair, version: u8) -> Result<(), BenchError> {
    let api: Api<Rollout> = stage.api();
    let patch = Patch::Merge(json!({"spec": {"target": super::objects::target(&pair.version(version))}}));
    let patched = api.patch(name, &PatchParams::default(), &patch).await;
    patched.map(drop).map_err(BenchError::api(format!("release with the Rollout {name}")))
}

#[cfg(test)]
mod tests {
    use super::{super::eyes::RolloutShown, *};

    #[test]
    fn who_has_ended_a_run_is_released_anew_once() {
        let shown = |run, phase| RolloutShown { run, phase: Some(phase), ..RolloutShown::default() };
        let mut seen = Seen::default();
        let all = [
            ("fresh", shown(0, Phase::Healthy)),
            ("running", shown(3, Phase::Progressing)),
            ("promoted", shown(3, Phase::Healthy)),
            ("failed", shown(3, Phase::Failed)),
            ("answered", shown(3, Phase::Healthy)),
        ];
        seen.rollouts.extend(all.map(|(name, shown)| (name.to_owned(), shown)));
        let given =
            [("fresh", 0), ("running", 2), ("promoted", 2), ("failed", 2), ("answered", 3), ("unseen", 0)];
        let given = given.map(|(name, run)| (name.to_owned(), (run, 2))).into();
        let mut ended = ended(&seen, &given);
        ended.sort_by_key(|(name, ..)| name.clone());
        assert_eq!(
            ended,
            [("failed".into(), 3, 2, Phase::Failed), ("promoted".into(), 3, 1, Phase::Healthy)]
        );
    }
}
