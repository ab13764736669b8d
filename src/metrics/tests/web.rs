use super::{
    fake::{Asked, Fake, Reply, serve},
    *,
};
use crate::{
    api::Preset,
    config::{Auth, WebConfig},
};

fn config(fake: &Fake, timeout: Duration) -> WebConfig {
    let header = |name: &'static str, value| {
        (reqwest::header::HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
    };
    let http = HttpConfig { headers: vec![header("x-scope", "shop")], ..http(timeout) };
    WebConfig { url: fake.url.join("/api/v1/").unwrap(), http }
}

fn reading(fake: &Fake) -> Providers {
    providers(ProviderConfig::Web(config(fake, Duration::from_secs(5))))
}

fn look_at(errors: Option<&str>, total: &str) -> LookRequest {
    let mut request = look_at_arms();
    if let Some(arms) = &mut request.arms {
        arms.series =
            Series { errors: errors.map(str::to_owned), total: Some(total.to_owned()), ..Series::default() };
    }
    request
}

/// A look at the counters of each arm's own address.
fn look_at_own() -> LookRequest {
    look_at(Some("arms/{{target}}?ns={{namespace}} | $.failed"), "arms/{{target}}?ns={{namespace}} | $.all")
}

fn one(value: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([(String::new(), value)])
}

#[tokio::test]
async fn each_arm_has_an_address_that_is_asked_once() {
    let fake = serve(|asked: Asked| {
        assert_eq!(asked.query, "ns=shop");
        assert_eq!(asked.headers["x-scope"], "shop");
        assert_eq!(asked.headers["accept"], "application/json");
        match asked.path.as_str() {
            "/api/v1/arms/v1" => Reply::ok(r#"{"all": 1000, "failed": 2}"#),
            "/api/v1/arms/v2" => Reply::ok(r#"{"all": 10.0, "failed": 0}"#),
            other => panic!("{other}"),
        }
    })
    .await;
    let arms = reading(&fake).look(&look_at_own(), now()).await.arms.unwrap().unwrap();
    assert_eq!(arms.at, now());
    assert_eq!((&arms.stable.total, &arms.stable.errors), (&one(1000.0), &one(2.0)));
    assert_eq!((&arms.canary.total, &arms.canary.errors), (&one(10.0), &one(0.0)));
    assert_eq!(fake.asked(), 2);
}

#[tokio::test]
async fn one_answer_may_hold_both_arms() {
    let fake = serve(|_| Reply::ok(r#"{"arms": [{"name": "v1", "n": 5}, {"name": "v2", "n": 1}]}"#)).await;
    let request = look_at(None, r#"arms | $.arms[?@.name == "{{target}}"].n"#);
    let arms = reading(&fake).look(&request, now()).await.arms.unwrap().unwrap();
    assert_eq!((arms.stable.total, arms.canary.total), (one(5.0), one(1.0)));
    assert!(arms.canary.errors.is_empty());
    assert_eq!(fake.asked(), 1);
}

#[tokio::test]
async fn a_number_is_found_and_names_are_escaped() {
    let fake = serve(|asked: Asked| {
        assert_eq!((asked.path.as_str(), asked.query.as_str()), ("/api/v1/queue", "of=v2%26all%3D1"));
        Reply::ok(r#"{"depth": -2.5}"#)
    })
    .await;
    let request =
        LookRequest { canary: "v2&all=1".to_owned(), ..look_at_number("queue?of={{canary}} | $.depth") };
    let sample = reading(&fake).look(&request, now()).await.numbers["queue"].clone().unwrap();
    assert_eq!(sample.at, now());
    assert!((sample.value + 2.5).abs() < 1e-9);
}

#[tokio::test]
async fn each_misbehaviour_has_its_own_error() {
    let body = |status, text: &str| Reply::Body(status, text.replace("SECRET", SECRET));
    let cases = [
        (body(404, "SECRET"), "HTTP 404"),
        (body(500, r#"{"n": 1, "SECRET": 1}"#), "HTTP 500"),
        (body(401, "SECRET"), "HTTP 401: it asks for credentials"),
        (body(403, "SECRET"), "HTTP 403"),
        (body(200, "SECRET"), "not what such a provider sends"),
        (body(200, ""), "not what such a provider sends"),
        (body(200, r#"{"n": 1} SECRET"#), "not what such a provider sends"),
        (body(200, r#"{"n": NaN}"#), "not what such a provider sends"),
        (body(200, r#"{"n": 1e999}"#), "not what such a provider sends"),
        (body(200, &format!("{}1{}", "[".repeat(5000), "]".repeat(5000))), "not what such a provider sends"),
        (body(200, r#"{"m": "SECRET"}"#), "queue returned nothing"),
        (body(200, r#"{"n": "SECRET"}"#), "queue selects something that is no number"),
        (body(200, r#"{"n": null}"#), "queue selects something that is no number"),
        (body(200, r#"{"n": ["SECRET"]}"#), "queue selects something that is no number"),
        (Reply::Flood, "larger than 1 MiB"),
        (Reply::Redirect, "redirect"),
    ];
    for (reply, want) in cases {
        let fake = serve(move |_| reply.clone()).await;
        let look = reading(&fake).look(&look_at_number("x | $.n"), now()).await;
        let error = told(look.numbers["queue"].as_ref().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
        assert_eq!(fake.asked(), 1, "{want}: neither followed nor retried");
    }
}

#[tokio::test]
async fn arms_that_are_no_evidence() {
    let cases = [
        (r#"{"all": 1}"#, "errors returned nothing"),
        (r#"{"failed": 1}"#, "total returned nothing"),
        (r#"{"all": -1, "failed": 0}"#, "total selects a negative number"),
        ("[]", "returned nothing"),
    ];
    for (body, want) in cases {
        let fake = serve(move |_| Reply::ok(body)).await;
        let look = reading(&fake).look(&look_at_own(), now()).await;
        let error = told(&look.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_asked() {
    let fake = serve(|_| Reply::ok("1")).await;
    let mut preset = look_at_own();
    preset.arms.as_mut().unwrap().series.preset = Some(Preset::Alb);
    let mut latency = look_at_own();
    latency.arms.as_mut().unwrap().latency = vec![0.3];
    let up = LookRequest { canary: "..".to_owned(), ..look_at_own() };
    let cases = [
        (preset, "a preset needs a provider of another kind than web"),
        (latency, "no latency buckets"),
        (up, "has . or .. as a part of its path"),
        (look_at(None, "stats | $.n"), "total has no {{target}}"),
        (look_at(None, "{{target}}"), "must be a path and a JSONPath"),
        (look_at(None, "http://evil.example/{{target}} | $.n"), "names a host"),
    ];
    for (request, want) in cases {
        let error = told(&reading(&fake).look(&request, now()).await.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
    assert_eq!(fake.asked(), 0);
}

#[tokio::test]
async fn a_hanging_provider_costs_its_deadline_and_a_dead_one_nothing() {
    let fake = serve(|_| Reply::Hang).await;
    let hanging = providers(ProviderConfig::Web(config(&fake, Duration::from_millis(200))));
    let look = hanging.look(&look_at_own(), now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::Timeout("200ms".to_owned()))));

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gone = config(&fake, Duration::from_secs(5));
    gone.url.set_port(Some(free.local_addr().unwrap().port())).unwrap();
    drop(free);
    let look = providers(ProviderConfig::Web(gone)).look(&look_at_own(), now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::Unreachable)));
}

#[tokio::test]
async fn credentials_are_presented_and_what_is_configured_is_known() {
    let fake = serve(|asked: Asked| match asked.headers.get("authorization") {
        Some(token) if token == "Bearer secret" => Reply::ok(r#"{"n": 1}"#),
        Some(_) | None => Reply::Body(401, SECRET.to_owned()),
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret\n").unwrap();
    let mut config = config(&fake, Duration::from_secs(5));
    config.http.auth = Some(Auth::Bearer { token_file: file.path().to_owned() });
    let providers = providers(ProviderConfig::Web(config));
    let look = providers.look(&look_at_number("x | $.n"), now()).await;
    assert!(look.numbers["queue"].is_ok(), "{look:?}");
    assert_eq!(providers.settle(None), Some(Duration::from_secs(30)));
}
