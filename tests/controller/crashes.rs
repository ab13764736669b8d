//! The controller ends at the worst moments: killed (SIGKILL) around each of its writes in turn, and the API server
//! under it as well.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use serde_json::json;
use tidegate::api::{EndReason, Phase, Rollout};

use crate::{
    cluster::Cluster,
    history::{History, audited, held, shares},
    objects::{ROLLOUT, entry, route},
    proxy::{When, counts},
    server::{Server, is_real},
    skip::skip,
    waiting::eventually,
};

/// How many runs go on beside one another.
const AT_ONCE: usize = 6;

/// What is left of a run when it is over.
#[derive(Debug, PartialEq)]
struct End {
    phase: Option<Phase>,
    stable: Option<String>,
    outcomes: Vec<(i64, EndReason)>,
    weights: BTreeMap<String, i64>,
    finalizers: Vec<String>,
}

async fn end(cluster: &Cluster, phase: Phase) -> End {
    cluster.phase(phase).await;
    let let_go = |rollout: &Rollout| rollout.metadata.finalizers.clone().unwrap_or_default().is_empty();
    let rollout = cluster.until("color", "let go of", let_go).await;
    let status = rollout.status.unwrap();
    End {
        phase: status.phase,
        stable: status.stable.map(|stable| stable.name),
        outcomes: status.history.iter().map(|run| (run.run, outcome(run.outcome))).collect(),
        weights: cluster.weights("color").await,
        finalizers: rollout.metadata.finalizers.unwrap_or_default(),
    }
}

/// A run that is over.
struct Ran {
    end: End,
    writes: usize,
    died: bool,
}

/// Routes are lowered, with their mark, beside the status that tells why. Whoever finds the mark alone ends the run as
/// well, and can only say that it was marked.
fn outcome(reason: EndReason) -> EndReason {
    match reason {
        EndReason::Marked => EndReason::Failed,
        other => other,
    }
}

/// A run, good or bad, whose controller dies around a write; `None` for a run that is left in peace.
async fn run(bad: bool, death: Option<(usize, When)>) -> Ran {
    let mut cluster = Cluster::without_controller().await;
    let history = History::follow(&cluster).await;
    if bad {
        cluster.gateway.fail("v2", 0.3);
    }
    let stopped = death.map(|(write, when)| cluster.proxy.stop_at(write, when));
    cluster.run_program();
    cluster.roll(ROLLOUT).await;
    let over = if bad { Phase::Failed } else { Phase::Healthy };
    let mut died = false;
    if let Some(stopped) = stopped {
        // Runs differ a little in their writes: evidence is saved when it is there. One may end before its last.
        died = tokio::select! {
            () = stopped.cancelled() => true,
            _ = end(&cluster, over) => false,
        };
        if died {
            cluster.kill_controller();
            cluster.proxy.relent();
            cluster.run_program();
        }
    }
    let end = end(&cluster, over).await;
    let writes = cluster.proxy.calls().iter().filter(|call| counts(call)).count();
    let plan: &[i64] = if bad { &[0, 10, 0] } else { &[0, 10, 50, 100] };
    keeps_to(plan, Duration::from_secs(1), &cluster, &history);
    Ran { end, writes, died }
}

/// The canary's share never left the plan, and no step was cut short: by the audit log, or as a watch saw it where there
/// is none. A watch that broke sees things later than they happened, or not at all.
fn keeps_to(plan: &[i64], hold: Duration, cluster: &Cluster, history: &History) {
    let seen = match cluster.server.folder() {
        Some(folder) => audited(folder, &cluster.namespace),
        None => history.seen(),
    };
    assert_eq!(shares(&seen, "v2"), plan, "{}", cluster.logged());
    for share in plan.iter().copied().filter(|share| plan.contains(&100) && ![0, 100].contains(share)) {
        let lasted = held(&seen, "v2", share).unwrap();
        assert!(lasted >= hold, "{share}% was held for {lasted:?} only: {}", cluster.logged());
    }
}

/// Each write of an undisturbed run in turn; on a real server also the moments before it and after its answer.
async fn killed_around_each_write(bad: bool) {
    let Ran { end: undisturbed, writes, .. } = run(bad, None).await;
    assert!(writes >= 6, "{writes} writes");
    let moments: &[When] =
        if is_real() { &[When::Before, When::Stored, When::Answered] } else { &[When::Stored] };
    let deaths = (1..=writes).flat_map(|write| moments.iter().map(move |when| (write, *when)));
    let runs = stream::iter(deaths.map(|death| async move { (death, run(bad, Some(death)).await) }));
    let ends: Vec<_> = runs.buffer_unordered(AT_ONCE).collect().await;
    for (death, ran) in ends {
        assert!(ran.died || death.0 + 2 > writes, "there was no write {death:?}");
        assert_eq!(ran.end, undisturbed, "killed around write {death:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_run_ends_as_if_nothing_had_happened() {
    killed_around_each_write(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_run_ends_as_if_nothing_had_happened() {
    killed_around_each_write(true).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_is_killed_mid_step() {
    if !is_real() {
        skip("it kills the API server's process, which only a control plane of tests/cluster has");
        return;
    }
    let Some(server) = Server::alone("it kills the API server").await else { return };
    // An API server that has just started refuses everybody for a moment: not a lack in what is granted.
    let mut cluster = Box::pin(Cluster::on(server, "tidegate-interrupted", |_| {})).await;
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    let history = History::follow(&cluster).await;
    cluster.run_program();
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 4s")).await;
    let before = cluster.at(10).await;
    let file = cluster.server.folder().unwrap().join("pids/kube-apiserver");
    let pid = || std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let old = pid();
    assert!(std::process::Command::new("kill").args(["-KILL", &old]).status().unwrap().success());
    let again = || async { pid() != old && cluster.rollouts().get("color").await.is_ok() };
    eventually("the API server is back", again, |again| *again).await;
    let after = cluster.rollouts().get("color").await.unwrap();
    let number = |rollout: &Rollout| rollout.status.as_ref().unwrap().run.as_ref().unwrap().number;
    assert_eq!(number(&after), number(&before), "nothing is lost");
    let end = end(&cluster, Phase::Healthy).await;
    assert_eq!(end.weights["v2"], 100);
    keeps_to(&[0, 10, 50, 100], Duration::from_secs(4), &cluster, &history);
}
