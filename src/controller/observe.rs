//! Observe: gathers what a decision is taken from, as plain data. It reads memory only; the watches filled it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::{
    context::{Context, Guarded, Interest, Looked, Problem},
    kinds::Kinds,
    stores::{Found, Key},
    templates::Templates,
};
use crate::{
    api::{
        ABORT_ANNOTATION, Analysis, FINALIZER, Gates, REQUEST_ANNOTATION, Rollout, RolloutStatus, RouteRef,
        Stamp, WorkloadRef,
    },
    engine::{
        self,
        decision::{Decision, Effect},
        look::LookRequest,
        observed::{
            Observed, Other, PreviewSeen, RouteSeen, RouteState, Scaler, Subject, WorkloadKey, WorkloadSeen,
            workload_keys,
        },
        template::{self, TemplateSeen},
    },
};

/// The UIDs of Rollouts that no list has and that were read from the API server, by name.
pub type Unlisted = BTreeMap<String, String>;

/// Everything observed about a Rollout now, which with these others was read from the API server, where it was; `stored` is its status.
pub fn observe(
    context: &Context,
    looked: Looked,
    rollout: &Rollout,
    stored: Arc<RolloutStatus>,
    status: &RolloutStatus,
    read: Option<&Unlisted>,
) -> Observed {
    let subject = subject(rollout);
    let namespace = subject.namespace.clone();
    let refs = engine::routes(&rollout.spec, status);
    let previews = engine::previews(&rollout.spec, status, &subject.name);
    let keys = workloads(rollout, status, &namespace);
    let scales = context.allowed.scaling && engine::scales(&rollout.spec, status);
    if scales {
        context.workloads.scalers.want();
    }
    for key in &keys {
        context.workloads.want(key.kind);
    }
    let template = Templates::key(rollout, &namespace);
    if template.is_some() {
        context.templates.on_demand().want();
    }
    context.routes.want(refs.iter().map(|route| route.kind).fold(Kinds::default(), Kinds::with));
    // Registered before anything is read: a change in between gives another turn.
    context.interests.set(
        &(namespace.clone(), subject.name.clone()),
        refs.iter()
            .chain(previews.iter().map(|(_, preview)| preview))
            .map(|route| Interest::Route(route.kind, (namespace.clone(), route.name.clone())))
            .chain(keys.iter().map(|key| Interest::Workload(key.kind, (namespace.clone(), key.name.clone()))))
            .chain(scales.then(|| Interest::Scalers(namespace.clone())))
            .chain(template.clone().map(Interest::Template))
            .collect::<HashSet<_>>(),
    );
    let template = context.templates.get(template.as_ref());
    let analysis = analysis(rollout, status, &template);
    let analysis = analysis.as_deref();
    let asked = to_be_asked(rollout, status, &template);
    let found = |route: &RouteRef| found(context, &namespace, route);
    let routes: Vec<RouteSeen> = refs
        .into_iter()
        .map(|route| {
            let state = engine::select(&rollout.spec, status, &route, found(&route));
            RouteSeen { route, state }
        })
        .collect();
    let previews = previews
        .into_iter()
        .map(|(of, route)| PreviewSeen { of, seen: RouteSeen { state: found(&route), route } })
        .collect();
    Observed {
        stored,
        fresh: read.is_some(),
        others: others(context, &subject, &routes, read),
        routes,
        previews,
        workloads: keys
            .into_iter()
            .map(|key| {
                let seen = context.workloads.get(&namespace, &key, scales);
                (key, seen)
            })
            .collect(),
        allowed: context.allowed,
        in_use: in_use(context, rollout, status),
        look: looked.done,
        looking: looked.under_way,
        answered: looked.answered,
        asking: looked.asking,
        gates: intervals(context, status),
        unknown_gates: unknown_gates(context, rollout),
        receivers: context.outbox.receivers(rollout),
        taken_by: looked.taken,
        settle: settle(context, analysis),
        unknown_providers: asked.as_ref().map_or_else(Vec::new, |asked| unknown_providers(context, asked)),
        unaskable: asked.as_ref().and_then(|asked| context.providers.refused(asked)),
        template,
        subject,
    }
}

/// Hides the routes that refuse our writes behind their sentence, where the decision would only send them the
/// same again. A lowering is hidden only by a lowering that was refused: it must not wait for a raise's retry.
pub fn hide_problems(
    seen: &Observed,
    decision: &Decision,
    problems: &BTreeMap<String, Problem>,
) -> Option<Observed> {
    // What each write is to, and whether it is lowered.
    let writes = || {
        decision.effects.iter().filter_map(|effect| match effect {
            Effect::Write(write) => Some((write.route.to_string(), write.purpose.lowers())),
            Effect::Preview(write) => Some((write.route.to_string(), false)),
            Effect::Scale(write) => Some((write.workload.to_string(), false)),
            Effect::Look { .. }
            | Effect::Ask { .. }
            | Effect::Tell(_)
            | Effect::Hold
            | Effect::Release
            | Effect::Reread => None,
        })
    };
    let refused = |(name, lowers): &(String, bool)| {
        problems.get(name).is_some_and(|problem| problem.lowering || !lowers)
    };
    if !writes().any(|write| refused(&write)) || writes().any(|write| write.1 && !refused(&write)) {
        return None;
    }
    let mut hidden = seen.clone();
    let previews = hidden.previews.iter_mut().map(|preview| &mut preview.seen);
    for route in hidden.routes.iter_mut().chain(previews) {
        if let Some(problem) = problems.get(&route.route.to_string()) {
            route.state = RouteState::Refused(problem.message.clone());
        }
    }
    for (key, seen) in &mut hidden.workloads {
        if let (Some(problem), WorkloadSeen::Present(pods)) = (problems.get(&key.to_string()), seen) {
            pods.scaler = Scaler::Refused(problem.message.clone());
        }
    }
    Some(hidden)
}

/// Whether what our own write or read returned is at least as new as what the watch shows.
pub fn holds(own: &Rollout, watched: &ObjectMeta) -> bool {
    let version = |meta: &ObjectMeta| super::stores::version(meta.resource_version.as_deref());
    own.metadata.uid == watched.uid && version(&own.metadata) >= version(watched)
}

fn subject(rollout: &Rollout) -> Subject {
    let annotation = |key: &str| rollout.annotations().get(key).cloned();
    Subject {
        namespace: rollout.namespace().unwrap_or_default(),
        name: rollout.name_any(),
        uid: rollout.uid().unwrap_or_default(),
        generation: rollout.metadata.generation.unwrap_or_default(),
        deleting: rollout.metadata.deletion_timestamp.is_some(),
        finalizer: rollout.finalizers().iter().any(|finalizer| finalizer == FINALIZER),
        abort: annotation(ABORT_ANNOTATION),
        request: annotation(REQUEST_ANNOTATION),
    }
}

/// The workloads that spec and status name or imply, those of past runs where they may be scaled down.
pub fn workloads(rollout: &Rollout, status: &RolloutStatus, namespace: &str) -> HashSet<WorkloadKey> {
    let spec = &rollout.spec;
    let specified = [Some(&spec.target), spec.stable.as_ref()].into_iter().flatten();
    let specified = specified.map(|target| (&target.name, target.workload_ref.as_ref()));
    let past = status.history.iter().filter(|_| spec.retire.is_some());
    let past = past.flat_map(|entry| [&entry.target, &entry.stable]);
    let known = status.stable.iter().chain(&status.canary).chain(past);
    let known = known.map(|target| (&target.name, target.workload_ref.as_ref()));
    let named = specified.chain(known);
    named
        .flat_map(|(name, workload): (&String, Option<&WorkloadRef>)| {
            workload_keys(name, namespace, workload)
        })
        .collect()
}

/// The analysis that judges now: the frozen one of a run that goes on, else the spec's.
fn analysis<'a>(
    rollout: &'a Rollout,
    status: &'a RolloutStatus,
    template: &TemplateSeen,
) -> Option<Cow<'a, Analysis>> {
    match &status.run {
        Some(run) if run.ended.is_none() => run.analysis.as_deref().map(Cow::Borrowed),
        Some(_) | None => template::analysis(&rollout.spec, template).ok().flatten(),
    }
}

fn settle(context: &Context, analysis: Option<&Analysis>) -> Duration {
    analysis.and_then(|analysis| context.providers.settle(analysis.provider.as_deref())).unwrap_or_default()
}

/// What the run that would start now would ask for; none where nothing is judged.
fn to_be_asked(rollout: &Rollout, status: &RolloutStatus, template: &TemplateSeen) -> Option<LookRequest> {
    let analysis = template::analysis(&rollout.spec, template).ok().flatten()?;
    let canary = rollout.spec.target.name.as_str();
    // Before it is known what is stable, any name stands for it.
    let stable = status.stable.as_ref().map_or(canary, |stable| stable.name.as_str());
    let (namespace, name) = (rollout.namespace().unwrap_or_default(), rollout.name_any());
    Some(LookRequest::of_run(&rollout.spec, &analysis, (&namespace, &name), (canary, stable)))
}

/// How soon each gate of the present run is asked again.
fn intervals(context: &Context, status: &RolloutStatus) -> BTreeMap<String, Duration> {
    let plan = status.active_run().into_iter().flat_map(|run| run.plan.iter());
    let named = plan.filter_map(|step| step.gates.as_ref()).flat_map(Gates::names);
    named.filter_map(|name| Some((name.clone(), *context.intervals.get(name)?))).collect()
}

/// Gates that the spec names and nobody has configured, each once.
fn unknown_gates(context: &Context, rollout: &Rollout) -> Vec<String> {
    let named = rollout.spec.strategy.gates().flat_map(Gates::names);
    let unknown: BTreeSet<&String> = named.filter(|name| !context.intervals.contains_key(*name)).collect();
    unknown.into_iter().cloned().collect()
}

/// Each once. Where no default is configured and one is needed, it is called `default`.
fn unknown_providers(context: &Context, request: &LookRequest) -> Vec<String> {
    let of_arms = request.arms.iter().map(|arms| arms.provider.as_deref());
    let of_numbers = request.numbers.iter().map(|number| number.provider.as_deref());
    let mut unknown: Vec<String> = of_arms
        .chain(of_numbers)
        .filter(|provider| !context.providers.has(*provider))
        .map(|provider| provider.unwrap_or("default").to_owned())
        .collect();
    unknown.sort();
    unknown.dedup();
    unknown
}

/// The other living Rollouts of the namespace, of those that left stamps on these routes: nobody asks about any
/// other. One that can't be read lives too, and its stamps bind; so does, until all were listed, whoever left one.
fn others(
    context: &Context,
    subject: &Subject,
    routes: &[RouteSeen],
    read: Option<&Unlisted>,
) -> BTreeMap<String, Other> {
    let all_listed = context.rollouts_are_listed();
    stamps_of_others(subject, routes)
        .filter_map(|(name, stamp)| {
            let other = match context.rollouts.get(&ObjectRef::new(name).within(&subject.namespace)) {
                Some(living) => Other { uid: living.uid()?, routes: routes_of(&living) },
                None if all_listed => Other { uid: read?.get(name)?.clone(), routes: vec![] },
                None => Other { uid: stamp?.uid.clone(), routes: vec![] },
            };
            Some((name.clone(), other))
        })
        .collect()
}

fn stamps_of_others<'a>(
    subject: &Subject,
    routes: &'a [RouteSeen],
) -> impl Iterator<Item = (&'a String, Option<&'a Stamp>)> {
    routes.iter().filter_map(RouteSeen::view).flat_map(|view| view.stamps_of_others(subject))
}

/// The names and UIDs in stamps on a Rollout's routes of which no list has a Rollout.
pub fn unlisted(context: &Context, rollout: &Rollout, status: &RolloutStatus) -> BTreeMap<String, String> {
    let subject = subject(rollout);
    let routes: Vec<RouteSeen> = engine::routes(&rollout.spec, status)
        .into_iter()
        .map(|route| RouteSeen { state: found(context, &subject.namespace, &route), route })
        .collect();
    let stamps = stamps_of_others(&subject, &routes).filter_map(|(name, stamp)| Some((name, &stamp?.uid)));
    let listed =
        |name: &str| context.rollouts.get(&ObjectRef::new(name).within(&subject.namespace)).is_some();
    stamps.filter(|(name, _)| !listed(name)).map(|(name, uid)| (name.clone(), uid.clone())).collect()
}

/// The routes that another Rollout steps; none where it can't be read.
fn routes_of(other: &Guarded) -> Vec<RouteRef> {
    let Ok(rollout) = other.rollout() else { return vec![] };
    let kept = rollout.status.into_iter().flat_map(|status| status.routes).map(|noted| noted.route);
    rollout.spec.routes.into_iter().chain(kept).collect()
}

/// What the other Rollouts of the namespace name or imply, where something may be due to be scaled down; none where that is
/// not so, or where not all of them are known.
fn in_use(context: &Context, rollout: &Rollout, status: &RolloutStatus) -> Option<BTreeSet<WorkloadKey>> {
    let namespace = rollout.namespace()?;
    let due =
        context.allowed.scaling && engine::retires(&rollout.spec, status, &namespace, context.clock.now());
    if !due || !context.rollouts_are_listed() {
        return None;
    }
    let all = context.rollouts.state();
    let others = all.iter().filter(|other| other.namespace().as_ref() == Some(&namespace));
    let others = others.filter(|other| other.uid() != rollout.uid());
    others.map(|other| uses(other, &namespace)).try_fold(BTreeSet::new(), |mut all, used| {
        all.extend(used?);
        Some(all)
    })
}

/// The workloads that a Rollout names or implies; none where it can't be read.
pub fn uses(other: &Guarded, namespace: &str) -> Option<HashSet<WorkloadKey>> {
    let other = other.rollout().ok()?;
    let status = other.status.clone().unwrap_or_default();
    Some(workloads(&other, &status, namespace))
}

fn found(context: &Context, namespace: &str, route: &RouteRef) -> RouteState {
    match context.routes.of(route.kind).get(&key(namespace, &route.name)) {
        Found::Present(Ok(packed)) => packed.unpacked(route.kind, namespace).into(),
        Found::Present(Err((reason, message))) => RouteState::Unusable { reason, message },
        Found::Missing => RouteState::Missing,
        Found::Unreadable(why) => RouteState::Unreadable(why),
    }
}

/// The key of an object of a Rollout's namespace.
pub fn key(namespace: &str, name: &str) -> Key {
    (namespace.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::RouteKind,
        engine::{
            decision::{Fence, Purpose, RouteWrite, StampChange},
            memory::Memory,
            observed::{InEffect, RouteView},
        },
    };

    fn rollout(uid: &str, version: &str) -> Rollout {
        serde_json::from_value(json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "color", "namespace": "ns", "uid": uid, "resourceVersion": version},
            "spec": {
                "routes": [{"group": "appmesh.k8s.aws", "kind": "GatewayRoute", "name": "r"}],
                "target": {"name": "v2"},
                "strategy": {"canary": {"steps": [{"weight": 5}]}},
            },
        }))
        .unwrap()
    }

    #[test]
    fn the_newer_of_watch_and_own_write_counts() {
        let cases = [
            ("the watch is behind", ("u", "9"), true),
            ("the watch has caught up", ("u", "10"), true),
            ("the watch is ahead", ("u", "11"), false),
            ("deleted and made again", ("w", "9"), false),
        ];
        for (name, (uid, version), want) in cases {
            assert_eq!(holds(&rollout("u", "10"), &rollout(uid, version).metadata), want, "{name}");
        }
    }

    fn write(purpose: Purpose) -> RouteWrite {
        RouteWrite {
            route: rollout("u", "1").spec.routes.remove(0),
            purpose,
            view: Arc::new(RouteView {
                uid: "r".into(),
                resource_version: "1".into(),
                lists: Vec::new(),
                beside: Vec::new(),
                gone: Vec::new(),
                name_field: "",
                called: Vec::new(),
                stamps: BTreeMap::new(),
                deleting: false,
                annotated: false,
                no_preview: None,
                in_effect: InEffect::Unreported,
                writer: None,
            }),
            weights: Vec::new(),
            add: Vec::new(),
            remove: Vec::new(),
            mirrors: Vec::new(),
            stamp: StampChange::Keep("color".into()),
            fence: Fence::Unchanged,
        }
    }

    #[test]
    fn a_refused_raise_is_hidden_and_never_hides_a_lowering() {
        let route = RouteRef::new(RouteKind::GatewayRoute, "r");
        let seen = Observed {
            routes: vec![RouteSeen { route: route.clone(), state: RouteState::Missing }],
            ..Observed::default()
        };
        let cases = [
            ("a raise after a refused raise", vec![Purpose::Raise], false, true),
            ("a lowering after a refused raise", vec![Purpose::Lower], false, false),
            ("a lowering after a refused lowering", vec![Purpose::Lower], true, true),
            ("a raise after a refused lowering", vec![Purpose::Raise], true, true),
            ("nothing to write", vec![], false, false),
        ];
        for (name, purposes, lowering, hidden) in cases {
            let decision = Decision {
                before: None,
                effects: purposes.into_iter().map(write).map(Effect::Write).collect(),
                after: RolloutStatus::default().into(),
                store: false,
                memory: Memory::default(),
                wake: None,
            };
            let problem = Problem { message: "refused".into(), until: jiff::Timestamp::MAX, lowering };
            let problems = BTreeMap::from([(route.to_string(), problem)]);
            let seen = hide_problems(&seen, &decision, &problems);
            let state = seen.map(|seen| seen.routes[0].state.clone());
            let want = hidden.then(|| RouteState::Refused("refused".into()));
            assert_eq!(state, want, "{name}");
        }
    }
}
