//! Waiting for conditions, never for time; what was seen last is told where they never come.

use std::{fmt::Debug, future::Future, time::Duration};

use k8s_openapi::api::core::v1::Event;
use tidegate::api::Rollout;

/// How long anything may take here before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks again and again until it is as wanted.
pub async fn eventually<T: Debug, F: Future<Output = T>>(
    what: &str,
    look: impl Fn() -> F,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let mut last = None;
    let waiting = async {
        loop {
            let found = last.insert(look().await);
            if wanted(found) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, waiting).await;
    match last {
        Some(found) if outcome.is_ok() => found,
        last => panic!("never {what}: {last:#?}"),
    }
}

/// What comes, or a panic where it does not come in time.
pub async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let Ok(came) = tokio::time::timeout(PATIENCE, coming).await else { panic!("never {what}") };
    came
}

/// An Event that shows in a panic what matters.
pub struct ToldEvent(pub Event);

impl Debug for ToldEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {:?}", self.0.reason, self.0.message)
    }
}

/// A Rollout that shows in a panic what matters.
pub struct Told(pub Rollout);

impl Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.0.status.clone().unwrap_or_default();
        writeln!(f, "{:?}: {:?}", status.phase, status.message)?;
        writeln!(f, "step {:?}", status.step)?;
        let run = status.run.as_ref();
        writeln!(
            f,
            "corrections {:?}, pause {:?}",
            run.map(|r| r.corrections),
            run.map(|r| r.pause.clone())
        )?;
        writeln!(f, "weights {:?}", status.weights)?;
        writeln!(f, "last request {:?}", status.last_request)?;
        writeln!(
            f,
            "finalizers {:?}, deleted {:?}",
            self.0.metadata.finalizers, self.0.metadata.deletion_timestamp
        )?;
        for metric in &status.analysis {
            writeln!(f, "{:?}: {}", metric.verdict, metric.sentence)?;
        }
        for condition in &status.conditions {
            writeln!(
                f,
                "{} {} {}: {}",
                condition.type_, condition.status, condition.reason, condition.message
            )?;
        }
        Ok(())
    }
}
