//! What is wrong with an object by itself.

use super::*;

#[test]
fn what_an_api_server_would_refuse() {
    cases(
        &[],
        &[
            (GOOD, "hold: 1m", "hold: 1m", ""),
            (
                GOOD,
                "hold: 1m",
                "hold: 1 minute",
                "canary.hold: \"1 minute\" is not a duration; it must be like 30s",
            ),
            (
                GOOD,
                "hold: 1m",
                "hold: 60",
                "canary.hold: it must be of type string, and is of type integer; write it in quotes",
            ),
            (GOOD, "hold: 1m", "hodl: 1m", "canary.hodl: there is no such field; hold is meant perhaps"),
            (GOOD, "hold: 1m", "colour: red", "canary.colour: there is no such field; remove it"),
            (
                GOOD,
                "{weight: 50}",
                "{weight: 50, maxhold: 2m}",
                "steps[1].maxhold: there is no such field; maxHold is",
            ),
            (
                GOOD,
                "{weight: 50}",
                "{weight: 101}",
                "steps[1].weight: 101: spec.strategy.canary.steps[1].weight in body should be",
            ),
            (GOOD, "{weight: 50}", "{weight: 5}", "spec.strategy.canary: the weights of steps must increase"),
            (
                GOOD,
                "{weight: 50}",
                "{weight: 50, hold: 2m, maxHold: 1m}",
                "a step's hold must not be longer than its maxHold",
            ),
            (GOOD, "  target: {name: v2}\n", "", "Rollout shop: spec.target: it is missing; add it"),
            (
                GOOD,
                "errorRate: {}",
                "errorRate: {max: '5'}",
                "errorRate.max: \"5\" is not a share; it must be a percentage",
            ),
            (
                GOOD,
                "max: \"5\"",
                "max: \"5e1\"",
                "metrics[0].max: \"5e1\" is not a number; it must be a decimal string",
            ),
            (
                GOOD,
                "preset: istio",
                "preset: isto",
                "preset: Unsupported value: \"isto\": supported values: \"tidegate-gateway\"",
            ),
            (
                GOOD,
                "name: shop, namespace",
                "namespace",
                "Rollout without a name: metadata.name: it is missing; add it",
            ),
            (
                GOOD,
                "namespace: web",
                "annotations: {a: true}",
                "metadata.annotations.a: invalid type: boolean `true`",
            ),
            (
                GOOD,
                "dev/v1alpha1",
                "dev/v1",
                "apiVersion: tidegate.dev/v1 has no such kind; it must be tidegate.dev/v1alpha1",
            ),
            (
                GOOD,
                "apiVersion: tidegate.dev/v1alpha1\n",
                "",
                "apiVersion: it is missing; it must be tidegate.dev/v1alpha1",
            ),
            (GOOD, "tidegate.dev", "argoproj.io", "note: Rollout shop: apiVersion: it is Argo's"),
            (TEMPLATE, "metrics: ", "args: {a: b}, metrics: ", "a template names no other template"),
            (
                TEMPLATE,
                "default: web",
                "defualt: web",
                "spec.args[1].defualt: there is no such field; default is meant",
            ),
        ],
    );
}

#[test]
fn a_gateway_route_has_a_schema_too() {
    let route = "{apiVersion: appmesh.k8s.aws/v1beta2, kind: GatewayRoute, metadata: {name: r}, spec: {httpRoute: {match: {prefix: /}, \
                 action: {weightedTargets: [{virtualServiceRef: {name: v1}, weight: 100}]}}}}";
    cases(
        &[],
        &[
            (route, "prefix: /", "prefix: /", ""),
            (
                route,
                "prefix: /",
                "prefx: /",
                "GatewayRoute r: spec.httpRoute.match.prefx: there is no such field; prefix is meant",
            ),
            (route, "v1beta2", "v1beta1", "it must be appmesh.k8s.aws/v1beta2"),
            (route, "weight: 100", "weight: -1", "weightedTargets[0].weight: -1: "),
        ],
    );
}

#[test]
fn a_list_is_what_is_in_it_and_bad_yaml_hides_no_other_document() {
    let text = format!(
        "# a comment\n---\nkind: List\napiVersion: v1\nitems:\n- {{kind: Rollout, apiVersion: tidegate.dev/v1alpha1}}\n- {{kind: Secret}}\n---\na: [1\n---\njust: values\n---{GOOD}"
    );
    let lines = found(&[&text]);
    let want = [
        "a.yaml#1: error: Rollout without a name: metadata.name: it is missing; add it",
        "a.yaml#2: error: line 9: bad YAML: ",
        "a.yaml#3: note: kind: it is no Kubernetes object, for it has no kind; it is not checked",
        "a.yaml#4: note: Rollout shop: spec.routes[0]: ",
    ];
    for want in want {
        assert!(lines.iter().any(|line| line.starts_with(want)), "{want}: {lines:#?}");
    }
    assert_eq!(lines.last().unwrap(), "1 file, 3 objects: 3 errors, 0 warnings");
}
