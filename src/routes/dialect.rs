//! Which GatewayRoute CRD is installed: ours, with weights, or AWS's own.
//!
//! It is asked of the API server rather than read from the CRD, for which the controller would need a cluster-wide
//! permission: a dry run with strict field validation, which stores nothing and names the fields it does not know.

use json_patch::{AddOperation, Patch as JsonPatch, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
    core::Status,
};
use serde_json::Value;

use super::{FIELD_MANAGER, apply::without_body, gateway_route, resource};
use crate::api::RouteKind;

/// The GatewayRoute CRD that is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// It has weights.
    Weighted,
    /// AWS's own: one target, no weights.
    Aws,
}

/// Why the CRD could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The route can't be read.
    #[error("cannot read GatewayRoute {name} to probe its CRD")]
    Read {
        /// The route.
        name: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// It has no lone target that names a VirtualService.
    #[error("cannot probe the CRD with GatewayRoute {name}: it has no single target by virtualServiceRef")]
    NoLoneTarget {
        /// The route.
        name: String,
    },
    /// The dry run failed for another reason.
    #[error("cannot probe the CRD with GatewayRoute {name}: the dry run fails for another reason")]
    Undecided {
        /// The route.
        name: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
}

/// Tells which CRD is installed, with a GatewayRoute that has a lone target. Nothing is stored.
pub async fn probe_dialect(client: &Client, namespace: &str, name: &str) -> Result<Dialect, ProbeError> {
    let routes: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource(RouteKind::GatewayRoute));
    let object = routes.get(name).await.map_err(|source| ProbeError::Read {
        name: name.to_owned(),
        source: Box::new(without_body(source)),
    })?;
    let patch = to_weights(&object.data).ok_or_else(|| ProbeError::NoLoneTarget { name: name.to_owned() })?;
    let params = PatchParams {
        dry_run: true,
        field_manager: Some(FIELD_MANAGER.into()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    match routes.patch(name, &params, &Patch::Json::<()>(patch)).await {
        Ok(_) => Ok(Dialect::Weighted),
        Err(kube::Error::Api(status)) if knows_no_weights(&status) => Ok(Dialect::Aws),
        Err(source) => {
            Err(ProbeError::Undecided { name: name.to_owned(), source: Box::new(without_body(source)) })
        }
    }
}

/// Turns the lone target into a list with one entry.
fn to_weights(object: &Value) -> Option<JsonPatch> {
    let action = gateway_route::action(object).ok()?;
    let target = format!("{action}/target");
    let value = gateway_route::weighted_list(object.pointer(&target)?)?;
    Some(JsonPatch(vec![
        PatchOperation::Remove(RemoveOperation { path: PointerBuf::parse(target).ok()? }),
        PatchOperation::Add(AddOperation {
            path: PointerBuf::parse(format!("{action}/weightedTargets")).ok()?,
            value,
        }),
    ]))
}

/// Whether the field is unknown to the schema, or was pruned so that the target is missed. The refused object comes
/// before the error in the text, and has the field's name in it too: only what follows counts.
fn knows_no_weights(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let missed = causes
        .clone()
        .any(|cause| cause.reason == "FieldValueRequired" && cause.field.ends_with(".action.target"));
    let unknown = |text: &str| {
        text.rsplit_once("strict decoding error")
            .is_some_and(|(_, error)| error.contains("unknown field") && error.contains(".weightedTargets"))
    };
    missed || unknown(&status.message) || causes.clone().any(|cause| unknown(&cause.message))
}

#[cfg(test)]
mod tests;
