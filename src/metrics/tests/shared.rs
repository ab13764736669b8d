//! One Prometheus for many Rollouts, and for several tenants.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::join_all;
use jiff::ToSpan;
use tokio::sync::Semaphore;

use super::{
    fake::{Fake, Reply, serve},
    *,
};
use crate::config::{PrometheusConfig, Tenant};

fn config(fake: &Fake) -> PrometheusConfig {
    prometheus_at(fake.url.clone(), Duration::from_secs(5))
}

fn number(namespace: &str, query: &str) -> LookRequest {
    LookRequest { namespace: namespace.to_owned(), ..look_at_number(query) }
}

async fn answers(providers: &Providers, requests: &[(LookRequest, Timestamp)]) -> Vec<bool> {
    let looks = requests.iter().map(|(request, now)| providers.look(request, *now));
    join_all(looks).await.iter().map(|look| look.numbers["queue"].is_ok()).collect()
}

#[tokio::test]
async fn the_same_question_is_asked_once() {
    let fake = serve(|_| Reply::ok(ONE)).await;
    let providers = providers(ProviderConfig::Prometheus(config(&fake)));
    // 50 Rollouts of five namespaces within one second; one of them comes after the others were answered.
    let at = |millis: i64| now().checked_add(millis.milliseconds()).unwrap();
    let requests: Vec<_> = (0..50).map(|i| (number(&format!("ns-{}", i % 5), "up"), at(i * 10))).collect();
    assert!(answers(&providers, &requests).await.iter().all(|ok| *ok));
    assert!(answers(&providers, &[(number("late", "up"), at(900))]).await[0]);
    assert_eq!(fake.asked(), 1);
    // Another query, and another second, are other questions.
    assert!(answers(&providers, &[(number("ns", "down"), at(0)), (number("ns", "up"), at(1000))]).await[1]);
    assert_eq!(fake.asked(), 3);
}

/// What a thousand Rollouts of one gateway cost their Prometheus in one second, by what each asks.
#[tokio::test]
async fn a_thousand_rollouts_ask_for_both_arms_and_what_they_share_once() {
    let params = [("mesh", "m"), ("gateway", "g"), ("port", "80")];
    let preset = Series {
        preset: Some(crate::api::Preset::AppmeshEnvoy),
        params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Series::default()
    };
    for (latency, want) in [(vec![], 2_001), (vec![0.3, 1.0], 4_001)] {
        let fake = serve(|asked| {
            let query = asked.field("query");
            let le = if query.contains("_bucket") { r#""le":"300""# } else { "" };
            Reply::ok(ONE.replace(r#""metric":{}"#, &format!(r#""metric":{{{le}}}"#)))
        })
        .await;
        let config = PrometheusConfig { http: http(Duration::from_mins(1)), ..config(&fake) };
        let providers = providers(ProviderConfig::Prometheus(config));
        let requests: Vec<_> = (0..1_000)
            .map(|i| {
                let mut request = number(&format!("ns-{}", i % 20), "max(saturation)");
                (request.canary, request.stable) = (format!("app-{i}-v2"), format!("app-{i}-v1"));
                let (latency, series) = (latency.clone(), preset.clone());
                request.arms = Some(ArmsRequest { provider: None, series, latency, past: None });
                request
            })
            .collect();
        let looks = join_all(requests.iter().map(|request| providers.look(request, now()))).await;
        assert!(looks.iter().all(|look| matches!(look.arms, Some(Ok(_))) && look.numbers["queue"].is_ok()));
        assert_eq!(fake.asked(), want);
    }
}

#[tokio::test]
async fn who_gives_up_takes_no_answer_from_others_and_a_failure_is_asked_again() {
    let go = Arc::new(Semaphore::new(0));
    let bad = Reply::Body(400, r#"{"status":"error","errorType":"bad_data"}"#.to_owned());
    let answer = Arc::new(Mutex::new(bad));
    let (gate, reply) = (Arc::clone(&go), Arc::clone(&answer));
    let fake = serve(move |_| Reply::After(Arc::clone(&gate), Box::new(reply.lock().unwrap().clone()))).await;
    let providers = providers(ProviderConfig::Prometheus(config(&fake)));
    let (first, second) = (number("a", "q"), number("b", "q"));
    let mut given_up = Box::pin(providers.look(&first, now()));
    let mut other = Box::pin(providers.look(&second, now()));
    assert!(futures::poll!(&mut given_up).is_pending() && futures::poll!(&mut other).is_pending());
    drop(given_up);
    go.add_permits(1);
    let failed = other.await.numbers["queue"].clone();
    assert_eq!(failed, Err(ReadError::BadQuery { query: "queue".to_owned() }));

    *answer.lock().unwrap() = Reply::ok(ONE);
    go.add_permits(1);
    assert!(providers.look(&second, now()).await.numbers["queue"].is_ok(), "no failure is kept");
    assert_eq!(fake.asked(), 2);
}

#[tokio::test]
async fn so_many_at_once_and_no_more() {
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now_there, greatest) = (Arc::clone(&at_once), Arc::clone(&most));
    let fake = serve(move |_| {
        greatest.fetch_max(now_there.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let leaving = Arc::clone(&now_there);
        Reply::Slowly(
            Duration::from_millis(5),
            ONE.to_owned(),
            Arc::new(move || {
                leaving.fetch_sub(1, Ordering::SeqCst);
            }),
        )
    })
    .await;
    let config = PrometheusConfig { max_concurrent: 3, ..config(&fake) };
    let providers = providers(ProviderConfig::Prometheus(config));
    let requests: Vec<_> = (0..40).map(|i| (number("ns", &format!("q{i}")), now())).collect();
    assert!(answers(&providers, &requests).await.iter().all(|ok| *ok));
    assert_eq!((fake.asked(), most.load(Ordering::SeqCst)), (40, 3));
}

#[tokio::test]
async fn each_tenant_asks_for_itself() {
    let fake = serve(|asked| {
        let header = |name: &str| asked.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("x-team").as_deref(), Some("ops"));
        let known = ["team-shop", "team-web"];
        let tenant = header("x-scope-orgid").unwrap_or_default();
        if known.contains(&tenant.as_str()) { Reply::ok(ONE) } else { Reply::Body(401, SECRET.to_owned()) }
    })
    .await;
    let team = ("x-team".parse().unwrap(), "ops".parse().unwrap());
    let tenant =
        Tenant { header: "X-Scope-OrgID".parse().unwrap(), template: "team-{{namespace}}".to_owned() };
    let config = PrometheusConfig {
        tenant: Some(tenant),
        http: HttpConfig { headers: vec![team], ..http(Duration::from_secs(5)) },
        ..config(&fake)
    };
    let providers = providers(ProviderConfig::Prometheus(config));
    let requests: Vec<_> = ["shop", "web", "shop", "other"].map(|ns| (number(ns, "up"), now())).into();
    assert_eq!(answers(&providers, &requests).await, [true, true, true, false]);
    assert_eq!(fake.asked(), 3, "the two of one tenant share an answer, those of two never do");
}

#[tokio::test]
async fn late_samples_are_waited_for() {
    let fake = serve(|asked| {
        assert_eq!(asked.field("time"), "1790855910.000");
        Reply::ok(ONE)
    })
    .await;
    let config = PrometheusConfig { lag: Duration::from_secs(90), ..config(&fake) };
    let providers = providers(ProviderConfig::Prometheus(config));
    assert!(answers(&providers, &[(number("ns", "up"), now())]).await[0]);
    assert_eq!(
        providers.settle(None),
        Some(Duration::from_secs(30)),
        "samples bear the time of their scrape"
    );
}
