//! What a Rollout that names a template is judged by.

use std::{sync::Arc, time::Duration};

use tidegate::{
    api::{AnalysisTemplateSpec, EndReason, Mode, Phase, units},
    engine::template::TemplateSeen,
};

use crate::world::{SPEC, World};

const TEMPLATE: &str = r#"
args:
- {name: mesh}
- {name: app, default: color}
analysis:
  provider: default
  interval: 10s
  settle: 10s
  series: {preset: tidegate-gateway, params: {mesh: "{{args.mesh}}-{{ args.app }}", node: "{{name}}"}}
  errorRate: {}
  metrics: [{name: queue, query: 'depth{app="{{args.app}}"}', max: "5"}]
"#;

fn template(yaml: &str) -> TemplateSeen {
    TemplateSeen::Present(Arc::new(serde_saphyr::from_str(yaml).unwrap()))
}

/// The Rollout with an analysis of its own words.
fn world(analysis: &str, template: TemplateSeen) -> World {
    let (before, _) = SPEC.split_once("analysis:").unwrap();
    let mut world = World::new(&format!("{before}analysis: {analysis}\n"));
    world.template = template;
    world.numbers.insert("queue".into(), Ok(1.0));
    world
}

const NAMED: &str = "{templateRef: {name: common}, args: {mesh: m}}";

#[test]
fn what_cannot_be_followed_starts_no_run_and_says_why() {
    let cases = [
        (
            NAMED,
            TemplateSeen::Missing,
            "TemplateNotFound",
            "there is no AnalysisTemplate common in this namespace",
        ),
        (
            NAMED,
            TemplateSeen::Unreadable("it is forbidden".into()),
            "TemplateUnreadable",
            "read: it is forbidden",
        ),
        (
            "{templateRef: {name: common}}",
            template(TEMPLATE),
            "InvalidTemplate",
            "needs the arg mesh; add it to",
        ),
        (
            "{templateRef: {name: common}, args: {mesh: m, port: '80'}}",
            template(TEMPLATE),
            "InvalidTemplate",
            "args has port, which the AnalysisTemplate common does not take (it takes mesh, app)",
        ),
        (
            "{templateRef: {name: common}, args: {mesh: '{{target}}'}}",
            template(TEMPLATE),
            "InvalidTemplate",
            "the arg mesh of the AnalysisTemplate common has a placeholder in its value",
        ),
        (
            NAMED,
            template(&TEMPLATE.replace("default: color", "default: '{{args.mesh}}'")),
            "InvalidTemplate",
            "the arg app of the AnalysisTemplate common has a placeholder in its value",
        ),
        (
            NAMED,
            template(&TEMPLATE.replace("app=\"{{args.app}}\"", "app=\"{{args.other}}\"")),
            "InvalidTemplate",
            "has the placeholder {{args.other}}, and no arg of that name",
        ),
        (
            NAMED,
            template(&TEMPLATE.replace("  errorRate: {}", "  templateRef: {name: another}")),
            "InvalidTemplate",
            "names another template",
        ),
        (
            NAMED,
            template("{args: [{name: mesh}], analysis: {interval: 10s}}"),
            "InvalidTemplate",
            "the AnalysisTemplate common judges nothing; give it at least one of",
        ),
        (
            "{templateRef: {name: common}, args: {mesh: m}, metrics: [{name: a, query: b, max: '1'}]}",
            template(TEMPLATE),
            "InvalidTemplate",
            "judges by something itself; leave one of the two",
        ),
    ];
    for (analysis, template, reason, part) in cases {
        let mut world = world(analysis, template);
        world.run_for(Duration::from_mins(5));
        let (got, message) = (world.condition("Ready"), world.message());
        assert_eq!((world.phase(), got), (Phase::Invalid, Some(("False", reason))), "{message}");
        assert!(message.contains(part), "{part}: {message}");
        assert!(world.writes.is_empty() && world.stored.run.is_none(), "{part}: traffic stays where it is");
    }
}

#[test]
fn before_a_switch_it_must_have_what_judges_there() {
    let strategy = "strategy: {blueGreen: {before: {hold: 1m}, after: {hold: 1m}}}";
    let canary = "strategy: {canary: {hold: 1m, steps: [{weight: 10}, {weight: 50}]}}";
    let with = |template: &str| {
        let mut world = world(NAMED, TemplateSeen::Missing);
        let (before, _) = SPEC.split_once("analysis:").unwrap();
        world.spec = crate::world::spec(&format!("{}analysis: {NAMED}\n", before.replace(canary, strategy)));
        world.template = self::template(template);
        world.settle();
        world
    };
    let without = TEMPLATE.split_once("  metrics:").unwrap().0;
    let refused = with(without);
    assert_eq!(refused.condition("Ready"), Some(("False", "InvalidTemplate")), "{}", refused.message());
    assert!(
        refused.message().contains("before the switch there is nothing to compare"),
        "{}",
        refused.message()
    );
    assert!(with(TEMPLATE).stored.run.is_some());
}

#[test]
fn a_step_that_judges_besides_needs_what_the_template_has() {
    let with = |steps: &str, template: &str| {
        let mut world = world(NAMED, self::template(template));
        let (before, _) = SPEC.split_once("analysis:").unwrap();
        let steps = before.replace("steps: [{weight: 10}, {weight: 50}]", &format!("steps: {steps}"));
        world.spec = crate::world::spec(&format!("{steps}analysis: {NAMED}\n"));
        world.settle();
        world
    };
    let own = "[{weight: 10, analysis: {errorRate: {max: '5%'}}}, {weight: 50}]";
    assert!(with(own, TEMPLATE).stored.run.is_some());
    let numbers = "{args: [{name: mesh}], analysis: {metrics: [{name: queue, query: depth, max: '5'}]}}";
    let refused = with(own, numbers);
    assert_eq!(refused.condition("Ready"), Some(("False", "InvalidTemplate")), "{}", refused.message());
    assert!(refused.message().contains("has no series to find the counters by"), "{}", refused.message());
    let last = "[{weight: 10}, {weight: 100, analysis: {latency: [{under: 1s}]}}]";
    let refused = with(last, TEMPLATE);
    assert!(refused.message().contains("at weight 100 there is nothing to compare"), "{}", refused.message());
}

#[test]
fn until_it_is_known_whether_there_is_one_the_run_waits_and_nothing_is_stalled() {
    let mut world = world(NAMED, TemplateSeen::Pending);
    world.settle();
    assert_eq!(
        (world.phase(), world.condition("Stalled")),
        (Phase::Progressing, Some(("False", "Progressing")))
    );
    world.template = template(TEMPLATE);
    world.run_until("10", |world| world.share("v2") == 10);
}

/// What happens to a world.
type Change = fn(&mut World);

#[test]
fn the_way_back_waits_for_nobody_who_would_judge_it() {
    let cases: [(&str, Change); 4] = [
        ("no template", |world| world.template = TemplateSeen::Missing),
        ("an unfit template", |world| world.template = template("analysis: {templateRef: {name: other}}")),
        ("an unknown provider", |world| world.unknown_providers = vec!["nowhere".into()]),
        ("a query that can't be asked", |world| world.unaskable = Some("it has {{foo}}".into())),
    ];
    for (what, change) in cases {
        let mut world = world(&format!("{NAMED}\nrollbackWindow: {{within: 24h}}"), template(TEMPLATE));
        world.run_until("healthy", |world| world.phase() == Phase::Healthy);
        assert_eq!(world.share("v2"), 100);
        change(&mut world);
        world.spec.target = crate::world::spec(&SPEC.replace("v2", "v1")).target;
        world.run_until(what, |world| world.share("v1") == 100 && world.phase() == Phase::Healthy);
    }
}

#[test]
fn a_run_keeps_what_it_began_with() {
    let mut world = world(NAMED, TemplateSeen::Missing);
    world.settle();
    assert_eq!(world.phase(), Phase::Invalid);
    world.template = template(TEMPLATE);
    world.run_until("10", |world| world.share("v2") == 10);
    let frozen = world.stored.run.as_ref().unwrap().analysis.clone().unwrap();
    let series = frozen.series.as_ref().unwrap();
    assert_eq!(series.params["mesh"], "m-color", "args are put into params");
    assert_eq!(series.params["node"], "{{name}}", "what is the preset's own stays");
    assert_eq!(frozen.metrics[0].query, r#"depth{app="{{args.app}}"}"#, "a query is filled at the look");
    assert_eq!(
        frozen.args.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["app=color", "mesh=m"]
    );

    let TemplateSeen::Present(known) = world.template.clone() else { panic!("it is there") };
    let mut edited = AnalysisTemplateSpec::clone(&known);
    edited.analysis.mode = Mode::Observe;
    edited.analysis.interval = units::Duration::of(Duration::from_mins(5));
    edited.analysis.error_rate = None;
    world.template = TemplateSeen::Present(Arc::new(edited));
    world.run_for(Duration::from_secs(20));
    world.template = TemplateSeen::Missing;
    world.restart();
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("rolled back by the rules of its start", |world| world.phase() == Phase::Failed);
    assert_eq!(world.working.history[0].outcome, EndReason::Failed);
    assert_eq!(world.stored.run.as_ref().unwrap().analysis, Some(frozen));
}

#[test]
fn the_rollouts_own_observe_counts_at_once() {
    let mut world = world(NAMED, template(TEMPLATE));
    world.run_until("10", |world| world.share("v2") == 10);
    world.spec.analysis.as_mut().unwrap().mode = Mode::Observe;
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("50, though it fails", |world| world.share("v2") == 50);
    world.spec.analysis.as_mut().unwrap().mode = Mode::Enforce;
    world.run_until("rolled back", |world| world.phase() == Phase::Failed);

    // A run that began without a template takes the mode of its Rollout, which names one now.
    let (_, inline) = SPEC.split_once("analysis:\n").unwrap();
    let mut world = self::world(&format!("\n{inline}  mode: Observe"), TemplateSeen::Missing);
    world.run_until("10", |world| world.share("v2") == 10);
    world.spec.analysis =
        crate::world::spec(&format!("{}analysis: {NAMED}\n", SPEC.split_once("analysis:").unwrap().0))
            .analysis;
    world.traffic.failing.insert("v2".into(), 0.3);
    world.run_until("rolled back", |world| world.phase() == Phase::Failed);
}
