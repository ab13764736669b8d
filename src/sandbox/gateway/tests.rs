//! The gateway over real loopback sockets.

use std::{num::NonZeroU32, time::Duration};

use http::HeaderMap;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    dataplane::{GatewayRef, ObjectKind, compile},
    sandbox::{
        backends::{Backend, Faults, Latency},
        load::{Load, LoadConfig, Tally},
    },
};

struct World {
    gateway: Gateway,
    endpoints: Endpoints,
}

fn table(v1: u32, v2: u32, more: &Value) -> Table {
    let mut block = json!({"match": {"prefix": "/color"}, "action": {"targets": [
        {"virtualServiceRef": {"name": "color-app-v1.default"}, "weight": v1},
        {"virtualServiceRef": {"name": "color-app-v2.default"}, "weight": v2},
    ]}});
    for (key, value) in more.as_object().unwrap() {
        block[key] = value.clone();
    }
    let route = json!({"metadata": {"name": "r", "namespace": "default"}, "spec": {"routeSpec": {"httpRoute": block}}});
    let gateway = GatewayRef { name: "g".into(), namespace: "default".into(), takes_unclaimed: true };
    let compiled = compile(&gateway, [(ObjectKind::GatewayRoute, &route)]);
    assert!(compiled.rejected.is_empty(), "{:?}", compiled.rejected);
    compiled.table
}

async fn world() -> World {
    let endpoints = Endpoints::default();
    let gateway = Gateway::start(GatewayConfig::default(), endpoints.clone(), Clock::start()).await.unwrap();
    World { gateway, endpoints }
}

impl World {
    async fn backend(&self, version: &str) -> Backend {
        let backend = Backend::start(version, "blue", 7).await.unwrap();
        self.endpoints.set(&format!("color-app-{version}.default"), None, vec![backend.address()]).unwrap();
        backend
    }

    async fn send(&self, count: u32) -> Tally {
        let url = format!("http://{}/color", self.gateway.address()).parse().unwrap();
        let rate = NonZeroU32::new(count * 2).unwrap();
        let (timeout, headers) = (Duration::from_secs(5), HeaderMap::new());
        let load = LoadConfig { url, rate, in_flight: 5000, timeout, headers };
        let load = Load::new(load, Clock::start()).unwrap();
        load.run(Some(Duration::from_millis(500)), &CancellationToken::new()).await
    }

    fn shows(&self, metric: &str, version: &str, label: &str, value: u64) {
        let label = if label.is_empty() { String::new() } else { format!(",{label}") };
        let name = format!("cds_egress_color-mesh_color-app-{version}_default_http_8080");
        let line = format!("envoy_cluster_{metric}{{envoy_cluster_name=\"{name}\"{label}}} {value}\n");
        let stats = self.gateway.stats();
        assert!(stats.contains(&line), "no {line}in\n{stats}");
    }
}

#[tokio::test]
async fn a_cluster_without_endpoint_answers_503_with_nothing_sent() {
    let world = world().await;
    world.gateway.table().publish(table(1, 0, &json!({})));
    assert_eq!(world.send(10).await.answers, [((String::new(), 503), 10)].into());
    world.shows("upstream_rq_xx", "v1", "envoy_response_code_class=\"5\"", 10);
    world.shows("upstream_rq_completed", "v1", "", 10);
    world.shows("upstream_rq_total", "v1", "", 0);
    world.shows("membership_healthy", "v1", "", 0);
    let backend = world.backend("v1").await;
    backend.set_faults(Faults { down: true, ..Faults::default() });
    while tokio::net::TcpStream::connect(backend.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    world.send(10).await;
    world.shows("upstream_rq_xx", "v1", "envoy_response_code_class=\"5\"", 20);
    world.shows("upstream_rq_total", "v1", "", 0);
    world.shows("membership_healthy", "v1", "", 1);
}

#[tokio::test]
async fn no_route_and_no_weight_appear_downstream_only() {
    let world = world().await;
    assert_eq!(world.send(4).await.answers, [((String::new(), 404), 4)].into());
    world.gateway.table().publish(table(0, 0, &json!({})));
    assert_eq!(world.send(4).await.answers, [((String::new(), 503), 4)].into());
    let stats = world.gateway.stats();
    assert!(!stats.contains("upstream_rq_xx"));
    assert!(stats.contains("envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix=\"ingress\",envoy_response_code_class=\"5\"} 4\n"));
}

#[tokio::test]
async fn weights_split_as_the_table_says_and_a_new_table_takes_effect_at_once() {
    let world = world().await;
    let (_v1, _v2) = (world.backend("v1").await, world.backend("v2").await);
    world.gateway.table().publish(table(90, 10, &json!({})));
    // Not all at once, which a busy machine would not bear.
    let (mut all, mut canary) = (0, 0);
    for _ in 0..4 {
        let tally = world.send(250).await;
        (all, canary) = (all + tally.total(), canary + tally.of("v2"));
    }
    assert_eq!(all, 1000);
    // Five standard deviations of a binomial of 1,000 at 0.1.
    assert!((53..=147).contains(&canary), "{canary}");
    world.shows("upstream_rq_total", "v2", "", canary);
    world.shows("upstream_rq_time_count", "v2", "", canary);
    world.gateway.table().publish(table(0, 1, &json!({})));
    assert_eq!(world.send(50).await.answers, [(("v2".into(), 200), 50)].into());
}

#[tokio::test]
async fn a_retry_hides_an_error_and_is_counted() {
    let world = world().await;
    let backend = world.backend("v1").await;
    backend.set_faults(Faults { error_share: 0.2, ..Faults::default() });
    world.gateway.table().publish(table(
        1,
        0,
        &json!({"retryPolicy": {"httpRetryEvents": ["server-error"], "maxRetries": 10}}),
    ));
    assert_eq!(world.send(50).await.answers, [(("v1".into(), 200), 50)].into());
    let stats = world.gateway.stats();
    assert!(stats.contains("envoy_cluster_retry_upstream_rq_xx{"));
    let retries = stats
        .lines()
        .find(|line| line.starts_with("envoy_cluster_upstream_rq_retry{") && line.contains("v1"));
    let retries: u64 = retries.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(retries > 0);
    world.shows("upstream_rq_total", "v1", "", 50 + retries);
}

#[tokio::test]
async fn a_slow_answer_times_out() {
    let world = world().await;
    let backend = world.backend("v1").await;
    backend.set_faults(Faults { latency: Latency::Fixed(Duration::from_mins(1)), ..Faults::default() });
    world.gateway.table().publish(table(
        1,
        0,
        &json!({"timeout": {"perRequest": {"unit": "ms", "value": 20}}}),
    ));
    assert_eq!(world.send(5).await.answers, [((String::new(), 504), 5)].into());
    world.shows("upstream_rq_timeout", "v1", "", 5);
    world.shows("upstream_rq_xx", "v1", "envoy_response_code_class=\"5\"", 5);
}

#[tokio::test]
async fn a_call_is_answered_in_grpcs_words_and_counted_by_those_of_http() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = world().await;
    world.gateway.table().publish(table(1, 0, &json!({})));
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let call = |path: &str| {
        let url = format!("http://{}{path}", world.gateway.address());
        client.post(url).header("content-type", "application/grpc").send()
    };
    for (path, code) in [("/other", "12"), ("/color", "14")] {
        let answer = call(path).await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["grpc-status"]),
            (StatusCode::OK, &code.parse().unwrap())
        );
    }
    world.shows("upstream_rq_xx", "v1", "envoy_response_code_class=\"5\"", 1);
    let stats = world.gateway.stats();
    assert!(stats.contains("envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix=\"ingress\",envoy_response_code_class=\"2\"} 2\n"));
}

#[test]
fn only_loopback_is_spoken_to() {
    let url = |url: &str| LoadConfig {
        url: url.parse().unwrap(),
        rate: NonZeroU32::MIN,
        in_flight: 1,
        timeout: Duration::from_secs(1),
        headers: HeaderMap::new(),
    };
    assert!(Load::new(url("http://192.0.2.1/"), Clock::start()).is_err());
    assert!(Load::new(url("http://localhost/"), Clock::start()).is_err());
    assert!(Endpoints::default().set("a.b", None, vec![([192, 0, 2, 1], 80).into()]).is_err());
}
