//! The controller ends at the worst moments: killed (SIGKILL) around each of its writes in turn, and the API server
//! under it as well.

use std::{ops::RangeInclusive, process::Command, time::Duration};

use futures::{StreamExt, stream};
use serde_json::json;
use tidegate::api::{Phase, Rollout};

use crate::{
    call::{Rule, Spoil, Written},
    cluster::Cluster,
    history::History,
    objects::{HOLD, ROLLOUT, entry, route},
    outcome::{End, end, keeps_to},
    proxy::{Moment, When},
    server::{Server, is_real},
    skip::skip,
    told::runs,
    waiting::{eventually, in_time},
};

/// How many runs go on beside one another.
const AT_ONCE: usize = 6;

/// A run that is over.
struct Ran {
    end: End,
    /// How many of its writes left state behind; what follows a death is counted too.
    writes: usize,
    died: bool,
}

/// What happens to a run.
#[derive(Clone, Debug)]
enum Trouble {
    Nothing,
    /// Its controller dies.
    Death(Moment),
    /// One of its writes, counted from 1, meets with this.
    Spoilt(usize, Spoil),
}

/// A run, good or bad, to which this happens.
async fn run(bad: bool, trouble: Trouble) -> Ran {
    let mut cluster = Cluster::without_controller().await;
    let history = History::follow(&cluster).await;
    if bad {
        cluster.gateway.fail("v2", 0.3);
    }
    let stopped = match trouble {
        Trouble::Nothing => None,
        Trouble::Death(moment) => Some(cluster.proxy.stop_at(moment)),
        Trouble::Spoilt(number, spoil) => {
            cluster.proxy.spoil(Rule::new(spoil).nth(number, Written::State));
            None
        }
    };
    cluster.run_program();
    cluster.roll(ROLLOUT).await;
    let over = if bad { Phase::Failed } else { Phase::Healthy };
    let mut died = false;
    if let Some(stopped) = stopped {
        died = tokio::select! {
            biased;
            () = stopped.cancelled() => true,
            // It may be over in the midst of its last write, and before the world has stopped.
            _ = end(&cluster, over) => !cluster.proxy.let_pass(),
        };
        if died {
            in_time("the world stops", stopped.cancelled()).await;
            cluster.kill_controller();
            cluster.proxy.relent();
            cluster.run_program();
        }
    }
    let end = end(&cluster, over).await;
    let written = |call: &_| Written::of(call) == Some(Written::State);
    let writes = cluster.proxy.calls().iter().filter(|call| written(call)).count();
    let plan: &[i64] = if bad { &[0, 10, 0] } else { &[0, 10, 50, 100] };
    keeps_to(plan, HOLD, &cluster, &history);
    Ran { end: if died { end.after_a_death() } else { end }, writes, died }
}

/// Runs that die at these moments in a write, each once.
async fn killed(
    bad: bool,
    written: Written,
    numbers: RangeInclusive<usize>,
    when: &[When],
) -> Vec<(Moment, Ran)> {
    let deaths =
        numbers.flat_map(|number| when.iter().map(move |when| Moment { written, number, when: *when }));
    let runs =
        stream::iter(deaths.map(|death| async move { (death, run(bad, Trouble::Death(death)).await) }));
    runs.buffer_unordered(AT_ONCE).collect().await
}

const AROUND: [When; 3] = [When::Before, When::Stored, When::Answered];

/// Each write in turn; on a real server also the moments before it and after its answer. Runs differ a little in their
/// writes: evidence is saved when it is there, and a race may be lost. So it goes on until a run is over before the next.
async fn killed_around_each_write(bad: bool) {
    let undisturbed = run(bad, Trouble::Nothing).await;
    assert!(undisturbed.writes >= 6, "{} writes", undisturbed.writes);
    let when: &[When] = if is_real() { &AROUND } else { &[When::Stored] };
    let (mut next, mut last) = (1, undisturbed.writes + 1);
    loop {
        let ran = killed(bad, Written::State, next..=last, when).await;
        for (death, ran) in &ran {
            assert!(ran.died || ran.writes < death.number, "it lived on at {death:?}");
            assert_eq!(ran.end, undisturbed.end, "killed at {death:?}");
        }
        if ran.iter().any(|(death, ran)| death.number == last && !ran.died) {
            return;
        }
        (next, last) = (last + 1, last + 1);
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

/// Each write in turn is stored and its answer lost; and each is answered with one of these instead of being passed on.
async fn spoilt_at_each_write(bad: bool) {
    let undisturbed = run(bad, Trouble::Nothing).await;
    let each = (1..=undisturbed.writes).zip([500, 409, 429].map(Spoil::Answer).into_iter().cycle());
    let lost = (1..=undisturbed.writes).map(|number| (number, Spoil::LoseReply));
    let troubles = each.chain(lost).map(|(number, spoil)| Trouble::Spoilt(number, spoil));
    let runs =
        stream::iter(troubles.map(|trouble| async move { (trouble.clone(), run(bad, trouble).await) }));
    let ran: Vec<(Trouble, Ran)> = runs.buffer_unordered(AT_ONCE).collect().await;
    for (trouble, ran) in ran {
        assert_eq!(ran.end.after_a_death(), undisturbed.end.clone().after_a_death(), "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_run_ends_the_same_whichever_write_is_spoilt() {
    spoilt_at_each_write(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_run_ends_the_same_whichever_write_is_spoilt() {
    spoilt_at_each_write(true).await;
}

/// The phase is right; the Event may be missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_an_event_a_run_ends_as_if_nothing_had_happened() {
    for bad in [false, true] {
        let undisturbed = run(bad, Trouble::Nothing).await;
        for (death, ran) in killed(bad, Written::Event, 1..=1, &AROUND).await {
            assert!(ran.died, "there was no Event");
            assert_eq!(ran.end, undisturbed.end, "killed at {death:?}");
        }
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
    // Every shell has it built in; not every machine has the program.
    let kill = Command::new("sh").args(["-c", &format!("kill -KILL {old}")]).status().unwrap();
    assert!(kill.success());
    let again = || async { pid() != old && cluster.rollouts().get("color").await.is_ok() };
    eventually("the API server is back", again, |again| *again).await;
    let after = cluster.rollouts().get("color").await.unwrap();
    assert_eq!(runs(&after), runs(&before), "nothing is lost");
    let end = end(&cluster, Phase::Healthy).await;
    assert_eq!(end.weights["v2"], 100);
    keeps_to(&[0, 10, 50, 100], Duration::from_secs(4), &cluster, &history);
}
