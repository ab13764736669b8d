//! Copies of requests: what a mirror gets and what the client sees, from Envoy and from the sandbox's gateway.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
};
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidegate::{
    clock::Clock,
    dataplane::{GatewayRef, ObjectKind, compile},
    sandbox::gateway::{Endpoints, Gateway, GatewayConfig},
};

use crate::{
    gateway::{Bed, client, object},
    waiting::eventually,
};

/// How long the mirror takes to answer.
const LONG: Duration = Duration::from_secs(10);

/// What a mirror got, one line for each request.
type Got = Arc<Mutex<Vec<String>>>;

/// The one that answers: with `stable`.
async fn stable() -> SocketAddr {
    listen(Router::new().fallback(|| async { "stable" })).await
}

/// The one that gets copies: it notes them, takes its time, and fails.
async fn mirror() -> (SocketAddr, Got) {
    let got = Got::default();
    let take = |State(got): State<Got>, request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let host = header("host").unwrap_or_default();
        let told = format!(
            "{} {} for {host} x-a {:?}: {}",
            parts.method,
            parts.uri,
            header("x-a"),
            String::from_utf8_lossy(&body)
        );
        got.lock().unwrap().push(told);
        tokio::time::sleep(LONG).await;
        (StatusCode::INTERNAL_SERVER_ERROR, "mirror")
    };
    (listen(Router::new().fallback(take).with_state(Arc::clone(&got))).await, got)
}

async fn listen(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// All goes to v1, and so many copies to v2.
fn route(rewrite: Value, percent: u32, to: &str) -> Value {
    let reference = |name: &str| json!({"virtualServiceRef": {"name": name}});
    let mut copies = reference(to);
    copies["percent"] = json!(percent);
    let mut action = json!({"target": {"virtualService": reference("v1")}});
    if !rewrite.is_null() {
        action["rewrite"] = rewrite;
    }
    object(
        "color",
        json!({"httpRoute": {"match": {"prefix": "/app/"}, "action": action, "requestMirrorPolicies": [copies]}}),
    )
}

struct Both {
    bed: Bed,
    sandbox: Gateway,
    mirror: SocketAddr,
    got: Got,
}

impl Both {
    async fn start() -> Option<Self> {
        let (one, (two, got)) = (stable().await, mirror().await);
        let mut bed = Bed::start_with([("v1", one), ("v2", two)].into(), vec![]).await?;
        bed.beside = router();
        let endpoints = Endpoints::default();
        endpoints.set("v1.shop", None, vec![one]).unwrap();
        endpoints.set("v2.shop", None, vec![two]).unwrap();
        let sandbox = Gateway::start(GatewayConfig::default(), endpoints, Clock::start()).await.unwrap();
        Some(Self { bed, sandbox, mirror: two, got })
    }

    async fn route(&mut self, route: Value) {
        let mut objects = self.bed.behind();
        objects.push((ObjectKind::GatewayRoute, route.clone()));
        let reference = GatewayRef { name: "gw".into(), namespace: "shop".into(), takes_unclaimed: true };
        let compiled = compile(&reference, objects.iter().map(|(kind, object)| (*kind, object)));
        self.sandbox.table().publish(compiled.table);
        self.bed.route(vec![route]);
        self.bed.settled().await;
    }

    /// What the mirror got of a request that was sent so, as many times as it is to get it at least, until it has got another
    /// one that was sent to itself after them.
    async fn copies(&self, to: SocketAddr, times: usize, copies: usize) -> Vec<String> {
        self.got.lock().unwrap().clear();
        let http = client();
        for _ in 0..times {
            let request = http.post(format!("http://{to}/app/x?q=1")).header("x-a", "b").body("told");
            let answer = request.send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "stable"));
        }
        let look = || async { self.got.lock().unwrap().clone() };
        eventually("the mirror has its copies", look, |got| got.len() >= copies).await;
        tokio::spawn(http.get(format!("http://{}/last", self.mirror)).send());
        let is_last = |told: &String| told.contains("/last");
        let all = eventually("the mirror has the last", look, |got| got.iter().any(is_last)).await;
        let copies = all.into_iter().filter(|told| !is_last(told));
        copies.map(|told| told.replace(&to.to_string(), "GATEWAY")).collect()
    }
}

/// A virtual service `routed`, behind whose router v2 stands.
fn router() -> Vec<(ObjectKind, Value)> {
    let targets = json!([{"virtualNodeRef": {"name": "v2"}, "weight": 1}]);
    let block = json!({"match": {"prefix": "/"}, "action": {"weightedTargets": targets}});
    let spec = json!({"routes": [{"name": "all", "httpRoute": block}]});
    let provider = json!({"provider": {"virtualRouter": {"virtualRouterRef": {"name": "router"}}}});
    vec![
        (ObjectKind::VirtualRouter, object("router", spec)),
        (ObjectKind::VirtualService, object("routed", provider)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_gets_what_it_would_get_itself_and_nobody_waits_for_it() {
    let Some(mut both) = Both::start().await else { return };
    let kept = json!({"hostname": {"defaultTargetHostname": "DISABLED"}});
    for rewrite in [Value::Null, kept] {
        both.route(route(rewrite.clone(), 100, "v2")).await;
        let clock = Clock::start();
        let ours = both.copies(both.sandbox.address(), 3, 3).await;
        let envoys = both.copies(both.bed.ingress, 3, 3).await;
        assert_eq!(ours, envoys);
        let host = if rewrite.is_null() { "v2.shop" } else { "GATEWAY" };
        assert_eq!(envoys, vec![format!("POST /x?q=1 for {host} x-a Some(\"b\"): told"); 3]);
        assert!(clock.elapsed() < LONG, "the client waited for the mirror");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_are_copied_as_the_share_says() {
    let Some(mut both) = Both::start().await else { return };
    both.route(route(Value::Null, 30, "v2")).await;
    for to in [both.sandbox.address(), both.bed.ingress] {
        // 300 of 1,000, five standard deviations more or less.
        let got = both.copies(to, 1_000, 228).await.len();
        assert!((228..=372).contains(&got), "{to}: {got}");
    }
    both.route(route(Value::Null, 0, "v2")).await;
    for to in [both.sandbox.address(), both.bed.ingress] {
        assert!(both.copies(to, 50, 0).await.is_empty());
    }
}

/// Which of a router's routes a copy would take is not known where the target is not listed; a mirror must never cost the route.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_leads_nowhere_costs_no_request() {
    let Some(mut both) = Both::start().await else { return };
    both.route(route(Value::Null, 100, "routed")).await;
    for at in [both.sandbox.address(), both.bed.ingress] {
        assert!(both.copies(at, 20, 0).await.is_empty());
    }
}
