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

/// A good run, killed after so many writes, ends promoted.
async fn good_run_killed_after(writes: usize) {
    let mut cluster = Cluster::start().await;
    cluster.roll(ROLLOUT).await;
    if kill_after(&mut cluster, writes).await {
        cluster.run_controller();
    }
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.share("v2").await, 100);
}

/// In a bad run, killed after so many writes, the canary ends with nothing.
async fn bad_run_killed_after(writes: usize) {
    let mut cluster = Cluster::start().await;
    cluster.gateway.fail("v2", 0.3);
    cluster.roll(ROLLOUT).await;
    if kill_after(&mut cluster, writes).await {
        cluster.run_controller();
    }
    cluster.phase(Phase::Failed).await;
    eventually("nothing for the canary", || cluster.share("v2"), |share| *share == 0).await;
}

macro_rules! killed {
    ($run:ident: $($name:ident $writes:literal),*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $run($writes).await;
        }
    )* };
}

killed!(good_run_killed_after: good_1 1, good_2 2, good_3 3, good_4 4, good_6 6, good_8 8, good_10 10);
killed!(bad_run_killed_after: bad_3 3, bad_5 5, bad_6 6);

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
