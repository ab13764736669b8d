//! The API server, or what lies between, misbehaves.

use std::time::Duration;

use tidegate::{
    api::{Phase, Rollout},
    clock::Clock,
};

use crate::{
    call::{Call, Rule, Spoil},
    cluster::Cluster,
    objects::ROLLOUT,
    waiting::eventually,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stood_on_a_route_while_a_write_hung_is_no_part_of_the_hold() {
    const HOLD: Duration = Duration::from_secs(8);
    const HANGS: Duration = Duration::from_secs(6);
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 8s")).await;
    let begun = |rollout: &Rollout| {
        let step = rollout.status.as_ref().and_then(|status| status.step.as_ref());
        step.is_some_and(|step| {
            step.weight.percent() == 10 && Duration::from(step.elapsed) > Duration::from_millis(500)
        })
    };
    cluster.until("color", "counting", begun).await;
    let clock = Clock::start();
    // What is written of a refused request hangs; meanwhile somebody moves the weights, and takes that back.
    cluster.proxy.spoil(Rule::new(Spoil::Delay(HANGS)).verb("update").name("color"));
    cluster.ask("resume").await;
    let hanging =
        || async { cluster.calls().iter().any(|call| call.verb == "update" && call.code.is_none()) };
    eventually("a write that hangs", hanging, |hangs| *hangs).await;
    cluster.proxy.relent();
    cluster.set_weights("color", "kubectl", &[(0, 100), (1, 0)]).await;
    cluster.set_weights("color", "kubectl", &[(0, 90), (1, 10)]).await;
    cluster.until_share("v2", 50).await;
    assert!(clock.elapsed() > HANGS + HOLD / 2, "it went on after {:?}", clock.elapsed());
}

async fn survives(rule: Rule, bad: bool) {
    let mut cluster = Cluster::without_controller().await;
    if bad {
        cluster.gateway.fail("v2", 0.3);
    }
    // Its watches begin with it, and last.
    cluster.proxy.spoil(rule);
    cluster.run_controller();
    cluster.roll(ROLLOUT).await;
    if bad {
        cluster.phase(Phase::Failed).await;
        assert_eq!(cluster.share("v2").await, 0);
    } else {
        cluster.phase(Phase::Healthy).await;
        assert_eq!(cluster.share("v2").await, 100);
    }
    assert!(cluster.proxy.has_spoilt(), "it met with less than it was to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_and_failing_route_writes() {
    let patch = |spoil| Rule::new(spoil).verb("patch").resource("gatewayroutes").times(2);
    survives(patch(Spoil::Answer(409)), false).await;
    survives(patch(Spoil::Answer(500)), false).await;
    survives(patch(Spoil::Answer(429)), true).await;
    survives(patch(Spoil::LoseReply), true).await;
}

/// Nobody may take the end of a run for the end of its traffic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_the_api_server_refuses_is_told_where_people_look() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    cluster.proxy.spoil(Rule::new(Spoil::Answer(403)).verb("patch").resource("gatewayroutes").times(2));
    cluster.abort("checkout is slow").await;
    let told = |rollout: &Rollout| {
        let status = rollout.status.clone().unwrap_or_default();
        status.message.is_some_and(|message| message.contains("not moved back on every route yet: "))
    };
    let rollout = cluster.until("color", "the refusal in the status", told).await;
    let conditions = rollout.status.unwrap().conditions;
    let in_sync = conditions.iter().find(|condition| condition.type_ == "RoutesInSync").unwrap();
    assert_eq!((in_sync.status.as_str(), in_sync.reason.as_str()), ("False", "RouteRefused"));
    cluster.phase(Phase::Failed).await;
    assert_eq!(cluster.share("v2").await, 0);
    assert_eq!(cluster.events("RouteRefused").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_and_failing_status_writes() {
    let update = |spoil| Rule::new(spoil).resource("rollouts").subresource("status").times(2);
    survives(update(Spoil::Answer(409)), false).await;
    survives(update(Spoil::Answer(503)), true).await;
    survives(update(Spoil::LoseReply), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_break() {
    let watch = |spoil| Rule::new(spoil).verb("watch").times(3);
    survives(watch(Spoil::EndWatch), false).await;
    survives(watch(Spoil::Expire), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_api_server() {
    survives(Rule::new(Spoil::Delay(Duration::from_millis(200))), true).await;
}

/// So many Rollouts are written to at once.
const PLACES: usize = 16;
/// A write that hangs ends the API server's or our own deadline later.
const HANGS: Duration = Duration::from_mins(1);
/// Well before that.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_waits_for_no_write_of_another_rollout() {
    let cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    // The status writes of others hang in all the places that there are, and another waits for one.
    for number in 0..=PLACES {
        let name = format!("other-{number}");
        cluster.proxy.spoil(Rule::new(Spoil::Delay(HANGS)).verb("update").name(&name));
        cluster.roll(&ROLLOUT.replace("name: color}\nspec", &format!("name: {name}}}\nspec"))).await;
    }
    let hanging = || async {
        let calls = cluster.calls();
        let hang = |call: &&Call| call.verb == "update" && call.name != "color" && call.code.is_none();
        calls.iter().filter(hang).count()
    };
    let taken = eventually("all places taken", hanging, |hanging| *hanging >= PLACES).await;
    assert_eq!(taken, PLACES, "they hang, and no more of them than there are places");
    // What follows from this has to be written first, and waits as well.
    cluster.ask("promote").await;
    cluster.abort("checkout is slow").await;
    let moved = tokio::time::timeout(AT_ONCE, cluster.until_share("v2", 0)).await;
    assert!(moved.is_ok(), "the abort waited for the writes of others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_an_abort_waits_for_no_list_of_the_others() {
    let mut cluster = Cluster::start().await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    cluster.kill_controller();
    cluster.abort("checkout is slow").await;
    // As it is where there are very many: neither the Rollouts nor the routes come to their end.
    for (verb, resource) in [("watch", "rollouts"), ("list", "gatewayroutes")] {
        cluster.proxy.spoil(Rule::new(Spoil::Delay(HANGS)).verb(verb).resource(resource));
    }
    cluster.run_controller();
    let moved = tokio::time::timeout(HANGS / 2, cluster.phase(Phase::Failed)).await;
    assert!(moved.is_ok(), "the abort waited for the lists");
    assert_eq!(cluster.share("v2").await, 0);
    assert!(cluster.proxy.has_spoilt(), "the lists were not asked for");
    assert_eq!(cluster.readyz().await.0, 503, "not ready: the others are not known");
}
