//! A permission that is missing is said, with its remedy, and nothing else stops working.

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tidegate::{
    api::{Phase, RequestOutcome, Rollout, RouteKind},
    cli::rbac::NAME,
    controller::permissions::{Permission, REMEDY, permissions},
    engine::observed::Allowed,
};

use crate::{
    access::permission,
    call::{Call, Rule, Spoil},
    cluster::Cluster,
    objects::{ROLLOUT, entry, route},
    server::{Server, is_real, unique},
    told::{routes_in_sync, text},
    waiting::eventually,
};

/// A cluster whose controller lacks one verb on one resource: for real where permissions exist, and as if elsewhere.
async fn without(verb: &'static str, resource: &'static str) -> Cluster {
    let take = move |manifest: &mut Value| {
        let Some(rules) = manifest["rules"].as_array_mut() else { return };
        for rule in rules.iter_mut().filter(|rule| rule["resources"][0] == resource) {
            rule["verbs"].as_array_mut().unwrap().retain(|granted| granted != verb);
        }
        rules.retain(|rule| rule["verbs"] != json!([]));
    };
    let cluster = Cluster::on(Server::start().await, LIMITED, take).await;
    if !is_real() {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        cluster
            .proxy
            .spoil(Rule::new(Spoil::Answer(403)).verb(verb).resource(resource).subresource(subresource));
    }
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster
}

/// The account of a controller that lacks something: its refusals are wanted, and are told apart by its name.
const LIMITED: &str = "tidegate-limited";

async fn logs(cluster: &Cluster, part: &str) {
    eventually(&format!("{part:?} is logged"), || async { cluster.logged() }, |log| log.contains(part)).await;
}

/// At the start the log names what is missing, where permissions exist.
async fn told_at_the_start(cluster: &Cluster, verb: &str, resource: &str) {
    if is_real() {
        logs(cluster, &format!("missing=\"{}\"", permission(resource).name(verb))).await;
        logs(cluster, REMEDY).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_list_rollouts_it_does_not_start() {
    let mut cluster = without("list", "rollouts").await;
    let told = crate::installation::refuses(&mut cluster).await;
    assert!(told.contains("does not let us list Rollouts") && told.contains(REMEDY), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_follow_or_write_routes_it_is_said_on_the_rollout() {
    const FOLLOW: &str = "may not list and watch GatewayRoute";
    for verb in ["list", "watch", "patch"] {
        let mut cluster = without(verb, "gatewayroutes").await;
        cluster.run_program();
        if verb == "patch" {
            cluster.roll(ROLLOUT).await;
            let told = |rollout: &Rollout| text(rollout).contains("cannot claim GatewayRoute color");
            cluster.until("color", "said of the route", told).await;
        } else {
            // No route is followed before a Rollout names its kind. A watch that is refused is believed after a few attempts;
            // what was listed holds until then.
            cluster.roll(ROLLOUT).await;
            logs(&cluster, FOLLOW).await;
            cluster.until("color", "said of the route", |rollout| text(rollout).contains(FOLLOW)).await;
        }
        told_at_the_start(&cluster, verb, "gatewayroutes").await;
        let most = if verb == "watch" { 10 } else { 0 };
        assert!(cluster.share("v2").await <= most, "{verb}: no step is taken on what can't be seen");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_put_a_preview_there_or_to_take_it_away_it_is_said_on_the_rollout() {
    let mut cluster = without("create", "gatewayroutes").await;
    cluster.run_program();
    cluster.roll(&crate::blue_green::rollout(RouteKind::GatewayRoute, "1s")).await;
    let told = |rollout: &Rollout| text(rollout).contains("cannot create GatewayRoute color-preview-color");
    cluster.until("color", "said of the preview", told).await;
    assert_eq!(cluster.share("v2").await, 0, "no switch without the preview");
    cluster.abort("enough").await;
    cluster.phase(Phase::Failed).await;

    let mut cluster = without("delete", "gatewayroutes").await;
    cluster.run_program();
    cluster.roll(&crate::blue_green::rollout(RouteKind::GatewayRoute, "1s")).await;
    cluster.until_share("v2", 100).await;
    let told = |rollout: &Rollout| text(rollout).contains("cannot delete GatewayRoute color-preview-color");
    cluster.until("color", "said of the preview", told).await;
    assert_eq!(cluster.phase(Phase::Healthy).await.status.unwrap().stable.unwrap().name, "v2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_follow_deployments_it_is_said_on_the_rollout() {
    const FOLLOW: &str = "may not list and watch Deployment";
    for verb in ["list", "watch"] {
        let mut cluster = without(verb, "deployments").await;
        cluster.run_program();
        logs(&cluster, FOLLOW).await;
        cluster.roll(ROLLOUT).await;
        told_at_the_start(&cluster, verb, "deployments").await;
        cluster.until("color", "said of the workloads", |rollout| text(rollout).contains(FOLLOW)).await;
        assert_eq!(cluster.share("v2").await, 0, "no weight for what can't be seen");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_store_status_or_finalizers_an_event_says_so() {
    for (verb, resource, part) in [
        ("update", "rollouts/status", "cannot store the status of the Rollout"),
        ("patch", "rollouts", "cannot add the finalizer of the Rollout"),
    ] {
        let mut cluster = without(verb, resource).await;
        cluster.run_program();
        cluster.roll(ROLLOUT).await;
        told_at_the_start(&cluster, verb, resource).await;
        let event = cluster.event("Forbidden").await.message.unwrap();
        assert!(event.contains(part) && event.contains(REMEDY), "{event}");
        assert_eq!(cluster.share("v2").await, 0, "no weight without a record of it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_read_back_or_to_tell_nothing_else_is_hindered() {
    for (verb, resource) in
        [("get", "rollouts"), ("get", "gatewayroutes"), ("create", "events"), ("patch", "events")]
    {
        let mut cluster = without(verb, resource).await;
        // Races are lost on both, so that there is something to be read back.
        let lost = |resource| Rule::new(Spoil::Answer(409)).resource(resource).times(1);
        cluster.proxy.spoil(lost("rollouts").verb("update"));
        cluster.proxy.spoil(lost("gatewayroutes").verb("patch"));
        cluster.run_program();
        cluster.roll(ROLLOUT).await;
        told_at_the_start(&cluster, verb, resource).await;
        cluster.phase(Phase::Healthy).await;
        assert_eq!(cluster.share("v2").await, 100);
        if verb == "patch" {
            tell_twice(&cluster).await;
        }
        let refused = |call: &Call| call.verb == verb && call.resource == resource && call.code == Some(403);
        let look = || async { cluster.calls().iter().any(refused) };
        eventually(&format!("refused to {verb} {resource}"), look, |refused| *refused).await;
        if resource == "events" {
            logs(&cluster, "cannot write an Event").await;
        }
        if (verb, resource) == ("patch", "events") {
            let told = || async { cluster.events("RequestRefused").await.len() };
            eventually("each is told by itself", told, |told| *told == 2).await;
        }
        if verb == "create" {
            assert!(cluster.events("Promoted").await.is_empty());
        }
    }
}

/// Has the controller tell one thing twice: an Event that repeats is patched.
async fn tell_twice(cluster: &Cluster) {
    for _ in 0..2 {
        let id = cluster.request("promote", NO_RUN, 1).await;
        let answered = |rollout: &Rollout| {
            let last = rollout.status.as_ref().and_then(|s| s.last_request.as_ref());
            last.is_some_and(|last| last.id == id && last.outcome == RequestOutcome::Refused)
        };
        cluster.until("color", "the request refused", answered).await;
    }
}

/// A run that there never was.
const NO_RUN: i64 = 9;

/// `/readyz` is answered so, with this in the answer.
async fn is_ready(cluster: &Cluster, ready: bool, part: &str) {
    let code = if ready { 200 } else { 503 };
    let told = |(answered, told): &(u16, String)| *answered == code && told.contains(part);
    eventually(&format!("{part:?} at /readyz"), || cluster.readyz(), told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_watch_rollouts_it_is_not_ready_until_it_may() {
    let mut cluster = without("watch", "rollouts").await;
    cluster.run_controller();
    is_ready(&cluster, false, "may not list and watch Rollouts").await;
    is_ready(&cluster, false, REMEDY).await;
    // Nobody hears of this one, until that may be.
    cluster.roll(ROLLOUT).await;
    grant(&cluster, |_| true).await;
    cluster.phase(Phase::Healthy).await;
    is_ready(&cluster, true, "ok").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_serve_one_of_its_namespaces_the_others_are_served() {
    let mut cluster = Cluster::on(Server::start().await, LIMITED, |_| {}).await;
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    let other = unique();
    cluster.scope = format!("namespaces: [{other}, {}]\n", cluster.namespace);
    if !is_real() {
        cluster.proxy.spoil(Rule::new(Spoil::Answer(403)).namespace(&other));
    }
    cluster.run_controller();
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.share("v2").await, 100);
    // Nobody there names a route.
    for kind in ["Rollouts", "Deployment"] {
        is_ready(&cluster, false, &format!("may not list and watch {kind} in the namespace {other}")).await;
    }
}

/// Grants the controller of what is shipped what `keep` says: for real where permissions exist, and as if elsewhere.
async fn grant(cluster: &Cluster, keep: fn(&Permission) -> bool) {
    if is_real() {
        let rules: Vec<_> = permissions(Allowed::ALL).filter(keep).map(|row| row.rule()).collect();
        let in_force: Api<Role> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let patch = Patch::Merge(json!({ "rules": rules }));
        in_force.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
        return;
    }
    cluster.proxy.relent();
    for row in permissions(Allowed::ALL).filter(|row| !keep(row)) {
        cluster.proxy.spoil(Rule::new(Spoil::Answer(403)).resource(row.resource));
    }
}

/// Waits until the API server refuses the controller to follow a resource, and has it ask anew.
async fn no_longer_follows(cluster: &Cluster, resource: &'static str) {
    if is_real() {
        let asked = permission(resource).question("watch", &cluster.namespace);
        eventually("that it is refused", || cluster.may(&asked), |may| !may).await;
    }
    cluster.proxy.disconnect();
}

/// A cluster whose controller is at work and may lose what it was granted; the canary has 10%.
async fn held_at_ten() -> Cluster {
    let mut cluster = Cluster::on(Server::start().await, LIMITED, |_| {}).await;
    cluster.create(route("color", &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.run_controller();
    cluster.roll(&ROLLOUT.replace("hold: 1s", "hold: 5m")).await;
    cluster.at(10).await;
    cluster
}

/// What stood still goes on.
async fn goes_on(cluster: &Cluster) {
    assert_eq!(cluster.share("v2").await, 10, "traffic stays where it was");
    cluster.ask("promote-full").await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(cluster.share("v2").await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_taken_away_mid_step_and_given_back_it_goes_on() {
    let cluster = held_at_ten().await;
    grant(&cluster, |row| row.resource != "gatewayroutes").await;
    no_longer_follows(&cluster, "gatewayroutes").await;
    let told = |rollout: &Rollout| text(rollout).contains("may not list and watch GatewayRoute");
    cluster.until("color", "said of the route", told).await;
    grant(&cluster, |_| true).await;
    cluster.until("color", "all is well", routes_in_sync).await;
    goes_on(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_taken_away_mid_step_and_given_back_it_goes_on() {
    let cluster = held_at_ten().await;
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut binding = None;
    if is_real() {
        binding = Some(bindings.get(NAME).await.unwrap());
        bindings.delete(NAME, &DeleteParams::default()).await.unwrap();
    } else {
        grant(&cluster, |_| false).await;
    }
    no_longer_follows(&cluster, "rollouts").await;
    for kind in ["Rollouts", "GatewayRoute", "Deployment"] {
        is_ready(&cluster, false, &format!("may not list and watch {kind}")).await;
    }
    if let Some(mut binding) = binding {
        binding.metadata.resource_version = None;
        bindings.create(&PostParams::default(), &binding).await.unwrap();
    }
    cluster.proxy.relent();
    is_ready(&cluster, true, "ok").await;
    goes_on(&cluster).await;
}
