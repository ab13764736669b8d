//! Whole rollouts by exactly what the chart renders: it is applied to a real control plane, and the program plays each of its pods.

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tidegate::api::{Phase, Rollout};

use crate::{
    backend::Backend,
    cluster::Cluster,
    granted::Log,
    install::restricted,
    permissions::are_exact,
    played::Played,
    waiting::{Told, eventually},
};

const HTTP_ROUTE: (&str, &str, &str) = ("gateway.networking.k8s.io", "v1", "HTTPRoute");
const GATEWAY_ROUTE: (&str, &str, &str) = ("appmesh.k8s.aws", "v1beta2", "GatewayRoute");
const SECRET: &str = "a-token-of-the-backend";

async fn leads(replica: &Played) -> bool {
    replica.answer("http", "/metrics").await.is_some_and(|(_, text)| text.contains("tidegate_leader 1"))
}

/// The chart, applied with these values in a restricted namespace, and its pods at work.
struct Installation {
    /// They end before the cluster is left, and tell their logs while those are there.
    replicas: Vec<Played>,
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

        let replicas = Played::all(&cluster, rendered.one("Deployment")).await;
        let installed = Self { replicas, cluster, namespace, user };
        installed.are_ready().await;
        installed
    }

    /// All of them, those that wait too; and one leads.
    async fn are_ready(&self) {
        for replica in &self.replicas {
            replica.is_ready().await;
        }
        let leading = || async {
            let mut leading = 0;
            for replica in &self.replicas {
                leading += u32::from(leads(replica).await);
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
        let Log { refused, allowed } = self.cluster.audited(&self.user);
        assert!(refused.is_empty(), "{refused:#?}");
        let allowed: usize = allowed.values().sum();
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

async fn leader(replicas: &[Played]) -> usize {
    for (index, replica) in replicas.iter().enumerate() {
        if leads(replica).await {
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
