use super::*;

/// A Rollout of generation 3 whose target is v2, with this status.
fn rollout(status: &str) -> Rollout {
    serde_saphyr::from_str(&format!(
        "{{apiVersion: tidegate.dev/v1alpha1, kind: Rollout, metadata: {{name: c, generation: 3}}, spec: {{routes: [],
          target: {{name: v2}}, strategy: {{canary: {{steps: [{{weight: 5}}]}}}}}}, status: {{{status}}}}}"
    ))
    .unwrap()
}

const RUN: &str = "run: {number: 7, startedAt: '2026-01-01T00:00:00Z', plan: [], progressDeadline: 1h, onDeadline: Pause, \
                   withoutProgress: 0s";
const TO_V2: &str = "observedGeneration: 3, stable: {name: v1}, canary: {name: v2}, message: so it is";

fn paused(reason: &str) -> String {
    format!(
        "{TO_V2}, phase: Paused, {RUN}, pause: {{reason: {reason}, message: act, since: '2026-01-01T00:00:00Z'}}}}"
    )
}

fn at_step(index: i32, stored: &str) -> String {
    format!(
        "{TO_V2}, phase: Progressing, {RUN}}}, step: {{index: {index}, of: 3, label: a, weight: 5, elapsed: 0s{stored}}}"
    )
}

fn to(goal: &str) -> Wanted {
    Wanted { goal: goal.parse().unwrap(), ..Wanted::default() }
}

#[test]
fn goals_are_words() {
    assert_eq!("healthy".parse(), Ok(Goal::Healthy));
    assert_eq!("step=2".parse(), Ok(Goal::Step(2)));
    for bad in ["", "Healthy", "step", "step=0", "step=x", "step=-1"] {
        assert!(bad.parse::<Goal>().unwrap_err().contains("step=N"), "{bad}");
    }
}

#[test]
fn where_a_rollout_is_seen_from_what_is_wanted() {
    let failed = || Seen::Failed("so it is".to_owned());
    let awaits = || Seen::Awaits("act".to_owned());
    let live = "observedGeneration: 3, stable: {name: v2}, phase: Healthy";
    let stored = ", storedAt: '2026-01-01T00:00:00Z'";
    #[rustfmt::skip]
    let cases = [
        ("nobody has seen it", String::new(), "healthy", Seen::UnderWay),
        ("healthy with the version before", live.replace("v2", "v1"), "healthy", Seen::UnderWay),
        ("healthy before the last change", live.replace('3', "2"), "healthy", Seen::UnderWay),
        ("live", live.to_owned(), "healthy", Seen::Reached),
        ("live, past any step", live.to_owned(), "step=9", Seen::Reached),
        ("failed", format!("{TO_V2}, phase: Failed"), "healthy", failed()),
        ("failed with another one", format!("{TO_V2}, phase: Failed").replace("v2", "v9"), "healthy", Seen::UnderWay),
        ("on its way back", format!("{TO_V2}, phase: RollingBack"), "healthy", Seen::UnderWay),
        ("asked for approval", paused("Approval"), "healthy", awaits()),
        ("paused by somebody", paused("Requested"), "step=9", awaits()),
        ("paused until there is proof", paused("Inconclusive"), "healthy", Seen::UnderWay),
        ("paused while the metrics are down", paused("MetricError"), "healthy", Seen::UnderWay),
        ("paused, as wanted", paused("MetricError"), "paused", Seen::Reached),
        ("paused, as wanted, by a person", paused("Drifted"), "paused", Seen::Reached),
        ("before its step", at_step(1, stored), "step=2", Seen::UnderWay),
        ("its step is intended", at_step(2, ""), "step=2", Seen::UnderWay),
        ("its step is written", at_step(2, stored), "step=2", Seen::Reached),
        ("past its step", at_step(3, ""), "step=2", Seen::Reached),
        ("suspended", format!("{TO_V2}, phase: Suspended"), "healthy", Seen::Awaits("spec.suspend keeps all hands off it".to_owned())),
        ("invalid", format!("{TO_V2}, phase: Invalid"), "healthy", Seen::Invalid("so it is".to_owned())),
    ];
    for (name, status, goal, want) in cases {
        assert_eq!(seen(&rollout(&status), &to(goal), false), want, "{name}");
    }
}

#[test]
fn only_what_was_asked_for_counts() {
    let live = rollout("observedGeneration: 3, stable: {name: v2}, phase: Healthy");
    let target = |name: &str| Wanted { target: Some(name.to_owned()), ..Wanted::default() };
    assert_eq!(seen(&live, &target("v2"), false), Seen::Reached);
    assert_eq!(seen(&live, &target("v9"), false), Seen::UnderWay, "Git has not come through yet");
    assert!(matches!(seen(&live, &target("v9"), true), Seen::Failed(why) if why.contains("no longer v9")));
    let ours = Wanted { written: Some(3), ..target("v9") };
    assert!(matches!(seen(&live, &ours, false), Seen::Failed(_)), "somebody else changed what we wrote");
    let ours = Wanted { written: Some(4), ..target("v2") };
    assert_eq!(seen(&live, &ours, false), Seen::UnderWay, "a cache that is behind our own write");
    let again = Wanted { run: Some(8), ..Wanted::default() };
    let failed = rollout(&format!("{TO_V2}, phase: Failed, {RUN}}}"));
    assert_eq!(seen(&failed, &again, false), Seen::UnderWay, "that was the run before");
    assert!(matches!(seen(&failed, &Wanted { run: Some(7), ..again }, false), Seen::Failed(_)));
}
