//! The real kubectl against the embedded server.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Resource};
use serde_json::json;
use tempfile::TempDir;
use tidegate::sandbox::apiserver::ApiServer;

use crate::skip::skip;
use crate::support::{server, widgets, widgets_resource};

const WIDGET: &str = "apiVersion: test.dev/v1
kind: Widget
metadata: {name: a, labels: {team: x}}
spec: {color: red, replicas: 1, weights: [100, 0]}
";

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: color}
spec:
  replicas: 1
  selector: {matchLabels: {app: color}}
  template:
    metadata: {labels: {app: color}}
    spec: {containers: [{name: c, image: 'color:1', ports: [{containerPort: 8080}]}]}
";

const STATEFUL_SET: &str = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: c, image: 'store:1'}]}
";

const AUTOSCALER: &str = "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: store}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: store}
  maxReplicas: 4
";

const GATEWAY_ROUTE: &str = "apiVersion: appmesh.k8s.aws/v1beta2
kind: GatewayRoute
metadata: {name: color, namespace: default}
spec:
  httpRoute:
    match: {prefix: /}
    action: {target: {virtualService: {virtualServiceRef: {name: color-app-v1}}}}
";

/// kubectl, from `KUBECTL` or from the path, with the server's kubeconfig and a cache of its own.
struct Kubectl {
    program: String,
    folder: TempDir,
}

impl Kubectl {
    /// `None`, with a line that says so, where kubectl does not run.
    fn new(server: &ApiServer) -> Option<Self> {
        let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        let found = Command::new(&program).args(["version", "--client"]).stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            skip(&format!("{program} does not run"));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), server.kubeconfig()).unwrap();
        Some(Self { program, folder })
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", self.folder.path().join("config")).env("HOME", self.folder.path());
        command.args(line.split_whitespace());
        command
    }

    fn try_run(&self, line: &str) -> Result<String, String> {
        let output = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Runs a command that must succeed and tell all of these.
    fn run(&self, line: &str, wanted: &[&str]) -> String {
        let told = self.try_run(line).unwrap_or_else(|error| panic!("kubectl {line}: {error}"));
        for part in wanted {
            assert!(told.contains(part), "kubectl {line} does not tell {part:?}:\n{told}");
        }
        told
    }

    /// Runs a command that must fail and tell this.
    fn refused(&self, line: &str, wanted: &str) {
        let told = self.try_run(line).expect_err(line);
        assert!(told.contains(wanted), "kubectl {line} does not tell {wanted:?}:\n{told}");
    }
}

/// Runs blocking work beside the server.
async fn with_kubectl(work: impl FnOnce(&Kubectl) + Send + 'static) -> Option<ApiServer> {
    let server = server().await;
    let kubectl = Kubectl::new(&server)?;
    tokio::task::spawn_blocking(move || work(&kubectl)).await.unwrap();
    Some(server)
}

#[tokio::test(flavor = "multi_thread")]
async fn reads() {
    with_kubectl(|kubectl| {
        let file = kubectl.file("a.yaml", WIDGET);
        kubectl.run(&format!("create -f {file}"), &["widget.test.dev/a created"]);
        kubectl.run("get widgets", &["NAME", "COLOR", "AGE", "red"]);
        kubectl.run("get wd -o wide", &["REPLICAS"]);
        kubectl.run("get tidegate -A", &["NAMESPACE", "default"]);
        kubectl.run("get widget a -o name", &["widget.test.dev/a"]);
        kubectl.run("get widget a -o yaml", &["kind: Widget", "color: red"]);
        kubectl.run("get widgets -o json", &["\"kind\": \"List\"", "\"kind\": \"Widget\""]);
        kubectl.run("get widgets -l team=x --field-selector spec.color=red -o name", &["/a"]);
        kubectl.run("get ns,sa,svc,deploy,crd", &["kube-system", "widgets.test.dev"]);
        kubectl.run("api-resources", &["gatewayroutes", "deployments", "wd"]);
        kubectl.run("api-versions", &["test.dev/v1"]);
        kubectl.run("explain widget.spec.color", &["Its color."]);
        kubectl.run("explain deployment.spec.replicas", &["Number of desired pods"]);
        kubectl.run("explain gatewayroute.spec --recursive", &["httpRoute"]);
        kubectl.run("version", &["v1.37"]);
        kubectl.refused("get widget absent", "\"absent\" not found");
        kubectl.refused("get nonsense", "doesn't have a resource type");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes() {
    with_kubectl(|kubectl| {
        let file = kubectl.file("a.yaml", WIDGET);
        kubectl.run(&format!("apply -f {file}"), &["created"]);
        kubectl.run(&format!("apply -f {file}"), &["unchanged"]);
        let changed = kubectl.file("a.yaml", &WIDGET.replace("red", "blue"));
        kubectl.run(&format!("apply --dry-run=server -f {changed}"), &["configured (server dry run)"]);
        kubectl.run("get widget a -o jsonpath={.spec.color}", &["red"]);
        kubectl.run(&format!("apply -f {changed}"), &["configured"]);
        kubectl.run("get widget a -o jsonpath={.spec.color}", &["blue"]);
        kubectl.run(r#"patch widget a --type=merge -p {"spec":{"color":"green"}}"#, &["patched"]);
        let test = r#"[{"op":"test","path":"/spec/color","value":"red"}]"#;
        kubectl.refused(&format!("patch widget a --type=json -p {test}"), "the server rejected our request");
        let add = r#"[{"op":"replace","path":"/spec/weights/0","value":90}]"#;
        kubectl.run(&format!("patch widget a --type=json -p {add}"), &["patched"]);
        kubectl.run(
            r#"patch widget a --subresource=status --type=merge -p {"status":{"phase":"Up"}}"#,
            &["patched"],
        );
        kubectl.run("annotate widget a tidegate.dev/x=y", &["annotated"]);
        kubectl.run("label widget a team=z --overwrite", &["labeled"]);
        kubectl.run("scale widget a --replicas=3", &["scaled"]);
        kubectl.run("wait widget a --for=jsonpath={.status.phase}=Up --timeout=5s", &["condition met"]);
        let shown = kubectl.run("get widget a -o json", &["\"green\"", "\"team\": \"z\"", "\"replicas\": 3"]);
        let replaced = kubectl.file("r.json", &shown);
        kubectl.run(&format!("replace -f {replaced}"), &["replaced"]);
        kubectl.refused(&format!("apply --server-side -f {file}"), "does not serve server-side apply");
        kubectl.run("delete widget a", &["deleted"]);
        kubectl.refused("get widget a", "not found");
        let route = kubectl.file("route.yaml", GATEWAY_ROUTE);
        kubectl.run(&format!("apply -f {route}"), &["gatewayroute.appmesh.k8s.aws/color created"]);
        kubectl.refused("create namespace team", "JSON bodies only, not protobuf");
        let team = kubectl.file("team.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n");
        kubectl.run(&format!("apply -f {team}"), &["created"]);
        kubectl.run("delete namespace team", &["deleted"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments() {
    with_kubectl(|kubectl| {
        let file = kubectl.file("d.yaml", DEPLOYMENT);
        kubectl.run(&format!("apply -f {file}"), &["created"]);
        kubectl.run("rollout status deployment color --timeout=10s", &["successfully rolled out"]);
        kubectl.run("scale deployment color --replicas=3", &["scaled"]);
        kubectl.run("wait deployment color --for=condition=Available --timeout=10s", &["condition met"]);
        kubectl.run("wait deployment color --for=jsonpath={.status.readyReplicas}=3 --timeout=10s", &["met"]);
        kubectl.run("get deployments", &["READY", "3/3"]);
        kubectl.run("get deploy,rs -o wide", &["IMAGES", "color:1"]);
        kubectl.run("describe deployment color", &["NewReplicaSet:", "color-"]);
        let typo = kubectl.file("typo.yaml", &DEPLOYMENT.replace("replicas", "replicaz"));
        kubectl.refused(&format!("apply -f {typo}"), "unknown field \"spec.replicaz\"");
        kubectl.run("delete deployment color", &["deleted"]);
        assert_eq!(kubectl.run("get rs -o name", &[]), "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stateful_sets_and_autoscalers() {
    with_kubectl(|kubectl| {
        let set = kubectl.file("set.yaml", STATEFUL_SET);
        let scaler = kubectl.file("scaler.yaml", AUTOSCALER);
        kubectl.run(&format!("apply -f {set} -f {scaler}"), &["statefulset.apps/store created"]);
        kubectl.run("rollout status sts store --timeout=10s", &["roll out complete"]);
        kubectl.run("scale sts store --replicas=3", &["statefulset.apps/store scaled"]);
        kubectl.run("wait sts store --for=jsonpath={.status.readyReplicas}=3 --timeout=10s", &["met"]);
        kubectl.run("get sts,hpa", &["3/3", "REFERENCE", "StatefulSet/store", "cpu: <unknown>/80%"]);
        kubectl
            .run("get all -o name", &["statefulset.apps/store", "horizontalpodautoscaler.autoscaling/store"]);
        kubectl.run("get sts store -o wide", &["CONTAINERS", "IMAGES", "store:1"]);
        kubectl.run("describe sts store", &["Replicas:", "3 desired | 3 total", "Partition:"]);
        kubectl.run("describe hpa store", &["Max replicas:", "4", "StatefulSet/store"]);
        kubectl.run("explain sts.spec.serviceName", &["FIELD: serviceName"]);
        kubectl.run("explain hpa.spec.metrics", &["VERSION:    v2", "GROUP:      autoscaling"]);
        let moved = kubectl.file("moved.yaml", &STATEFUL_SET.replace("serviceName: store", "serviceName: x"));
        kubectl.refused(&format!("replace -f {moved}"), "spec.serviceName: Invalid value");
        kubectl.run("delete sts,hpa store", &["\"store\" deleted"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn describes_with_events() {
    let server = server().await;
    let Some(kubectl) = Kubectl::new(&server) else {
        return;
    };
    let file = kubectl.file("a.yaml", WIDGET);
    let kubectl = tokio::task::spawn_blocking(move || {
        kubectl.run(&format!("create -f {file}"), &["created"]);
        kubectl
    })
    .await
    .unwrap();
    let api: Api<DynamicObject> = widgets(&server);
    let reference = api.get("a").await.unwrap().object_ref(&widgets_resource());
    let event = Event {
        type_: EventType::Warning,
        reason: "Judged".into(),
        note: Some("the canary fails".into()),
        action: "Judge".into(),
        secondary: None,
    };
    Recorder::new(server.client().unwrap(), "tidegate".into()).publish(&event, &reference).await.unwrap();
    tokio::task::spawn_blocking(move || {
        kubectl.run("describe widget a", &["Color:", "Judged", "the canary fails", "tidegate"]);
        kubectl.run("get events", &["LAST SEEN", "Judged", "widget/a"]);
        kubectl.run("events --for widget/a", &["Judged"]);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_as_a_table() {
    let server = server().await;
    let Some(kubectl) = Kubectl::new(&server) else {
        return;
    };
    let file = kubectl.file("a.yaml", WIDGET);
    let (send, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let mut child = tokio::task::spawn_blocking(move || {
        kubectl.run(&format!("create -f {file}"), &["created"]);
        let mut child = kubectl.command("get widgets -w").stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
            drop(kubectl);
        });
        child
    })
    .await
    .unwrap();
    assert!(lines.recv().await.unwrap().starts_with("NAME"));
    assert!(lines.recv().await.unwrap().contains("red"));
    let blue = Patch::Merge(json!({"spec": {"color": "blue"}}));
    widgets(&server).patch("a", &PatchParams::default(), &blue).await.unwrap();
    let line = lines.recv().await.unwrap();
    assert!(line.starts_with('a') && line.contains("blue"), "the header is not repeated: {line}");
    child.kill().unwrap();
    child.wait().unwrap();
}
