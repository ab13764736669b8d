//! Another target for a Rollout: what is written, and who may write it back.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use super::{
    Error,
    cluster::{Cluster, as_us},
};
use crate::api::{Rollout, RouteRef, Target, TargetRef};

/// It acts only when somebody lets it.
const HELM: &str = "Helm";
/// How often a write is tried that somebody else's write came before.
const TRIES: usize = 10;

/// What is to be live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The new `spec.target`.
    pub target: TargetRef,
    /// What the routes call it that call it otherwise, by `KIND/NAME`.
    pub called: Vec<(String, String)>,
    /// Whether those are all: any other route calls it by its name.
    pub complete: bool,
}

impl Change {
    /// Back to a version that is known.
    pub fn back_to(target: &Target) -> Self {
        // The status calls a route by its kind and its name, with a space between.
        let key = |route: &str| route.replacen(' ', "/", 1);
        let called = target.called.iter().map(|called| (key(&called.route), called.name.clone())).collect();
        let Target { name, port, workload_ref, .. } = target.clone();
        Self { target: TargetRef { name, port, workload_ref }, called, complete: true }
    }

    /// The patch of a Rollout as it was read. Of a route that calls targets by names of its own, its new one must be known.
    fn patch(&self, rollout: &Rollout) -> Result<Value, Error> {
        let mut routes = rollout.spec.routes.clone();
        for route in &mut routes {
            let key = key(route);
            let called = self.called.iter().find(|(known, _)| *known == key).map(|(_, name)| name.clone());
            if route.target.is_some() && called.is_none() && !self.complete {
                return Err(Error::Usage(format!(
                    "{route} calls targets by names of its own: say how it calls this one, with --route {key}=NAME"
                )));
            }
            if called.is_some() || self.complete {
                route.target = called;
            }
        }
        let TargetRef { name, port, workload_ref } = &self.target;
        let mut spec = json!({"target": {"name": name, "port": port, "workloadRef": workload_ref}});
        if routes != rollout.spec.routes {
            spec["routes"] = serde_json::to_value(&routes)?;
        }
        Ok(json!({"metadata": {"resourceVersion": rollout.metadata.resource_version}, "spec": spec}))
    }
}

/// A route as `--route` names it.
fn key(route: &RouteRef) -> String {
    format!("{}/{}", route.kind.word(), route.name)
}

/// Writes the change against the version that was read; the Rollout as it is then.
pub(super) async fn write(
    cluster: &Cluster,
    mut rollout: Rollout,
    change: &Change,
) -> Result<Rollout, Error> {
    let name = rollout.metadata.name.clone().unwrap_or_default();
    let before = rollout.spec.target.clone();
    for _ in 0..TRIES {
        let patch = change.patch(&rollout)?;
        match cluster.rollouts().patch(&name, &as_us(), &Patch::Merge(patch)).await {
            Ok(written) => return Ok(written),
            Err(kube::Error::Api(status)) if status.code == 409 => rollout = cluster.rollout(&name).await?,
            Err(error) => {
                return Err(cluster.about(&format!("change the target of the Rollout {name}"), error));
            }
        }
        if rollout.spec.target != before {
            let now = &rollout.spec.target.name;
            return Err(Error::Refused(format!(
                "somebody else made {now} the target meanwhile; nothing is changed"
            )));
        }
    }
    Err(Error::Refused(format!("the Rollout {name} changed {TRIES} times meanwhile; nothing is changed")))
}

/// The workload behind a target, in words, where it is named and does not exist.
pub(super) async fn missing_workload(cluster: &Cluster, target: &TargetRef) -> Result<Option<String>, Error> {
    let Some(workload) = &target.workload_ref else { return Ok(None) };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", workload.kind.word()));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
    let named = format!("{} {}", workload.kind.word(), workload.name);
    match api.get_metadata_opt(&workload.name).await {
        Ok(Some(_)) => Ok(None),
        Ok(None) => Ok(Some(named)),
        // Who may not look at workloads may still release.
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(cluster.about(&format!("read the {named}"), error)),
    }
}

/// The tool that keeps a Rollout as Git has it, in words, if one does.
pub(super) fn keeper(rollout: &Rollout) -> Option<&'static str> {
    let metadata = &rollout.metadata;
    let marked = |name: &str| {
        metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(name))
            || metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(name))
    };
    let written_by = |prefix: &str| {
        let managers = metadata.managed_fields.iter().flatten();
        let of_target = |fields: &Value| fields.pointer("/f:spec/f:target").is_some();
        managers
            .filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| of_target(&fields.0)))
            .any(|entry| entry.manager.as_deref().is_some_and(|manager| manager.starts_with(prefix)))
    };
    if marked("argocd.argoproj.io/tracking-id") || written_by("argocd") {
        Some("Argo CD")
    } else if marked("kustomize.toolkit.fluxcd.io/name")
        || marked("helm.toolkit.fluxcd.io/name")
        || written_by("kustomize-controller")
    {
        Some("Flux")
    } else if marked("meta.helm.sh/release-name") || written_by("helm") {
        Some(HELM)
    } else {
        None
    }
}

/// What has to follow where a tool keeps the Rollout.
pub(super) fn git_must_follow(keeper: &str, name: &str, target: &str) -> String {
    if keeper == HELM {
        return format!(
            "Helm keeps this Rollout as its chart has it, and the next `helm upgrade` puts spec.target back: make it {target} in \
             the values too"
        );
    }
    format!(
        "{keeper} keeps this Rollout as Git has it, and will put spec.target back: make it {target} in Git too. A pipeline that \
         changes Git alone waits with `kubectl tidegate status {name} --wait --target {target}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RouteKind;

    fn rollout(text: &str) -> Rollout {
        serde_saphyr::from_str(text).unwrap()
    }

    const MIXED: &str = "
        {apiVersion: tidegate.dev/v1alpha1, kind: Rollout, metadata: {name: color, resourceVersion: '7'}, spec: {
          routes: [{group: appmesh.k8s.aws, kind: VirtualRouter, name: color},
                   {group: gateway.networking.k8s.io, kind: HTTPRoute, name: color, target: svc-v1}],
          target: {name: node-v1, port: 80}, strategy: {canary: {steps: [{weight: 5}]}}}}";

    fn change(called: &[(&str, &str)]) -> Change {
        let target = TargetRef { name: "node-v2".to_owned(), port: None, workload_ref: None };
        let called = called.iter().map(|(route, name)| ((*route).to_owned(), (*name).to_owned())).collect();
        Change { target, called, complete: false }
    }

    #[test]
    fn what_is_not_said_goes_and_the_version_is_tested() {
        let spec = rollout(&MIXED.replace(", target: svc-v1", ""));
        let want = json!({"metadata": {"resourceVersion": "7"},
            "spec": {"target": {"name": "node-v2", "port": null, "workloadRef": null}}});
        assert_eq!(change(&[]).patch(&spec).unwrap(), want);
    }

    #[test]
    fn a_route_with_names_of_its_own_must_be_told() {
        let error = change(&[]).patch(&rollout(MIXED)).unwrap_err().to_string();
        assert!(error.contains("--route HTTPRoute/color=NAME"), "{error}");
        let patch = change(&[("HTTPRoute/color", "svc-v2")]).patch(&rollout(MIXED)).unwrap();
        assert_eq!(patch["spec"]["routes"][1]["target"], "svc-v2");
        assert_eq!(patch["spec"]["routes"][0].get("target"), None);
    }

    #[test]
    fn a_known_version_is_called_as_it_was() {
        let called =
            vec![crate::api::Called { route: "HTTPRoute color".to_owned(), name: "svc-v0".to_owned() }];
        let known = Target { name: "node-v0".to_owned(), called, ..Target::default() };
        let patch = Change::back_to(&known).patch(&rollout(MIXED)).unwrap();
        assert_eq!(patch["spec"]["routes"][1]["target"], "svc-v0");
        let plainly = Target { called: vec![], ..known };
        let patch = Change::back_to(&plainly).patch(&rollout(MIXED)).unwrap();
        assert_eq!(patch["spec"]["routes"][1].get("target"), None, "it is called by its name there");
    }

    #[test]
    fn who_keeps_it_is_known_by_marks_and_by_managers() {
        let with =
            |metadata: &str| rollout(&MIXED.replace("{name: color,", &format!("{{{metadata}, name: color,")));
        for (metadata, want) in [
            ("labels: {app: color}", None),
            ("annotations: {argocd.argoproj.io/tracking-id: 'a:b'}", Some("Argo CD")),
            ("labels: {kustomize.toolkit.fluxcd.io/name: apps}", Some("Flux")),
            ("annotations: {meta.helm.sh/release-name: shop}", Some("Helm")),
            (
                "managedFields: [{manager: argocd-controller, fieldsV1: {'f:spec': {'f:target': {}}}}]",
                Some("Argo CD"),
            ),
            ("managedFields: [{manager: argocd-controller, fieldsV1: {'f:spec': {'f:routes': {}}}}]", None),
            ("managedFields: [{manager: kubectl-tidegate, fieldsV1: {'f:spec': {'f:target': {}}}}]", None),
        ] {
            assert_eq!(keeper(&with(metadata)), want, "{metadata}");
        }
        assert_eq!(key(&RouteRef::new(RouteKind::HttpRoute, "a")), "HTTPRoute/a");
    }
}
