//! Waiting until a Rollout is where somebody wants it. What counts is decided purely, of one Rollout as it was shown; the
//! rest of the file follows it.

use std::{fmt, str::FromStr, time::Duration};

use futures::{Stream, StreamExt};
use kube::runtime::watcher;

use super::{
    Error, Exit, Out,
    cluster::Cluster,
    words::{self, standing},
};
use crate::{
    analysis::Verdict,
    api::{Phase, Rollout, RolloutStatus},
    clock::Clock,
};

/// A Rollout that can't be followed is given so long: what it names may come a moment after it.
const INVALID_FOR: Duration = Duration::from_secs(10);
/// How long the API server may be out of reach before it is given up.
const UNREACHABLE_FOR: Duration = Duration::from_mins(1);

/// How long a controller may take to answer to a change of the spec before others go on without.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Where a Rollout is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// The target is live.
    #[default]
    Healthy,
    /// The run waits, for whatever reason.
    Paused,
    /// The run has come to this step.
    Step(i32),
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let step = |number: &str| number.parse().ok().filter(|number| *number > 0).map(Self::Step);
        match text {
            "healthy" => Ok(Self::Healthy),
            "paused" => Ok(Self::Paused),
            _ => text
                .strip_prefix("step=")
                .and_then(step)
                .ok_or_else(|| "it must be healthy, paused, or step=N with N from 1 on".to_owned()),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Paused => f.write_str("paused"),
            Self::Step(number) => write!(f, "step={number}"),
        }
    }
}

/// What is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where.
    pub goal: Goal,
    /// With which target; none: whatever `spec.target` names.
    pub target: Option<String>,
    /// Our own write made this generation: nothing older counts, and a target that is another one after it was changed by
    /// somebody else.
    pub written: Option<i64>,
    /// A run of at least this number: an earlier one's end does not count.
    pub run: Option<i64>,
}

/// Where a Rollout is, seen from what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There.
    Reached,
    /// It will not come there; the sentence says why.
    Failed(String),
    /// A person must act first; the sentence says what.
    Awaits(String),
    /// It can't be followed as it is; the sentence says why.
    Invalid(String),
    /// On its way, or not begun.
    UnderWay,
}

impl Seen {
    /// The exit code, where it is over or nobody waits.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Reached => Exit::Reached,
            Self::Failed(_) => Exit::Failed,
            Self::Awaits(_) => Exit::Paused,
            Self::Invalid(_) => Exit::Refused,
            Self::UnderWay => Exit::Timeout,
        }
    }
}

/// Where a Rollout is, seen from what is wanted; `had` tells whether it named the wanted target before.
pub fn seen(rollout: &Rollout, wanted: &Wanted, had: bool) -> Seen {
    let target = wanted.target.as_ref().unwrap_or(&rollout.spec.target.name);
    if rollout.spec.target.name != *target {
        return if had || wanted.written.is_some() {
            Seen::Failed(format!("the target is {} now, no longer {target}", rollout.spec.target.name))
        } else {
            Seen::UnderWay
        };
    }
    let Some(status) = rollout.status.as_ref().filter(|status| is_answer(status, rollout, wanted)) else {
        return Seen::UnderWay;
    };
    let said = || status.message.clone().unwrap_or_default();
    let runs_to_it = status.canary.as_ref().is_some_and(|canary| canary.name == *target);
    let is_live = status.stable.as_ref().is_some_and(|stable| stable.name == *target);
    match status.phase {
        Some(Phase::Healthy) if is_live => match wanted.goal {
            Goal::Healthy | Goal::Step(_) => Seen::Reached,
            Goal::Paused => Seen::Failed("the target is live, and nothing waits any more".to_owned()),
        },
        Some(Phase::Failed) if runs_to_it => Seen::Failed(said()),
        Some(Phase::Progressing | Phase::Paused) if runs_to_it => {
            let reached = match wanted.goal {
                Goal::Healthy => false,
                Goal::Paused => status.phase == Some(Phase::Paused),
                Goal::Step(number) => has_come_to(status, number),
            };
            let pause = status.run.as_ref().and_then(|run| run.pause.as_ref());
            match pause.filter(|pause| status.phase == Some(Phase::Paused) && pause.reason.needs_a_person()) {
                _ if reached => Seen::Reached,
                Some(pause) => Seen::Awaits(pause.message.clone()),
                None => Seen::UnderWay,
            }
        }
        Some(Phase::Suspended) => Seen::Awaits("spec.suspend keeps all hands off it".to_owned()),
        Some(Phase::Invalid) => Seen::Invalid(said()),
        Some(Phase::Healthy | Phase::Failed | Phase::Progressing | Phase::Paused | Phase::RollingBack)
        | None => Seen::UnderWay,
    }
}

/// Whether a status answers to what was written, and to the run that is meant.
fn is_answer(status: &RolloutStatus, rollout: &Rollout, wanted: &Wanted) -> bool {
    let generation = wanted.written.max(rollout.metadata.generation);
    let run = status.run.as_ref().map(|run| run.number);
    status.observed_generation >= generation && wanted.run.is_none_or(|wanted| run >= Some(wanted))
}

fn has_come_to(status: &RolloutStatus, number: i32) -> bool {
    let step = status.step.as_ref();
    step.is_some_and(|step| step.index > number || step.index == number && step.stored_at.is_some())
}

/// The evidence, a sentence for each metric that failed.
pub fn evidence(status: &RolloutStatus) -> Vec<String> {
    let failed = status.analysis.iter().filter(|metric| metric.verdict == Verdict::Fail);
    failed.map(|metric| format!("{} {}: {}", metric.name, metric.verdict.label(), metric.sentence)).collect()
}

/// Follows a Rollout until it is where it is wanted, or will not come there, or the time is over. Each change is a line, with
/// the seconds since the beginning. What was shown last comes with the exit code.
pub async fn wait(
    cluster: &Cluster,
    name: &str,
    wanted: &Wanted,
    timeout: Option<Duration>,
    out: &mut Out<'_>,
) -> Result<(Exit, Option<Rollout>), Error> {
    let mut waiting = Waiting {
        cluster,
        name,
        wanted,
        clock: Clock::start(),
        said: String::new(),
        last: None,
        had: false,
        invalid: None,
        silent: None,
    };
    let stream = cluster.follow(name);
    let ended = tokio::select! {
        told = waiting.follow(stream, out) => Ended::Told(told?),
        () = after(timeout) => Ended::Late,
        _ = tokio::signal::ctrl_c() => Ended::Interrupted,
    };
    let exit = match ended {
        Ended::Told(seen) => waiting.conclude(&seen, out)?,
        Ended::Late => {
            // Nothing is known of a Rollout that was never seen.
            if let (None, Some((_, error))) = (&waiting.last, waiting.silent.take()) {
                return Err(error);
            }
            let after = timeout.map(crate::api::units::spell).unwrap_or_default();
            out.line(&format!(
                "not {} after {after}; nobody waits any more, and nothing is changed by that",
                wanted.goal
            ))?;
            Exit::Timeout
        }
        Ended::Interrupted => {
            out.line("nobody waits any more, and nothing is changed by that")?;
            Exit::Interrupted
        }
    };
    Ok((exit, waiting.last))
}

/// The Rollout once its status answers to what was written; as it is where that takes longer than half a minute.
pub async fn answered(cluster: &Cluster, name: &str, wanted: &Wanted) -> Result<Rollout, Error> {
    let answers =
        |rollout: &Rollout| rollout.status.as_ref().is_some_and(|status| is_answer(status, rollout, wanted));
    once(cluster, name, answers).await
}

/// The Rollout once its status is the last change's, and no traffic is on its way back; likewise.
pub async fn settled(cluster: &Cluster, name: &str) -> Result<Rollout, Error> {
    let settled = |rollout: &Rollout| {
        let status = rollout.status.as_ref();
        words::is_current(rollout) && status.is_some_and(|status| status.phase != Some(Phase::RollingBack))
    };
    once(cluster, name, settled).await
}

async fn once(cluster: &Cluster, name: &str, is: impl Fn(&Rollout) -> bool) -> Result<Rollout, Error> {
    let mut shown = cluster.follow(name);
    let waiting = async {
        while let Some(next) = shown.next().await {
            if let Ok(Some(rollout)) = next
                && is(&rollout)
            {
                return Some(rollout);
            }
        }
        None
    };
    match tokio::time::timeout(ANSWERED_WITHIN, waiting).await {
        Ok(Some(rollout)) => Ok(rollout),
        Ok(None) | Err(_) => cluster.rollout(name).await,
    }
}

enum Ended {
    Told(Seen),
    Late,
    Interrupted,
}

async fn after(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

struct Waiting<'a> {
    cluster: &'a Cluster,
    name: &'a str,
    wanted: &'a Wanted,
    clock: Clock,
    said: String,
    last: Option<Rollout>,
    /// It named the wanted target.
    had: bool,
    /// Since when it is invalid, in a row, and how.
    invalid: Option<(Clock, Seen)>,
    /// Since when the API server is out of reach, in a row, and what it said last.
    silent: Option<(Clock, Error)>,
}

impl Waiting<'_> {
    async fn follow(
        &mut self,
        stream: impl Stream<Item = watcher::Result<Option<Rollout>>>,
        out: &mut Out<'_>,
    ) -> Result<Seen, Error> {
        let mut stream = std::pin::pin!(stream);
        loop {
            let left = self.invalid.as_ref().map(|(since, _)| INVALID_FOR.saturating_sub(since.elapsed()));
            let shown = tokio::select! {
                shown = stream.next() => shown,
                () = after(left) => match self.invalid.take() {
                    Some((_, seen)) => return Ok(seen),
                    None => continue,
                },
            };
            match shown {
                Some(Ok(Some(rollout))) => {
                    if let Some(seen) = self.take(rollout, out)? {
                        return Ok(seen);
                    }
                }
                Some(Ok(None)) => self.missing(out)?,
                Some(Err(error)) => self.bear(error, out)?,
                None => return Ok(Seen::UnderWay),
            }
        }
    }

    /// Takes in what is shown; where it is over, how.
    fn take(&mut self, rollout: Rollout, out: &mut Out<'_>) -> Result<Option<Seen>, Error> {
        self.silent = None;
        let seen = seen(&rollout, self.wanted, self.had);
        self.had |= self.wanted.target.as_ref().is_some_and(|wanted| *wanted == rollout.spec.target.name);
        self.say(rollout, out)?;
        match seen {
            Seen::UnderWay => self.invalid = None,
            Seen::Invalid(_) => {
                let since = self.invalid.take().map_or_else(Clock::start, |(since, _)| since);
                self.invalid = Some((since, seen));
            }
            Seen::Reached | Seen::Failed(_) | Seen::Awaits(_) => return Ok(Some(seen)),
        }
        Ok(None)
    }

    /// There is no such Rollout: one that Git is to bring may still come.
    fn missing(&mut self, out: &mut Out<'_>) -> Result<(), Error> {
        if self.last.is_some() {
            return Err(Error::Gone(self.name.to_owned()));
        }
        let lacks = self.cluster.lacks(self.name);
        if self.wanted.target.is_none() {
            return Err(lacks);
        }
        self.say_line(&lacks.to_string(), out)
    }

    /// Goes on in spite of an error, for a time.
    fn bear(&mut self, error: watcher::Error, out: &mut Out<'_>) -> Result<(), Error> {
        let Some(error) = self.cluster.of_watch(self.name, error) else { return Ok(()) };
        let since = self.silent.take().map_or_else(Clock::start, |(since, _)| since);
        if !error.may_pass() || since.elapsed() >= UNREACHABLE_FOR {
            return Err(error);
        }
        self.silent = Some((since, error));
        self.say_line("the API server does not answer; trying again", out)
    }

    /// Says where it stands, if that is news.
    fn say(&mut self, rollout: Rollout, out: &mut Out<'_>) -> Result<(), Error> {
        let present = &rollout.spec.target.name;
        let line = match &self.wanted.target {
            Some(target) if target != present => {
                format!("the target is {present}; waiting until it is {target}")
            }
            Some(_) | None if words::is_current(&rollout) => standing(&rollout, out.look),
            Some(_) | None => "the controller has not taken up the last change yet".to_owned(),
        };
        self.last = Some(rollout);
        self.say_line(&line, out)
    }

    fn say_line(&mut self, line: &str, out: &mut Out<'_>) -> Result<(), Error> {
        if self.said == line {
            return Ok(());
        }
        line.clone_into(&mut self.said);
        out.line(&format!("{:>7.1}s  {line}", self.clock.elapsed().as_secs_f64()))
    }

    /// Tells how it came out, with the evidence where it failed.
    fn conclude(&self, seen: &Seen, out: &mut Out<'_>) -> Result<Exit, Error> {
        match seen {
            Seen::Reached | Seen::UnderWay => {}
            Seen::Failed(why) | Seen::Awaits(why) | Seen::Invalid(why) => {
                if !self.said.ends_with(why.as_str()) {
                    out.line(why)?;
                }
            }
        }
        if let (Seen::Failed(_), Some(status)) =
            (seen, self.last.as_ref().and_then(|last| last.status.as_ref()))
        {
            for sentence in evidence(status) {
                out.line(&sentence)?;
            }
        }
        Ok(seen.exit())
    }
}

#[cfg(test)]
mod tests;
