//! The chart on a real control plane: what is accepted there, and Helm's own way in and out.

use kube::{Api, api::ListParams};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    helm::{Helm, NAMESPACE, SETS, chart, root, set},
};

/// What the namespace of a release asks of its pods.
pub fn restricted() -> Value {
    json!({ "pod-security.kubernetes.io/enforce": "restricted" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_takes_every_object_of_every_set_word_for_word() {
    let Some(cluster) = Cluster::shared().await else { return };
    for namespace in [NAMESPACE, "shop", "pay"] {
        cluster.named_namespace(namespace, &json!({}));
    }
    for name in SETS {
        let text = cluster.helm.set(name).text;
        let strict = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        ];
        let told = cluster.kubectl(&strict, &text);
        assert!(told.is_ok(), "{name}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_restricted_standard_forbids_is_not_admitted_there() {
    let Some(cluster) = Cluster::shared().await else { return };
    let namespace = cluster.namespace(&restricted());
    let pod = |context: &Value| {
        let rendered = cluster.helm.set("default");
        let mut pod = rendered.one("Deployment")["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!("one");
        pod["spec"]["serviceAccountName"] = json!("default");
        pod["spec"]["containers"][0]["securityContext"] = context.clone();
        let pod = pod.to_string();
        cluster.kubectl(&["-n", &namespace, "create", "--dry-run=server", "-f", "-"], &pod)
    };
    let account = || async {
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(cluster.client.clone(), &namespace);
        accounts.get_opt("default").await.unwrap().is_some()
    };
    crate::waiting::eventually("an account", account, |there| *there).await;
    let told = pod(&json!({})).unwrap_err();
    assert!(told.contains("violates PodSecurity \"restricted:latest\""), "{told}");
    let rendered = cluster.helm.set("default");
    pod(&rendered.container()["securityContext"]).unwrap();
}

/// The bytes of a release as Helm keeps them, at its last revision.
async fn kept(cluster: &Cluster, namespace: &str) -> usize {
    let api: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let secrets = api.list(&ListParams::default().labels("owner=helm")).await.unwrap().items;
    let size = |secret: &k8s_openapi::api::core::v1::Secret| secret.data.as_ref().unwrap()["release"].0.len();
    secrets.iter().map(size).max().unwrap()
}

/// The columns that kubectl shows of Rollouts.
fn columns(cluster: &Cluster) -> String {
    let path = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}";
    cluster.kubectl(&["get", "crd", "rollouts.tidegate.dev", "-o", path], "").unwrap()
}

/// The chart of a newer version, whose Rollouts have one more column.
fn newer(cluster: &Cluster) -> String {
    let folder = cluster.tmp.path().join("newer");
    let copied = std::process::Command::new("cp").arg("-r").arg(chart()).arg(&folder).status();
    assert!(copied.unwrap().success());
    let file = folder.join("files/crds/tidegate.dev_rollouts.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut crd: Value = serde_saphyr::from_str(&text).unwrap();
    let columns = crd.pointer_mut("/spec/versions/0/additionalPrinterColumns").and_then(Value::as_array_mut);
    columns.unwrap().push(json!({ "name": "Newer", "type": "string", "jsonPath": ".status.message" }));
    std::fs::write(&file, crd.to_string()).unwrap();
    folder.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_installs_upgrades_the_crds_and_leaves_them_when_it_goes() {
    let Some(cluster) = Cluster::alone().await else { return };
    let namespace = cluster.namespace(&restricted());
    let chart = chart().display().to_string();
    let appmesh = ["--set", "crds.appmesh.install=true"];
    // Other tests, which are over, have left CRDs that are not this release's, with what is of them.
    let all = ["rollouts.tidegate.dev", "analysistemplates.tidegate.dev", "gatewayroutes.appmesh.k8s.aws"];
    let delete = [&["delete", "crd", "--ignore-not-found", "--timeout=60s"][..], &all].concat();
    cluster.kubectl(&delete, "").unwrap();
    let one = format!("one-{}", std::process::id());
    let install =
        ["install", &one, &chart, "-n", &namespace, "--wait", "--timeout=2m", appmesh[0], appmesh[1]];
    let notes = cluster.helm(&install).unwrap();
    assert!(notes.contains(&format!("is installed as {one}-tidegate in")), "{notes}");
    assert!(!columns(&cluster).contains("Newer"));

    let size = kept(&cluster, &namespace).await;
    // An API server takes objects of up to 1.5 MiB, a Secret up to 1 MiB.
    assert!(size < 300_000, "a release takes {size} bytes");

    let rollout = std::fs::read_to_string(root().join("examples/rollout.yaml")).unwrap();
    cluster.kubectl(&["-n", "default", "create", "-f", "-"], &rollout).unwrap();
    let newer = newer(&cluster);
    cluster.helm(&["upgrade", &one, &newer, "-n", &namespace, appmesh[0], appmesh[1]]).unwrap();
    assert!(columns(&cluster).contains("Newer"), "the CRD is upgraded");

    cluster.helm(&["uninstall", &one, "-n", &namespace, "--wait"]).unwrap();
    let left = cluster.kubectl(&["-n", "default", "get", "rollouts", "-o", "name"], "").unwrap();
    assert!(left.contains("rollout.tidegate.dev/color"), "{left}");
    let gone = cluster.kubectl(&["-n", &namespace, "get", "deployments", "-o", "name"], "").unwrap();
    assert_eq!(gone, "");
    cluster.kubectl(&["-n", "default", "delete", "rollouts", "--all"], "").unwrap();

    awss_own_crd_is_not_replaced_unasked(&cluster, &namespace, &chart);
}

/// In the same test, for it has the server to itself.
fn awss_own_crd_is_not_replaced_unasked(cluster: &Cluster, namespace: &str, chart: &str) {
    let name = "gatewayroutes.appmesh.k8s.aws";
    cluster.kubectl(&["delete", "crd", name, "--wait"], "").unwrap();
    let file = root().join("tests/data/appmesh/crds/appmesh.k8s.aws_gatewayroutes.yaml");
    cluster.kubectl(&["create", "-f", file.to_str().unwrap()], "").unwrap();
    let weights = || {
        let crd = cluster.kubectl(&["get", "crd", name, "-o", "json"], "").unwrap();
        crd.contains("weightedTargets\":") && crd.contains("retryPolicy\":")
    };
    assert!(!weights(), "AWS's own knows no weights here");

    let two = format!("two-{}", std::process::id());
    let common = ["upgrade", "--install", &two, chart, "-n", namespace, "--set"];
    let try_with = |values: &str, more: &[&str]| {
        let mut arguments = common.to_vec();
        arguments.push(values);
        arguments.extend(more);
        cluster.helm(&arguments)
    };
    let told = try_with("crds.install=false,crds.appmesh.install=true", &[]).unwrap_err();
    assert!(told.contains("has a GatewayRoute CRD that is not this release's"), "{told}");
    let replace = "crds.install=false,crds.appmesh.install=true,crds.appmesh.replace=true";
    let told = try_with(replace, &[]).unwrap_err();
    assert!(told.contains("cannot be imported into the current release"), "{told}");
    assert!(!weights(), "nothing was replaced");
    try_with(replace, &["--take-ownership", "--force-conflicts"]).unwrap();
    assert!(weights());
    // It is the release's now, and needs no word any more.
    try_with("crds.install=false,crds.appmesh.install=true", &[]).unwrap();
    cluster.helm(&["uninstall", &two, "-n", namespace]).unwrap();
    assert!(weights(), "it stays");
}

#[test]
fn the_notes_say_what_lacks() {
    let Some(helm) = Helm::find() else { return };
    let notes = |values: &[&str]| {
        let chart = chart().display().to_string();
        let mut arguments = vec!["install", "tidegate", &chart, "-n", NAMESPACE, "--dry-run=client"];
        arguments.extend(values);
        let output = helm.run(&arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        told.split_once("NOTES:").unwrap().1.to_owned()
    };
    let told = notes(&[]);
    assert!(told.contains("No metric provider is configured"), "{told}");
    assert!(told.contains("GatewayRoute's CRD was left as it is"), "{told}");
    let told = notes(&["-f", &set("production"), "--set", "networkPolicy.backends=null"]);
    assert!(told.contains("list them in networkPolicy.backends"), "{told}");
    assert!(!told.contains("No metric provider"), "{told}");
    let told = notes(&["--set", "crds.install=false,crds.appmesh.install=true"]);
    assert!(told.contains("The CRDs were not installed"), "{told}");
    assert!(told.contains("Tidegate's superset"), "{told}");
}
