//! `undo`: back to what was live before.

use jiff::Timestamp;

use super::{
    Error, Exit, Out,
    args::Global,
    cluster::Cluster,
    names,
    release::{self, Patience},
    targets::Change,
    words::{self, age, status},
};
use crate::{
    api::{EndReason, Rollout, RolloutSpec, RolloutStatus, Target},
    clock::Clock,
};

/// Go back to what was live before.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Rollout
    #[arg(add = names::rollouts())]
    name: String,
    /// To the version that went live in this run (`history` tells which); default: to what was live before
    #[arg(long, value_name = "RUN")]
    to: Option<i64>,
    /// What to wait with
    #[command(flatten)]
    patience: Patience,
}

pub(super) async fn run(global: &Global, args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let cluster = Cluster::connect(global).await?;
    let rollout = cluster.rollout(&args.name).await?;
    let before = status(&rollout);
    let back = match args.to {
        Some(run) => live_by(&before, run)?,
        None => before_that(&rollout, &before)?,
    };
    if back.name == rollout.spec.target.name && back.port == rollout.spec.target.port {
        return Err(Error::Usage(format!("{} is the target already", words::target(&back))));
    }
    out.line(&way_back(&rollout.spec, &before, &back, Clock::start().now()))?;
    Box::pin(release::begin(&cluster, rollout, &Change::back_to(&back), (&args.patience, None), out)).await
}

/// The version that went live in a run.
fn live_by(status: &RolloutStatus, run: i64) -> Result<Target, Error> {
    match status.history.iter().find(|entry| entry.run == run) {
        Some(entry) if entry.outcome == EndReason::Promoted => Ok(entry.target.clone()),
        Some(entry) => Err(Error::Usage(format!(
            "{} did not go live in run {run} ({}): --to must name a run that ended in {}",
            words::target(&entry.target),
            entry.outcome.word(),
            EndReason::Promoted.word(),
        ))),
        None => Err(Error::Usage(format!(
            "the history has no run {run}; `kubectl tidegate history NAME` shows those that it has"
        ))),
    }
}

/// What was live before the present target: stable, while that is another one; else what stable replaced.
fn before_that(rollout: &Rollout, status: &RolloutStatus) -> Result<Target, Error> {
    let nothing = || {
        Error::Usage("nothing is known that was live before; name a version with `kubectl tidegate release NAME --target`".to_owned())
    };
    let stable = status.stable.as_ref().ok_or_else(nothing)?;
    if stable.name != rollout.spec.target.name || stable.port != rollout.spec.target.port {
        return Ok(stable.clone());
    }
    let promoted = status
        .history
        .iter()
        .find(|entry| entry.outcome == EndReason::Promoted && entry.target.same_entry(stable));
    promoted.map(|entry| entry.stable.clone()).ok_or_else(nothing)
}

/// Which way it goes back: at once, or by the plan.
fn way_back(spec: &RolloutSpec, status: &RolloutStatus, back: &Target, now: Timestamp) -> String {
    let name = words::target(back);
    if status.stable.as_ref().is_some_and(|stable| stable.same_entry(back)) {
        return if status.active_run().is_some() {
            format!("{name} is stable: the run ends, and all traffic goes back to it at once")
        } else {
            format!(
                "{name} is stable and has all traffic already; the target is it again, so nothing is tried any more"
            )
        };
    }
    let Some(window) = &spec.rollback_window else {
        return format!(
            "{name} gets its traffic by the steps of the plan: the Rollout has no rollbackWindow"
        );
    };
    let versions = usize::try_from(window.versions).unwrap_or_default();
    let promoted = status.history.iter().filter(|entry| entry.outcome == EndReason::Promoted);
    match promoted.take(versions).find(|entry| entry.stable.same_entry(back)) {
        Some(entry) if entry.stable.hash.is_none() => {
            format!("{name} gets its traffic by the steps of the plan: what its pods were is not known")
        }
        Some(entry) if now.duration_since(entry.at).unsigned_abs() <= window.within.span() => format!(
            "{name} was stable until {} ago, within the rollbackWindow: one step to 100%, if its pods are still the same",
            age(entry.at, now)
        ),
        Some(_) | None => format!(
            "{name} gets its traffic by the steps of the plan: it was stable before the rollbackWindow"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HistoryEntry;

    fn target(name: &str) -> Target {
        Target { name: name.to_owned(), ..Target::default() }
    }

    fn entry(run: i64, to: &str, from: &str, outcome: EndReason) -> HistoryEntry {
        let at = Timestamp::from_second(run * 3_600).unwrap();
        let known = |name| Target { hash: Some("7f".to_owned()), ..target(name) };
        HistoryEntry { run, target: known(to), stable: known(from), outcome, message: String::new(), at }
    }

    fn status(stable: &str) -> RolloutStatus {
        RolloutStatus {
            stable: Some(target(stable)),
            history: vec![
                entry(3, "v4", "v3", EndReason::Failed),
                entry(2, "v3", "v2", EndReason::Promoted),
                entry(1, "v2", "v1", EndReason::Promoted),
            ],
            ..RolloutStatus::default()
        }
    }

    fn rollout(target: &str, window: &str) -> Rollout {
        serde_saphyr::from_str(&format!(
            "{{apiVersion: tidegate.dev/v1alpha1, kind: Rollout, metadata: {{name: c}}, spec: {{routes: [], {window}
              target: {{name: {target}}}, strategy: {{canary: {{steps: [{{weight: 5}}]}}}}}}}}"
        ))
        .unwrap()
    }

    #[test]
    fn back_is_what_was_live_before() {
        let back =
            |target, stable| before_that(&rollout(target, ""), &status(stable)).map(|found| found.name);
        assert_eq!(back("v4", "v3").unwrap(), "v3", "a run, or a failed one: stable");
        assert_eq!(back("v3", "v3").unwrap(), "v2", "what stable replaced");
        assert_eq!(back("v2", "v2").unwrap(), "v1", "also where that was some runs ago");
        assert!(back("v9", "v9").unwrap_err().to_string().contains("nothing is known"));
        assert!(before_that(&rollout("v1", ""), &RolloutStatus::default()).is_err());
    }

    #[test]
    fn a_run_that_failed_is_none_to_go_back_to() {
        assert_eq!(live_by(&status("v3"), 1).unwrap().name, "v2");
        assert!(live_by(&status("v3"), 3).unwrap_err().to_string().contains("AnalysisFailed"));
        assert!(live_by(&status("v3"), 9).unwrap_err().to_string().contains("no run 9"));
    }

    #[test]
    fn the_way_is_told() {
        let now = Timestamp::from_second(3 * 3_600).unwrap();
        let window = "rollbackWindow: {within: 24h},";
        let way = |window: &str, back: &str| {
            way_back(&rollout("v3", window).spec, &status("v3"), &target(back), now)
        };
        assert!(way("", "v3").contains("has all traffic already"), "no run is under way");
        assert!(way("", "v2").contains("no rollbackWindow"));
        assert!(way(window, "v2").contains("one step to 100%"));
        assert!(way(window, "v1").contains("by the steps of the plan"), "only one version counts");
        assert!(way("rollbackWindow: {within: 30m},", "v2").contains("by the steps of the plan"));
        let mut unknown = status("v3");
        unknown.history[1].stable.hash = None;
        let told = way_back(&rollout("v3", window).spec, &unknown, &target("v2"), now);
        assert!(told.contains("what its pods were is not known"), "{told}");
    }
}
