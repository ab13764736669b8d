//! What the controller is told in confidence, and what comes back from where it asks, stays with it. A word is planted in its
//! credentials, in all that providers, gates and receivers answer, and in the page that a proxy puts in the API server's
//! place; then it stands in no status, stamp, Event, metric or line of the log.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, atomic::Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use tidegate::{
    analysis::Verdict,
    api::{GateAnswer, Phase, Rollout},
    clock::Clock,
};

use crate::{
    call::{PLANTED, Rule, Spoil},
    cluster::Cluster,
    objects::{entry, route},
    tenants::counting,
    told::text,
    waiting::eventually,
};

/// How all that is asked outside of the cluster answers. Whatever it says, the word is in it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// As it should, with more than is asked for.
    Well,
    /// The same, with numbers that are too high.
    Over,
    /// A status and a page.
    Status(u16),
    /// A redirect.
    Redirect,
    /// JSON that is not what was asked for.
    Nonsense,
    /// An error in the words of Prometheus.
    BadQuery,
}

/// Providers, a gate and receivers, by the beginning of the path.
#[derive(Clone)]
struct Outside {
    address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    /// Who was shown the word: as a token, a password, a key or an address.
    shown: Arc<Mutex<BTreeSet<String>>>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Outside {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outside = Self {
            address: listener.local_addr().unwrap(),
            mode: Arc::new(Mutex::new(Mode::Well)),
            shown: Arc::default(),
            asked: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(outside.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        outside
    }

    fn answers(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// A cluster whose controller knows all of them, with the word in every secret.
    fn known(&self, cluster: &mut Cluster) {
        let address = self.address;
        let token = cluster.file("token", PLANTED);
        let key = cluster.file("key", &format!("{PLANTED}-key"));
        let hook = cluster.file("hook", &format!("http://{address}/slack/{PLANTED}"));
        let bearer = format!("auth: {{bearer: {{tokenFile: {}}}}}", token.display());
        let basic = format!("auth: {{basic: {{username: ann, passwordFile: {}}}}}", token.display());
        let providers = format!(
            "{{prom: {{prometheus: {{url: \"http://{address}/prom\", timeout: 2s, scrapeInterval: 1s, {bearer}}}}}, \
             web: {{web: {{url: \"http://{address}/web\", timeout: 2s, {basic}}}}}, \
             aws: {{cloudWatch: {{region: eu-central-1, endpoint: \"http://{address}\", timeout: 2s}}}}, default:"
        );
        cluster.providers = cluster.providers.replacen("{default:", &providers, 1);
        let on = "on: [Started, Paused, Promoted, RolledBack]";
        let outside = format!(
            "gates: {{window: {{url: \"http://{address}/gate\", interval: 1s, timeout: 2s, {bearer}}}}}\n\
             notifications: {{receivers: {{\
             hook: {{webhook: {{url: \"http://{address}/hook\", timeout: 2s, {bearer}}}, {on}}}, \
             slack: {{slack: {{urlFile: {}, timeout: 2s}}, {on}}}, \
             pager: {{pagerDuty: {{url: \"http://{address}/pager\", routingKeyFile: {}, timeout: 2s}}, {on}}}}}}}\n",
            hook.display(),
            key.display(),
        );
        cluster.scope.push_str(&outside);
    }
}

async fn answer(State(outside): State<Outside>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let whom = uri.path().split('/').nth(1).unwrap_or_default().to_owned();
    let credentials = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let basic = "Basic YW5uOmh1bnRlcjItcGxhbnRlZA==";
    let presented = credentials.is_some_and(|shown| shown.contains(PLANTED) || shown == basic);
    if presented || uri.path().contains(PLANTED) || String::from_utf8_lossy(&body).contains(PLANTED) {
        outside.shown.lock().unwrap().insert(whom.clone());
    }
    let mode = *outside.mode.lock().unwrap();
    outside.asked.lock().unwrap().insert(format!("{whom} {mode:?}"));
    let page = format!("<html>{PLANTED}</html>");
    let mut answer = match (mode, whom.as_str()) {
        // It speaks a language of its own, and has nothing good to say here.
        (_, "service") => (StatusCode::BAD_REQUEST, page).into_response(),
        (Mode::Well, _) => well(&whom, 1).into_response(),
        (Mode::Over, _) => well(&whom, 9).into_response(),
        (Mode::Status(code), _) => (StatusCode::from_u16(code).unwrap(), page).into_response(),
        (Mode::Redirect, _) => {
            (StatusCode::FOUND, [(header::LOCATION, format!("/{PLANTED}"))], page).into_response()
        }
        (Mode::Nonsense, _) => axum::Json(json!({ PLANTED: [PLANTED] })).into_response(),
        (Mode::BadQuery, _) => {
            let error = json!({ "status": "error", "errorType": "bad_data", "error": PLANTED });
            (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
        }
    };
    answer.headers_mut().insert("x-planted", PLANTED.parse().unwrap());
    answer
}

/// What each of them says that is as it should be.
fn well(whom: &str, number: i64) -> axum::Json<Value> {
    let at = Clock::start().now().as_second();
    axum::Json(match whom {
        "prom" => json!({
            "status": "success", "warnings": [PLANTED],
            "data": { "resultType": "vector", "result": [
                { "metric": { "planted": PLANTED }, "value": [at, number.to_string()] },
            ] },
        }),
        "web" => json!({ "a": number, "b": PLANTED }),
        "gate" => json!({ "answer": "yes", "note": PLANTED }),
        _ => json!(PLANTED),
    })
}

/// A Rollout that asks and tells all of them.
fn rollout(name: &str) -> String {
    format!(
        r#"
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {{name: {name}}}
spec:
  routes: [{{group: appmesh.k8s.aws, kind: GatewayRoute, name: {name}}}]
  target: {{name: v2, workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: v2}}}}
  strategy: {{canary: {{hold: 1s, steps: [{{weight: 10, gates: {{during: [window]}}}}, {{weight: 50}}]}}}}
  analysis:
    interval: 1s
    settle: 100ms
    metrics:
    - {{name: queue, provider: prom, query: q, max: "5"}}
    - {{name: lag, provider: web, query: "x | $.a", max: "5"}}
    - {{name: sum, provider: aws, query: "SUM(METRICS())", max: "5", mode: Observe}}
"#
    )
}

async fn roll(cluster: &Cluster, name: &str, yaml: &str) {
    cluster.create(route(name, &json!([entry("v1", 100), entry("v2", 0)]))).await;
    cluster.roll(yaml).await;
}

fn is(phase: Phase) -> impl Fn(&Rollout) -> bool {
    move |rollout| rollout.status.as_ref().and_then(|status| status.phase) == Some(phase)
}

/// All that can be read of what the controller has said.
async fn everything(cluster: &Cluster) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let every = ListParams::default();
    for rollout in cluster.rollouts().list(&every).await.unwrap() {
        all.push(("a Rollout".to_owned(), serde_json::to_string(&rollout).unwrap()));
    }
    for route in cluster.routes().list(&every).await.unwrap() {
        all.push(("a route".to_owned(), serde_json::to_string(&route).unwrap()));
    }
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    for event in events.list(&every).await.unwrap() {
        all.push(("an Event".to_owned(), serde_json::to_string(&event).unwrap()));
    }
    all.push(("the metrics".to_owned(), cluster.metrics().await));
    all.push(("/readyz".to_owned(), cluster.readyz().await.1));
    all.extend(cluster.logged().lines().map(|line| ("the log".to_owned(), line.to_owned())));
    all
}

async fn nothing_is_told(cluster: &Cluster) {
    let all = everything(cluster).await;
    for kind in ["a Rollout", "a route", "an Event", "the metrics", "/readyz", "the log"] {
        assert!(all.iter().any(|(place, text)| place == kind && text.len() > 1), "{kind} says nothing");
    }
    let told: Vec<_> = all.iter().filter(|(_, text)| text.contains("hunter2")).collect();
    assert!(told.is_empty(), "{told:#?}");
}

/// A cluster whose controller is the program, logs more than it usually does, and has a proxy in its environment.
async fn cluster(outside: &Outside, proxy: &str) -> Cluster {
    let mut cluster = Cluster::empty().await;
    outside.known(&mut cluster);
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    cluster.listen = free.local_addr().unwrap();
    drop(free);
    let environment = [
        ("RUST_LOG", "info,tidegate=debug,kube=debug"),
        ("AWS_ACCESS_KEY_ID", PLANTED),
        ("AWS_SECRET_ACCESS_KEY", PLANTED),
        ("AWS_SESSION_TOKEN", PLANTED),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HTTP_PROXY", proxy),
        ("http_proxy", proxy),
        ("ALL_PROXY", proxy),
        ("all_proxy", proxy),
    ];
    cluster.run_program_with(&environment.map(|(name, value)| (name, OsStr::new(value))));
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_and_what_proves_who_asks_is_told_to_nobody() {
    let outside = Outside::start().await;
    let (proxy, through_it) = counting().await;
    let cluster = cluster(&outside, &format!("http://{proxy}")).await;
    roll(&cluster, "good", &rollout("good")).await;
    cluster.until("good", "promoted", is(Phase::Healthy)).await;

    let modes = [
        Mode::Status(500),
        Mode::Status(401),
        Mode::Status(403),
        Mode::Status(404),
        Mode::Redirect,
        Mode::Nonsense,
        Mode::BadQuery,
    ];
    for (number, mode) in modes.into_iter().enumerate() {
        let name = format!("bad-{number}");
        outside.answers(mode);
        roll(&cluster, &name, &rollout(&name)).await;
        let said = |rollout: &Rollout| {
            let Some(status) = &rollout.status else { return false };
            let failed = |metric: &str| {
                status.analysis.iter().any(|one| one.name == metric && one.verdict == Verdict::Error)
            };
            let down = status.gates.iter().any(|gate| gate.answer == GateAnswer::Down);
            ["queue", "lag", "sum"].into_iter().all(failed) && down
        };
        cluster.until(&name, &format!("{mode:?} told of all"), said).await;
    }
    outside.answers(Mode::Well);
    for number in 0..modes.len() {
        cluster.until(&format!("bad-{number}"), "promoted", is(Phase::Healthy)).await;
    }
    outside.answers(Mode::Over);
    roll(&cluster, "over", &rollout("over")).await;
    cluster.until("over", "rolled back", is(Phase::Failed)).await;

    let shown = outside.shown.lock().unwrap().clone();
    for whom in ["prom", "web", "gate", "hook", "slack", "pager"] {
        assert!(shown.contains(whom), "{whom} was not shown its secret: {shown:?}");
    }
    let asked = outside.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|asked| asked.starts_with("service ")), "{asked:?}");
    assert!(cluster.logged().contains("a notice was not taken"), "{}", cluster.logged());
    nothing_is_told(&cluster).await;
    assert_eq!(through_it.load(Ordering::SeqCst), 0, "the environment's proxy was shown what is asked");
}

/// Somebody between the controller and the API server answers with a page of his own, as proxies do: refusals, failures, and
/// what looks like a success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_the_api_servers_place_is_told_to_nobody() {
    let outside = Outside::start().await;
    let (proxy, through_it) = counting().await;
    let cluster = cluster(&outside, &format!("http://{proxy}")).await;
    let page = |code: u16| Rule::new(Spoil::Page(code)).times(1);
    for rule in [
        page(502).verb("update").resource("rollouts").name("paged"),
        page(200).verb("update").resource("rollouts").name("paged"),
        page(403).verb("patch").resource("rollouts").name("paged"),
        page(200).verb("get").resource("rollouts").name("paged"),
        page(502).verb("get").resource("rollouts").name("paged"),
        page(502).verb("patch").resource("gatewayroutes").name("paged"),
        page(200).verb("patch").resource("gatewayroutes").name("paged"),
        page(403).verb("patch").resource("gatewayroutes").name("refused"),
        page(403).verb("patch").resource("deployments").subresource("scale"),
        page(500).verb("create").resource("events"),
        page(200).verb("create").resource("events"),
    ] {
        cluster.proxy.spoil(rule);
    }
    roll(&cluster, "paged", &rollout("paged")).await;
    cluster.until("paged", "promoted", is(Phase::Healthy)).await;

    roll(&cluster, "refused", &rollout("refused")).await;
    let refused = |rollout: &Rollout| text(rollout).contains("the answer is HTTP 403");
    cluster.until("refused", "told of the route", refused).await;
    let scaled =
        rollout("scaled").replace("canary: {", "canary: {scale: {replicas: 7}, ").replace("v2", "v3");
    roll(&cluster, "scaled", &scaled).await;
    let refused = |log: &String| log.contains("cannot scale Deployment v3");
    eventually("told of the workload", || async { cluster.logged() }, refused).await;

    for code in [200, 502, 403] {
        for resource in ["rollouts", "gatewayroutes", "deployments"] {
            for verb in ["watch", "list"] {
                cluster.proxy.spoil(page(code).verb(verb).resource(resource));
            }
        }
    }
    cluster.proxy.disconnect();
    let broke =
        |log: &String| log.contains("the watch of the Rollouts broke") && log.contains("the watch broke");
    eventually("watches break", || async { cluster.logged() }, broke).await;
    cluster.proxy.relent();
    for name in ["refused", "scaled"] {
        cluster.abort_of(name, "enough").await;
        cluster.until(name, "over", is(Phase::Failed)).await;
    }
    nothing_is_told(&cluster).await;
    assert_eq!(through_it.load(Ordering::SeqCst), 0, "the environment's proxy was shown what is asked");
}
