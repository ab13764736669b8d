//! The resources served at present: the built-in ones and those of every established definition.

use std::sync::Arc;

use super::builtins::{self, DEFINITIONS};
use super::crds;
use super::resource::Resource;
use super::store::{Key, Store};

/// All served resources.
#[derive(Debug)]
pub(super) struct Registry {
    built_in: Vec<Arc<Resource>>,
    custom: Vec<Definition>,
    /// What installed schemas ask that cannot be checked.
    pub warnings: Vec<String>,
}

/// The resources of one definition, as of one of its versions.
#[derive(Debug)]
struct Definition {
    name: String,
    generation: Option<i64>,
    resources: Vec<Arc<Resource>>,
}

impl Registry {
    pub fn new() -> Self {
        let built_in = builtins::resources().into_iter().map(Arc::new).collect();
        Self { built_in, custom: Vec::new(), warnings: Vec::new() }
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.built_in.iter().chain(self.custom.iter().flat_map(|definition| &definition.resources))
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let found = |resource: &&Arc<Resource>| {
            resource.group == group && resource.version == version && resource.plural == plural
        };
        self.all().find(found).cloned()
    }

    /// Whether a definition declares resources of this group.
    pub fn is_custom_group(&self, group: &str) -> bool {
        self.custom
            .iter()
            .flat_map(|definition| &definition.resources)
            .any(|resource| resource.group == group)
    }

    /// Whether the group comes with a real server, be it served here or not.
    pub fn is_built_in_group(&self, group: &str) -> bool {
        let reviewed = super::discovery::REVIEWS.iter().any(|review| review.0 == group);
        reviewed
            || super::unserved::is_group(group)
            || self.built_in.iter().any(|resource| resource.group == group)
    }

    pub fn by_storage(&self, storage: &str) -> Option<Arc<Resource>> {
        self.all().find(|resource| resource.storage == storage).cloned()
    }

    /// Follows a write to a storage: only definitions matter. Returns new warnings.
    pub fn refresh(&mut self, store: &Store, storage: &str) -> Vec<String> {
        if storage != DEFINITIONS {
            return Vec::new();
        }
        let mut told = Vec::new();
        for (key, definition) in store.list(DEFINITIONS, None) {
            let generation = super::object::number(definition, "/metadata/generation");
            let known = self.custom.iter().position(|known| known.name == key.name);
            if known.is_some_and(|at| self.custom[at].generation == generation) {
                continue;
            }
            let (resources, warnings) = crds::resources(definition);
            told.extend(warnings.into_iter().filter(|warning| !self.warnings.contains(warning)));
            let entry = Definition {
                name: key.name.clone(),
                generation,
                resources: resources.into_iter().map(Arc::new).collect(),
            };
            match known {
                Some(at) => self.custom[at] = entry,
                None => self.custom.push(entry),
            }
        }
        self.warnings.extend(told.iter().cloned());
        told
    }

    /// Stops serving what a removed definition declared.
    pub fn forget(&mut self, key: &Key) {
        if key.storage == DEFINITIONS {
            self.custom.retain(|definition| definition.name != key.name);
        }
    }
}
