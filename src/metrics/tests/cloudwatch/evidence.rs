use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// What is counted between two snapshots, as the engine does it.
fn increment(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>) -> f64 {
    now.iter().map(|(key, value)| before.get(key).filter(|b| *b <= value).map_or(*value, |b| value - b)).sum()
}

#[tokio::test]
async fn both_arms_of_a_load_balancer_in_one_call() {
    let fake = serve(|called| {
        Reply::Page(page(&called, |query| match (arm(query), query.what.as_str()) {
            ("v1", "Sum RequestCount") => vec![(END - 120, 900.0), (END - 60, 1000.0)],
            ("v2", "Sum RequestCount") => vec![(END - 60, 100.0)],
            ("v2", "Sum HTTPCode_Target_5XX_Count") => vec![(END - 60, 3.0)],
            ("v2", "Sum TargetConnectionErrorCount") => vec![(END - 60, 4.0)],
            ("v2", "SampleCount TargetResponseTime") => vec![(END - 60, 96.0)],
            ("v2", "TC(0.3:) TargetResponseTime") => vec![(END - 60, 6.0)],
            _ => Vec::new(),
        }))
    })
    .await;
    let mut request = look_at_groups();
    if let Some(arms) = &mut request.arms {
        arms.latency = vec![0.3, 1.0, 0.3];
    }
    let arms = reading(&fake).await.look(&request, now()).await.arms.unwrap().unwrap();
    assert_eq!(arms.at.to_string(), "2026-10-01T11:58:00Z");
    assert_eq!(arms.at.as_second(), END);
    assert_eq!(arms.canary.total, sums(&[(END - 60, 100.0)]));
    assert_eq!(arms.canary.errors, sums(&[(END - 60, 7.0)]));
    assert_eq!(arms.stable.total, sums(&[(END - 120, 900.0), (END - 60, 1000.0)]));
    assert_eq!(arms.stable.errors, sums(&[]), "no failures is no datapoint");
    assert_eq!(
        arms.canary.buckets,
        [
            (0.3, sums(&[(END - 60, 90.0)])),
            (1.0, sums(&[(END - 60, 96.0)])),
            (f64::INFINITY, sums(&[(END - 60, 96.0)]))
        ]
    );
    let [call] = fake.calls().try_into().unwrap();
    assert_eq!((call.start, call.end), (START, END));
    assert!(call.queries.iter().all(|query| query.period == 60 && query.namespace == "AWS/ApplicationELB"));
    assert_eq!(call.queries[0].dimensions["LoadBalancer"], "app/shop/50dc6c495c0c9188");
    assert!(
        call.headers["authorization"].to_str().unwrap().contains("/eu-central-1/monitoring/aws4_request")
    );
}

#[tokio::test]
async fn presets_ask_for_what_their_data_plane_counts() {
    type Params = &'static [(&'static str, &'static str)];
    let mesh: Params = &[
        ("metricNamespace", "shop/mesh"),
        ("mesh", "m"),
        ("service", "{{name}}.shop.svc.cluster.local"),
        ("gateway", "gw"),
    ];
    let adot = &[mesh, &[("agent", "adot"), ("node", "{{name}}-node")]].concat();
    let adot: Params = Box::leak(adot.clone().into_boxed_slice());
    let cases: [(Preset, Params, &str, &[&str]); 3] = [
        (
            Preset::AppmeshExtension,
            mesh,
            "Mesh=m TargetVirtualNode=v2_shop TargetVirtualService=v2.shop.svc.cluster.local VirtualGateway=gw_shop \
             metric_type=counter",
            &[
                "Sum envoy_appmesh_RequestCountPerTarget",
                "Sum envoy_appmesh_HTTPCode_Target_5XX_Count",
                "SampleCount envoy_appmesh_TargetResponseTime",
                "TC(300:) envoy_appmesh_TargetResponseTime",
            ],
        ),
        (
            Preset::AppmeshExtension,
            adot,
            "Mesh=m TargetVirtualNode=v2-node TargetVirtualService=v2.shop.svc.cluster.local VirtualGateway=gw_shop",
            &[
                "Sum envoy.appmesh.RequestCountPerTarget",
                "Sum envoy.appmesh.HTTPCode_Target_5XX_Count",
                "SampleCount envoy.appmesh.TargetResponseTime",
                "TC(300:) envoy.appmesh.TargetResponseTime",
            ],
        ),
        (
            Preset::VpcLattice,
            &[("targetGroup", "tg-{{target}}")],
            "TargetGroup=tg-v2",
            &[
                "Sum TotalRequestCount",
                "Sum HTTPCode_5XX_Count",
                "SampleCount RequestTime",
                "TC(300:) RequestTime",
            ],
        ),
    ];
    for (preset, params, dimensions, metrics) in cases {
        let fake = serve(|called| Reply::Page(page(&called, |_| vec![(END - 60, 1.0)]))).await;
        let mut request = look_at_groups();
        if let Some(arms) = &mut request.arms {
            arms.series.preset = Some(preset);
            arms.series.params = params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            arms.latency = vec![0.3];
        }
        reading(&fake).await.look(&request, now()).await.arms.unwrap().unwrap();
        let [call] = fake.calls().try_into().unwrap();
        let canary = &call.queries[..call.queries.len() / 2];
        let asked: Vec<&str> = canary.iter().map(|query| query.what.as_str()).collect();
        assert_eq!(asked, metrics, "{preset:?}");
        let named: Vec<String> =
            canary[0].dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(named.join(" "), dimensions, "{preset:?}");
        if preset == Preset::AppmeshExtension && dimensions.contains("metric_type") {
            assert_eq!(canary[2].dimensions["metric_type"], "timing");
        }
    }
}

#[tokio::test]
async fn each_period_counts_once_late_and_corrected_ones_too() {
    let look = AtomicUsize::new(0);
    let look = Arc::new(look);
    let at = Arc::clone(&look);
    let fake = serve(move |called| {
        let look = at.load(Ordering::SeqCst);
        Reply::Page(page(&called, |query| match (arm(query), query.what.as_str(), look) {
            // The newest period is late.
            ("v1", "Sum RequestCount", 0) => vec![(END - 120, 100.0)],
            // It has come, the one before was corrected, and there is a new one.
            ("v1", "Sum RequestCount", 1) => vec![(END - 120, 110.0), (END - 60, 50.0), (END, 7.0)],
            // Nothing new.
            ("v1", "Sum RequestCount", _) => {
                vec![(END - 120, 110.0), (END - 60, 50.0), (END, 7.0)]
            }
            // A failure is counted before the request that it is of.
            ("v1", "Sum HTTPCode_Target_5XX_Count", 0) => vec![(END - 60, 2.0)],
            ("v1", "Sum HTTPCode_Target_5XX_Count", _) => vec![(END - 60, 2.0), (END, 1.0)],
            _ => Vec::new(),
        }))
    })
    .await;
    let providers = reading(&fake).await;
    let mut taken = Vec::new();
    for (index, seconds) in [0, 60, 120].into_iter().enumerate() {
        look.store(index, Ordering::SeqCst);
        let now = now() + Duration::from_secs(seconds);
        taken.push(providers.look(&look_at_groups(), now).await.arms.unwrap().unwrap());
    }
    assert_eq!([taken[0].at, taken[1].at, taken[2].at].map(Timestamp::as_second), [END, END + 60, END + 120]);
    let total = |from: usize, to: usize| increment(&taken[from].stable.total, &taken[to].stable.total);
    let errors = |from: usize, to: usize| increment(&taken[from].stable.errors, &taken[to].stable.errors);
    assert!((total(0, 1) - 67.0).abs() < 1e-9, "10 corrected, 50 late, 7 new");
    assert!((errors(0, 1) - 3.0).abs() < 1e-9, "two that were kept back, one new");
    assert!(total(1, 2).abs() < 1e-9 && errors(1, 2).abs() < 1e-9);
    assert_eq!(taken[0].stable.errors, sums(&[(END - 60, 0.0)]));
}

#[tokio::test]
async fn the_past_of_stable_grows_by_whole_periods() {
    let fake = serve(|called| {
        Reply::Page(page(&called, |query| match (arm(query), query.what.as_str()) {
            ("v1", "Sum RequestCount") => vec![(START, 1.0), (START + 300, 2.0), (END - 60, 4.0)],
            ("v1", "Sum HTTPCode_Target_5XX_Count") => vec![(START + 300, 1.0)],
            _ => Vec::new(),
        }))
    })
    .await;
    let mut request = look_at_groups();
    if let Some(arms) = &mut request.arms {
        arms.past = Some(Duration::from_hours(1));
    }
    let arms = reading(&fake).await.look(&request, now()).await.arms.unwrap().unwrap();
    let times: Vec<i64> = arms.past.iter().map(|(at, _)| at.as_second()).collect();
    assert_eq!(times, (0..=12).map(|step| START + 300 * step).collect::<Vec<_>>());
    assert!(arms.past[0].1.total.is_empty());
    assert_eq!(arms.past[1].1.total, sums(&[(START, 1.0)]));
    assert_eq!(arms.past[2].1.total, sums(&[(START, 1.0), (START + 300, 2.0)]));
    assert_eq!(arms.past[12].1.total, arms.stable.total);
    assert_eq!(arms.past[12].1.errors, sums(&[(START + 300, 1.0)]));
    assert_eq!(fake.calls().len(), 1, "the past is of the same hour");
}

#[tokio::test]
async fn own_expressions_may_have_many_series() {
    let fake = serve(|called| {
        let mut page = Page::default();
        for query in &called.queries {
            assert!(query.what.ends_with("\"', 'Sum', 60)"), "{}", query.what);
            assert_eq!(query.period, 60);
            let stable = query.what.contains("Target=\"v1\"");
            if query.what.contains("\"errors\"") && !stable {
                continue;
            }
            for zone in ["a", "b"] {
                let found = Found { label: zone.to_owned(), ..Found::of(query, &[(END - 60, 5.0)]) };
                page.results.push(found);
            }
        }
        Reply::Page(page)
    })
    .await;
    let arms = reading(&fake).await.look(&look_at_expressions(), now()).await.arms.unwrap().unwrap();
    let both = BTreeMap::from([(format!("{} a", END - 60), 5.0), (format!("{} b", END - 60), 5.0)]);
    assert_eq!((&arms.stable.total, &arms.stable.errors), (&both, &both));
    assert_eq!((&arms.canary.total, &arms.canary.errors), (&both, &BTreeMap::new()));
}

#[tokio::test]
async fn a_number_is_the_newest_of_one_series() {
    type Case = (&'static [(i64, f64)], Result<(i64, f64), &'static str>);
    let cases: [Case; 4] = [
        (&[(END - 120, 1.0), (END - 60, 2.5)], Ok((END, 2.5))),
        (&[(END - 180, 1.5)], Ok((END - 120, 1.5))),
        (&[(END - 240, 1.0)], Err("queue returned nothing")),
        (&[], Err("queue returned nothing")),
    ];
    for (points, want) in cases {
        let points = points.to_vec();
        let fake = serve(move |called| {
            assert_eq!(called.queries[0].what, "100 * FILL(METRICS(\"v2\"), 0) / 60");
            Reply::Page(page(&called, |_| points.clone()))
        })
        .await;
        let request = look_at_number("100 * FILL(METRICS(\"{{canary}}\"), 0) / {{period}}");
        let number = reading(&fake).await.look(&request, now()).await.numbers["queue"].clone();
        match want {
            Ok((at, value)) => {
                let sample = number.unwrap();
                assert_eq!(sample.at.as_second(), at);
                assert!((sample.value - value).abs() < 1e-9);
            }
            Err(sentence) => assert!(told(&number.unwrap_err()).contains(sentence)),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_asked() {
    type Change = fn(&mut LookRequest);
    let fake = serve(|called| Reply::Page(healthy(&called))).await;
    let providers = reading(&fake).await;
    let cases: [(LookRequest, Change, &str); 8] = [
        (look_at_groups(), |r| r.canary = "v3".to_owned(), "add the param \"targetGroup.v3\""),
        (
            look_at_groups(),
            |r| r.arms.as_mut().unwrap().series.preset = Some(Preset::AppmeshEnvoy),
            "needs a provider of kind prometheus or envoy",
        ),
        (
            look_at_groups(),
            |r| {
                let params = &mut r.arms.as_mut().unwrap().series.params;
                params.insert("targetGroup.v2".to_owned(), "grüppe".to_owned());
            },
            "can't be the dimension TargetGroup",
        ),
        (
            look_at_groups(),
            |r| {
                let params = &mut r.arms.as_mut().unwrap().series.params;
                params.insert("region".to_owned(), "eu".to_owned());
            },
            "has no param \"region\"; it takes loadBalancer, targetGroup",
        ),
        (look_at_expressions(), |r| r.arms.as_mut().unwrap().latency = vec![0.3], "latency by own queries"),
        (look_at_expressions(), |r| r.canary = "v2\"', 'Sum'".to_owned(), "takes only letters"),
        (
            look_at_expressions(),
            |r| r.arms.as_mut().unwrap().series.total = Some("m1".to_owned()),
            "total has no {{target}}",
        ),
        (
            look_at_expressions(),
            |r| r.arms.as_mut().unwrap().series.total = Some("{{target}}{{pod}}".to_owned()),
            "unknown placeholder {{pod}}",
        ),
    ];
    for (mut request, change, want) in cases {
        change(&mut request);
        let error = told(&providers.look(&request, now()).await.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
    assert_eq!(fake.calls().len(), 0);
}

#[tokio::test]
async fn params_of_the_extension_are_checked() {
    let fake = serve(|called| Reply::Page(healthy(&called))).await;
    let providers = reading(&fake).await;
    let mut request = look_at_groups();
    request.arms.as_mut().unwrap().series.preset = Some(Preset::AppmeshExtension);
    for (params, want) in [
        (vec![], "needs the param \"metricNamespace\""),
        (
            vec![("metricNamespace", "n"), ("mesh", "m"), ("service", "s")],
            "one of the params \"gateway\" and",
        ),
        (
            vec![("metricNamespace", "n"), ("mesh", "m"), ("service", "s"), ("gateway", "g"), ("agent", "x")],
            "one of statsd, prometheus and adot",
        ),
        (
            vec![
                ("metricNamespace", "n"),
                ("mesh", "m"),
                ("service", "s"),
                ("gateway", "g"),
                ("agent", "prometheus"),
            ],
            "sends no latency",
        ),
        (
            vec![("metricNamespace", "n;"), ("mesh", "m"), ("service", "s"), ("gateway", "g")],
            "can't be a CloudWatch namespace",
        ),
    ] {
        let arms = request.arms.as_mut().unwrap();
        arms.latency = vec![0.3];
        arms.series.params = params.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let error = told(&providers.look(&request, now()).await.arms.unwrap().unwrap_err());
        assert!(error.contains(want), "{want}: {error}");
    }
    assert_eq!(fake.calls().len(), 0);
}

#[tokio::test]
async fn what_is_configured_is_known() {
    let fake = serve(|_| Reply::Hang).await;
    assert_eq!(reading(&fake).await.settle(None), Some(Duration::from_mins(3)));
    let five = CloudWatchConfig { period: Duration::from_mins(5), ..config(&fake) };
    assert_eq!(with(&five, environment().load().await).settle(None), Some(Duration::from_mins(7)));
    let whole = ProviderConfig::CloudWatch(CloudWatchConfig { region: None, ..config(&fake) });
    assert!(providers(whole).has(None), "nothing is asked of the environment before the first look");
}
