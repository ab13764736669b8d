//! The model API server held against one that speaks HTTP: the sandbox, or the real one that `TIDEGATE_TEST_KUBECONFIG`
//! names. The same random calls go to both, and the answers must be the same.

use std::{path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use kube::{
    Api, Client, CustomResourceExt, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};
use tidegate::{
    api::{FINALIZER, Rollout, RolloutStatus, RouteKind, gateway_route_crd::gateway_route_crd},
    routes,
    sandbox::apiserver::{ApiServer, Options},
};

use crate::{
    chance::Chance,
    server::{Answer, Request, Server},
    setup::Setup,
    shapes::Shape,
    specs,
};

/// Calls a seed, and after its Rollout was deleted.
const CALLS: usize = 60;
const CALLS_OF_DELETED: usize = 10;
const SEEDS: u64 = 12;

/// What came of a call, with everything that differs by nature left out.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It was answered; whether the object's version changed, and what the object is now.
    Done {
        changed: bool,
        object: Value,
    },
    /// It is not there any more.
    Deleted,
    Refused(u16),
    Several(Vec<Self>),
}

/// Both servers, and which version of one is which of the other.
struct Both {
    model: Server,
    rollouts: Api<Rollout>,
    routes: Api<DynamicObject>,
    /// Versions of the Rollout and of the route, by age.
    rollout: Vec<(u64, String)>,
    route: Vec<(u64, String)>,
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

fn route_shape(spec: &Value, annotations: &Value) -> Value {
    json!([spec["httpRoute"]["action"]["weightedTargets"], annotations])
}

/// What a server answered; a new version of the object is that of the model's newest.
fn outcome<K: ResourceExt>(
    answer: Result<K, kube::Error>,
    versions: &mut Vec<(u64, String)>,
    newest: u64,
    shape: impl FnOnce(&K) -> Value,
) -> Outcome {
    let now = match answer {
        Ok(now) => now,
        Err(error) => return Outcome::Refused(code(&error)),
    };
    let version = now.resource_version().unwrap();
    let changed = versions.last().unwrap().1 != version;
    if changed {
        versions.push((newest, version));
    }
    Outcome::Done { changed, object: shape(&now) }
}

impl Both {
    async fn start(client: &Client, namespace: &str) -> Self {
        let spec = specs::plain();
        let name = spec.routes[0].name.clone();
        let routes: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &routes::resource(RouteKind::GatewayRoute));
        let rollouts: Api<Rollout> = Api::namespaced(client.clone(), namespace);
        let params = PostParams::default();
        let made = routes.create(&params, &fresh_route(&name)).await.unwrap();
        let rollout = Rollout::new("color", (*spec).clone());
        let rolled = rollouts.create(&params, &rollout).await.unwrap();
        let model = Server::new(Setup::alone(spec, [Shape::PLAIN; 2]));
        let route = vec![(model.route(0).version, made.metadata.resource_version.unwrap())];
        let rollout = vec![(model.rollout(0).version, rolled.metadata.resource_version.unwrap())];
        Self { model, rollouts, routes, rollout, route }
    }

    fn name(&self) -> String {
        self.model.rollout(0).spec.routes[0].name.clone()
    }

    /// A version of one's own choice: mostly the newest, at times an older one.
    fn version(versions: &[(u64, String)], chance: &mut Chance) -> (u64, String) {
        let back = if chance.per_mille(300) { chance.below(versions.len()) } else { 0 };
        versions[versions.len() - 1 - back].clone()
    }

    /// What the model says, and what became of the versions.
    fn modelled(&mut self, request: &Request) -> Outcome {
        let before = self.model.revision;
        match self.model.handle(request) {
            Answer::Refused(code) => Outcome::Refused(code as u16),
            Answer::Rollout(now) => Outcome::Done {
                // What goes with its last finalizer is answered as the version that it was.
                changed: self.model.revision != before && !now.is_gone(),
                object: json!([now.status.epoch, now.finalizer, now.generation]),
            },
            Answer::Route(index, _) => {
                let document = self.model.document(index);
                let annotations = document["metadata"]["annotations"].clone();
                Outcome::Done {
                    changed: self.model.revision != before,
                    object: route_shape(&document["spec"], &annotations),
                }
            }
            Answer::Deleted(_) => Outcome::Deleted,
            Answer::Lease(..) | Answer::Document(_) | Answer::Workload(_) => {
                unreachable!("nothing of the kind is asked for")
            }
        }
    }

    fn rolled(&mut self, answer: Result<Rollout, kube::Error>) -> Outcome {
        let newest = self.model.rollout(0).version;
        outcome(answer, &mut self.rollout, newest, |now| {
            let held = now.finalizers().iter().any(|one| one == FINALIZER);
            let epoch = now.status.as_ref().map_or(0, |status| status.epoch);
            json!([epoch, held, now.metadata.generation])
        })
    }

    fn routed(&mut self, answer: Result<DynamicObject, kube::Error>) -> Outcome {
        let newest = self.model.route(0).version;
        outcome(answer, &mut self.route, newest, |now| {
            let annotations = now.metadata.annotations.as_ref().map_or(Value::Null, |map| json!(map));
            route_shape(&now.data["spec"], &annotations)
        })
    }

    async fn call(&mut self, chance: &mut Chance) -> (String, Outcome, Outcome) {
        match chance.below(10) {
            0 => self.read_rollout().await,
            1 => {
                let modelled = self.modelled(&Request::ReadRoute { route: 0 });
                let answer = self.routes.get(&self.name()).await;
                ("read the route".to_owned(), modelled, self.routed(answer))
            }
            2 | 3 => self.store_status(chance).await,
            4 => self.set_finalizer(chance).await,
            5 => self.replace_route(chance).await,
            _ => self.write_route(chance).await,
        }
    }

    async fn read_rollout(&mut self) -> (String, Outcome, Outcome) {
        let modelled = self.modelled(&Request::ReadRollout { rollout: 0 });
        let answer = self.rollouts.get("color").await;
        ("read the Rollout".to_owned(), modelled, self.rolled(answer))
    }

    /// The Rollout is deleted, and is there for as long as somebody holds it.
    async fn delete_rollout(&mut self) {
        self.model.delete_rollout(0);
        self.rollouts.delete("color", &DeleteParams::default()).await.unwrap();
        if let Some(now) = self.rollouts.get_opt("color").await.unwrap() {
            let version = now.metadata.resource_version.unwrap();
            self.rollout.push((self.model.rollout(0).version, version));
        }
    }

    /// What there is to ask of one that is being deleted, or is gone.
    async fn call_of_deleted(&mut self, chance: &mut Chance) -> (String, Outcome, Outcome) {
        match chance.below(3) {
            0 => self.read_rollout().await,
            1 => self.store_status(chance).await,
            _ => self.set_finalizer(chance).await,
        }
    }

    async fn store_status(&mut self, chance: &mut Chance) -> (String, Outcome, Outcome) {
        let (version, theirs) = Self::version(&self.rollout, chance);
        let status = RolloutStatus { epoch: 1 + chance.up_to(3) as i64, ..RolloutStatus::default() };
        // The same status in another allocation is the same status.
        let same = *self.model.rollout(0).status == status;
        let stored = if same { Arc::clone(&self.model.rollout(0).status) } else { Arc::new(status.clone()) };
        let modelled = self.modelled(&Request::StoreStatus { rollout: 0, version, status: stored });
        let mut rollout = Rollout::new("color", (*self.model.rollout(0).spec).clone());
        rollout.metadata.resource_version = Some(theirs);
        rollout.status = Some(status);
        let answer = self.rollouts.replace_status("color", &PostParams::default(), &rollout).await;
        (format!("store status under {version}"), modelled, self.rolled(answer))
    }

    async fn set_finalizer(&mut self, chance: &mut Chance) -> (String, Outcome, Outcome) {
        let (version, theirs) = Self::version(&self.rollout, chance);
        let hold = chance.per_mille(500);
        let modelled = self.modelled(&Request::SetFinalizer { rollout: 0, version, hold });
        let finalizers: Vec<&str> = hold.then_some(FINALIZER).into_iter().collect();
        let patch = json!({"metadata": {"resourceVersion": theirs, "finalizers": finalizers}});
        let answer = self.rollouts.patch("color", &PatchParams::default(), &Patch::Merge(patch)).await;
        (format!("set the finalizer {hold} under {version}"), modelled, self.rolled(answer))
    }

    /// The route is deleted if it is what was seen, looked for, and made, if it is not there.
    async fn replace_route(&mut self, chance: &mut Chance) -> (String, Outcome, Outcome) {
        let name = self.name();
        let (version, theirs) = Self::version(&self.route, chance);
        let uid = self.model.document(0)["metadata"]["uid"].as_str().unwrap().to_owned();
        let delete = Request::DeleteRoute { route: 0, uid, version: version.to_string() };
        let document = Rc::new(serde_json::to_value(fresh_route(&name)).unwrap());
        let create = Request::CreateRoute { route: 0, document };
        let uid = self.routes.get(&name).await.unwrap().metadata.uid;
        let preconditions = Some(Preconditions { uid, resource_version: Some(theirs) });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };

        let deleted = self.modelled(&delete);
        let answer = self.routes.delete(&name, &params).await;
        let answered = answer.map_or_else(|error| Outcome::Refused(code(&error)), |_| Outcome::Deleted);
        let read = self.modelled(&Request::ReadRoute { route: 0 });
        let answer = self.routes.get(&name).await;
        let seen = self.routed(answer);
        let made = self.modelled(&create);
        let answer = self.routes.create(&PostParams::default(), &fresh_route(&name)).await;
        let created = self.routed(answer);
        (
            format!("delete the route under {version}, read it, and make it"),
            Outcome::Several(vec![deleted, read, made]),
            Outcome::Several(vec![answered, seen, created]),
        )
    }

    /// A patch like ours: tests of version, stamp, name and weight, some of them wrong, then weights and a stamp.
    async fn write_route(&mut self, chance: &mut Chance) -> (String, Outcome, Outcome) {
        const LIST: &str = "/spec/httpRoute/action/weightedTargets";
        const STAMP: &str = "/metadata/annotations/state.tidegate.dev~1color";
        let (version, theirs) = Self::version(&self.route, chance);
        let document = self.model.document(0);
        let stamp = document.pointer(STAMP).cloned();
        let mut operations = Vec::new();
        let fenced = chance.per_mille(500);
        if let Some(stamp) = &stamp
            && chance.per_mille(500)
        {
            let value = if chance.per_mille(800) { stamp.clone() } else { json!("another's") };
            operations.push(json!({"op": "test", "path": STAMP, "value": value}));
        }
        let name = if chance.per_mille(900) { "v1" } else { "v2" };
        operations
            .push(json!({"op": "test", "path": format!("{LIST}/0/virtualServiceRef/name"), "value": name}));
        let share = chance.up_to(4) * 25;
        for (index, weight) in [(0, 100 - share), (1, share)] {
            operations.push(json!({"op": "add", "path": format!("{LIST}/{index}/weight"), "value": weight}));
        }
        if chance.per_mille(100) {
            operations.push(json!({"op": "remove", "path": format!("{LIST}/9")}));
        }
        match chance.below(3) {
            0 if document["metadata"].get("annotations").is_some() => {
                let text = format!("stamp {}", chance.up_to(2));
                operations.push(json!({"op": "add", "path": STAMP, "value": text}));
            }
            0 => operations.push(json!({"op": "add", "path": "/metadata/annotations",
                "value": {"state.tidegate.dev/color": "stamp 0"}})),
            1 if stamp.is_some() => operations.push(json!({"op": "remove", "path": STAMP})),
            _ => {}
        }
        let told = format!("patch the route, fenced {fenced} by {version}: {operations:?}");
        let under = |version: &str| -> json_patch::Patch {
            let fence = json!({"op": "test", "path": "/metadata/resourceVersion", "value": version});
            let all: Vec<Value> = fenced.then_some(fence).into_iter().chain(operations.clone()).collect();
            serde_json::from_value(json!(all)).unwrap()
        };
        let patch = Rc::new(under(&version.to_string()));
        let modelled = self.modelled(&Request::WriteRoute { route: 0, patch });
        let patch = Patch::Json::<()>(under(&theirs));
        let answer = self.routes.patch(&self.name(), &PatchParams::default(), &patch).await;
        (told, modelled, self.routed(answer))
    }
}

fn fresh_route(name: &str) -> DynamicObject {
    let entry = |name: &str, weight: i64| json!({"virtualServiceRef": {"name": name}, "weight": weight});
    let targets = [entry("v1", 100), entry("v2", 0)];
    serde_json::from_value(json!({
        "apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "GatewayRoute", "metadata": {"name": name},
        "spec": {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}},
    }))
    .unwrap()
}

async fn hold_against(client: &Client, server: &str) {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    for seed in 1..=SEEDS {
        let namespace = format!("model-{seed}-{:08x}", fastrand::u32(..));
        let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
        namespaces.create(&PostParams::default(), &object).await.unwrap();
        let mut both = Both::start(client, &namespace).await;
        let mut chance = Chance::new(seed);
        let mut story = Vec::new();
        for call in 0..CALLS + CALLS_OF_DELETED {
            if call == CALLS {
                both.delete_rollout().await;
                story.push("delete the Rollout".to_owned());
            }
            let (told, modelled, answered) = match call {
                ..CALLS => both.call(&mut chance).await,
                _ => both.call_of_deleted(&mut chance).await,
            };
            story.push(told);
            assert_eq!(modelled, answered, "model and {server}, seed {seed}: {story:#?}");
        }
        let _ = namespaces.delete(&namespace, &DeleteParams::default()).await;
    }
}

#[tokio::test]
async fn the_model_answers_as_the_sandbox_does() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let crds = vec![serde_json::to_value(Rollout::crd()).unwrap(), gateway_route_crd().unwrap()];
    let server = ApiServer::start(Options { crds, ..Options::default() }).await.unwrap();
    hold_against(&server.client().unwrap(), "the sandbox").await;
}

#[tokio::test]
async fn the_model_answers_as_a_real_api_server_does() {
    let Some(file) = std::env::var_os("TIDEGATE_TEST_KUBECONFIG") else {
        return crate::skip::skip(
            "there is no API server; run it with: tests/cluster/run cargo test --test simulation",
        );
    };
    let client = tidegate::controller::client(Some(&PathBuf::from(file))).await.unwrap();
    // Where the CRDs are there already this changes nothing.
    let crds: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &kube::core::ApiResource::erase::<
            k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
        >(&()),
    );
    for crd in [serde_json::to_value(Rollout::crd()).unwrap(), gateway_route_crd().unwrap()] {
        let name = crd["metadata"]["name"].as_str().unwrap().to_owned();
        let params = PatchParams::apply("tests").force();
        crds.patch(&name, &params, &Patch::Apply(crd)).await.unwrap();
    }
    let served = async {
        let routes: Api<DynamicObject> =
            Api::all_with(client.clone(), &routes::resource(RouteKind::GatewayRoute));
        let rollouts: Api<Rollout> = Api::all(client.clone());
        let one = kube::api::ListParams::default().limit(1);
        while routes.list(&one).await.is_err() || rollouts.list(&one).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), served).await.expect("the CRDs are served");
    hold_against(&client, "the real API server").await;
}
