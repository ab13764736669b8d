//! Parts of the bench as a user runs it, but tiny and brief. All of them: `tidegate bench --brief`.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use assert_cmd::Command;
use serde_json::Value;

#[test]
fn a_brief_bench_of_the_sandbox_counts_and_weighs() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let done = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["bench", "requests", "memory", "--brief", "--idle", "5", "--json"])
        .arg(&json)
        .timeout(std::time::Duration::from_mins(5))
        .assert()
        .success();
    let table = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(table.contains("a whole run of 5 steps"), "{table}");

    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).expect(pointer);
    assert_eq!(report["server"], "the sandbox");
    // What does not depend on how fast this machine is.
    assert!((10.0..=40.0).contains(&number("/requests/run/calls")), "{table}");
    assert_eq!(report["requests"]["steps"].as_array().unwrap().len(), 6);
    let none = |pointer: &str| assert!(number(pointer).abs() < f64::EPSILON, "{pointer}: {table}");
    none("/requests/idle/calls");
    assert!((1.0..=6.0).contains(&number("/requests/abort/calls")), "{table}");
    none("/requests/afterAbort/calls");
    for pointer in ["/memory/0/cost/rss", "/memory/1/cost/anonymous", "/figures/0/goal"] {
        assert!(number(pointer) > 0.0, "{pointer}: {report:#}");
    }
    none("/memory/1/calls/calls");
}

#[test]
fn a_brief_endurance_with_everything_on_releases_over_and_over_and_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (json, picture) = (folder.path().join("report.json"), folder.path().join("endurance.svg"));
    let done = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["bench", "endurance", "--brief", "--everything", "--active", "4", "--json"])
        .arg(&json)
        .arg("--picture")
        .arg(&picture)
        .timeout(std::time::Duration::from_mins(5))
        .assert()
        .success();
    let table = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(table.contains("With two replicas and their Lease"), "{table}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let found = &report["endurance"];
    let number = |field: &str| found[field].as_u64().expect(field);
    // Each releases more than once, and tells of it; nothing is wrong with any of the versions.
    assert!(number("promoted") > 4 && number("notices") > 4, "{found:#}");
    assert_eq!((number("failed"), number("standing"), number("refused")), (0, 0, 0), "{found:#}");
    let samples = found["samples"].as_array().unwrap();
    assert!(samples.iter().all(|sample| sample["rss"].as_f64().unwrap() > 1.0), "{samples:#?}");
    assert!(samples.iter().any(|sample| sample["calls"].as_f64().unwrap() > 0.0), "{samples:#?}");
    let picture = std::fs::read_to_string(&picture).unwrap();
    assert_eq!((picture.matches("<polyline").count(), picture.contains("NaN")), (4, false));
}

#[test]
fn what_would_measure_nothing_is_refused() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let done =
            command.arg("bench").args(words).timeout(std::time::Duration::from_mins(1)).assert().failure();
        let output = done.get_output();
        String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
    };
    assert!(run(&["endurance", "--minutes", "10"]).contains("10 min are too short for holds of 180 s"));
    assert!(run(&["requests", "--hold", "10"]).contains("name that part too"));
}
