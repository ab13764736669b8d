//! The live view as text: one frame of what there is to see. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    show::{Line, Metric, Share, Show},
    traffic::{ASKING, Tallies},
};
use crate::sandbox::load::Tally;

/// Cells of a bar that is full.
const BAR: usize = 40;
/// Lines of the timeline in a frame; all of them are printed at the end.
const RECENT: usize = 12;

/// A frame, line by line. Lines are as long as their sentences: a terminal wraps them, and nothing is cut off.
pub fn frame(show: &Show) -> Vec<String> {
    let mut lines = vec![show.title.clone(), String::new()];
    let width = show.shares.iter().map(|share| share.name.len()).max().unwrap_or_default();
    lines.extend(show.shares.iter().map(|share| bar(share, width)));
    lines.extend(show.preview.iter().map(|target| format!("  with {ASKING}: {target}")));
    lines.push(String::new());
    lines.push(standing(show));
    lines.extend(metrics(&show.metrics));
    lines.push(String::new());
    lines.extend(load(&through("load", show.carrier.as_deref()), &show.load));
    lines.push(String::new());
    let earlier = show.lines.len().saturating_sub(RECENT);
    if earlier > 0 {
        lines.push(format!("… {earlier} earlier lines follow at the end"));
    }
    lines.extend(show.lines.iter().skip(earlier).map(|line| timeline(show.began, line)));
    lines
}

/// A line of the timeline, with the seconds since the beginning.
pub fn timeline(began: Timestamp, line: &Line) -> String {
    format!("{:>5.1} s  {}", line.at.duration_since(began).as_secs_f64(), line.text)
}

/// What is sent, with what carries it.
pub fn through(word: &str, carrier: Option<&str>) -> String {
    carrier.map_or_else(|| word.to_owned(), |carrier| format!("{word} through {carrier}"))
}

/// What the load got, by version; of those who ask for a preview in a line of their own.
pub fn load(word: &str, Tallies { everybody, asking }: &Tallies) -> impl Iterator<Item = String> {
    let everybody = format!("{word}: {}", answers(everybody));
    let asking = asking.as_ref().map(|asking| format!("{word} with {ASKING}: {}", answers(asking)));
    [everybody].into_iter().chain(asking)
}

fn answers(tally: &Tally) -> String {
    let mut versions: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for ((version, status), count) in &tally.answers {
        let name = if version.is_empty() { "no version" } else { version };
        let (all, failed) = versions.entry(name).or_default();
        *all += count;
        if *status >= 500 {
            *failed += count;
        }
    }
    let mut parts: Vec<String> =
        versions.iter().map(|(name, (all, failed))| format!("{name} {all} ({failed} failed)")).collect();
    if tally.failed > 0 {
        parts.push(format!("unanswered {}", tally.failed));
    }
    if tally.skipped > 0 {
        parts.push(format!("not sent {}, for too many were open", tally.skipped));
    }
    if parts.is_empty() { "no answers yet".to_owned() } else { parts.join(", ") }
}

fn bar(share: &Share, width: usize) -> String {
    let percent = usize::try_from(share.percent.clamp(0, 100)).unwrap_or_default();
    // A share above 0 shows, however small.
    let full = (percent * BAR).div_ceil(100);
    let cells = "█".repeat(full) + &"░".repeat(BAR - full);
    format!("  {:<width$} {:>4}% {cells}", share.name, share.percent)
}

fn standing(show: &Show) -> String {
    let Some(phase) = show.phase else {
        return "waiting for the controller".to_owned();
    };
    let step = show.step.as_ref().map(|step| format!(", step {step}")).unwrap_or_default();
    format!("{}{step}: {}", phase.word(), show.message)
}

fn metrics(metrics: &[Metric]) -> impl Iterator<Item = String> {
    let width = metrics.iter().map(|metric| metric.name.len()).max().unwrap_or_default();
    metrics.iter().map(move |metric| {
        let verdict = metric.verdict.label();
        format!("  {:<width$} {verdict:<10} {}", metric.name, metric.sentence)
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::{analysis::Verdict, api::Phase};

    fn shown() -> Show {
        let began = Timestamp::UNIX_EPOCH;
        let mut show = Show::new(began);
        show.title = "Act 1. v2 is healthy.".to_owned();
        show.shares = [("color-app-v1.default", 69), ("v2", 31), ("v3", 0)]
            .map(|(name, percent)| Share { name: name.to_owned(), percent })
            .to_vec();
        show.phase = Some(Phase::Progressing);
        show.step = Some("2/4".to_owned());
        show.message = "holding at 30%".to_owned();
        show.metrics = vec![
            Metric {
                name: "errorRate".to_owned(),
                verdict: Verdict::Safe,
                sentence: "surely fine".to_owned(),
            },
            Metric {
                name: "latency<250ms".to_owned(),
                verdict: Verdict::Collecting,
                sentence: "not sure".to_owned(),
            },
        ];
        let answers = [(("v1", 200), 900), (("v1", 500), 1), (("v2", 200), 40)];
        show.load.everybody.answers = answers.into_iter().map(|((v, s), n)| ((v.to_owned(), s), n)).collect();
        show.load.everybody.skipped = 3;
        show.lines = vec![Line { at: began + SignedDuration::from_millis(1250), text: "begun".to_owned() }];
        show
    }

    #[test]
    fn a_frame_shows_all() {
        let want = "\
Act 1. v2 is healthy.

  color-app-v1.default   69% ████████████████████████████░░░░░░░░░░░░
  v2                     31% █████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░
  v3                      0% ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░

Progressing, step 2/4: holding at 30%
  errorRate     Safe       surely fine
  latency<250ms Collecting not sure

load: v1 901 (1 failed), v2 40 (0 failed), not sent 3, for too many were open

  1.2 s  begun";
        assert_eq!(frame(&shown()).join("\n"), want);
    }

    #[test]
    fn what_carries_the_load_shows() {
        let mut show = Show::new(Timestamp::UNIX_EPOCH);
        show.carrier = Some("Envoy 1.40.0".to_owned());
        assert!(frame(&show).contains(&"load through Envoy 1.40.0: no answers yet".to_owned()));
    }

    #[test]
    fn a_preview_and_those_who_ask_for_it_show() {
        let mut show = shown();
        show.preview = Some("v2".to_owned());
        show.load.asking = Some(Tally { answers: [(("v2".to_owned(), 200), 7)].into(), ..Tally::default() });
        let lines = frame(&show);
        assert_eq!(lines[5], "  with x-preview: true: v2");
        assert!(lines.contains(&"load with x-preview: true: v2 7 (0 failed)".to_owned()), "{lines:?}");
    }

    #[test]
    fn an_empty_show_and_a_long_one() {
        let mut show = Show::new(Timestamp::UNIX_EPOCH);
        assert!(frame(&show).contains(&"waiting for the controller".to_owned()));
        assert!(frame(&show).contains(&"load: no answers yet".to_owned()));
        let line = |number: usize| Line { at: show.began, text: format!("line {number}") };
        show.lines = (1..=RECENT + 2).map(line).collect();
        let lines = frame(&show);
        assert!(lines.contains(&"… 2 earlier lines follow at the end".to_owned()));
        assert!(!lines.iter().any(|line| line.ends_with("line 2")));
        assert!(lines.last().is_some_and(|line| line.ends_with("line 14")));
    }
}
