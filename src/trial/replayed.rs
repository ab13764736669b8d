//! What was replayed as a page: the evidence over time, and what was told.

use std::fmt::Write;

use jiff::Timestamp;

use super::{
    chart::{Axis, Chart, document, escaped, picture},
    course::{Course, Evidence},
    sequences::Replayed,
};

/// Evidence is drawn between these; beyond them it is as good as sure.
const LEAST: f64 = -10.0;
const MOST: f64 = 15.0;

/// Recorded counts, a chart each.
pub fn sequences_page(all: &[Replayed]) -> String {
    document("Recorded counts, judged", &sequences(all).iter().map(Chart::svg).collect::<String>())
}

/// The same charts, and nothing else.
pub fn sequences_picture(all: &[Replayed]) -> String {
    picture(&sequences(all))
}

fn sequences(all: &[Replayed]) -> Vec<Chart> {
    let charts = all.iter().map(|replayed| {
        let points = |of: fn(&super::PollSeen) -> f64| -> Vec<(f64, f64)> {
            replayed.polls.iter().enumerate().map(|(at, seen)| (at as f64, held(of(seen)))).collect()
        };
        let last = replayed.polls.len().saturating_sub(1) as f64;
        let marks = [(replayed.first_fail, "Fail"), (replayed.first_safe, "Safe")];
        Chart {
            title: replayed.id.clone(),
            x: Axis {
                label: "look".to_owned(),
                ticks: vec![(0.0, "0".to_owned()), (last, last.to_string())],
                logarithmic: false,
            },
            y: evidence_axis(),
            lines: vec![
                ("harm".to_owned(), points(|seen| seen.log_e_harm)),
                ("safety".to_owned(), points(|seen| seen.log_e_safe)),
                ("fails from".to_owned(), vec![(0.0, replayed.fails_at), (last, replayed.fails_at)]),
                ("safe from".to_owned(), vec![(0.0, replayed.safe_at), (last, replayed.safe_at)]),
            ],
            marks: marks.into_iter().filter_map(|(at, word)| Some((at? as f64, word.to_owned()))).collect(),
        }
    });
    charts.collect()
}

/// A run over recorded traffic.
pub fn course_page(name: &str, course: &Course, fixed: &str) -> String {
    let sentence = format!(
        "<p><strong>{} at {}, with {} % to the canary.</strong> {}</p>\n<p>{}</p>\n",
        course.end,
        course.at,
        course.share,
        escaped(&course.sentence),
        escaped(fixed)
    );
    let mut metrics: Vec<&str> = course.evidence.iter().map(|one| one.metric.as_str()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let charts: String = metrics.iter().map(|metric| chart(course, metric).svg()).collect();
    let mut table = String::from("<table><tr><th>time</th><th>canary</th><th>what</th><th>why</th></tr>\n");
    for moment in &course.moments {
        let _ = writeln!(
            table,
            "<tr><td>{}</td><td>{} %</td><td>{}</td><td>{}</td></tr>",
            moment.at,
            moment.share,
            escaped(moment.reason),
            escaped(&moment.sentence)
        );
    }
    document(&format!("{name}, replayed"), &format!("{sentence}{charts}{table}</table>\n"))
}

fn chart(course: &Course, metric: &str) -> Chart {
    let begin = course.moments.first().map_or(course.at, |moment| moment.at);
    let minutes = |at: Timestamp| at.duration_since(begin).as_secs_f64() / 60.0;
    let points = |of: fn(&Evidence) -> Option<f64>| -> Vec<(f64, f64)> {
        let seen = course.evidence.iter().filter(|one| one.metric == metric);
        seen.map(|one| (minutes(one.at), held(of(one).unwrap_or(f64::NEG_INFINITY)))).collect()
    };
    let last = minutes(course.at).max(1.0);
    let quarter = |part: u32| {
        let at = last * f64::from(part) / 4.0;
        (at, if last < 10.0 { format!("{at:.1} min") } else { format!("{at:.0} min") })
    };
    let steps = course.moments.iter().filter(|moment| moment.reason == "Step");
    Chart {
        title: format!("{metric}: the evidence"),
        x: Axis {
            label: format!("since {begin}"),
            ticks: (0..=4).map(quarter).collect(),
            logarithmic: false,
        },
        y: evidence_axis(),
        lines: vec![
            ("harm".to_owned(), points(|one| one.log_e_harm)),
            ("safety".to_owned(), points(|one| one.log_e_safe)),
        ],
        marks: steps.map(|moment| (minutes(moment.at), word(&moment.sentence))).collect(),
    }
}

/// What a step's sentence begins with.
fn word(sentence: &str) -> String {
    sentence.split([':', '.']).next().unwrap_or_default().to_owned()
}

fn held(value: f64) -> f64 {
    value.clamp(LEAST, MOST)
}

fn evidence_axis() -> Axis {
    let ticks = [LEAST, -5.0, 0.0, 5.0, 10.0, MOST];
    Axis {
        label: "ln E".to_owned(),
        ticks: ticks.map(|tick| (tick, tick.to_string())).to_vec(),
        logarithmic: false,
    }
}
