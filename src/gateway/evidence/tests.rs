//! What is said of an object by what Envoys have acknowledged.

use super::*;
use crate::xds::Kind;

/// The present publication.
const NOW: u64 = 5;

fn gateway() -> Fleet {
    Fleet::gateway("shop", "gw")
}

fn envoy(number: u64, has: u64) -> Connected {
    let from = Some(format!("10.0.0.{number}:1000").parse().unwrap());
    let is_new = has == 0;
    Connected { number, fleet: gateway(), from, stats: None, is_new, has, at: has, refusals: [].into() }
}

fn refusing(number: u64, has: u64) -> Connected {
    let refusals = [(Kind::Routes, "no such cluster".to_owned())].into();
    Connected { refusals, at: NOW, is_new: false, ..envoy(number, has) }
}

fn verdict(since: Option<u64>, envoys: &[Connected], held: Option<&Held>) -> Verdict {
    expecting(0, since, envoys, held, &gateway())
}

fn expecting(
    expected: usize,
    since: Option<u64>,
    envoys: &[Connected],
    held: Option<&Held>,
    gateway: &Fleet,
) -> Verdict {
    let fleets = vec![Served { fleet: gateway, envoys, expected, number: NOW, since, held }];
    Verdict::of(&Claim { generation: 7, fleets, ..Claim::default() })
}

#[test]
fn those_that_were_connected_before_a_failover_are_waited_for() {
    let gateway = gateway();
    let status =
        |verdict: &Verdict| verdict.status(ObjectKind::VirtualGateway, 7, &json!({}), Timestamp::UNIX_EPOCH);
    let both = verdict(Some(1), &[envoy(1, 1), envoy(2, 1)], None);
    assert_eq!(told_envoys(&gateway, &status(&both)), 2);
    let one = expecting(2, Some(1), &[envoy(1, 1)], None, &gateway);
    assert_eq!((one.holds, one.reason), (false, "Pending"));
    assert!(one.message.starts_with("1 of 1 Envoys of shop/gw have generation 7; 1 more"), "{}", one.message);
    assert!(expecting(2, Some(1), &[envoy(1, 1), envoy(2, 1)], None, &gateway).holds);
    // Of another gateway, or with none.
    let other = Fleet::gateway("shop", "gw-2");
    assert_eq!(told_envoys(&other, &status(&both)), 0);
    assert_eq!(told_envoys(&gateway, &status(&verdict(Some(1), &[], None))), 0);
    assert_eq!(told_envoys(&gateway, &Value::Null), 0);
    // Whatever else is said of it, the count is there.
    let faults = vec!["listener 8443: one of two".to_owned(); 300];
    let invalid = Verdict::of(&Claim { faults, own: Some((&gateway, 3)), ..Claim::default() });
    assert!(invalid.message.ends_with("; 3 Envoys of shop/gw are connected"), "{}", invalid.message);
    assert_eq!(told_envoys(&gateway, &status(&invalid)), 3);
}

#[test]
fn it_is_in_effect_once_every_envoy_that_serves_has_it() {
    let lagging = Connected { is_new: false, ..envoy(9, 3) };
    for (envoys, holds, reason, message) in [
        (vec![], false, "NoEnvoy", "no Envoy of shop/gw is connected"),
        (vec![envoy(1, 4), envoy(2, 5)], true, "Programmed", "2 of 2 Envoys of shop/gw have generation 7"),
        (
            vec![envoy(1, 4), lagging.clone()],
            false,
            "Pending",
            "1 of 2 Envoys of shop/gw have generation 7; not yet: 10.0.0.9",
        ),
        (
            vec![envoy(1, 4), envoy(2, 0)],
            true,
            "Programmed",
            "1 of 2 Envoys of shop/gw have generation 7, 1 of them starting",
        ),
        (
            vec![envoy(2, 0)],
            false,
            "NoEnvoy",
            "0 of 1 Envoys of shop/gw have generation 7, 1 of them starting",
        ),
        (
            vec![envoy(1, 4), refusing(2, 3)],
            false,
            "Refused",
            "1 of 2 Envoys of shop/gw have generation 7; 10.0.0.2 refuses what it is sent: no such cluster",
        ),
        // What it refuses came after this one.
        (vec![refusing(2, 4)], true, "Programmed", "1 of 1 Envoys of shop/gw have generation 7"),
        (
            vec![lagging.clone(), lagging.clone(), lagging.clone(), lagging.clone(), lagging],
            false,
            "Pending",
            "0 of 5 Envoys of shop/gw have generation 7; not yet: 10.0.0.9, 10.0.0.9, 10.0.0.9, 2 more",
        ),
    ] {
        let got = verdict(Some(4), &envoys, None);
        assert_eq!((got.holds, got.reason, got.message.as_str()), (holds, reason, message));
    }
    assert!(!verdict(None, &[envoy(1, 4)], None).holds, "it was never published");
    assert_eq!(Verdict::of(&Claim::default()).reason, "NoGateway");
    let nobodys = Verdict::of(&Claim { is_behind: true, ..Claim::default() });
    assert_eq!((nobodys.holds, nobodys.reason), (false, "NoEnvoy"));
}

#[test]
fn what_is_worse_is_said_later_and_what_is_better_at_once() {
    let kind = ObjectKind::GatewayRoute;
    let status =
        |verdict: &Verdict, generation| verdict.status(kind, generation, &json!({}), Timestamp::UNIX_EPOCH);
    let has = verdict(Some(1), &[envoy(1, 1)], None);
    let more = verdict(Some(1), &[envoy(1, 1), envoy(2, 1)], None);
    let none = verdict(Some(1), &[], None);
    let refused = verdict(Some(1), &[refusing(1, 0)], None);
    let lags = verdict(Some(2), &[Connected { is_new: false, ..envoy(1, 1) }], None);
    let remarked = |remark: &str, envoys: &[Connected]| {
        let gateway = gateway();
        let (number, since) = (NOW, Some(1));
        let served = Served { fleet: &gateway, envoys, expected: 0, number, since, held: None };
        let (remarks, fleets) = (vec![remark.to_owned()], vec![served]);
        Verdict::of(&Claim { generation: 7, remarks, fleets, ..Claim::default() })
    };
    let one = [envoy(1, 1)];
    let (astray, hidden) = (remarked("its target leads nowhere", &one), remarked("it is hidden", &one));
    let both = {
        let gateway = gateway();
        let served =
            Served { fleet: &gateway, envoys: &one, expected: 0, number: NOW, since: Some(1), held: None };
        let remarks = vec!["it is hidden".to_owned(), "its target leads nowhere".to_owned()];
        Verdict::of(&Claim { generation: 7, remarks, fleets: vec![served], ..Claim::default() })
    };
    let more_astray = remarked("its target leads nowhere", &[envoy(1, 1), envoy(2, 1)]);
    assert_eq!((astray.holds, astray.reason), (true, "ProgrammedWithRemarks"));
    for (before, now, patience) in [
        (&has, &has, None),
        (&has, &more, Some(DETAIL)),
        (&has, &none, Some(FLAPPING)),
        (&has, &lags, Some(FLAPPING)),
        (&has, &refused, Some(PASSING)),
        (&none, &has, Some(Duration::ZERO)),
        (&none, &refused, Some(PASSING)),
        (&none, &lags, Some(PASSING)),
        (&refused, &refused, None),
        (&astray, &astray, None),
        (&has, &astray, Some(PASSING)),
        (&astray, &more_astray, Some(DETAIL)),
        (&astray, &hidden, Some(PASSING)),
        // One of two is mended.
        (&both, &astray, Some(PASSING)),
        (&astray, &has, Some(PASSING)),
    ] {
        assert_eq!(now.patience(kind, 7, &status(before, 7)), patience, "{before:?} {now:?}");
    }
    // Of the generation before, or nothing at all.
    for before in [status(&has, 6), Value::Null] {
        assert_eq!(has.patience(kind, 7, &before), Some(Duration::ZERO));
        assert_eq!(lags.patience(kind, 7, &before), Some(PASSING));
        assert_eq!(refused.patience(kind, 7, &before), Some(PASSING));
    }
    let told = status(&has, 7);
    assert_eq!(told["conditions"][0]["observedGeneration"], 7);
    assert_eq!(told["observedGeneration"], 7);
}
