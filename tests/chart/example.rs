//! The example of a gateway's Envoys: a real control plane takes it, its parts find each other, and what it says of the bootstrap is
//! what the program prints.

use std::process::Command;

use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, policy::v1::PodDisruptionBudget};
use kube::Api;
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
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

fn envoys() -> Vec<Value> {
    objects("examples/gateway/envoy.yaml")
}

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

#[test]
fn the_bootstrap_that_is_printed_is_the_one_that_the_deployment_is_made_for() {
    let bootstrap = bootstrap("examples/gateway/envoy.yaml");
    assert_eq!(bootstrap, self::bootstrap("docs/gateway.md"), "the page says the same");
    let objects = envoys();
    let deployment = one(&objects, "Deployment");
    let metadata = &deployment["metadata"];
    let [name, namespace] = ["name", "namespace"].map(|field| metadata[field].as_str().unwrap());
    assert_eq!(bootstrap["node"]["cluster"], format!("{name}_{namespace}"));

    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
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
    let probe = &container["readinessProbe"]["httpGet"];
    assert_eq!(probe["port"], "statistics");
    assert!(listener.to_string().contains(&format!("\"path\":{}", probe["path"])), "{listener}");

    // The port of the gateway that the other example has.
    let app = self::objects("examples/color-app.yaml");
    let gateway = one(&app, "VirtualGateway");
    assert_eq!(&gateway["metadata"], &json!({"name": name, "namespace": namespace}));
    assert_eq!(&gateway["spec"]["listeners"][0]["portMapping"]["port"], port("http"));
    assert_eq!(
        bootstrap["node"]["id"],
        format!("mesh/{}/virtualGateway/{name}_{namespace}", {
            one(&app, "Mesh")["metadata"]["name"].as_str().unwrap()
        })
    );
}

#[test]
fn it_finds_the_control_plane_that_the_chart_brings() {
    let Some(helm) = Helm::find() else { return };
    let values = ["--set", "gateway.enabled=true,gateway.tls.secretName=tidegate-gateway-tls"];
    let rendered = helm.template("tidegate", "tidegate", &values).unwrap();
    let service = rendered.one("Service");
    let metadata = &service["metadata"];
    let host = format!("{}.{}", metadata["name"].as_str().unwrap(), metadata["namespace"].as_str().unwrap());
    let bootstrap = bootstrap("examples/gateway/envoy.yaml");
    let discovery = named(&bootstrap["static_resources"]["clusters"], "tidegate");
    let endpoint = &discovery["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    let port = &named(&service["spec"]["ports"], "grpc-xds")["port"];
    assert_eq!(endpoint["address"]["socket_address"], json!({"address": host, "port_value": port}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restricted_namespace_takes_it_and_its_parts_find_each_other() {
    let Some(cluster) = Cluster::shared().await else { return };
    let namespace = cluster.namespace(&restricted());
    let text = text("examples/gateway/envoy.yaml");
    let own = text.replace("namespace: default", &format!("namespace: {namespace}"));
    assert_eq!(own.matches(&namespace).count(), envoys().len());
    cluster.apply(&own).unwrap();

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
