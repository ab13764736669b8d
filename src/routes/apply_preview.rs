//! Sends what becomes of a preview, once.
//!
//! A copy is made of the route as the API server has it at that moment: what was seen of it keeps no more than decisions
//! need.

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions, ValidationDirective},
    core::Request,
};
use serde_json::Value;

use super::{
    FIELD_MANAGER,
    apply::{ApplyError, DEADLINE},
    preview::{preview, replacement},
    resource,
};
use crate::engine::decision::{PreviewChange, PreviewContent, PreviewWrite};

/// Creates, changes or deletes a preview, once. The answer is the preview as it is now; none where it is gone.
pub async fn apply_preview(
    client: &Client,
    namespace: &str,
    write: &PreviewWrite,
) -> Result<Option<DynamicObject>, ApplyError> {
    let routes: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource(write.route.kind));
    match tokio::time::timeout(DEADLINE, send(client, &routes, write)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ApplyError::Timeout {
            route: write.route.clone(),
            verb: write.change.verb(),
            deadline: DEADLINE,
        }),
    }
}

/// Creates an object whose every field the API server must know: one that it drops could widen the match.
async fn create(client: &Client, url: &str, object: &Value) -> kube::Result<DynamicObject> {
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    let mut request = Request::new(url).create(&params, body).map_err(kube::Error::BuildRequest)?;
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() =
        strict.parse().map_err(|error: http::uri::InvalidUri| kube::Error::HttpError(error.into()))?;
    client.request(request).await
}

async fn send(
    client: &Client,
    routes: &Api<DynamicObject>,
    write: &PreviewWrite,
) -> Result<Option<DynamicObject>, ApplyError> {
    let name = &write.route.name;
    let refused = |error| ApplyError::request(&write.route, write.change.verb(), error);
    match &write.change {
        PreviewChange::Create(content) => {
            let copy = copy(routes, write, content).await?;
            create(client, routes.resource_url(), &copy).await.map(Some).map_err(refused)
        }
        PreviewChange::Replace { view, content } => {
            let patch = replacement(view, &copy(routes, write, content).await?, content);
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.into()),
                field_validation: Some(ValidationDirective::Strict),
                ..PatchParams::default()
            };
            routes.patch(name, &params, &Patch::Json::<()>(patch)).await.map(Some).map_err(refused)
        }
        PreviewChange::Remove(view) => {
            let preconditions = Preconditions {
                uid: Some(view.uid.clone()),
                resource_version: Some(view.resource_version.clone()),
            };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            // One that something holds stands on for now.
            routes.delete(name, &params).await.map(|deleted| deleted.either(Some, |_| None)).map_err(refused)
        }
    }
}

/// The preview that the route as it stands now makes.
async fn copy(
    routes: &Api<DynamicObject>,
    write: &PreviewWrite,
    content: &PreviewContent,
) -> Result<Value, ApplyError> {
    let verb = write.change.verb();
    let route =
        routes.get(&write.of.name).await.map_err(|error| ApplyError::request(&write.of, "copy", error))?;
    let route = serde_json::to_value(route)
        .map_err(|error| ApplyError::request(&write.of, "copy", kube::Error::SerdeError(error)))?;
    preview(write.of.kind, &route, &write.route.name, content).map_err(|source| ApplyError::NoCopy {
        route: write.route.clone(),
        verb,
        source,
    })
}
