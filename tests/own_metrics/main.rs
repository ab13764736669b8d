//! The dashboard and the alerts ask for what the controller tells, and for nothing else: every expression is parsed, and every
//! metric, label and value in it is held against the definitions.

#![cfg(feature = "plugin")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may end the test")]

mod queries;
#[path = "../support/skip.rs"]
mod skip;

use std::{collections::BTreeSet, path::Path, process::Command};

use queries::Query;
use regex::Regex;
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../charts/tidegate/files/dashboard.json");
const RULES: &str = include_str!("../../charts/tidegate/files/rules.yaml");

/// Something that is shown or told, by an expression.
struct Use {
    place: String,
    query: String,
    /// The labels that its texts fill in.
    filled: BTreeSet<String>,
}

impl Use {
    /// What is wrong with it.
    fn faults(&self) -> Vec<String> {
        let query = Query::read(&self.query);
        let unknown = self.filled.iter().filter(|label| !query.labels.contains(*label));
        let unknown = unknown.map(|label| format!("the text has {label}, which the series have not"));
        query.faults.iter().cloned().chain(unknown).map(|fault| format!("{}: {fault}", self.place)).collect()
    }
}

fn named(text: &str, pattern: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// What the panels show, with what Grafana fills in filled in.
fn panels(dashboard: &Value) -> Vec<Use> {
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let legend = target["legendFormat"].as_str().unwrap();
            all.push(Use {
                place: format!("{} ({legend})", panel["title"].as_str().unwrap()),
                query: target["expr"].as_str().unwrap().to_owned(),
                filled: named(legend, r"\{\{(\w+)\}\}"),
            });
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if variable["type"] == "query" {
            let query = variable["query"]["query"].as_str().unwrap();
            let inner = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
            let (query, label) = inner.rsplit_once(", ").unwrap();
            all.push(Use {
                place: format!("the variable {}", variable["name"]),
                query: query.to_owned(),
                filled: [label.to_owned()].into(),
            });
        }
    }
    all
}

fn alerts(rules: &Value) -> Vec<Use> {
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let of = |rule: &Value| {
        let annotations = &rule["annotations"];
        let text = |name: &str| {
            let text = annotations[name].as_str().filter(|text| !text.is_empty());
            let Some(text) = text else { panic!("{} has no {name}", rule["alert"]) };
            text.to_owned()
        };
        Use {
            place: rule["alert"].as_str().unwrap().to_owned(),
            query: rule["expr"].as_str().unwrap().to_owned(),
            filled: named(&format!("{} {}", text("summary"), text("description")), r"\$labels\.(\w+)"),
        }
    };
    rules.map(of).collect()
}

fn rules() -> Value {
    serde_saphyr::from_str(RULES).unwrap()
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

#[test]
fn the_dashboard_shows_what_is_told() {
    let panels = panels(&dashboard());
    assert!(panels.len() > 30, "{}", panels.len());
    let faults: Vec<String> = panels.iter().flat_map(Use::faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn alerts_ask_for_what_is_told() {
    let alerts = alerts(&rules());
    assert!(alerts.len() > 10, "{}", alerts.len());
    let faults: Vec<String> = alerts.iter().flat_map(Use::faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn alerts_have_names_of_ours_and_a_severity() {
    let rules = rules();
    let mut names = BTreeSet::new();
    for rule in
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
    {
        let name = rule["alert"].as_str().unwrap();
        assert!(name.starts_with("Tidegate") && names.insert(name.to_owned()), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["info", "warning", "critical"].contains(&severity), "{name}: {severity}");
        assert!(rule["annotations"]["description"].as_str().unwrap().trim_end().ends_with('.'), "{name}");
    }
}

#[test]
fn panels_have_a_place_and_a_datasource_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let part = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(part("x") + part("w") <= 24, "{}", panel["title"]);
        for x in part("x")..part("x") + part("w") {
            for y in part("y")..part("y") + part("h") {
                assert!(taken.insert((x, y)), "{} lies on another one", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
    for variable in ["datasource", "namespace", "rollout"] {
        assert!(DASHBOARD.contains(&format!("\"name\": \"{variable}\"")), "{variable}");
    }
}

#[test]
fn what_is_not_told_is_found() {
    for (query, want) in [
        ("tidegate_nothing", "tidegate_nothing is no metric of ours"),
        ("tidegate_runs", "tidegate_runs is no metric of ours"),
        ("tidegate_reconcile_seconds", "tidegate_reconcile_seconds is a histogram"),
        ("tidegate_reconciles_total_count", "is no metric of ours"),
        ("rate(tidegate_runs_total{result=\"Failed\"}[5m])", "tidegate_runs_total has no label result"),
        ("tidegate_runs_total{outcome=\"Lost\"}", "outcome of tidegate_runs_total is never Lost"),
        ("tidegate_runs_total{outcome=~\"Failed|Lost\"}", "outcome of tidegate_runs_total is never Lost"),
        ("sum by (phase) (tidegate_stalled_rollouts)", "is grouped by phase"),
        ("sum by (le) (tidegate_runs_total)", "is grouped by le"),
        ("tidegate_leader and on (rollout) tidegate_ready", "is matched on rollout"),
        ("{phase=\"Failed\"}", "has no name"),
        ("sum(", "no PromQL"),
    ] {
        let faults = Query::read(query).faults.join("; ");
        assert!(faults.contains(want), "{query}: {faults}");
    }
    let used = Use {
        place: "p".into(),
        query: "sum(tidegate_leader)".into(),
        filled: ["rollout".to_owned()].into(),
    };
    assert_eq!(used.faults(), ["p: the text has rollout, which the series have not"]);
}

/// Runs Prometheus' own tool; none where this machine has none.
fn promtool(args: &[&str]) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(done) = Command::new("promtool").args(args).current_dir(root).output() else {
        skip::skip("promtool is not on PATH");
        return None;
    };
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "promtool {}: {told}", args.join(" "));
    Some(told)
}

#[test]
fn prometheus_takes_the_alerts() {
    if let Some(told) = promtool(&["check", "rules", "charts/tidegate/files/rules.yaml"]) {
        assert!(told.contains("rules found"), "{told}");
    }
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    if let Some(told) = promtool(&["test", "rules", "tests/data/metrics/rules.test.yaml"]) {
        assert!(told.contains("SUCCESS"), "{told}");
    }
}
