//! One Rollout, whole: once, or redrawn as it changes. What is shown is made in [`view`]; here it is read and drawn.

use std::{io, time::Duration};

use futures::StreamExt;
use tokio::time::MissedTickBehavior;

use super::{
    Error, Exit, Out,
    cluster::Cluster,
    view::{lines, view},
    workloads::{self, Shown},
};
use crate::{api::Rollout, clock::Clock, terminal::Canvas};

/// Countdowns go by seconds.
const TICK: Duration = Duration::from_secs(1);
/// Pods are read again so often.
const PODS: Duration = Duration::from_secs(2);

/// Shows it once.
pub(super) async fn once(cluster: &Cluster, name: &str, out: &mut Out<'_>) -> Result<Exit, Error> {
    let rollout = cluster.rollout(name).await?;
    let shown = workloads::of(cluster, &rollout).await;
    print(&rollout, &shown, out)?;
    Ok(Exit::Reached)
}

fn print(rollout: &Rollout, shown: &[Shown], out: &mut Out<'_>) -> Result<(), Error> {
    for line in view(rollout, shown, Clock::start().now(), out.look) {
        out.line(&line)?;
    }
    Ok(())
}

/// Shows it until Ctrl-C, or until nobody reads any more.
pub(super) async fn follow(cluster: &Cluster, name: &str, out: &mut Out<'_>) -> Result<Exit, Error> {
    // One that does not exist is told at once.
    let rollout = cluster.rollout(name).await?;
    if out.look.live { drawn(cluster, rollout, out).await } else { told(cluster, name, out).await }
}

async fn drawn(cluster: &Cluster, mut rollout: Rollout, out: &mut Out<'_>) -> Result<Exit, Error> {
    let clock = Clock::start();
    let name = rollout.metadata.name.clone().unwrap_or_default();
    let mut changes = cluster.follow(&name);
    let (mut tick, mut pods) = (tokio::time::interval(TICK), tokio::time::interval(PODS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pods.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = Vec::new();
    let mut canvas = Canvas::new(io::stdout());
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let look = out.look.sized();
        canvas.draw(&look.fitted(view(&rollout, &shown, clock.now(), look)))?;
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(Some(newer))) => rollout = newer,
                Some(Ok(None)) | None => {
                    canvas.leave()?;
                    return Err(Error::Gone(name));
                }
                // What was seen last stays; the watch comes back.
                Some(Err(_)) => {}
            },
            _ = tick.tick() => {}
            _ = pods.tick() => tokio::select! {
                read = tokio::time::timeout(PODS, workloads::of(cluster, &rollout)) => {
                    shown = read.unwrap_or(shown);
                }
                _ = &mut interrupted => break,
            },
            _ = &mut interrupted => break,
        }
    }
    canvas.leave()?;
    drop(canvas);
    print(&rollout, &shown, out)?;
    Ok(Exit::Interrupted)
}

/// A line for every change.
async fn told(cluster: &Cluster, name: &str, out: &mut Out<'_>) -> Result<Exit, Error> {
    let clock = Clock::start();
    let mut changes = cluster.follow(name);
    let mut said: Vec<String> = Vec::new();
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    while !out.has_left() {
        let change = tokio::select! {
            change = changes.next() => change,
            _ = &mut interrupted => return Ok(Exit::Interrupted),
        };
        match change {
            Some(Ok(Some(rollout))) => {
                let now = lines(&rollout, out.look);
                for line in now.iter().filter(|line| !said.contains(line)) {
                    out.line(&format!("{:>7.1}s  {line}", clock.elapsed().as_secs_f64()))?;
                }
                said = now;
            }
            Some(Ok(None)) => return Err(Error::Gone(name.to_owned())),
            Some(Err(_)) => {}
            None => break,
        }
    }
    Ok(Exit::Reached)
}
