//! Runs scripts on both servers and reports where the answers differ.

use std::fmt::Write;

use futures::StreamExt;
use serde_json::Value;

use crate::normal::Normal;
use crate::side::Side;
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

/// The differences between the servers' answers, in order; later ones may follow from the first.
pub async fn differences(world: &World, steps: &[Step]) -> Vec<Difference> {
    let [mut sandbox, mut real] = world.sides().await;
    let mut sandbox_normal = Normal::new(&sandbox.namespace);
    let mut real_normal = Normal::new(&real.namespace);
    let mut found = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let (ours, theirs) = run_step(&mut sandbox, &mut real, step).await;
        let (shown, wanted) = (sandbox_normal.answer(step, &ours), real_normal.answer(step, &theirs));
        if shown != wanted {
            let messages = [&ours.body["message"], &theirs.body["message"]].map(Value::to_string);
            let mut told = format!("  step {}: {step}\n{}", at + 1, changes(&shown, &wanted));
            if messages.iter().any(|message| message != "null") {
                let _ =
                    writeln!(told, "    sandbox says: {}\n    real says:    {}", messages[0], messages[1]);
            }
            found.push(Difference { step: at, told });
        }
    }
    tokio::join!(sandbox.close(), real.close());
    found
}

async fn run_step(
    sandbox: &mut Side,
    real: &mut Side,
    step: &Step,
) -> (crate::side::Answer, crate::side::Answer) {
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
