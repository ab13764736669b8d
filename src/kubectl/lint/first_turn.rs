//! What the engine itself would decide about a Rollout: at first sight of it, and about its next release.
//!
//! The engine is asked as the controller asks it, with routes as they stand in the files. What is not there is imagined so
//! that nothing can be wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    finding::Fault,
    objects::{Found, Object, Objects},
    references::{self, Judged},
};
use crate::{
    api::{Phase, RolloutSpec, RolloutStatus, RouteKind, RouteRef},
    config::Config,
    engine::{
        self,
        memory::Memory,
        observed::{
            Allowed, Observed, PreviewSeen, RouteSeen, RouteState, Subject, WorkloadKey, WorkloadSeen,
            workload_keys,
        },
        template::TemplateSeen,
    },
    routes,
};

/// What the target of a release to come is called besides.
const NEXT: &str = "-next";
/// What is waited for, and put right by the engine.
const DRIFTED: &str = "Drifted";

/// What the engine refuses.
pub(super) fn refused(
    object: &Object,
    spec: &RolloutSpec,
    seen: &[RouteSeen],
    judged: &Judged,
    objects: &Objects,
    config: Option<&Config>,
) -> Option<Fault> {
    let spec = as_if_known(spec, seen, judged);
    let routes = if seen.is_empty() { imagined(&spec) } else { seen.to_vec() };
    let allowed =
        config.map_or(Allowed::ALL, |config| Allowed { previews: config.previews, scaling: config.scaling });
    let observed = Observed {
        subject: Subject {
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.name.clone(),
            finalizer: true,
            ..Subject::default()
        },
        fresh: true,
        previews: previews(&spec, &object.name),
        workloads: workloads(object, &spec, &routes, objects),
        routes,
        allowed,
        in_use: Some(BTreeSet::new()),
        template: template(object, &spec, objects),
        ..Observed::default()
    };
    let first = decided(&spec, &observed, &Arc::default());
    if let Some(fault) = fault(&first) {
        return Some(fault);
    }
    // Where the target is live already, nothing has been said about a run.
    if first.phase != Some(Phase::Healthy) {
        return None;
    }
    let next = next_release(&spec);
    fault(&decided(&next, &observed, &first))
}

/// The spec, without what can't be known here.
fn as_if_known(spec: &RolloutSpec, seen: &[RouteSeen], judged: &Judged) -> RolloutSpec {
    let mut spec = spec.clone();
    spec.suspend = false;
    if !seen.is_empty() {
        spec.routes.retain(|route| seen.iter().any(|seen| seen.route.same(route)));
    }
    match judged {
        Judged::By { .. } | Judged::ByHolds => {}
        Judged::Unknown => {
            spec.analysis = None;
            let steps = spec.strategy.canary.iter_mut().flat_map(|canary| &mut canary.steps);
            steps.for_each(|step| step.analysis = None);
        }
    }
    spec
}

/// The same with another target.
fn next_release(spec: &RolloutSpec) -> RolloutSpec {
    let mut next = spec.clone();
    next.target.name.push_str(NEXT);
    for there in next.routes.iter_mut().filter_map(|route| route.target.as_mut()) {
        there.push_str(NEXT);
    }
    next
}

fn decided(spec: &RolloutSpec, observed: &Observed, status: &Arc<RolloutStatus>) -> Arc<RolloutStatus> {
    let seen = Observed {
        stored: Arc::clone(status),
        routes: observed.routes.iter().map(|seen| selected(spec, status, seen)).collect(),
        ..observed.clone()
    };
    engine::decide(spec, status, &seen, &Memory::default(), Timestamp::UNIX_EPOCH).after
}

/// Of a whole route, what is the Rollout's own.
fn selected(spec: &RolloutSpec, status: &RolloutStatus, whole: &RouteSeen) -> RouteSeen {
    let RouteSeen { route, state } = whole;
    RouteSeen { route: route.clone(), state: engine::select(spec, status, route, state.clone()) }
}

fn fault(status: &RolloutStatus) -> Option<Fault> {
    if status.phase != Some(Phase::Invalid) {
        return None;
    }
    let stalled = status.conditions.iter().find(|condition| condition.type_ == "Stalled");
    let reason = stalled.map_or("", |stalled| stalled.reason.as_str());
    let field = match reason {
        DRIFTED => return None,
        "InvalidSpec" => "",
        "InvalidTemplate" => "spec.analysis.templateRef",
        "PreviewsOff" | "NoPreview" | "PreviewHeaderUsed" | "PreviewNameTaken" | "ScalingOff"
        | "WorkloadUnknown" | "ScalerForbids" => "spec.strategy",
        _ => "spec.routes",
    };
    let sentence = status.message.clone().unwrap_or_default();
    let named = sentence.strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
    Some(Fault::error(field, named.unwrap_or(&sentence)))
}

fn template(object: &Object, spec: &RolloutSpec, objects: &Objects) -> TemplateSeen {
    let named = spec.analysis.as_ref().and_then(|analysis| analysis.template_ref.as_ref());
    match named.map(|named| objects.template(object, &named.name)) {
        Some(Found::Object(found)) => found.template.as_ref().map(references::seen).unwrap_or_default(),
        Some(Found::Others | Found::None) | None => TemplateSeen::Missing,
    }
}

fn previews(spec: &RolloutSpec, name: &str) -> Vec<PreviewSeen> {
    let all = engine::previews(spec, &RolloutStatus::default(), name).into_iter();
    all.map(|(of, route)| PreviewSeen { of, seen: RouteSeen { route, state: RouteState::Missing } }).collect()
}

/// The workloads behind all that the routes list: with the replicas that their manifests ask for, all ready.
fn workloads(
    object: &Object,
    spec: &RolloutSpec,
    routes: &[RouteSeen],
    objects: &Objects,
) -> BTreeMap<WorkloadKey, WorkloadSeen> {
    let specified = [Some(&spec.target), spec.stable.as_ref()].into_iter().flatten();
    let specified = specified
        .flat_map(|target| workload_keys(&target.name, &object.namespace, target.workload_ref.as_ref()));
    let listed =
        routes.iter().filter_map(RouteSeen::view).flat_map(|view| &view.lists).flat_map(|list| &list.entries);
    let listed = listed.flat_map(|entry| workload_keys(&entry.name, &object.namespace, None));
    let seen = |key: WorkloadKey| {
        let replicas = match objects.workload(object, key.kind, &key.name) {
            Found::Object(found) => found.value.pointer("/spec/replicas").and_then(Value::as_i64),
            Found::Others | Found::None => None,
        };
        let replicas = replicas.and_then(|replicas| i32::try_from(replicas).ok()).unwrap_or(1).max(1);
        (key, WorkloadSeen::present(replicas, replicas, ""))
    };
    specified.chain(listed).map(seen).collect()
}

/// The routes of a Rollout none of which is among the files: each lists what is live, and nothing else.
fn imagined(spec: &RolloutSpec) -> Vec<RouteSeen> {
    let all = engine::routes(spec, &RolloutStatus::default()).into_iter();
    all.map(|route| RouteSeen { state: routes::state(route.kind, &object_of(spec, &route)), route }).collect()
}

fn object_of(spec: &RolloutSpec, route: &RouteRef) -> Value {
    let (live, there) = match &spec.stable {
        Some(stable) => (stable, route.stable.as_ref()),
        None => (&spec.target, route.target.as_ref()),
    };
    let name = there.unwrap_or(&live.name);
    let entry = |mut entry: Value| {
        entry["weight"] = 100.into();
        if let Some(port) = live.port {
            entry["port"] = port.into();
        }
        json!([entry])
    };
    let named = spec.routes.iter().filter(|named| named.same(route));
    let rules = |list: Value| -> Value {
        let rule = |named: &RouteRef| {
            let mut rule = list.clone();
            if let Some(name) = &named.rule {
                rule["name"] = name.as_str().into();
            }
            rule
        };
        named.map(rule).collect()
    };
    match route.kind {
        RouteKind::GatewayRoute => {
            let targets = entry(json!({"virtualServiceRef": {"name": name}}));
            json!({"spec": {"priority": 1, "httpRoute": {"action": {"weightedTargets": targets}}}})
        }
        RouteKind::VirtualRouter => {
            let targets = entry(json!({"virtualNodeRef": {"name": name}}));
            json!({"spec": {"routes": rules(json!({"httpRoute": {"action": {"weightedTargets": targets}}}))}})
        }
        RouteKind::HttpRoute | RouteKind::GrpcRoute => {
            json!({"spec": {"rules": rules(json!({"backendRefs": entry(json!({"name": name}))}))}})
        }
    }
}
