//! The admission policies, on a real control plane, with people who are somebody.

use kube::CustomResourceExt;
use serde_json::{Value, json};
use tidegate::api::{FINALIZER, Rollout};

use crate::{cluster::Cluster, helm::Helm, waiting::eventually};

/// A namespace with a Rollout over two routes, and people: `ana` approves, `dev` may write Rollouts and the first of the
/// routes, `owner` both; `robot` is an account that approves.
struct Shop {
    cluster: Cluster,
    /// Of the release, too.
    namespace: String,
    release: String,
}

const ROLLOUT: &str = "
apiVersion: tidegate.dev/v1alpha1
kind: Rollout
metadata: {name: color, labels: {app: color}, annotations: {note: old}}
spec:
  routes:
    - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: one}
    - {group: appmesh.k8s.aws, kind: GatewayRoute, name: two}
  target: {name: v1}
  strategy: {canary: {hold: 1h, steps: [{weight: 10}]}}
";

impl Shop {
    /// With these values of `admission`; none without a control plane.
    async fn open(release: &str, admission: &str) -> Option<Self> {
        let cluster = Cluster::shared().await?;
        let namespace = cluster.namespace(&json!({}));
        let release = format!("{release}-{}", std::process::id());
        let text = format!(
            "namespaces: [{namespace}]\ncrds: {{appmesh: {{install: true}}}}\nadmission: {}\n",
            admission.replace("NAMESPACE", &namespace)
        );
        let file = cluster.file("values.yaml", &text).display().to_string();
        let rendered = cluster.helm.template(&release, &namespace, &["-f", &file]).unwrap();
        cluster.install(&rendered);
        let shop = Self { cluster, namespace, release };
        shop.people();
        Some(shop)
    }

    fn people(&self) {
        let rollouts = json!({
            "apiGroups": ["tidegate.dev"], "resources": ["rollouts", "rollouts/status"],
            "verbs": ["get", "create", "update", "patch", "delete"],
        });
        let route = |group: &str, resource: &str, name: &str| json!({ "apiGroups": [group], "resources": [resource], "resourceNames": [name], "verbs": ["patch"] });
        let one = route("gateway.networking.k8s.io", "httproutes", "one");
        let two = route("appmesh.k8s.aws", "gatewayroutes", "two");
        let account = json!({
            "kind": "ServiceAccount", "name": "robot", "namespace": self.namespace,
        });
        let user =
            |name: &str| json!({ "kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io" });
        for (name, subject, rules) in [
            ("ana", user("ana"), vec![rollouts.clone()]),
            ("robot", account, vec![rollouts.clone()]),
            ("dev", user("dev"), vec![rollouts.clone(), one.clone()]),
            ("owner", user("owner"), vec![rollouts, one, two]),
        ] {
            let metadata = json!({ "name": name, "namespace": self.namespace });
            let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name });
            let group = "rbac.authorization.k8s.io/v1";
            let items = [
                json!({ "apiVersion": group, "kind": "Role", "metadata": metadata, "rules": rules }),
                json!({ "apiVersion": group, "kind": "RoleBinding", "metadata": metadata, "roleRef": role,
                        "subjects": [subject] }),
            ];
            self.cluster
                .apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())
                .unwrap();
        }
    }

    /// Lets somebody patch these HTTPRoutes as well.
    fn grant(&self, who: &str, routes: &[String]) {
        let name = format!("{who}-more");
        let metadata = json!({ "name": name, "namespace": self.namespace });
        let rule = json!({
            "apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "resourceNames": routes,
            "verbs": ["patch"],
        });
        let group = "rbac.authorization.k8s.io";
        let api = format!("{group}/v1");
        let items = [
            json!({ "apiVersion": api, "kind": "Role", "metadata": metadata, "rules": [rule] }),
            json!({ "apiVersion": api, "kind": "RoleBinding", "metadata": metadata,
                    "roleRef": { "apiGroup": group, "kind": "Role", "name": name },
                    "subjects": [{ "kind": "User", "name": who, "apiGroup": group }] }),
        ];
        self.cluster
            .apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())
            .unwrap();
    }

    /// What kubectl says to somebody.
    fn as_(&self, who: &[&str], arguments: &[&str], input: &str) -> Result<String, String> {
        let all = [who, &["-n", &self.namespace], arguments].concat();
        self.cluster.kubectl(&all, input)
    }

    /// A merge patch of the Rollout by somebody.
    fn patch(&self, who: &[&str], change: &Value) -> Result<String, String> {
        self.as_(who, &["patch", "rollout", "color", "--type=merge", "-p", &change.to_string()], "")
    }

    /// Whom the controller acts as.
    fn controller(&self) -> String {
        format!("--as=system:serviceaccount:{}:{}-tidegate", self.namespace, self.release)
    }

    /// A policy is in force a moment after it is there; until then nothing is refused.
    async fn is_in_force(&self, who: &[&str], change: &Value) {
        let look = || async { self.patch(who, change) };
        let refused =
            |told: &Result<String, String>| told.as_ref().is_err_and(|told| told.contains("denied request"));
        let _ = eventually("the policy is in force", look, refused).await;
    }

    /// What the API server thinks of the expressions of the policies.
    async fn expressions_are_clean(&self, policy: &str) {
        let name = format!("{}-tidegate-{policy}", self.release);
        let look = || async {
            let told =
                self.cluster.kubectl(&["get", "validatingadmissionpolicy", &name, "-o", "json"], "").unwrap();
            serde_json::from_str::<Value>(&told).unwrap()["status"].clone()
        };
        let status = eventually("it is checked", look, |status| status["typeChecking"].is_object()).await;
        assert_eq!(status["typeChecking"], json!({}), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvers_steer_and_change_nothing_else() {
    let admission = "{approvers: {groups: [approvers], users: [eve], serviceAccounts: [NAMESPACE/robot]}}";
    let Some(shop) = Shop::open("approvers", admission).await else { return };
    shop.as_(&[], &["create", "-f", "-"], ROLLOUT).unwrap();
    let ana: &[&str] = &["--as=ana", "--as-group=approvers"];
    let robot = format!("--as=system:serviceaccount:{}:robot", shop.namespace);
    let suspend = json!({ "spec": { "suspend": true } });
    shop.is_in_force(ana, &suspend).await;
    shop.expressions_are_clean("approvers").await;

    let annotations = |value: &Value| json!({ "metadata": { "annotations": value } });
    for who in [ana, &[robot.as_str()]] {
        for change in [
            annotations(&json!({ "tidegate.dev/request": "{}" })),
            annotations(&json!({ "tidegate.dev/abort": "{}", "tidegate.dev/request": "{ }" })),
            annotations(&json!({ "tidegate.dev/request": null })),
            json!({}),
        ] {
            let told = shop.patch(who, &change);
            assert!(told.is_ok(), "{who:?} {change}: {told:?}");
        }
        for change in [
            suspend.clone(),
            json!({ "spec": { "target": { "name": "v2" } } }),
            annotations(&json!({ "note": "new" })),
            annotations(&json!({ "note": null })),
            annotations(&json!({ "tidegate.dev/request": "{}", "other": "" })),
            json!({ "metadata": { "annotations": null } }),
            json!({ "metadata": { "labels": { "app": "other" } } }),
            json!({ "metadata": { "labels": null } }),
            json!({ "metadata": { "finalizers": ["example.com/mine"] } }),
            json!({ "metadata": { "ownerReferences": [
                { "apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b" }
            ] } }),
        ] {
            let told = shop.patch(who, &change).unwrap_err();
            assert!(told.contains("approvers may change only the annotations"), "{who:?} {change}: {told}");
        }
        // By the subresource neither.
        let status = json!({ "status": { "message": "all is well" } }).to_string();
        let told = shop.as_(
            who,
            &["patch", "rollout", "color", "--subresource=status", "--type=merge", "-p", &status],
            "",
        );
        assert!(told.unwrap_err().contains("approvers may change only the annotations"));
    }
    // Those who are not named are not held to it; nor is the controller, whoever is named.
    shop.patch(&["--as=owner"], &suspend).unwrap();
    let told = shop.patch(&["--as=owner", "--as-group=approvers"], &json!({ "spec": { "suspend": false } }));
    assert!(told.unwrap_err().contains("denied request"));
    let finalizer = json!({ "metadata": { "finalizers": [FINALIZER] } });
    shop.patch(&[&shop.controller(), "--as-group=approvers"], &finalizer).unwrap();
    shop.patch(&[], &json!({ "metadata": { "finalizers": null } })).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_patch_the_routes_makes_a_rollout_or_changes_its_spec() {
    let Some(shop) = Shop::open("routes", "{routesOnlyByTheirOwners: true}").await else { return };
    let (dev, owner): (&[&str], &[&str]) = (&["--as=dev"], &["--as=owner"]);
    shop.as_(owner, &["create", "-f", "-"], ROLLOUT).unwrap();
    let change = json!({ "spec": { "suspend": true } });
    shop.is_in_force(dev, &change).await;
    shop.expressions_are_clean("routes").await;

    let told = shop.patch(dev, &json!({ "spec": { "target": { "name": "v2" } } })).unwrap_err();
    assert!(told.contains("change its spec, and you may not patch GatewayRoute two"), "{told}");
    let another = ROLLOUT.replace("name: color,", "name: another,");
    let told = shop.as_(dev, &["create", "-f", "-"], &another).unwrap_err();
    assert!(told.contains("may not patch GatewayRoute two"), "{told}");
    let told = shop.as_(&["--as=ana"], &["create", "-f", "-"], &another).unwrap_err();
    assert!(told.contains("may not patch HTTPRoute one"), "{told}");

    // Of the routes that may be patched alone it is let be; and everything but the spec is not its concern.
    let alone = another.replace("    - {group: appmesh.k8s.aws, kind: GatewayRoute, name: two}\n", "");
    shop.as_(dev, &["create", "-f", "-"], &alone).unwrap();
    let to_another = json!({ "spec": { "routes": [
        { "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "three" }
    ] } });
    let told =
        shop.as_(dev, &["patch", "rollout", "another", "--type=merge", "-p", &to_another.to_string()], "");
    assert!(told.unwrap_err().contains("HTTPRoute three"));
    shop.patch(dev, &json!({ "metadata": { "annotations": { "tidegate.dev/request": "{}" } } })).unwrap();
    shop.patch(owner, &change).unwrap();

    // The controller writes the finalizer and the status, and may not patch routes outside of what it serves either.
    let controller = shop.controller();
    let finalizer = json!({ "metadata": { "finalizers": [FINALIZER] } });
    shop.patch(&[&controller], &finalizer).unwrap();
    shop.patch(&[], &json!({ "metadata": { "finalizers": null } })).unwrap();

    // As many routes as a Rollout may have cost no more than an API server lets a policy cost, whichever it is that may not
    // be patched.
    let most = most_routes();
    let routes = |name: &dyn Fn(usize) -> String| -> Value {
        let route = |n| json!({ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name(n) });
        json!({ "spec": { "routes": (0..most).map(route).collect::<Vec<_>>() } })
    };
    shop.patch(&[], &routes(&|n| format!("r{n}"))).unwrap();
    let rule = |n: usize| format!("rule{n}");
    let told = shop.patch(owner, &routes(&rule)).unwrap_err();
    assert!(told.contains("may not patch HTTPRoute rule0"), "{told}");
    shop.grant("owner", &(0..most - 1).map(rule).collect::<Vec<_>>());
    let look = || async { shop.patch(owner, &routes(&rule)).unwrap_err() };
    eventually("the last is named", look, |told| told.contains(&format!("HTTPRoute {}", rule(most - 1))))
        .await;
}

/// The most routes that a Rollout may name.
fn most_routes() -> usize {
    let crd = serde_json::to_value(Rollout::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    schema["properties"]["routes"]["maxItems"].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn every_route_that_a_rollout_may_have_is_looked_at() {
    let Some(helm) = Helm::find() else { return };
    let rendered = helm.set("production");
    let policies = rendered.of_kind("ValidatingAdmissionPolicy");
    let policy = policies.iter().find(|one| one["metadata"]["name"] == "tidegate-routes").unwrap();
    assert_eq!(policy["spec"]["validations"].as_array().unwrap().len(), most_routes());
}
