//! The report as a page: the same tables, and the curves behind them.

use std::fmt::Write;

use super::{
    chart::{Axis, Chart, document, escaped, picture},
    goals::{Power, RIVALS},
    plan::Cell,
    simulate::Report,
};

/// The page, whole in one file.
pub fn page(report: &Report) -> String {
    let mut body = String::from(
        "<p>The analysis, tried on made-up traffic that is the same on any machine. <em>Put back</em> means: all traffic \
         returned to stable.</p>\n<h2>Goals</h2>\n",
    );
    body.push_str(&goals(report));
    body.push_str("<h2>How soon a worse canary is found</h2>\n");
    body.extend(power(report).iter().flatten().map(Chart::svg));
    body.push_str("<h2>The example plan: 5, 20, 50, 100 %</h2>\n");
    body.push_str(&plan(report));
    document("What the analysis does", &body)
}

/// What the page draws, as pictures: the name of each, and the SVG.
pub fn pictures(report: &Report) -> Vec<(String, String)> {
    let all = STABLE.iter().zip(power(report));
    all.map(|(stable, charts)| (format!("power-{stable}.svg"), picture(&charts))).collect()
}

/// What stable fails, where a worse canary is looked for.
const STABLE: [f64; 2] = [0.001, 0.01];

fn power(report: &Report) -> [[Chart; 2]; 2] {
    STABLE.map(|stable| {
        let points = report.power.iter().filter(|point| point.stable.total_cmp(&stable).is_eq());
        let points: Vec<&Power> = points.collect();
        [put_back(stable, &points), requests(stable, &points)]
    })
}

fn goals(report: &Report) -> String {
    let mut table = String::from("<table><tr><th>case</th><th>goal</th><th>found</th><th></th>");
    for rival in RIVALS {
        let _ = write!(table, "<th>{}</th>", escaped(&rival.name()));
    }
    table.push_str("</tr>\n");
    for line in &report.goals {
        let (class, word) = if line.reached { ("reached", "reached") } else { ("missed", "MISSED") };
        let _ = write!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class='{class}'>{word}</td>",
            escaped(&line.case),
            escaped(&line.goal),
            escaped(&line.found)
        );
        for (_, found) in &line.others {
            let _ = write!(table, "<td>{}</td>", escaped(found));
        }
        table.push_str("</tr>\n");
    }
    table + "</table>\n"
}

fn names() -> Vec<String> {
    std::iter::once("Tidegate".to_owned()).chain(RIVALS.iter().map(|rival| rival.name())).collect()
}

fn lines(points: &[&Power], of: impl Fn(&Power, usize) -> Option<f64>) -> Vec<(String, Vec<(f64, f64)>)> {
    let line =
        |rule: usize| points.iter().filter_map(|point| Some((point.times, of(point, rule)?))).collect();
    names().into_iter().enumerate().map(|(rule, name)| (name, line(rule))).collect()
}

fn times() -> Axis {
    let ticks = [1.0, 2.0, 5.0, 10.0, 20.0];
    Axis {
        label: "times stable's failures".to_owned(),
        ticks: ticks.map(|tick| (tick, format!("{tick}×"))).to_vec(),
        logarithmic: true,
    }
}

fn put_back(stable: f64, points: &[&Power]) -> Chart {
    Chart {
        title: format!("Runs put back, stable fails {} %", stable * 100.0),
        x: times(),
        y: Axis {
            label: "of all runs".to_owned(),
            ticks: [0, 25, 50, 75, 100]
                .map(|percent| (f64::from(percent) / 100.0, format!("{percent} %")))
                .to_vec(),
            logarithmic: false,
        },
        lines: lines(points, |point, rule| point.put_back.get(rule).copied()),
        marks: vec![],
    }
}

fn requests(stable: f64, points: &[&Power]) -> Chart {
    let ticks = [100.0, 300.0, 1_000.0, 3_000.0, 10_000.0];
    Chart {
        title: format!("Canary requests until then, stable fails {} %", stable * 100.0),
        x: times(),
        y: Axis {
            label: "requests".to_owned(),
            ticks: ticks.map(|tick| (tick, tick.to_string())).to_vec(),
            logarithmic: true,
        },
        lines: lines(points, |point, rule| point.requests.get(rule).copied()),
        marks: vec![],
    }
}

fn plan(report: &Report) -> String {
    let mut table = String::from("<table><tr><th>rate</th>");
    for cell in report.plan.first().map(|row| row.cells.as_slice()).unwrap_or_default() {
        let _ = write!(table, "<th>{}</th>", escaped(cell.arms));
    }
    table.push_str("</tr>\n");
    for row in &report.plan {
        let _ = write!(table, "<tr><td>{}/s</td>", row.rate);
        for cell in &row.cells {
            let class = if cell.reached { "reached" } else { "missed" };
            let _ = write!(table, "<td class='{class}'>{}</td>", escaped(&told(cell)));
        }
        table.push_str("</tr>\n");
    }
    table + "</table>\n"
}

/// A cell in words.
pub fn told(cell: &Cell) -> String {
    let percent = |count: usize| count as f64 * 100.0 / cell.ends.runs.max(1) as f64;
    let at = cell.put_back_at.map(|weight| format!(" at {weight} %")).unwrap_or_default();
    let ends = [
        (cell.ends.promoted, "promoted".to_owned()),
        (cell.ends.put_back, format!("put back{at}")),
        (cell.ends.paused, "paused".to_owned()),
    ];
    let ends = ends.into_iter().filter(|(count, _)| *count > 0);
    let ends: Vec<String> =
        ends.map(|(count, word)| format!("{word} {} %", (percent(count) * 10.0).round() / 10.0)).collect();
    format!("{}; {:.1} min, {:.0} failed", ends.join(", "), cell.minutes, cell.failed)
}
