use super::*;

type Change = fn(&mut Page);

/// One change to the page of a healthy day.
fn spoilt(change: Change) -> impl Fn(Called) -> Reply + Clone + Send + Sync + 'static {
    move |called| {
        let mut page = healthy(&called);
        change(&mut page);
        Reply::Page(page)
    }
}

#[tokio::test]
async fn a_page_that_is_no_evidence_has_its_own_error() {
    let cases: [(Change, &str); 14] = [
        (|p| p.results[0].status = "PartialData", "query total is incomplete"),
        (|p| p.results[1].status = "InternalError", "query errors is incomplete"),
        (|p| p.results[0].status = "Brandnew", "query total is incomplete"),
        (|p| p.results[0].status = "Forbidden", "refuses the data of the query total"),
        (|p| p.results[0].message = true, "query total is incomplete"),
        (|p| p.message = true, "is incomplete"),
        (|p| drop(p.results.remove(1)), "query errors is incomplete"),
        (|p| p.results.clear(), "query total is incomplete"),
        (|p| p.results[0].id = "q99".to_owned(), "not what such a provider sends"),
        (|p| p.results[0].id = SECRET.to_owned(), "not what such a provider sends"),
        (|p| p.results[0].short = true, "not what such a provider sends"),
        (|p| p.results[0].points[0].1 = f64::NAN, "query total returned no finite number"),
        (|p| p.results[0].points[0].1 = -1.0, "total returned a negative sum"),
        (|p| p.results[0].points.iter_mut().for_each(|p| p.0 += 0.5), "other periods"),
    ];
    for (change, want) in cases {
        let fake = serve(spoilt(change)).await;
        let look = reading(&fake).await.look(&look_at_groups(), now()).await;
        let error = told(&look.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
        assert_eq!(fake.calls().len(), 1, "{want}: nothing is retried");
    }
}

#[tokio::test]
async fn datapoints_are_those_asked_for_and_each_is_there_once() {
    let cases: [Change; 4] = [
        |p| p.results[0].points[0].0 -= 3600.0,
        |p| p.results[0].points[0].0 = 1_790_855_880.0,
        |p| p.results[0].points[1].0 = p.results[0].points[0].0,
        |p| p.results.push(p.results[0].clone()),
    ];
    for change in cases {
        let fake = serve(spoilt(change)).await;
        let look = reading(&fake).await.look(&look_at_groups(), now()).await;
        assert_eq!(look.arms, Some(Err(ReadError::Malformed)));
    }
}

#[tokio::test]
async fn latency_of_two_moments_is_no_evidence() {
    let fake = serve(|called| {
        Reply::Page(page(&called, |query| match query.what.as_str() {
            "Sum RequestCount" => vec![(END - 60, 9.0)],
            "SampleCount TargetResponseTime" => vec![(END - 60, 5.0)],
            "TC(0.3:) TargetResponseTime" => vec![(END - 60, 6.0)],
            _ => Vec::new(),
        }))
    })
    .await;
    let mut request = look_at_groups();
    request.arms.as_mut().unwrap().latency = vec![0.3];
    let look = reading(&fake).await.look(&request, now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::Incomplete { query: "latency".to_owned() })));
}

#[tokio::test]
async fn missing_metrics_are_no_traffic_and_none_at_all_is_an_error() {
    let fake = serve(|called| Reply::Page(page(&called, |_| Vec::new()))).await;
    let look = reading(&fake).await.look(&look_at_groups(), now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::Empty { query: "total".to_owned() })));

    let fake = serve(|called| {
        let stable = |query: &Queried| arm(query) == "v1" && query.what == "Sum RequestCount";
        Reply::Page(page(&called, |query| if stable(query) { vec![(START, 1.0)] } else { vec![] }))
    })
    .await;
    let arms = reading(&fake).await.look(&look_at_groups(), now()).await.arms.unwrap().unwrap();
    assert!(arms.canary.total.is_empty() && arms.canary.errors.is_empty());
    assert_eq!(arms.stable.total, sums(&[(START, 1.0)]));
}

#[tokio::test]
async fn pages_come_in_any_order_and_parts() {
    let fake = serve(|called| {
        let whole = healthy(&called);
        let part = |from: usize, to: usize, status| {
            let parts = whole.results.iter().rev().map(|found| Found {
                points: found.points.get(from..to).unwrap_or_default().to_vec(),
                status,
                ..found.clone()
            });
            parts.collect()
        };
        Reply::Page(match called.token.as_deref() {
            None => {
                Page { results: part(1, 2, "PartialData"), token: Some("a".to_owned()), ..Page::default() }
            }
            Some("a") => Page { token: Some("b".to_owned()), ..Page::default() },
            Some(_) => Page { results: part(0, 1, "Complete"), ..Page::default() },
        })
    })
    .await;
    let arms = reading(&fake).await.look(&look_at_groups(), now()).await.arms.unwrap().unwrap();
    assert_eq!(arms.canary.total, sums(&[(END - 120, 100.0), (END - 60, 50.0)]));
    let tokens: Vec<Option<String>> = fake.calls().into_iter().map(|call| call.token).collect();
    assert_eq!(tokens, [None, Some("a".to_owned()), Some("b".to_owned())]);
    assert!(fake.calls().iter().all(|call| call.max_datapoints == 30_000));
}

#[tokio::test]
async fn pages_without_end_do_end() {
    let fake = serve(|called| {
        let results = if called.token.is_none() { healthy(&called).results } else { Vec::new() };
        Reply::Page(Page { results, token: Some("more".to_owned()), ..Page::default() })
    })
    .await;
    let look = reading(&fake).await.look(&look_at_groups(), now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::TooLarge)));
    assert_eq!(fake.calls().len(), 20);
}

#[tokio::test]
async fn each_refusal_has_its_own_sentence() {
    let mut malformed = vec![0xbf, 0x71];
    malformed.extend(SECRET.bytes());
    let cases = [
        (Reply::Error(400, "AccessDenied"), "grant the controller's role cloudwatch:GetMetricData"),
        (Reply::Error(403, "AccessDeniedException"), "grant the controller's role cloudwatch:GetMetricData"),
        (Reply::Error(403, "ExpiredTokenException"), "credentials have expired"),
        (Reply::Error(403, "InvalidClientTokenId"), "does not accept the AWS credentials"),
        (Reply::Error(403, "SignatureDoesNotMatch"), "does not accept the AWS credentials"),
        (Reply::Error(400, "RequestTimeTooSkewed"), "set the node's clock"),
        (Reply::Error(400, "ValidationError"), "refuses the query errors or total as malformed"),
        (Reply::Error(400, "InvalidParameterValue"), "refuses the query errors or total as malformed"),
        (Reply::Error(400, "InvalidNextToken"), "not what such a provider sends"),
        (Reply::Error(400, "Unheard"), "HTTP 400"),
        (Reply::Error(500, "InternalServiceFault"), "HTTP 500"),
        (Reply::Raw(503, SECRET.into()), "HTTP 503"),
        (Reply::Raw(502, Vec::new()), "HTTP 502"),
        (Reply::Raw(200, SECRET.into()), "not what such a provider sends"),
        (Reply::Raw(200, malformed), "not what such a provider sends"),
        (Reply::Raw(200, Vec::new()), "not what such a provider sends"),
        (Reply::Flood, "larger than 1 MiB"),
        (Reply::Redirect, "redirect"),
    ];
    for (reply, want) in cases {
        let fake = serve(move |_| reply.clone()).await;
        let look = reading(&fake).await.look(&look_at_groups(), now()).await;
        let error = told(&look.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
        assert_eq!(fake.calls().len(), 1, "{want}: neither followed nor retried");
    }
}

#[tokio::test]
async fn a_hanging_provider_costs_its_deadline_and_a_dead_one_nothing() {
    let fake = serve(|_| Reply::Hang).await;
    let brief = CloudWatchConfig { timeout: Duration::from_millis(200), ..config(&fake) };
    let providers = with(&brief, environment().load().await);
    for request in [look_at_groups(), look_at_expressions()] {
        let look = providers.look(&request, now()).await;
        assert_eq!(look.arms, Some(Err(ReadError::Timeout("200ms".to_owned()))));
    }
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gone = config(&fake);
    gone.endpoint.as_mut().unwrap().set_port(Some(free.local_addr().unwrap().port())).unwrap();
    drop(free);
    let look = with(&gone, environment().load().await).look(&look_at_groups(), now()).await;
    assert_eq!(look.arms, Some(Err(ReadError::Unreachable)));
}

#[tokio::test]
async fn a_number_that_is_none() {
    let cases: [(Change, &str); 3] = [
        (
            |p| p.results.push(Found { label: "b".to_owned(), ..p.results[0].clone() }),
            "queue returned 2 series",
        ),
        (|p| p.results[0].status = "PartialData", "query queue is incomplete"),
        (|p| p.results[0].points = vec![(1_790_855_820.0, f64::INFINITY)], "queue returned no finite number"),
    ];
    for (change, want) in cases {
        let fake = serve(spoilt(change)).await;
        let look = reading(&fake).await.look(&look_at_number("m"), now()).await;
        let error = told(look.numbers["queue"].as_ref().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
}
