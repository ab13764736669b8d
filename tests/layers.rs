//! The arrow of the crate: which module may know which. Read it in [`ARROW`].
//!
//! Every path under `src/` that starts at `crate`, `self` or `super` is resolved and held against the arrow, in
//! tests too: a test that needs the controller belongs beside the controller.

#![allow(clippy::unwrap_used)]

#[path = "support/files.rs"]
mod files;
#[path = "layers/scanner.rs"]
mod scanner;

use std::{fmt, path::Path};

use files::files;
use scanner::{Mention, Scanner};

/// Allows everything.
const ALL: &[&str] = &["*"];

/// The parts of the engine that the effects may know: plain data, and nothing that decides.
const EFFECT: &[&str] = &["api", "engine::decision", "engine::observed", "engine::look"];

/// Each layer and what it may know. A layer stands below all that know it; where a path is named, only that part
/// of the layer may be known. A new top-level module finds its place here before it compiles into the product.
const ARROW: &[(&str, &[&str])] = &[
    ("client", &[]),
    ("clock", &[]),
    ("columns", &[]),
    ("conditions", &[]),
    ("lease", &[]),
    ("analysis", &[]),
    ("dataplane", &[]),
    ("schema", &[]),
    ("terminal", &[]),
    ("api", &["analysis"]),
    ("xds", &["api", "dataplane"]),
    ("objects", &["dataplane"]),
    ("shards", &["api", "lease"]),
    ("config", &["api"]),
    ("telemetry", &["config"]),
    ("engine", &["api", "analysis"]),
    ("routes", EFFECT),
    ("workloads", EFFECT),
    ("outbound", &["api::text", "api::units", "config"]),
    (
        "notify",
        &["api", "clock", "config", "outbound", "engine::decision", "engine::observed", "engine::look"],
    ),
    ("gates", &["api", "config", "outbound", "engine::gate"]),
    ("metrics", &["api", "config", "outbound", "engine::decision", "engine::observed", "engine::look"]),
    (
        "controller",
        &[
            "client",
            "clock",
            "lease",
            "analysis",
            "api",
            "config",
            "telemetry",
            "engine",
            "routes",
            "workloads",
            "notify",
            "gates",
            "metrics",
            "shards",
        ],
    ),
    ("gateway", &["api", "clock", "conditions", "config", "controller", "dataplane", "objects", "xds"]),
    ("trial", &["clock", "analysis", "api", "engine", "routes", "metrics"]),
    (
        "kubectl",
        &[
            "client", "clock", "columns", "analysis", "api", "config", "engine", "routes", "metrics",
            "schema", "terminal",
        ],
    ),
    ("sandbox", &["clock", "conditions", "dataplane", "objects", "api", "schema", "xds"]),
    ("demo", ALL),
    ("bench", ALL),
    ("cli", ALL),
    ("bin", ALL),
];

/// What the test files of every layer may know besides: a test against a real server needs the real time.
const TESTS_BESIDES: &str = "clock";

/// An import against the arrow.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    layer: String,
    knows: String,
    why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, layer, knows, why } = self;
        write!(f, "{file}:{line}: layer `{layer}` names `{knows}`: {why}")
    }
}

fn allowed(layer: &str) -> Option<&'static [&'static str]> {
    ARROW.iter().find(|(name, _)| *name == layer).map(|(_, allowed)| *allowed)
}

/// What a source file (its path below `src/`) names against the arrow.
fn violations(path: &str, text: &str) -> Vec<Violation> {
    let module = module_path(path);
    let Some(layer) = module.first().cloned() else {
        return vec![]; // lib.rs only lists the layers.
    };
    let violation = |line, knows: &[String], why| Violation {
        file: format!("src/{path}"),
        line,
        layer: layer.clone(),
        knows: knows.join("::"),
        why,
    };
    let Some(allowed) = allowed(&layer) else {
        return vec![violation(1, &module, "this top-level module has no place yet; add it to the arrow")];
    };
    let test_file = module.iter().any(|part| part == "tests" || part.ends_with("_tests"));
    let mut found = vec![];
    for Mention { line, path } in Scanner::new(text, module).mentions() {
        let Some(knows) = path.first().filter(|knows| **knows != layer) else {
            continue;
        };
        if !ARROW.iter().any(|(name, _)| name == knows) {
            found.push(violation(line, &path, "there is no such layer; add it to the arrow"));
        } else if !(allowed.iter().any(|rule| covers(rule, &path)) || test_file && knows == TESTS_BESIDES) {
            found.push(violation(line, &path, "this is against the arrow"));
        }
    }
    found
}

/// Whether a rule (`*`, a layer, or a path into one) allows a path.
fn covers(rule: &str, path: &[String]) -> bool {
    rule == "*" || rule.split("::").enumerate().all(|(at, part)| path.get(at).is_some_and(|p| p == part))
}

/// The module of a file below `src/`: `routes/mod.rs` is `routes`, `routes/patch.rs` is `routes::patch`.
fn module_path(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

#[test]
fn no_import_points_against_the_arrow() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files(&root, "rs");
    assert!(files.len() > 20, "only {} sources found under {root:?}", files.len());
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
            violations(path, &std::fs::read_to_string(file).unwrap())
        })
        .map(|violation| violation.to_string())
        .collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_arrow_has_no_loop() {
    for (at, (layer, allowed)) in ARROW.iter().enumerate() {
        for knows in allowed.iter().filter(|knows| **knows != "*") {
            let name = knows.split("::").next().unwrap();
            let below = ARROW[..at].iter().any(|(lower, _)| *lower == name);
            assert!(below, "{layer} may know {knows}, which does not stand below it");
        }
    }
}

#[test]
fn planted_imports_are_found() {
    #[rustfmt::skip]
    let cases = [
        ("plain", "engine/steps.rs", "use crate::routes::apply;", "1 routes::apply"),
        ("clock below", "engine/mod.rs", "\n\nlet t = crate::clock::Clock::start();", "3 clock::Clock::start"),
        ("a group", "api/mod.rs", "use crate::{analysis::A,\n  engine::{self, look::B}};", "2 engine|2 engine::look::B"),
        ("siblings", "routes/mod.rs", "use crate::metrics::Provider as P;", "1 metrics::Provider"),
        ("the engine's inside", "notify/mod.rs", "use crate::engine::{decision::Note, steps};", "1 engine::steps"),
        ("gates know no looks", "gates/mod.rs", "use crate::engine::look::Look;", "1 engine::look::Look"),
        ("outbound knows no engine", "outbound/http.rs", "use crate::engine::look::ReadError;", "1 engine::look::ReadError"),
        ("the whole engine", "metrics/mod.rs", "use crate::engine::*;", "1 engine::*"),
        ("config is for metrics", "workloads.rs", "use crate::config::Config;", "1 config::Config"),
        ("super", "routes/mod.rs", "use super::controller::x;", "1 controller::x"),
        ("super twice", "analysis/sentence/text.rs", "use super::{super::super::api, x};", "1 api"),
        ("self", "engine/run.rs", "use self::super::super::controller;", "1 controller"),
        ("super in a test", "routes/mod.rs", "mod tests { use super::super::demo::run; }", "1 demo::run"),
        ("a visibility", "sandbox/mod.rs", "pub(in crate::controller) fn f() {}", "1 controller"),
        ("after text", "api/mod.rs", "let s = \"// \\\"\"; let c = '\"'; use crate::engine::decide;", "1 engine::decide"),
        ("sandbox", "sandbox/apiserver/mod.rs", "use crate::engine::decide;", "1 engine::decide"),
        ("no such layer", "demo/mod.rs", "use crate::helpers::x;", "1 helpers::x"),
        ("a test's clock only", "metrics/tests/real.rs", "use crate::{clock::Clock, controller::run};", "1 controller::run"),
        ("unknown module", "helpers/mod.rs", "", "1 helpers"),
        ("unknown file", "helpers.rs", "", "1 helpers"),
    ];
    for (name, path, text, want) in cases {
        let found: Vec<String> =
            violations(path, text).iter().map(|found| format!("{} {}", found.line, found.knows)).collect();
        assert_eq!(found.join("|"), want, "{name}");
    }
}

#[test]
fn what_the_arrow_allows_passes() {
    #[rustfmt::skip]
    let cases = [
        ("api knows analysis", "api/status.rs", "use crate::analysis::{Sequence, Verdict};"),
        ("engine knows both", "engine/judge.rs", "use crate::{analysis, api::{Mode, units::Weight}};"),
        ("effects know plain data", "routes/patch.rs", "use crate::engine::decision::{self, RouteWrite};"),
        ("metrics know config", "metrics/mod.rs", "use crate::{config::ProviderConfig, engine::look};"),
        ("outbound for all", "gates/mod.rs", "use crate::{engine::gate::Question, outbound::Http};"),
        ("controller joins", "controller/mod.rs", "use crate::{clock::Clock, engine::decide, routes, metrics};"),
        ("demo knows all", "demo/mod.rs", "use crate::{controller, sandbox::apiserver};"),
        ("its own layer", "engine/run.rs", "use super::turn::Turn; use crate::engine::steps;"),
        ("its own tests", "routes/mod.rs", "mod tests { use super::*; fn f() { super::patch(); } }"),
        ("after a test module", "routes/patch.rs", "mod a { mod b { } } use super::gateway_route;"),
        ("a test file's clock", "metrics/tests/real.rs", "use crate::clock::Clock;"),
        ("a comment", "api/mod.rs", "// use crate::engine;\n/* crate::engine /* */ crate::demo */"),
        ("a string", "api/mod.rs", "const A: &str = \"crate::engine\"; const B: &str = r#\"\"crate::demo\"#;"),
        ("a lifetime", "api/mod.rs", "fn f<'a>(x: &'a str) { let r#type = b'x'; /* crate::demo */ }"),
        ("the crate's root", "lib.rs", "pub use crate::engine::decide;"),
    ];
    for (name, path, text) in cases {
        assert_eq!(violations(path, text), [], "{name}");
    }
}

#[test]
fn a_violation_names_file_line_and_both_layers() {
    let found = violations("engine/run.rs", "\nuse crate::controller::Context;");
    assert_eq!(
        found[0].to_string(),
        "src/engine/run.rs:2: layer `engine` names `controller::Context`: this is against the arrow"
    );
}
