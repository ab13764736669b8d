//! The model of the API server: Rollouts and their routes, with resourceVersions, conditional writes and history.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use json_patch::Patch;
use serde_json::{Value, json};
use tidegate::{
    api::{RolloutSpec, Transition},
    engine::{
        observed::{Pods, RouteState, RouteView, WorkloadSeen},
        template::TemplateSeen,
    },
};

pub use crate::calls::{Answer, Code, Request};
use crate::{
    setup::{Identity, NAMESPACE, Object, Setup},
    shapes::Entry,
    specs::{PODS, scales_up},
    versions::{LeaseNow, Life, RolloutNow, RouteNow, WorkloadNow},
};

/// Everything that is stored, with all former versions.
pub struct Server {
    pub revision: u64,
    pub identities: Vec<Identity>,
    pub rollouts: Vec<Vec<Rc<RolloutNow>>>,
    pub objects: Vec<Object>,
    pub routes: Vec<Vec<Rc<RouteNow>>>,
    documents: Vec<Value>,
    pub workloads: Vec<(&'static str, Vec<Rc<WorkloadNow>>)>,
    /// All versions of the template that the first Rollout names; none where it names none.
    pub templates: Vec<TemplateSeen>,
    /// One by which a leader is elected, or a slot for each of those who share.
    pub leases: Vec<Rc<LeaseNow>>,
    /// Somebody wants to know of all that happens.
    pub told: bool,
}

impl Server {
    /// Who wants to know of what happens.
    pub fn receivers(&self) -> BTreeMap<String, BTreeSet<Transition>> {
        let all = || (crate::outside::RECEIVER.to_owned(), Transition::ALL.into());
        self.told.then(all).into_iter().collect()
    }

    pub fn new(setup: Setup) -> Self {
        let Setup { specs, templates, identities, objects, comes_at, .. } = setup;
        let fresh = |(spec, comes_at): (Arc<RolloutSpec>, u64)| RolloutNow {
            version: 1,
            generation: 1,
            spec,
            status: Arc::default(),
            finalizer: false,
            abort: None,
            request: None,
            unreadable: false,
            life: if comes_at == 0 { Life::Exists } else { Life::None },
        };
        let mut workloads: Vec<(&'static str, Vec<Rc<WorkloadNow>>)> = Vec::new();
        for identity in &identities {
            for (at, name) in identity.versions.into_iter().enumerate() {
                // A canary that all scale up who have it has no pods before.
                let mut all =
                    identities.iter().zip(&specs).filter(|(other, _)| other.versions.contains(&name));
                let pods = if at == 1 && all.all(|(_, spec)| scales_up(spec)) { 0 } else { PODS };
                if workloads.iter().all(|(known, _)| *known != name) {
                    let seen = WorkloadSeen::present(pods, pods, format!("h{}", at + 1));
                    workloads.push((name, vec![Rc::new(WorkloadNow { version: 1, seen })]));
                }
            }
        }
        let mut server = Self {
            revision: 1,
            identities,
            rollouts: specs.into_iter().zip(comes_at).map(|spec| vec![Rc::new(fresh(spec))]).collect(),
            objects,
            routes: Vec::new(),
            documents: Vec::new(),
            workloads,
            templates,
            leases: vec![Rc::default()],
            told: false,
        };
        for (index, Object { name, shape, lists, made }) in server.objects.iter().enumerate() {
            if *made {
                server.routes.push(vec![Rc::new(RouteNow::gone(1))]);
                server.documents.push(Value::Null);
                continue;
            }
            let document = shape.document(name, lists, index, "1");
            server.routes.push(vec![Rc::new(RouteNow::shown(
                &server.identities,
                *shape,
                index,
                1,
                &document,
            ))]);
            server.documents.push(document);
        }
        server
    }

    pub fn rollout(&self, rollout: usize) -> &Rc<RolloutNow> {
        self.rollouts[rollout].last().unwrap()
    }

    pub fn route(&self, index: usize) -> &Rc<RouteNow> {
        self.routes[index].last().unwrap()
    }

    /// What of its routes is a Rollout's own; none of one that does not exist.
    pub fn views(&self, rollout: usize) -> impl Iterator<Item = Option<&Arc<RouteView>>> {
        self.identities[rollout].places.iter().map(move |place| self.route(place.object).view(rollout))
    }

    /// The Rollouts that stand on an object.
    pub fn on(&self, object: usize) -> Vec<usize> {
        self.those(|identity| identity.stands_on(object))
    }

    /// The Rollouts with a version that a workload is behind.
    pub fn behind(&self, workload: usize) -> Vec<usize> {
        self.those(|identity| identity.versions.contains(&self.workloads[workload].0))
    }

    fn those(&self, are: impl Fn(&Identity) -> bool) -> Vec<usize> {
        (0..self.identities.len()).filter(|at| are(&self.identities[*at])).collect()
    }

    /// The route whole, as it was stored last.
    pub fn document(&self, index: usize) -> &Value {
        &self.documents[index]
    }

    /// Whether an object exists.
    pub fn exists(&self, route: usize) -> bool {
        self.route(route).state != RouteState::Missing
    }

    /// The workload behind a version of a Rollout.
    pub fn workload_of(&self, rollout: usize, version: usize) -> usize {
        let name = self.identities[rollout].versions[version];
        self.workloads.iter().position(|(known, _)| *known == name).unwrap()
    }

    pub fn workload(&self, index: usize) -> &Rc<WorkloadNow> {
        self.workloads[index].1.last().unwrap()
    }

    pub fn handle(&mut self, request: &Request) -> Answer {
        match request {
            Request::ReadRollout { rollout } if self.rollout(*rollout).is_gone() => {
                Answer::Refused(Code::NotFound)
            }
            Request::ReadRollout { rollout } => Answer::Rollout(self.rollout(*rollout).clone()),
            Request::StoreStatus { rollout, version, status } => {
                self.conditionally(*rollout, *version, |now| {
                    if now.status != *status {
                        now.status = Arc::clone(status);
                    }
                })
            }
            Request::SetFinalizer { rollout, version, hold } => {
                self.conditionally(*rollout, *version, |now| {
                    now.finalizer = *hold;
                    if now.life == Life::Ends && !now.finalizer {
                        now.life = Life::None;
                    }
                })
            }
            Request::ReadRoute { route } => match &self.route(*route).state {
                RouteState::Missing => Answer::Refused(Code::NotFound),
                _ => Answer::Route(*route, self.route(*route).clone()),
            },
            Request::WriteRoute { route, patch } => self.patch(*route, patch),
            Request::CopyRoute { route } if self.exists(*route) => {
                Answer::Document(Rc::new(self.documents[*route].clone()))
            }
            Request::CopyRoute { .. } => Answer::Refused(Code::NotFound),
            Request::CreateRoute { route, .. } if self.exists(*route) => Answer::Refused(Code::Conflict),
            Request::CreateRoute { route, document } => {
                self.create_route(*route, Value::clone(document));
                Answer::Route(*route, self.route(*route).clone())
            }
            Request::DeleteRoute { route, uid, version } => self.delete_if(*route, uid, version),
            Request::ReadWorkload { workload } => Answer::Workload(self.workload(*workload).clone()),
            Request::Scale { workload, version, to } => self.scale(*workload, *version, *to),
            Request::StoreLease { lease, version, holder, knows } => self.store_lease(
                *lease,
                *version,
                LeaseNow { version: 0, holder: holder.clone(), knows: knows.clone() },
            ),
        }
    }

    fn delete_if(&mut self, route: usize, uid: &str, version: &str) -> Answer {
        let metadata = &self.documents[route]["metadata"];
        if !self.exists(route) {
            return Answer::Refused(Code::NotFound);
        }
        if metadata["uid"] != *uid || metadata["resourceVersion"] != *version {
            return Answer::Refused(Code::Conflict);
        }
        self.remove_route(route);
        if self.exists(route) {
            Answer::Route(route, self.route(route).clone())
        } else {
            Answer::Deleted(route)
        }
    }

    fn scale(&mut self, workload: usize, version: Option<u64>, to: i32) -> Answer {
        let now = self.workload(workload);
        let WorkloadSeen::Present(pods) = &now.seen else {
            return Answer::Refused(Code::NotFound);
        };
        if version.is_some_and(|version| now.version != version) {
            return Answer::Refused(Code::Conflict);
        }
        let seen = WorkloadSeen::Present(Pods { replicas: to, ready: pods.ready.min(to), ..pods.clone() });
        self.set_workload(workload, seen);
        Answer::Workload(self.workload(workload).clone())
    }

    fn store_lease(&mut self, lease: usize, version: u64, next: LeaseNow) -> Answer {
        if lease == self.leases.len() {
            self.leases.push(Rc::default());
        }
        if self.leases.get(lease).is_none_or(|now| now.version != version) {
            return Answer::Refused(Code::Conflict);
        }
        self.revision += 1;
        let now = Rc::new(LeaseNow { version: self.revision, ..next });
        self.leases[lease] = now.clone();
        Answer::Lease(lease, now)
    }

    fn conditionally(
        &mut self,
        rollout: usize,
        version: u64,
        change: impl FnOnce(&mut RolloutNow),
    ) -> Answer {
        if self.rollout(rollout).is_gone() {
            return Answer::Refused(Code::NotFound);
        }
        if self.rollout(rollout).version != version {
            return Answer::Refused(Code::Conflict);
        }
        self.edit_rollout(rollout, change);
        Answer::Rollout(self.rollout(rollout).clone())
    }

    /// A change of a Rollout; one that changes nothing keeps its version, and of one that is gone there is none. The first
    /// one does change something: it stores the default of the status.
    pub fn edit_rollout(&mut self, rollout: usize, change: impl FnOnce(&mut RolloutNow)) {
        let before = self.rollout(rollout).clone();
        if before.is_gone() {
            return;
        }
        let mut now = (*before).clone();
        change(&mut now);
        let same = Arc::ptr_eq(&now.status, &before.status)
            && Arc::ptr_eq(&now.spec, &before.spec)
            && (now.finalizer, &now.abort, &now.request)
                == (before.finalizer, &before.abort, &before.request)
            && (now.unreadable, now.life) == (before.unreadable, before.life);
        let first = || self.rollouts[rollout].iter().rev().nth(1).is_none_or(|past| past.life == Life::None);
        if same && !first() {
            return;
        }
        self.revision += 1;
        now.version = self.revision;
        now.generation += i64::from(!Arc::ptr_eq(&now.spec, &before.spec));
        self.rollouts[rollout].push(Rc::new(now));
    }

    /// Somebody makes a Rollout that was not there from the first.
    pub fn make_rollout(&mut self, rollout: usize) {
        self.revision += 1;
        let now =
            RolloutNow { version: self.revision, life: Life::Exists, ..(**self.rollout(rollout)).clone() };
        self.rollouts[rollout].push(Rc::new(now));
    }

    /// Somebody deletes a Rollout: it is gone once nobody holds it any more.
    pub fn delete_rollout(&mut self, rollout: usize) {
        self.edit_rollout(rollout, |now| {
            // That it is to go counts as a change of what is wanted.
            now.generation += i64::from(now.life == Life::Exists);
            now.life = if now.finalizer { Life::Ends } else { Life::None };
        });
    }

    fn patch(&mut self, route: usize, patch: &Patch) -> Answer {
        if !self.exists(route) {
            return Answer::Refused(Code::NotFound);
        }
        let mut document = self.documents[route].clone();
        // What a refused patch leaves behind is dropped whole.
        if json_patch::patch_unsafe(&mut document, patch).is_err() {
            return Answer::Refused(Code::Unprocessable);
        }
        self.put_route(route, document);
        // What goes with its last finalizer is answered as it was.
        Answer::Route(route, self.route(route).clone())
    }

    /// Somebody else's change of a route, as JSON.
    pub fn edit_route(&mut self, route: usize, change: impl FnOnce(&mut Value)) {
        if !self.exists(route) {
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
        if document["metadata"]["deletionTimestamp"].is_string() && !is_held(&document) {
            self.routes[route].push(Rc::new(RouteNow::gone(self.revision)));
            return;
        }
        if document["spec"] != self.documents[route]["spec"] {
            let generation = document["metadata"]["generation"].as_i64().unwrap_or(0);
            document["metadata"]["generation"] = json!(generation + 1);
        }
        self.show(route, document);
    }

    /// The newest version of a route.
    fn show(&mut self, route: usize, mut document: Value) {
        document["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let shape = self.objects[route].shape;
        let shown = RouteNow::shown(&self.identities, shape, route, self.revision, &document);
        self.documents[route] = document;
        self.routes[route].push(Rc::new(shown));
    }

    /// The data plane reports the present generation.
    pub fn programmed(&mut self, route: usize) {
        let reported = self.objects[route].shape.status(&self.documents[route]["metadata"]["generation"]);
        if !self.exists(route) || self.documents[route]["status"] == reported {
            return;
        }
        self.revision += 1;
        let mut document = std::mem::take(&mut self.documents[route]);
        document["status"] = reported;
        self.show(route, document);
    }

    /// Where the lists stand that are a Rollout's own.
    pub fn paths(&self, rollout: usize, route: usize) -> Vec<String> {
        let own = self.identities[rollout].own(route);
        own.map_or(Vec::new(), |own| self.objects[route].shape.paths(&self.documents[route], own))
    }

    /// Somebody else's change of the weighted lists that are a Rollout's own, or only of the first.
    pub fn edit_lists(
        &mut self,
        rollout: usize,
        route: usize,
        all: bool,
        change: impl FnMut(&mut Vec<Entry>),
    ) {
        let shape = self.objects[route].shape;
        let Some(own) = self.identities[rollout].own(route) else { return };
        let versions = self.identities[rollout].versions;
        let edited = shape.edited(&self.documents[route], own, all, versions, change);
        if edited.is_empty() {
            return;
        }
        self.edit_route(route, |document| {
            for (path, list) in edited {
                *document.pointer_mut(&path).unwrap() = list;
            }
        });
    }

    pub fn delete_route(&mut self, route: usize) {
        self.revision += 1;
        let gone = RouteNow::gone(self.revision);
        self.routes[route].push(Rc::new(gone));
    }

    /// A route that somebody holds by a finalizer goes once that is taken off.
    pub fn remove_route(&mut self, route: usize) {
        if is_held(&self.documents[route]) {
            self.edit_route(route, |document| {
                document["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            });
        } else {
            self.delete_route(route);
        }
    }

    /// A route that is not there is made.
    pub fn create_route(&mut self, route: usize, mut document: Value) {
        self.revision += 1;
        let metadata = &mut document["metadata"];
        metadata["namespace"] = json!(NAMESPACE);
        metadata["uid"] = json!(format!("made-{}", self.revision));
        metadata["generation"] = json!(1);
        self.show(route, document);
    }

    /// The same route, made again as it stands in Git.
    pub fn make_route(&mut self, route: usize) {
        self.revision += 1;
        let Object { name, shape, lists, .. } = &self.objects[route];
        let document = shape.document(name, lists, 100 + route, &self.revision.to_string());
        self.show(route, document);
    }

    pub fn set_workload(&mut self, index: usize, seen: WorkloadSeen) {
        self.revision += 1;
        let now = WorkloadNow { version: self.revision, seen };
        self.workloads[index].1.push(Rc::new(now));
    }
}

/// Whether somebody holds an object by a finalizer.
fn is_held(document: &Value) -> bool {
    document["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}
