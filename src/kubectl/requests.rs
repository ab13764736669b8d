//! `promote`, `abort`, `retry`, `pause`, `resume`: what people ask of a run.
//!
//! A request names the run and the step that were seen when the command began, never overwrites one that the controller
//! has not taken yet, and is written against the very version of the Rollout that was read. Two people who ask for the same
//! at once ask for it once. The command ends when the controller has said yes or no.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::Patch;
use serde_json::{Value, json};

use super::{
    Error, Exit, Out,
    args::Global,
    cluster::{Cluster, as_us},
    names,
    words::{run_number, status},
};
use crate::{
    api::{
        ABORT_ANNOTATION, Abort as AbortRequest, LastRequest, REQUEST_ANNOTATION, Request, RequestAction,
        RequestOutcome, Rollout, units,
    },
    clock::Clock,
};

/// How often a write is tried that somebody else's write came before.
const TRIES: usize = 20;

/// What all of them need to know.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// The Rollout
    #[arg(add = names::rollouts())]
    name: String,
    /// Only if the run is at this step
    #[arg(long, value_name = "N")]
    step: Option<i32>,
    /// How long the controller may take to answer
    #[arg(long, value_name = "SPAN", default_value = "30s")]
    timeout: units::Duration,
}

impl Asked {
    /// Without conditions.
    pub(super) fn plainly(name: &str) -> Self {
        Self { name: name.to_owned(), step: None, timeout: units::Duration::of(Duration::from_secs(30)) }
    }
}

/// End this step's hold, approval or pause.
#[derive(Debug, clap::Args)]
pub struct Promote {
    #[command(flatten)]
    asked: Asked,
    /// Straight to 100 %, and finish
    #[arg(long)]
    full: bool,
}

/// End the run.
#[derive(Debug, clap::Args)]
pub struct Abort {
    #[command(flatten)]
    asked: Asked,
    /// Why, for those who read it later
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn promote(global: &Global, args: &Promote, out: &mut Out<'_>) -> Result<Exit, Error> {
    let action = if args.full { RequestAction::PromoteFull } else { RequestAction::Promote };
    ask(&Cluster::connect(global).await?, &args.asked, action, None, out).await
}

pub(super) async fn abort(global: &Global, args: &Abort, out: &mut Out<'_>) -> Result<Exit, Error> {
    let cluster = Cluster::connect(global).await?;
    ask(&cluster, &args.asked, RequestAction::Abort, args.reason.clone(), out).await
}

pub(super) async fn retry(global: &Global, args: &Asked, out: &mut Out<'_>) -> Result<Exit, Error> {
    ask(&Cluster::connect(global).await?, args, RequestAction::Retry, None, out).await
}

pub(super) async fn pause(global: &Global, args: &Asked, out: &mut Out<'_>) -> Result<Exit, Error> {
    ask(&Cluster::connect(global).await?, args, RequestAction::Pause, None, out).await
}

pub(super) async fn resume(global: &Global, args: &Asked, out: &mut Out<'_>) -> Result<Exit, Error> {
    ask(&Cluster::connect(global).await?, args, RequestAction::Resume, None, out).await
}

/// The run and the step that a Rollout is at; 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    run: i64,
    step: i32,
}

impl At {
    fn of(rollout: &Rollout) -> Self {
        let step = rollout.status.as_ref().and_then(|status| status.step.as_ref());
        Self { run: run_number(rollout), step: step.map_or(0, |step| step.index) }
    }
}

/// A request that stands on a Rollout and was not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    id: String,
    action: RequestAction,
    by: String,
    at: At,
}

/// The request, or the abort, that the controller has still to take. A text that nobody can read asks for nothing.
fn pending(rollout: &Rollout, action: RequestAction) -> Option<Pending> {
    let annotation = |name| rollout.metadata.annotations.as_ref()?.get(name).map(String::as_str);
    let found = if action == RequestAction::Abort {
        let abort = AbortRequest::parse(annotation(ABORT_ANNOTATION)?).ok()?;
        let at = At { run: abort.run, ..At::of(rollout) };
        Pending { id: abort.id(), action: RequestAction::Abort, by: abort.by, at }
    } else {
        let Request { id, action, by, run, step, .. } =
            Request::parse(annotation(REQUEST_ANNOTATION)?).ok()?;
        Pending { id, action, by, at: At { run, step } }
    };
    let taken = status(rollout).taken.contains(&found.id);
    // An abort of a run that is over asks for nothing any more.
    let stale = action == RequestAction::Abort && found.at.run < At::of(rollout).run;
    (!taken && !stale).then_some(found)
}

/// What is written, and the id by which the answer is known.
struct Written {
    id: String,
    annotation: &'static str,
    text: String,
}

fn written(
    action: RequestAction,
    At { run, step }: At,
    (by, at): (&str, Timestamp),
    reason: Option<String>,
) -> Result<Written, Error> {
    if action == RequestAction::Abort {
        let abort = AbortRequest { run, by: by.to_owned(), at, reason };
        let text = serde_json::to_string(&abort)?;
        return Ok(Written { id: abort.id(), annotation: ABORT_ANNOTATION, text });
    }
    let id = format!("{:016x}", fastrand::u64(..));
    let request = Request { action, run, step, by: by.to_owned(), at, id: id.clone() };
    Ok(Written { id, annotation: REQUEST_ANNOTATION, text: serde_json::to_string(&request)? })
}

/// Asks, waits for the answer, and tells it.
pub(super) async fn ask(
    cluster: &Cluster,
    asked: &Asked,
    action: RequestAction,
    reason: Option<String>,
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    let word = action.word();
    let timeout = asked.timeout.span();
    let clock = Clock::start();
    let Ok(sent) = tokio::time::timeout(timeout, send(cluster, asked, action, reason, out)).await else {
        let after = &asked.timeout;
        out.line(&format!(
            "{word}: nothing is asked: the one before it was not taken within {after}. Is the controller running?"
        ))?;
        return Ok(Exit::Timeout);
    };
    let (id, left) = (sent?, timeout.saturating_sub(clock.elapsed()));
    let Ok(answered) = tokio::time::timeout(left, answer(cluster, &asked.name, &id)).await else {
        out.line(&format!(
            "{word}: no answer after {}. Is the controller running? What is asked stays asked, and is taken when it is back",
            asked.timeout
        ))?;
        return Ok(Exit::Timeout);
    };
    match answered? {
        Some(LastRequest { outcome: RequestOutcome::Accepted, message, .. }) => {
            out.line(&format!("{word} accepted: {message}"))?;
            Ok(Exit::Reached)
        }
        Some(LastRequest { outcome: RequestOutcome::Refused, message, .. }) => {
            out.line(&format!("{word} refused: {message}"))?;
            Ok(Exit::Refused)
        }
        None => {
            out.line(&format!(
                "{word}: it is taken, and so is another request after it; the Events tell whether it was accepted"
            ))?;
            Ok(Exit::Timeout)
        }
    }
}

/// Writes the request, unless the same is asked already; the id whose answer counts.
async fn send(
    cluster: &Cluster,
    asked: &Asked,
    action: RequestAction,
    reason: Option<String>,
    out: &mut Out<'_>,
) -> Result<String, Error> {
    let (name, clock) = (asked.name.as_str(), Clock::start());
    let (by, first) = tokio::join!(cluster.whoami(), cluster.rollout(name));
    let first = first?;
    let saw = At::of(&first);
    if let Some(step) = asked.step {
        if status(&first).active_run().is_none() {
            return Err(Error::Refused(format!(
                "no run is under way that could be at step {step}; nothing is asked"
            )));
        }
        if step != saw.step {
            return Err(Error::Refused(format!("the run is at step {}; nothing is asked", saw.step)));
        }
    }
    let mut rollout = first;
    for _ in 0..TRIES {
        let now = At::of(&rollout);
        if !still_meant(action, saw, now) {
            return Err(Error::Refused(went_on(saw, now)));
        }
        if let Some(waiting) = pending(&rollout, action) {
            if waiting.action == action && still_meant(action, saw, waiting.at) {
                out.line(&format!("{} asked for it already", waiting.by))?;
                return Ok(waiting.id);
            }
            out.line(&format!("waiting until the {} of {} is taken", waiting.action.word(), waiting.by))?;
            answer(cluster, name, &waiting.id).await?;
            rollout = cluster.rollout(name).await?;
            continue;
        }
        let written = written(action, saw, (&by, clock.now()), reason.clone())?;
        match annotate(cluster, &rollout, &written).await {
            Ok(()) => return Ok(written.id),
            Err(kube::Error::Api(status)) if status.code == 409 => rollout = cluster.rollout(name).await?,
            Err(error) => return Err(cluster.about(&format!("annotate the Rollout {name}"), error)),
        }
    }
    Err(Error::Refused(format!("the Rollout {name} changed {TRIES} times meanwhile; nothing is asked")))
}

/// Whether what was meant for a moment is meant for another one. An abort is for the whole run.
fn still_meant(action: RequestAction, saw: At, now: At) -> bool {
    now.run == saw.run && (action == RequestAction::Abort || now.step == saw.step)
}

fn went_on(saw: At, now: At) -> String {
    if saw.run == now.run {
        format!("the run went on from step {} to step {} meanwhile; nothing is asked", saw.step, now.step)
    } else {
        format!("run {} is over and run {} is there meanwhile; nothing is asked", saw.run, now.run)
    }
}

async fn annotate(cluster: &Cluster, rollout: &Rollout, written: &Written) -> kube::Result<()> {
    let annotation: Value =
        [(written.annotation.to_owned(), Value::from(written.text.as_str()))].into_iter().collect();
    let patch = json!({"metadata": {
        "resourceVersion": rollout.metadata.resource_version,
        "annotations": annotation,
    }});
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    cluster.rollouts().patch_metadata(name, &as_us(), &Patch::Merge(patch)).await.map(drop)
}

/// Follows the Rollout until a request is taken. None where another one was taken after it.
async fn answer(cluster: &Cluster, name: &str, id: &str) -> Result<Option<LastRequest>, Error> {
    let mut shown = cluster.follow(name);
    while let Some(next) = shown.next().await {
        let rollout = match next {
            Ok(Some(rollout)) => rollout,
            Ok(None) => return Err(Error::Gone(name.to_owned())),
            Err(error) => match cluster.of_watch(name, error) {
                // What is out of reach for a moment comes back; the time that is given ends it.
                Some(error) if !error.may_pass() => return Err(error),
                Some(_) | None => continue,
            },
        };
        let status = status(&rollout);
        if status.taken.iter().any(|taken| taken == id) {
            return Ok(status.last_request.filter(|last| last.id == id));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abort_is_meant_for_the_whole_run() {
        let at = |run, step| At { run, step };
        for (action, now, meant) in [
            (RequestAction::Promote, at(7, 2), true),
            (RequestAction::Promote, at(7, 3), false),
            (RequestAction::Promote, at(8, 2), false),
            (RequestAction::Abort, at(7, 3), true),
            (RequestAction::Abort, at(8, 2), false),
        ] {
            assert_eq!(still_meant(action, at(7, 2), now), meant, "{action:?} {now:?}");
        }
    }
}
