//! What is wrong between objects, and what the engine makes of it.

use super::*;

#[test]
fn what_the_engine_would_refuse() {
    let route = |from: &str, to: &str| ROUTE.replace(from, to);
    let by = |text: &str, from: &str, to: &str| text.replace(from, to);
    let lone = "{apiVersion: appmesh.k8s.aws/v1beta2, kind: GatewayRoute, metadata: {name: shop, namespace: web}, spec: {httpRoute: \
                {match: {prefix: /}, action: {target: {virtualService: {virtualServiceRef: {name: v1}}}}}}}";
    let of_lone =
        by(GOOD, "gateway.networking.k8s.io, kind: HTTPRoute", "appmesh.k8s.aws, kind: GatewayRoute");
    let on_main = by(GOOD, "name: shop}]", "name: shop, rule: main}]");
    let cases = [
        (
            GOOD.to_owned(),
            ROUTE.to_owned(),
            "HTTPRoute shop (b.yaml): its rules do not all send their traffic to one target",
        ),
        (on_main.clone(), ROUTE.to_owned(), ""),
        (
            by(GOOD, "name: shop}]", "name: shop, rule: mian}]"),
            ROUTE.to_owned(),
            "it has no rule named mian (main, other)",
        ),
        (
            on_main.clone(),
            route("weight: 100}", "weight: 90}, {name: v0, weight: 10}"),
            "spec.routes: HTTPRoute shop, rule main splits traffic",
        ),
        (on_main.clone(), route("weight: 100", "weight: 0"), "gives no target any weight; give stable 100"),
        (
            by(&on_main, "target: {name: v2}", "target: {name: v2}\n  stable: {name: v0}")
                .replace("rule: main", "target: a, stable: b"),
            ROUTE.to_owned(),
            "none of its rules lists v0, which is stable",
        ),
        (
            of_lone,
            lone.to_owned(),
            "replace action.target by weightedTargets: [{\"virtualServiceRef\":{\"name\":\"v1\"}",
        ),
        (BLUE_GREEN.to_owned(), ROUTE.to_owned(), ""),
        (
            BLUE_GREEN.to_owned(),
            route("{name: main,", "{name: main, matches: [{headers: [{name: X-Preview, value: a}]}],"),
            "spec.strategy: HTTPRoute shop tells requests apart by the header x-preview itself",
        ),
        (
            by(NAMES_IT, "strategy: {canary: {steps: [{weight: 5}]}}", "strategy: {blueGreen: {}}"),
            by(
                TEMPLATE,
                "metrics: [{name: lag, query: 'lag{app=\"{{args.app}}\",tier=\"{{args.tier}}\"}', max: \"5\"}]",
                "series: {preset: istio}, errorRate: {}",
            ),
            "spec.analysis.templateRef: spec.strategy.blueGreen: before the switch there is nothing to compare",
        ),
    ];
    for (rollout, beside, want) in cases {
        judge(&found(&[&rollout, &beside]), want, &rollout);
    }
    let off = found_with(
        &[BLUE_GREEN, ROUTE],
        Some("providers: {p: {prometheus: {url: 'http://p', scrapeInterval: 15s}}}"),
        None,
    );
    judge(
        &off,
        "error: Rollout shop: spec.strategy: a preview, or a step with a match, needs a route of our own",
        "previews off",
    );
}

#[test]
fn references_are_found_missing_only_where_others_of_their_kind_are() {
    let workload = GOOD.replace(
        "target: {name: v2}",
        "target: {name: v2, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: v2}}",
    );
    let deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: NAME, namespace: web}}";
    let [there, other] = ["v2", "v9"].map(|name| deployment.replace("NAME", name));
    let elsewhere = there.replace("namespace: web", "namespace: db");
    let anywhere = there.replace(", namespace: web", "");
    let cases: [(&[&str], &str); 9] = [
        (&[GOOD], "note: Rollout shop: spec.routes[0]: HTTPRoute shop is not among these files; not checked"),
        (
            &[GOOD, &ROUTE.replace("name: shop", "name: cart")],
            "warning: Rollout shop: spec.routes[0]: HTTPRoute shop is not among",
        ),
        (
            &[&workload],
            "note: Rollout shop: spec.target.workloadRef: Deployment v2 is not among these files; not checked",
        ),
        (
            &[&workload, &other],
            "warning: Rollout shop: spec.target.workloadRef: Deployment v2 is not among these files, where",
        ),
        (&[&workload, &elsewhere], "warning: Rollout shop: spec.target.workloadRef: Deployment v2"),
        (&[&workload, &there], ""),
        (&[&workload, &anywhere], ""),
        (
            &[NAMES_IT],
            "note: Rollout shop: spec.analysis.templateRef: AnalysisTemplate judged is not among these files",
        ),
        (
            &[NAMES_IT, &TEMPLATE.replace("name: judged", "name: other")],
            "warning: Rollout shop: spec.analysis.templateRef: AnalysisTemplate judged",
        ),
    ];
    for (texts, want) in cases {
        judge(&found(texts), want, texts.last().unwrap());
    }
}

#[test]
fn a_template_gets_its_args() {
    cases(
        &[TEMPLATE],
        &[
            (NAMES_IT, "app: shop", "app: shop", ""),
            (
                NAMES_IT,
                "{weight: 5}",
                "{weight: 5, analysis: {metrics: [{name: own, query: 'sum(', max: '1'}]}}",
                "Rollout shop: spec.strategy.canary.steps[0].analysis.metrics[0].query: the query own is no PromQL",
            ),
            (
                NAMES_IT,
                "app: shop",
                "app: shop, apo: x",
                "spec.analysis.args has apo, which the AnalysisTemplate judged does not take (it takes app, tier)",
            ),
            (
                NAMES_IT,
                ", args: {app: shop}",
                "",
                "the AnalysisTemplate judged needs the arg app; add it to spec.analysis.args",
            ),
        ],
    );
    cases(
        &[NAMES_IT],
        &[
            (
                TEMPLATE,
                "{{args.tier}}",
                "{{args.teir}}",
                "AnalysisTemplate judged: spec.analysis: the AnalysisTemplate judged has the placeholder {{args.teir}}",
            ),
            (
                TEMPLATE,
                "\"}'",
                "\"'",
                "warning: AnalysisTemplate judged: spec.analysis.metrics[0].query: the query lag is no PromQL",
            ),
            (
                TEMPLATE,
                "metrics:",
                "metrcs:",
                "AnalysisTemplate judged: spec.analysis: analysis must name at least one of errorRate",
            ),
        ],
    );
}

#[test]
fn two_of_the_same_and_two_on_the_same() {
    let second = GOOD.replace("name: shop, namespace", "name: second, namespace");
    let [main, other] =
        ["main", "other"].map(|rule| second.replace("name: shop}]", &format!("name: shop, rule: {rule}}}]")));
    let first = GOOD.replace("name: shop}]", "name: shop, rule: main}]");
    let cases: [(&[&str], &str); 6] = [
        (&[&first, &first, ROUTE], "b.yaml: error: Rollout shop: metadata.name: a.yaml is this object too"),
        (
            &[&first, &main, ROUTE],
            "b.yaml: error: Rollout second: spec.routes[0]: HTTPRoute shop (rule main) is stepped by the Rollout shop (a.yaml) too",
        ),
        (&[&first, &main], "HTTPRoute shop (rule main) is stepped by the Rollout shop (a.yaml) too"),
        (&[GOOD, &main], "HTTPRoute shop is stepped by the Rollout shop (a.yaml) too"),
        (&[&first, &other, ROUTE], ""),
        (&[&first, &main.replace("namespace: web", "namespace: db")], ""),
    ];
    for (texts, want) in cases {
        judge(&found(texts), want, &texts.concat());
    }
}
