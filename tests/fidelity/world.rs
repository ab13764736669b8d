//! Both servers, with the same definitions installed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use kube::CustomResourceExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tidegate::api::{AnalysisTemplate, Rollout};
use tidegate::sandbox::apiserver::{ApiServer, Options};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::history;
use crate::side::{REAL, Side};
use crate::skip::skip;
use crate::step::{get, post, put};

/// Names the folder of a control plane that was started for tests: CRDs are replaced there.
const CLUSTER: &str = "TIDEGATE_TEST_CLUSTER";

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// How long a server may take to serve a new definition, and how often it is asked.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

/// Begins what a definition's description says of which one it is.
const MARKER: &str = " As compared: ";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});
static WORLD: OnceCell<World> = OnceCell::const_new();

/// The embedded server and a real one.
pub struct World {
    pub sandbox: ApiServer,
    sandbox_client: kube::Client,
    real_client: kube::Client,
    pub kubeconfig: String,
}

/// Runs a test against both servers, or says that there is no real one and passes.
pub fn with_world<F: Future<Output = ()>>(work: impl FnOnce(&'static World) -> F) {
    let Ok(folder) = std::env::var(CLUSTER) else {
        let how = "tests/cluster/run cargo test --test fidelity";
        skip(&format!("it compares with a real API server of its own; run it with: {how}"));
        return;
    };
    let kubeconfig = format!("{folder}/kubeconfig");
    RUNTIME.block_on(async {
        let world = WORLD.get_or_init(|| World::start(kubeconfig)).await;
        work(world).await;
    });
}

impl World {
    async fn start(kubeconfig: String) -> Self {
        // Another test's call may have installed it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = Kubeconfig::read_from(&kubeconfig).unwrap();
        let mut config =
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        config.default_retry = false;
        let real_client = kube::Client::try_from(config).unwrap();
        let crds = definitions();
        let mut real = Side::new(REAL, real_client.clone(), String::new());
        for definition in &crds {
            install(&mut real, definition).await;
        }
        let sandbox = ApiServer::start(Options { crds, ..Options::default() }).await.unwrap();
        history::forget(&sandbox, &mut real).await;
        Self { sandbox_client: sandbox.client().unwrap(), sandbox, real_client, kubeconfig }
    }

    /// Both servers for one script, each with a namespace of its own: the embedded one first.
    pub async fn sides(&self) -> [Side; 2] {
        let unique = format!("fidelity-{:x}", fastrand::u64(..));
        let mut sides = [
            Side::new("sandbox", self.sandbox_client.clone(), unique.clone()),
            Side::new(REAL, self.real_client.clone(), unique),
        ];
        for side in &mut sides {
            side.open().await;
        }
        sides
    }
}

/// Installs a definition where it is absent or another, and waits until its resources are served as it says.
async fn install(real: &mut Side, definition: &Value) {
    let name = definition["metadata"]["name"].as_str().unwrap();
    let found = real.run(&get(format!("{DEFINITIONS}/{name}")), None).await;
    if found.code == 404 {
        let made = real.run(&post(DEFINITIONS, definition), None).await;
        assert_eq!((made.code, &made.warnings), (201, &Vec::new()), "{name}: {}", made.body);
    } else if !covers(&found.body["spec"], &definition["spec"]) {
        let mut wanted = definition.clone();
        wanted["metadata"]["resourceVersion"] = found.body["metadata"]["resourceVersion"].clone();
        let put = real.run(&put(format!("{DEFINITIONS}/{name}"), &wanted), None).await;
        assert_eq!((put.code, &put.warnings), (200, &Vec::new()), "{name}: {}", put.body);
    }
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let version = &spec["versions"][0];
    let (name, description) =
        (text(&version["name"]), text(&version["schema"]["openAPIV3Schema"]["description"]));
    let (_, marker) = description.rsplit_once(MARKER).unwrap();
    let served = real.run(&get(format!("/apis/{group}/{name}/{plural}?limit=1")).until(200), None).await;
    assert_eq!(served.code, 200, "{plural} of {group} are not served: {}", served.body);
    // An old schema is served until the new one is read; then it is shown, too.
    let shown = async {
        let document = get(format!("/openapi/v3/apis/{group}/{name}"));
        while !real.run(&document, None).await.body.to_string().contains(marker) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    assert!(timeout(PATIENCE, shown).await.is_ok(), "{plural} of {group} are served by another schema");
}

/// Says in a definition's description which one it is, by which a server tells when it serves just this one.
fn mark(definition: &mut Value) {
    let mut hasher = DefaultHasher::new();
    definition.to_string().hash(&mut hasher);
    for version in definition["spec"]["versions"].as_array_mut().unwrap() {
        let description = &mut version["schema"]["openAPIV3Schema"]["description"];
        *description =
            json!(format!("{}{MARKER}{:x}", description.as_str().unwrap_or_default(), hasher.finish()));
    }
}

/// Whether a server's object has everything that was asked for; it adds defaults of its own.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| found.get(name).is_some_and(|found| covers(found, value)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| covers(found, wanted))
        }
        (Value::Number(found), Value::Number(wanted)) => found.as_f64() == wanted.as_f64(),
        _ => found == wanted,
    }
}

fn definitions() -> Vec<Value> {
    let file = |path: &str| -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path);
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let mut definitions = vec![
        serde_json::to_value(Rollout::crd()).unwrap(),
        serde_json::to_value(AnalysisTemplate::crd()).unwrap(),
        tidegate::api::gateway_route_crd::gateway_route_crd().unwrap(),
        file("appmesh/crds/appmesh.k8s.aws_virtualrouters.yaml"),
        file("gateway-api/crds/gateway.networking.k8s.io_httproutes.yaml"),
        file("gateway-api/crds/gateway.networking.k8s.io_grpcroutes.yaml"),
        widget_definition(),
    ];
    definitions.iter_mut().for_each(mark);
    definitions
}

/// A definition with everything that servers treat specially.
fn widget_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.fidelity.tidegate.dev"},
        "spec": {
            "group": "fidelity.tidegate.dev", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList",
                "shortNames": ["wd"], "categories": ["tidegate-tests"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector"},
                },
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [
                    {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1,
                        "description": "How many there are."},
                    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                    {"name": "Since", "type": "date", "jsonPath": ".status.since"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": widget_schema()},
            }],
        },
    })
}

fn widget_schema() -> Value {
    json!({
        "type": "object", "description": "A Widget is for tests.",
        "required": ["spec"],
        "properties": {
            "spec": {"type": "object", "description": "What it is to be.",
                "required": ["color"],
                "properties": widget_fields(),
                "x-kubernetes-validations": [
                    {"rule": "self.color != 'blue' || self.replicas > 1", "message": "blue needs two"},
                ]},
            "status": {"type": "object", "properties": {
                "phase": {"type": "string"}, "replicas": {"type": "integer"}, "selector": {"type": "string"},
                "since": {"type": "string", "format": "date-time"},
                "conditions": {"type": "array", "items": {"type": "object", "required": ["type"], "properties": {
                    "type": {"type": "string"}, "status": {"type": "string"},
                }}},
            }},
        },
    })
}

/// A field for every keyword of a schema.
fn widget_fields() -> Value {
    json!({
        "color": {"type": "string", "description": "Its color.", "enum": ["red", "green", "blue"]},
        "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 100, "default": 1},
        "name": {"type": "string", "minLength": 2, "maxLength": 8, "pattern": "^[a-z]+$"},
        "share": {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": true, "minimum": 0},
        "port": {"x-kubernetes-int-or-string": true},
        "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 5}, "maxProperties": 3},
        "maybe": {"type": "string", "nullable": true},
        "since": {"type": "string", "format": "date-time"},
        "uri": {"type": "string", "format": "uri"},
        "mode": {"type": "string", "default": "Auto", "enum": ["Auto", "Manual"]},
        "nested": {"type": "object", "default": {}, "properties": {
            "depth": {"type": "integer", "default": 3}, "flag": {"type": "boolean"}}},
        "items": {"type": "array", "maxItems": 4, "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 10}, "weight": {"type": "integer", "default": 10}},
                "x-kubernetes-validations": [
                    {"rule": "self.weight >= oldSelf.weight", "message": "weight must not shrink"}]}},
        "tags": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set",
            "items": {"type": "string", "maxLength": 20}},
        "numbers": {"type": "array", "maxItems": 5, "items": {"type": "integer"}},
        "choice": {"type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "either": {"type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "anyOf": [{"required": ["a"], "properties": {"a": {"minimum": 5}}}, {"required": ["b"]}],
            "not": {"required": ["a", "b"]}},
        "fixed": {"type": "string", "maxLength": 10, "x-kubernetes-validations": [
            {"rule": "self == oldSelf", "message": "fixed is immutable", "reason": "FieldValueForbidden"}]},
        "range": {"type": "object",
            "properties": {"low": {"type": "integer"}, "high": {"type": "integer"}},
            "x-kubernetes-validations": [
                {"rule": "!has(self.low) || !has(self.high) || self.low <= self.high",
                    "messageExpression": "'low is ' + 'above high'", "fieldPath": ".low"}]},
    })
}
