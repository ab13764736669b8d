//! The steps of a canary, put together: one default hold, and no more steps than the API takes.

use std::time::Duration as Span;

use super::{
    ledger::Ledger,
    metrics::{Found, fitting, united},
    values::{duration, seconds},
};
use crate::api::{
    Approval, Canary, CanaryStep, HeaderMatch, PlainMetric, RequestMatch, Scale, StepAnalysis, Strategy,
    units::{Duration, Weight, spell},
};

/// How many steps the API takes.
const MOST: usize = 20;

/// A step that is still being put together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Draft {
    /// The field that it comes from.
    pub(super) field: String,
    /// The share.
    pub(super) weight: Weight,
    /// How many requests are copied to the canary, in place of a share.
    pub(super) mirror: Option<Weight>,
    /// Which requests go to the canary, in place of a share.
    pub(super) matching: Option<RequestMatch>,
    /// How long it is watched; nothing: no time is said.
    pub(super) hold: Span,
    /// Whether a person must agree.
    pub(super) approval: bool,
    /// How many replicas it needs.
    pub(super) scale: Option<Scale>,
    /// What is measured in this step alone.
    pub(super) metrics: Vec<Found>,
}

/// The default hold where nothing else is said.
pub(super) fn default_hold() -> Duration {
    Duration::of(Span::from_mins(5))
}

/// The longest time that a step or stage of a strategy may wait for proof: three of its holds.
fn longest_wait(strategy: &Strategy) -> Span {
    let canary = strategy.canary.iter().flat_map(|canary| {
        let own = canary.steps.iter().filter_map(|step| step.hold.as_ref());
        own.chain([&canary.hold])
    });
    let stages = strategy.blue_green.iter().flat_map(|both| both.before.iter().chain([&both.after]));
    let holds = canary.chain(stages.map(|stage| &stage.hold)).map(Duration::span);
    holds.max().unwrap_or_default().saturating_mul(3)
}

/// Their deadline as ours. Theirs is about pods that get ready, ours about steps that go on: it must be longer than each of
/// them, and is left out otherwise.
pub(super) fn deadline(given: Option<i64>, strategy: &Strategy, ledger: &mut Ledger) -> Option<Duration> {
    const FIELD: &str = "spec.progressDeadlineSeconds";
    let given = given?;
    let longest = longest_wait(strategy);
    let deadline = seconds(given).filter(|deadline| deadline.span() > longest);
    if deadline.is_some() {
        ledger.carried(FIELD);
        let why = "it is the time in which pods get ready there; here the time without a step forward, pauses left out";
        ledger.differs(FIELD, why);
    } else {
        let longest = spell(longest);
        ledger.lost(
            FIELD,
            format!(
                "it must be longer than a step may wait, and {given} s is not longer than {longest}, three holds; without it the \
                 deadline is that and 15m"
            ),
        );
    }
    deadline
}

/// A canary with these steps. `judged` are the metrics of all steps; where there are none, those of single steps can't
/// be added to them, and the caller has put them there.
pub(super) fn canary(drafts: Vec<Draft>, judged: &[PlainMetric], field: &str, ledger: &mut Ledger) -> Canary {
    let drafts = thinned(drafts, ledger);
    let hold = commonest(&drafts).and_then(duration).unwrap_or_else(default_hold);
    let unsaid: Vec<String> = drafts
        .iter()
        .filter(|draft| draft.hold.is_zero())
        .map(|draft| {
            let plain = || draft.mirror.map_or(draft.weight.to_string(), |_| "the mirror".to_owned());
            draft.matching.as_ref().map_or_else(plain, |_| "the match".to_owned())
        })
        .collect();
    if !unsaid.is_empty() {
        let steps = unsaid.join(", ");
        ledger.differs(
            field,
            format!("nothing says how long {steps} is watched; here it is for {hold}, the default hold"),
        );
    }
    if drafts.last().is_some_and(|last| last.weight < Weight::FULL) {
        ledger.differs(
            field,
            format!(
                "a step to 100% follows the last one and is watched for {hold}; only then the run is over"
            ),
        );
    }
    let steps = drafts.into_iter().map(|draft| step(draft, &hold, judged, ledger)).collect();
    Canary { hold, scale: None, steps }
}

fn step(draft: Draft, hold: &Duration, judged: &[PlainMetric], ledger: &mut Ledger) -> CanaryStep {
    let metrics = fitting(united(draft.metrics, judged), true, ledger);
    let analysis =
        (!metrics.is_empty()).then_some(StepAnalysis { error_rate: None, latency: vec![], metrics });
    CanaryStep {
        weight: (draft.matching.is_none() && draft.mirror.is_none()).then_some(draft.weight),
        mirror: draft.mirror,
        matching: draft.matching,
        scale: draft.scale,
        hold: duration(draft.hold).filter(|own| own != hold),
        max_hold: None,
        approval: draft.approval.then_some(Approval::Required),
        analysis,
        gates: None,
    }
}

/// The hold that most steps have; of several the longest.
fn commonest(drafts: &[Draft]) -> Option<Span> {
    let holds = || drafts.iter().map(|draft| draft.hold).filter(|hold| !hold.is_zero());
    holds().max_by_key(|hold| (holds().filter(|other| other == hold).count(), *hold))
}

/// At most as many steps as the API takes, spread over the plan; the first and the last stay. What a step that is left
/// out asked for is asked for by the one before it.
fn thinned(drafts: Vec<Draft>, ledger: &mut Ledger) -> Vec<Draft> {
    let count = drafts.len();
    if count <= MOST {
        return drafts;
    }
    let kept: Vec<usize> = (0..MOST).map(|i| i * (count - 1) / (MOST - 1)).collect();
    let mut all: Vec<Draft> = Vec::with_capacity(MOST);
    for (i, draft) in drafts.into_iter().enumerate() {
        match all.last_mut() {
            Some(before) if !kept.contains(&i) => {
                before.approval |= draft.approval;
                before.metrics.extend(draft.metrics);
                ledger.lost(
                    draft.field,
                    format!("a canary has at most {MOST} steps; this one, at {}, is left out", draft.weight),
                );
            }
            Some(_) | None => all.push(draft),
        }
    }
    all
}

/// A match of these headers, or why the API takes none such.
pub(super) fn matching(headers: Vec<(String, Option<String>)>) -> Result<RequestMatch, String> {
    let mut all: Vec<HeaderMatch> = vec![];
    for (name, exact) in headers {
        let Some(exact) = exact.filter(|exact| !exact.is_empty()) else {
            return Err(format!(
                "{name} is not matched by an exact value, and only such match here; give those who shall \
                 try the version a header with one value"
            ));
        };
        if all.iter().any(|known| known.name.eq_ignore_ascii_case(&name)) {
            return Err(format!("{name} is asked for twice; a match asks for a header once"));
        }
        all.push(HeaderMatch { name, exact });
    }
    match all.len() {
        0 => Err("it names no header".to_owned()),
        1..=4 => Ok(RequestMatch { headers: all }),
        _ => {
            Err("a match has at most 4 headers; let the gateway set one for those who shall try the version"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafts(weights: impl IntoIterator<Item = (i32, u64)>) -> Vec<Draft> {
        let draft = |(weight, hold)| Draft {
            field: format!("f{weight}"),
            weight: Weight::try_from(weight).unwrap(),
            hold: Span::from_secs(hold),
            ..Draft::default()
        };
        weights.into_iter().map(draft).collect()
    }

    #[test]
    fn the_commonest_hold_is_the_default_one() {
        let mut ledger = Ledger::default();
        let canary = canary(drafts([(5, 60), (10, 600), (20, 60), (100, 0)]), &[], "steps", &mut ledger);
        assert_eq!(canary.hold.to_string(), "1m");
        let holds: Vec<Option<String>> =
            canary.steps.iter().map(|step| step.hold.as_ref().map(ToString::to_string)).collect();
        assert_eq!(holds, [None, Some("10m".to_owned()), None, None]);
        let notes = ledger.into_notes();
        assert_eq!(notes.len(), 1);
        assert!(notes[0].message.contains("100% is watched; here it is for 1m"), "{}", notes[0].message);
    }

    #[test]
    fn too_many_steps_are_thinned_and_no_approval_is_lost() {
        let mut all = drafts((1..=50).map(|weight| (weight, 60)));
        all[1].approval = true;
        let mut ledger = Ledger::default();
        let canary = canary(all, &[], "steps", &mut ledger);
        let weights: Vec<i32> =
            canary.steps.iter().filter_map(|step| step.weight).map(Weight::percent).collect();
        assert_eq!((weights.len(), weights[0], weights[19]), (20, 1, 50));
        assert!(weights.is_sorted());
        assert_eq!(canary.steps[0].approval, Some(Approval::Required));
        let lost = ledger.into_notes().iter().filter(|note| note.message.contains("at most 20")).count();
        assert_eq!(lost, 30);
    }

    #[test]
    fn matches_that_the_api_does_not_take_say_why() {
        let header =
            |name: &str, exact: &str| (name.to_owned(), (!exact.is_empty()).then(|| exact.to_owned()));
        let cases = [
            (vec![], "names no header"),
            (vec![header("a", "")], "exact value"),
            (vec![header("a", "1"), header("A", "2")], "twice"),
            ((0..5).map(|n| header(&format!("h{n}"), "1")).collect(), "at most 4"),
        ];
        for (headers, want) in cases {
            let why = matching(headers).unwrap_err();
            assert!(why.contains(want), "{why}");
        }
        assert_eq!(matching(vec![header("a", "1")]).unwrap().to_string(), "a: 1");
    }
}
