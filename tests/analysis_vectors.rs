//! The statistics against vectors from an independent reference implementation.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests may end the test")]

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tidegate::analysis::{
    Batch, Dispersion, HARM_GRID, Judged, LADDER, Level, OnInconclusive, PodCounts, Proof, SAFE_GRID,
    Sequence, SequenceConfig, Snapshot, StepFacts, Verdict, decide_step, increment, log_bet,
    min_clean_requests, ratio_bounds, slow_count,
};

const SECTIONS: [&str; 8] = [
    "counter_increment",
    "decision",
    "dispersion",
    "log_bet",
    "min_clean_requests",
    "ratio_bounds",
    "sequences",
    "slow_count",
];

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/analysis/vectors.json")).expect("the vectors are JSON")
}

fn cases(section: &str) -> Vec<Value> {
    vectors()[section].as_array().filter(|cases| !cases.is_empty()).expect(section).clone()
}

fn float(value: &Value) -> f64 {
    match value.as_str() {
        Some("-inf") => f64::NEG_INFINITY,
        Some("+Inf") => f64::INFINITY,
        Some(text) => text.parse().expect("a number"),
        None => value.as_f64().unwrap_or_else(|| panic!("{value} is not a number")),
    }
}

fn int(value: &Value) -> i32 {
    i32::try_from(value.as_i64().expect("a whole number")).expect("a small one")
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(float).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// Equal within 1e-9, absolute or relative, whichever is larger.
fn assert_close(got: f64, want: &Value, what: impl std::fmt::Display) {
    let want = float(want);
    let close = if want.is_finite() {
        (got - want).abs() <= 1e-9 * want.abs().max(1.0)
    } else {
        got.total_cmp(&want).is_eq()
    };
    assert!(close, "{what}: got {got}, want {want}");
}

fn batch(of: &Value) -> Batch {
    Batch::new(float(&of["x"]), float(&of["m"]), float(&of["y"]), float(&of["n"])).expect("possible counts")
}

fn level(of: &Value) -> Level {
    Level { ratio: float(&of["ratio"]), absolute: float(&of["absolute"]) }
}

fn config(of: &Value) -> SequenceConfig {
    SequenceConfig {
        alpha: float(&of["alpha"]),
        beta: float(&of["beta"]),
        metrics: int(&of["metrics"]),
        steps: int(&of["steps"]),
        planned_polls: int(&of["planned_polls"]),
        tolerate: level(&of["tolerate"]),
        catch: level(&of["catch"]),
        burst: float(&of["burst"]),
    }
}

#[test]
fn vector_sections_are_all_known() {
    let vectors = vectors();
    let mut sections: Vec<&str> =
        vectors.as_object().expect("an object").keys().map(String::as_str).collect();
    sections.retain(|name| !["version", "tolerance", "constants", "defaults"].contains(name));
    sections.sort_unstable();
    assert_eq!(sections, SECTIONS);
    for section in SECTIONS {
        assert!(!cases(section).is_empty());
    }
    assert_eq!(vectors["version"], 1);
    assert_close(1e-9, &vectors["tolerance"], "tolerance");
}

#[test]
fn vector_constants_and_defaults() {
    let vectors = vectors();
    let constants = &vectors["constants"];
    assert_eq!(constants.as_object().map(serde_json::Map::len), Some(3));
    assert_eq!(floats(&constants["harm_grid"]), HARM_GRID);
    assert_eq!(floats(&constants["safe_grid"]), SAFE_GRID);
    assert_eq!(floats(&constants["ladder"]), LADDER);
    assert_eq!(config(&vectors["defaults"]), SequenceConfig::default());
}

#[test]
fn vector_log_bet() {
    for case in cases("log_bet") {
        assert_close(log_bet(batch(&case), level(&case), float(&case["g"])), &case["expected"], &case);
    }
}

#[test]
fn vector_sequences() {
    for case in cases("sequences") {
        let (id, config) = (text(&case["id"]), config(&case["config"]));
        let mut sequence = Sequence::new();
        let mut verdicts = Vec::new();
        let (polls, expected) = (case["polls"].as_array().expect(id), case["expected"].as_array().expect(id));
        assert!(!polls.is_empty() && polls.len() == expected.len(), "{id}");
        for (index, (poll, want)) in polls.iter().zip(expected).enumerate() {
            sequence.update(&config, int(&poll["step"]), batch(poll));
            assert_close(sequence.log_e_harm(), &want["log_e_harm"], format_args!("{id} {index} harm"));
            assert_close(sequence.log_e_safe(), &want["log_e_safe"], format_args!("{id} {index} safe"));
            verdicts.push(sequence.verdict(&config));
            assert_eq!(verdicts[index].to_string(), text(&want["verdict"]), "{id} {index}");
        }
        let first = |verdict| verdicts.iter().position(|seen| *seen == verdict).map(|index| index as u64);
        assert_eq!(first(Verdict::Fail), case["first_fail"].as_u64(), "{id}");
        assert_eq!(first(Verdict::Safe), case["first_safe"].as_u64(), "{id}");
    }
}

#[test]
fn vector_counter_increment() {
    let snapshot = |of: &Value| -> Snapshot {
        of.as_object().expect("series").iter().map(|(series, value)| (series.clone(), float(value))).collect()
    };
    for case in cases("counter_increment") {
        let previous =
            case["had_previous_snapshot"].as_bool().expect("a flag").then(|| snapshot(&case["prev"]));
        assert_close(increment(previous.as_ref(), &snapshot(&case["cur"])), &case["expected"], &case["why"]);
    }
}

#[test]
fn vector_slow_count() {
    for case in cases("slow_count") {
        let buckets: BTreeMap<String, Value> =
            serde_json::from_value(case["buckets"].clone()).expect("an object");
        let buckets: Vec<(f64, f64)> =
            buckets.iter().map(|(le, count)| (float(&Value::from(le.as_str())), float(count))).collect();
        let seen = slow_count(&buckets, float(&case["limit"])).expect("whole buckets");
        assert_close(seen.le, &case["expected"]["le"], "le");
        assert_close(seen.slow, &case["expected"]["slow"], "slow");
        assert_close(seen.total, &case["expected"]["total"], "total");
    }
}

#[test]
fn vector_dispersion() {
    for case in cases("dispersion") {
        let rows = |field: &str| -> Vec<Vec<f64>> {
            case[field].as_array().expect(field).iter().map(floats).collect()
        };
        let mut dispersion = Dispersion::default();
        for (errors, requests) in rows("errors").into_iter().zip(rows("requests")) {
            let pods: Vec<PodCounts> = errors
                .into_iter()
                .zip(requests)
                .map(|(errors, requests)| PodCounts { errors, requests })
                .collect();
            dispersion.observe(&pods);
        }
        assert_close(dispersion.chi2, &case["expected"]["chi2"], "chi2");
        assert_eq!(dispersion.df, int(&case["expected"]["df"]));
        assert_close(dispersion.burst(), &case["expected"]["burst"], "burst");
    }
}

#[test]
fn vector_min_clean_requests() {
    for case in cases("min_clean_requests") {
        let needed =
            min_clean_requests(float(&case["absolute"]), float(&case["beta"]), float(&case["burst"]));
        assert_eq!(needed, case["expected"].as_i64(), "{case}");
    }
}

#[test]
fn vector_ratio_bounds() {
    let rung = |value: &Value| (!value.is_null()).then(|| float(value));
    for case in cases("ratio_bounds") {
        let bounds = ratio_bounds(batch(&case), float(&case["alpha"]), float(&case["burst"]));
        assert_eq!(bounds.at_least, rung(&case["expected"]["at_least"]), "{case}");
        assert_eq!(bounds.at_most, rung(&case["expected"]["at_most"]), "{case}");
    }
}

#[test]
fn vector_decision() {
    let seconds = |value: &Value| Duration::from_secs(value.as_u64().expect("whole seconds"));
    for case in cases("decision") {
        let verdicts: Vec<Verdict> =
            serde_json::from_value(case["metrics"].clone()).expect("verdicts by name");
        let metrics: Vec<Judged> = verdicts
            .into_iter()
            .map(|verdict| match verdict {
                Verdict::Pass => Judged::Plain(verdict),
                Verdict::Fail | Verdict::Safe | Verdict::Collecting | Verdict::Error => {
                    Judged::Sequential { verdict, log_e_harm: 0.0 }
                }
            })
            .collect();
        let decision = decide_step(&StepFacts {
            metrics: &metrics,
            elapsed: seconds(&case["elapsed_s"]),
            duration: seconds(&case["duration_s"]),
            max_duration: seconds(&case["max_duration_s"]),
            baseline_unhealthy: case["baseline_unhealthy"].as_bool().expect("a flag"),
            on_inconclusive: match text(&case["on_inconclusive"]) {
                "pause" => OnInconclusive::Pause,
                "advance" => OnInconclusive::Advance,
                "rollback" => OnInconclusive::Rollback,
                other => panic!("unknown: {other}"),
            },
            proof: Proof::Required,
        });
        assert_eq!(format!("{decision:?}"), text(&case["expected"]), "{case}");
    }
}
