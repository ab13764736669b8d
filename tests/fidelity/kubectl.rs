//! What `kubectl` prints, with the same commands against both servers.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use regex::Regex;
use tempfile::TempDir;

use crate::skip::skip;
use crate::world::World;

const WIDGET: &str = "apiVersion: fidelity.tidegate.dev/v1
kind: Widget
metadata: {name: a, labels: {team: x}}
spec: {color: red, tags: [one, two]}
";
const ROLLOUT: &str = include_str!("../../examples/rollout.yaml");
const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: color}
spec:
  replicas: 1
  selector: {matchLabels: {app: color}}
  template:
    metadata: {labels: {app: color}}
    spec: {containers: [{name: c, image: 'color:1'}]}
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
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: absent}
  maxReplicas: 4
";
const CONFIG: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: '1'}
";
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: color}
spec: {selector: {app: color}, clusterIP: None, ports: [{port: 80}]}
";
const EVENT: &str = "apiVersion: v1
kind: Event
metadata: {name: told}
involvedObject: {apiVersion: fidelity.tidegate.dev/v1, kind: Widget, name: a, namespace: $NS}
reason: Tested
message: it is told
type: Warning
source: {component: tests}
firstTimestamp: 2020-01-01T00:00:00Z
lastTimestamp: 2020-01-01T00:00:00Z
count: 3
";

/// Commands in order. A word `@name` is a file of that name; `!` before a command edits it with the `sed` script that
/// follows, up to the next `!`.
const COMMANDS: &[&str] = &[
    "create -f @widget.yaml",
    "create -f @widget.yaml",
    "get widgets",
    "get wd",
    "get widgets -o wide",
    "get widget a -o yaml",
    "get widget a -o json",
    "get widgets -o json",
    "get widgets -o name",
    "get widgets -o jsonpath={.items[*].spec.color}",
    "get widgets -o custom-columns=N:.metadata.name,C:.spec.color",
    "get widgets -l team=x --show-labels",
    "get widgets -l team=y",
    "get widgets --field-selector spec.color=red",
    "get widgets --field-selector spec.nonsense=red",
    "get widget absent",
    "get nonsense",
    "get widgets,configmaps -l team=x",
    "create -f @event.yaml",
    "describe widget a",
    "describe widget absent",
    "events --for widget/a",
    "get events",
    "get events -o wide",
    "apply -f @changed.yaml",
    "apply -f @changed.yaml",
    "diff -f @changed.yaml",
    "diff -f @widget.yaml",
    "apply --dry-run=server -f @widget.yaml",
    "apply --dry-run=client -f @widget.yaml",
    "get widget a -o jsonpath={.spec.color}",
    "apply -f @invalid.yaml",
    "apply -f @unknown.yaml",
    "apply --validate=warn -f @unknown.yaml",
    "apply --validate=ignore -f @unknown.yaml",
    "!s/color: green/color: red/! edit widget a",
    "!s/color: red/color: pink/! edit widget a",
    "!s/nothing/something/! edit widget a",
    "get widget a -o jsonpath={.spec.color}",
    r#"patch widget a --type=merge -p {"spec":{"replicas":5}}"#,
    r#"patch widget a --type=merge -p {"spec":{"replicas":5}}"#,
    r#"patch widget a --type=merge -p {"spec":{"replicas":-5}}"#,
    r#"patch widget a --type=merge -p {"spec":{"#,
    r#"patch widget a --type=json -p [{"op":"test","path":"/spec/color","value":"pink"}]"#,
    r#"patch widget a --type=json -p [{"op":"replace","path":"/spec/color","value":"green"}]"#,
    r#"patch widget a --type=merge --subresource=status -p {"status":{"phase":"Up","replicas":5}}"#,
    "get widget a --subresource=status -o yaml",
    "annotate widget a tests.dev/n=1",
    "annotate widget a tests.dev/n=2",
    "annotate widget a tests.dev/n=2 --overwrite",
    "annotate widget a tests.dev/n-",
    "label widget a team=z",
    "label widget a team=z --overwrite",
    "label widget a bad/key/here=z",
    "scale widget a --replicas=3",
    "scale widget a --replicas=3 --current-replicas=9",
    "scale widget absent --replicas=3",
    "wait widget a --for=jsonpath={.status.phase}=Up --timeout=10s",
    "wait widget a --for=jsonpath={.status.phase}=Down --timeout=1s",
    "replace -f @widget.yaml",
    "replace -f @absent.yaml",
    "apply -f @config.yaml",
    "apply -f @config2.yaml",
    "get configmap settings -o yaml",
    "get cm settings",
    "apply -f @service.yaml",
    "get service color",
    "get service color -o yaml",
    "apply -f @rollout.yaml",
    "get rollouts",
    "get tgr -o wide",
    "get tidegate",
    "apply -f @deployment.yaml",
    // First, for what follows tells of the way there, which has no fixed length.
    "wait deployment color --for=condition=Available --timeout=20s",
    "rollout status deployment color --timeout=20s",
    "get deployment color",
    "get deploy color -o wide",
    "scale deployment color --replicas=2",
    "wait deployment color --for=jsonpath={.status.readyReplicas}=2 --timeout=20s",
    "rollout status deployment color --timeout=20s",
    "delete deployment color",
    "apply -f @set.yaml",
    "wait sts store --for=jsonpath={.status.availableReplicas}=1 --timeout=20s",
    "rollout status sts store --timeout=20s",
    "get sts",
    "get statefulset store -o wide",
    "scale sts store --replicas=2",
    "wait sts store --for=jsonpath={.status.availableReplicas}=2 --timeout=20s",
    "rollout status sts store --timeout=20s",
    r#"patch sts store --type=merge -p {"spec":{"updateStrategy":{"rollingUpdate":{"partition":1}}}}"#,
    r#"patch sts store --type=merge -p {"spec":{"template":{"metadata":{"annotations":{"tests.dev/n":"1"}}}}}"#,
    "wait sts store --for=jsonpath={.status.updatedReplicas}=1 --timeout=20s",
    "wait sts store --for=jsonpath={.status.availableReplicas}=2 --timeout=20s",
    "rollout status sts store --timeout=20s",
    "get sts store -o jsonpath={.status.replicas}/{.status.currentReplicas}/{.status.readyReplicas}",
    r#"patch sts store --type=merge -p {"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}"#,
    "wait sts store --for=jsonpath={.status.updatedReplicas}=2 --timeout=20s",
    "wait sts store --for=jsonpath={.status.currentReplicas}=2 --timeout=20s",
    "rollout status sts store --timeout=20s",
    "apply -f @moved.yaml",
    "replace -f @moved.yaml",
    "delete sts store",
    "apply -f @scaler.yaml",
    "get hpa",
    "get hpa store -o wide",
    "get hpa store -o jsonpath={.spec}",
    "replace -f @backwards.yaml",
    "scale hpa store --replicas=2",
    "delete hpa store",
    "get widget a --watch --request-timeout=1s",
    "delete widget a",
    "delete widget a",
    "delete widget a --ignore-not-found",
    "delete configmap settings --dry-run=server",
    "delete configmap settings",
    "delete service color",
    "explain widget",
    "explain widget.spec",
    "explain widget.spec.color",
    "explain widget.spec.items",
    "explain widget.spec.nonsense",
    "explain widget --recursive",
    "explain rollout.spec.strategy",
    "explain rollout --recursive",
    "explain gatewayroute.spec.routeSpec",
    "explain gatewayroute.spec --recursive",
    "explain virtualrouter.spec.routes",
    "explain httproute.spec.rules.matches",
    "explain grpcroute --recursive",
    "explain nonsense",
    "api-resources --api-group=fidelity.tidegate.dev",
    "api-resources --api-group=tidegate.dev -o wide",
    "api-resources --api-group=appmesh.k8s.aws --no-headers",
    "api-resources --api-group=nonsense",
];

/// Lines of one output that are shown where the other lacks them.
const SHOWN_LINES: usize = 12;

/// `kubectl` with one server's kubeconfig, and files and a cache of its own.
struct Kubectl {
    program: String,
    folder: TempDir,
    namespace: String,
}

impl Kubectl {
    fn new(program: &str, kubeconfig: &str, namespace: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), kubeconfig).unwrap();
        let own = Self { program: program.to_owned(), folder, namespace: namespace.to_owned() };
        for (name, text) in [
            ("widget.yaml", WIDGET.to_owned()),
            ("changed.yaml", WIDGET.replace("red", "green")),
            ("invalid.yaml", WIDGET.replace("red", "pink")),
            ("unknown.yaml", WIDGET.replace("spec: {", "spec: {nonsense: 1, ")),
            ("absent.yaml", WIDGET.replace("name: a", "name: absent")),
            ("config.yaml", CONFIG.to_owned()),
            ("config2.yaml", CONFIG.replace("'1'", "'2', b: x")),
            ("service.yaml", SERVICE.to_owned()),
            ("event.yaml", EVENT.replace("$NS", namespace)),
            ("rollout.yaml", ROLLOUT.to_owned()),
            ("deployment.yaml", DEPLOYMENT.to_owned()),
            ("set.yaml", STATEFUL_SET.to_owned()),
            ("moved.yaml", STATEFUL_SET.replace("serviceName: store", "serviceName: elsewhere")),
            ("scaler.yaml", AUTOSCALER.to_owned()),
            ("backwards.yaml", AUTOSCALER.replace("spec:", "spec:\n  minReplicas: 5")),
        ] {
            std::fs::write(own.file(name), text).unwrap();
        }
        own
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command and tells everything that a user sees of it, made equal.
    fn run(&self, line: &str) -> String {
        let (editor, line) = match line.strip_prefix('!').and_then(|rest| rest.split_once("! ")) {
            Some((script, line)) => (format!("sed -i '{script}'"), line),
            None => (String::new(), line),
        };
        let words = line.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => self.file(name).display().to_string(),
            None => word.to_owned(),
        });
        let output = Command::new(&self.program)
            .args(words)
            .args(["-n", &self.namespace])
            .env("KUBECONFIG", self.file("config"))
            .env("HOME", self.folder.path())
            .env("KUBE_EDITOR", editor)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| self.normal(&String::from_utf8_lossy(bytes));
        let code = output.status.code();
        format!("exit {code:?}\n{}--\n{}", text(&output.stdout), text(&output.stderr))
    }

    fn normal(&self, text: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let mut shown = text.replace(&self.namespace, "<namespace>").replace(&folder, "<folder>");
        for (pattern, token) in [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
            (r"20(2[1-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( [+-]\d{4})?Z?", "<time>"),
            (r#"(resourceVersion"?: *"?|Resource Version: +)\d+"#, "${1}<version>"),
            (r"\b\d+[smhd](\d+[smhd])?\b", "<age>"),
            (r"\b\d+y\d+d\b", "<age>"),
            (r#"patch: Invalid value: "\{.*\}": "#, "patch: Invalid value: <object>: "),
            (r"(LIVE|MERGED)-\d+", "${1}"),
            (r"kubectl-edit-\d+\.yaml", "<edited>"),
            // Columns are as wide as their widest cell.
            (r" {2,}", "  "),
        ] {
            shown = Regex::new(pattern).unwrap().replace_all(&shown, token).into_owned();
        }
        shown.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// Runs all commands on both servers, and fails with every output that differs.
pub async fn check(world: &World) {
    let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let found = Command::new(&program).args(["version", "--client"]).stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        skip(&format!("kubectl is compared with a real API server, and {program} does not run"));
        return;
    }
    let [mut sandbox, mut real] = world.sides().await;
    let tools = [
        Kubectl::new(&program, &world.sandbox.kubeconfig(), &sandbox.namespace),
        Kubectl::new(&program, &std::fs::read_to_string(&world.kubeconfig).unwrap(), &real.namespace),
    ];
    let [ours, theirs] = tools.map(|kubectl| {
        tokio::task::spawn_blocking(move || COMMANDS.iter().map(|line| kubectl.run(line)).collect::<Vec<_>>())
    });
    let (ours, theirs) = (ours.await.unwrap(), theirs.await.unwrap());
    tokio::join!(sandbox.close(), real.close());
    let mut told = String::new();
    for ((line, ours), theirs) in COMMANDS.iter().zip(ours).zip(theirs) {
        if ours != theirs {
            let _ = writeln!(told, "kubectl {line}\n{}", difference(&ours, &theirs));
        }
    }
    assert!(told.is_empty(), "kubectl prints other things\n{told}");
}

/// The lines that only one of two outputs has.
fn difference(ours: &str, theirs: &str) -> String {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
    let only = |lines: &[&str], others: &[&str], side: &str| -> String {
        lines
            .iter()
            .filter(|line| !others.contains(line))
            .take(SHOWN_LINES)
            .map(|line| format!("  {side}: {line}\n"))
            .collect()
    };
    let told = only(&ours, &theirs, "sandbox") + &only(&theirs, &ours, "real");
    if told.is_empty() { "  the same lines in another order\n".to_owned() } else { told }
}
