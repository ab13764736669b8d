//! An object of a watched kind as it came over the wire. It is decoded once, straight to JSON: the typed objects of
//! kube are decoded twice, and would be turned back into JSON for what reads them.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::DynamicResourceScope, discovery::ApiResource};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::stores::{Key, Versioned, version};

/// The object, and what kube asks of every object.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The object whole.
    pub whole: Value,
    /// The part of its metadata that tells it from others.
    identity: ObjectMeta,
}

impl Raw {
    /// The object's namespace and name.
    pub fn key(&self) -> Key {
        let ObjectMeta { namespace, name, .. } = &self.identity;
        (namespace.clone().unwrap_or_default(), name.clone().unwrap_or_default())
    }

    /// What is kept of the object. One that `value` panics at is kept as what `defect` makes of a sentence: it must not
    /// keep the others of its kind from being followed.
    pub fn reduced<V>(
        &self,
        value: impl FnOnce(&Value) -> V,
        defect: impl FnOnce(String) -> V,
    ) -> Versioned<V> {
        let value = catch_unwind(AssertUnwindSafe(|| value(&self.whole)));
        let sentence =
            "the controller can't read it, which is a defect of the controller; its log says where";
        let value = value.unwrap_or_else(|_| defect(sentence.to_owned()));
        let version = version(self.identity.resource_version.as_deref());
        Versioned { key: self.key(), version, value }
    }
}

impl From<Value> for Raw {
    fn from(whole: Value) -> Self {
        let identity = identity(&whole);
        Self { whole, identity }
    }
}

/// The part of an object's metadata that tells it, and this version of it, from others.
pub fn identity(object: &Value) -> ObjectMeta {
    let metadata = object.get("metadata");
    let text = |field: &str| metadata?.get(field)?.as_str().map(str::to_owned);
    ObjectMeta {
        namespace: text("namespace"),
        name: text("name"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        ..ObjectMeta::default()
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.identity
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.identity
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_panics_who_reads_it_is_kept_as_unreadable() {
        let object = Raw::from(json!({"metadata": {"namespace": "ns", "name": "r", "resourceVersion": "7"}}));
        let kept: Versioned<Result<(), String>> = object.reduced(|_| panic!("a planted defect"), Err);
        assert_eq!((kept.key, kept.version), (("ns".to_owned(), "r".to_owned()), 7));
        assert!(kept.value.is_err_and(|why| why.contains("a defect of the controller")));
    }
}
