//! Gates on loopback that answer well and badly.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::join_all;
use serde_json::{Value, json};

use super::*;
use crate::{
    config::{Auth, HttpConfig},
    outbound::fake::{Asked, Fake, Reply, SECRET, serve},
};

fn config(fake: &Fake, timeout: Duration) -> GateConfig {
    let http = HttpConfig { timeout, tls: None, auth: None, headers: Vec::new() };
    GateConfig { url: fake.url.join("/gate?team=shop").unwrap(), interval: Duration::from_secs(10), http }
}

fn gates(config: GateConfig) -> Gates {
    Gates::new(&BTreeMap::from([("window".to_owned(), config)])).unwrap()
}

fn question(gate: &str) -> Question {
    Question { gate: gate.to_owned(), when: GateTime::Before, step: 2, weight: 20, mirror: None }
}

fn request(questions: Vec<Question>) -> AskRequest {
    AskRequest {
        namespace: "shop".to_owned(),
        rollout: "color".to_owned(),
        uid: "0b1c".to_owned(),
        run: 7,
        steps: 4,
        stable: "v1".to_owned(),
        canary: "v2".to_owned(),
        questions,
    }
}

/// The one answer, none of which may repeat what came back.
async fn one(gates: &Gates) -> (GateAnswer, String) {
    let answers = gates.ask(&request(vec![question("window")])).await;
    let [Answered { answer, sentence, .. }] = answers.as_slice() else { panic!("{answers:?}") };
    assert!(!sentence.contains(SECRET), "{sentence}");
    (*answer, sentence.clone())
}

#[tokio::test]
async fn a_gate_is_asked_with_all_that_is_known() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let fake = serve(move |asked: Asked| {
        assert_eq!((asked.path.as_str(), asked.query.as_str()), ("/gate", "team=shop"));
        assert_eq!(asked.headers["content-type"], "application/json");
        kept.lock().unwrap().push(asked.json());
        Reply::ok(r#"{"answer": "wait", "sentence": "the window opens at 14:00"}"#)
    })
    .await;
    let said = one(&gates(config(&fake, Duration::from_secs(5)))).await;
    assert_eq!(said, (GateAnswer::Wait, "the window opens at 14:00".to_owned()));
    let want = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "GateReview", "gate": "window", "when": "Before",
        "namespace": "shop", "rollout": "color", "uid": "0b1c", "run": 7, "step": 2, "steps": 4, "weight": 20,
        "stable": "v1", "canary": "v2",
    });
    assert_eq!(*seen.lock().unwrap(), [want]);
}

#[tokio::test]
async fn what_does_not_count_is_down_with_a_sentence_of_ours() {
    let body = |status, text: &str| Reply::Body(status, text.replace("SECRET", SECRET));
    let cases = [
        (body(200, "SECRET"), "the gate's answer is not what gates say"),
        (body(200, r#"{"answer": "SECRET"}"#), "the gate's answer is not what gates say"),
        (
            body(200, r#"{"answer": "yes", "sentence": ["SECRET"]}"#),
            "the gate's answer is not what gates say",
        ),
        (body(202, r#"{"answer": "yes", "sentence": "SECRET"}"#), "the gate answered HTTP 202"),
        (body(404, "SECRET"), "the gate answered HTTP 404"),
        (body(500, r#"{"answer": "no", "sentence": "SECRET"}"#), "the gate answered HTTP 500"),
        (body(401, "SECRET"), "the gate answered HTTP 401: it asks for credentials"),
        (Reply::Busy(429, 5), "the gate answered HTTP 429"),
        (Reply::Redirect, "the gate answered with a redirect, which is not followed"),
        (Reply::Flood, "the answer of the gate is larger than 1 MiB"),
    ];
    for (reply, want) in cases {
        let fake = serve(move |_| reply.clone()).await;
        let (answer, sentence) = one(&gates(config(&fake, Duration::from_secs(5)))).await;
        assert_eq!(answer, GateAnswer::Down, "{want}");
        assert!(sentence.starts_with(want), "{want}: {sentence}");
        assert_eq!(fake.asked(), 1, "{want}: neither followed nor retried");
    }
}

#[tokio::test]
async fn a_gate_that_nobody_answers_for_is_down() {
    let hanging = serve(|_| Reply::Hang).await;
    let (answer, sentence) = one(&gates(config(&hanging, Duration::from_millis(100)))).await;
    assert_eq!((answer, sentence.as_str()), (GateAnswer::Down, "the gate gave no answer within 100ms"));

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gone = config(&hanging, Duration::from_secs(5));
    gone.url.set_port(Some(free.local_addr().unwrap().port())).unwrap();
    drop(free);
    assert_eq!(one(&gates(gone)).await, (GateAnswer::Down, "the gate can't be reached".to_owned()));

    let unknown = Gates::default().ask(&request(vec![question("nowhere")])).await.remove(0);
    assert_eq!(unknown.answer, GateAnswer::Down);
    assert!(unknown.sentence.starts_with("no gate named \"nowhere\" is configured"), "{}", unknown.sentence);
}

/// A gate that hangs takes no answer from another.
#[tokio::test]
async fn each_question_has_its_own_deadline() {
    let (quick, slow) = (serve(|_| Reply::ok(r#"{"answer":"yes"}"#)).await, serve(|_| Reply::Hang).await);
    let gates = Gates::new(&BTreeMap::from([
        ("quick".to_owned(), config(&quick, Duration::from_secs(30))),
        ("slow".to_owned(), config(&slow, Duration::from_millis(100))),
    ]))
    .unwrap();
    let asked = request(vec![question("slow"), question("quick"), question("nowhere")]);
    let answers = gates.ask(&asked).await;
    let said: BTreeMap<_, _> =
        answers.iter().map(|answered| (answered.question.gate.as_str(), answered.answer)).collect();
    let want = [("nowhere", GateAnswer::Down), ("quick", GateAnswer::Yes), ("slow", GateAnswer::Down)];
    assert_eq!(said, want.into());
    let intervals = gates.names();
    assert_eq!(intervals.keys().collect::<Vec<_>>(), ["quick", "slow"]);
    assert_eq!(intervals["slow"], Duration::from_secs(10));
}

/// Whoever says no is not kept from it by one that hangs.
#[tokio::test]
async fn a_no_waits_for_no_other_gate() {
    let (refusing, hanging) =
        (serve(|_| Reply::ok(r#"{"answer":"no"}"#)).await, serve(|_| Reply::Hang).await);
    let gates = Gates::new(&BTreeMap::from([
        ("refusing".to_owned(), config(&refusing, Duration::from_secs(30))),
        // It would be waited for longer than any test lasts.
        ("hanging".to_owned(), config(&hanging, Duration::from_hours(1))),
    ]))
    .unwrap();
    let asked = request(vec![question("hanging"), question("refusing")]);
    let answers = tokio::time::timeout(Duration::from_secs(30), gates.ask(&asked)).await.unwrap();
    let said: Vec<_> = answers.iter().map(|answered| (&*answered.question.gate, answered.answer)).collect();
    assert_eq!(said, [("refusing", GateAnswer::No)]);
}

#[tokio::test]
async fn a_thousand_rollouts_do_not_flood_a_gate() {
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now_there, greatest) = (Arc::clone(&at_once), Arc::clone(&most));
    let fake = serve(move |_| {
        greatest.fetch_max(now_there.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let leaving = Arc::clone(&now_there);
        let leave = Arc::new(move || {
            leaving.fetch_sub(1, Ordering::SeqCst);
        });
        Reply::Slowly(Duration::from_millis(1), r#"{"answer":"yes"}"#.to_owned(), leave)
    })
    .await;
    let gates = gates(config(&fake, Duration::from_mins(1)));
    let asked = request(vec![question("window")]);
    let answers = join_all((0..1_000).map(|_| gates.ask(&asked))).await;
    assert!(answers.iter().flatten().all(|answered| answered.answer == GateAnswer::Yes));
    assert_eq!(fake.asked(), 1_000);
    assert!(most.load(Ordering::SeqCst) <= AT_ONCE, "{most:?}");
}

#[tokio::test]
async fn credentials_are_presented_and_a_missing_file_stops_the_start() {
    let fake = serve(|asked: Asked| match asked.headers.get("authorization") {
        Some(token) if token == "Bearer secret" => Reply::ok(r#"{"answer":"yes"}"#),
        Some(_) | None => Reply::Body(401, SECRET.to_owned()),
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret\n").unwrap();
    let mut config = config(&fake, Duration::from_secs(5));
    config.http.auth = Some(Auth::Bearer { token_file: file.path().to_owned() });
    let gates = gates(config.clone());
    assert_eq!(one(&gates).await.0, GateAnswer::Yes);
    file.close().unwrap();
    let (answer, sentence) = one(&gates).await;
    assert_eq!(answer, GateAnswer::Down);
    assert!(sentence.contains("auth.bearer.tokenFile"), "{sentence}");
    let error = Gates::new(&BTreeMap::from([("window".to_owned(), config)])).unwrap_err().to_string();
    assert!(error.starts_with("cannot set up the gate window: cannot read "), "{error}");
}

#[test]
fn a_question_is_one_flat_object() {
    let (request, question) = (request(vec![]), question("window"));
    let written = serde_json::to_value(Review::of(&request, &question)).unwrap();
    assert!(
        written
            .as_object()
            .unwrap()
            .values()
            .all(|value| !matches!(value, Value::Object(_) | Value::Array(_)))
    );
}
