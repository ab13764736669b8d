//! The part `endurance`: many Rollouts in a loop of releases for an hour. Whether memory grows, or the calls.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    BenchError,
    calls::Counted,
    eyes::Seen,
    idle,
    numbers::slope,
    objects::{Pair, Way},
    process::Usage,
    receiver::Receiver,
    server::Mark,
    stage::Stage,
};
use crate::api::Phase;

/// The weights of a release; 100 follows by itself.
const WEIGHTS: [i32; 2] = [20, 50];
/// Releases begun at once.
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
    /// The usual ones. `None` where they leave nothing to be measured after the warm-up.
    pub fn usual(minutes: u64, hold: Duration) -> Option<Self> {
        let interval = Duration::from_secs(30).min(hold);
        let times =
            Self { whole: Duration::from_mins(minutes), hold, interval, sample: Duration::from_secs(30) };
        (times.whole > times.warm_up() + times.sample * 4).then_some(times)
    }

    /// Too short for figures, long enough to see that it works.
    pub const BRIEF: Self = Self {
        whole: Duration::from_secs(40),
        hold: Duration::from_secs(1),
        interval: Duration::from_secs(1),
        sample: Duration::from_secs(2),
    };

    /// How long a release takes: three steps, the last look of each included.
    fn cycle(&self) -> Duration {
        (self.hold + self.interval) * 3
    }

    /// In the first quarter of it the first release of each begins, so that they are spread evenly. In the others each goes through
    /// three more: so long it takes until as many have been decided on at one moment as ever are, and the allocator has
    /// what that needs. What is measured from then on is the loop.
    pub fn warm_up(&self) -> Duration {
        self.cycle() * 4
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endurance {
    /// How many Rollouts, each of which remembers as many former runs as there can be.
    pub rollouts: usize,
    /// The hold of each step, in seconds.
    pub hold: u64,
    /// Where the warm-up ended, in minutes.
    pub warm: f64,
    /// All samples, those of the warm-up included.
    pub samples: Vec<Sample>,
    /// How runs ended.
    #[serde(flatten)]
    pub tally: Tally,
    /// Rollouts that waited for somebody at the end.
    pub standing: usize,
    /// Notices that the receiver took, where there is one.
    pub notices: Option<usize>,
}

/// How runs have ended, since the warm-up, and what people were refused.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Releases that came to their end.
    pub promoted: usize,
    /// Runs that failed; nothing is wrong with any of the versions.
    pub failed: usize,
    /// Releases that the API server did not take; they were tried again.
    pub refused: usize,
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

impl Endurance {
    /// Nothing measured yet.
    pub fn new(rollouts: usize, times: Times) -> Self {
        Self {
            rollouts,
            hold: times.hold.as_secs(),
            warm: times.warm_up().as_secs_f64() / 60.0,
            samples: Vec::new(),
            tally: Tally::default(),
            standing: 0,
            notices: None,
        }
    }

    /// The samples after the warm-up.
    pub fn steady(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.minute > self.warm)
    }

    /// How many minutes they cover.
    pub fn minutes(&self) -> f64 {
        self.steady().last().map_or(0.0, |last| last.minute - self.warm)
    }

    /// How much memory grew by least squares, in MB an hour.
    pub fn growth(&self) -> Option<f64> {
        slope(&self.steady().map(|sample| (sample.minute / 60.0, sample.rss)).collect::<Vec<_>>())
    }

    /// How much the calls a minute grew by least squares, in percent of their mean an hour.
    pub fn calls_growth(&self) -> Option<f64> {
        let calls: Vec<(f64, f64)> =
            self.steady().filter_map(|sample| Some((sample.minute / 60.0, sample.calls?))).collect();
        let mean = calls.iter().map(|(_, calls)| calls).sum::<f64>() / calls.len().max(1) as f64;
        slope(&calls).filter(|_| mean > 0.0).map(|growth| growth / mean * 100.0)
    }
}

/// Measures so many Rollouts for so long. What has been found stands in `found` however it ends.
pub async fn measure(stage: &mut Stage<'_>, times: Times, found: &mut Endurance) -> Result<(), BenchError> {
    let quick = Way { hold: Duration::from_secs(1), interval: Duration::from_secs(1), ..way(times) };
    // After three runs what is remembered of one is as much as it ever is: stable came by a run itself.
    let mut templates = idle::templates(stage, &quick, 3).await?;
    templates.remember_all_they_can();
    templates.go_on_with(stage.server.routes, &way(times))?;
    idle::make(stage, &templates, 0, found.rollouts).await?;
    stage.start()?;
    stage.ready().await?;
    stage.progress.say(&format!("{} Rollouts are released, over and over", found.rollouts));
    let outcome = released(stage, times, found).await;
    found.notices = stage.receiver.as_ref().map(Receiver::taken);
    found.standing =
        stage.eyes.look(|seen| seen.rollouts.values().filter(|shown| waits(shown.phase)).count());
    outcome
}

fn way(times: Times) -> Way {
    Way { weights: WEIGHTS.to_vec(), hold: times.hold, interval: times.interval, error_rate: true }
}

fn waits(phase: Option<Phase>) -> bool {
    match phase {
        Some(Phase::Paused | Phase::Invalid | Phase::Suspended) => true,
        Some(Phase::Healthy | Phase::Progressing | Phase::RollingBack | Phase::Failed) | None => false,
    }
}

async fn released(stage: &Stage<'_>, times: Times, found: &mut Endurance) -> Result<(), BenchError> {
    let mut releases = Releases { stage, given: HashMap::new() };
    let began = stage.server.clock.now();
    let mut last = Measured { at: began, mark: stage.server.mark(), usage: stage.usage()? };
    loop {
        let now = stage.server.clock.now();
        let since = Duration::try_from(now.duration_since(began)).unwrap_or_default();
        let tally = releases.round(begun(found.rollouts, since, times.cycle())).await;
        if since > times.warm_up() {
            found.tally = Tally {
                promoted: found.tally.promoted + tally.promoted,
                failed: found.tally.failed + tally.failed,
                refused: found.tally.refused + tally.refused,
            };
        }
        if Duration::try_from(now.duration_since(last.at)).unwrap_or_default() >= times.sample {
            found.samples.push(last.sample(stage, since)?);
            let minutes = |time: Duration| usize::try_from(time.as_secs() / 60).unwrap_or_default();
            stage.progress.step("minutes", minutes(since), minutes(times.whole) + 1);
        }
        if since >= times.whole {
            return Ok(());
        }
        tokio::time::sleep(ROUND.min(times.sample)).await;
    }
}

/// How many of so many have begun by then, if they begin spread evenly over a time.
fn begun(all: usize, since: Duration, over: Duration) -> usize {
    let share = since.as_millis() * all as u128 / over.as_millis().max(1) + 1;
    usize::try_from(share).unwrap_or(all).min(all)
}

/// What stood when it was last measured.
struct Measured {
    at: Timestamp,
    mark: Mark,
    usage: Usage,
}

impl Measured {
    /// Measures what was since then; from now on, since now.
    fn sample(&mut self, stage: &Stage<'_>, since: Duration) -> Result<Sample, BenchError> {
        let now = Self { at: stage.server.clock.now(), mark: stage.server.mark(), usage: stage.usage()? };
        let took = now.at.duration_since(self.at).as_secs_f64();
        let calls = if stage.server.records() {
            let made = stage.server.calls_since(self.mark, &stage.namespace)?;
            // What has come in since `now` is the next sample's.
            let made = made.iter().filter(|call| call.at < now.at);
            Some(Counted::of(made).calls as f64 / took * 60.0)
        } else {
            None
        };
        let megabytes = |kib: u64| kib as f64 * 1024.0 / 1e6;
        let sample = Sample {
            minute: since.as_secs_f64() / 60.0,
            rss: megabytes(now.usage.rss),
            anonymous: megabytes(now.usage.anonymous),
            cores: now.usage.cpu.saturating_sub(self.usage.cpu).as_secs_f64() / took,
            calls,
        };
        *self = now;
        Ok(sample)
    }
}

/// The people who release.
struct Releases<'a> {
    stage: &'a Stage<'a>,
    /// By Rollout, what was asked of it last.
    given: HashMap<String, Given>,
}

/// What was asked of a Rollout last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Given {
    /// Its versions.
    pair: Pair,
    /// The version that should be live, `1` or `2`.
    version: u8,
    /// The run that had ended then.
    after: i64,
}

/// What is to be asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Next {
    rollout: String,
    given: Given,
    /// The run before failed: the same version is tried again.
    retry: bool,
}

impl Releases<'_> {
    /// Releases those that have not begun and are due, and anew what has ended. Tells how what ended did.
    async fn round(&mut self, begun: usize) -> Tally {
        for number in self.given.len()..begun {
            let (rollout, pair) = (idle::name(number), Pair::of(number));
            // All have been at rest on version 2 since a run that the copy has from its template.
            let after = self.stage.eyes.look(|seen| seen.rollouts.get(&rollout).map_or(0, |shown| shown.run));
            self.given.insert(rollout, Given { pair, version: 2, after: after - 1 });
        }
        let next = self.stage.eyes.look(|seen| next(seen, &self.given));
        let asked = stream::iter(next).map(|next| async {
            let asked = ask(self.stage, &next).await;
            (next, asked)
        });
        let asked: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        let mut tally = Tally::default();
        for (next, asked) in asked {
            match asked {
                Err(error) => {
                    tally.refused += 1;
                    tracing::debug!(%error, "a release of the bench is tried again");
                    continue;
                }
                Ok(()) if next.retry => tally.failed += 1,
                Ok(()) => tally.promoted += 1,
            }
            self.given.insert(next.rollout, next.given);
        }
        tally
    }
}

/// What is to be asked of those that have ended a run since they were asked last.
fn next(seen: &Seen, given: &HashMap<String, Given>) -> Vec<Next> {
    let next = |(rollout, given): (&String, &Given)| {
        let shown = seen.rollouts.get(rollout).filter(|shown| shown.run > given.after)?;
        let (version, retry) = match shown.phase? {
            Phase::Healthy => (3 - given.version, false),
            Phase::Failed => (given.version, true),
            Phase::Progressing | Phase::Paused | Phase::RollingBack | Phase::Invalid | Phase::Suspended => {
                return None;
            }
        };
        let given = Given { version, after: shown.run, ..*given };
        Some(Next { rollout: rollout.clone(), given, retry })
    };
    given.iter().filter_map(next).collect()
}

async fn ask(stage: &Stage<'_>, next: &Next) -> Result<(), BenchError> {
    if next.retry {
        return stage.retry(&next.rollout).await;
    }
    stage.release(&next.rollout, &next.given.pair.version(next.given.version)).await
}

#[cfg(test)]
mod tests {
    use super::{super::eyes::RolloutShown, *};

    #[test]
    fn who_has_ended_a_run_is_released_anew_once() {
        let shown = |run, phase| RolloutShown { run, phase: Some(phase), ..RolloutShown::default() };
        let mut seen = Seen::default();
        let all = [
            ("running", shown(3, Phase::Progressing)),
            ("promoted", shown(3, Phase::Healthy)),
            ("failed", shown(3, Phase::Failed)),
            ("paused", shown(3, Phase::Paused)),
            ("asked", shown(2, Phase::Healthy)),
        ];
        seen.rollouts.extend(all.map(|(name, shown)| (name.to_owned(), shown)));
        let given = Given { pair: Pair::of(0), version: 2, after: 2 };
        let names = ["running", "promoted", "failed", "paused", "asked", "unseen"];
        let all = names.map(|name| (name.to_owned(), given)).into();
        let mut found = next(&seen, &all);
        found.sort_by_key(|next| next.rollout.clone());
        let want = |rollout: &str, version, retry| Next {
            rollout: rollout.to_owned(),
            given: Given { version, after: 3, ..given },
            retry,
        };
        assert_eq!(found, [want("failed", 2, true), want("promoted", 1, false)]);
    }

    #[test]
    fn releases_begin_spread_evenly() {
        let at = |seconds| begun(100, Duration::from_secs(seconds), Duration::from_secs(200));
        assert_eq!([at(0), at(100), at(199), at(200), at(9_000)], [1, 51, 100, 100, 100]);
    }

    #[test]
    fn nothing_is_said_to_have_grown_that_was_not_measured() {
        let hold = Duration::from_mins(3);
        assert!(Times::usual(42, hold).is_none());
        let times = Times::usual(60, hold).unwrap();
        let mut found = Endurance::new(1, times);
        assert_eq!((found.growth(), found.calls_growth(), found.steady().count()), (None, None, 0));
        let sample = |minute: f64, rss, calls| Sample { minute, rss, anonymous: 0.0, cores: 0.0, calls };
        found.samples =
            vec![sample(1.0, 9.0, Some(9.0)), sample(44.0, 50.0, Some(0.0)), sample(60.0, 51.0, Some(0.0))];
        assert!((found.growth().unwrap() - 3.75).abs() < 1e-9 && found.calls_growth().is_none());
    }
}
