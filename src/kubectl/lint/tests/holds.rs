//! Steps and their times.

use super::*;

#[test]
fn steps_finish_within_their_holds() {
    let steps = "steps: [{weight: 5}, {weight: 50}]";
    let failures = |failures: u32, more: &str| format!("max: \"5\", failures: {failures}{more}}}]");
    cases(
        &[],
        &[
            (GOOD, "interval: 10s", "interval: 3m", ""),
            (
                GOOD,
                "interval: 10s",
                "interval: 3m",
                "note: Rollout shop: spec.strategy.canary.steps[0]: its hold of 1m is shorter than the interval of 3m",
            ),
            (
                GOOD,
                "interval: 10s",
                "interval: 4m",
                "error: Rollout shop: spec.strategy.canary.steps[0]: with an interval of 4m nothing is judged before its maxHold of 3m is over",
            ),
            (GOOD, "interval: 10s", "interval: 4m\n    mode: Observe", ""),
            // 18 more looks are 3 minutes, as long as maxHold.
            (GOOD, "max: \"5\"}]", &failures(19, ""), ""),
            (
                GOOD,
                "max: \"5\"}]",
                &failures(20, ""),
                "error: Rollout shop: spec.strategy.canary.steps[1]: the metric lag fails after 20 bad looks in a row, 10s apart, which takes 3m10s; its maxHold is 3m",
            ),
            (GOOD, "max: \"5\"}]", &failures(20, ", mode: Observe"), ""),
            (GOOD, "max: \"5\"}]", &failures(20, ", interval: 5s"), ""),
            (
                GOOD,
                "max: \"5\"}]",
                &format!("{}\n    onInconclusive: Advance", failures(20, "")),
                "it can never fail there, and a bad canary goes on",
            ),
            (
                GOOD,
                "max: \"5\"}]",
                &format!("{}\n    onInconclusive: Rollback", failures(20, "")),
                "warning: Rollout shop: spec.strategy.canary.hold: the metric lag fails after 20",
            ),
            // The default deadline is 18 minutes: maxHold and a quarter of an hour.
            (GOOD, "interval: 10s", "interval: 10s\n    settle: 14m", ""),
            (
                GOOD,
                "interval: 10s",
                "interval: 10s\n    settle: 15m",
                "warning: Rollout shop: spec.strategy.canary.hold: its maxHold of 3m begins after the settling of 15m",
            ),
            (
                GOOD,
                "interval: 10s",
                "interval: 10s\n    settle: 17m",
                "its hold of 1m begins after the settling of 17m, and the progress deadline of 18m is over before it ends: no run ever finishes",
            ),
            (
                GOOD,
                steps,
                "steps: [{weight: 5, analysis: {metrics: [{name: own, query: up, max: '1', failures: 99}]}}, {weight: 50}]",
                "spec.strategy.canary.steps[0]: the metric own fails after 99",
            ),
        ],
    );
}

#[test]
fn a_rate_tells_what_can_be_proved() {
    let at = |rate| found_with(&[GOOD], None, Some(rate));
    judge(&at(100.0), "", "much traffic");
    judge(
        &at(1.0),
        "warning: Rollout shop: spec.strategy.canary.steps[1]: Step 50%: proof takes 724 canary requests without an error, at least",
        "little traffic",
    );
    assert!(!at(1.0).concat().contains("Step 5%"), "no proof is asked for below proveFrom");
    let text = GOOD.replace("interval: 10s", "interval: 10s\n    mode: Observe");
    judge(&found_with(&[&text], None, Some(1.0)), "", "nothing is acted on");
}

#[test]
fn a_provider_settles_as_it_is_configured() {
    let scraped = |every: &str| {
        format!("providers: {{p: {{prometheus: {{url: 'http://p', scrapeInterval: {every}}}}}}}")
    };
    judge(&found_with(&[GOOD], Some(&scraped("1m")), None), "", "1m");
    let late = "begins after the settling of 16m, and the progress deadline of 18m is over before it ends";
    judge(&found_with(&[GOOD], Some(&scraped("8m")), None), late, "8m");
}
