use std::io::Write;

use super::{
    fake::{Asked, Fake, Reply, serve},
    *,
};
use crate::config::{Auth, PrometheusConfig};

fn config(fake: &Fake, timeout: Duration) -> PrometheusConfig {
    prometheus_at(fake.url.clone(), timeout)
}

fn reading(fake: &Fake) -> Providers {
    providers(ProviderConfig::Prometheus(config(fake, Duration::from_secs(5))))
}

fn vector(series: &[(&str, &str)]) -> Reply {
    let series: Vec<String> = series
        .iter()
        .map(|(labels, value)| format!(r#"{{"metric":{{{labels}}},"value":[1.5,"{value}"]}}"#))
        .collect();
    Reply::ok(format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
        series.join(",")
    ))
}

/// The fake's answers of a healthy day: no errors yet for the canary, two pods for stable.
fn healthy(asked: &Asked) -> Reply {
    assert_eq!(asked.path, "/api/v1/query");
    assert_eq!(asked.field("time"), "1790855985.000", "one scrape interval before now");
    match asked.field("query").as_str() {
        r#"errors{arm="v1"}"# => vector(&[(r#""__name__":"errors","pod":"a""#, "3")]),
        r#"total{arm="v1"}"# => vector(&[(r#""pod":"b","az":"1""#, "50"), (r#""az":"1","pod":"a""#, "100")]),
        r#"total{arm="v2"}"# => vector(&[(r#""pod":"c""#, "10")]),
        r#"latency{arm="v2"}"# => {
            vector(&[(r#""pod":"c","le":"+Inf""#, "10"), (r#""pod":"c","le":"0.3""#, "9")])
        }
        _ => vector(&[]),
    }
}

fn snapshot(series: &[(&str, f64)]) -> BTreeMap<String, f64> {
    series.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
}

#[tokio::test]
async fn both_arms_at_one_time() {
    let fake = serve(|asked| healthy(&asked)).await;
    let mut request = look_at_arms();
    if let Some(arms) = &mut request.arms {
        arms.latency = vec![0.3];
    }
    let arms = reading(&fake).look(&request, now()).await.arms.unwrap().unwrap();
    assert_eq!(arms.at.to_string(), "2026-10-01T11:59:45Z");
    assert_eq!(arms.stable.errors, snapshot(&[("pod=\"a\"", 3.0)]));
    assert_eq!(arms.stable.total, snapshot(&[("az=\"1\",pod=\"a\"", 100.0), ("az=\"1\",pod=\"b\"", 50.0)]));
    assert_eq!(arms.canary.errors, snapshot(&[]), "a series not yet born");
    assert_eq!(
        arms.canary.buckets,
        [(0.3, snapshot(&[("pod=\"c\"", 9.0)])), (f64::INFINITY, snapshot(&[("pod=\"c\"", 10.0)]))]
    );
    assert_eq!(fake.asked(), 6);
}

#[tokio::test]
async fn the_past_of_stable_without_its_gaps() {
    let fake = serve(|asked| {
        if asked.path == "/api/v1/query" {
            return vector(&[("", "9")]);
        }
        assert_eq!(asked.field("step"), "300");
        assert_eq!(asked.field("start"), "1790852385.000");
        assert_eq!(asked.field("end"), "1790855985.000");
        assert!(asked.field("query").contains("v1"));
        let values = if asked.field("query").starts_with("total") {
            r#"[1790852385,"1"],[1790852985,"7"]"#
        } else {
            r#"[1790852685,"1"],[1790852985,"2"]"#
        };
        Reply::ok(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{values}]}}]}}}}"#
        ))
    })
    .await;
    let mut request = look_at_arms();
    if let Some(arms) = &mut request.arms {
        arms.past = Some(Duration::from_hours(1));
    }
    let arms = reading(&fake).look(&request, now()).await.arms.unwrap().unwrap();
    let past: Vec<(i64, f64, Option<f64>)> =
        arms.past.iter().map(|(at, c)| (at.as_second(), c.total[""], c.errors.get("").copied())).collect();
    assert_eq!(past, [(1_790_852_385, 1.0, None), (1_790_852_985, 7.0, Some(2.0))]);
}

#[tokio::test]
async fn a_number_is_a_scalar_or_one_series() {
    let scalar = Reply::ok(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"-2.5"]}}"#);
    for (reply, want) in [(scalar, -2.5), (vector(&[(r#""a":"b""#, "7")]), 7.0)] {
        let fake = serve(move |asked| {
            assert_eq!(asked.field("query"), r#"max(q{a="v2",b="shop"})"#);
            reply.clone()
        })
        .await;
        let request = look_at_number(r#"max(q{a="{{canary}}",b="{{namespace}}"})"#);
        let sample = reading(&fake).look(&request, now()).await.numbers["queue"].clone().unwrap();
        assert_eq!(sample.at.to_string(), "2026-10-01T11:59:45Z");
        assert!((sample.value - want).abs() < 1e-9);
    }
}

#[tokio::test]
async fn each_misbehaviour_has_its_own_error() {
    let two = vector(&[(r#""a":"1""#, "1"), (r#""a":"2""#, "2")]);
    let body = |status, text: &str| Reply::Body(status, text.replace("SECRET", SECRET));
    let success = r#"{"status":"success","data":"#;
    let cases = [
        (
            body(400, r#"{"status":"error","errorType":"bad_data","error":"SECRET"}"#),
            "refuses the query queue",
        ),
        (
            body(200, r#"{"status":"error","errorType":"internal","error":"SECRET"}"#),
            "not what such a provider",
        ),
        (body(422, r#"{"status":"error","errorType":"execution","error":"SECRET"}"#), "HTTP 422"),
        (body(503, "SECRET"), "HTTP 503"),
        (body(401, "SECRET"), "HTTP 401: it asks for credentials"),
        (body(403, "SECRET"), "HTTP 403"),
        (two, "returned 2 series"),
        (vector(&[]), "queue returned nothing"),
        (vector(&[("", "NaN")]), "no finite number"),
        (vector(&[("", "+Inf")]), "no finite number"),
        (vector(&[("", SECRET)]), "not what such a provider"),
        (
            Reply::ok(format!(
                r#"{success}{{"resultType":"vector","result":[{{"metric":{{}},"value":[]}}]}}}}"#
            )),
            "not what",
        ),
        (Reply::ok(format!(r#"{success}{{"resultType":"string","result":[1,"{SECRET}"]}}}}"#)), "not what"),
        (Reply::ok(format!(r#"{success}{{"resultType":"matrix","result":[]}}}}"#)), "not what"),
        (Reply::ok(format!("<html>{SECRET}")), "not what such a provider"),
        (Reply::Flood, "larger than 1 MiB"),
        (Reply::Redirect, "redirect"),
    ];
    for (reply, want) in cases {
        let fake = serve(move |_| reply.clone()).await;
        let look = reading(&fake).look(&look_at_number("q"), now()).await;
        let error = told(look.numbers["queue"].as_ref().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
        assert_eq!(fake.asked(), 1, "{want}: neither followed nor retried");
    }
}

#[tokio::test]
async fn a_hanging_provider_costs_its_deadline_and_a_dead_one_nothing() {
    let fake = serve(|_| Reply::Hang).await;
    let hanging = providers(ProviderConfig::Prometheus(config(&fake, Duration::from_millis(200))));
    let look = hanging.look(&look_at_arms(), now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::Timeout("200ms".to_owned()))));

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gone = config(&fake, Duration::from_secs(5));
    gone.url.set_port(Some(free.local_addr().unwrap().port())).unwrap();
    drop(free);
    let look = providers(ProviderConfig::Prometheus(gone)).look(&look_at_arms(), now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::Unreachable)));
}

#[tokio::test]
async fn arms_that_are_no_evidence() {
    let many: Vec<String> = (0..501).map(|i| format!(r#""pod":"{i}""#)).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|labels| (labels.as_str(), "1")).collect();
    let cases = [
        (vector(&[]), "query total returned nothing"),
        (vector(&[("", "NaN")]), "no finite number"),
        (vector(&[("", "-1")]), "returned a negative number"),
        (vector(&many), "returned 501 series"),
        (vector(&[(r#""__name__":"a""#, "1"), (r#""__name__":"b""#, "1")]), "select one metric"),
    ];
    for (reply, want) in cases {
        let fake = serve(move |_| reply.clone()).await;
        let look = reading(&fake).look(&look_at_arms(), now()).await;
        let error = told(&look.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
}

#[tokio::test]
async fn buckets_that_are_no_evidence() {
    let cases = [
        (vector(&[("", "1")]), "without a bound"),
        (vector(&[(r#""le":"NaN""#, "1")]), "without a bound"),
        (vector(&[(r#""le":"0.3""#, "-1")]), "returned a negative number"),
        (vector(&[(r#""le":"1""#, "1"), (r#""le":"1.0""#, "1")]), "two series that are of one bound"),
    ];
    for (reply, want) in cases {
        let fake = serve(move |asked| {
            if asked.field("query").starts_with("latency") { reply.clone() } else { vector(&[("", "1")]) }
        })
        .await;
        let mut request = look_at_arms();
        if let Some(arms) = &mut request.arms {
            arms.latency = vec![0.3];
        }
        let look = reading(&fake).look(&request, now()).await;
        let error = told(&look.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
}

#[tokio::test]
async fn a_past_that_is_no_numbers_is_refused_and_its_gaps_are_not() {
    let matrix = |values: &str| {
        Reply::ok(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{values}]}}]}}}}"#
        ))
    };
    let span = Span { start: now() - Duration::from_mins(2), end: now(), step: Duration::from_mins(1) };
    let read = async |values: &str| {
        let reply = matrix(values);
        let fake = serve(move |_| reply.clone()).await;
        let recorded = reading(&fake).recorded(&look_at_number("q"), span, &|_| {}).await;
        recorded.map(|recording| recording.numbers.values().map(Vec::len).sum())
    };
    assert_eq!(read(r#"[1790852385,"1"],[1790852445,"NaN"],[1790852505,"-2"]"#).await, Ok(2));
    let error = read(&format!(r#"[1790852385,"1"],[1790852445,"{SECRET}"]"#)).await.unwrap_err();
    assert!(told(&error).contains("not what such a provider"), "{error}");
}

#[tokio::test]
async fn one_bad_part_leaves_the_others() {
    let fake = serve(|asked| {
        if asked.field("query") == "bad" {
            return Reply::Body(400, r#"{"status":"error","errorType":"bad_data"}"#.to_owned());
        }
        healthy(&asked)
    })
    .await;
    let mut request = look_at_arms();
    request.numbers = look_at_number("bad").numbers;
    request.numbers.extend(
        look_at_number("q{a=\"{{pod}}\"}")
            .numbers
            .into_iter()
            .map(|number| NumberRequest { name: "typo".to_owned(), ..number }),
    );
    let look = reading(&fake).look(&request, now()).await;
    assert!(look.arms.unwrap().is_ok());
    assert!(matches!(look.numbers["queue"], Err(ReadError::BadQuery { .. })));
    assert!(matches!(look.numbers["typo"], Err(ReadError::Unsupported(_))));
}

#[tokio::test]
async fn a_rotated_token_is_presented_without_a_restart() {
    let fake = serve(|asked| match asked.headers.get("authorization") {
        Some(token) if token == "Bearer second-one" => vector(&[("", "1")]),
        Some(_) | None => Reply::Body(401, SECRET.to_owned()),
    })
    .await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"first\n").unwrap();
    let mut config = config(&fake, Duration::from_secs(5));
    config.http.auth = Some(Auth::Bearer { token_file: file.path().to_owned() });
    let providers = providers(ProviderConfig::Prometheus(config));
    let look = providers.look(&look_at_number("q"), now()).await;
    let error = told(look.numbers["queue"].as_ref().unwrap_err());
    assert!(error.contains("refuses the credentials") && !error.contains("first"), "{error}");

    std::fs::write(file.path(), "second-one\n").unwrap();
    let look = providers.look(&look_at_number("q"), now()).await;
    assert!(look.numbers["queue"].is_ok(), "{look:?}");

    drop(file);
    let look = providers.look(&look_at_number("another"), now()).await;
    assert!(told(look.numbers["queue"].as_ref().unwrap_err()).contains("auth.bearer.tokenFile"));
}

#[tokio::test]
async fn basic_credentials_are_presented() {
    let fake = serve(|asked| match asked.headers.get("authorization") {
        Some(basic) if basic == "Basic bWU6c2VjcmV0" => vector(&[("", "1")]),
        Some(_) | None => Reply::Body(401, String::new()),
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret\n").unwrap();
    let mut config = config(&fake, Duration::from_secs(5));
    config.http.auth = Some(Auth::Basic { username: "me".to_owned(), password_file: file.path().to_owned() });
    let look = providers(ProviderConfig::Prometheus(config)).look(&look_at_number("q"), now()).await;
    assert!(look.numbers["queue"].is_ok(), "{look:?}");
}

#[tokio::test]
async fn what_is_configured_is_known() {
    let fake = serve(|_| Reply::Hang).await;
    let slow = PrometheusConfig {
        scrape_interval: Duration::from_mins(1),
        lag: Duration::from_mins(1),
        ..config(&fake, Duration::from_secs(5))
    };
    let providers = providers(ProviderConfig::Prometheus(slow));
    assert!(providers.has(None) && providers.has(Some("default")) && !providers.has(Some("other")));
    assert_eq!(providers.settle(None), Some(Duration::from_mins(2)));
    assert_eq!(reading(&fake).settle(None), Some(Duration::from_secs(30)));
    assert_eq!(providers.settle(Some("other")), None);
    let mut request = look_at_number("q");
    request.numbers[0].provider = Some("other".to_owned());
    let look = providers.look(&request, now()).await;
    assert_eq!(look.numbers["queue"], Err(ReadError::UnknownProvider("other".to_owned())));
}

#[tokio::test]
async fn a_missing_file_stops_the_start() {
    let fake = serve(|_| Reply::Hang).await;
    let mut config = config(&fake, Duration::from_secs(5));
    config.http.auth = Some(Auth::Bearer { token_file: "/nowhere/token".into() });
    let config = ProvidersConfig {
        default: None,
        entries: BTreeMap::from([("main".to_owned(), ProviderConfig::Prometheus(config))]),
    };
    let error = Providers::from_config(&config).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot set up the provider main: cannot read /nowhere/token of auth.bearer.tokenFile: entity not found; \
         mount it, or correct auth.bearer.tokenFile in the controller's configuration"
    );
}
