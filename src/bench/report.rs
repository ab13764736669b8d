//! What a bench found, against the goals: as data, and as a table. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    BenchError, Plan,
    active::Active,
    endurance::Endurance,
    goals,
    idle::{Idle, Restart},
    numbers::{Summary, shown},
    requests::Requests,
    rollback::Rollback,
};
use crate::cli::chain;

/// Everything that a bench found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this program.
    pub version: &'static str,
    /// What it was measured against.
    pub server: String,
    /// The kind of the routes.
    pub routes: String,
    /// The processors of this machine.
    pub cores: usize,
    /// It was measured for seconds only; the figures are worth little.
    pub brief: bool,
    /// It was measured with a standby and a Lease, a receiver of notices, and a scrape of both replicas.
    pub everything: bool,
    /// Whether calls could be counted.
    pub counted: bool,
    /// Calls.
    pub(super) requests: Option<Requests>,
    /// Rollbacks.
    pub(super) rollback: Vec<Rollback>,
    /// Idle Rollouts.
    pub(super) memory: Vec<Idle>,
    /// Restarts.
    pub(super) restart: Vec<Restart>,
    /// Many runs at once.
    pub(super) active: Option<Active>,
    /// A loop of releases.
    pub(super) endurance: Option<Endurance>,
    /// What went wrong, and so is not in here.
    pub lacking: Vec<Lack>,
}

/// Something that could not be measured, or not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lack {
    /// What.
    pub what: &'static str,
    /// Why not, in a sentence.
    pub why: String,
}

/// A figure of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it should not be above, where there is a goal.
    pub goal: Option<f64>,
    /// More about it.
    pub beside: String,
}

impl Figure {
    fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, goal: None, beside: String::new() }
    }

    fn goal(self, goal: f64) -> Self {
        Self { goal: Some(goal), ..self }
    }

    fn beside(self, beside: impl Into<String>) -> Self {
        Self { beside: beside.into(), ..self }
    }

    /// Whether it is as it should be, where that is said.
    pub fn reached(&self) -> Option<bool> {
        self.goal.map(|goal| self.value <= goal)
    }
}

impl Report {
    /// Nothing found yet.
    pub fn new(server: String, plan: &Plan, counted: bool) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            server,
            routes: plan.routes.resource().kind,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            brief: plan.brief,
            everything: plan.everything,
            counted,
            requests: None,
            rollback: Vec::new(),
            memory: Vec::new(),
            restart: Vec::new(),
            active: None,
            endurance: None,
            lacking: Vec::new(),
        }
    }

    /// Notes what went wrong, if it did.
    pub(super) fn note(&mut self, what: &'static str, outcome: Result<(), BenchError>) {
        self.lacking.extend(outcome.err().map(|error| Lack { what, why: chain(&error) }));
    }

    /// The figures that the table shows.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        figures.extend(self.requests.iter().flat_map(of_requests));
        figures.extend(self.rollback.iter().flat_map(|rollback| of_rollback(rollback, "")));
        figures.extend(self.memory.iter().flat_map(of_idle));
        figures.extend(self.restart.iter().flat_map(|restart| of_restart(restart, self.everything)));
        figures.extend(self.active.iter().flat_map(of_active));
        figures.extend(self.endurance.iter().flat_map(of_endurance));
        figures
    }

    /// The report as JSON; the figures are in it.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            report: &'a Report,
            figures: Vec<Figure>,
        }
        serde_json::to_string_pretty(&Whole { report: self, figures: self.figures() })
    }

    /// The report as a table, a figure a line.
    pub fn table(&self) -> String {
        let figures = self.figures();
        let width = figures.iter().map(|figure| figure.what.len()).max().unwrap_or_default();
        let mut text =
            format!("Measured against {}, on {} cores, with {}s.\n", self.server, self.cores, self.routes);
        if self.brief {
            text.push_str("It was brief: the figures show that it works, and no more.\n");
        }
        if self.everything {
            text.push_str("With two replicas and their Lease, a receiver of notices, and a scrape of both every 15 s.\n");
        }
        if !self.counted {
            text.push_str("Calls were not counted, for there is no audit log to read.\n");
        }
        for figure in &figures {
            let reached = match (figure.goal, figure.reached()) {
                (Some(goal), Some(true)) => format!("goal {}: reached", shown(goal)),
                (Some(goal), _) => format!("goal {}: MISSED", shown(goal)),
                (None, _) => String::new(),
            };
            let (what, value) = (&figure.what, shown(figure.value));
            let line =
                format!("{what:<width$}  {value:>8} {:<6} {reached:<20} {}", figure.unit, figure.beside);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for Lack { what, why } in &self.lacking {
            let _ = writeln!(text, "LACKING: {what}: {why}");
        }
        text
    }
}

fn of_requests(requests: &Requests) -> Vec<Figure> {
    let calls = |what: String, counted: &super::calls::Counted| {
        Figure::new(what, counted.calls as f64, "calls").beside(counted.told())
    };
    let mut figures = vec![calls("a whole run of 5 steps".into(), &requests.run).goal(goals::RUN_CALLS)];
    for (step, counted) in requests.steps.iter().enumerate() {
        let what = if step == 0 { "  before the first step".into() } else { format!("  step {step}") };
        figures.push(calls(what, counted));
    }
    let (idle, abort) = (requests.idle_seconds, requests.abort_seconds);
    figures.push(calls(format!("{idle} s after it finished"), &requests.idle).goal(goals::IDLE_CALLS));
    figures.push(calls(format!("{abort} s after an abort"), &requests.abort).goal(goals::ABORT_CALLS));
    figures.push(calls("10 s after that".into(), &requests.after_abort).goal(goals::IDLE_CALLS));
    figures
}

fn of_rollback(rollback: &Rollback, among: &str) -> Vec<Figure> {
    let at_once = rollback.at_once;
    let goal = if at_once == 1 { goals::MOVED } else { goals::MOVED_AMONG_SEVERAL };
    let line = |what: &str, summary: Option<Summary>| {
        summary.map(|summary| {
            let Summary { count, min, p50, p99, max } = summary;
            let beside = format!("min {}, p50 {}, max {} of {count}", shown(min), shown(p50), shown(max));
            Figure::new(format!("{at_once} failing at once{among}, {what}, p99"), p99, "ms").beside(beside)
        })
    };
    [
        line("bad answer to moved", rollback.answer_to_moved).map(|figure| figure.goal(goal)),
        line("  decision", rollback.decision),
        line("  write", rollback.write),
        line("metric turned bad to moved", rollback.flip_to_moved),
        line("  poll wait (poll 1 s)", rollback.poll_wait),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_idle(idle: &Idle) -> Vec<Figure> {
    let rollouts = idle.rollouts;
    let cost = idle.cost;
    let beside = format!("peak {}, of no file {}", shown(cost.peak), shown(cost.anonymous));
    let memory = Figure::new(format!("{rollouts} idle, memory"), cost.rss, "MiB").beside(beside);
    let seconds = cost.seconds;
    let mut figures = vec![
        goals::idle(rollouts).into_iter().fold(memory, |figure, goal| figure.goal(goal.memory)),
        Figure::new(format!("{rollouts} idle, processor over {seconds} s"), cost.cores, "cores"),
        Figure::new(format!("{rollouts} idle, start to ready"), idle.ready, "ms"),
    ];
    figures.extend(idle.calls.iter().map(|counted| {
        let what = format!("{rollouts} idle, calls over {seconds} s");
        Figure::new(what, counted.calls as f64, "calls").goal(goals::IDLE_CALLS).beside(counted.told())
    }));
    figures.extend(idle.starting.iter().map(|counted| {
        let what = format!("{rollouts} idle, calls of the start");
        let calls = counted.calls + counted.watching;
        Figure::new(what, calls as f64, "calls").beside(counted.told())
    }));
    figures
}

/// Where another replica waits for the Lease, a restart is not waited for: that one follows.
fn of_restart(restart: &Restart, is_followed: bool) -> Vec<Figure> {
    let rollouts = restart.rollouts;
    let what = if is_followed { "leader lost" } else { "restarted" };
    let goal =
        if is_followed { Some(goals::FOLLOWED) } else { goals::idle(rollouts).map(|goal| goal.restart) };
    let beside = |summary: Summary| {
        format!("min {}, p50 {} of {}", shown(summary.min), shown(summary.p50), summary.count)
    };
    let moved = restart.moved.map(|moved| {
        let figure =
            Figure::new(format!("{rollouts} idle, {what} to moved"), moved.max, "ms").beside(beside(moved));
        goal.into_iter().fold(figure, Figure::goal)
    });
    let calls = restart.calls.map(|counted| {
        let what = format!("{rollouts} idle, calls until moved");
        let figure = Figure::new(what, counted.max, "calls").beside(beside(counted));
        if rollouts <= goals::RESTART_CALLS_UP_TO { figure.goal(goals::RESTART_CALLS) } else { figure }
    });
    moved.into_iter().chain(calls).collect()
}

fn of_active(active: &Active) -> Vec<Figure> {
    let Active { rollouts, hold, cost, .. } = active;
    let beside = format!("peak {}, of no file {}", shown(cost.peak), shown(cost.anonymous));
    let mut figures = vec![
        Figure::new(format!("{rollouts} active, steps of {hold} s, memory"), cost.rss, "MiB")
            .goal(goals::ACTIVE_MEMORY)
            .beside(beside),
        Figure::new(format!("{rollouts} active, processor over {} s", cost.seconds), cost.cores, "cores")
            .goal(goals::ACTIVE_CORES),
    ];
    figures.extend(of_rollback(&active.rollback, &format!(" among {rollouts} active")));
    figures.push(Figure::new(
        format!("{rollouts} active, start to all under control"),
        active.under_control,
        "ms",
    ));
    figures
}

fn of_endurance(endurance: &Endurance) -> Vec<Figure> {
    let Endurance { rollouts, minutes, promoted, failed, notices, growth, calls_growth, .. } = endurance;
    let last = endurance.samples.last();
    let among = format!("{rollouts} releasing for {minutes:.0} min");
    let memory = growth.map(|growth| {
        let beside = last.map_or_else(String::new, |last| format!("at the end {} MB", shown(last.rss)));
        Figure::new(format!("{among}, growth of memory"), growth, "MB/h").goal(goals::GROWTH).beside(beside)
    });
    let calls = calls_growth.map(|growth| {
        let calls = last.and_then(|last| last.calls);
        let beside = calls.map_or_else(String::new, |calls| format!("at the end {} a minute", shown(calls)));
        Figure::new(format!("{among}, growth of calls"), growth, "%/h")
            .goal(goals::CALLS_GROWTH)
            .beside(beside)
    });
    let warm = endurance.samples.iter().filter(|sample| sample.minute > endurance.warm);
    let cores: Vec<f64> = warm.map(|sample| sample.cores).collect();
    let mean = cores.iter().sum::<f64>() / cores.len().max(1) as f64;
    let mut figures: Vec<Figure> = memory.into_iter().chain(calls).collect();
    figures.push(Figure::new(format!("{among}, processor"), mean, "cores"));
    let notices = notices.map_or_else(String::new, |notices| format!(", {notices} notices taken in all"));
    let beside = format!("{failed} runs failed{notices}");
    figures.push(Figure::new(format!("{among}, releases"), *promoted as f64, "").beside(beside));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_was_reached() {
        let summary = Summary::of(&[10.0, 20.0, 60.0]);
        let rollback = |at_once, answer_to_moved| Rollback {
            at_once,
            flip_to_moved: None,
            poll_wait: None,
            answer_to_moved,
            decision: None,
            write: None,
        };
        let plan = Plan {
            parts: Vec::new(),
            idle: Vec::new(),
            active: 0,
            runs: 0,
            minutes: 0,
            hold: std::time::Duration::ZERO,
            picture: None,
            everything: false,
            routes: crate::demo::Routes::default(),
            brief: false,
            kubeconfig: None,
            audit_log: None,
            program: None,
        };
        let mut report = Report::new("a server".into(), &plan, false);
        report.rollback = vec![rollback(1, summary), rollback(6, Summary::of(&[49.5]))];
        report.note("active", Err(BenchError::Interrupted));
        report.note("restart", Ok(()));
        let table = report.table();
        assert!(table.contains("Calls were not counted"), "{table}");
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "1 failing at once, bad answer to moved, p99        60 ms     goal 25: MISSED      min 10, p50 20, max 60 of 3",
                "6 failing at once, bad answer to moved, p99      49.5 ms     goal 50: reached     min 49.5, p50 49.5, max 49.5 of 1",
                "LACKING: active: interrupted before the end",
            ]
        );
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["figures"][0]["goal"], 25.0);
        assert_eq!(json["rollback"][0]["answerToMoved"]["p50"], 20.0);
    }
}
