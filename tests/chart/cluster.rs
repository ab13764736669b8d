//! The control plane of tests/cluster, and what people do there: with kubectl and Helm, as themselves or as others.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::ServiceAccount,
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::{
    audit,
    granted::Log,
    helm::{Helm, Rendered, root},
    skip::skip,
    waiting::eventually,
};

pub struct Cluster {
    pub helm: Helm,
    /// May do everything.
    pub client: Client,
    pub tmp: tempfile::TempDir,
    kubeconfig: PathBuf,
    folder: PathBuf,
    /// How long the audit log was when the test began.
    began: u64,
    /// Others may be there too, or not, until this goes.
    _lock: File,
}

impl Cluster {
    /// Together with other tests; none, said aloud, without such a control plane.
    pub async fn shared() -> Option<Self> {
        Self::start(false).await
    }

    /// With no other test on it.
    pub async fn alone() -> Option<Self> {
        Self::start(true).await
    }

    async fn start(alone: bool) -> Option<Self> {
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        let (Some(kubeconfig), Some(folder)) =
            (named("TIDEGATE_TEST_KUBECONFIG"), named("TIDEGATE_TEST_CLUSTER"))
        else {
            skip("there is no control plane; run it with: tests/cluster/run cargo test --test chart");
            return None;
        };
        let helm = Helm::find()?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let lock = File::options().create(true).append(true).open(folder.join("tests.lock")).unwrap();
        let locking = move || {
            if alone { lock.lock() } else { lock.lock_shared() }.unwrap();
            lock
        };
        let lock = tokio::task::spawn_blocking(locking).await.unwrap();
        let began = std::fs::metadata(audit::log(&folder)).unwrap().len();
        let options = KubeConfigOptions::default();
        let config = Kubeconfig::read_from(&kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(config, &options).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let cluster = Self { helm, client, tmp, kubeconfig, folder, began, _lock: lock };
        for crds in ["tests/data/gateway-api/crds", "tests/data/prometheus-operator/crds"] {
            cluster
                .kubectl(&["apply", "--server-side", "-f", root().join(crds).to_str().unwrap()], "")
                .unwrap();
        }
        Some(cluster)
    }

    /// A namespace of this test's own, with these labels.
    pub fn namespace(&self, labels: &Value) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("chart-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.named_namespace(&name, labels);
        name
    }

    pub fn named_namespace(&self, name: &str, labels: &Value) {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
        });
        self.apply(&object.to_string()).unwrap();
    }

    /// What kubectl says, or what it complains of.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let program = std::env::var_os("KUBECTL").map_or_else(|| "kubectl".into(), PathBuf::from);
        self.ran(Command::new(program).args(arguments), input)
    }

    /// The same of Helm.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        self.ran(&mut self.helm.command(arguments), "")
    }

    fn ran(&self, command: &mut Command, input: &str) -> Result<String, String> {
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.tmp.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that complains of its arguments reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// As a GitOps tool does.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-"], text)
    }

    /// Applies what the chart renders, the CRDs first, as any tool does that knows of them.
    pub fn install(&self, rendered: &Rendered) {
        let (crds, others): (Vec<&Value>, Vec<&Value>) =
            rendered.objects.iter().partition(|one| one["kind"] == "CustomResourceDefinition");
        for objects in [crds, others] {
            if objects.is_empty() {
                continue;
            }
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
            self.apply(&list.to_string()).unwrap();
        }
        for crd in rendered.of_kind("CustomResourceDefinition") {
            let name = format!("crd/{}", crd["metadata"]["name"].as_str().unwrap());
            self.kubectl(&["wait", "--for=condition=Established", &name, "--timeout=60s"], "").unwrap();
        }
        for deployment in rendered.of_kind("Deployment") {
            let text = |field: &str| deployment["metadata"][field].as_str().unwrap();
            let name = format!("deployment/{}", text("name"));
            let wait = ["-n", text("namespace"), "rollout", "status", &name, "--timeout=90s"];
            self.kubectl(&wait, "").unwrap();
        }
    }

    /// Waits until the account that the chart makes is known to have all that the chart grants.
    pub async fn knows_what_is_granted(&self, rendered: &Rendered, user: &str) {
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        for role in [rendered.of_kind("ClusterRole"), rendered.of_kind("Role")].concat() {
            let namespace = role["metadata"]["namespace"].as_str();
            for rule in role["rules"].as_array().unwrap() {
                for verb in rule["verbs"].as_array().unwrap() {
                    let asked = question(rule, verb, namespace);
                    let review = SubjectAccessReview {
                        spec: SubjectAccessReviewSpec {
                            user: Some(user.to_owned()),
                            resource_attributes: Some(asked.clone()),
                            ..SubjectAccessReviewSpec::default()
                        },
                        ..SubjectAccessReview::default()
                    };
                    let look = || async {
                        let answer = api.create(&PostParams::default(), &review).await;
                        answer.is_ok_and(|review| review.status.is_some_and(|status| status.allowed))
                    };
                    eventually(&format!("granted: {asked:?}"), look, |allowed| *allowed).await;
                }
            }
        }
    }

    /// A token such as the kubelet mounts: of an account, for an hour, and only while the pod is there.
    pub async fn token(&self, namespace: &str, account: &str, pod: (&str, &str), seconds: i64) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let bound = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.0.to_owned()),
            uid: Some(pod.1.to_owned()),
        };
        let spec = TokenRequestSpec {
            bound_object_ref: Some(bound),
            expiration_seconds: Some(seconds),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
        answer.status.unwrap().token
    }

    /// A kubeconfig of who has this token and lives in this namespace.
    pub fn kubeconfig_of(&self, token: &str, namespace: &str) -> String {
        let config = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let mut value = serde_json::to_value(&config).unwrap();
        value["users"][0]["user"] = json!({ "token": token });
        value["contexts"][0]["context"]["namespace"] = json!(namespace);
        value.to_string()
    }

    /// What a user was allowed and refused since the test began.
    pub fn audited(&self, user: &str) -> Log {
        Log::read(&self.folder, self.began, |name| name == user)
    }

    pub fn api(&self, kind: (&str, &str, &str), namespace: &str) -> Api<DynamicObject> {
        let (group, version, kind) = kind;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Waits until a Service has so many ready endpoints: their number, and its ports by name.
    pub async fn endpoints(
        &self,
        namespace: &str,
        service: &str,
        wanted: usize,
    ) -> (usize, BTreeMap<String, i32>) {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let look = || async {
            let slices = api.list(&of_service).await.unwrap().items;
            let ready = slices.iter().flat_map(|slice| &slice.endpoints).filter(|endpoint| {
                endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true))
            });
            let ports = slices.iter().flat_map(|slice| slice.ports.iter().flatten());
            let ports =
                ports.map(|port| (port.name.clone().unwrap_or_default(), port.port.unwrap_or_default()));
            (ready.count(), ports.collect())
        };
        eventually("the Service has its endpoints", look, |(ready, _)| *ready == wanted).await
    }

    /// A file of this test's own.
    pub fn file(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.tmp.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// What to ask to learn whether a verb of a rule is granted.
fn question(rule: &Value, verb: &Value, namespace: Option<&str>) -> ResourceAttributes {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let resource = text(&rule["resources"][0]);
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource.to_owned(), Some(subresource.to_owned())),
        None => (resource, None),
    };
    ResourceAttributes {
        group: Some(text(&rule["apiGroups"][0])),
        resource: Some(resource),
        subresource,
        verb: Some(text(verb)),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    }
}
