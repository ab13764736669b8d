//! The controller is shown less than there is, what was, or another time, in the midst of a run: watches that freeze,
//! lists from the past, an API server that refuses everything for a minute, clocks an hour off. Whatever it is, the end
//! is that of a run in which it did not happen, and the canary's share keeps to the plan.

use std::{path::PathBuf, process::Command, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tidegate::{api::Phase, clock::Clock};

use crate::{
    call::{Call, Rule, Spoil},
    cluster::Cluster,
    history::History,
    lists::Lists,
    objects::ROLLOUT,
    outcome::{End, end, keeps_to},
    proxy::Proxy,
    skip::skip,
};

/// How long the steps below 100% of a good run are held here.
const HOLD: Duration = Duration::from_secs(8);
/// The same of the first: what is done to it then has to find it there, however busy the machine is.
const FIRST: Duration = Duration::from_secs(20);
/// How long the step is held that a bad run ends in: however busy the machine is, the trouble comes first.
const UNTIL_IT_FAILS: Duration = Duration::from_mins(10);
/// A watch lasts this long at most, one that is silent five seconds more, and the next one comes a moment later.
const RENEWED: Duration = Duration::from_secs(65);

const GOOD: &[i64] = &[0, 10, 50, 100];
const BAD_AT_10: &[i64] = &[0, 10, 0];
const BAD_AT_50: &[i64] = &[0, 10, 50, 0];

/// A run that something is about to happen to.
struct Disturbed {
    cluster: Cluster,
    history: History,
    bad: bool,
    bad_plan: &'static [i64],
}

impl Disturbed {
    /// There is a Rollout, and no controller yet. If it is to fail, it waits for that at the last step of its plan that
    /// has a share.
    async fn new(bad: bool, bad_plan: &'static [i64]) -> Self {
        let cluster = Cluster::without_controller().await;
        let history = History::follow(&cluster).await;
        let fails_at = if bad { bad_plan.iter().copied().max() } else { None };
        let held = |weight| {
            let hold = match weight {
                _ if Some(weight) == fails_at => UNTIL_IT_FAILS,
                10 => FIRST,
                _ => HOLD,
            };
            format!("{{weight: {weight}, hold: {}s}}", hold.as_secs())
        };
        cluster
            .roll(&ROLLOUT.replace("{weight: 10}, {weight: 50}", &format!("{}, {}", held(10), held(50))))
            .await;
        Self { cluster, history, bad, bad_plan }
    }

    fn with_controller(mut self) -> Self {
        self.cluster.run_controller();
        self
    }

    /// It is over as it would have been, by the same steps.
    async fn ends_as_undisturbed(&self) {
        // Meanwhile, what comes after the end shows too.
        let wanted = undisturbed(self.bad).await;
        let end = end(&self.cluster, if self.bad { Phase::Failed } else { Phase::Healthy }).await;
        assert_eq!(end.after_a_death(), wanted.after_a_death());
        keeps_to(if self.bad { self.bad_plan } else { GOOD }, HOLD, &self.cluster, &self.history);
    }
}

/// The end of a run that nothing happens to.
async fn undisturbed(bad: bool) -> End {
    let cluster = Cluster::start().await;
    if bad {
        cluster.gateway.fail("v2", 0.3);
    }
    cluster.roll(ROLLOUT).await;
    end(&cluster, if bad { Phase::Failed } else { Phase::Healthy }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_freeze() {
    tokio::join!(an_abort_among_frozen_watches(), frozen(false), frozen(true));
}

/// Only a watch that was renewed can show what a person asks for.
async fn an_abort_among_frozen_watches() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    cluster.proxy.freeze();
    let (clock, before) = (Clock::start(), watches(&cluster, "rollouts"));
    cluster.abort("checkout is slow").await;
    cluster.phase(Phase::Failed).await;
    let took = clock.elapsed();
    eprintln!("aborted among frozen watches after {} ms", took.as_millis());
    assert_eq!(cluster.share("v2").await, 0);
    assert!(took < RENEWED, "{took:?}");
    assert!(watches(&cluster, "rollouts") > before, "the watch was to be frozen, and showed the abort");
}

/// A run goes on: a bad canary is put back by what the metrics say, and a good one is raised once a watch that was
/// renewed has shown that it is in effect.
async fn frozen(bad: bool) {
    let run = Disturbed::new(bad, BAD_AT_10).await.with_controller();
    run.cluster.at(10).await;
    run.cluster.proxy.freeze();
    if bad {
        run.cluster.gateway.fail("v2", 0.3);
    }
    let (clock, before) = (Clock::start(), watches(&run.cluster, "gatewayroutes"));
    run.cluster.until_share("v2", if bad { 0 } else { 100 }).await;
    let took = clock.elapsed();
    eprintln!("bad: {bad}; there among frozen watches after {} ms", took.as_millis());
    assert!(took < RENEWED + HOLD * 2, "{took:?}");
    assert!(bad || watches(&run.cluster, "gatewayroutes") > before, "the watch was to be frozen");
    run.ends_as_undisturbed().await;
}

/// How many watches of a kind there have been.
fn watches(cluster: &Cluster, resource: &str) -> usize {
    let calls = cluster.proxy.calls();
    calls.iter().filter(|call| call.verb == "watch" && call.resource == resource).count()
}

/// How long the API server is behind.
const BEHIND: Duration = Duration::from_secs(4);

/// What an API server that is behind lists, while the canary is at 50%.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Past {
    /// A Rollout without status, and a route that nobody has touched.
    Beginning,
    /// Both as they were at 10%.
    StepBefore,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_lists_are_replayed() {
    tokio::join!(
        shown_the_past(false, Past::Beginning, true),
        shown_the_past(true, Past::Beginning, true),
        shown_the_past(true, Past::StepBefore, true),
    );
    // Where Rollouts are not streamed.
    tokio::join!(
        shown_the_past(false, Past::Beginning, false),
        shown_the_past(true, Past::Beginning, false),
        shown_the_past(true, Past::StepBefore, false),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_lists_of_the_step_before_are_replayed_in_a_good_run() {
    tokio::join!(
        shown_the_past(false, Past::StepBefore, true),
        shown_the_past(false, Past::StepBefore, false)
    );
}

/// The watches expire, and what is listed then was so before.
async fn shown_the_past(bad: bool, past: Past, streamed: bool) {
    let run = Disturbed::new(bad, BAD_AT_50).await;
    if !streamed {
        run.cluster.proxy.spoil(Rule::new(Spoil::Answer(400)).verb("watch").resource("rollouts").times(1));
    }
    let run = run.with_controller();
    let proxy = &run.cluster.proxy;
    if past == Past::StepBefore {
        run.cluster.at(10).await;
        proxy.lists().forget();
        list_anew(proxy, Lists::has_kept).await;
    }
    run.cluster.at(50).await;
    for resource in KINDS {
        assert!(proxy.lists().has_kept(resource), "there is no list of {resource} to answer again");
        proxy.spoil(Rule::new(Spoil::Replay(BEHIND)).listing().resource(resource).times(1));
    }
    list_anew(proxy, Lists::has_replayed).await;
    if bad {
        run.cluster.gateway.fail("v2", 0.3);
    }
    run.ends_as_undisturbed().await;
    assert!(proxy.has_spoilt(), "it met with less than it was to");
}

/// What is followed.
const KINDS: [&str; 3] = ["rollouts", "gatewayroutes", "deployments"];

/// How long until what was told that it comes too late is told so again: its connection may have broken before it heard.
const HEARD: Duration = Duration::from_secs(15);

/// The watches of each kind are told that they come too late, until it is listed anew.
async fn list_anew(proxy: &Proxy, is_listed: fn(&Lists, &str) -> bool) {
    let missing = || KINDS.into_iter().filter(|kind| !is_listed(proxy.lists(), kind)).collect::<Vec<_>>();
    for _ in 0..4 {
        for resource in missing() {
            proxy.spoil(Rule::new(Spoil::Expire).watching_on().resource(resource).times(1));
        }
        proxy.disconnect();
        let all = async {
            while !missing().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(HEARD, all).await.is_ok() {
            return;
        }
    }
    let calls = proxy.calls().into_iter().filter(|call| matches!(call.verb, "list" | "watch"));
    panic!("never listed anew: {:?} of {:#?}", missing(), calls.collect::<Vec<_>>());
}

/// How long everything is refused.
const OUTAGE: Duration = Duration::from_mins(1);
/// So many attempts at the most. Each look at the metrics, one a second here, gives two turns: one that asks for it and
/// one that takes it in. Each turn tries once to store or to lower, and once to read back what it is not sure of. A
/// quarter more for all else.
const ATTEMPTS: usize = 4 * 60 * 5 / 4;
/// Besides: watches begun anew by a backoff from one second to half a minute, and Events.
const BESIDES: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_answers_503_for_a_minute() {
    tokio::join!(refused_for_a_minute(false), refused_for_a_minute(true));
}

async fn refused_for_a_minute(bad: bool) {
    let run = Disturbed::new(bad, BAD_AT_10).await.with_controller();
    run.cluster.at(10).await;
    let proxy = &run.cluster.proxy;
    proxy.spoil(Rule::new(Spoil::Answer(503)));
    proxy.disconnect();
    if bad {
        run.cluster.gateway.fail("v2", 0.3);
    }
    let before = proxy.calls().len();
    tokio::time::sleep(OUTAGE).await;
    let calls = proxy.calls().split_off(before);
    eprintln!("bad: {bad}; {} calls in a minute of 503", calls.len());
    let refused = |call: &Call| call.code.is_none_or(|code| code == 503);
    assert!(calls.len() > 3 && calls.iter().all(refused), "{calls:#?}");
    let (besides, attempts): (Vec<&Call>, Vec<&Call>) =
        calls.iter().partition(|call| call.verb == "watch" || call.resource == "events");
    let few = attempts.len() <= ATTEMPTS && besides.len() <= BESIDES;
    assert!(few, "{} attempts, {} besides", attempts.len(), besides.len());
    proxy.relent();
    run.ends_as_undisturbed().await;
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_stand_an_hour_off() {
    let Some(shim) = Shim::compile() else { return };
    tokio::join!(shim.at_other_hours(false, -HOUR, HOUR), shim.at_other_hours(true, -HOUR, HOUR));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_stand_an_hour_off_and_go_back() {
    let Some(shim) = Shim::compile() else { return };
    tokio::join!(shim.at_other_hours(false, HOUR, -HOUR), shim.at_other_hours(true, HOUR, -HOUR));
}

/// What moves a program's wall clock.
struct Shim {
    folder: tempfile::TempDir,
}

impl Shim {
    /// `None`, said aloud, where it can't be had.
    fn compile() -> Option<Self> {
        if !cfg!(target_os = "linux") {
            skip("it moves a program's clock by LD_PRELOAD, which is Linux's");
            return None;
        }
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/controller/wall_clock.c");
        let shim = Self { folder: tempfile::tempdir().unwrap() };
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(shim.path()).arg(source).status();
        let Ok(status) = compiled else {
            skip("there is no C compiler (cc) for what moves a program's clock");
            return None;
        };
        assert!(status.success(), "wall_clock.c does not compile");
        Some(shim)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("wall_clock.so")
    }

    /// The controller, its clock off by this.
    fn run(&self, cluster: &mut Cluster, off: SignedDuration) {
        let (path, off) = (self.path(), off.as_secs().to_string());
        cluster.run_program_with(&[("LD_PRELOAD", path.as_os_str()), ("TIDEGATE_TEST_CLOCK", off.as_ref())]);
    }

    /// The controller's clock is off by this, and that of the next one, which goes on, by that.
    async fn at_other_hours(&self, bad: bool, first: SignedDuration, second: SignedDuration) {
        let mut run = Disturbed::new(bad, BAD_AT_10).await;
        self.run(&mut run.cluster, first);
        let begun = run.cluster.at(10).await.status.unwrap().step.unwrap().since.unwrap();
        assert!(is_off_by(first, begun), "the first one's clock was to be off: {begun}");
        run.cluster.kill_controller();
        if bad {
            run.cluster.gateway.fail("v2", 0.3);
        }
        self.run(&mut run.cluster, second);
        run.ends_as_undisturbed().await;
        let rollout = run.cluster.rollouts().get("color").await.unwrap();
        let ended = rollout.status.unwrap().history[0].at;
        assert!(is_off_by(second, ended), "the second one's clock was to be off: {ended}");
    }
}

/// Whether a moment of just now was told by a clock that is off by this.
fn is_off_by(off: SignedDuration, told: Timestamp) -> bool {
    let seen = told.duration_since(Clock::start().now());
    (seen - off).abs() < SignedDuration::from_mins(5)
}
