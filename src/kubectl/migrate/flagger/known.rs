//! Fields of Flagger's objects that have no counterpart, and what to do instead.

use super::super::ledger::Known;

const OF_ROUTE: &str = "Flagger made the route and the Services from it. Keep those as manifests of your own; Tidegate changes weights in \
     the route, and nothing else";
const OF_LIST: &str =
    "steps, weights or iterations were taken from other fields of the analysis, as Flagger does";
const CONFIGURED: &str = "how a provider is reached is in the controller's configuration, beside its address";
const READY: &str = "a version gets traffic with one ready pod, or with as many as scale asks for";
const CONFIRMED: &str = "a Rollout names no addresses: a person gives the approval with a promote; or list what is asked as a gate in the controller's \
     configuration, and name it in the step's gates in place of the approval";
const MIRRORED: &str = "mirrors are for the steps of a canary on a route that has them: a GatewayRoute, an HTTPRoute or a GRPCRoute";

macro_rules! of_analysis {
    ($($field:literal => $message:expr),+ $(,)?) => {
        &[$((concat!("spec.analysis.", $field), $message), (concat!("spec.canaryAnalysis.", $field), $message)),+]
    };
}

/// Of a Canary.
pub(super) const OF_CANARY: &[Known] = &[
    (
        "spec.autoscalerRef",
        "each version is a Deployment of its own, so give each an autoscaler of its own; Tidegate scales nothing against one",
    ),
    ("spec.metricsServer", "no check that is carried over asks it"),
    (
        "spec.ingressRef",
        "Ingresses are not stepped: put an HTTPRoute (Gateway API) in its place and name it in spec.routes",
    ),
    (
        "spec.routeRef",
        "ApisixRoutes are not stepped: put an HTTPRoute (Gateway API) in its place and name it in spec.routes",
    ),
    (
        "spec.upstreamRef",
        "Upstreams are not stepped: put an HTTPRoute (Gateway API) in its place and name it in spec.routes",
    ),
    (
        "spec.revertOnDeletion",
        "set it to false before you delete the Canary, and delete that with --cascade=orphan: else its route and the pods that have \
         the traffic go with it",
    ),
    ("spec.suspend", "suspend: true is set above, whatever it was"),
    ("spec.service.portName", OF_ROUTE),
    ("spec.service.targetPort", OF_ROUTE),
    ("spec.service.portDiscovery", OF_ROUTE),
    ("spec.service.appProtocol", OF_ROUTE),
    ("spec.service.timeout", OF_ROUTE),
    ("spec.service.gateways", OF_ROUTE),
    ("spec.service.gatewayRefs", OF_ROUTE),
    ("spec.service.hosts", OF_ROUTE),
    ("spec.service.delegation", OF_ROUTE),
    ("spec.service.trafficPolicy", OF_ROUTE),
    ("spec.service.match", OF_ROUTE),
    ("spec.service.rewrite", OF_ROUTE),
    ("spec.service.retries", OF_ROUTE),
    ("spec.service.headers", OF_ROUTE),
    ("spec.service.corsPolicy", OF_ROUTE),
    ("spec.service.mirror", OF_ROUTE),
    ("spec.service.meshName", OF_ROUTE),
    ("spec.service.backends", OF_ROUTE),
    ("spec.service.apex", OF_ROUTE),
    ("spec.service.primary", OF_ROUTE),
    ("spec.service.canary", OF_ROUTE),
];

/// Of a Canary's analysis, by both names that it has.
pub(super) const OF_ANALYSIS: &[Known] = of_analysis! {
    "stepWeightPromotion" => "the canary becomes stable itself: no traffic goes back to a primary, so nothing is shifted again. \
        For more shares before 100 add steps",
    "mirror" => MIRRORED,
    "mirrorWeight" => MIRRORED,
    "primaryReadyThreshold" => READY,
    "canaryReadyThreshold" => READY,
    "sessionAffinity" => "nobody is kept on one version by a cookie: each request goes by the weights; a header that a match asks for \
        keeps its senders on the canary",
    "alerts" => "who is told what is in the controller's configuration: list a receiver in notifications, for all Rollouts or for \
        those of some namespaces",
    "maxWeight" => OF_LIST,
    "stepWeight" => OF_LIST,
    "stepWeights" => OF_LIST,
    "iterations" => OF_LIST,
    "match" => OF_LIST,
    "metrics[].interval" => "counters are read at each look, and what was counted since the last one is judged: there is no window",
    "metrics[].templateVariables" => "its query does not use it",
    "webhooks[].name" => CONFIRMED,
    "webhooks[].url" => CONFIRMED,
    "webhooks[].timeout" => CONFIRMED,
    "webhooks[].metadata" => CONFIRMED,
    "webhooks[].muteAlert" => CONFIRMED,
    "webhooks[].disableTLS" => CONFIRMED,
    "webhooks[].retries" => CONFIRMED,
    "threshold" => "errors and slow requests are judged by evidence, not by a number of checks",
};

/// Of a MetricTemplate.
pub(super) const OF_TEMPLATE: &[Known] = &[
    ("spec.provider.secretRef", CONFIGURED),
    ("spec.provider.insecureSkipVerify", CONFIGURED),
    ("spec.provider.region", CONFIGURED),
    ("spec.provider.headers", CONFIGURED),
];

/// What to do in place of a webhook.
pub(super) fn of_webhook(kind: &str) -> &'static str {
    match kind {
        "pre-rollout" => {
            "let CI test the version before it changes spec.target; or list what is asked as a gate in the controller's \
             configuration, and name it in gates.before of the first step"
        }
        "post-rollout" => {
            "let CI wait for the run to end (kubectl wait), and then do it; or list a receiver in notifications of the \
             controller's configuration that is told when a run was Promoted or RolledBack"
        }
        "rollback" => {
            "whoever wants a run to go back writes the annotation tidegate.dev/abort; or list what is asked as a gate in the \
             controller's configuration, and name it in gates.during of each step: its no rolls back"
        }
        "event" => {
            "list it as a receiver in notifications of the controller's configuration: a webhook, or one of CloudEvents"
        }
        _ => {
            "let load come from elsewhere; a check can be a metric, of a provider of kind web where it answers in JSON, or a gate \
             of the controller's configuration in gates.during"
        }
    }
}
