//! Manifests of several documents, parsed and created.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PostParams},
    core::gvk::ParseGroupVersionError,
};

/// The field manager of everything that the demo writes.
pub const MANAGER: &str = "tidegate-demo";

/// Why manifests could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A document is not YAML, or no object.
    #[error("cannot parse a manifest")]
    Parse(#[source] Box<serde_saphyr::Error>),
    /// A document has no kind.
    #[error("cannot apply {name}: it has no apiVersion and kind")]
    Kind {
        /// The object's name.
        name: String,
    },
    /// The API version is not one.
    #[error("cannot apply {name}: its apiVersion cannot be read")]
    Version {
        /// The object's name.
        name: String,
        /// What is wrong with it.
        source: ParseGroupVersionError,
    },
    /// The API server refused an object.
    #[error("cannot create the {kind} {name}")]
    Create {
        /// The object's kind.
        kind: String,
        /// The object's name.
        name: String,
        /// What the server said.
        source: Box<kube::Error>,
    },
}

/// Parses the documents of a manifest.
pub fn parse(text: &str) -> Result<Vec<DynamicObject>, ManifestError> {
    serde_saphyr::from_multiple(text).map_err(|source| ManifestError::Parse(Box::new(source)))
}

/// Creates objects, in their order. What exists already stays as it is.
pub async fn apply(
    client: &Client,
    objects: impl IntoIterator<Item = DynamicObject>,
) -> Result<(), ManifestError> {
    for object in objects {
        create(client, &object).await?;
    }
    Ok(())
}

async fn create(client: &Client, object: &DynamicObject) -> Result<(), ManifestError> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let Some(types) = &object.types else {
        return Err(ManifestError::Kind { name });
    };
    let kind = types.try_into().map_err(|source| ManifestError::Version { name: name.clone(), source })?;
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&params, object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(ManifestError::Create { kind: kind.kind, name, source: Box::new(source) }),
    }
}
