//! The model of the API server: one Rollout and its routes, with resourceVersions, conditional writes and history.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use json_patch::Patch;
use serde_json::{Value, json};
use tidegate::{
    api::{RolloutSpec, RolloutStatus},
    engine::observed::{RouteState, RouteView, WorkloadSeen},
    routes,
};

use crate::shapes::{Entry, Shape};

/// The Rollout as one version of it stands.
#[derive(Clone, Debug)]
pub struct RolloutNow {
    pub version: u64,
    pub generation: i64,
    pub spec: Arc<RolloutSpec>,
    pub status: Arc<RolloutStatus>,
    pub finalizer: bool,
    pub abort: Option<String>,
    pub request: Option<String>,
}

/// A route as one version of it stands.
#[derive(Clone, Debug)]
pub struct RouteNow {
    pub version: u64,
    /// The whole object, as the controllers read it.
    pub state: RouteState,
    /// What of it is the Rollout's own, by the names that the Rollout knows.
    own: Option<Arc<RouteView>>,
}

impl RouteNow {
    /// What of the route is the Rollout's own; none where it does not exist.
    pub fn view(&self) -> Option<&Arc<RouteView>> {
        self.own.as_ref()
    }
}

/// A workload as one version of it stands.
#[derive(Clone, Debug)]
pub struct WorkloadNow {
    pub version: u64,
    pub seen: WorkloadSeen,
}

/// Who leads, or holds a share, as a Lease says.
#[derive(Clone, Debug, Default)]
pub struct LeaseNow {
    pub version: u64,
    pub holder: Option<String>,
    /// Whom the holder knows.
    pub knows: BTreeSet<String>,
}

/// What a process asks.
#[derive(Clone, Debug)]
pub enum Request {
    ReadRollout,
    StoreStatus {
        version: u64,
        status: Arc<RolloutStatus>,
    },
    SetFinalizer {
        version: u64,
        hold: bool,
    },
    ReadRoute {
        route: usize,
    },
    WriteRoute {
        route: usize,
        patch: Rc<Patch>,
    },
    /// The Lease with this number; a new one has the next and the version 0.
    StoreLease {
        lease: usize,
        version: u64,
        holder: Option<String>,
        knows: BTreeSet<String>,
    },
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    Rollout(Rc<RolloutNow>),
    Route(usize, Rc<RouteNow>),
    Lease(usize, Rc<LeaseNow>),
    Refused(Code),
}

/// The HTTP status of what was not done, or not for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NotFound = 404,
    Conflict = 409,
    Unprocessable = 422,
    TooMany = 429,
    Internal = 500,
    Unavailable = 503,
}

/// Everything that is stored, with all former versions.
pub struct Server {
    pub revision: u64,
    pub rollout: Vec<Rc<RolloutNow>>,
    pub routes: Vec<Vec<Rc<RouteNow>>>,
    documents: Vec<Value>,
    pub shapes: [Shape; 2],
    pub workloads: Vec<(&'static str, Vec<Rc<WorkloadNow>>)>,
    /// One by which a leader is elected, or a slot for each of those who share.
    pub leases: Vec<Rc<LeaseNow>>,
}

impl Server {
    pub fn new(spec: Arc<RolloutSpec>, shapes: [Shape; 2]) -> Self {
        let names: Vec<String> = spec.routes.iter().map(|route| route.name.clone()).collect();
        let rollout = RolloutNow {
            version: 1,
            generation: 1,
            spec,
            status: Arc::default(),
            finalizer: false,
            abort: None,
            request: None,
        };
        let present = |hash: &str| WorkloadNow { version: 1, seen: WorkloadSeen::present(2, 2, hash) };
        let workloads = [("v1", "h1"), ("v2", "h2"), ("v3", "h3")];
        let mut server = Self {
            revision: 1,
            rollout: vec![Rc::new(rollout)],
            routes: Vec::new(),
            documents: Vec::new(),
            shapes,
            workloads: workloads
                .into_iter()
                .map(|(name, hash)| (name, vec![Rc::new(present(hash))]))
                .collect(),
            leases: vec![Rc::default()],
        };
        for (index, name) in names.iter().enumerate() {
            server.documents.push(shapes[index].document(name, index, "1"));
            let shown = shown(shapes[index], 1, &server.documents[index]);
            server.routes.push(vec![Rc::new(shown)]);
        }
        server
    }

    pub fn rollout(&self) -> &Rc<RolloutNow> {
        self.rollout.last().unwrap()
    }

    pub fn route(&self, index: usize) -> &Rc<RouteNow> {
        self.routes[index].last().unwrap()
    }

    /// The route whole, as it was stored last.
    #[cfg(feature = "sandbox")]
    pub fn document(&self, index: usize) -> &Value {
        &self.documents[index]
    }

    pub fn workload(&self, index: usize) -> &Rc<WorkloadNow> {
        self.workloads[index].1.last().unwrap()
    }

    pub fn handle(&mut self, request: &Request) -> Answer {
        match request {
            Request::ReadRollout => Answer::Rollout(self.rollout().clone()),
            Request::StoreStatus { version, status } => self.conditionally(*version, |now| {
                if now.status != *status {
                    now.status = Arc::clone(status);
                }
            }),
            Request::SetFinalizer { version, hold } => {
                self.conditionally(*version, |now| now.finalizer = *hold)
            }
            Request::ReadRoute { route } => match &self.route(*route).state {
                RouteState::Missing => Answer::Refused(Code::NotFound),
                _ => Answer::Route(*route, self.route(*route).clone()),
            },
            Request::WriteRoute { route, patch } => self.patch(*route, patch),
            Request::StoreLease { lease, version, holder, knows } => {
                if *lease == self.leases.len() {
                    self.leases.push(Rc::default());
                }
                if self.leases.get(*lease).is_none_or(|now| now.version != *version) {
                    return Answer::Refused(Code::Conflict);
                }
                self.revision += 1;
                let (version, holder, knows) = (self.revision, holder.clone(), knows.clone());
                let now = Rc::new(LeaseNow { version, holder, knows });
                self.leases[*lease] = now.clone();
                Answer::Lease(*lease, now)
            }
        }
    }

    fn conditionally(&mut self, version: u64, change: impl FnOnce(&mut RolloutNow)) -> Answer {
        if self.rollout().version != version {
            return Answer::Refused(Code::Conflict);
        }
        self.edit_rollout(change);
        Answer::Rollout(self.rollout().clone())
    }

    /// A change of the Rollout; one that changes nothing keeps its version. The first one does change something: it stores
    /// the default of the status.
    pub fn edit_rollout(&mut self, change: impl FnOnce(&mut RolloutNow)) {
        let before = self.rollout().clone();
        let mut now = (*before).clone();
        change(&mut now);
        let same = Arc::ptr_eq(&now.status, &before.status)
            && Arc::ptr_eq(&now.spec, &before.spec)
            && (now.finalizer, &now.abort, &now.request)
                == (before.finalizer, &before.abort, &before.request);
        if same && self.rollout.len() > 1 {
            return;
        }
        self.revision += 1;
        now.version = self.revision;
        now.generation += i64::from(!Arc::ptr_eq(&now.spec, &before.spec));
        self.rollout.push(Rc::new(now));
    }

    fn patch(&mut self, route: usize, patch: &Patch) -> Answer {
        if self.route(route).state == RouteState::Missing {
            return Answer::Refused(Code::NotFound);
        }
        let mut document = self.documents[route].clone();
        if json_patch::patch(&mut document, patch).is_err() {
            return Answer::Refused(Code::Unprocessable);
        }
        self.put_route(route, document);
        Answer::Route(route, self.route(route).clone())
    }

    /// Somebody else's change of a route, as JSON.
    pub fn edit_route(&mut self, route: usize, change: impl FnOnce(&mut Value)) {
        if self.route(route).state == RouteState::Missing {
            return;
        }
        let mut document = self.documents[route].clone();
        change(&mut document);
        self.put_route(route, document);
    }

    fn put_route(&mut self, route: usize, mut document: Value) {
        // A map that is empty is none.
        if document["metadata"]
            .get("annotations")
            .and_then(Value::as_object)
            .is_some_and(serde_json::Map::is_empty)
            && let Some(metadata) = document["metadata"].as_object_mut()
        {
            metadata.remove("annotations");
        }
        if document == self.documents[route] {
            return;
        }
        self.revision += 1;
        if document["spec"] != self.documents[route]["spec"] {
            let generation = document["metadata"]["generation"].as_i64().unwrap_or(0);
            document["metadata"]["generation"] = json!(generation + 1);
        }
        document["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let shown = shown(self.shapes[route], self.revision, &document);
        self.documents[route] = document;
        self.routes[route].push(Rc::new(shown));
    }

    /// The data plane reports the present generation.
    pub fn programmed(&mut self, route: usize) {
        let shape = self.shapes[route];
        self.edit_route(route, |document| shape.report(document));
    }

    /// Where the lists stand that are the Rollout's own.
    pub fn paths(&self, route: usize) -> Vec<String> {
        self.shapes[route].paths(&self.documents[route])
    }

    /// Somebody else's change of the weighted lists that are the Rollout's own, or only of the first.
    pub fn edit_lists(&mut self, route: usize, all: bool, mut change: impl FnMut(&mut Vec<Entry>)) {
        let shape = self.shapes[route];
        self.edit_route(route, |document| shape.edit(document, all, &mut change));
    }

    pub fn delete_route(&mut self, route: usize) {
        self.revision += 1;
        let gone = RouteNow { version: self.revision, state: RouteState::Missing, own: None };
        self.routes[route].push(Rc::new(gone));
    }

    /// The same route, made again as it stands in Git.
    pub fn make_route(&mut self, route: usize) {
        self.revision += 1;
        let name = self.rollout().spec.routes[route].name.clone();
        let document = self.shapes[route].document(&name, 100 + route, &self.revision.to_string());
        let shown = shown(self.shapes[route], self.revision, &document);
        self.documents[route] = document;
        self.routes[route].push(Rc::new(shown));
    }

    pub fn set_workload(&mut self, index: usize, seen: WorkloadSeen) {
        self.revision += 1;
        let now = WorkloadNow { version: self.revision, seen };
        self.workloads[index].1.push(Rc::new(now));
    }
}

fn shown(shape: Shape, version: u64, document: &Value) -> RouteNow {
    let state = routes::state(shape.kind, document);
    let own = match &state {
        RouteState::Present(view) if shape == Shape::PLAIN => Some(Arc::clone(view)),
        RouteState::Present(view) => {
            let mut own = (**view).clone();
            let paths = shape.paths(document);
            own.lists.retain(|list| paths.contains(&list.path));
            for entry in own.lists.iter_mut().flat_map(|list| &mut list.entries) {
                entry.name = shape.version(&entry.name).to_owned();
            }
            Some(Arc::new(own))
        }
        _ => None,
    };
    RouteNow { version, state, own }
}
