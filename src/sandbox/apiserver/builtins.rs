//! The table of built-in kinds.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event as CoreEvent, Namespace, Pod, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event as NewEvent;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use schemars::JsonSchema;

use super::builtin_schema::{BuiltinSchema, Collector, Definitions};
use super::names::NameRule;
use super::resource::{Column, Model, Resource, Scale, Updates};
use super::{autoscaler_columns, builtin_columns as columns};

/// Storage of namespaces, which own what is in them.
pub(super) const NAMESPACES: &str = "/namespaces";
/// Storage of CustomResourceDefinitions, which own their instances.
pub(super) const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// Storage of Deployments.
pub(super) const DEPLOYMENTS: &str = "apps/deployments";
/// Storage of StatefulSets.
pub(super) const STATEFUL_SETS: &str = "apps/statefulsets";
/// Storage of HorizontalPodAutoscalers.
pub(super) const AUTOSCALERS: &str = "autoscaling/horizontalpodautoscalers";
/// Storage of Services.
pub(super) const SERVICES: &str = "/services";
/// Storage of ReplicaSets.
pub(super) const REPLICA_SETS: &str = "apps/replicasets";

/// Label and pointer of the field selectors of events, under the names of both groups.
const EVENT_FIELDS: [(&str, &str); 18] = [
    ("involvedObject.kind", "/involvedObject/kind"),
    ("involvedObject.namespace", "/involvedObject/namespace"),
    ("involvedObject.name", "/involvedObject/name"),
    ("involvedObject.uid", "/involvedObject/uid"),
    ("involvedObject.apiVersion", "/involvedObject/apiVersion"),
    ("involvedObject.resourceVersion", "/involvedObject/resourceVersion"),
    ("involvedObject.fieldPath", "/involvedObject/fieldPath"),
    ("regarding.kind", "/involvedObject/kind"),
    ("regarding.namespace", "/involvedObject/namespace"),
    ("regarding.name", "/involvedObject/name"),
    ("regarding.uid", "/involvedObject/uid"),
    ("regarding.apiVersion", "/involvedObject/apiVersion"),
    ("regarding.fieldPath", "/involvedObject/fieldPath"),
    ("reason", "/reason"),
    ("type", "/type"),
    ("source", "/source/component"),
    ("reportingComponent", "/reportingComponent"),
    ("reportingController", "/reportingComponent"),
];

/// What differs between built-in kinds; the rest follows.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    namespaced: bool,
    has_status: bool,
    counts_generation: bool,
    columns: Vec<Column>,
    selectable: &'static [(&'static str, &'static str)],
    schema: String,
}

/// A namespaced kind without status, to be adjusted by struct update.
fn row<T: JsonSchema>(
    schemas: &mut Collector,
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Row {
    Row {
        group,
        version: "v1",
        kind,
        plural,
        short_names: &[],
        categories: &[],
        namespaced: true,
        has_status: false,
        counts_generation: false,
        columns: columns::age_only(),
        selectable: &[],
        schema: schemas.add::<T>(),
    }
}

/// All built-in resources.
pub(super) fn resources() -> Vec<Resource> {
    let mut schemas = Collector::new();
    let mut rows = core_rows(&mut schemas);
    rows.extend(workload_rows(&mut schemas));
    rows.extend(other_rows(&mut schemas));
    let definitions = schemas.finish();
    rows.into_iter().map(|row| resource(row, &definitions)).collect()
}

fn core_rows(schemas: &mut Collector) -> Vec<Row> {
    vec![
        Row {
            short_names: &["ns"],
            namespaced: false,
            has_status: true,
            columns: columns::namespace(),
            selectable: &[("status.phase", "/status/phase")],
            ..row::<Namespace>(schemas, "", "Namespace", "namespaces")
        },
        Row {
            short_names: &["cm"],
            columns: columns::config_map(),
            ..row::<ConfigMap>(schemas, "", "ConfigMap", "configmaps")
        },
        Row {
            short_names: &["svc"],
            categories: &["all"],
            has_status: true,
            columns: columns::service(),
            selectable: &[("spec.clusterIP", "/spec/clusterIP"), ("spec.type", "/spec/type")],
            ..row::<Service>(schemas, "", "Service", "services")
        },
        Row {
            short_names: &["po"],
            categories: &["all"],
            has_status: true,
            counts_generation: true,
            columns: columns::pod(),
            selectable: &[("status.phase", "/status/phase"), ("spec.nodeName", "/spec/nodeName")],
            ..row::<Pod>(schemas, "", "Pod", "pods")
        },
        Row {
            short_names: &["sa"],
            ..row::<ServiceAccount>(schemas, "", "ServiceAccount", "serviceaccounts")
        },
        Row {
            short_names: &["ep"],
            columns: columns::endpoints(),
            ..row::<Endpoints>(schemas, "", "Endpoints", "endpoints")
        },
        Row {
            short_names: &["ev"],
            columns: columns::event(),
            selectable: &EVENT_FIELDS,
            ..row::<CoreEvent>(schemas, "", "Event", "events")
        },
    ]
}

fn workload_rows(schemas: &mut Collector) -> Vec<Row> {
    vec![
        Row {
            short_names: &["deploy"],
            categories: &["all"],
            has_status: true,
            counts_generation: true,
            columns: columns::deployment(),
            ..row::<Deployment>(schemas, "apps", "Deployment", "deployments")
        },
        Row {
            short_names: &["rs"],
            categories: &["all"],
            has_status: true,
            counts_generation: true,
            columns: columns::replica_set(),
            ..row::<ReplicaSet>(schemas, "apps", "ReplicaSet", "replicasets")
        },
        Row {
            short_names: &["sts"],
            categories: &["all"],
            has_status: true,
            counts_generation: true,
            columns: columns::stateful_set(),
            ..row::<StatefulSet>(schemas, "apps", "StatefulSet", "statefulsets")
        },
        Row {
            version: "v2",
            short_names: &["hpa"],
            categories: &["all"],
            has_status: true,
            counts_generation: true,
            columns: autoscaler_columns::autoscaler(),
            ..row::<HorizontalPodAutoscaler>(
                schemas,
                "autoscaling",
                "HorizontalPodAutoscaler",
                "horizontalpodautoscalers",
            )
        },
    ]
}

fn other_rows(schemas: &mut Collector) -> Vec<Row> {
    vec![
        Row {
            short_names: &["ev"],
            columns: columns::event(),
            selectable: &EVENT_FIELDS,
            ..row::<NewEvent>(schemas, "events.k8s.io", "Event", "events")
        },
        Row {
            columns: columns::endpoint_slice(),
            ..row::<EndpointSlice>(schemas, "discovery.k8s.io", "EndpointSlice", "endpointslices")
        },
        Row { columns: columns::lease(), ..row::<Lease>(schemas, "coordination.k8s.io", "Lease", "leases") },
        Row {
            short_names: &["crd", "crds"],
            categories: &["api-extensions"],
            namespaced: false,
            has_status: true,
            counts_generation: true,
            columns: columns::definition(),
            ..row::<CustomResourceDefinition>(
                schemas,
                "apiextensions.k8s.io",
                "CustomResourceDefinition",
                "customresourcedefinitions",
            )
        },
    ]
}

fn resource(row: Row, definitions: &Arc<Definitions>) -> Resource {
    let schema = BuiltinSchema::new(row.schema, definitions.clone());
    let is_new_event = row.group == "events.k8s.io";
    let storage_group = if is_new_event { "" } else { row.group };
    Resource {
        group: row.group.to_owned(),
        version: row.version.to_owned(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        short_names: row.short_names.iter().map(ToString::to_string).collect(),
        categories: row.categories.iter().map(ToString::to_string).collect(),
        namespaced: row.namespaced,
        name_rule: if matches!(row.kind, "Namespace" | "Service" | "StatefulSet") {
            NameRule::Label
        } else {
            NameRule::Subdomain
        },
        updates: Updates {
            may_create: matches!(row.kind, "Service" | "Event" | "Endpoints" | "Lease"),
            unconditional: !matches!(row.kind, "Lease" | "CustomResourceDefinition"),
        },
        storage: format!("{storage_group}/{}", row.plural),
        has_status: row.has_status,
        scale: (row.group == "apps").then(|| Scale {
            spec_replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            label_selector: None,
        }),
        counts_generation: row.counts_generation,
        columns: row.columns,
        selectable: row
            .selectable
            .iter()
            .map(|(label, at)| ((*label).to_owned(), (*at).to_owned()))
            .collect(),
        model: if is_new_event { Model::NewEvent(schema) } else { Model::BuiltIn(schema) },
    }
}
