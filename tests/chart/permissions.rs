//! What the chart grants is the program's own table, no verb more and none less, in every mode.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate::{
    config::{Config, Replicas},
    controller::permissions::{IN_ITS_OWN, Permission, permissions},
    engine::observed::Allowed,
};

use crate::helm::{Helm, NAMESPACE, Rendered, SETS};

/// A verb on a resource of a group.
pub type Granted = (String, String, String);

pub fn granted(role: &Value) -> BTreeSet<Granted> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let fields: BTreeSet<&str> = rule.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, BTreeSet::from(["apiGroups", "resources", "verbs"]), "{rule}");
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                all.extend(
                    texts(&rule["verbs"]).into_iter().map(|verb| (group.clone(), resource.clone(), verb)),
                );
            }
        }
    }
    all
}

pub fn table(rows: impl IntoIterator<Item = Permission>) -> BTreeSet<Granted> {
    let each = |row: Permission| {
        row.verbs.iter().map(move |verb| (row.group.to_owned(), row.resource.to_owned(), (*verb).to_owned()))
    };
    rows.into_iter().flat_map(each).collect()
}

/// Where a Role or ClusterRole holds; nowhere in particular where that is the cluster.
fn place(role: &Value) -> Option<&str> {
    role["metadata"]["namespace"].as_str()
}

/// Holds the roles that are rendered against what the rendered configuration needs.
pub fn are_exact(rendered: &Rendered, own: &str) {
    let config = Config::parse(rendered.config(), "the chart's").unwrap();
    let allowed = Allowed { previews: config.previews, scaling: config.scaling };
    let mut want = Vec::new();
    let serving = table(permissions(allowed));
    match config.namespaces.as_slice() {
        [] => want.push((None, serving)),
        some => want.extend(some.iter().map(|one| (Some(one.as_str()), serving.clone()))),
    }
    if config.replicas != Replicas::One {
        want.push((Some(own), table(IN_ITS_OWN)));
    }
    let roles = [rendered.of_kind("ClusterRole"), rendered.of_kind("Role")].concat();
    let mut found: Vec<_> = roles.iter().map(|role| (place(role), granted(role))).collect();
    found.sort();
    want.sort();
    assert_eq!(found, want);

    let account = &rendered.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"];
    let bindings = [rendered.of_kind("ClusterRoleBinding"), rendered.of_kind("RoleBinding")].concat();
    assert_eq!(bindings.len(), roles.len());
    for (role, binding) in roles.iter().zip(bindings) {
        assert_eq!(place(role), place(binding));
        let (kind, name) = (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]);
        assert_eq!((kind, name), (&role["kind"], &role["metadata"]["name"]));
        let subjects = binding["subjects"].as_array().unwrap();
        assert_eq!((subjects.len(), &subjects[0]["name"]), (1, account));
        assert_eq!(subjects[0]["namespace"], own);
    }
}

#[test]
fn every_set_grants_what_its_configuration_needs_and_nothing_besides() {
    let Some(helm) = Helm::find() else { return };
    for name in SETS {
        are_exact(&helm.set(name), NAMESPACE);
    }
}

#[test]
fn a_namespaced_installation_has_nothing_of_the_cluster() {
    let Some(helm) = Helm::find() else { return };
    for object in helm.set("namespaced").objects {
        assert!(object["metadata"]["namespace"].is_string(), "{} is the cluster's", object["kind"]);
    }
}

#[test]
fn no_roles_where_they_are_not_wanted() {
    let Some(helm) = Helm::find() else { return };
    let rendered = helm.template("a", "b", &["--set", "rbac.create=false"]).unwrap();
    for kind in ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"] {
        assert!(rendered.of_kind(kind).is_empty(), "{kind}");
    }
}
