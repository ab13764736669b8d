//! The controller ends at the worst moments.

use std::time::Duration;

use tidegate::api::{Phase, Rollout};

use crate::cluster::{Cluster, ROLLOUT, eventually};

/// Lets the controller live until it has made so many writes, then kills it.
async fn kill_after(cluster: &mut Cluster, writes: usize) -> bool {
    let count = |cluster: &Cluster| {
        let write = |verb: &str| matches!(verb, "update" | "patch");
        cluster
            .calls()
            .iter()
            .filter(|c| write(&c.verb) && c.resource != "events" && c.code.is_some())
            .count()
    };
    for _ in 0..20_000 {
        if count(cluster) >= writes {
            cluster.kill_controller();
            return true;
        }
        let over = cluster.rollouts().get("color").await.unwrap().status.and_then(|s| s.phase);
        if matches!(over, Some(Phase::Healthy | Phase::Failed)) && writes > 14 {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never made {writes} writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_each_write_of_a_good_run_it_ends_promoted() {
    for writes in [1, 2, 3, 4, 6, 8, 10] {
        let mut cluster = Cluster::start().await;
        cluster.roll(ROLLOUT).await;
        if kill_after(&mut cluster, writes).await {
            cluster.run_controller();
        }
        cluster.phase(Phase::Healthy).await;
        assert_eq!(cluster.share("v2").await, 100, "killed after {writes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_a_bad_run_the_canary_ends_with_nothing() {
    for writes in [3, 5, 6] {
        let mut cluster = Cluster::start().await;
        cluster.gateway.fail("v2", 0.3);
        cluster.roll(ROLLOUT).await;
        if kill_after(&mut cluster, writes).await {
            cluster.run_controller();
        }
        cluster.phase(Phase::Failed).await;
        eventually("nothing for the canary", || cluster.share("v2"), |share| *share == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_end_it_ends_and_the_next_one_goes_on_under_a_new_epoch() {
    let mut cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 3s")).await;
    let before = cluster.at(10).await.status.unwrap().epoch;
    cluster.stop_controller().await;
    assert_eq!(cluster.share("v2").await, 10, "traffic stays where it was");
    cluster.run_controller();
    let taken = |r: &Rollout| r.status.as_ref().is_some_and(|s| s.epoch > before);
    cluster.until("color", "a new epoch", taken).await;
    cluster.phase(Phase::Healthy).await;
}
