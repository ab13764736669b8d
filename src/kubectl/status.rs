//! `status`: where a Rollout stands, at once or once it is where it is wanted.

use serde::Serialize;

use super::{
    Error, Exit, Out,
    args::{Global, Machine},
    cluster::Cluster,
    names,
    waiting::{self, Goal, Wanted, evidence, seen},
    words::{is_current, standing},
};
use crate::api::{Pause, Phase, Rollout, Step, Target, units::Duration};

/// Tell where a Rollout stands.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Rollout
    #[arg(add = names::rollouts())]
    name: String,
    /// Wait until it is there, and tell each change
    #[arg(short, long)]
    wait: bool,
    /// How long to wait at most, like 30m; default: until it is over
    #[arg(long, value_name = "SPAN", requires = "wait")]
    timeout: Option<Duration>,
    /// Where it is wanted: healthy, paused, or step=N
    #[arg(long = "for", value_name = "GOAL", default_value_t, add = names::goals())]
    goal: Goal,
    /// With this target: for pipelines that change Git, and wait until that has come through
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// As JSON, once it is over
    #[arg(short, long, value_enum)]
    output: Option<Machine>,
}

/// Where a Rollout stands, for machines.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    namespace: &'a str,
    name: &'a str,
    /// What Git wants live.
    target: &'a str,
    /// What is live.
    stable: Option<&'a Target>,
    /// The target of the present or last run.
    canary: Option<&'a Target>,
    run: Option<i64>,
    step: Option<&'a Step>,
    phase: Option<Phase>,
    /// Why the run waits, if it does.
    pause: Option<&'a Pause>,
    message: Option<&'a str>,
    /// Whether the controller has taken up the last change of the spec.
    current: bool,
    /// The sentences of the metrics that failed.
    evidence: Vec<String>,
    /// The exit code that goes with it.
    exit_code: u8,
}

impl<'a> Report<'a> {
    pub(super) fn of(rollout: &'a Rollout, exit: Exit) -> Self {
        let status = rollout.status.as_ref();
        Self {
            namespace: rollout.metadata.namespace.as_deref().unwrap_or_default(),
            name: rollout.metadata.name.as_deref().unwrap_or_default(),
            target: &rollout.spec.target.name,
            stable: status.and_then(|status| status.stable.as_ref()),
            canary: status.and_then(|status| status.canary.as_ref()),
            run: status.and_then(|status| status.run.as_ref()).map(|run| run.number),
            step: status.and_then(|status| status.step.as_ref()),
            phase: status.and_then(|status| status.phase),
            pause: status.and_then(|status| status.run.as_ref()).and_then(|run| run.pause.as_ref()),
            message: status.and_then(|status| status.message.as_deref()),
            current: is_current(rollout),
            evidence: status.map(evidence).unwrap_or_default(),
            exit_code: exit.code(),
        }
    }
}

pub(super) async fn run(global: &Global, args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let cluster = Cluster::connect(global).await?;
    let wanted = Wanted { goal: args.goal, target: args.target.clone(), ..Wanted::default() };
    if args.wait {
        let timeout = args.timeout.as_ref().map(Duration::span);
        return followed(&cluster, &args.name, &wanted, timeout, args.output, out).await;
    }
    let rollout = cluster.rollout(&args.name).await?;
    let exit = seen(&rollout, &wanted, false).exit();
    match args.output {
        Some(Machine::Json) => out.json(&Report::of(&rollout, exit))?,
        None => {
            out.line(&standing(&rollout, out.look))?;
            if !is_current(&rollout) {
                out.line("the controller has not taken up the last change of the spec yet")?;
            }
            if exit == Exit::Failed {
                for sentence in rollout.status.iter().flat_map(evidence) {
                    out.line(&sentence)?;
                }
            }
        }
    }
    Ok(exit)
}

/// Waits, and tells: line by line, or once as JSON.
pub(super) async fn followed(
    cluster: &Cluster,
    name: &str,
    wanted: &Wanted,
    timeout: Option<std::time::Duration>,
    output: Option<Machine>,
    out: &mut Out<'_>,
) -> Result<Exit, Error> {
    match output {
        None => Ok(waiting::wait(cluster, name, wanted, timeout, out).await?.0),
        Some(Machine::Json) => {
            let mut nobody = Out::to(std::io::sink(), out.look);
            let (exit, last) = waiting::wait(cluster, name, wanted, timeout, &mut nobody).await?;
            if let Some(rollout) = &last {
                out.json(&Report::of(rollout, exit))?;
            }
            Ok(exit)
        }
    }
}
