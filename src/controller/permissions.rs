//! What the controller may do: one table. The Role that is shipped is made from it, and at the start it is held
//! against what the API server grants.

use k8s_openapi::api::{
    authorization::v1::{ResourceRule, SubjectRulesReviewStatus},
    rbac::v1::PolicyRule,
};

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

/// All that the controller ever asks of the API server, besides what everybody may (its version, its OpenAPI
/// documents, and which rules apply to oneself). No Secrets, no wildcards, and no route is created or deleted.
pub const PERMISSIONS: [Permission; 5] = [
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
        group: "appmesh.k8s.aws",
        resource: "gatewayroutes",
        verbs: &["get", "list", "watch", "patch"],
        purpose: "to follow the routes and to set their weights",
    },
    Permission {
        group: "apps",
        resource: "deployments",
        verbs: &["list", "watch"],
        purpose: "to know which versions have ready pods, and which image they run",
    },
    Permission {
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "patch"],
        purpose: "to tell people what happened; an Event that repeats is counted up",
    },
];

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

    fn missing<'a>(&'a self, granted: &'a [ResourceRule]) -> impl Iterator<Item = &'static str> + 'a {
        let has = |list: Option<&Vec<String>>, wanted: &str| {
            list.is_some_and(|list| list.iter().any(|entry| entry == "*" || entry == wanted))
        };
        // A rule for single names does not do: which Rollouts and routes there will be is not known beforehand.
        let grants = move |rule: &ResourceRule, verb: &str| {
            rule.resource_names.as_ref().is_none_or(Vec::is_empty)
                && has(rule.api_groups.as_ref(), self.group)
                && has(rule.resources.as_ref(), self.resource)
                && has(Some(&rule.verbs), verb)
        };
        self.verbs.iter().copied().filter(move |verb| !granted.iter().any(|rule| grants(rule, verb)))
    }
}

/// What is not granted, like `patch gatewayroutes.appmesh.k8s.aws`. An answer that the API server itself calls
/// incomplete says nothing about what it leaves out.
pub fn missing(granted: &SubjectRulesReviewStatus) -> Vec<String> {
    if granted.incomplete {
        return Vec::new();
    }
    let told = |permission: &'static Permission| {
        let (resource, subresource) = match permission.resource.split_once('/') {
            Some((resource, subresource)) => (resource, format!("/{subresource}")),
            None => (permission.resource, String::new()),
        };
        let what = format!("{resource}.{}{subresource}", permission.group);
        permission.missing(&granted.resource_rules).map(move |verb| format!("{verb} {what}"))
    };
    PERMISSIONS.iter().flat_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(rules: Vec<PolicyRule>) -> SubjectRulesReviewStatus {
        let resource_rules = rules
            .into_iter()
            .map(|rule| ResourceRule {
                api_groups: rule.api_groups,
                resources: rule.resources,
                resource_names: rule.resource_names,
                verbs: rule.verbs,
            })
            .collect();
        SubjectRulesReviewStatus { resource_rules, ..SubjectRulesReviewStatus::default() }
    }

    fn all() -> Vec<PolicyRule> {
        PERMISSIONS.iter().map(Permission::rule).collect()
    }

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
    fn what_is_missing_is_named() {
        assert!(missing(&granted(all())).is_empty());
        let mut rules = all();
        rules[1].verbs.clear();
        rules[2].verbs.retain(|verb| verb != "patch");
        let want = ["update rollouts.tidegate.dev/status", "patch gatewayroutes.appmesh.k8s.aws"];
        assert_eq!(missing(&granted(rules)), want);
    }

    #[test]
    fn a_wildcard_grants_and_a_rule_for_single_names_does_not() {
        let any = || Some(vec!["*".to_owned()]);
        let wide = PolicyRule {
            api_groups: any(),
            resources: any(),
            verbs: vec!["*".to_owned()],
            ..PolicyRule::default()
        };
        assert!(missing(&granted(vec![wide.clone()])).is_empty());
        let narrow = PolicyRule { resource_names: Some(vec!["one".to_owned()]), ..wide };
        assert_eq!(missing(&granted(vec![narrow])).len(), 13);
    }

    #[test]
    fn an_incomplete_answer_says_nothing() {
        let status = SubjectRulesReviewStatus { incomplete: true, ..granted(Vec::new()) };
        assert!(missing(&status).is_empty());
    }
}
