//! What the files hold: objects by kind and name, and read as types with errors that name file and field.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::Error;

/// The groups and kinds that become Rollouts.
pub(super) const LOOKED_FOR: &str =
    "a Rollout of argoproj.io/v1alpha1 (Argo Rollouts) or a Canary of flagger.app/v1beta1 (Flagger)";

/// An object of a file.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// The file, as errors call it.
    pub(super) file: String,
    /// The object.
    pub(super) value: Value,
}

/// All objects of all files, in order.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The files, as errors call them.
    pub(super) files: Vec<String>,
    /// The objects.
    pub(super) objects: Vec<Object>,
}

/// What names an object.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Metadata {
    /// Its name.
    pub(super) name: String,
    /// Its namespace, where the manifest says it.
    #[serde(default)]
    pub(super) namespace: Option<String>,
}

/// An object that is read as a type: what names it, and what it wants.
#[derive(Debug, Deserialize)]
pub(super) struct Typed<S> {
    /// What names it.
    pub(super) metadata: Metadata,
    /// What it wants.
    pub(super) spec: S,
}

/// Why a field makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The field.
    pub(super) field: String,
    /// Why not, and what it must be.
    pub(super) message: String,
}

impl Fault {
    /// A field, and why it makes no sense.
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl Source {
    /// Reads files; `-` is standard input.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, Error> {
        let mut source = Self::default();
        for file in files {
            let (named, text) = text_of(file)?;
            source.add(&named, &text)?;
        }
        Ok(source)
    }

    /// The documents of a text. A List gives its items.
    pub(super) fn add(&mut self, file: &str, text: &str) -> Result<(), Error> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)
            .map_err(|source| Error::Yaml { file: file.to_owned(), source: Box::new(source) })?;
        self.files.push(file.to_owned());
        for document in documents {
            let list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
            let values = match document["items"].as_array() {
                Some(items) if list => items.clone(),
                Some(_) | None => vec![document],
            };
            self.objects.extend(values.into_iter().map(|value| Object { file: file.to_owned(), value }));
        }
        Ok(())
    }

    /// The object of that group, kind and name. The group is empty for Kubernetes' own.
    pub(super) fn find(&self, group: &str, kind: &str, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.is(group, kind) && object.name() == name)
    }
}

impl Object {
    /// Whether it is of that group and kind, in any version.
    pub(super) fn is(&self, group: &str, kind: &str) -> bool {
        let version = self.value["apiVersion"].as_str().unwrap_or_default();
        let of = version.split_once('/').map_or("", |(of, _)| of);
        of == group && self.value["kind"] == kind
    }

    /// Its name; empty where it has none.
    pub(super) fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// How sentences call it.
    pub(super) fn told(&self) -> String {
        format!("{}: {} {}", self.file, self.value["kind"].as_str().unwrap_or_default(), self.name())
    }

    /// Refuses any other version than the one that is known.
    pub(super) fn of_version(&self, version: &str) -> Result<(), Error> {
        let found = self.value["apiVersion"].as_str().unwrap_or_default();
        if found == version {
            return Ok(());
        }
        Err(Error::Usage(format!("{}: apiVersion is {found}; only {version} is read", self.told())))
    }

    /// Reads it as a type.
    pub(super) fn typed<S: DeserializeOwned>(&self) -> Result<Typed<S>, Error> {
        serde_path_to_error::deserialize(&self.value)
            .map_err(|error| self.refuse(&Fault::new(error.path().to_string(), error.inner().to_string())))
    }

    /// The error about a field of it.
    pub(super) fn refuse(&self, fault: &Fault) -> Error {
        Error::Usage(format!("{}: {}: {}", self.told(), fault.field, fault.message))
    }
}

fn text_of(file: &Path) -> Result<(String, String), Error> {
    let named = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let read = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    match read {
        Ok(text) => Ok((named, text)),
        Err(source) => Err(Error::File { act: "read", file: named, source }),
    }
}
