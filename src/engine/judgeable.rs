//! What an analysis must have so that it can judge every step. What a template has is known when a run starts.

use crate::api::{
    Analysis, Approval, BlueGreen, Canary, CanaryStep, Gates, Preset, Stage, StepAnalysis, Strategy,
    units::Weight,
};

/// Why an analysis can't judge what the strategy asks it to, in a sentence with the remedy.
pub(super) fn refuse(analysis: Option<&Analysis>, strategy: &Strategy) -> Option<String> {
    let canary = strategy.canary.iter();
    let mut of_steps =
        canary.flat_map(|canary| &canary.steps).filter_map(|step| Some((step, step.analysis.as_ref()?)));
    let Some(analysis) = analysis else {
        return of_steps
            .next()
            .map(|_| "a step's analysis adds to spec.analysis, which must be given".to_owned());
    };
    if analysis.is_only_named() {
        return None;
    }
    if analysis.judges_nothing() {
        return Some(
            "spec.analysis must name at least one of errorRate, latency and metrics, or a templateRef; leave it out to step \
             by holds alone"
                .to_owned(),
        );
    }
    of_steps
        .find_map(|(step, own)| refuse_step(analysis, step, own))
        .or_else(|| refuse_mirror(analysis, strategy.canary.as_ref()?))
        .or_else(|| refuse_switch(analysis, strategy.blue_green.as_ref()?))
}

fn refuse_step(analysis: &Analysis, step: &CanaryStep, own: &StepAnalysis) -> Option<String> {
    if analysis.series.is_none() && (own.error_rate.is_some() || !own.latency.is_empty()) {
        return Some(
            "a step judges errorRate or latency, and the analysis has no series to find the counters by; give it series"
                .to_owned(),
        );
    }
    let compared = |under| analysis.latency.iter().any(|known| known.under.span() == under);
    let rate =
        own.error_rate.as_ref().is_some_and(|rate| rate.max.is_none() && analysis.error_rate.is_none());
    let slow = own.latency.iter().any(|bound| bound.max.is_none() && !compared(bound.under.span()));
    (step.weight == Some(Weight::FULL) && (rate || slow)).then(|| {
        "at weight 100 there is nothing to compare the canary with but what stable had before: give what only that step \
         judges a max, or judge it in the analysis of all steps"
            .to_owned()
    })
}

/// What gets copies can only be judged by who counts them.
fn refuse_mirror(analysis: &Analysis, canary: &Canary) -> Option<String> {
    let series = analysis.series.as_ref()?;
    let preset = series.preset?;
    let counts = match preset {
        Preset::TidegateGateway | Preset::AppmeshEnvoy => true,
        Preset::Istio => series.params.get("reporter").is_some_and(|reporter| reporter == "waypoint"),
        Preset::Linkerd | Preset::AppmeshExtension | Preset::Alb | Preset::VpcLattice => false,
    };
    let mirrors = canary.steps.iter().any(|step| step.mirror.is_some());
    (mirrors && !counts).then(|| {
        "spec.analysis.series: what this preset reads does not count copies of requests, so that nothing would be known in a step \
         with mirror: leave those steps out, or give counters that do (of istio, those with the param reporter: waypoint)"
            .to_owned()
    })
}

/// Before the switch nothing has the target's traffic to be compared with, and without such a stage nothing is known of
/// stable to judge the target by after it.
fn refuse_switch(analysis: &Analysis, blue_green: &BlueGreen) -> Option<String> {
    let decided = |before: &Stage| {
        before.approval == Some(Approval::Required) || before.gates.as_ref().is_some_and(Gates::decide)
    };
    let by_others = blue_green.before.as_ref().is_some_and(decided);
    let levels = analysis.error_rate.iter().any(|rate| rate.max.is_some())
        || analysis.latency.iter().any(|latency| latency.max.is_some());
    let applicable = blue_green.before.is_some() == blue_green.preview.is_some();
    let judged = by_others || !analysis.metrics.is_empty() || (levels && applicable);
    (!judged).then(|| {
        "spec.strategy.blueGreen: before the switch there is nothing to compare the target with: give analysis.metrics, an \
         errorRate or latency with max (which before judges on a preview), before.approval, or a gate during or after it"
            .to_owned()
    })
}
