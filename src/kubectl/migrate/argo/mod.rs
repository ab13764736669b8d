//! A Rollout of Argo Rollouts as one of ours.

mod analysis;
mod arguments;
mod blue_green;
mod canary;
mod known;
mod traffic;
mod types;

use std::time::Duration as Span;

use analysis::Gatherer;
use arguments::Parties;
use canary::{Reader, to_all_steps};
use traffic::Routed;

use super::{
    Error,
    draft::{Draft, target, workload},
    ledger::Ledger,
    metrics::{analysis as analysis_of, fitting, united},
    source::{Fault, Object, Source, Typed},
    steps,
    values::{placeholder, seconds},
};
use crate::api::{OnDeadline, PlainMetric, Retire, RollbackWindow, RolloutSpec, Strategy, units::Duration};

/// The group of Argo's objects.
pub(super) const GROUP: &str = "argoproj.io";
/// The version that is read.
const VERSION: &str = "argoproj.io/v1alpha1";
/// For how long a return counts, which Argo does not ask.
const WITHIN: Span = Span::from_hours(24);
/// How many former versions a window counts at most.
const MOST_VERSIONS: i64 = 10;

/// Turns a Rollout into one of ours.
pub(super) fn migrate(source: &Source, object: &Object) -> Result<Draft, Error> {
    object.of_version(VERSION)?;
    let typed: Typed<types::RolloutSpec> = object.typed()?;
    convert(source, object, typed).map_err(|fault| object.refuse(&fault))
}

fn convert(source: &Source, object: &Object, typed: Typed<types::RolloutSpec>) -> Result<Draft, Fault> {
    let Typed { metadata, spec } = typed;
    let mut ledger = Ledger::default();
    let (strategy, routed, metrics) = match (&spec.strategy.canary, &spec.strategy.blue_green) {
        (Some(canary), None) => of_canary(source, object, canary, &mut ledger)?,
        (None, Some(blue_green)) => of_blue_green(source, object, blue_green, &mut ledger)?,
        (Some(_), Some(_)) | (None, None) => {
            return Err(Fault::new("spec.strategy", "it must have either canary or blueGreen"));
        }
    };
    let name = &metadata.name;
    let (stable, canary) = (stable_of(&routed), canary_of(&routed));
    tell_versions(source, &routed, &mut ledger);
    let ours = RolloutSpec {
        target: target(canary, None, Some(workload(placeholder(&format!("deployment-of-the-next-{name}"))))),
        stable: Some(target(
            stable,
            None,
            Some(workload(placeholder(&format!("deployment-of-the-live-{name}")))),
        )),
        rollback_window: window(&spec, &mut ledger),
        retire: retire(&spec, &mut ledger),
        analysis: analysis_of(metrics, None, None, vec![]),
        progress_deadline: steps::deadline(spec.progress_deadline_seconds, &strategy, &mut ledger),
        on_deadline: on_deadline(&spec, &mut ledger),
        routes: routed.routes,
        strategy,
        suspend: true,
    };
    ledger.settle("spec", &object.value["spec"], known::OF_ROLLOUT);
    let namespace = metadata.namespace.or(routed.namespace);
    Ok(Draft { name: metadata.name, namespace, spec: ours, ledger })
}

type Converted = (Strategy, Routed, Vec<PlainMetric>);

fn of_canary(
    source: &Source,
    object: &Object,
    canary: &types::Canary,
    ledger: &mut Ledger,
) -> Result<Converted, Fault> {
    let routed = traffic::of_canary(source, object, canary, ledger)?;
    let parties = Parties { stable: vec![stable_of(&routed)], canary: vec![canary_of(&routed)] };
    let mut gatherer = Gatherer::new(source, object, parties);
    let beside = match &canary.analysis {
        Some(analysis) => gatherer.gather(analysis, "spec.strategy.canary.analysis", false, ledger)?.metrics,
        None => vec![],
    };
    let of = canary.traffic_routing.as_ref().and_then(|routing| routing.max_traffic_weight).unwrap_or(100);
    if of < 1 {
        let field = "spec.strategy.canary.trafficRouting.maxTrafficWeight";
        return Err(Fault::new(field, format!("{of} is no sum of weights; it must be at least 1")));
    }
    if canary.traffic_routing.as_ref().is_some_and(|routing| routing.max_traffic_weight.is_some()) {
        ledger.carried("spec.strategy.canary.trafficRouting.maxTrafficWeight");
    }
    let mut drafts = Reader::new(&mut gatherer, routed.matches(), of, ledger).read(canary)?;
    gatherer.settle(ledger);
    let all = if beside.is_empty() { to_all_steps(&mut drafts, ledger) } else { beside };
    let metrics = fitting(united(all, &[]), false, ledger);
    let canary = steps::canary(drafts, &metrics, canary::STEPS, ledger);
    Ok((Strategy { canary: Some(canary), blue_green: None }, routed, metrics))
}

fn of_blue_green(
    source: &Source,
    object: &Object,
    theirs: &types::BlueGreen,
    ledger: &mut Ledger,
) -> Result<Converted, Fault> {
    const AT: &str = "spec.strategy.blueGreen";
    if !theirs.active_service.is_empty() {
        ledger.carried(format!("{AT}.activeService"));
    }
    if theirs.preview_service.is_some() {
        ledger.carried(format!("{AT}.previewService"));
    }
    ledger.ask(
        "spec.routes",
        "the switch is made there by the selector of a Service; name the route before it, with one entry for each version",
    );
    let stable = Some(theirs.active_service.clone()).filter(|name| !name.is_empty());
    let routed = Routed {
        routes: traffic::unknown_route(),
        stable,
        canary: theirs.preview_service.clone(),
        namespace: None,
    };
    let parties = Parties { stable: vec![stable_of(&routed)], canary: vec![canary_of(&routed)] };
    let mut gatherer = Gatherer::new(source, object, parties);
    let (blue_green, found) = blue_green::convert(theirs, &mut gatherer, ledger)?;
    gatherer.settle(ledger);
    let metrics = fitting(united(found, &[]), false, ledger);
    Ok((Strategy { canary: None, blue_green: Some(blue_green) }, routed, metrics))
}

fn stable_of(routed: &Routed) -> String {
    routed.stable.clone().unwrap_or_else(|| placeholder("live-version"))
}

fn canary_of(routed: &Routed) -> String {
    routed.canary.clone().unwrap_or_else(|| placeholder("next-version"))
}

/// What a person has to do about the versions, and the Services of these files that go with them.
fn tell_versions(source: &Source, routed: &Routed, ledger: &mut Ledger) {
    ledger.ask(
        "spec.target",
        "give each version a Deployment and a Service of its own, with names of their own, and put them in place of these \
         names: Argo's one Deployment with revisions does not exist here, and a release changes spec.target",
    );
    ledger.ask(
        "spec.suspend",
        "true, so that nothing is written to any route yet. Let target name what is live, take suspend out, and see the \
         Rollout Healthy; only then let target name the next version, which starts a run",
    );
    for name in [&routed.stable, &routed.canary].into_iter().flatten() {
        if source.find("", "Service", name).is_some() {
            ledger.ask(
                format!("Service/{name}"),
                "while Argo runs it adds rollouts-pod-template-hash to the selector; a version's own Service selects by a label \
                 that only that version's pods have",
            );
        }
    }
}

fn window(spec: &types::RolloutSpec, ledger: &mut Ledger) -> Option<RollbackWindow> {
    const FIELD: &str = "spec.rollbackWindow.revisions";
    let revisions = spec.rollback_window.as_ref()?.revisions?;
    if revisions < 1 {
        ledger.lost(FIELD, "no former version counts by it; without rollbackWindow that is so");
        return None;
    }
    ledger.carried(FIELD);
    let versions = i32::try_from(revisions.min(MOST_VERSIONS)).unwrap_or(1);
    let within = Duration::of(WITHIN);
    ledger.differs(
        FIELD,
        format!(
            "of {revisions} former versions {versions} count here, and only for {within} after they were replaced, which is \
             chosen here; they must have the same pod template as then, and a return is one step to 100"
        ),
    );
    Some(RollbackWindow { versions, within })
}

fn retire(spec: &types::RolloutSpec, ledger: &mut Ledger) -> Option<Retire> {
    let canary = spec.strategy.canary.as_ref().and_then(|canary| canary.scale_down_delay_seconds);
    let blue_green =
        spec.strategy.blue_green.as_ref().and_then(|blue_green| blue_green.scale_down_delay_seconds);
    let (field, given) = match (canary, blue_green) {
        (Some(given), _) => ("spec.strategy.canary.scaleDownDelaySeconds", given),
        (None, Some(given)) => ("spec.strategy.blueGreen.scaleDownDelaySeconds", given),
        (None, None) => {
            ledger.differs(
                "spec.retire",
                "an old version is scaled down there by itself; here it keeps its replicas unless retire is given",
            );
            return None;
        }
    };
    ledger.carried(field);
    ledger.ask(field, "scaling: true in the controller's configuration, and `tidegate rbac --scaling`");
    let after = seconds(given).unwrap_or_else(|| {
        ledger.differs(field, format!("{given} is no time; here it is 1s"));
        Duration::of(Span::from_secs(1))
    });
    Some(Retire { after, scale_to: 0 })
}

fn on_deadline(spec: &types::RolloutSpec, ledger: &mut Ledger) -> OnDeadline {
    if spec.progress_deadline_abort.is_some() {
        ledger.carried("spec.progressDeadlineAbort");
    }
    if spec.progress_deadline_abort == Some(true) {
        return OnDeadline::Rollback;
    }
    ledger.differs(
        "spec.progressDeadlineAbort",
        "without it a rollout that is late is told and goes on there; here the run pauses then, and waits for a person",
    );
    OnDeadline::Pause
}
