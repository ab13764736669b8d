//! Fields of Argo's objects that have no counterpart, and what to do instead.

use super::super::ledger::Known;

const VERSIONS: &str = "Argo makes the pods of every version from this one template; here each version is a Deployment of its \
     own, with a name of its own, and a release changes spec.target. Write that Deployment, with these fields, for the \
     version that is live and for the next one";
const SURGE: &str = "nothing is replaced pod by pod: both versions run in full beside each other. What a Deployment does with its own \
     pods is in its strategy";
const METADATA: &str =
    "no pod changes its part: put the labels that tell the versions apart into each version's Deployment";
const AFFINITY: &str = "put it into the pod template of each version's Deployment";
const RETAINED: &str = "there are no AnalysisRuns to keep; the last ten runs are in status.history";
const REVISIONS: &str = "there are no revisions: an old version is a Deployment of its own, and retire says when it is scaled down";
const CONFIGURED: &str =
    "how a Prometheus is reached is in the controller's configuration, beside its address";
const UNUSED: &str = "no metric that is carried over uses it";
const NO_ROUTER: &str = "no kind of route that Tidegate can step; put an HTTPRoute (Gateway API) in its place, with one Service a version in \
     backendRefs, and name it in spec.routes";

/// Of a Rollout.
pub(super) const OF_ROLLOUT: &[Known] = &[
    ("spec.template", VERSIONS),
    ("spec.selector", VERSIONS),
    ("spec.replicas", VERSIONS),
    ("spec.minReadySeconds", VERSIONS),
    ("spec.workloadRef", VERSIONS),
    ("spec.revisionHistoryLimit", REVISIONS),
    ("spec.restartAt", "restart pods with kubectl rollout restart on the version's Deployment"),
    ("spec.analysis", RETAINED),
    ("spec.paused", "pause a run with a request; suspend: true, which is set above, is for hands-on work"),
    ("spec.strategy.canary.maxSurge", SURGE),
    ("spec.strategy.canary.maxUnavailable", SURGE),
    ("spec.strategy.blueGreen.maxUnavailable", SURGE),
    ("spec.strategy.canary.antiAffinity", AFFINITY),
    ("spec.strategy.blueGreen.antiAffinity", AFFINITY),
    ("spec.strategy.canary.canaryMetadata", METADATA),
    ("spec.strategy.canary.stableMetadata", METADATA),
    ("spec.strategy.blueGreen.activeMetadata", METADATA),
    ("spec.strategy.blueGreen.previewMetadata", METADATA),
    ("spec.strategy.canary.scaleDownDelayRevisionLimit", REVISIONS),
    ("spec.strategy.blueGreen.scaleDownDelayRevisionLimit", REVISIONS),
    (
        "spec.strategy.canary.abortScaleDownDelaySeconds",
        "retire.after holds for a canary that failed as for what was stable; there is one time for both",
    ),
    (
        "spec.strategy.blueGreen.abortScaleDownDelaySeconds",
        "retire.after holds for a target that failed as for what was stable; there is one time for both",
    ),
    (
        "spec.strategy.canary.dynamicStableScale",
        "stable keeps its replicas until the run is over, so that it can take everything back at once; retire scales it \
         down afterwards",
    ),
    (
        "spec.strategy.canary.minPodsPerReplicaSet",
        "a scale of a step says how many replicas the canary has at least; stable keeps its own",
    ),
    (
        "spec.strategy.canary.trafficRouting.managedRoutes",
        "not needed: for a step with a match the controller makes a route of its own and takes it away again",
    ),
    (
        "spec.strategy.canary.trafficRouting.istio",
        "VirtualServices and DestinationRules are not stepped. Istio serves the Gateway API: put an HTTPRoute in place of \
         the VirtualService, with one Service a version in backendRefs in place of the subsets, and name it in spec.routes. \
         Its metrics are the preset istio",
    ),
    (
        "spec.strategy.canary.trafficRouting.alb",
        "Ingress annotations are not stepped: put an HTTPRoute (Gateway API) in the Ingress's place, with one Service a version in \
         backendRefs, and name it in spec.routes. Its metrics are the preset alb",
    ),
    (
        "spec.strategy.canary.trafficRouting.nginx",
        "Ingress annotations are not stepped: put an HTTPRoute (Gateway API) in the Ingress's place, with one Service a version in \
         backendRefs, and name it in spec.routes",
    ),
    ("spec.strategy.canary.trafficRouting.smi", NO_ROUTER),
    ("spec.strategy.canary.trafficRouting.traefik", NO_ROUTER),
    ("spec.strategy.canary.trafficRouting.apisix", NO_ROUTER),
    ("spec.strategy.canary.trafficRouting.ambassador", NO_ROUTER),
    (
        "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.httpRoutes[].useHeaderRoutes",
        "a match gets a route beside each of spec.routes",
    ),
    (
        "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.grpcRoutes[].useHeaderRoutes",
        "a match gets a route beside each of spec.routes",
    ),
    ("spec.strategy.canary.trafficRouting.plugins", NO_ROUTER),
    (
        "spec.strategy.canary.steps[].setMirrorRoute.match",
        "all requests of the route may be copied, by share; a mirror chooses none",
    ),
    (
        "spec.strategy.canary.steps[].setMirrorRoute.name",
        "a mirror stands in the route itself, in the step's write, and needs no name",
    ),
    (
        "spec.strategy.canary.steps[].experiment",
        "there are no experiments; run them beside the rollout, and give a version that passed as spec.target",
    ),
    (
        "spec.strategy.canary.steps[].plugin",
        "steps run no plugins; let CI do it before it changes spec.target, or judge what it measures as a metric",
    ),
    (
        "spec.strategy.canary.steps[].replicaProgressThreshold",
        "traffic grows once the canary has the ready pods that scale asks for, and one at least",
    ),
    (
        "spec.strategy.canary.steps[].setCanaryScale.matchTrafficWeight",
        "no replicas follow the weight; leave scale out, or give the canary what it needs at each step, or an autoscaler",
    ),
    (
        "spec.strategy.canary.analysis.startingStep",
        "metrics are judged from the first step on; put those that shall begin later into the analysis of a later step",
    ),
    ("spec.strategy.canary.analysis.measurementRetention", RETAINED),
    ("spec.strategy.canary.analysis.analysisRunMetadata", RETAINED),
    ("spec.strategy.canary.steps[].analysis.measurementRetention", RETAINED),
    ("spec.strategy.canary.steps[].analysis.analysisRunMetadata", RETAINED),
    ("spec.strategy.blueGreen.prePromotionAnalysis.measurementRetention", RETAINED),
    ("spec.strategy.blueGreen.prePromotionAnalysis.analysisRunMetadata", RETAINED),
    ("spec.strategy.blueGreen.postPromotionAnalysis.measurementRetention", RETAINED),
    ("spec.strategy.blueGreen.postPromotionAnalysis.analysisRunMetadata", RETAINED),
    ("spec.strategy.canary.analysis.args", UNUSED),
    ("spec.strategy.canary.analysis.dryRun", UNUSED),
    ("spec.strategy.canary.steps[].analysis.args", UNUSED),
    ("spec.strategy.canary.steps[].analysis.dryRun", UNUSED),
    ("spec.strategy.blueGreen.prePromotionAnalysis.args", UNUSED),
    ("spec.strategy.blueGreen.prePromotionAnalysis.dryRun", UNUSED),
    ("spec.strategy.blueGreen.postPromotionAnalysis.args", UNUSED),
    ("spec.strategy.blueGreen.postPromotionAnalysis.dryRun", UNUSED),
];

/// Of an AnalysisTemplate.
pub(super) const OF_TEMPLATE: &[Known] = &[
    ("spec.args", UNUSED),
    ("spec.dryRun", UNUSED),
    ("spec.measurementRetention", RETAINED),
    ("spec.templates", "a template that names others is not read; name them where the analysis is asked for"),
    (
        "spec.metrics[].inconclusiveLimit",
        "a number is within the bounds or not; what to do while nothing is proved is analysis.onInconclusive",
    ),
    (
        "spec.metrics[].consecutiveErrorLimit",
        "an answer without a number never fails a run: the step waits, and pauses after a maxHold of it (MetricError)",
    ),
    (
        "spec.metrics[].consecutiveSuccessLimit",
        "a step goes on when its hold is over and every metric is good; give the step a longer hold",
    ),
    (
        "spec.metrics[].initialDelay",
        "after each change of a weight nothing is judged for analysis.settle; give that where queries look far back",
    ),
    ("spec.metrics[].provider.prometheus.authentication", CONFIGURED),
    ("spec.metrics[].provider.prometheus.headers", CONFIGURED),
    ("spec.metrics[].provider.prometheus.insecure", CONFIGURED),
    ("spec.metrics[].provider.prometheus.timeout", CONFIGURED),
    (
        "spec.metrics[].provider.prometheus.rangeQuery",
        "a query is asked for one moment; look back inside it, as with max_over_time(…[5m:])",
    ),
];

/// What to do about a metric of a provider that is no Prometheus.
pub(super) fn of_provider(provider: &str) -> &'static str {
    match provider {
        "web" => {
            "name the address as a provider of kind web in the controller's configuration, and give a metric with the query \
             \"path?query | $.json.path\" and min or max"
        }
        "cloudWatch" => {
            "give a metric with a metric-maths expression as its query, min or max, and a provider of kind cloudWatch of \
             the controller's configuration"
        }
        "job" => {
            "the controller runs no Jobs; let CI run it before it changes spec.target, list what runs it as a gate in the \
             controller's configuration, or let a person look at it and give the step approval: Required"
        }
        "kayenta" => {
            "errorRate and latency compare the canary with stable in the same minutes; they need analysis.series"
        }
        _ => {
            "only Prometheus, CloudWatch, Envoy and JSON over HTTP are asked; ask this one through a service that answers in JSON, as \
             a provider of kind web, or give the step approval: Required"
        }
    }
}
