//! `release`: another version becomes the target.

use std::str::FromStr;

use super::{
    Error, Exit, Out,
    args::Global,
    cluster::Cluster,
    names,
    requests::{self, Asked},
    status,
    targets::{self, Change, git_must_follow, keeper},
    waiting::{self, Goal, Wanted, evidence},
    words::{self, run_number},
};
use crate::api::{
    HistoryEntry, Phase, RequestAction, Rollout, RolloutStatus, Target, TargetRef, WorkloadKind, WorkloadRef,
    WorkloadVersion, units::Duration,
};

/// Make another version the target.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Rollout
    #[arg(add = names::rollouts())]
    name: String,
    /// The version that should be live, as the routes name it
    #[arg(short, long, value_name = "NAME")]
    target: String,
    /// Its port, where entries are told apart by it
    #[arg(long, value_name = "PORT")]
    port: Option<i32>,
    /// The workload behind it, like color-app-v3 or StatefulSet/color-app-v3; default: named after the target as the present
    /// one is
    #[arg(long, value_name = "[KIND/]NAME")]
    workload: Option<Workload>,
    /// How one route calls it that calls it otherwise, like HTTPRoute/color=color-svc-v3; may be given more than once
    #[arg(long, value_name = "KIND/NAME=NAME")]
    route: Vec<Called>,
    /// Try a target again that has failed
    #[arg(long)]
    retry: bool,
    /// What to wait with
    #[command(flatten)]
    patience: Patience,
}

/// How a command waits for what it has begun.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Patience {
    /// Wait until it is there, and tell each change
    #[arg(short, long)]
    wait: bool,
    /// How long to wait at most, like 30m; default: until it is over
    #[arg(long, value_name = "SPAN", requires = "wait")]
    timeout: Option<Duration>,
    /// Where it is wanted: healthy, paused, or step=N
    #[arg(long = "for", value_name = "GOAL", default_value_t, requires = "wait", add = names::goals())]
    goal: Goal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Workload(WorkloadRef);

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = match text.split_once('/') {
            None => (WorkloadKind::Deployment, text),
            Some((kind, name)) if kind.eq_ignore_ascii_case("deployment") => (WorkloadKind::Deployment, name),
            Some((kind, name)) if kind.eq_ignore_ascii_case("statefulset") => {
                (WorkloadKind::StatefulSet, name)
            }
            Some((kind, _)) => {
                return Err(format!("{kind} is no kind of workload; it must be Deployment or StatefulSet"));
            }
        };
        Ok(Self(WorkloadRef { api_version: WorkloadVersion::AppsV1, kind, name: name.to_owned() }))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Called(String, String);

impl FromStr for Called {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('=').filter(|(route, name)| route.contains('/') && !name.is_empty());
        let (route, name) = parts.ok_or_else(|| "it must be like HTTPRoute/color=color-svc-v3".to_owned())?;
        Ok(Self(route.to_owned(), name.to_owned()))
    }
}

pub(super) async fn run(global: &Global, args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let cluster = Cluster::connect(global).await?;
    let rollout = cluster.rollout(&args.name).await?;
    let change = change(&rollout, args)?;
    if change.target == rollout.spec.target {
        return again(&cluster, &rollout, args, out).await;
    }
    let status = words::status(&rollout);
    let failed = has_failed(&status, &change.target);
    if let Some(failed) = failed.filter(|_| !args.retry) {
        out.line(&format!("{} failed in run {}: {}", args.target, failed.run, failed.message))?;
        out.line("--retry tries it again")?;
        return Ok(Exit::Failed);
    }
    let before = failed.map(|_| run_number(&rollout));
    Box::pin(begin(&cluster, rollout, &change, (&args.patience, before), out)).await
}

/// Writes another target, says who has to follow, and waits if that is asked. `failed` is the last run before a target is
/// tried again.
pub(super) async fn begin(
    cluster: &Cluster,
    rollout: Rollout,
    change: &Change,
    (patience, failed): (&Patience, Option<i64>),
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    let (name, target) = (rollout.metadata.name.clone().unwrap_or_default(), change.target.name.clone());
    let before = rollout.spec.target.name.clone();
    if let Some(keeper) = keeper(&rollout) {
        out.line(&git_must_follow(keeper, &cluster.asked(&name), &target))?;
    }
    if let Some(workload) = targets::missing_workload(cluster, &change.target).await? {
        out.line(&format!("there is no {workload} yet: {target} gets traffic once it is there"))?;
    }
    let written = targets::write(cluster, rollout, change).await?;
    out.line(&format!("{target} is the target of {name} now (before: {before})"))?;
    let mut wanted =
        Wanted { goal: patience.goal, target: Some(target), written: written.metadata.generation, run: None };
    if let Some(failed) = failed {
        let exit = retry_where_it_stays_failed(cluster, &written, failed, out).await?;
        if exit != Exit::Reached {
            return Ok(exit);
        }
        wanted.run = Some(failed.saturating_add(1));
    }
    follow(cluster, &name, &wanted, patience, out).await
}

/// Asks for another try where the controller never saw the target that was named in between, and so takes the failed one for
/// still failed.
async fn retry_where_it_stays_failed(
    cluster: &Cluster,
    written: &Rollout,
    failed: i64,
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    let name = written.metadata.name.clone().unwrap_or_default();
    let wanted = Wanted { written: written.metadata.generation, ..Wanted::default() };
    let rollout = waiting::answered(cluster, &name, &wanted).await?;
    let stays = rollout.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Failed));
    if stays && run_number(&rollout) <= failed {
        return requests::ask(cluster, &Asked::plainly(&name), RequestAction::Retry, None, out).await;
    }
    Ok(Exit::Reached)
}

async fn follow(
    cluster: &Cluster,
    name: &str,
    wanted: &Wanted,
    patience: &Patience,
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    if !patience.wait {
        return Ok(Exit::Reached);
    }
    let timeout = patience.timeout.as_ref().map(Duration::span);
    status::followed(cluster, name, wanted, timeout, None, out).await
}

/// It is the target already: whether it failed, is live, or is on its way.
async fn again(cluster: &Cluster, rollout: &Rollout, args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    // On its way back, or not taken up yet, it can't be tried again; a moment later it can.
    let settled = if args.retry { Some(waiting::settled(cluster, &args.name).await?) } else { None };
    let rollout = settled.as_ref().unwrap_or(rollout);
    let status = words::status(rollout);
    let target = Some(args.target.clone());
    let mut wanted =
        Wanted { goal: args.patience.goal, target, written: rollout.metadata.generation, run: None };
    if status.phase == Some(Phase::Failed) && words::is_current(rollout) {
        if !args.retry {
            out.line(&format!("{} is the target already, and has failed: {}", args.target, said(&status)))?;
            for sentence in evidence(&status) {
                out.line(&sentence)?;
            }
            out.line("--retry tries it again")?;
            return Ok(Exit::Failed);
        }
        let asked = Asked::plainly(&args.name);
        let exit = requests::ask(cluster, &asked, RequestAction::Retry, None, out).await?;
        if exit != Exit::Reached {
            return Ok(exit);
        }
        wanted.run = Some(run_number(rollout).saturating_add(1));
    } else {
        out.line(&format!("{} is the target already: {}", args.target, words::standing(rollout, out.look)))?;
    }
    follow(cluster, &args.name, &wanted, &args.patience, out).await
}

fn said(status: &RolloutStatus) -> &str {
    status.message.as_deref().unwrap_or_default()
}

/// The newest run of a target, if that failed. What is live has not.
fn has_failed<'a>(status: &'a RolloutStatus, target: &TargetRef) -> Option<&'a HistoryEntry> {
    let is = |known: &Target| known.name == target.name && known.port == target.port;
    if status.stable.as_ref().is_some_and(is) {
        return None;
    }
    let newest = status.history.iter().find(|entry| is(&entry.target));
    newest.filter(|entry| entry.outcome.fails_target())
}

fn change(rollout: &Rollout, args: &Args) -> Result<Change, Error> {
    let present = &rollout.spec.target;
    let workload_ref = match (&args.workload, &present.workload_ref) {
        (Some(Workload(given)), _) => Some(given.clone()),
        (None, _) if args.target == present.name => present.workload_ref.clone(),
        (None, None) => None,
        (None, Some(before)) => Some(named_alike(present, before, &args.target)?),
    };
    let port = args.port.or(present.port);
    let called = args.route.iter().map(|Called(route, name)| (route.clone(), name.clone())).collect();
    let target = TargetRef { name: args.target.clone(), port, workload_ref };
    Ok(Change { target, called, complete: args.target == present.name && args.route.is_empty() })
}

/// The workload whose name is to the new target's as the present one's is to the present target's: behind
/// `color-app-v2.default` stands `color-app-v2`, so behind `color-app-v3.default` stands `color-app-v3`.
fn named_alike(present: &TargetRef, before: &WorkloadRef, target: &str) -> Result<WorkloadRef, Error> {
    let around = present.name.split_once(before.name.as_str());
    let name = around.and_then(|(prefix, suffix)| target.strip_prefix(prefix)?.strip_suffix(suffix));
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Ok(WorkloadRef { name: name.to_owned(), ..before.clone() }),
        None => Err(Error::Usage(format!(
            "the workload behind {target} can't be told from its name, as {} {} stands behind {}: say it with --workload",
            before.kind.word(),
            before.name,
            present.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(name: &str, workload: Option<&str>) -> TargetRef {
        let workload_ref = workload.map(|name| name.parse::<Workload>().unwrap().0);
        TargetRef { name: name.to_owned(), port: None, workload_ref }
    }

    #[test]
    fn the_workload_is_named_as_the_present_one_is() {
        for (present, workload, target, want) in [
            ("color-app-v2.default", "color-app-v2", "color-app-v3.default", Some("color-app-v3")),
            ("color-v2", "color-v2", "color-v3", Some("color-v3")),
            ("node-color-v2", "StatefulSet/color-v2", "node-color-v3", Some("color-v3")),
            ("color-v2.default", "color-v2", "color-v3.other", None),
            ("blue", "color-v2", "green", None),
            ("v2.default", "v2", ".default", None),
        ] {
            let present = reference(present, Some(workload));
            let before = present.workload_ref.clone().unwrap();
            let named = named_alike(&present, &before, target);
            assert_eq!(named.as_ref().ok().map(|found| found.name.as_str()), want, "{target}");
            match named {
                Ok(found) => assert_eq!(found.kind, before.kind),
                Err(error) => assert!(error.to_string().contains("--workload"), "{error}"),
            }
        }
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        assert!("DaemonSet/a".parse::<Workload>().unwrap_err().contains("Deployment or StatefulSet"));
        assert_eq!("a".parse::<Workload>().unwrap().0.kind, WorkloadKind::Deployment);
        for bad in ["color=x", "HTTPRoute/color", "HTTPRoute/color="] {
            assert!(bad.parse::<Called>().is_err(), "{bad}");
        }
    }
}
