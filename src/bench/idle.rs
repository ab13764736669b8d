//! The parts `memory` and `restart` with many idle Rollouts: what they cost, and how soon a controller that is started
//! among them puts a failing one back.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde::Serialize;
use serde_json::json;

use super::{
    BenchError,
    calls::Counted,
    numbers::{Summary, millis},
    objects::{self, PAIRS, Pair, Way},
    process::Usage,
    server::Mark,
    stage::{PATIENCE, Stage},
};
use crate::{
    api::{HistoryEntry, Phase, Rollout, RolloutStatus, Stamp, stamp_annotation},
    demo::Routes,
};

/// Objects made at once.
const AT_ONCE: usize = 32;
/// How long the making of idle Rollouts may take.
const MAKING: Duration = Duration::from_mins(10);
/// How often a restart is tried.
const RESTARTS: usize = 3;

/// What a process costs.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Memory in RAM, files included, in MiB.
    pub rss: f64,
    /// The most that it ever was, in MiB.
    pub peak: f64,
    /// Memory that belongs to no file, in MiB.
    pub anonymous: f64,
    /// Processors kept busy, on average.
    pub cores: f64,
    /// Over how many seconds.
    pub seconds: u64,
}

/// What so many idle Rollouts cost.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// How many there are, each with a route.
    pub rollouts: usize,
    /// What the process costs.
    pub cost: Cost,
    /// From its start until it was ready, in milliseconds.
    pub ready: f64,
    /// The calls that it made from its start until it had nothing left to do.
    pub starting: Option<Counted>,
    /// The calls after that, over the time that the cost is of.
    pub calls: Option<Counted>,
}

/// A failing Rollout among so many idle ones, and a controller that is started.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// How many idle ones there are.
    pub rollouts: usize,
    /// From the start of the process to the route on stable, in milliseconds.
    pub moved: Option<Summary>,
    /// The calls until then, lists and watches included.
    pub calls: Option<Summary>,
}

/// Finished Rollouts, to be copied: one a pair, since each knows its own Deployments' pods.
pub struct Templates(Vec<Template>);

struct Template {
    name: String,
    uid: String,
    route_uid: String,
    rollout: Rollout,
}

impl Way {
    /// That of idle Rollouts: five steps, as quick as they can be.
    pub fn quick() -> Self {
        let second = Duration::from_secs(1);
        Self { weights: vec![5, 20, 40, 60], hold: second, interval: second, error_rate: true }
    }
}

impl Templates {
    /// Gives each as many former runs as a status keeps.
    pub fn remember_all_they_can(&mut self) {
        let kept = i64::try_from(RolloutStatus::HISTORY).unwrap_or_default();
        for template in &mut self.0 {
            let Some(status) = &mut template.rollout.status else { continue };
            let Some(entry) = status.history.first().cloned() else { continue };
            status.history = (1..=kept).rev().map(|run| HistoryEntry { run, ..entry.clone() }).collect();
            if let Some(run) = &mut status.run {
                run.number = kept;
            }
        }
    }

    /// From now on their runs go another way.
    pub fn go_on_with(&mut self, routes: Routes, way: &Way) -> Result<(), BenchError> {
        for (number, template) in self.0.iter_mut().enumerate() {
            let rollout = objects::rollout(routes, &template.name, Pair::of(number), way);
            let rollout: Rollout = serde_json::from_value(rollout).map_err(|source| {
                BenchError::api("make a Rollout of that way")(kube::Error::SerdeError(source))
            })?;
            template.rollout.spec = rollout.spec;
        }
        Ok(())
    }
}

/// The name of a copy.
pub fn name(number: usize) -> String {
    format!("idle-{number:06}")
}

/// Runs one Rollout a pair to its end, so many times; an odd number leaves version 2 live.
pub async fn templates(stage: &mut Stage<'_>, way: &Way, runs: u8) -> Result<Templates, BenchError> {
    stage.progress.say("Rollouts to be copied are run to their end");
    stage.start()?;
    stage.ready().await?;
    let names: Vec<String> = (0..PAIRS).map(|number| format!("template-{number}-x")).collect();
    for (number, name) in names.iter().enumerate() {
        stage.roll(name, Pair::of(number), way).await?;
    }
    for run in 1..=runs {
        let promoted = |seen: &super::eyes::Seen, name: &String| {
            seen.is(name, Phase::Healthy)
                && seen.rollouts.get(name).is_some_and(|shown| shown.run >= i64::from(run))
        };
        let healthy = |seen: &super::eyes::Seen| names.iter().all(|name| promoted(seen, name)).then_some(());
        stage.until("their promotion", PATIENCE * 2, healthy).await?;
        if run < runs {
            for (number, name) in names.iter().enumerate() {
                stage.release(name, &Pair::of(number).version(2 - run % 2)).await?;
            }
        }
    }
    stage.quiet().await?;
    stage.kill();
    let mut templates = Vec::new();
    for name in names {
        let read = stage.api::<Rollout>().get(&name).await;
        let rollout = read.map_err(BenchError::api(format!("read the Rollout {name}")))?;
        let uid = rollout.metadata.uid.clone().unwrap_or_default();
        let status = rollout.status.clone().unwrap_or_default();
        let route_uid = status.routes.first().map(|route| route.uid.clone()).unwrap_or_default();
        templates.push(Template { name, uid, route_uid, rollout });
    }
    Ok(Templates(templates))
}

/// Makes finished Rollouts, numbered from one to another.
pub async fn make(
    stage: &Stage<'_>,
    templates: &Templates,
    from: usize,
    to: usize,
) -> Result<(), BenchError> {
    let made = stream::iter(from..to).map(|number| async move {
        let template = templates.0.get(number % PAIRS);
        match template {
            Some(template) => template.copy(stage, number).await,
            None => Ok(()),
        }
    });
    let mut made = made.buffer_unordered(AT_ONCE);
    let mut count = from;
    while let Some(()) = made.try_next().await? {
        count += 1;
        if count.is_multiple_of(100) {
            stage.progress.step("idle Rollouts are made", count, to);
        }
    }
    let reported = |seen: &super::eyes::Seen| {
        (seen.routes.len() >= to && seen.routes.values().all(|route| route.reported)).then_some(())
    };
    stage.until("all routes reported as in effect", MAKING, reported).await
}

impl Template {
    /// A Rollout that ended as this one did, with a route of its own.
    async fn copy(&self, stage: &Stage<'_>, number: usize) -> Result<(), BenchError> {
        let name = name(number);
        let failed = |what: &str| format!("{what} of the idle Rollout {name}");
        let spec = serde_json::to_value(&self.rollout.spec)
            .map_err(|source| BenchError::api(failed("copy the spec"))(kube::Error::SerdeError(source)))?;
        let text = spec.to_string().replace(&self.name, &name);
        let spec: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let rollout = stage
            .create(json!({
                "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": spec,
            }))
            .await?;
        let uid = rollout.metadata.uid.unwrap_or_default();
        let route = self.route(stage, number, &name, &uid).await?;
        let status = json!({"status": self.rollout.status}).to_string();
        let status = status
            .replace(&self.name, &name)
            .replace(&self.uid, &uid)
            .replace(&self.route_uid, &route.metadata.uid.unwrap_or_default());
        let patch: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        let written =
            stage.api::<Rollout>().patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        written.map(drop).map_err(BenchError::api(failed("write the status")))
    }

    async fn route(
        &self,
        stage: &Stage<'_>,
        number: usize,
        name: &str,
        uid: &str,
    ) -> Result<DynamicObject, BenchError> {
        let status = self.rollout.status.clone().unwrap_or_default();
        let stamp = Stamp {
            uid: uid.to_owned(),
            epoch: status.epoch,
            run: status.run.map_or(0, |run| run.number),
            step: status.step.map_or(0, |step| step.index),
            aborted: false,
            added: Vec::new(),
        };
        let routes = stage.server.routes;
        let mut route = objects::route(routes, name, Pair::of(number));
        route["metadata"]["annotations"] = json!({stamp_annotation(name): stamp.spelled()});
        if let Some(entries) = route.pointer_mut(objects::list(routes)) {
            entries[0]["weight"] = json!(0);
            entries[1]["weight"] = json!(100);
        }
        stage.create(route).await
    }
}

/// Starts a controller among the idle ones, and measures what it costs.
pub async fn measure(stage: &mut Stage<'_>, rollouts: usize, time: Duration) -> Result<Idle, BenchError> {
    let mark = stage.server.mark();
    let started = stage.start()?;
    let ready = stage.ready().await?.duration_since(started);
    stage.quiet().await?;
    let starting = counted(stage, mark)?;
    stage.progress.say(&format!("{rollouts} idle Rollouts are measured for {} s", time.as_secs()));
    let mark = stage.server.mark();
    let cost = cost(stage, time).await?;
    let calls = counted(stage, mark)?;
    stage.kill();
    let ready = millis(Duration::try_from(ready).unwrap_or_default());
    Ok(Idle { rollouts, cost, ready, starting, calls })
}

/// The calls since then, where they are recorded.
fn counted(stage: &Stage<'_>, mark: Mark) -> Result<Option<Counted>, BenchError> {
    if !stage.server.records() {
        return Ok(None);
    }
    Ok(Some(Counted::of(&stage.server.calls_since(mark, &stage.namespace)?)))
}

/// What the controller costs over a time.
pub async fn cost(stage: &Stage<'_>, time: Duration) -> Result<Cost, BenchError> {
    let before: Usage = stage.usage()?;
    let began = stage.server.clock.now();
    tokio::time::sleep(time).await;
    let after = stage.usage()?;
    let took = stage.server.clock.now().duration_since(began).as_secs_f64();
    let mebibytes = |kib: u64| kib as f64 / 1024.0;
    Ok(Cost {
        rss: mebibytes(after.rss),
        peak: mebibytes(after.peak),
        anonymous: mebibytes(after.anonymous),
        cores: after.cpu.saturating_sub(before.cpu).as_secs_f64() / took,
        seconds: time.as_secs(),
    })
}

/// A run among idle ones, its controller killed, its metric bad, and another controller started.
pub async fn restart(stage: &mut Stage<'_>, rollouts: usize) -> Result<Restart, BenchError> {
    let (mut moved, mut calls) = (Vec::new(), Vec::new());
    for attempt in 0..RESTARTS {
        stage.progress.step(&format!("restarts among {rollouts} idle Rollouts"), attempt, RESTARTS);
        let name = format!("failing-{rollouts}-{attempt}");
        let way = Way {
            weights: vec![20, 50],
            hold: Duration::from_mins(10),
            interval: Duration::from_secs(1),
            error_rate: false,
        };
        stage.start()?;
        stage.ready().await?;
        stage.roll(&name, Pair::of(attempt), &way).await?;
        let judged = |seen: &super::eyes::Seen| {
            seen.runs(&name, 0) && seen.rollouts.get(&name).is_some_and(|shown| shown.judged)
        };
        stage.until("a judged step", PATIENCE, |seen| judged(seen).then_some(())).await?;
        stage.quiet().await?;
        stage.lose();
        stage.prometheus.flip(std::slice::from_ref(&name));

        let mark = stage.server.mark();
        let started = stage.start()?;
        let stable = |seen: &super::eyes::Seen| seen.routes.get(&name)?.stable_since();
        let at: Timestamp = stage.until("traffic on stable", PATIENCE, stable).await?;
        moved.push(millis(Duration::try_from(at.duration_since(started)).unwrap_or_default()));
        if stage.server.records() {
            let made = stage.server.calls_since(mark, &stage.namespace)?;
            let counted = Counted::of(made.iter().filter(|call| call.at <= at));
            calls.push((counted.calls + counted.watching) as f64);
        }
        let failed = |seen: &super::eyes::Seen| seen.is(&name, Phase::Failed).then_some(());
        stage.until("a failed run", PATIENCE, failed).await?;
        stage.quiet().await?;
        stage.kill();
        stage.prometheus.heal();
    }
    Ok(Restart { rollouts, moved: Summary::of(&moved), calls: Summary::of(&calls) })
}
