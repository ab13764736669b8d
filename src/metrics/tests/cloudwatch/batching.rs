use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A Rollout among many, with target groups of its own.
fn rollout(number: usize) -> LookRequest {
    let mut request = LookRequest { rollout: format!("r{number}"), ..look_at_groups() };
    if let Some(arms) = &mut request.arms {
        arms.series.params.insert("targetGroup.v1".to_owned(), format!("targetgroup/v1/{number}"));
        arms.series.params.insert("targetGroup.v2".to_owned(), format!("targetgroup/v2/{number}"));
    }
    request
}

#[tokio::test]
async fn many_rollouts_share_few_calls_and_get_their_own_answers() {
    let fake = serve(|called| {
        assert!(called.queries.len() <= 500);
        Reply::Page(page(&called, |query| match query.what.as_str() {
            "Sum RequestCount" => {
                let number: f64 =
                    query.dimensions["TargetGroup"].split('/').next_back().unwrap().parse().unwrap();
                vec![(END - 60, 1000.0 + number)]
            }
            _ => Vec::new(),
        }))
    })
    .await;
    let providers = reading(&fake).await;
    let requests: Vec<LookRequest> = (0..200).map(rollout).collect();
    let looks = join_all(requests.iter().map(|request| providers.look(request, now()))).await;
    for (number, look) in looks.into_iter().enumerate() {
        let arms = look.arms.unwrap().unwrap();
        assert_eq!(arms.canary.total, sums(&[(END - 60, 1000.0 + number as f64)]));
        assert_eq!(arms.canary.total, arms.stable.total);
    }
    let sizes: Vec<usize> = fake.calls().iter().map(|call| call.queries.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1200);
    assert_eq!(sizes.len(), 3, "83 Rollouts of six queries fill a call: {sizes:?}");
}

#[tokio::test]
async fn a_wrong_expression_spoils_no_other_look() {
    let fake = serve(|called| {
        if called.queries.iter().any(|query| query.what.contains("SEARCH")) {
            return Reply::Error(400, "ValidationError");
        }
        Reply::Page(healthy(&called))
    })
    .await;
    let providers = reading(&fake).await;
    let (bad, good) = (look_at_expressions(), look_at_groups());
    let (bad, good) = futures::join!(providers.look(&bad, now()), providers.look(&good, now()));
    assert!(told(&bad.arms.unwrap().unwrap_err()).contains("as malformed"));
    assert!(good.arms.unwrap().is_ok());
}

#[tokio::test]
async fn who_no_longer_waits_takes_nothing_from_others() {
    let fake = serve(|called| Reply::Page(healthy(&called))).await;
    let providers = reading(&fake).await;
    let (first, second) = (rollout(1), rollout(2));
    let gone = tokio::time::timeout(Duration::from_millis(5), providers.look(&first, now()));
    let (gone, stays) = futures::join!(gone, providers.look(&second, now()));
    assert!(gone.is_err());
    assert!(stays.arms.unwrap().is_ok());
}

#[tokio::test]
async fn after_a_throttle_all_rollouts_wait_and_one_goes_first() {
    let throttling = Arc::new(AtomicBool::new(true));
    let now_throttling = Arc::clone(&throttling);
    let fake = serve(move |called| {
        if now_throttling.load(Ordering::SeqCst) {
            Reply::Error(400, "Throttling")
        } else {
            Reply::Page(healthy(&called))
        }
    })
    .await;
    let providers = reading(&fake).await;
    let look = |number: usize, seconds: u64| {
        let (providers, request) = (providers.clone(), rollout(number));
        async move { providers.look(&request, now() + Duration::from_secs(seconds)).await.arms.unwrap() }
    };
    let throttled = |wait: &str| Err(ReadError::Throttled(wait.to_owned()));
    assert_eq!(look(1, 0).await, throttled("15s"));
    assert_eq!(look(2, 5).await, throttled("10s"), "another Rollout waits as well");
    assert_eq!(fake.calls().len(), 1);
    assert_eq!(look(3, 15).await, throttled("30s"), "it goes on, and the wait grows");
    assert_eq!(look(1, 16).await, throttled("29s"));
    assert_eq!(fake.calls().len(), 2);
    throttling.store(false, Ordering::SeqCst);
    assert!(look(1, 45).await.is_ok());
    assert!(look(2, 45).await.is_ok());
    assert_eq!(fake.calls().len(), 4);
    let sentence = told(&ReadError::Throttled("15s".to_owned()));
    assert_eq!(sentence, "the provider throttles; no Rollout asks it again for 15s, longer if that repeats");
}

#[tokio::test]
async fn every_way_to_throttle_is_one() {
    let replies = [
        Reply::Error(400, "ThrottlingException"),
        Reply::Error(400, "LimitExceededException"),
        Reply::Error(503, "SlowDown"),
        Reply::Error(429, "TooManyRequestsException"),
        Reply::Raw(429, Vec::new()),
    ];
    for reply in replies {
        let fake = serve(move |_| reply.clone()).await;
        let look = reading(&fake).await.look(&look_at_groups(), now()).await;
        assert_eq!(look.arms, Some(Err(ReadError::Throttled("15s".to_owned()))));
    }
}
