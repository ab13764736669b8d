//! Whole rollouts by exactly what the chart renders: it is applied to a real control plane, and each of its pods is played
//! by the program, with the arguments, the environment, the files and the account that the pod has.
//!
//! Three things are not as rendered, and stand in [`Replica::start`]: where files are mounted, on which address the program
//! listens, and that it finds the API server and its token by a kubeconfig and not below /var/run/secrets.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tidegate::api::{Phase, Rollout};

use crate::{
    backend::Backend,
    cluster::Cluster,
    helm::Rendered,
    install::restricted,
    permissions::are_exact,
    waiting::{Told, eventually},
};

const HTTP_ROUTE: (&str, &str, &str) = ("gateway.networking.k8s.io", "v1", "HTTPRoute");
const GATEWAY_ROUTE: (&str, &str, &str) = ("appmesh.k8s.aws", "v1beta2", "GatewayRoute");
const SECRET: &str = "a-token-of-the-backend";

/// A pod of the release, played by the program.
struct Replica {
    program: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

impl Replica {
    async fn start(cluster: &Cluster, rendered: &Rendered, namespace: &str, pod: &Pod) -> Self {
        let container = rendered.container();
        let folder = cluster.tmp.path().join(pod.name_any());
        let mapped = |text: &str| text.replace("/etc/tidegate/", &format!("{}/", folder.display()));

        // What is mounted stands in a folder of this test's own, and the texts name that.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let rendered_address = format!("listen: 0.0.0.0:{}\n", container["ports"][0]["containerPort"]);
        let config = rendered.config();
        assert_eq!(config.matches(&rendered_address).count(), 1, "{config}");
        let config = mapped(&config.replace(&rendered_address, &format!("listen: {free}\n")));
        let mounts = container["volumeMounts"].as_array().unwrap();
        for mount in mounts {
            let (name, place) = (mount["name"].as_str().unwrap(), mount["mountPath"].as_str().unwrap());
            match name {
                "config" => drop(cluster.file(format!("{}/tidegate.yaml", mapped(place)), &config)),
                "secret-backend" => drop(cluster.file(format!("{}/token", mapped(place)), SECRET)),
                // By a kubeconfig instead.
                "account" => {}
                other => panic!("nobody expects the volume {other}"),
            }
        }

        let spec = &rendered.one("Deployment")["spec"]["template"]["spec"];
        let sources =
            spec["volumes"].as_array().unwrap().iter().find_map(|one| one["projected"]["sources"].as_array());
        let seconds = sources.unwrap()[0]["serviceAccountToken"]["expirationSeconds"].as_i64().unwrap();
        let account = spec["serviceAccountName"].as_str().unwrap();
        let uid = pod.uid().unwrap();
        let token = cluster.token(namespace, account, (&pod.name_any(), &uid), seconds).await;
        let kubeconfig = cluster.file(folder.join("kubeconfig"), &cluster.kubeconfig_of(&token, namespace));

        let log = folder.join("log");
        let output = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.env_clear().env("KUBECONFIG", kubeconfig);
        for one in container["env"].as_array().unwrap() {
            let value = match one["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.name") => pod.name_any(),
                Some(other) => panic!("nobody expects the field {other}"),
                None => one["value"].as_str().unwrap().to_owned(),
            };
            command.env(one["name"].as_str().unwrap(), value);
        }
        command.args(container["args"].as_array().unwrap().iter().map(|one| mapped(one.as_str().unwrap())));
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Self { program: command.spawn().unwrap(), address: free, log }
    }

    /// What it answers on its port; nothing as long as it does not.
    async fn answer(&self, path: &str) -> Option<(u16, String)> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{}{path}", self.address)).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    async fn leads(&self) -> bool {
        self.answer("/metrics").await.is_some_and(|(_, text)| text.contains("tidegate_leader 1"))
    }
}

/// The chart, applied with these values in a restricted namespace, and its pods at work.
struct Installation {
    /// They end before the cluster is left, and tell their logs while those are there.
    replicas: Vec<Replica>,
    cluster: Cluster,
    namespace: String,
    user: String,
}

impl Installation {
    async fn of(cluster: Cluster, release: &str, values: &str) -> Self {
        let namespace = cluster.namespace(&restricted());
        let file = cluster.file("values.yaml", values).display().to_string();
        let rendered = cluster.helm.template(release, &namespace, &["-f", &file]).unwrap();
        are_exact(&rendered, &namespace);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": { "token": SECRET },
            "metadata": { "name": "backend-credentials", "namespace": namespace },
        });
        cluster.apply(&secret.to_string()).unwrap();
        cluster.install(&rendered);
        let account = rendered.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"].as_str();
        let user = format!("system:serviceaccount:{namespace}:{}", account.unwrap());
        cluster.knows_what_is_granted(&rendered, &user).await;

        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
        let selector = format!("app.kubernetes.io/instance={release}");
        let pods = pods.list(&ListParams::default().labels(&selector)).await.unwrap().items;
        assert_eq!(pods.len() as u64, rendered.one("Deployment")["spec"]["replicas"].as_u64().unwrap());
        let mut replicas = Vec::new();
        for pod in &pods {
            replicas.push(Replica::start(&cluster, &rendered, &namespace, pod).await);
        }
        let installed = Self { replicas, cluster, namespace, user };
        installed.are_ready().await;
        installed
    }

    /// All of them, those that wait too; and one leads.
    async fn are_ready(&self) {
        for replica in &self.replicas {
            for probe in ["/livez", "/readyz"] {
                let well =
                    |answer: &Option<(u16, String)>| answer.as_ref().is_some_and(|(code, _)| *code == 200);
                eventually(&format!("{probe} is well"), || replica.answer(probe), well).await;
            }
        }
        let leading = || async {
            let mut leading = 0;
            for replica in &self.replicas {
                leading += u32::from(replica.leads().await);
            }
            leading
        };
        eventually("one leads", leading, |leading| *leading == 1).await;
    }

    fn workloads(&self, namespace: &str) {
        for version in ["v1", "v2", "v3"] {
            let labels = json!({ "app": version });
            let container = json!({ "name": "app", "image": format!("registry.example/color:{version}") });
            let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
            let deployment = json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": version, "namespace": namespace },
                "spec": { "replicas": 2, "selector": { "matchLabels": labels }, "template": template },
            });
            self.cluster.apply(&deployment.to_string()).unwrap();
        }
    }

    /// As a person, who owns what is written.
    fn create(&self, namespace: &str, object: &str) {
        self.cluster.kubectl(&["-n", namespace, "create", "-f", "-"], object).unwrap();
    }

    fn rollouts(&self, namespace: &str) -> Api<Rollout> {
        Api::namespaced(self.cluster.client.clone(), namespace)
    }

    async fn release(&self, namespace: &str, version: &str) {
        let workload = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": version });
        let change = json!({ "spec": { "target": { "name": version, "workloadRef": workload } } });
        let change = Patch::Merge(change);
        self.rollouts(namespace).patch("color", &PatchParams::default(), &change).await.unwrap();
    }

    /// Waits until the Rollout rests in a phase, with this version as stable.
    async fn rests(&self, namespace: &str, phase: Phase, stable: &str) {
        let api = self.rollouts(namespace);
        let look = || async { api.get("color").await.map(Told) };
        let rests = |told: &Result<Told, kube::Error>| {
            let status = told.as_ref().ok().and_then(|told| told.0.status.as_ref());
            status.is_some_and(|status| {
                status.phase == Some(phase) && status.stable.as_ref().is_some_and(|one| one.name == stable)
            })
        };
        let _ = eventually(&format!("{phase:?} with {stable}"), look, rests).await;
    }

    /// Everything that the account asked for was allowed.
    fn was_refused_nothing(&self) {
        let (refused, allowed) = self.cluster.audited(&self.user);
        assert!(refused.is_empty(), "{refused:#?}");
        assert!(allowed > 50, "only {allowed} requests of {} are in the audit log", self.user);
    }
}

fn values(backend: &Backend, more: &str) -> String {
    format!(
        "{more}
secrets: {{backend: {{secretName: backend-credentials}}}}
config:
  providers:
    default:
      web: {{url: 'http://{}', auth: {{bearer: {{tokenFile: /etc/tidegate/secrets/backend/token}}}}}}
",
        backend.address
    )
}

fn rollout(route: &str, strategy: &str) -> String {
    format!(
        "
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {{name: color}}
spec:
  routes: [{route}]
  target: {{name: v1, workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: v1}}}}
  strategy: {{{strategy}}}
  analysis:
    interval: 1s
    settle: 100ms
    series: {{total: 'arms/{{{{target}}}} | $.all', errors: 'arms/{{{{target}}}} | $.failed'}}
    errorRate: {{max: 5%}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_in_a_cluster_that_is_served_whole() {
    // It would serve the Rollouts of other tests as well.
    let Some(cluster) = Cluster::alone().await else { return };
    let backend = Backend::start(SECRET).await;
    let release = format!("whole-{}", std::process::id());
    let mut installed = Installation::of(cluster, &release, &values(&backend, "logLevel: info")).await;
    let shop = installed.cluster.namespace(&json!({}));
    installed.workloads(&shop);
    let backends: Vec<Value> = [("v1", 100), ("v2", 0), ("v3", 0)]
        .map(|(name, weight)| json!({ "name": name, "port": 80, "weight": weight }))
        .into();
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "color" },
        "spec": { "rules": [{ "backendRefs": backends }] },
    });
    installed.create(&shop, &route.to_string());
    let route = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: color}";
    installed.create(&shop, &rollout(route, "canary: {hold: 1s, steps: [{weight: 10}, {weight: 50}]}"));
    installed.rests(&shop, Phase::Healthy, "v1").await;

    installed.release(&shop, "v2").await;
    installed.rests(&shop, Phase::Healthy, "v2").await;
    let routes = installed.cluster.api(HTTP_ROUTE, &shop);
    let weight = |route: &kube::core::DynamicObject, index: usize| {
        route.data["spec"]["rules"][0]["backendRefs"][index]["weight"].clone()
    };
    let found = routes.get("color").await.unwrap();
    assert_eq!((weight(&found, 0), weight(&found, 1)), (json!(0), json!(100)));

    // Whoever does not lead takes over, and the version that fails is put back by that one.
    let leader = leader(&installed.replicas).await;
    drop(installed.replicas.remove(leader));
    installed.release(&shop, "v3").await;
    installed.rests(&shop, Phase::Failed, "v2").await;
    let found = routes.get("color").await.unwrap();
    assert_eq!((weight(&found, 1), weight(&found, 2)), (json!(100), json!(0)));

    assert!(!backend.was_asked_without());
    installed.was_refused_nothing();
}

async fn leader(replicas: &[Replica]) -> usize {
    for (index, replica) in replicas.iter().enumerate() {
        if replica.leads().await {
            return index;
        }
    }
    panic!("none leads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_with_a_preview_in_the_namespace_that_is_served_and_in_no_other() {
    let Some(cluster) = Cluster::shared().await else { return };
    let backend = Backend::start(SECRET).await;
    let [shop, other] = [cluster.namespace(&json!({})), cluster.namespace(&json!({}))];
    let release = format!("spaced-{}", std::process::id());
    let more =
        format!("namespaces: [{shop}]\npreviews: true\nscaling: true\ncrds: {{appmesh: {{install: true}}}}");
    let installed = Installation::of(cluster, &release, &values(&backend, &more)).await;
    let entries: Vec<Value> = [("v1", 100), ("v2", 0)]
        .map(|(name, weight)| json!({ "virtualServiceRef": { "name": name }, "weight": weight }))
        .into();
    let route = json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute", "metadata": { "name": "color" },
        "spec": {
            "priority": 500,
            "httpRoute": { "match": { "prefix": "/" }, "action": { "weightedTargets": entries } },
        },
    });
    let rule = "{group: appmesh.k8s.aws, kind: GatewayRoute, name: color, evidence: WhenReported}";
    let strategy = "blueGreen: {preview: {headers: [{name: x-preview, exact: 'true'}]}, before: {hold: 1s}, \
                    after: {hold: 1s}}";
    for namespace in [&shop, &other] {
        installed.workloads(namespace);
        installed.create(namespace, &route.to_string());
        let retire = "\n  retire: {after: 1s, scaleTo: 1}\n";
        installed.create(namespace, &(rollout(rule, strategy) + retire));
    }
    installed.rests(&shop, Phase::Healthy, "v1").await;

    installed.release(&shop, "v2").await;
    let routes = installed.cluster.api(GATEWAY_ROUTE, &shop);
    let preview = || async { routes.get_opt("color-preview-color").await.unwrap().is_some() };
    eventually("the preview is there", preview, |there| *there).await;
    installed.rests(&shop, Phase::Healthy, "v2").await;
    eventually("the preview is gone", preview, |there| !there).await;
    // What scaling is granted is used as well.
    let deployments = installed.cluster.api(("apps", "v1", "Deployment"), &shop);
    let retired = || async { deployments.get("v1").await.unwrap().data["spec"]["replicas"].clone() };
    eventually("v1 is scaled down", retired, |replicas| *replicas == 1).await;

    let elsewhere = installed.rollouts(&other).get("color").await.unwrap();
    assert!(elsewhere.status.is_none_or(|status| status.phase.is_none()), "nobody serves it");
    installed.was_refused_nothing();
    assert!(installed.cluster.kubectl(&["get", "clusterrole", &release], "").is_err());
    assert_eq!(installed.namespace, installed.user.split(':').nth(2).unwrap());
}
