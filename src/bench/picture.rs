//! What endurance measured, drawn: memory, processor and calls over time. Pure.

use super::endurance::{Endurance, Sample};
use crate::trial::{Axis, Chart, picture};

/// The picture, an SVG.
pub fn drawn(endurance: &Endurance) -> String {
    let chart = |title: String, unit: &str, lines: Vec<(String, Vec<(f64, f64)>)>| {
        let most = lines.iter().flat_map(|(_, points)| points).map(|point| point.1).fold(0.0, f64::max);
        Chart {
            title,
            x: Axis::from_zero("minutes", endurance.samples.last().map_or(1.0, |sample| sample.minute)),
            y: Axis::from_zero(unit, most),
            lines,
            marks: vec![(endurance.warm, "warmed up".to_owned())],
        }
    };
    let points = |of: fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
        let seen = endurance.samples.iter();
        seen.filter_map(|sample| Some((sample.minute, of(sample)?))).collect()
    };
    let of = format!("{} Rollouts in a loop of releases, holds of {} s", endurance.rollouts, endurance.hold);
    let mut charts = vec![
        chart(
            format!("Memory: {of}"),
            "MB",
            vec![
                ("in RAM".to_owned(), points(|sample| Some(sample.rss))),
                ("of no file".to_owned(), points(|sample| Some(sample.anonymous))),
            ],
        ),
        chart(
            "Processor".to_owned(),
            "cores",
            vec![("cores".to_owned(), points(|sample| Some(sample.cores)))],
        ),
    ];
    let calls = points(|sample| sample.calls);
    if !calls.is_empty() {
        charts.push(chart(
            "Calls of the API server".to_owned(),
            "calls a minute",
            vec![("calls".to_owned(), calls)],
        ));
    }
    picture(&charts)
}
