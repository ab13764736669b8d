//! A pod of a release, played by the program: with the arguments, the environment, the files and the account that the pod has.
//!
//! Three things are not as rendered: where files are mounted, at which addresses the program listens, and that it finds the
//! API server and its token by a kubeconfig and not below /var/run/secrets.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::Value;

use crate::{cluster::Cluster, ports::free_address, program::Program, waiting::eventually};

/// Where everything is mounted but what is the account's.
const MOUNTED: &str = "/etc/tidegate/";

/// A pod at work.
pub struct Played {
    /// Where it listens, by the names of its ports.
    addresses: BTreeMap<String, SocketAddr>,
    _program: Program,
}

/// What the texts of a pod name, and what is there in its stead.
struct Moved {
    folder: PathBuf,
    /// The address that is rendered, and the one that is had, by the port's name.
    ports: BTreeMap<String, (String, SocketAddr)>,
}

impl Moved {
    fn of(container: &Value, folder: &Path) -> Self {
        let ports = container["ports"].as_array().unwrap().iter().map(|port| {
            let rendered = format!("0.0.0.0:{}", port["containerPort"]);
            (port["name"].as_str().unwrap().to_owned(), (rendered, free_address()))
        });
        Self { folder: folder.to_owned(), ports: ports.collect() }
    }

    fn path(&self, text: &str) -> String {
        text.replace(MOUNTED, &format!("{}/", self.folder.display()))
    }

    fn text(&self, text: &str) -> String {
        let moved = |text: String, (rendered, had): &(String, SocketAddr)| {
            text.replace(rendered.as_str(), &had.to_string())
        };
        self.ports.values().fold(self.path(text), moved)
    }

    /// Every port that the pod declares is named once, and so is had.
    fn are_all_in(&self, texts: &[String]) {
        let all = texts.join("\n");
        for (rendered, _) in self.ports.values() {
            assert_eq!(all.matches(rendered.as_str()).count(), 1, "{rendered} in {all}");
        }
    }
}

impl Played {
    /// Plays a pod of a Deployment.
    pub async fn start(cluster: &Cluster, deployment: &Value, pod: &Pod) -> Self {
        let (namespace, name) = (pod.namespace().unwrap(), pod.name_any());
        let spec = &deployment["spec"]["template"]["spec"];
        let container = &spec["containers"][0];
        let folder = cluster.tmp.path().join(&name);
        let moved = Moved::of(container, &folder);
        let texts = |list: &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
        };
        let arguments = texts(&container["args"]);
        let mut told = arguments.clone();
        for mount in container["volumeMounts"].as_array().unwrap() {
            let volume = named(&spec["volumes"], &mount["name"]);
            for (file, text) in files(cluster, &namespace, volume).await {
                let folder = moved.path(mount["mountPath"].as_str().unwrap());
                cluster.file(format!("{folder}/{file}"), &moved.text(&text));
                told.push(text);
            }
        }
        moved.are_all_in(&told);

        let kubeconfig = kubeconfig(cluster, spec, pod).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.env_clear().env("KUBECONFIG", cluster.file(folder.join("kubeconfig"), &kubeconfig));
        for one in container["env"].as_array().unwrap() {
            let value = match one["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.name") => name.clone(),
                Some(other) => panic!("nobody expects the field {other}"),
                None => one["value"].as_str().unwrap().to_owned(),
            };
            command.env(one["name"].as_str().unwrap(), value);
        }
        command.args(arguments.iter().map(|argument| moved.text(argument)));
        let program = Program::start(command, folder.join("log"));
        let addresses = moved.ports.into_iter().map(|(name, (_, had))| (name, had)).collect();
        Self { addresses, _program: program }
    }

    /// Plays all pods of a Deployment that is applied.
    pub async fn all(cluster: &Cluster, deployment: &Value) -> Vec<Self> {
        let namespace = deployment["metadata"]["namespace"].as_str().unwrap();
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let labels = deployment["spec"]["selector"]["matchLabels"].as_object().unwrap();
        let labels = labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap()));
        let labels = labels.collect::<Vec<_>>().join(",");
        let pods = api.list(&ListParams::default().labels(&labels)).await.unwrap().items;
        assert_eq!(pods.len() as u64, deployment["spec"]["replicas"].as_u64().unwrap());
        let mut played = Vec::new();
        for pod in &pods {
            played.push(Self::start(cluster, deployment, pod).await);
        }
        played
    }

    pub fn address(&self, port: &str) -> SocketAddr {
        self.addresses[port]
    }

    /// What it answers on a port; nothing as long as it does not.
    pub async fn answer(&self, port: &str, path: &str) -> Option<(u16, String)> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{}{path}", self.address(port))).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// Waits until the kubelet would find it well and ready.
    pub async fn is_ready(&self) {
        for probe in ["/livez", "/readyz"] {
            let well = |answer: &Option<(u16, String)>| answer.as_ref().is_some_and(|(code, _)| *code == 200);
            eventually(&format!("{probe} is well"), || self.answer("http", probe), well).await;
        }
    }
}

fn named<'a>(list: &'a Value, name: &Value) -> &'a Value {
    list.as_array().unwrap().iter().find(|one| one["name"] == *name).unwrap()
}

/// The files of a volume, as the kubelet would have them from the API server. For what is the account's a kubeconfig stands.
async fn files(cluster: &Cluster, namespace: &str, volume: &Value) -> Vec<(String, String)> {
    if let Some(map) = volume["configMap"]["name"].as_str() {
        let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
        return api.get(map).await.unwrap().data.unwrap_or_default().into_iter().collect();
    }
    if let Some(secret) = volume["secret"]["secretName"].as_str() {
        assert!(volume["secret"]["items"].is_null(), "nobody expects parts of a Secret");
        let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
        let data = api.get(secret).await.unwrap().data.unwrap_or_default().into_iter();
        return data.map(|(name, bytes)| (name, String::from_utf8(bytes.0).unwrap())).collect();
    }
    assert!(!volume["projected"].is_null(), "nobody expects the volume {volume}");
    Vec::new()
}

/// A kubeconfig of the pod's account, whose token is as the pod's would be.
async fn kubeconfig(cluster: &Cluster, spec: &Value, pod: &Pod) -> String {
    let volumes = spec["volumes"].as_array().unwrap();
    let sources = volumes.iter().find_map(|volume| volume["projected"]["sources"].as_array()).unwrap();
    let seconds = sources[0]["serviceAccountToken"]["expirationSeconds"].as_i64().unwrap();
    let account = spec["serviceAccountName"].as_str().unwrap();
    let (namespace, name, uid) = (pod.namespace().unwrap(), pod.name_any(), pod.uid().unwrap());
    let token = cluster.token(&namespace, account, (&name, &uid), seconds).await;
    cluster.kubeconfig_of(&token, &namespace)
}
