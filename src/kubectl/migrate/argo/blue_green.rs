//! Blue/green, from Argo's switch of a Service's selector to a switch of a route.

use std::time::Duration as Span;

use super::{
    super::{
        ledger::Ledger,
        metrics::Found,
        source::Fault,
        steps::default_hold,
        values::{duration, seconds},
    },
    analysis::Gatherer,
    types::{BlueGreen, RolloutAnalysis},
};
use crate::api::{Approval, BlueGreen as Ours, Scale, Stage};

const AT: &str = "spec.strategy.blueGreen";

/// Blue/green as ours, and what it measures.
pub(super) fn convert(
    theirs: &BlueGreen,
    gatherer: &mut Gatherer<'_>,
    ledger: &mut Ledger,
) -> Result<(Ours, Vec<Found>), Fault> {
    let mut found = vec![];
    let before = measured(
        theirs.pre_promotion_analysis.as_ref(),
        "prePromotionAnalysis",
        gatherer,
        ledger,
        &mut found,
    )?;
    // The Service that was blue's is green's after the switch, and none is blue's.
    let switched = &mut gatherer.parties;
    switched.canary.append(&mut switched.stable);
    let after = measured(
        theirs.post_promotion_analysis.as_ref(),
        "postPromotionAnalysis",
        gatherer,
        ledger,
        &mut found,
    )?;
    if !found.is_empty() && (before.is_none() || after.is_none()) {
        ledger.differs(
            AT,
            "what is measured before or after the switch alone there is measured in both stages here",
        );
    }
    let stage = Stage {
        hold: after.and_then(duration).unwrap_or_else(default_hold),
        max_hold: None,
        approval: None,
        gates: None,
    };
    ledger.differs(
        AT,
        format!(
            "the run is over there with the switch; here the target is watched with all traffic for {}, and put back if it fails",
            stage.hold
        ),
    );
    let ours = Ours {
        preview: None,
        scale: scale(theirs, ledger),
        before: stage_before(theirs, before, ledger),
        after: stage,
    };
    Ok((ours, found))
}

/// How long an analysis takes, where there is one.
fn measured(
    analysis: Option<&RolloutAnalysis>,
    field: &str,
    gatherer: &mut Gatherer<'_>,
    ledger: &mut Ledger,
    found: &mut Vec<Found>,
) -> Result<Option<Span>, Fault> {
    let Some(analysis) = analysis else { return Ok(None) };
    let all = gatherer.gather(analysis, &format!("{AT}.{field}"), true, ledger)?;
    found.extend(all.metrics);
    Ok(Some(all.takes))
}

/// The stage before the switch: there is one where something is waited for.
fn stage_before(theirs: &BlueGreen, measured: Option<Span>, ledger: &mut Ledger) -> Option<Stage> {
    let approval = theirs.auto_promotion_enabled == Some(false);
    if theirs.auto_promotion_enabled.is_some() {
        ledger.carried(format!("{AT}.autoPromotionEnabled"));
    }
    let field = format!("{AT}.autoPromotionSeconds");
    let delay = theirs.auto_promotion_seconds.and_then(seconds).map(|delay| delay.span());
    let delay = match (theirs.auto_promotion_seconds, approval) {
        (None, _) => None,
        (Some(_), true) => {
            ledger.lost(field, "there it has no effect beside autoPromotionEnabled: false");
            None
        }
        (Some(_), false) => {
            ledger.carried(field);
            delay
        }
    };
    if !approval && delay.is_none() && measured.is_none() {
        return None;
    }
    let hold = delay.into_iter().chain(measured).max().and_then(duration).unwrap_or_else(default_hold);
    if delay.is_none() && measured.is_none_or(|measured| measured.is_zero()) {
        ledger.differs(
            AT,
            format!("before the switch the target is watched for {hold} here, the default hold"),
        );
    }
    Some(Stage { hold, max_hold: None, approval: approval.then_some(Approval::Required), gates: None })
}

fn scale(theirs: &BlueGreen, ledger: &mut Ledger) -> Option<Scale> {
    let replicas = theirs.preview_replica_count?;
    let field = format!("{AT}.previewReplicaCount");
    if replicas < 1 {
        ledger.lost(field, "the target needs one ready pod at least before the switch");
        return None;
    }
    ledger.carried(&field);
    ledger.ask(&field, "scaling: true in the controller's configuration, and `tidegate rbac --scaling`");
    ledger.differs(
        field,
        "there the target grows to full size before it gets the traffic; here it has so many at least: give it its full \
         size, in its Deployment or as scale: {ofStable: 100}",
    );
    Some(Scale { replicas: Some(replicas), of_stable: None })
}
