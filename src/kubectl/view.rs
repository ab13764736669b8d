//! One Rollout, whole, as text. Pure: made of what was read and of the time.
//!
//! Where the view is live it has bars and marks; where it is plain it says the same in words, for those who hear it.

use jiff::Timestamp;

use super::{
    hold::{Held, closed, held},
    out::{Look, Tone, wrap},
    words::{self, age, list, since, standing, verdict_tone},
    workloads::Shown,
};
use crate::{
    api::{
        Approval, GateTime, Phase, PlannedStep, Rollout, RolloutStatus, RouteWeights, Run, StageName,
        units::spell,
    },
    columns::{Cell, columns},
};

/// The longest bar, and the shortest.
const BAR: (usize, usize) = (40, 10);

/// All there is to see.
pub(super) fn view(rollout: &Rollout, workloads: &[Shown], now: Timestamp, look: Look) -> Vec<String> {
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    let mut all = vec![look.paint(Tone::Strong, name)];
    all.extend(wrapped(&standing(rollout, look), look));
    let Some(status) = rollout.status.as_ref().filter(|status| status.phase.is_some()) else {
        return all;
    };
    if !words::is_current(rollout) {
        let late = "the controller has not taken up the last change of the spec yet";
        all.extend(wrapped(&look.paint(Tone::Warn, late), look));
    }
    let sections = [
        runs(rollout, status, now),
        routes(status, look),
        pods(workloads, now, look),
        steps(status, now, look),
        metrics(status, look),
    ];
    for section in sections.into_iter().filter(|section| !section.is_empty()) {
        all.push(String::new());
        all.extend(section);
    }
    all
}

/// What is worth a line of its own each time that it is another one.
pub(super) fn lines(rollout: &Rollout, look: Look) -> Vec<String> {
    let status = words::status(rollout);
    let weights = status.weights.iter().map(|route| {
        let entries: Vec<String> = route
            .entries
            .iter()
            .map(|entry| format!("{} {}", entry.name, share(route, entry.weight)))
            .collect();
        format!("{}: {}", place(route), entries.join(", "))
    });
    let metrics = status.analysis.iter().map(|metric| {
        format!(
            "{} {}: {}",
            metric.name,
            look.paint(verdict_tone(metric.verdict), metric.verdict.label()),
            metric.sentence
        )
    });
    [standing(rollout, look)].into_iter().chain(weights).chain(metrics).collect()
}

fn wrapped(text: &str, look: Look) -> Vec<String> {
    // What a colour takes has no width; a painted word is a few columns longer than it looks.
    wrap(text, "  ", look.width)
}

fn runs(rollout: &Rollout, status: &RolloutStatus, now: Timestamp) -> Vec<String> {
    let target = &rollout.spec.target.name;
    match (&status.run, &status.stable, &status.canary) {
        (Some(run), Some(stable), Some(canary)) if run.ended.is_none() => {
            vec![format!(
                "Run {}  {} to {}, begun {} ago",
                run.number,
                words::target(stable),
                words::target(canary),
                since(run.started_at, now)
            )]
        }
        (Some(run), Some(stable), _) => {
            let ended = run.ended.as_ref();
            let how = ended.map(|ended| {
                format!("; run {} ended {} ago: {}", run.number, age(ended.at, now), ended.reason.word())
            });
            vec![format!("Stable  {}{}", words::target(stable), how.unwrap_or_default())]
        }
        (_, Some(stable), _) if stable.name == *target => vec![format!("Stable  {}", words::target(stable))],
        (_, Some(stable), _) => vec![format!("Stable  {}; the target is {target}", words::target(stable))],
        (_, None, _) => vec![format!("Target  {target}")],
    }
}

/// The route, and its rule where there are several.
fn place(route: &RouteWeights) -> String {
    match &route.rule {
        Some(rule) => format!("{} rule {rule}", route.route),
        None => route.route.clone(),
    }
}

/// A weight as a share of its list.
fn share(route: &RouteWeights, weight: i64) -> String {
    let total: i64 = route.entries.iter().map(|entry| entry.weight).sum();
    if total == 100 || total == 0 { format!("{weight}%") } else { format!("{weight} of {total}") }
}

fn routes(status: &RolloutStatus, look: Look) -> Vec<String> {
    let widest = |route: &RouteWeights| route.entries.iter().map(|entry| entry.name.chars().count()).max();
    let width = status.weights.iter().filter_map(widest).max().unwrap_or_default();
    let room = look.width.map_or(BAR.0, |columns| columns.saturating_sub(width + 12).clamp(BAR.1, BAR.0));
    let mut all = Vec::new();
    for route in &status.weights {
        all.push(place(route));
        let total: i64 = route.entries.iter().map(|entry| entry.weight).sum();
        for entry in &route.entries {
            let share = share(route, entry.weight);
            let line = format!("  {:<width$} {share:>5}", entry.name);
            if look.live {
                all.push(format!("{line} {}", bar(entry.weight, total, room)));
            } else {
                all.push(line);
            }
        }
    }
    all
}

/// A share above 0 shows, however small; one below 100 % leaves a gap.
fn bar(weight: i64, total: i64, room: usize) -> String {
    let cells = |part: i64| usize::try_from(part).unwrap_or_default();
    let full = if total <= 0 { 0 } else { (cells(weight) * room).div_ceil(cells(total)) };
    let full = if weight < total { full.min(room - 1) } else { full.min(room) };
    "█".repeat(full) + &"░".repeat(room - full)
}

fn pods(workloads: &[Shown], now: Timestamp, look: Look) -> Vec<String> {
    let mut all = Vec::new();
    for Shown { role, target, workload } in workloads {
        let Some(workload) = workload else {
            all.push(format!("{role}  {target}: its workload is not named, not there, or may not be read"));
            continue;
        };
        let (wants, ready) = workload.pods;
        let tone = if ready >= wants { Tone::Good } else { Tone::Warn };
        let said = look.paint(tone, &format!("{ready} of {wants} pods ready"));
        all.push(format!("{role}  {}: {said}", workload.name));
        let rows: Vec<Vec<Cell>> = workload
            .shown
            .iter()
            .map(|pod| {
                let tone = if pod.ready { Tone::Good } else { Tone::Warn };
                let old = pod.since.map(|since| age(since, now)).unwrap_or_default();
                vec![Cell::plain(pod.name.as_str()), look.cell(tone, pod.how.as_str()), Cell::plain(old)]
            })
            .collect();
        all.extend(columns(&rows, None).into_iter().map(|line| format!("    {line}")));
    }
    all
}

fn steps(status: &RolloutStatus, now: Timestamp, look: Look) -> Vec<String> {
    let Some(run) = status.active_run() else { return Vec::new() };
    let at = status.step.as_ref().map_or(0, |step| step.index);
    let count = run.plan.len();
    let mut all = vec!["Steps".to_owned()];
    for (number, step) in (1..).zip(run.plan.iter()) {
        let (mark, word) = match number {
            number if number < at => ("✓", "done"),
            number if number == at => ("▶", "now"),
            _ => (" ", "to come"),
        };
        let what = describe(step);
        let rest = if number == at { progress(status, run, step, now) } else { coming(step) };
        let line = if look.live {
            format!("  {mark} {number:>2}  {what:<6} {rest}")
        } else {
            format!("  step {number} of {count}, {word}: {what}, {rest}")
        };
        all.push(if number == at { look.paint(Tone::Busy, line.trim_end()) } else { line });
    }
    all
}

/// What a step gives the canary.
pub(super) fn describe(step: &PlannedStep) -> String {
    let matching = step.matching.as_ref().map(|matching| format!("requests with {matching}"));
    let share = match (step.stage, step.weight.percent()) {
        (Some(StageName::Before), _) => Some("before the switch".to_owned()),
        (_, 0) => step.mirror.map(|_| step.traffic().to_string()),
        (Some(StageName::After) | None, _) => Some(step.weight.to_string()),
    };
    list(&[share, matching].into_iter().flatten().collect::<Vec<_>>())
}

fn coming(step: &PlannedStep) -> String {
    let before = gates(step, GateTime::Before).map(|gates| format!("{gates}, then ")).unwrap_or_default();
    let during = gates(step, GateTime::During).map(|gates| format!(" with {gates}")).unwrap_or_default();
    format!("{before}hold {}{during}{}", step.hold, ending(step))
}

/// What comes after the hold of a step.
fn ending(step: &PlannedStep) -> String {
    let after = gates(step, GateTime::After).map(|gates| format!(", then {gates}")).unwrap_or_default();
    let approval = if needs_approval(step) { ", then an approval" } else { "" };
    format!("{after}{approval}")
}

/// The gate that the run waits for, and what it says.
fn waited_for(status: &RolloutStatus) -> Option<String> {
    let gate = closed(status).next()?;
    Some(format!("gate {}, which {}", gate.name, gate.answer.says()))
}

/// The gates of a step at a time, if it has any.
fn gates(step: &PlannedStep, when: GateTime) -> Option<String> {
    let names = step.gates.as_ref()?.at(when);
    (!names.is_empty()).then(|| format!("gate {}", names.join(" and ")))
}

/// Whether a person must agree at the end of a step.
pub(super) fn needs_approval(step: &PlannedStep) -> bool {
    step.approval == Some(Approval::Required)
}

/// How far the present step is.
fn progress(status: &RolloutStatus, run: &Run, planned: &PlannedStep, now: Timestamp) -> String {
    let Some(step) = &status.step else { return coming(planned) };
    if let Some(pause) = &run.pause {
        return format!("paused {}: {}", age(pause.since, now), pause.reason.word());
    }
    if status.phase != Some(Phase::Progressing) {
        return coming(planned);
    }
    let hold = planned.hold.span();
    let ending = ending(planned);
    match held(status, run, step, planned, now) {
        Held::Unwritten => format!("to be written; then {}", coming(planned)),
        Held::NotInEffect => format!("written, not in effect yet; then {}", coming(planned)),
        Held::Settling => format!("settling; then {}", coming(planned)),
        Held::For(passed) => {
            let left = spell(hold.saturating_sub(passed));
            format!("held about {} of {}, {left} to go{ending}", spell(passed), planned.hold)
        }
        Held::Over { unproven: true } => {
            format!(
                "the hold of {} is over; waits for proof, until {} at most{ending}",
                planned.hold, planned.max_hold
            )
        }
        Held::Over { unproven: false } => match waited_for(status) {
            Some(gate) => format!("the hold of {} is over; waits for {gate}", planned.hold),
            None => format!("the hold of {} is over{ending}", planned.hold),
        },
    }
}

fn metrics(status: &RolloutStatus, look: Look) -> Vec<String> {
    if status.analysis.is_empty() {
        return Vec::new();
    }
    let mut all = vec!["Metrics".to_owned()];
    for metric in &status.analysis {
        let verdict = look.paint(verdict_tone(metric.verdict), metric.verdict.label());
        all.push(format!("  {} {verdict}", metric.name));
        // What the head has said is not said twice.
        if !status.message.as_deref().is_some_and(|message| message.contains(metric.sentence.as_str())) {
            all.extend(wrap(&metric.sentence, "    ", look.width));
        }
    }
    all
}
