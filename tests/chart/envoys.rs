//! The gateways' control plane by exactly what the chart renders, and a stock Envoy that connects to it over mutual TLS: weights
//! come into effect, and everything that is granted is needed for it.

use std::{collections::BTreeSet, net::SocketAddr, path::Path, process::Command};

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use tidegate::sandbox::backends::Backend;

use crate::{
    certificates::{authority, write},
    cluster::Cluster,
    granted::Asked,
    helm::{Rendered, root},
    install::restricted,
    permissions::granted,
    played::Played,
    ports::free_address,
    program::{Program, envoy, is_there},
    skip::skip,
    waiting::eventually,
};

/// The Secret that the chart is told of.
const SECRET: &str = "edge-certificates";
/// AWS's definitions of what stands around a GatewayRoute, whose own the chart brings.
const MESH: [&str; 4] = ["virtualgateways", "virtualservices", "virtualrouters", "virtualnodes"];

/// Makes those definitions.
pub fn define_mesh(cluster: &Cluster) {
    for plural in MESH {
        let file = root().join(format!("tests/data/appmesh/crds/appmesh.k8s.aws_{plural}.yaml"));
        cluster.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()], "").unwrap();
    }
}

/// What the chart brings of it, applied, and its pods at work; an Envoy, and what it leads to.
struct Edge {
    /// They end before the cluster is left, and tell their logs while those are there.
    replicas: Vec<Played>,
    _envoy: Program,
    _backends: [Backend; 2],
    cluster: Cluster,
    /// Where the mesh's objects are.
    shop: String,
    /// Where the Envoy takes requests.
    ingress: SocketAddr,
    user: String,
    rendered: Rendered,
}

impl Edge {
    /// With these values besides; `shop` is where the mesh's objects are.
    async fn of(cluster: Cluster, release: &str, more: &str, shop: &str) -> Self {
        define_mesh(&cluster);
        let namespace = cluster.namespace(&restricted());
        let values = format!(
            "{more}\ncrds: {{appmesh: {{install: true}}}}\nnetworkPolicy: {{enabled: true}}\n\
             gateway: {{enabled: true, tls: {{secretName: {SECRET}}}}}\n"
        );
        let file = cluster.file("values.yaml", &values).display().to_string();
        let whole = cluster.helm.template(release, &namespace, &["-f", &file]).unwrap();
        let names = whole.of_kind("Deployment").into_iter();
        let mut names = names.map(|deployment| deployment["metadata"]["name"].as_str().unwrap());
        let name = names.find(|name| name.ends_with("-gateway")).unwrap().to_owned();
        let rendered = whole.named(&name);

        // As values.yaml says what the certificate must be for.
        let host = format!("{name}.{namespace}");
        let authority = authority();
        let [served, shown] = ["served", "shown"].map(|folder| {
            let folder = cluster.tmp.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            write(&folder, &authority, &host);
            folder
        });
        cluster.apply(&secret(&namespace, &served).to_string()).unwrap();
        cluster.install(&whole);
        let user = format!("system:serviceaccount:{namespace}:{name}");
        cluster.knows_what_is_granted(&rendered, &user).await;
        let replicas = Played::all(&cluster, rendered.one("Deployment")).await;
        for replica in &replicas {
            replica.is_ready().await;
        }

        let (ingress, backends) = (free_address(), backends().await);
        for object in mesh(shop, ingress.port(), &backends) {
            cluster.apply(&object.to_string()).unwrap();
        }
        let bootstrap = bootstrap(shop, &host, &shown, &replicas);
        let config = cluster.file("envoy.json", &bootstrap.to_string());
        let mut command = Command::new(envoy());
        command.arg("-c").arg(config).args(["--disable-hot-restart", "--concurrency", "1", "-l", "warn"]);
        let running = Program::start(command, cluster.tmp.path().join("envoy.log"));
        let shop = shop.to_owned();
        Self { replicas, _envoy: running, _backends: backends, cluster, shop, ingress, user, rendered }
    }

    /// Gives the versions these weights, and waits until its status says that they are in effect, and has nothing to remark: what
    /// stands behind the route may be seen later than the route. The message.
    async fn weigh(&self, v1: u32, v2: u32) -> String {
        let routes = self.routes();
        let change = Patch::Merge(json!({"spec": spec(v1, v2)}));
        let stored = routes.patch("color", &PatchParams::default(), &change).await.unwrap();
        let generation = stored.metadata.generation.unwrap();
        let look = || async { programmed(&routes.get("color").await.unwrap()) };
        let is = |told: &Value| told["reason"] == "Programmed" && told["observedGeneration"] == generation;
        let told = eventually("the weights are in effect", look, is).await;
        told["message"].as_str().unwrap().to_owned()
    }

    fn routes(&self) -> Api<DynamicObject> {
        self.cluster.api(("appmesh.k8s.aws", "v1beta2", "GatewayRoute"), &self.shop)
    }

    /// Which version answers.
    async fn answer(&self) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{}/color", self.ingress)).send().await.unwrap();
        let version =
            answer.headers().get("x-app-version").map(|version| version.to_str().unwrap().to_owned());
        version.unwrap_or_else(|| answer.status().to_string())
    }

    fn granted(&self) -> BTreeSet<Asked> {
        let roles = [self.rendered.of_kind("ClusterRole"), self.rendered.of_kind("Role")].concat();
        roles.into_iter().flat_map(granted).collect()
    }

    /// What was granted in vain so far, and what was refused.
    fn faults(&self, granted: &BTreeSet<Asked>) -> Vec<String> {
        self.cluster.audited(&self.user).faults(granted)
    }

    /// Says of a node and a service what a control plane that is gone said when Envoy refused them, so that it is taken back.
    async fn everything_granted_is_needed(&self) {
        for (kind, condition) in
            [("virtualnode", "VirtualNodeActive"), ("virtualservice", "VirtualServiceActive")]
        {
            let told = json!({"type": condition, "status": "False", "reason": "Refused"});
            let status = json!({"status": {"conditions": [told]}}).to_string();
            let arguments =
                ["patch", kind, "v1", "-n", &self.shop, "--subresource=status", "--type=merge", "-p"];
            self.cluster.kubectl(&[&arguments[..], &[&status]].concat(), "").unwrap();
        }
        let mut granted = self.granted();
        eventually("everything is needed", || async { self.faults(&granted) }, Vec::is_empty).await;
        // What is more would be seen.
        granted.insert((String::new(), "secrets".to_owned(), "get".to_owned()));
        assert_eq!(self.faults(&granted), ["granted and never used: get secrets."]);
    }

    /// The place in `replicas` of the one that has the Envoys, as its list says.
    async fn leader(&self) -> (usize, Value) {
        for (index, replica) in self.replicas.iter().enumerate() {
            if let Some((200, list)) = replica.answer("registry", "/envoys").await {
                return (index, serde_json::from_str(&list).unwrap());
            }
        }
        panic!("none leads");
    }
}

fn secret(namespace: &str, folder: &Path) -> Value {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let data: Value = ["tls.crt", "tls.key", "ca.crt"].map(|name| (name, text(name))).into_iter().collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "stringData": data,
        "metadata": {"name": SECRET, "namespace": namespace},
    })
}

async fn backends() -> [Backend; 2] {
    let start = async |version: &str| Backend::start(version, version, 1).await.unwrap();
    [start("v1").await, start("v2").await]
}

/// The route of the dialect.
fn spec(v1: u32, v2: u32) -> Value {
    let target = |(name, weight): (&str, u32)| json!({"virtualServiceRef": {"name": name}, "weight": weight});
    let targets = [("v1", v1), ("v2", v2)].map(target);
    let block = json!({"match": {"prefix": "/color"}, "action": {"weightedTargets": targets}});
    json!({"virtualGatewayRef": {"name": "gw"}, "routeSpec": {"httpRoute": block}})
}

/// A gateway, a route, and two versions, the first of them behind a router.
fn mesh(shop: &str, port: u16, backends: &[Backend; 2]) -> Vec<Value> {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": kind, "spec": spec,
            "metadata": {"name": name, "namespace": shop},
        })
    };
    let listeners = |port: u16| json!([{"portMapping": {"port": port, "protocol": "http"}}]);
    // Routes of other tests may be in the cluster.
    let namespaces = json!({"matchLabels": {"kubernetes.io/metadata.name": shop}});
    let to_node = json!({"weightedTargets": [{"virtualNodeRef": {"name": "v1"}, "weight": 1}]});
    let route = json!({"name": "all", "httpRoute": {"match": {"prefix": "/"}, "action": to_node}});
    let mut objects = vec![
        object(
            "VirtualGateway",
            "gw",
            json!({"listeners": listeners(port), "namespaceSelector": namespaces}),
        ),
        object("VirtualRouter", "v1", json!({"listeners": listeners(8080), "routes": [route]})),
    ];
    let providers = [
        json!({"virtualRouter": {"virtualRouterRef": {"name": "v1"}}}),
        json!({"virtualNode": {"virtualNodeRef": {"name": "v2"}}}),
    ];
    for ((backend, provider), name) in backends.iter().zip(providers).zip(["v1", "v2"]) {
        let dns = json!({"dns": {"hostname": "127.0.0.1"}});
        let node = json!({"listeners": listeners(backend.address().port()), "serviceDiscovery": dns});
        objects.push(object("VirtualNode", name, node));
        objects.push(object("VirtualService", name, json!({"provider": provider})));
    }
    objects.push(object("GatewayRoute", "color", spec(100, 0)));
    objects
}

/// What the program prints for the Envoy. That the name of the control plane leads to its pods is all that a cluster's DNS would
/// add.
fn bootstrap(shop: &str, host: &str, tls: &Path, replicas: &[Played]) -> Value {
    let port = || free_address().port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["gateway", "bootstrap", "gw", "-n", shop, "--host", host, "--tls"]).arg(tls);
    command.args(["--admin-port", &port(), "--stats-port", &port()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut bootstrap: Value = serde_json::from_slice(&output.stdout).unwrap();
    let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
    let discovery = clusters.iter_mut().find(|cluster| cluster["name"] == "tidegate").unwrap();
    let endpoints = &mut discovery["load_assignment"]["endpoints"][0]["lb_endpoints"];
    let address = |address: SocketAddr| {
        let socket = json!({"address": address.ip(), "port_value": address.port()});
        json!({"endpoint": {"address": {"socket_address": socket}}})
    };
    *endpoints = replicas.iter().map(|replica| address(replica.address("grpc-xds"))).collect();
    bootstrap
}

/// The condition of a route.
fn programmed(route: &DynamicObject) -> Value {
    let mut conditions = route.data["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == "Programmed").cloned().unwrap_or_default()
}

/// The control plane of tests/cluster, where there is an Envoy besides.
async fn cluster(alone: bool) -> Option<Cluster> {
    let cluster = if alone { Cluster::alone().await } else { Cluster::shared().await }?;
    if !is_there(&envoy()) {
        skip("there is no envoy: TIDEGATE_ENVOY may name one");
        return None;
    }
    Some(cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_served_whole_and_goes_on_without_the_replica_that_led() {
    // It would speak of the objects of other tests as well.
    let Some(cluster) = cluster(true).await else { return };
    let shop = cluster.namespace(&json!({}));
    let release = format!("edge-{}", std::process::id());
    let mut edge = Edge::of(cluster, &release, "", &shop).await;
    assert_eq!(edge.weigh(80, 0).await, format!("1 of 1 Envoys of {shop}/gw have generation 2"));
    assert_eq!(edge.answer().await, "v1");

    let deployment = edge.rendered.one("Deployment");
    let text = |field: &str| deployment["metadata"][field].as_str().unwrap();
    let (ready, ports) = edge.cluster.endpoints(text("namespace"), text("name"), 2).await;
    assert_eq!((ready, ports), (2, [("grpc-xds".to_owned(), 18000), ("registry".to_owned(), 18001)].into()));

    let (leader, list) = edge.leader().await;
    assert_eq!(list[0]["gateway"], format!("{shop}/gw"), "{list}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/stats/prometheus", list[0]["stats"].as_str().unwrap());
    let statistics = client.get(url).send().await.unwrap().text().await.unwrap();
    assert!(statistics.contains(&format!("cds_egress_mesh_v1_{shop}_http_")), "{statistics}");

    edge.everything_granted_is_needed().await;
    drop(edge.replicas.remove(leader));
    edge.weigh(0, 100).await;
    assert_eq!(edge.answer().await, "v2");
    assert_eq!(edge.faults(&edge.granted()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_served_with_nothing_of_the_cluster_and_what_lacks_is_seen() {
    let Some(cluster) = cluster(false).await else { return };
    let shop = cluster.namespace(&json!({}));
    let release = format!("spaced-edge-{}", std::process::id());
    let edge = Edge::of(cluster, &release, &format!("namespaces: [{shop}]"), &shop).await;
    edge.weigh(0, 80).await;
    assert_eq!(edge.answer().await, "v2");
    edge.everything_granted_is_needed().await;

    let roles = edge.rendered.of_kind("Role");
    let role = roles.iter().find(|role| role["metadata"]["namespace"] == shop.as_str()).unwrap();
    let mut kept = role["rules"].as_array().unwrap().clone();
    kept.retain(|rule| rule["resources"][0] != "gatewayroutes/status");
    let less = json!({"rules": kept}).to_string();
    let name = role["metadata"]["name"].as_str().unwrap();
    edge.cluster.kubectl(&["patch", "role", name, "-n", &shop, "--type=merge", "-p", &less], "").unwrap();
    let change = Patch::Merge(json!({"spec": spec(80, 0)}));
    edge.routes().patch("color", &PatchParams::default(), &change).await.unwrap();
    let is_refused = |faults: &Vec<String>| {
        faults.first().is_some_and(|fault| {
            fault.starts_with("refused although it is asked for: patch gatewayroutes/status.appmesh.k8s.aws")
        })
    };
    eventually("it is refused", || async { edge.faults(&edge.granted()) }, is_refused).await;
}
