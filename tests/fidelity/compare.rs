//! Runs scripts on both servers and reports where the answers differ.

use std::fmt::Write;

use futures::StreamExt;
use serde_json::Value;

use crate::normal::Normal;
use crate::side::{Answer, Side};
use crate::step::Step;
use crate::world::World;

/// Scripts under way at once.
const PARALLEL: usize = 6;

/// Differences of one script that are shown; later ones mostly follow from the first.
const SHOWN: usize = 60;

/// A named sequence of requests.
#[derive(Clone, Debug)]
pub struct Script {
    pub name: String,
    pub steps: Vec<Step>,
}

/// A step that the servers answer differently.
#[derive(Clone, Debug)]
pub struct Difference {
    pub step: usize,
    pub told: String,
}

pub fn script(name: &str, steps: Vec<Step>) -> Script {
    Script { name: name.to_owned(), steps }
}

/// What a script has seen of both servers, by which their next answers are compared.
pub struct Comparison {
    sandbox: Normal,
    real: Normal,
}

impl Comparison {
    /// `namespaces` are the script's on both servers, the embedded one's first.
    pub fn new(namespaces: [&str; 2]) -> Self {
        let [sandbox, real] = namespaces.map(Normal::new);
        Self { sandbox, real }
    }

    /// Where the answers to a step differ, a line each; `None` where they are the same.
    pub fn difference(&mut self, step: &Step, ours: &Answer, theirs: &Answer) -> Option<String> {
        let (shown, wanted) = (self.sandbox.answer(step, ours), self.real.answer(step, theirs));
        if shown == wanted {
            return None;
        }
        let mut told = changes(&shown, &wanted);
        let messages = [&ours.body["message"], &theirs.body["message"]];
        if messages.iter().any(|message| !message.is_null()) {
            let [ours, theirs] = messages;
            let _ = writeln!(told, "    sandbox says: {ours}\n    real says:    {theirs}");
        }
        Some(told)
    }
}

/// The differences between the servers' answers, in order; later ones may follow from the first.
pub async fn differences(world: &World, steps: &[Step]) -> Vec<Difference> {
    let [mut sandbox, mut real] = world.sides().await;
    let mut comparison = Comparison::new([&sandbox.namespace, &real.namespace]);
    let mut found = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let (ours, theirs) = run_step(&mut sandbox, &mut real, step).await;
        if let Some(told) = comparison.difference(step, &ours, &theirs) {
            found.push(Difference { step: at, told: format!("  step {}: {step}\n{told}", at + 1) });
        }
    }
    tokio::join!(sandbox.close(), real.close());
    found
}

async fn run_step(sandbox: &mut Side, real: &mut Side, step: &Step) -> (Answer, Answer) {
    if !step.is_watch() {
        return tokio::join!(sandbox.run(step, None), real.run(step, None));
    }
    // The embedded one ends when it is told to; the real one is heard until it has told as much.
    let ours = sandbox.run(step, None).await;
    let theirs = real.run(step, ours.body.as_array().map(Vec::len)).await;
    (ours, theirs)
}

/// Runs all scripts and fails with every difference.
pub async fn check(world: &World, scripts: Vec<Script>) {
    let results: Vec<(String, Vec<Difference>)> = futures::stream::iter(scripts)
        .map(|script| async move { (script.name, differences(world, &script.steps).await) })
        .buffered(PARALLEL)
        .collect()
        .await;
    let mut told = String::new();
    for (name, found) in &results {
        if !found.is_empty() {
            let _ = writeln!(told, "{name}:");
            found.iter().take(SHOWN).for_each(|difference| told.push_str(&difference.told));
        }
    }
    assert!(told.is_empty(), "the servers differ\n{told}");
}

/// The places where two values differ, one a line: `path: ours | theirs`.
fn changes(ours: &Value, theirs: &Value) -> String {
    let mut told = String::new();
    collect(ours, theirs, "", &mut told);
    told
}

fn collect(ours: &Value, theirs: &Value, path: &str, told: &mut String) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = format!("{path}/{name}");
                match (ours.get(name), theirs.get(name)) {
                    (Some(ours), Some(theirs)) => collect(ours, theirs, &path, told),
                    (ours, theirs) => line(ours, theirs, &path, told),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                collect(ours, theirs, &format!("{path}/{i}"), told);
            }
        }
        _ if ours == theirs => {}
        _ => line(Some(ours), Some(theirs), path, told),
    }
}

fn line(ours: Option<&Value>, theirs: Option<&Value>, path: &str, told: &mut String) {
    let shown = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
    let _ = writeln!(told, "    {path}: sandbox {} | real {}", shown(ours), shown(theirs));
}
