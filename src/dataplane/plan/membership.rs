//! Which routes belong to a gateway.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use serde_json::Value;

use super::Labels;
use crate::dataplane::compile::{GatewayRef, ObjectKind, Reason};

/// Whom a gateway takes routes from.
pub(super) struct Membership {
    gateway: GatewayRef,
    /// None selects nothing, as for AWS's controller; an empty one selects every namespace.
    namespaces: Option<Selector>,
    /// None selects every route of those namespaces.
    routes: Option<Selector>,
}

impl Membership {
    pub(super) fn read(
        gateway: &GatewayRef,
        namespaces: Option<LabelSelector>,
        routes: Option<LabelSelector>,
    ) -> Result<Self, Reason> {
        let read = |field: &'static str, selector: Option<LabelSelector>| {
            let read = selector.map(Selector::try_from).transpose();
            read.map_err(|source| Reason::Selector { field, source })
        };
        let namespaces = read("namespaceSelector", namespaces)?;
        let routes = read("gatewayRouteSelector", routes)?;
        Ok(Self { gateway: gateway.clone(), namespaces, routes })
    }

    /// Whether a GatewayRoute is one of this gateway's. Whoever shares its namespace may name it; from elsewhere, and where a
    /// route names no gateway, the gateway's selectors decide.
    pub(super) fn takes(&self, route: &Value, namespaces: &BTreeMap<String, Labels>) -> bool {
        if !self.gateway.takes(ObjectKind::GatewayRoute, route) {
            return false;
        }
        let namespace = route["metadata"]["namespace"].as_str().unwrap_or_default();
        let claimed = GatewayRef { takes_unclaimed: false, ..self.gateway.clone() };
        if claimed.takes(ObjectKind::GatewayRoute, route) && namespace == self.gateway.namespace {
            return true;
        }
        let of_namespace = namespaces.get(namespace).cloned().unwrap_or_default();
        self.namespaces.as_ref().is_some_and(|selector| selector.matches(&of_namespace))
            && self.routes.as_ref().is_none_or(|selector| selector.matches(&labels(route)))
    }
}

fn labels(object: &Value) -> Labels {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
