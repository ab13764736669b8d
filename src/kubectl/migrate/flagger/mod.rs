//! A Canary of Flagger as one of our Rollouts.

mod known;
mod metrics;
mod strategy;
mod types;

use std::collections::BTreeMap;

use metrics::Judged;
use strategy::Way;
use types::CanarySpec;

use super::{
    Error,
    draft::{Draft, target, workload},
    ledger::{Known, Ledger},
    metrics::{Providers, analysis as analysis_of, fitting, united},
    source::{Fault, Metadata, Object, Source, Typed},
    steps,
    values::placeholder,
};
use crate::api::{
    Approval, BlueGreen, OnDeadline, PlainMetric, Preset, RolloutSpec, RouteKind, RouteRef, Series, Strategy,
};

/// The group of Flagger's objects.
pub(super) const GROUP: &str = "flagger.app";
/// The version that is read.
const VERSION: &str = "flagger.app/v1beta1";

/// How the parts of a Canary are called.
struct Names {
    /// The Canary.
    own: String,
    /// Its namespace, where the manifest says it.
    namespace: Option<String>,
    /// The service, as everybody calls it.
    apex: String,
}

/// What splits the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plane {
    AppMesh,
    GatewayApi,
    Istio,
    Linkerd,
    Kubernetes,
    Other,
}

impl Plane {
    /// By the provider's name, which may have a version behind a colon.
    fn of(provider: &str) -> Self {
        match provider.split(':').next().unwrap_or_default() {
            "appmesh" => Self::AppMesh,
            "gatewayapi" => Self::GatewayApi,
            "istio" => Self::Istio,
            "linkerd" => Self::Linkerd,
            "kubernetes" => Self::Kubernetes,
            _ => Self::Other,
        }
    }
}

/// Turns a Canary into a Rollout.
pub(super) fn migrate(source: &Source, object: &Object) -> Result<Draft, Error> {
    object.of_version(VERSION)?;
    let typed: Typed<CanarySpec> = object.typed()?;
    convert(source, object, typed).map_err(|fault| object.refuse(&fault))
}

fn convert(source: &Source, object: &Object, typed: Typed<CanarySpec>) -> Result<Draft, Fault> {
    let Typed { metadata: Metadata { name, namespace }, spec } = typed;
    let mut ledger = Ledger::default();
    let apex = spec.service.name.clone().unwrap_or_else(|| spec.target_ref.name.clone());
    let names = Names { own: name, namespace, apex };
    let plane = plane(&spec, &mut ledger);
    let routes = routes(plane, &names, &mut ledger);
    let (strategy, judged) = judged_way(source, &spec, &names, plane, &mut ledger)?;
    let metrics = fitting(united(judged.metrics, &[]), false, &mut ledger);
    let strategy =
        strategy.made(&metrics, judged.error_rate.is_some() || !judged.latency.is_empty(), &mut ledger);
    let series = (judged.error_rate.is_some() || !judged.latency.is_empty())
        .then(|| series(plane, &spec, judged.error_rate.is_some(), !judged.latency.is_empty(), &mut ledger));
    let mut analysis = analysis_of(metrics, series, judged.error_rate, judged.latency);
    if let Some(analysis) = &mut analysis {
        analysis.provider = judged.provider;
    }
    let (live, next) = versions(&spec, &names, plane, &mut ledger);
    let ours = RolloutSpec {
        routes,
        target: next,
        stable: Some(live),
        rollback_window: None,
        retire: None,
        analysis,
        progress_deadline: steps::deadline(spec.progress_deadline_seconds, &strategy, &mut ledger),
        on_deadline: OnDeadline::Rollback,
        strategy,
        suspend: true,
    };
    let known: Vec<Known> = known::OF_CANARY.iter().chain(known::OF_ANALYSIS).copied().collect();
    ledger.settle("spec", &object.value["spec"], &known);
    Ok(Draft { name: names.own, namespace: names.namespace, spec: ours, ledger })
}

/// A strategy that still waits for what judges it.
enum Planned {
    Steps(Vec<steps::Draft>, String),
    Switch(Box<BlueGreen>, String),
}

impl Planned {
    fn made(self, metrics: &[PlainMetric], compared: bool, ledger: &mut Ledger) -> Strategy {
        match self {
            Self::Steps(drafts, at) => {
                Strategy { canary: Some(steps::canary(drafts, metrics, &at, ledger)), blue_green: None }
            }
            Self::Switch(mut both, at) => {
                if let (Some(before), true, true) = (&mut both.before, metrics.is_empty(), compared) {
                    before.approval = Some(Approval::Required);
                    ledger.ask(
                        format!("{at}.metrics"),
                        "before the switch the target has no traffic to be judged by, so a person is asked then; give a plain \
                         metric of what tests it, and take the approval out",
                    );
                }
                Strategy { canary: None, blue_green: Some(*both) }
            }
        }
    }
}

fn judged_way(
    source: &Source,
    spec: &CanarySpec,
    names: &Names,
    plane: Plane,
    ledger: &mut Ledger,
) -> Result<(Planned, Judged), Fault> {
    let (analysis, at) = match (&spec.analysis, &spec.canary_analysis) {
        (Some(analysis), old) => {
            if old.is_some() {
                ledger.lost("spec.canaryAnalysis", "spec.analysis beats it");
            }
            (Some(analysis), "spec.analysis")
        }
        (None, Some(old)) => (Some(old), "spec.canaryAnalysis"),
        (None, None) => (None, "spec.analysis"),
    };
    if spec.skip_analysis.is_some() {
        ledger.carried("spec.skipAnalysis");
    }
    let Some(analysis) = analysis.filter(|_| spec.skip_analysis != Some(true)) else {
        if spec.skip_analysis == Some(true) {
            ledger.lost(at, "skipAnalysis lets Flagger promote at once, and so does this Rollout; take that out of the Canary to have \
                 the analysis carried over");
        }
        ledger.differs(at, "nothing is judged; the target gets all traffic at once and is watched for 5m");
        return Ok((Planned::Switch(Box::default(), at.to_owned()), Judged::default()));
    };
    let matches = plane != Plane::AppMesh;
    let shares = plane != Plane::Kubernetes;
    let way = strategy::Reader { analysis, at, matches, shares, ledger }.read();
    let judged = metrics::Reader {
        source,
        spec,
        names,
        analysis,
        at,
        ledger,
        providers: Providers::default(),
        used: vec![],
    }
    .read()?;
    let planned = match way {
        Way::Steps(drafts) => Planned::Steps(drafts, at.to_owned()),
        Way::Switch(both) => Planned::Switch(both, at.to_owned()),
    };
    Ok((planned, judged))
}

fn plane(spec: &CanarySpec, ledger: &mut Ledger) -> Plane {
    let Some(provider) = &spec.provider else {
        ledger.ask(
            "spec.routes",
            "the Canary does not say what splits the traffic (spec.provider); put it there and migrate again, or name the route",
        );
        return Plane::Other;
    };
    let plane = Plane::of(provider);
    let why = match plane {
        Plane::AppMesh | Plane::GatewayApi => {
            ledger.carried("spec.provider");
            return plane;
        }
        Plane::Istio => {
            "VirtualServices are not stepped. Istio serves the Gateway API: put an HTTPRoute in place of the VirtualService, with one \
             Service a version in backendRefs"
        }
        Plane::Linkerd => "Linkerd serves the Gateway API: put an HTTPRoute in place of the TrafficSplit",
        Plane::Kubernetes => {
            "the switch is made by the selector of a Service there; put an HTTPRoute before it"
        }
        Plane::Other => {
            "only GatewayRoutes, VirtualRouters, HTTPRoutes and GRPCRoutes are stepped; put an HTTPRoute in its place"
        }
    };
    ledger.lost("spec.provider", format!("{provider}: {why}, and name it in spec.routes"));
    plane
}

fn routes(plane: Plane, names: &Names, ledger: &mut Ledger) -> Vec<RouteRef> {
    let route = match plane {
        Plane::AppMesh => RouteRef::new(RouteKind::VirtualRouter, &names.apex),
        Plane::GatewayApi => RouteRef::new(RouteKind::HttpRoute, &names.apex),
        Plane::Istio | Plane::Linkerd | Plane::Kubernetes | Plane::Other => {
            return vec![RouteRef::new(RouteKind::HttpRoute, placeholder("route"))];
        }
    };
    ledger.ask(
        "spec.routes",
        format!(
            "Flagger made the {route}, and it is deleted with the Canary unless that is deleted with --cascade=orphan. Keep it as a \
             manifest of your own"
        ),
    );
    vec![route]
}

/// What is live, and what comes next, by the names that Flagger gave them.
fn versions(
    spec: &CanarySpec,
    names: &Names,
    plane: Plane,
    ledger: &mut Ledger,
) -> (crate::api::TargetRef, crate::api::TargetRef) {
    ledger.carried("spec.targetRef.name");
    ledger.carried("spec.service.name");
    let port = match plane {
        Plane::AppMesh => {
            ledger.lost(
                "spec.service.port",
                "the entries of a VirtualRouter are told apart by their VirtualNodes alone",
            );
            None
        }
        Plane::GatewayApi | Plane::Istio | Plane::Linkerd | Plane::Kubernetes | Plane::Other => {
            ledger.carried("spec.service.port");
            Some(spec.service.port)
        }
    };
    let kind = spec.target_ref.kind.as_deref().unwrap_or("Deployment");
    let of_apps = spec.target_ref.api_version.as_deref().is_none_or(|version| version == "apps/v1");
    let deployment = kind == "Deployment" && of_apps;
    if deployment {
        ledger.carried("spec.targetRef.kind");
        ledger.carried("spec.targetRef.apiVersion");
    } else {
        let why = "only Deployments and StatefulSets are known as workloads; of others no pod's readiness guards the traffic";
        ledger.lost("spec.targetRef.kind", format!("{kind}: {why}"));
        ledger.lost("spec.targetRef.apiVersion", format!("{kind}: {why}"));
    }
    let of = |name: String| deployment.then(|| workload(name));
    ledger.ask(
        "spec.target",
        format!(
            "{0}-canary and {0}-primary are what Flagger made of one workload. Give each version a Deployment and a Service of its own, with names of their own; a release then changes spec.target",
            names.apex
        ),
    );
    ledger.ask(
        "spec.suspend",
        "true, so that nothing is written to any route yet. Let target name what is live, take suspend out, and see the Rollout \
         Healthy; only then let target name the next version, which starts a run",
    );
    let live =
        target(format!("{}-primary", names.apex), port, of(format!("{}-primary", spec.target_ref.name)));
    let next = target(format!("{}-canary", names.apex), port, of(spec.target_ref.name.clone()));
    (live, next)
}

/// How the counters of requests are found.
fn series(plane: Plane, spec: &CanarySpec, errors: bool, latency: bool, ledger: &mut Ledger) -> Series {
    let field = "spec.analysis.series";
    match plane {
        Plane::AppMesh => {
            let given = spec.service.mesh_name.clone();
            if given.is_some() {
                ledger.carried("spec.service.meshName");
            }
            let params = [
                ("mesh", given.unwrap_or_else(|| placeholder("mesh"))),
                ("gateway", placeholder("gateway")),
                ("port", placeholder("port")),
            ];
            ledger.ask(
                field,
                "say whose Envoys count: the virtual gateway before the router, its mesh and its port",
            );
            let params = params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Series { preset: Some(Preset::AppmeshEnvoy), params, ..Series::default() }
        }
        Plane::Istio | Plane::Linkerd => {
            let preset = if plane == Plane::Istio { Preset::Istio } else { Preset::Linkerd };
            Series { preset: Some(preset), params: BTreeMap::new(), ..Series::default() }
        }
        Plane::GatewayApi | Plane::Kubernetes | Plane::Other => {
            ledger.ask(
                field,
                "put the gateway's own counters in place of these: raw counters, no rate, with {{target}} for the version; where it is \
                 Istio or Linkerd, their presets",
            );
            let counter = |what: &str| format!("REPLACE_ME_{what}{{service=\"{{{{target}}}}\"}}");
            Series {
                total: Some(counter("requests_total")),
                errors: errors.then(|| counter("failed_requests_total")),
                latency: latency.then(|| counter("request_duration_seconds_bucket")),
                ..Series::default()
            }
        }
    }
}
