//! What the controller may do: one table. The Role that is shipped is made from it, and at the start it is held
//! against what the API server grants.

use k8s_openapi::api::{authorization::v1::ResourceAttributes, rbac::v1::PolicyRule};

use crate::engine::observed::Allowed;

/// What to do about a missing permission.
pub const REMEDY: &str = "grant what `tidegate rbac` prints";

/// Verbs on one resource, and what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The API group.
    pub group: &'static str,
    /// The resource's plural, with its subresource behind a slash.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// What they are for, in a few words.
    pub purpose: &'static str,
}

/// All that the controller ever asks of the API server where it serves, previews and scaling aside, besides what everybody may (its
/// version, its OpenAPI documents, and what one is allowed). No Secrets, no wildcards, and no route is created or deleted.
pub const PERMISSIONS: [Permission; 10] = [
    Permission {
        group: "tidegate.dev",
        resource: "rollouts",
        verbs: &["get", "list", "watch", "patch"],
        purpose: "to follow the Rollouts and to put the finalizer on one that is under way",
    },
    Permission {
        group: "tidegate.dev",
        resource: "rollouts/status",
        verbs: &["update"],
        purpose: "to store what is intended, in effect and found out",
    },
    Permission {
        group: "tidegate.dev",
        resource: "analysistemplates",
        verbs: &["list", "watch"],
        purpose: "to know by what a Rollout is judged that names one",
    },
    routes("appmesh.k8s.aws", "gatewayroutes"),
    routes("appmesh.k8s.aws", "virtualrouters"),
    routes("gateway.networking.k8s.io", "httproutes"),
    routes("gateway.networking.k8s.io", "grpcroutes"),
    Permission {
        group: "apps",
        resource: "deployments",
        verbs: &["list", "watch"],
        purpose: "to know which versions have ready pods, and which image they run",
    },
    Permission {
        group: "apps",
        resource: "statefulsets",
        verbs: &["list", "watch"],
        purpose: "the same, where a Rollout names one",
    },
    Permission {
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "patch"],
        purpose: "to tell people what happened; an Event that repeats is counted up",
    },
];

/// What each kind of route needs.
const fn routes(group: &'static str, resource: &'static str) -> Permission {
    Permission {
        group,
        resource,
        verbs: &["get", "list", "watch", "patch"],
        purpose: "to follow the routes that Rollouts name and to set their weights",
    }
}

/// What it asks besides where previews are switched on.
pub const FOR_PREVIEWS: [Permission; 3] = [
    previews("appmesh.k8s.aws", "gatewayroutes"),
    previews("gateway.networking.k8s.io", "httproutes"),
    previews("gateway.networking.k8s.io", "grpcroutes"),
];

/// What previews of a kind of route need.
const fn previews(group: &'static str, resource: &'static str) -> Permission {
    Permission {
        group,
        resource,
        verbs: &["create", "delete"],
        purpose: "to put a route of its own beside that of a user for as long as a step asks for it",
    }
}

/// What it asks besides where scaling is switched on.
pub const FOR_SCALING: [Permission; 3] = [
    scaling("deployments/scale"),
    scaling("statefulsets/scale"),
    Permission {
        group: "autoscaling",
        resource: "horizontalpodautoscalers",
        verbs: &["list", "watch"],
        purpose: "to scale nothing against what scales it already",
    },
];

/// What scaling a kind of workload needs.
const fn scaling(resource: &'static str) -> Permission {
    Permission {
        group: "apps",
        resource,
        verbs: &["get", "patch"],
        purpose: "to give a canary its pods before its traffic, and to scale down what has none",
    }
}

/// All that the gateways' control plane (`tidegate gateway`) asks where it serves. It writes nothing but statuses.
pub const OF_THE_GATEWAY: [Permission; 11] = [
    mesh("virtualgateways"),
    mesh("gatewayroutes"),
    mesh("virtualservices"),
    mesh("virtualrouters"),
    mesh("virtualnodes"),
    mesh_status("virtualgateways/status"),
    mesh_status("gatewayroutes/status"),
    mesh_status("virtualservices/status"),
    mesh_status("virtualrouters/status"),
    mesh_status("virtualnodes/status"),
    Permission {
        group: "discovery.k8s.io",
        resource: "endpointslices",
        verbs: &["list", "watch"],
        purpose: "to know where the pods of a virtual node are that names no host",
    },
];

/// What it asks besides where it serves the whole cluster.
pub const OF_THE_WHOLE_GATEWAY: [Permission; 1] = [Permission {
    group: "",
    resource: "namespaces",
    verbs: &["list", "watch"],
    purpose: "to know which namespaces a gateway's selector takes routes from",
}];

const fn mesh(resource: &'static str) -> Permission {
    Permission {
        group: "appmesh.k8s.aws",
        resource,
        verbs: &["list", "watch"],
        purpose: "to know what Envoys are to be given",
    }
}

const fn mesh_status(resource: &'static str) -> Permission {
    Permission {
        group: "appmesh.k8s.aws",
        resource,
        verbs: &["patch"],
        purpose: "to say whether Envoys have it",
    }
}

/// All that it asks where it serves.
pub fn permissions(allowed: Allowed) -> impl Iterator<Item = Permission> {
    let previews = FOR_PREVIEWS.into_iter().filter(move |_| allowed.previews);
    let scaling = FOR_SCALING.into_iter().filter(move |_| allowed.scaling);
    PERMISSIONS.into_iter().chain(previews).chain(scaling)
}

/// What it asks in its own namespace, where several controllers agree which of them acts.
pub const IN_ITS_OWN: [Permission; 1] = [Permission {
    group: "coordination.k8s.io",
    resource: "leases",
    verbs: &["get", "list", "watch", "create", "update"],
    purpose: "to agree with other controllers which of them acts",
}];

impl Permission {
    /// The rule of a Role or ClusterRole that grants it.
    pub fn rule(&self) -> PolicyRule {
        let list = |text: &str| Some(vec![text.to_owned()]);
        PolicyRule {
            api_groups: list(self.group),
            resources: list(self.resource),
            verbs: self.verbs.iter().map(ToString::to_string).collect(),
            ..PolicyRule::default()
        }
    }

    /// It in a line of a comment in YAML.
    pub fn line(&self) -> String {
        format!("# - {}.{}: {}: {}\n", self.resource, self.group, self.verbs.join(", "), self.purpose)
    }

    /// What to ask an API server to learn whether a verb is granted; an empty namespace asks for all of them.
    pub fn question(&self, verb: &str, namespace: &str) -> ResourceAttributes {
        let (resource, subresource) = self.parts();
        ResourceAttributes {
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(str::to_owned),
            verb: Some(verb.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ResourceAttributes::default()
        }
    }

    /// A verb on it in words, like `update rollouts.tidegate.dev/status`.
    pub fn name(&self, verb: &str) -> String {
        let (resource, subresource) = self.parts();
        let below = subresource.map(|name| format!("/{name}")).unwrap_or_default();
        format!("{verb} {resource}.{}{below}", self.group)
    }

    fn parts(&self) -> (&'static str, Option<&'static str>) {
        match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (self.resource, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_nothing_that_could_do_harm() {
        for permission in PERMISSIONS {
            let Permission { group, resource, verbs, .. } = permission;
            assert!(
                resource != "secrets" && !group.contains('*') && !resource.contains('*'),
                "{permission:?}"
            );
            let harmful =
                |verb: &&str| matches!(*verb, "*" | "delete" | "deletecollection" | "escalate" | "bind");
            assert!(!verbs.iter().any(harmful), "{permission:?}");
            assert!(resource == "events" || !verbs.contains(&"create"), "{permission:?}");
        }
    }

    #[test]
    fn in_its_own_namespace_it_may_only_use_leases_and_delete_none() {
        let [leases] = IN_ITS_OWN;
        assert_eq!((leases.group, leases.resource), ("coordination.k8s.io", "leases"));
        assert!(!leases.verbs.contains(&"delete") && !leases.verbs.contains(&"*"));
    }

    #[test]
    fn previews_are_created_and_deleted_and_nothing_else() {
        for permission in FOR_PREVIEWS {
            assert_eq!(permission.verbs, ["create", "delete"], "{permission:?}");
        }
        assert_eq!(permissions(Allowed::default()).count(), PERMISSIONS.len());
        let all = PERMISSIONS.len() + FOR_PREVIEWS.len() + FOR_SCALING.len();
        assert_eq!(permissions(Allowed::ALL).count(), all);
    }

    fn on(resource: &str) -> Permission {
        PERMISSIONS.into_iter().find(|permission| permission.resource == resource).unwrap()
    }

    #[test]
    fn a_verb_on_a_subresource_is_asked_and_told_as_such() {
        let status = on("rollouts/status");
        assert_eq!(status.name("update"), "update rollouts.tidegate.dev/status");
        let asked = status.question("update", "ns");
        assert_eq!(
            (asked.resource.as_deref(), asked.subresource.as_deref()),
            (Some("rollouts"), Some("status"))
        );
        let routes = on("gatewayroutes");
        assert_eq!(routes.name("patch"), "patch gatewayroutes.appmesh.k8s.aws");
        assert_eq!(routes.question("patch", "").subresource, None);
    }
}
