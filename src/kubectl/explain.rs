//! `explain`: why a Rollout is where it is, what it waits for, and what will happen next, in sentences. Pure but for the
//! reading.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Error, Exit, Out,
    args::{Global, Machine},
    cluster::Cluster,
    hold::{Held, closed, held, is_judged, open},
    names,
    out::{Look, Tone, wrap},
    view::{describe, needs_approval},
    words::{self, age, is_current, since, status},
};
use crate::{
    analysis::Verdict,
    api::{
        PauseReason, Phase, PlannedStep, RequestOutcome, Rollout, RolloutStatus, Run, Step,
        units::{Weight, spell},
    },
    clock::Clock,
};

/// Tell why a Rollout is where it is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Rollout
    #[arg(add = names::rollouts())]
    name: String,
    /// As JSON
    #[arg(short, long, value_enum)]
    output: Option<Machine>,
}

/// All that is to be said of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Explanation {
    /// Why it is where it is.
    why: Vec<String>,
    /// What it waits for.
    waits: Vec<String>,
    /// What happens next.
    next: Vec<String>,
    /// What else somebody should know.
    besides: Vec<String>,
}

pub(super) async fn run(global: &Global, args: &Args, out: &mut Out<'_>) -> Result<Exit, Error> {
    let cluster = Cluster::connect(global).await?;
    let rollout = cluster.rollout(&args.name).await?;
    let told = explain(&rollout, &cluster.asked(&args.name), Clock::start().now());
    if let Some(Machine::Json) = args.output {
        out.json(&told)?;
        return Ok(Exit::Reached);
    }
    for line in text(&told, out.look) {
        out.line(&line)?;
    }
    Ok(Exit::Reached)
}

fn text(told: &Explanation, look: Look) -> Vec<String> {
    let parts = [
        ("Why it is here", &told.why),
        ("What it waits for", &told.waits),
        ("What happens next", &told.next),
        ("Besides", &told.besides),
    ];
    let mut all = Vec::new();
    for (head, sentences) in parts.into_iter().filter(|(_, sentences)| !sentences.is_empty()) {
        if !all.is_empty() {
            all.push(String::new());
        }
        all.push(look.paint(Tone::Strong, head));
        all.extend(sentences.iter().flat_map(|sentence| wrap(sentence, "  ", look.width)));
    }
    all
}

/// `asked` is the Rollout as a command has to name it.
fn explain(rollout: &Rollout, asked: &str, now: Timestamp) -> Explanation {
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    let mut told = Explanation::default();
    let status = status(rollout);
    let Some(phase) = status.phase else {
        told.why.push(format!("No controller has seen {name} yet."));
        told.waits.push("A controller that serves this namespace: is one running?".to_owned());
        return told;
    };
    told.why.push(sentence(&format!(
        "{name} is {}: {}",
        phase.word(),
        status.message.as_deref().unwrap_or_default()
    )));
    if !is_current(rollout) {
        told.waits.push("The controller, which has not taken up the last change of the spec yet.".to_owned());
    }
    let active = status.active_run();
    match (active, phase) {
        (Some(run), Phase::Progressing | Phase::Paused | Phase::Suspended) => {
            running(&mut told, asked, &status, run, now);
        }
        (_, Phase::Suspended) => {
            told.next.push("Nothing, until spec.suspend is false again.".to_owned());
        }
        (_, Phase::RollingBack) => {
            told.waits.extend(hindered(&status));
            told.next.push("As soon as every route shows all traffic on stable, the run is over.".to_owned());
        }
        (_, Phase::Failed) => failed(&mut told, asked, &status, now),
        (_, Phase::Healthy) => {
            told.next.push(format!("Nothing. A release begins with another target: `kubectl tidegate release {asked} --target NAME`, or spec.target in Git."));
        }
        (_, Phase::Invalid) => {
            told.waits.push(
                "Somebody who changes the spec, or what it names, as the sentence above says.".to_owned(),
            );
            told.next
                .push("The controller looks again by itself; nothing is written before that.".to_owned());
        }
        (None, Phase::Progressing | Phase::Paused) => {}
    }
    besides(&mut told, &status, now);
    told
}

/// What keeps traffic from going back.
fn hindered(status: &RolloutStatus) -> Option<String> {
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let stable = status.stable.as_ref().map(words::target).unwrap_or_default();
    match ready.reason.as_str() {
        "StableNotReady" => Some(format!(
            "A ready pod of {stable}: traffic goes back as soon as there is one. Until then nothing is sent to a version that can't \
             answer; bring its pods up."
        )),
        "RouteRefused" | "Unreadable" => Some(
            "Permissions, an admission policy or the schema of the route, as the sentence above says; it is tried again by \
             itself."
                .to_owned(),
        ),
        _ => None,
    }
}

/// A sentence ends with a full stop, once.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

fn running(told: &mut Explanation, asked: &str, status: &RolloutStatus, run: &Run, now: Timestamp) {
    let at = status.step.as_ref();
    if let (Some(stable), Some(canary)) = (&status.stable, &status.canary) {
        let begun = since(run.started_at, now);
        let step = at
            .filter(|step| step.index > 0)
            .map(|step| format!(", now at step {} of {}", step.index, step.of));
        told.why.push(format!(
            "Run {} takes traffic from {} to {}; it began {begun} ago{}.",
            run.number,
            words::target(stable),
            words::target(canary),
            step.unwrap_or_default(),
        ));
    }
    if status.phase == Some(Phase::Suspended) {
        told.waits.push(
            "spec.suspend, which keeps all hands off the routes: nothing is raised, and nothing is put back."
                .to_owned(),
        );
        told.next.push("When spec.suspend is false again, the run goes on where it is.".to_owned());
        return;
    }
    let planned = at.and_then(|step| run.step(step.index));
    match (&run.pause, at.zip(planned)) {
        (Some(pause), _) => {
            told.waits.push(ends(pause.reason, asked, at.map_or(0, |step| step.index)));
            told.waits.push(format!("It has waited for {} so far.", age(pause.since, now)));
        }
        // Not begun: the first sentence says what for.
        (None, None) => told.waits.extend(status.message.as_deref().map(sentence)),
        (None, Some((step, planned))) => holding(told, status, (run, step, planned), now),
    }
    unproven(told, status, run);
    gated(told, asked, status, now);
    coming(told, asked, status, run);
    let passed = std::time::Duration::from_secs(std::time::Duration::from(run.without_progress).as_secs());
    if run.pause.is_none() && !passed.is_zero() {
        told.besides.push(format!(
            "{} without a step forward so far; after {} the deadline is over.",
            spell(passed),
            run.progress_deadline
        ));
    }
}

/// The metrics that have not enough yet.
fn unproven(told: &mut Explanation, status: &RolloutStatus, run: &Run) {
    if !is_judged(run) {
        return;
    }
    for metric in open(status) {
        let told_so = format!("{} is {}: {}", metric.name, metric.verdict.label(), metric.sentence);
        told.waits.push(sentence(&told_so));
    }
    let proven_from = run.analysis.as_ref().map_or(Weight::ZERO, |analysis| analysis.prove_from);
    let planned = status.step.as_ref().and_then(|step| run.step(step.index));
    let Some(planned) = planned.filter(|_| !status.analysis.is_empty()) else { return };
    if planned.mirror.is_some() {
        told.waits.push(
            "A step with a mirror may go on without proof, if nothing speaks against the canary.".to_owned(),
        );
    } else if planned.weight < proven_from {
        told.waits.push(format!(
            "Below {proven_from} a step may go on without proof, if nothing speaks against the canary."
        ));
    }
}

/// The gates that do not say yes.
fn gated(told: &mut Explanation, asked: &str, status: &RolloutStatus, now: Timestamp) {
    for gate in closed(status) {
        told.waits.push(sentence(&format!(
            "Gate {}, asked {} step {}, {} for {} now: {}",
            gate.name,
            gate.when.word(),
            gate.step,
            gate.answer.says(),
            age(gate.since, now),
            gate.sentence
        )));
    }
    if closed(status).next().is_some() {
        told.waits.push(format!("`kubectl tidegate promote {asked}` goes on without it."));
    }
}

/// What ends a pause.
fn ends(reason: PauseReason, asked: &str, step: i32) -> String {
    let ours = |commands: &[&str]| {
        let all: Vec<String> =
            commands.iter().map(|command| format!("`kubectl tidegate {command} {asked}`")).collect();
        all.join(" or ")
    };
    match reason {
        PauseReason::Requested | PauseReason::Deadline => {
            format!("It ends with {}.", ours(&["resume", "promote", "abort"]))
        }
        PauseReason::Approval => {
            format!("It ends with `kubectl tidegate promote {asked} --step {step}` or {}.", ours(&["abort"]))
        }
        PauseReason::Drifted => {
            format!(
                "Keep the others from the weights first; then it ends with {}.",
                ours(&["resume", "abort"])
            )
        }
        PauseReason::RouteGone => format!("It ends when the route is back, or with {}.", ours(&["abort"])),
        PauseReason::Inconclusive => {
            format!("It ends by itself as soon as there is proof, or with {}.", ours(&["promote", "abort"]))
        }
        PauseReason::MetricError => {
            format!("It ends by itself when the metrics are back, or with {}.", ours(&["promote", "abort"]))
        }
    }
}

fn holding(
    told: &mut Explanation,
    status: &RolloutStatus,
    (run, step, planned): (&Run, &Step, &PlannedStep),
    now: Timestamp,
) {
    let what = match held(status, run, step, planned, now) {
        Held::Unwritten => "The write of this step, which is not on every route yet.".to_owned(),
        Held::NotInEffect => {
            "The data plane: the step is written, and nothing shows yet that it is in effect.".to_owned()
        }
        Held::Settling => {
            "What came before this step, which must not count any more; then its hold begins.".to_owned()
        }
        Held::For(passed) => {
            let left = spell(planned.hold.span().saturating_sub(passed));
            format!("The hold of {}, which has about {left} to go.", planned.hold)
        }
        Held::Over { unproven: true } => format!("Proof: the hold of {} is over.", planned.hold),
        Held::Over { unproven: false } if closed(status).next().is_some() => {
            format!("A gate: the hold of {} is over.", planned.hold)
        }
        Held::Over { unproven: false } => {
            format!("The controller's next look: the hold of {} is over.", planned.hold)
        }
    };
    told.waits.push(what);
}

fn coming(told: &mut Explanation, asked: &str, status: &RolloutStatus, run: &Run) {
    let at = status.step.as_ref().map_or(0, |step| step.index);
    let canary = status.canary.as_ref().map(words::target).unwrap_or_default();
    let approval = run.step(at).is_some_and(needs_approval);
    let first = if approval { "After somebody's approval" } else { "Then" };
    told.next.push(match run.step(at + 1) {
        Some(next) => format!(
            "{first} step {} gives the canary {}, for {} at least.",
            at + 1,
            describe(next),
            next.hold
        ),
        None => format!("{first} {canary} is stable, and the run is over."),
    });
    let stable = status.stable.as_ref().map(words::target).unwrap_or_default();
    let abort = format!("with `kubectl tidegate abort {asked}`");
    let when = if is_judged(run) {
        format!("If a metric fails, or {abort}")
    } else {
        format!("No metric puts it back; {abort}")
    };
    told.next.push(format!("{when}, all traffic goes back to {stable} at once."));
}

fn failed(told: &mut Explanation, asked: &str, status: &RolloutStatus, now: Timestamp) {
    if let Some(ended) = status.run.as_ref().and_then(|run| run.ended.as_ref()) {
        told.why.push(format!("That was {} ago.", age(ended.at, now)));
    }
    let failed = status.analysis.iter().filter(|metric| metric.verdict == Verdict::Fail);
    // The first sentence has most of it.
    let news = failed.filter(|metric| !told.why[0].contains(metric.sentence.as_str()));
    let news: Vec<String> =
        news.map(|metric| sentence(&format!("{}: {}", metric.name, metric.sentence))).collect();
    told.why.extend(news);
    told.next.push(format!(
        "It stays so until spec.target changes, or somebody says `kubectl tidegate retry {asked}`: then a new run begins, from 0."
    ));
}

/// Conditions out of the ordinary, and the last request.
fn besides(told: &mut Explanation, status: &RolloutStatus, now: Timestamp) {
    const USUAL: [&str; 5] = ["Ready", "Reconciling", "Stalled", "Progressing", "Paused"];
    for condition in &status.conditions {
        let unusual = match condition.type_.as_str() {
            "RoutesInSync" => condition.status == "False",
            usual if USUAL.contains(&usual) => false,
            _ => condition.status == "True",
        };
        let known =
            told.why.iter().chain(&told.waits).any(|known| known.contains(condition.message.as_str()));
        if unusual && !known {
            told.besides.push(sentence(&format!("{}: {}", condition.reason, condition.message)));
        }
    }
    if let Some(last) = &status.last_request {
        let what = last.action.map_or("request", |action| action.word());
        let by = last.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let outcome = match last.outcome {
            RequestOutcome::Accepted => "accepted",
            RequestOutcome::Refused => "refused",
        };
        told.besides.push(sentence(&format!(
            "The last request, {what}{by} {} ago, was {outcome}: {}",
            age(last.at, now),
            last.message
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_holds_a_run_is_told_with_the_way_past_it() {
        let rollout: Rollout = serde_saphyr::from_str(
            "{apiVersion: tidegate.dev/v1alpha1, kind: Rollout, metadata: {name: color, generation: 1},
              spec: {routes: [], target: {name: v2}, strategy: {canary: {steps: [{weight: 5}]}}},
              status: {observedGeneration: 1, phase: Progressing, message: 'At 5%, waiting for gates',
                step: {index: 1, of: 2, label: 1/2, weight: 5, elapsed: 60s, storedAt: '1970-01-01T00:00:00Z',
                       since: '1970-01-01T00:00:00Z'},
                gates: [{name: window, when: Before, step: 2, answer: Wait, sentence: 'closed until 8', since: '1970-01-01T00:01:00Z'},
                        {name: quiet, when: During, step: 1, answer: Yes, sentence: '', since: '1970-01-01T00:01:00Z'}],
                run: {number: 1, startedAt: '1970-01-01T00:00:00Z', progressDeadline: 1h, onDeadline: Pause, withoutProgress: 0s,
                      plan: [{weight: 5, hold: 1m, maxHold: 3m}, {weight: 100, hold: 1m, maxHold: 3m, gates: {before: [window]}}]}}}",
        )
        .unwrap();
        let told = explain(&rollout, "color -n shop", Timestamp::from_second(240).unwrap());
        assert_eq!(
            told.waits,
            [
                "A gate: the hold of 1m is over.",
                "Gate window, asked before step 2, says to wait for 3m now: closed until 8.",
                "`kubectl tidegate promote color -n shop` goes on without it.",
            ]
        );
    }
}
