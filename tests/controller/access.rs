//! The account that the controller acts as, what is granted to it, and when the API server knows of that.

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};
use tidegate::{
    cli::rbac,
    controller::permissions::{IN_ITS_OWN, Permission, permissions},
    engine::observed::Allowed,
};

use crate::{
    cluster::Cluster,
    server::{Server, create},
    waiting::eventually,
};

/// Whom the controller acts as.
pub struct Account {
    /// None in a sandbox, which knows everybody.
    pub token: Option<String>,
    /// What was granted to it, one question for each verb.
    pub granted: Vec<ResourceAttributes>,
}

/// The row for a resource in the table of what the controller may do.
pub fn permission(resource: &str) -> Permission {
    let mut rows = permissions(Allowed::ALL).chain(IN_ITS_OWN);
    let row = rows.find(|permission| permission.resource == resource);
    row.unwrap_or_else(|| panic!("nothing is ever asked of {resource}"))
}

/// A kubeconfig that leads to an API server, with the token of somebody or of nobody.
pub fn kubeconfig(url: &str, token: Option<&str>) -> String {
    let user = token.map_or(json!({}), |token| json!({ "token": token }));
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": url } }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    })
    .to_string()
}

impl Server {
    /// Makes a namespace with an account for the controller. `granted` may change the manifests.
    pub async fn account(&self, namespace: &str, name: &str, granted: impl Fn(&mut Value)) -> Account {
        let client = self.client().await;
        let object = json!({ "metadata": { "name": namespace } });
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let Self::Real { namespaces, .. } = self else {
            return Account { token: None, granted: Vec::new() };
        };
        namespaces.lock().unwrap().push(namespace.to_owned());

        let args = rbac::Args {
            namespace: namespace.to_owned(),
            serve: vec![namespace.to_owned()],
            previews: true,
            scaling: true,
        };
        let mut asked = Vec::new();
        for manifest in rbac::manifests(&args) {
            let mut manifest = serde_json::to_value(manifest).unwrap();
            if manifest["kind"] == "ServiceAccount" {
                manifest["metadata"]["name"] = json!(name);
            }
            if let Some(subject) = manifest.pointer_mut("/subjects/0/name") {
                *subject = json!(name);
            }
            granted(&mut manifest);
            asked.extend(questions(&manifest, namespace));
            create(&client, namespace, manifest).await;
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
        let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
        Account { token: Some(answer.status.unwrap().token), granted: asked }
    }

    /// Grants the account in a namespace what is shipped for a controller that serves the whole cluster, and returns
    /// what that is.
    pub async fn grant_everywhere(&self, namespace: &str) -> Vec<ResourceAttributes> {
        let mut asked = Vec::new();
        let Self::Real { .. } = self else { return asked };
        let client = self.client().await;
        let args =
            rbac::Args { namespace: namespace.to_owned(), serve: Vec::new(), previews: true, scaling: true };
        for manifest in rbac::manifests(&args) {
            let manifest = serde_json::to_value(manifest).unwrap();
            // What is of its own namespace is there already.
            if !manifest["kind"].as_str().is_some_and(|kind| kind.starts_with("ClusterRole")) {
                continue;
            }
            asked.extend(questions(&manifest, ""));
            let gvk = crate::server::gvk(&manifest);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&gvk));
            let params = PatchParams::apply("tests").force();
            let name = manifest["metadata"]["name"].as_str().unwrap().to_owned();
            api.patch(&name, &params, &Patch::Apply(manifest)).await.unwrap();
        }
        asked
    }
}

/// What to ask to learn whether all that a Role grants is known; of other manifests, nothing.
fn questions(role: &Value, namespace: &str) -> Vec<ResourceAttributes> {
    let rules = role["rules"].as_array().cloned().unwrap_or_default();
    let of_one = |rule: &Value| {
        let permission = permission(rule["resources"][0].as_str().unwrap());
        let verbs = rule["verbs"].as_array().unwrap().iter().map(|verb| verb.as_str().unwrap());
        verbs.map(|verb| permission.question(verb, namespace)).collect::<Vec<_>>()
    };
    rules.iter().flat_map(of_one).collect()
}

impl Cluster {
    /// Whether the API server says that the controller may do this.
    pub async fn may(&self, asked: &ResourceAttributes) -> bool {
        let account = tidegate::controller::client(Some(&self.kubeconfig())).await.unwrap();
        let api: Api<SelfSubjectAccessReview> = Api::all(account);
        let asked = Some(asked.clone());
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: asked, ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = api.create(&PostParams::default(), &review).await;
        answer.is_ok_and(|review| review.status.is_some_and(|status| status.allowed))
    }

    /// Waits until the API server knows that the controller may do all of this.
    pub async fn may_do(&self, granted: &[ResourceAttributes]) {
        for asked in granted {
            eventually(&format!("known to be granted: {asked:?}"), || self.may(asked), |may| *may).await;
        }
    }
}
