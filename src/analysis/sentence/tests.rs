use super::*;

fn arm(errors: f64, requests: f64) -> Arm {
    Arm { errors, requests }
}

const ODDS: Odds = Odds { log_e_harm: 6.562_143, metrics: 1, alpha: 0.01 };
const SLOW: Fault<'_> = Fault::SlowerThan("300ms");
const CATCH: Level = Level::ERROR_RATE_CATCH;

#[test]
fn a_fail_is_told_with_both_arms_and_without_the_weight() {
    let bounds = RatioBounds { at_least: Some(2.0), at_most: None };
    assert_eq!(
        format!(
            "Rolled back at 10%: {}",
            failed(Fault::Failed, arm(24.0, 2400.0), arm(22.0, 21_600.0), bounds, ODDS)
        ),
        "Rolled back at 10%: canary failed 24 of 2,400 (1.0%), stable 22 of 21,600 (0.1%) in the same minutes: \
         about 10x, surely over 2x. Odds against chance 708:1 (needed 100)."
    );
    assert_eq!(
        failed(SLOW, arm(24.0, 240.0), arm(0.0, 2160.0), RatioBounds::default(), ODDS),
        "canary was slower than 300ms in 24 of 240 (10%), stable in 0 of 2,160 (0%) in the same minutes. \
         Odds against chance 708:1 (needed 100)."
    );
    assert_eq!(
        failed_above(Fault::Failed, arm(24.0, 240.0), 0.02, LevelOrigin::Max, ODDS),
        "canary failed 24 of 240 (10%), surely over the 2.0% set as max. Odds against chance 708:1 (needed 100)."
    );
}

#[test]
fn waiting_tells_what_is_needed_and_how_long() {
    let clean = arm(0.0, 180.0);
    assert_eq!(
        waiting(Traffic::Weight(1), Fault::Failed, clean, CATCH, Some(544), Some(1.0)),
        "Waiting at 1%: 0 of 180 canary requests failed; about 550 more needed to rule out 2x + 1 point, about 9 min."
    );
    assert_eq!(
        waiting(Traffic::Weight(1), SLOW, arm(0.0, 1.0), CATCH, Some(0), None),
        "Waiting at 1%: 0 of 1 canary request slower than 300ms; 2x + 1 point ruled out."
    );
    assert_eq!(
        waiting(Traffic::Weight(1), Fault::Failed, clean, CATCH, None, None),
        "Waiting at 1%: 0 of 180 canary requests failed; not on the way to rule out 2x + 1 point."
    );
    assert_eq!(
        no_canary_traffic(Traffic::Weight(5)),
        "Waiting at 5%: no canary traffic in this step, so nothing is known of it yet."
    );
}

#[test]
fn holding_pausing_and_safety() {
    assert_eq!(
        stable_sick(Traffic::Weight(25), 0.05, 0.001, Some(0.048)),
        "Holding at 25%: stable itself fails 5.0% (0.1% before). Canary 4.8%: not blamed."
    );
    assert_eq!(
        metric_error(Traffic::Weight(10), "Prometheus gave no `total` for stable", 5),
        "Paused at 10%: Prometheus gave no `total` for stable in 5 polls. Nothing rolled back."
    );
    assert_eq!(
        safe(Traffic::Weight(50), Fault::Failed, arm(1.0, 2400.0), Some(arm(2.0, 2400.0)), CATCH),
        "Safe at 50%: canary failed 1 of 2,400 (0.04%), stable 2 of 2,400 (0.08%); 2x + 1 point ruled out."
    );
}

#[test]
fn plain_metrics() {
    let bounds = Bounds { max: Some(1500.0), failures: 3, ..Bounds::default() };
    let cases = [
        (None, 0, "Waiting at 5%: lag has no value yet."),
        (Some(12.5), 0, "Pass at 5%: lag is 12.5, at most 1,500."),
        (Some(1600.0), 1, "Waiting at 5%: lag is 1,600, above 1,500; 1 bad of 3 looks in a row."),
        (Some(1600.0), 3, "lag is 1,600, above 1,500, 3 looks in a row."),
    ];
    for (value, bad, want) in cases {
        assert_eq!(threshold(Traffic::Weight(5), "lag", value, &bounds, bad), want);
    }
}

#[test]
fn estimates_before_a_run() {
    let estimate = |time: Option<u64>, provable| StepEstimate {
        weight: 5,
        requests: Some(1724),
        time: time.map(Duration::from_secs),
        provable,
    };
    let hold = Duration::from_mins(15);
    assert_eq!(
        preflight(10.0, &estimate(Some(3448), false), hold),
        "Step 5%: proof takes 1,724 canary requests without an error, at least 57 min at 10 requests/s in all: \
         longer than its maxHold of 15 min."
    );
    assert_eq!(
        preflight(0.0, &estimate(None, false), hold),
        "Step 5%: proof takes 1,724 canary requests without an error, and there is no traffic."
    );
}
