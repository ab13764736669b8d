use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    fake::{Fake, Reply, serve},
    *,
};
use crate::{
    api::Preset,
    config::{EnvoyConfig, EnvoySource},
    engine::look::Counters,
};

fn reading(fakes: &[&Fake]) -> Providers {
    providers(ProviderConfig::Envoy(EnvoyConfig {
        source: EnvoySource::Urls(
            fakes.iter().map(|fake| fake.url.join("/stats/prometheus").unwrap()).collect(),
        ),
        scrape_interval: Duration::from_secs(1),
        http: http(Duration::from_secs(2)),
    }))
}

fn request() -> LookRequest {
    let mut request = look_at_arms();
    if let Some(arms) = &mut request.arms {
        arms.series = Series {
            preset: Some(Preset::TidegateGateway),
            params: BTreeMap::from([
                ("mesh".to_owned(), "m".to_owned()),
                ("port".to_owned(), "80".to_owned()),
            ]),
            ..Series::default()
        };
        arms.latency = vec![0.5];
    }
    request
}

/// What Envoy writes: a canary whose answers are all 503 without an endpoint, so `rq_total` is 0.
const STATS: &str = r#"# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="cds_egress_m_v2_shop_http_80"} 0
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="cds_egress_m_v1_shop_http_80"} 100
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="cds_egress_m_v2_shop_http_80"} 7
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="cds_egress_m_other_shop_http_80"} 9
# TYPE envoy_cluster_upstream_rq_time histogram
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="cds_egress_m_v1_shop_http_80",le="250"} 90
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="cds_egress_m_v1_shop_http_80",le="+Inf"} 100
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="cds_egress_m_v1_shop_http_80"} 5000
"#;

#[tokio::test]
async fn counters_of_all_gateways() {
    let (one, two) = (serve(|_| Reply::ok(STATS)).await, serve(|_| Reply::ok(STATS)).await);
    let arms = reading(&[&one, &two]).look(&request(), now()).await.arms.unwrap().unwrap();
    assert_eq!(arms.at, now());
    assert!(arms.past.is_empty() && arms.canary.buckets.is_empty() && arms.stable.errors.is_empty());
    assert_eq!(arms.stable.total.len(), 2, "one series a gateway: {arms:?}");
    let sum = |snapshot: &BTreeMap<String, f64>| snapshot.values().sum::<f64>();
    assert!((sum(&arms.stable.total) - 200.0).abs() < 1e-9);
    assert!((sum(&arms.canary.total) - 14.0).abs() < 1e-9);
    assert_eq!(arms.canary.errors, arms.canary.total, "a canary without endpoints fails every request");
    let bounds: Vec<f64> = arms.stable.buckets.iter().map(|(bound, _)| *bound).collect();
    assert_eq!(bounds, [0.25, f64::INFINITY], "milliseconds became seconds");
}

/// As Envoy 1.40 counts 10 requests whose first try fails and is tried again: the first five by a 503, the others without an
/// answer.
const RETRIES: &str = r#"
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="cds_egress_m_v2_shop_http_80"} 10
envoy_cluster_retry_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="cds_egress_m_v2_shop_http_80"} 5
envoy_cluster_upstream_rq_retry{envoy_cluster_name="cds_egress_m_v2_shop_http_80"} 10
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="cds_egress_m_v1_shop_http_80"} 3
envoy_cluster_upstream_rq_retry{envoy_cluster_name="cds_egress_m_v1_shop_http_80"} 4
"#;

#[tokio::test]
async fn retries_hide_no_errors() {
    let fake = serve(|_| Reply::ok(RETRIES)).await;
    let sum =
        |snapshot: &BTreeMap<String, f64>| snapshot.values().fold(0.0, |sum, one| sum + one).to_string();
    let counted = async |retries: Option<&str>| {
        let mut request = request();
        let series = &mut request.arms.as_mut().unwrap().series;
        series.params.extend(retries.map(|retries| ("retries".to_owned(), retries.to_owned())));
        let arms = reading(&[&fake]).look(&request, now()).await.arms.unwrap().unwrap();
        let of = |counters: &Counters| (sum(&counters.errors), sum(&counters.total));
        (of(&arms.canary), of(&arms.stable))
    };
    let told = |canary: (&str, &str), stable: (&str, &str)| {
        let both = |(errors, total): (&str, &str)| (errors.to_owned(), total.to_owned());
        (both(canary), both(stable))
    };
    assert_eq!(counted(None).await, told(("10", "20"), ("7", "7")));
    assert_eq!(counted(Some("ignored")).await, told(("0", "10"), ("3", "3")));
}

#[tokio::test]
async fn a_missing_gateway_is_no_evidence() {
    let good = serve(|_| Reply::ok(STATS)).await;
    let cases = [
        (Reply::Body(503, SECRET.to_owned()), "HTTP 503"),
        (Reply::ok(format!("{STATS}<html>{SECRET}\n")), "not what such a provider"),
        (
            Reply::ok(
                "envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"5\",envoy_cluster_name=\"cds_egress_m_v2_shop_http_80\"} NaN\n",
            ),
            "query total returned no finite",
        ),
        (Reply::ok(STATS.replace("} 100", "} -1")), "not what such a provider"),
        (Reply::ok(format!("{STATS}{STATS}")), "not what such a provider"),
        (Reply::ok(STATS.replace("le=\"250\"", "le=\"NaN\"")), "not what such a provider"),
        (Reply::ok(STATS.replace("le=\"250\"", "le=\"+Inf\"")), "not what such a provider"),
        (Reply::Flood, "larger than 1 MiB"),
        (Reply::Redirect, "redirect"),
        (Reply::Hang, "no answer within 2s"),
    ];
    for (reply, want) in cases {
        let bad = serve(move |_| reply.clone()).await;
        let look = reading(&[&good, &bad]).look(&request(), now()).await;
        let error = told(&look.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
    let empty = serve(|_| Reply::ok("up 1\n")).await;
    let look = reading(&[&empty]).look(&request(), now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::Empty { query: "total".to_owned() })));
}

#[tokio::test]
async fn rollouts_share_a_scrape_within_its_interval() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let fake = serve(move |_| {
        let born_late = if count.fetch_add(1, Ordering::SeqCst) == 0 { "" } else { STATS };
        Reply::ok(format!(
            "envoy_cluster_upstream_rq_xx{{envoy_response_code_class=\"4\",envoy_cluster_name=\"cds_egress_m_v1_shop_http_80\"}} 1\n{born_late}"
        ))
    })
    .await;
    let providers = reading(&[&fake]);
    let request = request();
    let (a, b) = futures::join!(providers.look(&request, now()), providers.look(&request, now()));
    assert_eq!(a, b);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let later = now() + Duration::from_secs(1);
    let arms = providers.look(&request, later).await.arms.unwrap().unwrap();
    assert_eq!((arms.at, arms.stable.total.len()), (later, 2), "a series born late");
}

#[tokio::test]
async fn what_envoys_cannot_serve_is_said() {
    let fake = serve(|_| Reply::ok(STATS)).await;
    let providers = reading(&[&fake]);
    assert_eq!(providers.settle(None), Some(Duration::from_secs(2)));
    let look = providers.look(&look_at_number("q"), now()).await;
    assert!(
        told(look.numbers["queue"].as_ref().unwrap_err())
            .contains("needs a provider of another kind than envoy")
    );
    let look = providers.look(&look_at_arms(), now()).await;
    assert!(told(&look.arms.unwrap().unwrap_err()).contains("name a preset"));
}

/// A control plane that lists these Envoys.
async fn listing(envoys: Arc<std::sync::Mutex<Vec<std::net::SocketAddr>>>) -> Fake {
    serve(move |_| {
        let listed = envoys.lock().unwrap().clone();
        if listed.is_empty() {
            return Reply::Body(503, String::new());
        }
        let entry = |stats: &std::net::SocketAddr| serde_json::json!({"gateway": "shop/gw", "stats": stats});
        let mut all: Vec<_> = listed.iter().map(entry).collect();
        all.push(serde_json::json!({"gateway": "other/gw", "stats": "127.0.0.1:1"}));
        Reply::ok(serde_json::Value::from(all).to_string())
    })
    .await
}

fn address(fake: &Fake) -> std::net::SocketAddr {
    fake.url.socket_addrs(|| None).unwrap()[0]
}

/// What an Envoy that is gone has counted.
const GONE: usize = usize::MAX;

/// An Envoy that has run for so long and counted so much for stable.
async fn envoy(uptime: u32, counted: Arc<AtomicUsize>) -> Fake {
    serve(move |_| {
        let count = counted.load(Ordering::SeqCst);
        if count == GONE {
            return Reply::Body(503, String::new());
        }
        Reply::ok(format!(
            "envoy_server_uptime{{}} {uptime}\nenvoy_cluster_upstream_rq_xx{{envoy_response_code_class=\"2\",\
             envoy_cluster_name=\"cds_egress_m_v1_shop_http_80\"}} {count}\n"
        ))
    })
    .await
}

fn found_by(registry: &Fake) -> Providers {
    of(registry, Some("shop/gw"), &[])
}

/// Those of this gateway, or of all, and of these nodes.
fn of(registry: &Fake, gateway: Option<&str>, nodes: &[&str]) -> Providers {
    providers(ProviderConfig::Envoy(EnvoyConfig {
        source: EnvoySource::Registry {
            url: registry.url.join("/envoys").unwrap(),
            gateway: gateway.map(str::to_owned),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        },
        scrape_interval: Duration::from_secs(1),
        http: http(Duration::from_secs(2)),
    }))
}

async fn total(providers: &Providers, second: i64) -> Result<(usize, f64), ReadError> {
    let at = now() + jiff::SignedDuration::from_secs(second);
    let arms = providers.look(&request(), at).await.arms.unwrap()?;
    Ok((arms.stable.total.len(), arms.stable.total.values().sum()))
}

#[tokio::test]
async fn envoys_come_and_go_and_the_sum_is_of_those_that_are_there() {
    let (first, second) = (Arc::new(AtomicUsize::new(1000)), Arc::new(AtomicUsize::new(5000)));
    let (one, two) = (envoy(100, Arc::clone(&first)).await, envoy(5000, Arc::clone(&second)).await);
    let listed = Arc::new(std::sync::Mutex::new(vec![address(&one)]));
    let registry = listing(Arc::clone(&listed)).await;
    let providers = found_by(&registry);
    assert_eq!(total(&providers, 0).await, Ok((1, 1000.0)));
    // One that has run for long and is heard of only now has counted what nobody looked at.
    listed.lock().unwrap().push(address(&two));
    assert_eq!(total(&providers, 10).await, Ok((2, 1000.0)));
    second.store(5010, Ordering::SeqCst);
    assert_eq!(total(&providers, 20).await, Ok((2, 1010.0)));
    // One that was just started counts whole: its first failure may be among the first requests.
    let third = Arc::new(AtomicUsize::new(7));
    let new = envoy(3, Arc::clone(&third)).await;
    listed.lock().unwrap().push(address(&new));
    assert_eq!(total(&providers, 30).await, Ok((3, 1017.0)));
    // The control plane is gone; its Envoys are not.
    let before = std::mem::take(&mut *listed.lock().unwrap());
    assert_eq!(total(&providers, 40).await, Ok((3, 1017.0)));
    // But not for ever.
    assert_eq!(total(&providers, 95).await, Err(ReadError::Status(503)));
    // One that is listed and silent is no evidence; one that is no longer listed is gone.
    *listed.lock().unwrap() = before;
    let gone = address(&new);
    third.store(GONE, Ordering::SeqCst);
    assert_eq!(total(&providers, 100).await, Err(ReadError::Status(503)));
    listed.lock().unwrap().retain(|address| *address != gone);
    assert_eq!(total(&providers, 110).await, Ok((2, 1010.0)));
}

#[tokio::test]
async fn those_beside_pods_are_read_where_their_node_is_named() {
    let counted = |count: usize| Arc::new(AtomicUsize::new(count));
    let (gateway, front, cart) =
        (envoy(10, counted(100)).await, envoy(10, counted(7)).await, envoy(10, counted(1)).await);
    let list = serde_json::json!([
        {"gateway": "shop/gw", "stats": address(&gateway)},
        {"virtualNode": "shop/front", "stats": address(&front)},
        {"virtualNode": "shop/cart", "stats": address(&cart)},
        // Of this one nobody asks.
        {"virtualNode": "shop/gw"},
    ]);
    let registry = serve(move |_| Reply::ok(list.to_string())).await;
    for (gateway, nodes, envoys, count) in [
        (None, &[][..], 1, 100.0),
        (None, &["shop/front"], 2, 107.0),
        (Some("shop/gw"), &["shop/front", "shop/cart"], 3, 108.0),
        (Some("shop/other"), &["shop/front"], 1, 7.0),
    ] {
        assert_eq!(total(&of(&registry, gateway, nodes), 0).await, Ok((envoys, count)), "{nodes:?}");
    }
}

#[tokio::test]
async fn a_control_plane_that_lists_nobody_is_no_evidence() {
    let registry = listing(Arc::default()).await;
    assert!(total(&found_by(&registry), 0).await.is_err());
    let nobody = serve(|_| Reply::ok("[]")).await;
    let told = total(&found_by(&nobody), 0).await.unwrap_err().to_string();
    assert!(told.contains("envoys"), "{told}");
}

#[tokio::test]
async fn an_envoy_that_nobody_can_read_is_no_evidence() {
    let registry = serve(|_| Reply::ok(r#"[{"gateway": "shop/gw"}]"#)).await;
    let told = total(&found_by(&registry), 0).await.unwrap_err().to_string();
    assert!(told.contains("an Envoy of shop/gw opens no port for its statistics"), "{told}");
}
