//! `tidegate analysis` as people and CI run it.

#![allow(clippy::unwrap_used)]

use assert_cmd::Command;
use serde_json::Value;

fn analysis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("analysis");
    command
}

fn told(command: &mut Command) -> (bool, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// Everything but the time of an update, which is a debug build's here.
#[test]
fn every_goal_is_reached_at_a_small_size_and_the_page_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let mut command = analysis();
    let command =
        command.args(["simulate", "--runs", "200", "--cell", "8", "-o", "json", "--html"]).arg(&page);
    let command = command.arg("--pictures").arg(folder.path());
    let (_, out, _) = told(command);
    let report: Value = serde_json::from_str(&out).unwrap();
    let goals = report["goals"].as_array().unwrap();
    assert_eq!(goals.len(), 15);
    for goal in goals.iter().filter(|goal| goal["case"] != "time of an update and its verdict") {
        assert_eq!(goal["reached"], true, "{goal}");
    }
    // A rule that is looked at again and again puts good canaries back.
    let peeking = goals[0]["others"][1][1].as_str().unwrap();
    let often: u32 = peeking.split(' ').next().unwrap().parse().unwrap();
    assert!(often > 20, "{peeking}");
    let cells = report["plan"].as_array().unwrap().iter().flat_map(|row| row["cells"].as_array().unwrap());
    assert_eq!(cells.clone().filter(|cell| cell["reached"] == true).count(), cells.count());
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("both arms sick") && !page.contains("NaN"), "{page}");
    for name in ["power-0.001.svg", "power-0.01.svg"] {
        let picture = std::fs::read_to_string(folder.path().join(name)).unwrap();
        // Two charts of three rules each.
        assert_eq!((picture.matches("<svg").count(), picture.matches("<polyline").count()), (1, 6), "{name}");
    }
}

#[test]
fn the_same_size_gives_the_same_counts_on_any_number_of_threads() {
    let counts = |threads: &str| {
        let mut command = analysis();
        let (_, out, _) = told(command.args([
            "simulate",
            "--runs",
            "60",
            "--cell",
            "2",
            "-o",
            "json",
            "--threads",
            threads,
        ]));
        let mut report: Value = serde_json::from_str(&out).unwrap();
        report["goals"].as_array_mut().unwrap().truncate(13);
        report
    };
    let (one, three) = (counts("1"), counts("3"));
    assert_eq!(one["goals"], three["goals"]);
    let ends = |report: &Value| {
        report["plan"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["cells"][1]["ends"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ends(&one), ends(&three));
}

#[test]
fn recorded_counts_are_judged_poll_by_poll() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let mut command = analysis();
    let command = command.args(["replay", "-f", "tests/data/analysis/vectors.json", "--html"]).arg(&page);
    let (done, out, _) = told(command);
    assert!(done);
    let ten = out.split("\n\n").find(|part| part.starts_with("ten_times_worse")).unwrap();
    assert!(ten.contains("Fail from 4.605, Safe from 2.996") && ten.contains("  Fail"), "{ten}");
    assert!(std::fs::read_to_string(page).unwrap().matches("<svg").count() > 10);
    let mut command = analysis();
    let (_, out, _) = told(command.args(["replay", "-f", "tests/data/analysis/vectors.json", "-o", "json"]));
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(all[1]["firstFail"], 3);
}

#[test]
fn the_picture_of_the_evidence_in_the_documentation_is_what_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("evidence.svg");
    let mut command = analysis();
    let command = command.args(["replay", "-f", "docs/pictures/evidence.json", "--picture"]).arg(&picture);
    let (done, out, why) = told(command);
    assert!(done, "{why}");
    let (good, worse) = out.split_once("Five times worse").unwrap();
    assert!(good.contains("Safe") && !good.contains("  Fail"), "{good}");
    assert!(worse.contains("  Fail"), "{worse}");
    let committed = std::fs::read_to_string("docs/pictures/evidence.svg").unwrap();
    let again =
        "tidegate analysis replay -f docs/pictures/evidence.json --picture docs/pictures/evidence.svg";
    assert!(std::fs::read_to_string(picture).unwrap() == committed, "not as drawn; run: {again}");
}

#[test]
fn what_can_t_be_replayed_is_said_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let broken = file("broken.json", "{");
    let impossible = file("impossible.json", r#"{"polls": [{"step": 0, "x": 9, "m": 1, "y": 0, "n": 1}]}"#);
    let rollout = file("rollout.yaml", "kind: Rollout\nmetadata: {name: color}\nspec: {}\n");
    let past = [
        "--from",
        "2026-11-24T09:00:00Z",
        "--to",
        "2026-11-24T10:00:00Z",
        "--canary",
        "v2",
        "--stable",
        "v1",
    ];
    let none = file("none.yaml", "kind: ConfigMap\nmetadata: {name: color}\n");
    let cases: [(Vec<&str>, &str); 7] = [
        (vec![], "--file <FILE>"),
        (vec!["-f", "/nowhere.json"], "cannot read /nowhere.json"),
        (vec!["-f", &broken], "is not JSON"),
        (vec!["-f", &impossible], "poll 0 of the sequence recorded has impossible counts"),
        (vec!["--rollout", &rollout], "--from <TIME>"),
        ([&["--rollout", &rollout], &past[..]].concat(), "cannot read a Rollout, or its template, from"),
        (
            [&["--rollout", &none], &past[..]].concat(),
            "must hold one Rollout, and may hold AnalysisTemplates",
        ),
    ];
    for (arguments, part) in cases {
        let mut command = analysis();
        let (done, _, why) = told(command.arg("replay").args(&arguments));
        assert!(!done && why.contains(part), "{arguments:?}: {why}");
    }
}
