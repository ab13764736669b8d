//! The gateways' control plane, where the chart brings it.

use serde_json::{Value, json};
use tidegate::controller::permissions::{IN_ITS_OWN, OF_THE_GATEWAY, OF_THE_WHOLE_GATEWAY};

use crate::{
    golden::is_committed,
    helm::{Helm, NAMESPACE, Rendered, set},
    permissions::{granted, table},
    values::refusal,
};

const NAME: &str = "tidegate-gateway";

/// The objects of the control plane, of a kind.
fn own<'a>(rendered: &'a Rendered, kind: &str) -> Vec<&'a Value> {
    let all = rendered.of_kind(kind).into_iter();
    all.filter(|object| object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(NAME)))
        .collect()
}

#[test]
fn what_it_renders_is_committed() {
    let Some(helm) = Helm::find() else { return };
    let output =
        helm.run(&["lint", "--strict", crate::helm::chart().to_str().unwrap(), "-f", &set("gateway")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    is_committed(&helm, "gateway");
}

#[test]
fn nothing_of_it_is_there_unless_it_is_asked_for() {
    let Some(helm) = Helm::find() else { return };
    let rendered = helm.set("production");
    for kind in ["Deployment", "Service", "ServiceAccount", "ClusterRole", "Role", "NetworkPolicy"] {
        assert!(own(&rendered, kind).is_empty(), "{kind}");
    }
}

#[test]
fn it_may_read_the_mesh_and_write_statuses_and_no_more() {
    let Some(helm) = Helm::find() else { return };
    let rendered = helm.set("gateway");
    let [role] = own(&rendered, "ClusterRole")[..] else { panic!("one ClusterRole") };
    assert_eq!(granted(role), table(OF_THE_GATEWAY.into_iter().chain(OF_THE_WHOLE_GATEWAY)));
    let [leases] = own(&rendered, "Role")[..] else { panic!("one Role") };
    assert_eq!(granted(leases), table(IN_ITS_OWN));
    assert_eq!(leases["metadata"]["namespace"], NAMESPACE);
    for binding in [own(&rendered, "ClusterRoleBinding"), own(&rendered, "RoleBinding")].concat() {
        let subject = json!([{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]);
        assert_eq!(binding["subjects"], subject);
    }
    let some = helm
        .template("tidegate", NAMESPACE, &["-f", &set("gateway"), "--set", "namespaces={shop,bar}"])
        .unwrap();
    assert!(own(&some, "ClusterRole").is_empty());
    let roles = own(&some, "Role");
    let of = |namespace: &str| roles.iter().find(|role| role["metadata"]["namespace"] == namespace);
    for namespace in ["bar", "shop"] {
        assert_eq!(granted(of(namespace).unwrap()), table(OF_THE_GATEWAY));
    }
    let arguments = &own(&some, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"];
    let named = |name: &str| arguments.as_array().unwrap().contains(&json!(format!("--namespace={name}")));
    assert!(named("bar") && named("shop"), "{arguments}");
}

#[test]
fn its_pods_are_restricted_and_nobody_takes_them_for_the_controller_s() {
    let Some(helm) = Helm::find() else { return };
    let rendered = helm.set("gateway");
    let deployment = own(&rendered, "Deployment")[0];
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let want = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(pod["containers"][0]["securityContext"], want);
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for kind in ["Deployment", "PodDisruptionBudget", "NetworkPolicy"] {
        for object in rendered.of_kind(kind) {
            let selector = object["spec"].get("selector").unwrap_or(&object["spec"]["podSelector"]);
            let selected =
                selector["matchLabels"].as_object().unwrap().iter().all(|(key, value)| labels[key] == *value);
            let is_own = object["metadata"]["name"] == NAME;
            assert_eq!(selected, is_own, "{kind} {}", object["metadata"]["name"]);
        }
    }
}

#[test]
fn it_is_not_run_in_the_clear_by_mistake() {
    let Some(helm) = Helm::find() else { return };
    let told = refusal(&helm, &["--set", "gateway.enabled=true"]);
    assert!(told.contains("gateway.tls.secretName: name the Secret"), "{told}");
    let both = [
        "--set",
        "gateway.enabled=true",
        "--set",
        "gateway.plaintext=true",
        "--set",
        "gateway.tls.secretName=a",
    ];
    assert!(refusal(&helm, &both).contains("contradict each other"));
}
