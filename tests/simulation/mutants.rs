//! Faults that are planted on purpose, one at a time: the simulator has to find each of them.

use std::{collections::BTreeSet, sync::Arc};

use json_patch::{Patch, PatchOperation};
use tidegate::{
    api::{RolloutSpec, RolloutStatus, Run, SpelledStamp, Stamp},
    engine::{
        decision::{Decision, Effect, Fence, PreviewChange, Purpose, RouteWrite, StampChange},
        observed::{
            InEffect, MirrorSeen, Observed, RouteSeen, RouteState, RouteView, Scaler, Subject, WorkloadKey,
            WorkloadSeen,
        },
        template,
    },
};

use crate::{
    faults::Fault,
    shapes::{Rules, Shape},
    verdict,
    world::Case,
};

/// What is wrong with the controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A raise does not test resourceVersion.
    RaiseWithoutVersion,
    /// A lowering leaves no abort mark.
    NoAbortMark,
    /// The routes are lowered one after another.
    LowersOneAfterAnother,
    /// A lowering waits for the status write beside it.
    LoweringWaitsForStatus,
    /// A claim tests nothing, so that two claimants may interleave over two routes.
    UnconditionalClaim,
    /// The routes are raised before the intent is stored.
    IntentAfterRoute,
    /// A metric that is no number passes.
    NanPasses,
    /// A metrics backend that is down counts as traffic without an error.
    OutagePasses,
    /// A process takes whatever epoch it sees for its own.
    EpochIgnored,
    /// The hold goes on while nobody watches.
    HoldFromMemory,
    /// The weights are written to the wrong entries.
    WrongIndex,
    /// Of two routes only the first is lowered.
    OneRouteLowered,
    /// What was refused because something had changed is written all the same.
    Forced,
    /// Status is stored whatever was stored meanwhile.
    StatusUnconditional,
    /// A weight counts as in effect as soon as it is written.
    EvidenceIgnored,
    /// A preview counts as in effect as soon as it is made.
    PreviewEvidenceIgnored,
    /// A raise gives the canary more than the step says.
    StepSkipped,
    /// An abort is not looked at.
    AbortIgnored,
    /// A process that has just started takes the epoch that it finds for its own.
    EpochTakenOver,
    /// A lowering tests resourceVersion, so that any other write delays it.
    LoweringTestsVersion,
    /// A target without a ready pod is given traffic.
    ReadinessIgnored,
    /// A write touches what is not ours.
    TouchesOthers,
    /// Stamps are written with the epoch before.
    StaleEpoch,
    /// What a newer version of the controller keeps is taken for this one's.
    NewerIgnored,
    /// Of the lists of one object only the first is lowered.
    OneListLowered,
    /// A lowering does not test that the rule is the one that was meant.
    RuleUntested,
    /// While a process has a turn of one Rollout, no other gets one.
    TurnsOneByOne,
    /// While a process asks the metrics for one Rollout, it asks for no other.
    LooksOneByOne,
    /// A route that refuses the writes for one Rollout is left alone for all.
    RefusalForAll,
    /// Whose a rule is is asked before a run, and no more once its intent is stored.
    OwnerIgnored,
    /// Another Rollout's stamp on the object is taken for one's own.
    StampOfAnother,
    /// A preview stays when its run is over.
    PreviewKept,
    /// A preview takes everybody's requests.
    PreviewAsksNothing,
    /// Whatever stands in a preview's place is taken for ours.
    PreviewTaken,
    /// A workload is scaled whatever it wants by now.
    ScaledWhateverIs,
    /// What scales a workload besides is not looked at.
    ScalerIgnored,
    /// What another Rollout uses is scaled down as well.
    UsedRetired,
    /// A version is scaled down although it is live.
    LiveRetired,
    /// A run takes no notice of a scaling down that may still be on its way.
    RetiredForgotten,
    /// Nothing is ever scaled down.
    NeverRetires,
    /// A run is judged by its template as it is now.
    TemplateFollowed,
    /// A gate that says nothing agrees.
    SilenceIsYes,
    /// A gate that says nothing refuses.
    SilenceIsNo,
    /// A notice is done with as soon as it is noted.
    NoticeUnsent,
    /// A notice is noted after what it tells of.
    NoticeAfterwards,
    /// A lowering that is refused is not told.
    RefusalUntold,
    /// A mirror stays when its run is ended.
    MirrorKept,
    /// A mirror copies more than the step says.
    MirrorTooGreat,
    /// A mirror is taken for there although it is not.
    MirrorImagined,
}

impl Mutant {
    pub const ALL: [Self; 49] = [
        Self::RaiseWithoutVersion,
        Self::NoAbortMark,
        Self::LowersOneAfterAnother,
        Self::LoweringWaitsForStatus,
        Self::UnconditionalClaim,
        Self::IntentAfterRoute,
        Self::NanPasses,
        Self::OutagePasses,
        Self::EpochIgnored,
        Self::HoldFromMemory,
        Self::WrongIndex,
        Self::OneRouteLowered,
        Self::Forced,
        Self::StatusUnconditional,
        Self::EvidenceIgnored,
        Self::PreviewEvidenceIgnored,
        Self::StepSkipped,
        Self::AbortIgnored,
        Self::EpochTakenOver,
        Self::LoweringTestsVersion,
        Self::ReadinessIgnored,
        Self::TouchesOthers,
        Self::StaleEpoch,
        Self::NewerIgnored,
        Self::OneListLowered,
        Self::RuleUntested,
        Self::TurnsOneByOne,
        Self::LooksOneByOne,
        Self::RefusalForAll,
        Self::OwnerIgnored,
        Self::StampOfAnother,
        Self::PreviewKept,
        Self::PreviewAsksNothing,
        Self::PreviewTaken,
        Self::ScaledWhateverIs,
        Self::ScalerIgnored,
        Self::UsedRetired,
        Self::LiveRetired,
        Self::RetiredForgotten,
        Self::NeverRetires,
        Self::TemplateFollowed,
        Self::SilenceIsYes,
        Self::SilenceIsNo,
        Self::NoticeUnsent,
        Self::NoticeAfterwards,
        Self::RefusalUntold,
        Self::MirrorKept,
        Self::MirrorTooGreat,
        Self::MirrorImagined,
    ];
}

impl Mutant {
    /// The rule that it must be found by, where not any will do.
    pub fn rule(self) -> Option<&'static str> {
        match self {
            Self::PreviewKept => Some("L1"),
            Self::RefusalUntold => Some("L5"),
            Self::PreviewAsksNothing | Self::PreviewTaken => Some("S4"),
            Self::ScaledWhateverIs => Some("W3"),
            Self::ScalerIgnored => Some("W2"),
            Self::UsedRetired | Self::LiveRetired | Self::RetiredForgotten => Some("W1"),
            Self::NeverRetires => Some("L2"),
            Self::TemplateFollowed => Some("S5"),
            Self::SilenceIsYes | Self::SilenceIsNo => Some("G1"),
            Self::NoticeUnsent | Self::NoticeAfterwards => Some("N1"),
            _ => None,
        }
    }

    /// The world of a seed in which it is looked for. What shows only where one certain thing happens is looked for where it
    /// does.
    pub fn case(self, seed: u64) -> Case {
        // Rules that list the same versions are on few worlds' routes.
        let has_two = |seed: &u64| Shape::of_seed(*seed)[0].rules == Rules::Named;
        let seed = match self {
            Self::RuleUntested => (seed * 100..seed * 100 + 100).find(has_two).unwrap_or(seed),
            _ => seed,
        };
        let case = verdict::case(seed);
        let faults: &[Fault] = match self {
            Self::RuleUntested => &[Fault::PeopleReorder, Fault::PeopleAbort, Fault::Delays],
            Self::EvidenceIgnored | Self::PreviewEvidenceIgnored => &[Fault::ClocksDiffer],
            Self::TurnsOneByOne => &[Fault::LosesRequests, Fault::LosesReplies, Fault::Delays],
            Self::LooksOneByOne => &[Fault::LosesMetrics],
            Self::RefusalForAll => &[Fault::AdmissionRefuses, Fault::PeopleSetWeights],
            Self::RefusalUntold => &[Fault::AdmissionRefuses, Fault::PeopleAbort],
            Self::PreviewTaken => &[Fault::PeopleTouchPreviews],
            Self::ScaledWhateverIs => &[Fault::PeopleScale, Fault::Delays],
            Self::ScalerIgnored => &[Fault::ScalersChange],
            Self::TemplateFollowed => &[Fault::TemplatesChange],
            Self::RetiredForgotten => &[Fault::Delays, Fault::PeopleChangeTarget, Fault::PeopleAbort],
            _ => &[],
        };
        Case { faults: faults.iter().fold(case.faults, |faults, fault| faults.with(*fault)), ..case }
    }
}

fn take_for_effective<'a>(routes: impl Iterator<Item = &'a mut RouteSeen>) {
    for route in routes {
        if let RouteState::Present(view) = &mut route.state {
            Arc::make_mut(view).in_effect = InEffect::Yes;
        }
    }
}

/// What a faulty process makes of what it sees.
pub fn tamper_sight(mutant: Option<Mutant>, seen: &mut Observed) {
    crate::outside::tamper(mutant, seen);
    match mutant {
        Some(Mutant::EvidenceIgnored) => take_for_effective(seen.routes.iter_mut()),
        Some(Mutant::PreviewEvidenceIgnored) => {
            take_for_effective(seen.previews.iter_mut().map(|preview| &mut preview.seen));
        }
        Some(Mutant::OwnerIgnored) => {
            let over = |run: &Run| run.ended.as_ref().is_some_and(|ended| ended.settled);
            if seen.stored.run.as_ref().is_some_and(|run| !over(run)) {
                seen.others.clear();
            }
        }
        Some(Mutant::StampOfAnother) => {
            let Observed { subject, routes, .. } = seen;
            for route in routes {
                if let RouteState::Present(view) = &mut route.state {
                    take_others_stamp(Arc::make_mut(view), subject);
                }
            }
        }
        Some(Mutant::AbortIgnored) => seen.subject.abort = None,
        Some(Mutant::MirrorImagined) => imagine_mirrors(seen),
        Some(Mutant::PreviewTaken) => {
            let own = seen.routes.iter().find_map(|route| route.view()?.stamp_of(&seen.subject)).cloned();
            for preview in &mut seen.previews {
                if let (RouteState::Present(view), Some(own)) = (&mut preview.seen.state, &own) {
                    Arc::make_mut(view).stamps.insert(seen.subject.name.clone(), own.clone().into());
                }
            }
        }
        Some(Mutant::ScalerIgnored) => {
            for workload in seen.workloads.values_mut() {
                if let WorkloadSeen::Present(pods) = workload {
                    pods.scaler = Scaler::None;
                }
            }
        }
        Some(Mutant::UsedRetired) => seen.in_use = seen.in_use.as_ref().map(|_| BTreeSet::new()),
        Some(Mutant::ReadinessIgnored) => {
            for workload in seen.workloads.values_mut() {
                if let WorkloadSeen::Present(pods) = workload {
                    pods.ready = 1;
                }
            }
        }
        _ => {}
    }
}

/// Each list copies to the canary what the step does.
fn imagine_mirrors(seen: &mut Observed) {
    let stored = Arc::clone(&seen.stored);
    let Some((run, canary)) = stored.run.as_ref().zip(stored.canary.as_ref()) else { return };
    let step = run.step(stored.step.as_ref().map_or(0, |step| step.index));
    let Some(percent) = step.and_then(|step| step.mirror) else { return };
    for route in &mut seen.routes {
        let RouteState::Present(view) = &mut route.state else { continue };
        for mirrors in Arc::make_mut(view).lists.iter_mut().filter_map(|list| list.mirrors.as_mut()) {
            mirrors.entries = vec![MirrorSeen {
                index: 0,
                name: canary.name.clone(),
                port: None,
                millionths: i64::from(percent.percent()) * 10_000,
                raw: serde_json::json!({}).into(),
            }];
        }
    }
}

/// The stamp that comes last of all is one's own.
fn take_others_stamp(view: &mut RouteView, subject: &Subject) {
    let last = view.stamps.values().next_back().and_then(SpelledStamp::says);
    if let Some(last) = last.cloned() {
        let own = Stamp { uid: subject.uid.clone(), ..last };
        view.stamps.insert(subject.name.clone(), own.into());
    }
}

/// What a faulty process makes of a decision.
pub fn tamper(mutant: Option<Mutant>, decision: &mut Decision) {
    let Some(mutant) = mutant else { return };
    if mutant == Mutant::OneRouteLowered {
        let mut lowered = false;
        decision.effects.retain(|effect| !effect.lowers() || !std::mem::replace(&mut lowered, true));
        if lowered {
            // It takes the rest for done.
            let mut after: RolloutStatus = (*decision.after).clone();
            if let Some(ended) = after.run.as_mut().and_then(|run| run.ended.as_mut()) {
                ended.settled = true;
            }
            decision.after = Arc::new(after);
            decision.store = true;
        }
    }
    if mutant == Mutant::RefusalUntold {
        let after = Arc::make_mut(&mut decision.after);
        for told in after.conditions.iter_mut().filter(|condition| condition.reason == "RouteRefused") {
            "True".clone_into(&mut told.status);
        }
    }
    if mutant == Mutant::NoticeAfterwards
        && let Some(before) = &mut decision.before
    {
        Arc::make_mut(before).notices.clear();
    }
    let removes = |effect: &Effect| match effect {
        Effect::Preview(write) => matches!(write.change, PreviewChange::Remove(_)),
        _ => false,
    };
    if mutant == Mutant::NeverRetires {
        decision.effects.retain(|effect| !matches!(effect, Effect::Scale(write) if write.to < write.from));
    }
    if mutant == Mutant::PreviewKept {
        decision.effects.retain(|effect| !removes(effect));
    }
    let live = decision.after.stable.as_ref().map(|stable| WorkloadKey::deployment(stable.name.clone()));
    for effect in &mut decision.effects {
        match (mutant, effect) {
            (_, Effect::Write(write)) => tamper_write(mutant, write),
            (Mutant::PreviewAsksNothing, Effect::Preview(write)) => {
                if let PreviewChange::Create(content) | PreviewChange::Replace { content, .. } =
                    &mut write.change
                {
                    content.matching.headers.clear();
                }
            }
            (Mutant::LiveRetired, Effect::Scale(write)) if write.to < write.from => {
                write.workload = live.clone().unwrap_or(write.workload.clone());
            }
            _ => {}
        }
    }
}

/// Puts the template as it is now into a run that is under way.
pub fn follow_template(spec: &RolloutSpec, seen: &Observed, decision: &mut Decision) {
    let now = template::analysis(spec, &seen.template).ok().flatten().map(|now| Arc::new(now.into_owned()));
    for status in decision.before.iter_mut().chain([&mut decision.after]) {
        if now.is_some()
            && status.run.as_ref().is_some_and(|run| run.ended.is_none() && run.analysis != now)
            && let Some(run) = &mut Arc::make_mut(status).run
        {
            run.analysis.clone_from(&now);
        }
    }
}

fn tamper_write(mutant: Mutant, write: &mut RouteWrite) {
    match (mutant, write.purpose, &mut write.stamp) {
        (Mutant::NoAbortMark, Purpose::Lower, StampChange::Set(_, stamp)) => stamp.aborted = false,
        (Mutant::LoweringTestsVersion, Purpose::Lower, _) => write.fence = Fence::Unchanged,
        (Mutant::OneListLowered, Purpose::Lower, _) => write.weights.retain(|(place, _)| place.list == 0),
        (Mutant::StaleEpoch, Purpose::Claim | Purpose::Raise, StampChange::Set(_, stamp)) => {
            stamp.epoch = (stamp.epoch - 1).max(1);
        }
        (Mutant::WrongIndex, Purpose::Raise, _) => {
            for (place, _) in &mut write.weights {
                place.entry = (place.entry + 1) % write.view.lists[place.list].entries.len();
            }
        }
        (Mutant::MirrorKept, Purpose::Lower, _) => write.mirrors.clear(),
        (Mutant::MirrorTooGreat, Purpose::Raise, _) => {
            for change in write.mirrors.iter_mut().filter(|change| change.percent > 0) {
                change.percent = (change.percent + 7).min(100);
            }
        }
        (Mutant::StepSkipped, Purpose::Raise, _) => {
            for (_, weight) in &mut write.weights {
                *weight = if *weight < 50 { *weight + 20 } else { *weight - 20 };
            }
        }
        _ => {}
    }
}

/// What a faulty process sends.
pub fn tamper_patch(mutant: Option<Mutant>, write: &RouteWrite, mut patch: Patch) -> Patch {
    let is_version = |operation: &PatchOperation| match operation {
        PatchOperation::Test(test) => test.path.as_str() == "/metadata/resourceVersion",
        _ => false,
    };
    match (mutant, write.purpose) {
        (Some(Mutant::RaiseWithoutVersion), Purpose::Raise) => patch.0.retain(|op| !is_version(op)),
        (Some(Mutant::UnconditionalClaim), Purpose::Claim) => patch = forced(patch),
        (Some(Mutant::RuleUntested), Purpose::Lower) => {
            let rules: Vec<&String> =
                write.view.lists.iter().filter_map(|list| list.rule_field.as_ref()).collect();
            patch.0.retain(|op| match op {
                PatchOperation::Test(test) => rules.iter().all(|field| field.as_str() != test.path.as_str()),
                _ => true,
            });
        }
        (Some(Mutant::TouchesOthers), Purpose::Claim) => {
            let more =
                serde_json::json!([{"op": "add", "path": "/metadata/labels", "value": {"ours": "now"}}]);
            let more: Patch = serde_json::from_value(more).unwrap();
            patch.0.extend(more.0);
        }
        _ => {}
    }
    patch
}

/// A patch that is taken whatever has changed.
pub fn forced(mut patch: Patch) -> Patch {
    patch.0.retain(|operation| !matches!(operation, PatchOperation::Test(_)));
    patch
}

/// The stamp that a write sets.
pub fn stamp_of(write: &RouteWrite) -> Option<&Stamp> {
    match &write.stamp {
        StampChange::Set(_, stamp) => Some(stamp),
        StampChange::Keep(_) | StampChange::Remove(_) => None,
    }
}
