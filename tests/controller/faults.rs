//! The API server misbehaves. Only the sandbox can be told to.

use std::time::Duration;

use tidegate::{
    api::Phase,
    sandbox::apiserver::{Effect, Fault},
};

use crate::cluster::{Cluster, ROLLOUT};

async fn survives(fault: impl Fn() -> Fault, bad: bool) {
    let cluster = Cluster::start().await;
    if bad {
        cluster.gateway.fail("v2", 0.3);
    }
    cluster.server.faults().add(fault());
    cluster.roll(ROLLOUT).await;
    if bad {
        cluster.phase(Phase::Failed).await;
        assert_eq!(cluster.share("v2").await, 0);
    } else {
        cluster.phase(Phase::Healthy).await;
        assert_eq!(cluster.share("v2").await, 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_and_failing_route_writes() {
    let patch = |effect: Effect| {
        move || {
            Fault::once(effect.clone())
                .verb("patch")
                .resource("gatewayroutes")
                .user_agent("tidegate")
                .times(2)
        }
    };
    survives(patch(Effect::Conflict), false).await;
    survives(patch(Effect::Status(500)), false).await;
    survives(patch(Effect::TooManyRequests { retry_after: 1 }), true).await;
    survives(patch(Effect::LoseReply), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_and_failing_status_writes() {
    let update = |effect: Effect| {
        move || Fault::once(effect.clone()).resource("rollouts").subresource("status").times(2)
    };
    survives(update(Effect::Conflict), false).await;
    survives(update(Effect::Status(503)), true).await;
    survives(update(Effect::LoseReply), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_break() {
    let watch =
        |effect: Effect| move || Fault::once(effect.clone()).verb("watch").user_agent("tidegate").times(3);
    survives(watch(Effect::DropWatch), false).await;
    survives(watch(Effect::Expired), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_api_server() {
    let slow = || Fault::once(Effect::Latency(Duration::from_millis(200))).user_agent("tidegate").times(1000);
    survives(slow, true).await;
}
