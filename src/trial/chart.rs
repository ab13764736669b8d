//! A line chart as SVG: a page needs no script and no library to show it.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 48.0;
/// Told apart without colour vision too, as the lines are dashed differently.
const STROKES: [(&str, &str); 4] =
    [("#0b6e99", ""), ("#c2410c", "7 4"), ("#6d28d9", "2 4"), ("#4d7c0f", "10 3 2 3")];

/// A chart.
pub struct Chart {
    /// Above it.
    pub title: String,
    /// What stands along x.
    pub x: Axis,
    /// What stands along y.
    pub y: Axis,
    /// The lines, by name.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
    /// What is said at an x.
    pub marks: Vec<(f64, String)>,
}

/// An axis.
pub struct Axis {
    /// What it says.
    pub label: String,
    /// Where it says what; the first and the last are its ends.
    pub ticks: Vec<(f64, String)>,
    /// Equal factors stand equally far apart.
    pub logarithmic: bool,
}

impl Axis {
    /// From 0 to a round number that is not below `most`, with a handful of ticks.
    pub fn from_zero(label: &str, most: f64) -> Self {
        let rough = most.max(1e-9) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0].map(|times| times * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let mut ticks = vec![0.0];
        while ticks.last().is_some_and(|last| *last < most) {
            ticks.push(ticks.len() as f64 * step);
        }
        // As many decimals as tell one tick from the next.
        let decimals = (0..9).find(|decimals| step * 10_f64.powi(*decimals) > 0.99).unwrap_or(9);
        let said = |tick: f64| format!("{:.*}", usize::try_from(decimals).unwrap_or_default(), tick);
        Self {
            label: label.to_owned(),
            ticks: ticks.into_iter().map(|tick| (tick, said(tick))).collect(),
            logarithmic: false,
        }
    }

    /// Where a value stands, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let scaled = |value: f64| if self.logarithmic { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let (Some((least, _)), Some((most, _))) = (self.ticks.first(), self.ticks.last()) else { return 0.0 };
        let (least, most) = (scaled(*least), scaled(*most));
        if most > least { ((scaled(value) - least) / (most - least)).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl Chart {
    /// The chart, for a page. All text is escaped.
    pub fn svg(&self) -> String {
        let drawn = self.drawn();
        format!(
            "<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' xmlns='http://www.w3.org/2000/svg'>\n{drawn}</svg>\n"
        )
    }

    fn drawn(&self) -> String {
        let mut svg = String::new();
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x = |value: f64| LEFT + self.x.place(value) * (right - LEFT);
        let y = |value: f64| bottom - self.y.place(value) * (bottom - TOP);
        let mut text = |x: f64, y: f64, anchor: &str, class: &str, said: &str| {
            let said = escaped(said);
            let _ = writeln!(
                svg,
                "<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}' class='{class}'>{said}</text>"
            );
        };
        text(LEFT, 18.0, "start", "title", &self.title);
        text(f64::midpoint(LEFT, right), HEIGHT - 8.0, "middle", "label", &self.x.label);
        text(4.0, TOP - 12.0, "start", "label", &self.y.label);
        for (value, said) in &self.x.ticks {
            text(x(*value), bottom + 16.0, "middle", "tick", said);
        }
        for (value, said) in &self.y.ticks {
            text(LEFT - 6.0, y(*value) + 4.0, "end", "tick", said);
        }
        for (at, (value, said)) in self.marks.iter().enumerate() {
            text(x(*value) + 3.0, TOP + 12.0 + 13.0 * (at % 6) as f64, "start", "mark", said);
        }
        let names = self.lines.iter().enumerate();
        let names: String = names
            .map(|(at, (name, _))| format!("<tspan class='name line{at}' dx='12'>{}</tspan>", escaped(name)))
            .collect();
        let _ = writeln!(svg, "<text x='{right}' y='{:.1}' text-anchor='end'>{names}</text>", TOP - 12.0);
        for (value, _) in &self.y.ticks {
            let y = y(*value);
            let _ = writeln!(svg, "<line x1='{LEFT}' x2='{right}' y1='{y:.1}' y2='{y:.1}' class='grid'/>");
        }
        for (value, _) in &self.marks {
            let x = x(*value);
            let _ = writeln!(svg, "<line x1='{x:.1}' x2='{x:.1}' y1='{TOP}' y2='{bottom}' class='marked'/>");
        }
        for (at, (_, points)) in self.lines.iter().enumerate() {
            let (color, dashes) = STROKES.get(at % STROKES.len()).copied().unwrap_or_default();
            let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            let points: Vec<String> = finite.map(|(to, up)| format!("{:.1},{:.1}", x(*to), y(*up))).collect();
            let _ = writeln!(
                svg,
                "<polyline points='{}' fill='none' stroke='{color}' stroke-width='2' stroke-dasharray='{dashes}'/>",
                points.join(" ")
            );
        }
        svg
    }
}

/// How the text and the lines of charts look.
fn style() -> String {
    let lines = STROKES.iter().enumerate();
    let lines: String = lines.map(|(at, (color, _))| format!(".line{at} {{ fill: {color}; }}\n")).collect();
    format!(
        "text {{ font: 12px system-ui, sans-serif; fill: #374151; }}\n.title {{ font-size: 14px; font-weight: 600; }}\n\
         .mark {{ font-size: 11px; fill: #6b7280; }}\n.name {{ font-weight: 600; }}\n\
         .grid {{ stroke: #e5e7eb; }}\n.marked {{ stroke: #9ca3af; stroke-dasharray: 3 3; }}\n{lines}"
    )
}

/// Charts below each other, as a file of their own.
pub fn picture(charts: &[Chart]) -> String {
    let height = HEIGHT * charts.len() as f64;
    let mut svg = format!(
        "<svg viewBox='0 0 {WIDTH} {height}' role='img' xmlns='http://www.w3.org/2000/svg'>\n\
         <style>\n{}</style>\n<rect width='{WIDTH}' height='{height}' fill='#f9fafb'/>\n",
        style()
    );
    for (at, chart) in charts.iter().enumerate() {
        let _ = writeln!(svg, "<g transform='translate(0 {})'>\n{}</g>", at as f64 * HEIGHT, chart.drawn());
    }
    svg + "</svg>\n"
}

/// What every page of ours has around its charts and tables.
pub fn document(title: &str, body: &str) -> String {
    let title = escaped(title);
    let style = style();
    format!(
        "<!doctype html>\n<html lang='en'><meta charset='utf-8'><title>{title}</title>\n<style>\n\
         body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1f2937; }}\n\
         table {{ border-collapse: collapse; margin: 1rem 0; }}\n\
         th, td {{ text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #d1d5db; vertical-align: top; }}\n\
         .missed {{ color: #b91c1c; font-weight: 600; }}\n.reached {{ color: #166534; }}\n\
         svg {{ width: 100%; max-width: 40rem; margin: 1rem 1rem 1rem 0; background: #f9fafb; }}\n\
         {style}</style>\n\
         <h1>{title}</h1>\n{body}</html>\n"
    )
}

/// Text as HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_chart_is_escaped_and_within_it() {
        let axis = |ticks: &[f64], logarithmic| Axis {
            label: "a < b".into(),
            ticks: ticks.iter().map(|tick| (*tick, tick.to_string())).collect(),
            logarithmic,
        };
        let chart = Chart {
            title: "<script>".into(),
            x: axis(&[1.0, 100.0], true),
            y: axis(&[0.0, 1.0], false),
            lines: vec![("one".into(), vec![(1.0, 0.0), (10.0, 0.5), (1e9, f64::NAN), (1e9, 7.0)])],
            marks: vec![(10.0, "here".into())],
        };
        let svg = chart.svg();
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"), "{svg}");
        assert!(svg.contains("points='64.0,272.0 344.0,160.0 624.0,48.0'"), "{svg}");
        let picture = picture(&[chart]);
        assert!(picture.contains("points='64.0,272.0") && picture.contains(".title {"), "{picture}");
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let told = |most: f64| {
            let ticks = Axis::from_zero("", most).ticks;
            ticks.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(93.0), "0 20 40 60 80 100");
        assert_eq!(told(0.19), "0.00 0.05 0.10 0.15 0.20");
        assert_eq!(told(0.02), "0.000 0.005 0.010 0.015 0.020");
        assert_eq!(told(2600.0), "0 1000 2000 3000");
        assert_eq!(told(0.0), "0.000000000");
    }
}
