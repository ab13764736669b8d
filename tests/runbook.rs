//! The runbook keeps up with the program: each reason that a condition, an Event, a pause or a run's end can have, and each
//! alert, has a heading in it; each heading of that kind is one of them; and each alert points to its own.

#![allow(clippy::unwrap_used)]

#[path = "support/files.rs"]
mod files;
#[path = "docs/heading.rs"]
mod heading;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use files::files;
use heading::{Heading, headings, slug};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tidegate::api::{EndReason, PauseReason, Phase};

const RUNBOOK: &str = include_str!("../docs/runbook.md");
const COMMANDS: &str = include_str!("../docs/cli.md");
const RULES: &str = include_str!("../charts/tidegate/files/rules.yaml");

/// Where reasons are set as words. There every word in quotes that could be a reason is one, but for [`OTHERS`].
const SET_IN: &[&str] = &["src/engine", "src/routes", "src/controller"];

/// What has labels of metrics instead (docs/metrics.md).
const LABELS: &[&str] = &["src/controller/meters/", "src/controller/error.rs", "src/routes/apply.rs"];

/// Words in quotes that look like reasons and are none.
const OTHERS: &[&str] = &[
    // Conditions of Rollouts, and what they can be.
    "False",
    "Ready",
    "Reconciling",
    "Retiring",
    "RoutesInSync",
    "Stalled",
    "True",
    "WorkloadKept",
    // What is read on routes, or written there.
    "Accepted",
    "Exact",
    "FieldValueRequired",
    "Gateway",
    "GatewayRouteActive",
    "PartiallyInvalid",
    "Programmed",
    "RequestMirror",
    "ResolvedRefs",
    "Rollout",
    "Service",
    "VirtualRouterActive",
    // Kinds.
    "AnalysisTemplates",
    "Deployments",
    "GRPCRoute",
    "GRPCRoutes",
    "GatewayRoute",
    "GatewayRoutes",
    "HTTPRoute",
    "HTTPRoutes",
    "HorizontalPodAutoscalers",
    "Rollouts",
    "StatefulSets",
    "VirtualRouter",
    "VirtualRouters",
    // Labels of metrics that stand among other things.
    "KindUnavailable",
    "RolloutWatch",
    // Names of types, and a variable of the environment.
    "HOSTNAME",
    "Metadata",
    "ObjectMeta",
    "Shown",
];

/// All values of an enum without data, as its schema lists them.
fn values<T: JsonSchema + DeserializeOwned>() -> Vec<T> {
    let schema = serde_json::to_value(schemars::schema_for!(T)).unwrap();
    listed(&schema).into_iter().map(|word| serde_json::from_value(Value::String(word)).unwrap()).collect()
}

/// The words that a schema allows.
fn listed(schema: &Value) -> Vec<String> {
    let many = |field: &str| schema.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let own = schema.get("const").cloned().into_iter().chain(many("enum"));
    let mut words: Vec<String> = own.filter_map(|word| Some(word.as_str()?.to_owned())).collect();
    words.extend(many("oneOf").iter().flat_map(listed));
    words
}

/// A value as status has it.
fn stored(value: &impl Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

/// The reasons that are values of enums: by their words, and as status has them.
fn enumerated() -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    for end in values::<EndReason>() {
        reasons.extend([end.word().to_owned(), stored(&end)]);
    }
    for pause in values::<PauseReason>() {
        reasons.extend([pause.word().to_owned(), stored(&pause)]);
    }
    for phase in values::<Phase>() {
        match phase {
            // Stalled is True in these, and has another reason.
            Phase::Failed | Phase::Invalid => {}
            Phase::Healthy | Phase::Progressing | Phase::Paused | Phase::RollingBack | Phase::Suspended => {
                reasons.insert(phase.word().to_owned());
            }
        }
    }
    reasons
}

/// The words in quotes that could be reasons, outside of comments and tests.
fn words(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let word = Regex::new(r#""([A-Z][A-Za-z]+)""#).unwrap();
    word.captures_iter(&code.join("\n")).map(|found| found[1].to_owned()).collect()
}

/// Whether words of this file, a path from the root, may be reasons.
fn is_scanned(path: &str) -> bool {
    let is_test = path.contains("/tests/") || path.ends_with("tests.rs");
    !is_test && !LABELS.iter().any(|labels| path.starts_with(labels))
}

/// All such words of the sources.
fn written() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = SET_IN.iter().flat_map(|folder| files(&root.join(folder), "rs"));
    let scanned = files.filter(|file| is_scanned(file.strip_prefix(root).unwrap().to_str().unwrap()));
    scanned.flat_map(|file| words(&std::fs::read_to_string(&file).unwrap())).collect()
}

/// Every reason that can be told.
fn reasons() -> BTreeSet<String> {
    let written = written().into_iter().filter(|word| !OTHERS.contains(&word.as_str()));
    written.chain(enumerated()).collect()
}

/// The alerts, each with what its annotation `runbook` says.
fn alerts(rules: &str) -> BTreeMap<String, String> {
    let rules: Value = serde_saphyr::from_str(rules).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let told = |rule: &Value| {
        let runbook = rule["annotations"]["runbook"].as_str().unwrap_or_default();
        (rule["alert"].as_str().unwrap().to_owned(), runbook.to_owned())
    };
    rules.map(told).collect()
}

/// What is wrong with a runbook, where these are the reasons and the alerts that there are.
fn faults(page: &str, reasons: &BTreeSet<String>, alerts: &BTreeMap<String, String>) -> Vec<String> {
    let headings = headings(page);
    let of_words: Vec<&Heading> = headings.iter().filter(|heading| heading.level >= 3).collect();
    let has = |word: &String| of_words.iter().any(|heading| heading.text == *word);
    let mut found = vec![];
    for word in reasons.iter().chain(alerts.keys()).filter(|word| !has(word)) {
        found.push(format!("{word} has no heading"));
    }
    for Heading { text, says, .. } in of_words {
        if !reasons.contains(text) && !alerts.contains_key(text) {
            found.push(format!("{text} is neither a reason nor an alert"));
        }
        if !says {
            found.push(format!("{text} says nothing"));
        }
    }
    let mut slugs = BTreeSet::new();
    for heading in &headings {
        if !slugs.insert(slug(&heading.text)) {
            found.push(format!("{} is linked like another heading", heading.text));
        }
    }
    for (alert, runbook) in alerts {
        let place = format!("docs/runbook.md#{}", slug(alert));
        if *runbook != place {
            found.push(format!("{alert} points to {runbook:?}, not to {place}"));
        }
    }
    found
}

/// The commands that a page tells to give and that there are not.
fn unknown_commands(page: &str, commands: &str) -> BTreeSet<String> {
    let known = |command: &str| commands.contains(&format!("\n## kubectl tidegate {command}\n"));
    let told = Regex::new(r"kubectl tidegate ([a-z-]+)").unwrap();
    let told = told.captures_iter(page).map(|found| found[1].to_owned());
    told.filter(|command| !known(command)).collect()
}

#[test]
fn every_reason_and_every_alert_has_its_heading() {
    let (reasons, alerts) = (reasons(), alerts(RULES));
    assert!(reasons.len() > 80, "only {} reasons found: {reasons:?}", reasons.len());
    assert!(alerts.len() > 10, "only {} alerts found", alerts.len());
    let faults = faults(RUNBOOK, &reasons, &alerts);
    assert!(
        faults.is_empty(),
        "docs/runbook.md has one heading of level 3 for each reason, which is any word in quotes in {SET_IN:?} that OTHERS does \
         not list:\n{}",
        faults.join("\n")
    );
}

#[test]
fn what_is_no_reason_stands_in_the_sources() {
    let written = written();
    let gone: Vec<&&str> = OTHERS.iter().filter(|word| !written.contains(**word)).collect();
    assert!(gone.is_empty(), "take these out of OTHERS: {gone:?}");
}

#[test]
fn the_runbook_tells_commands_that_there_are() {
    assert!(COMMANDS.contains("\n## kubectl tidegate abort\n"));
    let unknown = unknown_commands(RUNBOOK, COMMANDS);
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_enums_are_read_whole() {
    let reasons = enumerated();
    #[rustfmt::skip]
    let known = ["AnalysisFailed", "Failed", "ProgressDeadlineExceeded", "Deadline", "Promoted", "Marked", "Approval", "MetricError", "Suspended"];
    for word in known {
        assert!(reasons.contains(word), "{word}: {reasons:?}");
    }
    assert!(!reasons.contains("Invalid"));
    assert_eq!(values::<EndReason>().len(), 12);
    assert_eq!(values::<PauseReason>().len(), 7);
}

#[test]
fn words_are_found_where_they_count() {
    let source = r#"
//! Tells "OfTheModule".
const GATE: &str = "Gate";
fn f(turn: &mut Turn) {
    // "OfAComment" is none.
    turn.say(Phase::Invalid, "SameName", sentence);
    let text = "Not a reason"; let other = "lower"; let one = format!("{Two}");
}
#[cfg(test)]
mod tests { const T: &str = "OfATest"; }
"#;
    let found: Vec<String> = words(source).into_iter().collect();
    assert_eq!(found, ["Gate", "SameName"]);
    assert!(is_scanned("src/engine/judge/share.rs") && is_scanned("src/controller/turn.rs"));
    for path in ["src/controller/meters/labels.rs", "src/routes/apply/tests.rs", "src/routes/tests/a.rs"] {
        assert!(!is_scanned(path), "{path}");
    }
}

#[test]
fn a_bad_runbook_is_found() {
    let reasons: BTreeSet<String> = ["Drifted", "Gate"].map(str::to_owned).into();
    let place = |place: &str| BTreeMap::from([("TidegateDown".to_owned(), place.to_owned())]);
    let alerts = place("docs/runbook.md#tidegatedown");
    let good = "# Runbook\n\n## Stop\n\n```sh\n# no heading\n```\n### Drifted\nx\n### Gate\nx\n#### TidegateDown\nx\n";
    assert_eq!(faults(good, &reasons, &alerts), [""; 0]);
    #[rustfmt::skip]
    let cases = [
        ("a reason is left out", good.replace("### Gate\nx\n", ""), "Gate has no heading"),
        ("an alert is left out", good.replace("#### TidegateDown\nx\n", ""), "TidegateDown has no heading"),
        ("spelled otherwise", good.replace("### Gate", "### `Gate`"), "Gate has no heading|`Gate` is neither a reason nor an alert"),
        ("no such reason", good.replace("### Gate", "### Gone\nx\n### Gate"), "Gone is neither a reason nor an alert"),
        ("nothing said", good.replace("### Gate\nx\n", "### Gate\n\n"), "Gate says nothing"),
        ("twice", good.replace("## Stop", "## Gate"), "Gate is linked like another heading"),
        ("only in code", good.replace("### Gate\nx\n", "```\n### Gate\n```\n"), "Gate has no heading"),
    ];
    for (name, page, want) in cases {
        assert_eq!(faults(&page, &reasons, &alerts).join("|"), want, "{name}");
    }
    let elsewhere = faults(good, &reasons, &place("docs/runbook.md#down"));
    let want = "TidegateDown points to \"docs/runbook.md#down\", not to docs/runbook.md#tidegatedown";
    assert_eq!(elsewhere, [want]);
    assert_eq!(faults(good, &reasons, &place("")).len(), 1);
}

#[test]
fn a_command_that_is_none_is_found() {
    let commands = "# All\n\n## kubectl tidegate abort\n\n## kubectl tidegate get\n";
    let found = unknown_commands("`kubectl tidegate abort color`, `kubectl tidegate stop color`", commands);
    assert_eq!(found.into_iter().collect::<Vec<String>>(), ["stop"]);
}
