//! The objects of the documents: what they are, what they are called, and what of them can be relied on.

use serde::Deserialize;
use serde_json::Value;

use super::{
    finding::{Fault, Place, Report},
    input::Document,
    schemas::Schemas,
};
use crate::{
    api::{AnalysisTemplate, AnalysisTemplateSpec, GROUP, Rollout, RolloutSpec, RouteKind, WorkloadKind},
    routes,
};

/// The group of Argo's Rollouts, which are another kind of the same name.
const ARGO: &str = "argoproj.io";
/// The group of Kubernetes' own workloads.
const APPS: &str = "apps";

/// The kinds that have a schema here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Rollout,
    Template,
    GatewayRoute,
}

impl Known {
    fn of(kind: &str) -> Option<Self> {
        match kind {
            "Rollout" => Some(Self::Rollout),
            "AnalysisTemplate" => Some(Self::Template),
            "GatewayRoute" => Some(Self::GatewayRoute),
            _ => None,
        }
    }

    /// The API version that it has.
    fn api_version(self) -> String {
        match self {
            Self::Rollout | Self::Template => format!("{GROUP}/v1alpha1"),
            Self::GatewayRoute => routes::resource(RouteKind::GatewayRoute).api_version,
        }
    }
}

/// An object.
#[derive(Debug)]
pub(super) struct Object {
    pub place: Place,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    group: String,
    /// As an API server would store it.
    pub value: Value,
    /// Its schema has nothing against it, or none is known.
    pub sound: bool,
    /// Its spec, where it is a sound Rollout.
    pub rollout: Option<RolloutSpec>,
    /// Its spec, where it is a sound AnalysisTemplate.
    pub template: Option<AnalysisTemplateSpec>,
}

impl Object {
    /// What findings call it.
    pub(super) fn told(&self) -> String {
        let name = if self.name.is_empty() { "without a name" } else { &self.name };
        if self.kind.is_empty() { String::new() } else { format!("{} {name}", self.kind) }
    }

    fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

/// All objects of the files.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub all: Vec<Object>,
}

/// What was found of a named object.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    /// It is among the files.
    Object(&'a Object),
    /// Others of its kind are.
    Others,
    /// None of its kind is.
    None,
}

impl Objects {
    /// Takes the documents for objects, and finds what is wrong with each by itself.
    pub(super) fn of(documents: Vec<Document>, schemas: &Schemas, report: &mut Report) -> Self {
        let mut objects = Self::default();
        for Document { place, value } in documents {
            objects.open(&place, value, schemas, report);
        }
        report.objects = objects.all.iter().filter(|object| !object.kind.is_empty()).count();
        objects.find_twins(report);
        objects
    }

    /// A List is what is in it.
    fn open(&mut self, place: &Place, mut value: Value, schemas: &Schemas, report: &mut Report) {
        if value["kind"] == "List" && value["apiVersion"] == "v1" {
            if let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) {
                for item in items {
                    self.open(place, item, schemas, report);
                }
            }
            return;
        }
        let (object, faults) = object(place, value, schemas);
        for fault in faults {
            report.add(place, Some(object.told()).filter(|told| !told.is_empty()), fault);
        }
        self.all.push(object);
    }

    fn find_twins(&self, report: &mut Report) {
        for (at, object) in self.all.iter().enumerate().filter(|(_, object)| !object.name.is_empty()) {
            let is_same = |other: &&Object| {
                (&other.group, &other.kind, &other.namespace, &other.name)
                    == (&object.group, &object.kind, &object.namespace, &object.name)
            };
            if let Some(other) = self.all[..at].iter().find(is_same) {
                let message = format!(
                    "{} is this object too, and whichever is applied last overwrites the other; rename or remove one",
                    other.place
                );
                report.add(&object.place, Some(object.told()), Fault::error("metadata.name", message));
            }
        }
    }

    /// A route in the namespace of an object.
    pub(super) fn route(&self, near: &Object, kind: RouteKind, name: &str) -> Found<'_> {
        self.find(near, (kind.group().word(), kind.word()), name)
    }

    /// A workload in the namespace of an object.
    pub(super) fn workload(&self, near: &Object, kind: WorkloadKind, name: &str) -> Found<'_> {
        self.find(near, (APPS, kind.word()), name)
    }

    /// An AnalysisTemplate in the namespace of an object.
    pub(super) fn template(&self, near: &Object, name: &str) -> Found<'_> {
        self.find(near, (GROUP, "AnalysisTemplate"), name)
    }

    /// An object without a namespace may be meant for any: which, is told when it is applied.
    fn find(&self, near: &Object, (group, kind): (&str, &str), name: &str) -> Found<'_> {
        let of_kind = || self.all.iter().filter(|object| object.is(group, kind));
        let named = || of_kind().filter(|object| object.name == name);
        let here = named().find(|object| object.namespace == near.namespace);
        let anywhere = || named().find(|object| object.namespace.is_empty() || near.namespace.is_empty());
        match here.or_else(anywhere) {
            Some(object) => Found::Object(object),
            None if of_kind().next().is_some() => Found::Others,
            None => Found::None,
        }
    }
}

/// An object of a document, with what is wrong with it by itself.
fn object(place: &Place, mut value: Value, schemas: &Schemas) -> (Object, Vec<Fault>) {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let group = api_version.rsplit_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    let mut faults = Vec::new();
    let known = Known::of(&kind).filter(|known| is_ours(*known, &api_version, &group, &mut faults));
    let mut sound = true;
    if kind.is_empty() {
        faults.push(Fault::note("kind", "it is no Kubernetes object, for it has no kind; it is not checked"));
    } else if group == GROUP && Known::of(&kind).is_none() {
        faults.push(Fault::error(
            "kind",
            format!("{GROUP} has no kind {kind}; it has Rollout and AnalysisTemplate"),
        ));
    } else if let Some(known) = known {
        faults.extend(of_metadata(&value));
        let mut refused = schemas.check(known, &mut value);
        // Without a name there is no rule about it.
        refused.retain(|fault| !name.is_empty() || !fault.message.contains("self.metadata.name"));
        sound = !refused
            .iter()
            .any(|fault| fault.severity == super::finding::Severity::Error && !is_unknown(fault));
        faults.append(&mut refused);
    }
    let rollout = known.filter(|known| *known == Known::Rollout && sound);
    let rollout = rollout.and_then(|_| typed::<Rollout>(&value, &mut faults)).map(|rollout| rollout.spec);
    let template = known.filter(|known| *known == Known::Template && sound);
    let template = template.and_then(|_| typed::<AnalysisTemplate>(&value, &mut faults)).map(|one| one.spec);
    // Whatever its version, it is what it is taken for.
    let group =
        known.map_or(group, |known| known.api_version().split('/').next().unwrap_or_default().to_owned());
    (Object { place: place.clone(), kind, namespace, name, group, value, sound, rollout, template }, faults)
}

/// A field that nobody knows is not stored, and the rest is as sound as it was.
fn is_unknown(fault: &Fault) -> bool {
    fault.message.starts_with("there is no such field")
}

/// Whether a kind that is called like one of ours is ours; a wrong version of it is a fault.
fn is_ours(known: Known, given: &str, group: &str, faults: &mut Vec<Fault>) -> bool {
    let right = known.api_version();
    if given == right {
        return true;
    }
    if group == ARGO {
        let message = "it is Argo's, and is not checked; `kubectl tidegate migrate` makes one of ours of an Argo Rollout";
        faults.push(Fault::note("apiVersion", message));
        return false;
    }
    let given =
        if given.is_empty() { "it is missing".to_owned() } else { format!("{given} has no such kind") };
    faults.push(Fault::error("apiVersion", format!("{given}; it must be {right}")));
    true
}

/// What of metadata an API server would refuse.
fn of_metadata(value: &Value) -> Vec<Fault> {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    let metadata = value.get("metadata").cloned().unwrap_or_default();
    if metadata.is_null() {
        return vec![Fault::error("metadata.name", "it is missing; add it")];
    }
    match serde_path_to_error::deserialize::<_, ObjectMeta>(metadata) {
        Ok(metadata) => match metadata.name {
            Some(name) if !name.is_empty() => vec![],
            Some(_) | None => vec![Fault::error("metadata.name", "it is missing; add it")],
        },
        Err(error) => {
            let field = format!("metadata.{}", error.path());
            vec![Fault::error(
                field,
                format!("{}; labels and annotations must be quoted texts", error.inner()),
            )]
        }
    }
}

/// The object as the controller reads it. What the schema lets pass and that can't be read is refused there too.
fn typed<T: for<'a> Deserialize<'a>>(value: &Value, faults: &mut Vec<Fault>) -> Option<T> {
    match serde_path_to_error::deserialize(value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            faults.push(Fault::error(error.path().to_string(), error.inner().to_string()));
            None
        }
    }
}
