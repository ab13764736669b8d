//! Gates and receivers: what the controller asks and tells outside of the cluster, by a server that answers as a test wants.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tidegate::api::{EndReason, Phase, Rollout};

use crate::{
    cluster::Cluster,
    objects::ROLLOUT,
    told::message,
    waiting::{eventually, in_time},
};

/// What a gate says, or a receiver does.
#[derive(Clone, Debug)]
enum Answer {
    Says(&'static str),
    Fails,
    Hangs,
}

/// A gate at `/gate` and a receiver at `/hook`.
#[derive(Clone)]
struct Outside {
    address: SocketAddr,
    gate: Arc<Mutex<Answer>>,
    hook: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<Value>>>,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Outside {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outside = Self {
            address: listener.local_addr().unwrap(),
            gate: Arc::new(Mutex::new(Answer::Says("yes"))),
            hook: Arc::new(Mutex::new(Answer::Says("thanks"))),
            asked: Arc::default(),
            told: Arc::default(),
        };
        let router = Router::new().route("/gate", post(gate)).route("/hook", post(hook));
        let router = router.with_state(outside.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        outside
    }

    fn says(&self, answer: Answer) {
        *self.gate.lock().unwrap() = answer;
    }

    fn takes(&self, answer: Answer) {
        *self.hook.lock().unwrap() = answer;
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    /// The words of what arrived, in the order in which it did.
    fn told(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter().map(|told| told["transition"].as_str().unwrap().to_owned()).collect()
    }

    /// A cluster whose controller knows the gate and the receiver.
    fn known(&self, cluster: &mut Cluster) {
        let address = self.address;
        let keys = format!(
            "gates: {{window: {{url: \"http://{address}/gate\", interval: 1s, timeout: 2s}}}}\n\
             notifications: {{receivers: {{hook: {{webhook: {{url: \"http://{address}/hook\", timeout: 2s}}, \
             on: [Started, Paused, Promoted, RolledBack]}}}}}}\n"
        );
        cluster.scope.push_str(&keys);
    }
}

async fn gate(State(outside): State<Outside>, Json(asked): Json<Value>) -> Response {
    outside.asked.lock().unwrap().push(asked);
    let answer = outside.gate.lock().unwrap().clone();
    match answer {
        Answer::Says(what) => Json(json!({ "answer": what, "sentence": "so it is written" })).into_response(),
        Answer::Fails => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Answer::Hangs => std::future::pending().await,
    }
}

async fn hook(State(outside): State<Outside>, Json(told): Json<Value>) -> Response {
    let answer = outside.hook.lock().unwrap().clone();
    match answer {
        Answer::Says(_) => {
            outside.told.lock().unwrap().push(told);
            StatusCode::OK.into_response()
        }
        Answer::Fails => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Answer::Hangs => std::future::pending().await,
    }
}

/// The Rollout of the tests, with the gate at a time of its second step.
fn gated(when: &str) -> String {
    ROLLOUT.replace("{weight: 50}", &format!("{{weight: 50, gates: {{{when}: [window]}}}}"))
}

async fn cluster(outside: &Outside) -> Cluster {
    let mut cluster = Cluster::without_controller().await;
    outside.known(&mut cluster);
    cluster.run_controller();
    cluster
}

fn untold(rollout: &Rollout) -> usize {
    rollout.status.as_ref().map_or(0, |status| status.notices.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_is_asked_with_run_and_step_and_holds_until_it_says_yes() {
    let outside = Outside::start().await;
    outside.says(Answer::Says("wait"));
    let cluster = cluster(&outside).await;
    cluster.roll(&gated("before")).await;
    let held = |rollout: &Rollout| message(rollout).contains("gate window says to wait: so it is written");
    let rollout = cluster.until("color", "held by the gate", held).await;
    let told = &rollout.status.as_ref().unwrap().gates[0];
    assert_eq!((told.name.as_str(), told.step), ("window", 2));
    let asked = outside.asked()[0].clone();
    let uid = rollout.metadata.uid.as_deref().unwrap();
    let want = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "GateReview", "gate": "window", "when": "Before",
        "namespace": cluster.namespace, "rollout": "color", "uid": uid,
        "run": 1, "step": 2, "steps": 3, "weight": 50, "stable": "v1", "canary": "v2",
    });
    assert_eq!(asked, want);
    assert_eq!(cluster.share("v2").await, 10);
    outside.says(Answer::Says("yes"));
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_says_no_puts_all_traffic_back() {
    let outside = Outside::start().await;
    let cluster = cluster(&outside).await;
    outside.says(Answer::Says("no"));
    cluster.roll(&gated("during")).await;
    let rollout = cluster.phase(Phase::Failed).await;
    let told = "Rolled back at 50%: gate window says no: so it is written";
    assert_eq!(message(&rollout), told);
    assert_eq!(rollout.status.unwrap().history[0].outcome, EndReason::GateRefused);
    assert_eq!((cluster.share("v1").await, cluster.share("v2").await), (100, 0));
    cluster.event("GateRefused").await;
    let told = || async { outside.told() };
    eventually("told", told, |told| told.contains(&"RolledBack".to_owned())).await;
}

/// Down in any way, it holds; a person passes it over, and an abort goes through while it hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_is_down_holds_and_is_in_the_way_of_no_abort() {
    let outside = Outside::start().await;
    let cluster = cluster(&outside).await;
    outside.says(Answer::Fails);
    cluster.roll(&gated("after")).await;
    let down = |rollout: &Rollout| message(rollout).contains("gate window gives no answer");
    let rollout = cluster.until("color", "held by the gate", down).await;
    assert!(message(&rollout).contains("HTTP 500"), "{}", message(&rollout));
    assert_eq!(cluster.share("v2").await, 50);

    outside.says(Answer::Hangs);
    let asked = outside.asked().len();
    eventually("it hangs", || async { outside.asked().len() }, |now| *now > asked).await;
    cluster.abort("enough").await;
    in_time("nothing on v2", cluster.until_share("v2", 0)).await;
    cluster.phase(Phase::Failed).await;

    cluster.ask("retry").await;
    cluster.until("color", "held again", down).await;
    cluster.ask("promote").await;
    cluster.phase(Phase::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_nobody_has_configured_is_told() {
    let cluster = Cluster::start().await;
    cluster.roll(&gated("before")).await;
    let rollout = cluster.phase(Phase::Invalid).await;
    assert!(message(&rollout).contains("names the gate window"), "{}", message(&rollout));
}

/// Two attempts fail; what happened is told all the same, each once the receiver takes it, and status keeps nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_once_the_receiver_takes_it() {
    let outside = Outside::start().await;
    let cluster = cluster(&outside).await;
    outside.takes(Answer::Fails);
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Healthy).await;
    assert_eq!(outside.told(), [""; 0]);
    outside.takes(Answer::Says("thanks"));
    cluster.until("color", "nothing left to tell", |rollout| untold(rollout) == 0).await;
    let mut told = outside.told();
    told.sort();
    assert_eq!(told, ["Promoted", "Started"]);
    let of = &outside.told.lock().unwrap()[0];
    assert_eq!((&of["rollout"], &of["namespace"]), (&json!("color"), &json!(cluster.namespace)), "{of}");
}

/// The controller dies before anybody took it: the next one tells it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_controller_did_not_get_told_the_next_one_tells() {
    let outside = Outside::start().await;
    let mut cluster = cluster(&outside).await;
    cluster.gateway.fail("v2", 0.5);
    outside.takes(Answer::Hangs);
    cluster.roll(ROLLOUT).await;
    cluster.phase(Phase::Failed).await;
    cluster.kill_controller();
    assert_eq!(outside.told(), [""; 0]);
    outside.takes(Answer::Says("thanks"));
    cluster.run_controller();
    let told = || async { outside.told() };
    let all = |told: &Vec<String>| ["Started", "RolledBack"].iter().all(|one| told.iter().any(|t| t == one));
    eventually("both are told", told, all).await;
    cluster.until("color", "nothing left to tell", |rollout| untold(rollout) == 0).await;
}

/// A receiver that hangs is in nobody's way; and who is muted is told nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_delays_nothing_and_a_muted_rollout_tells_nobody() {
    let outside = Outside::start().await;
    let cluster = cluster(&outside).await;
    outside.takes(Answer::Hangs);
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    let paused = cluster.phase(Phase::Paused).await;
    assert!(untold(&paused) > 0, "it waits for the receiver");
    cluster.abort("enough").await;
    in_time("nothing on v2", cluster.until_share("v2", 0)).await;
    cluster.phase(Phase::Failed).await;

    let muted = json!({ "metadata": { "annotations": { "tidegate.dev/mute": "another, hook" } } });
    cluster.patch("color", muted).await;
    cluster.until("color", "nothing to tell", |rollout| untold(rollout) == 0).await;
    outside.takes(Answer::Says("thanks"));
    cluster.ask("retry").await;
    cluster.phase(Phase::Paused).await;
    assert_eq!(untold(&cluster.rollouts().get("color").await.unwrap()), 0);
}

/// A Rollout that is deleted in its run says so too, although nothing of it is left to keep that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_rollout_that_is_deleted_is_told() {
    let outside = Outside::start().await;
    let cluster = cluster(&outside).await;
    cluster.roll(&ROLLOUT.replace("{weight: 10}", "{weight: 10, approval: Required}")).await;
    cluster.phase(Phase::Paused).await;
    cluster.rollouts().delete("color", &kube::api::DeleteParams::default()).await.unwrap();
    cluster.until_share("v2", 0).await;
    let told = || async { outside.told() };
    eventually("told", told, |told| told.contains(&"RolledBack".to_owned())).await;
}
