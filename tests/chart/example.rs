//! The examples of Envoys, of a gateway and beside pods: a real control plane takes them, their parts find each other, and what they say
//! of the bootstrap is what the program prints.

use std::process::Command;

use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, policy::v1::PodDisruptionBudget};
use kube::Api;
use serde_json::{Value, json};
use tidegate::dataplane::{ObjectKind, sidecar};

use crate::{
    cluster::Cluster,
    envoys::define_mesh,
    helm::{Helm, root},
    install::restricted,
    waiting::eventually,
};

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

fn objects(file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(file)).unwrap()
}

fn one<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap()
}

const GATEWAY: &str = "examples/gateway/envoy.yaml";
const SIDECAR: &str = "examples/gateway/sidecar.yaml";

/// The bootstrap that a command in a text prints.
fn bootstrap(file: &str) -> Value {
    let text = text(file);
    let (_, command) = text.split_once("tidegate gateway bootstrap ").unwrap();
    let (command, _) = command.split_once("> envoy.json").unwrap();
    let command = command.replace("\\\n", " ");
    let mut program = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = program.args(["gateway", "bootstrap"]).args(command.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

/// Holds a Deployment with an Envoy against the bootstrap that is printed for it; the bootstrap, and the port of that name.
fn held(file: &str, among: &str, taking: &str) -> (Value, Value) {
    let bootstrap = bootstrap(file);
    let objects = objects(file);
    let deployment = one(&objects, "Deployment");
    let metadata = &deployment["metadata"];
    let [name, namespace] = ["name", "namespace"].map(|field| metadata[field].as_str().unwrap());
    assert_eq!(bootstrap["node"]["cluster"], format!("{name}_{namespace}"));

    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod[among][0];
    let mount = |name: &str| named(&container["volumeMounts"], name)["mountPath"].as_str().unwrap();
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.contains(&json!(format!("{}/envoy.json", mount("bootstrap")))), "{arguments:?}");
    let discovery = named(&bootstrap["static_resources"]["clusters"], "tidegate");
    let shown = discovery["transport_socket"].to_string();
    for file in ["tls.crt", "tls.key", "ca.crt"] {
        assert!(shown.contains(&format!("\"{}/{file}\"", mount("tls"))), "{shown}");
    }
    let port = |name: &str| &named(&container["ports"], name)["containerPort"];
    assert_eq!(&bootstrap["node"]["metadata"]["tidegate.dev/stats-port"], port("statistics"));
    let listener = named(&bootstrap["static_resources"]["listeners"], "statistics");
    assert_eq!(&listener["address"]["socket_address"]["port_value"], port("statistics"));
    let probes = ["readinessProbe", "startupProbe"].map(|probe| &container[probe]["httpGet"]);
    let probe = probes.into_iter().find(|probe| probe.is_object()).unwrap();
    assert_eq!(probe["port"], "statistics");
    assert!(listener.to_string().contains(&format!("\"path\":{}", probe["path"])), "{listener}");
    let port = port(taking).clone();
    (bootstrap, port)
}

#[test]
fn the_bootstrap_that_is_printed_is_the_one_that_the_deployment_is_made_for() {
    let (bootstrap, port) = held(GATEWAY, "containers", "http");
    assert_eq!(bootstrap, self::bootstrap("docs/gateway.md"), "the page says the same");
    // The port of the gateway that the other example has.
    let app = self::objects("examples/color-app.yaml");
    let gateway = one(&app, "VirtualGateway");
    assert_eq!(&gateway["metadata"], &json!({"name": "color-gateway", "namespace": "default"}));
    assert_eq!(gateway["spec"]["listeners"][0]["portMapping"]["port"], port);
    let mesh = one(&app, "Mesh")["metadata"]["name"].as_str().unwrap();
    assert_eq!(bootstrap["node"]["id"], format!("mesh/{mesh}/virtualGateway/color-gateway_default"));
}

#[test]
fn the_same_of_envoys_beside_pods_and_their_node_calls_what_there_is() {
    let (bootstrap, port) = held(SIDECAR, "initContainers", "ingress");
    assert_eq!(port, 15000, "where App Mesh's took what comes to a pod");
    let app = objects("examples/virtual-router/color.yaml");
    let mesh = one(&app, "Mesh")["metadata"]["name"].as_str().unwrap();
    assert_eq!(bootstrap["node"]["id"], format!("mesh/{mesh}/virtualNode/front_default"));

    let own = objects(SIDECAR);
    let kinds = [
        ("VirtualService", ObjectKind::VirtualService),
        ("VirtualRouter", ObjectKind::VirtualRouter),
        ("VirtualNode", ObjectKind::VirtualNode),
    ];
    let kind =
        |object: &&Value| kinds.iter().find(|(name, _)| object["kind"] == *name).map(|(_, kind)| *kind);
    let mesh = app.iter().chain(&own).filter_map(|object| Some((kind(&object)?, object)));
    let planned = sidecar(one(&own, "VirtualNode"), mesh).unwrap();
    assert!(planned.rejected.is_empty() && planned.remarks.is_empty(), "{planned:?}");
    assert_eq!(planned.plan.routes.len(), 1, "{planned:?}");
}

#[test]
fn it_finds_the_control_plane_that_the_chart_brings() {
    let Some(helm) = Helm::find() else { return };
    let values = ["--set", "gateway.enabled=true,gateway.tls.secretName=tidegate-gateway-tls"];
    let rendered = helm.template("tidegate", "tidegate", &values).unwrap();
    let service = rendered.one("Service");
    let metadata = &service["metadata"];
    let host = format!("{}.{}", metadata["name"].as_str().unwrap(), metadata["namespace"].as_str().unwrap());
    let port = &named(&service["spec"]["ports"], "grpc-xds")["port"];
    for file in [GATEWAY, SIDECAR] {
        let bootstrap = bootstrap(file);
        let discovery = named(&bootstrap["static_resources"]["clusters"], "tidegate");
        let endpoint = &discovery["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
        assert_eq!(endpoint["address"]["socket_address"], json!({"address": host, "port_value": port}));
    }
}

/// Makes the objects of a file, in another namespace.
fn apply(cluster: &Cluster, file: &str, namespace: &str) {
    let own = text(file).replace("namespace: default", &format!("namespace: {namespace}"));
    assert_eq!(own.matches(namespace).count(), objects(file).len());
    cluster.apply(&own).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restricted_namespace_takes_pods_with_an_envoy_beside_them() {
    let Some(cluster) = Cluster::shared().await else { return };
    define_mesh(&cluster);
    let namespace = cluster.namespace(&restricted());
    apply(&cluster, SIDECAR, &namespace);
    let (ready, ports) = cluster.endpoints(&namespace, "front", 2).await;
    assert_eq!((ready, ports), (2, [("http".to_owned(), 15000)].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restricted_namespace_takes_it_and_its_parts_find_each_other() {
    let Some(cluster) = Cluster::shared().await else { return };
    let namespace = cluster.namespace(&restricted());
    apply(&cluster, GATEWAY, &namespace);

    // The autoscaler finds the Deployment, and makes of the one pod that it has by itself the two that it shall have at least.
    let (ready, ports) = cluster.endpoints(&namespace, "color-gateway", 2).await;
    assert_eq!((ready, ports), (2, [("http".to_owned(), 8080)].into()));
    let scalers: Api<HorizontalPodAutoscaler> = Api::namespaced(cluster.client.clone(), &namespace);
    let scaler = scalers.get("color-gateway").await.unwrap();
    let conditions = scaler.status.unwrap().conditions.unwrap_or_default();
    let able = conditions.iter().find(|condition| condition.type_ == "AbleToScale");
    assert!(able.is_some_and(|condition| condition.status == "True"), "{conditions:?}");
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(cluster.client.clone(), &namespace);
    let look = || async { budgets.get("color-gateway").await.unwrap().status };
    let counted = |status: &Option<k8s_openapi::api::policy::v1::PodDisruptionBudgetStatus>| {
        status.as_ref().is_some_and(|status| (status.expected_pods, status.disruptions_allowed) == (2, 1))
    };
    eventually("the budget counts both", look, counted).await;
}
