//! A permission that is missing is said, with its remedy, and nothing else stops working.

use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use tidegate::{
    api::{Phase, Rollout},
    controller::permissions::{PERMISSIONS, REMEDY},
};

use crate::{
    bad_input::invalid,
    cluster::Cluster,
    objects::{ROLLOUT, entry, route},
    proxy::{Call, Rule, Spoil},
    server::{Server, is_real},
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

fn status(rollout: &Rollout) -> String {
    serde_json::to_string(&rollout.status).unwrap()
}

async fn logs(cluster: &Cluster, part: &str) {
    eventually(&format!("{part:?} is logged"), || async { cluster.logged() }, |log| log.contains(part)).await;
}

/// At the start the log names what is missing, where permissions exist.
async fn told_at_the_start(cluster: &Cluster, verb: &str, resource: &str) {
    if is_real() {
        let permission = PERMISSIONS.iter().find(|permission| permission.resource == resource).unwrap();
        logs(cluster, &format!("missing=\"{}\"", permission.name(verb))).await;
        logs(cluster, REMEDY).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_list_rollouts_it_does_not_start() {
    let cluster = without("list", "rollouts").await;
    let told = crate::installation::refuses(&cluster).await;
    assert!(told.contains("refuses to list Rollouts"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_follow_or_write_routes_it_is_said_on_the_rollout() {
    const FOLLOW: &str = "may not list and watch GatewayRoute";
    for verb in ["list", "watch", "patch"] {
        let mut cluster = without(verb, "gatewayroutes").await;
        cluster.run_program();
        if verb == "patch" {
            cluster.roll(ROLLOUT).await;
            let told = |rollout: &Rollout| status(rollout).contains("cannot claim GatewayRoute color");
            cluster.until("color", "said of the route", told).await;
        } else {
            // A watch that is refused is believed after a few attempts; what was listed holds until then.
            logs(&cluster, FOLLOW).await;
            cluster.roll(ROLLOUT).await;
            invalid(&cluster, FOLLOW).await;
        }
        told_at_the_start(&cluster, verb, "gatewayroutes").await;
        assert_eq!(cluster.share("v2").await, 0);
    }
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
        cluster.until("color", "said of the workloads", |rollout| status(rollout).contains(FOLLOW)).await;
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
        // Races are lost on both, so that there is something to be read back; and Events repeat.
        let lost = |resource| Rule::new(Spoil::Answer(409)).resource(resource).times(1);
        cluster.proxy.spoil(lost("rollouts").verb("update"));
        cluster.proxy.spoil(lost("gatewayroutes").verb("patch"));
        cluster.run_program();
        cluster.roll(ROLLOUT).await;
        told_at_the_start(&cluster, verb, resource).await;
        cluster.phase(Phase::Healthy).await;
        assert_eq!(cluster.share("v2").await, 100);
        let refused = |call: &Call| call.verb == verb && call.resource == resource && call.code != Some(200);
        assert!(
            verb == "patch" || cluster.calls().iter().any(refused),
            "it never asked to {verb} {resource}"
        );
        if verb == "create" {
            logs(&cluster, "cannot write an Event").await;
            let events: Api<k8s_openapi::api::core::v1::Event> =
                Api::namespaced(cluster.client.clone(), &cluster.namespace);
            let of_rollouts = ListParams::default().fields("involvedObject.kind=Rollout");
            assert!(events.list(&of_rollouts).await.unwrap().items.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taken_away_while_it_runs_and_given_back_it_goes_on() {
    const FOLLOW: &str = "may not list and watch GatewayRoute";
    let mut cluster = Cluster::without_controller().await;
    cluster.proxy.spoil(Rule::new(Spoil::Answer(403)).verb("watch").resource("gatewayroutes"));
    cluster.run_program();
    logs(&cluster, FOLLOW).await;
    cluster.roll(ROLLOUT).await;
    invalid(&cluster, FOLLOW).await;
    cluster.proxy.relent();
    cluster.phase(Phase::Healthy).await;
}
