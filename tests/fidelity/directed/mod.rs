//! Cases chosen by hand: a table a topic.

#![expect(clippy::too_many_lines, reason = "a table is as long as its cases are many")]

pub mod built_ins;
pub mod deleting;
pub mod expired;
pub mod listing;
pub mod metadata;
pub mod patching;
pub mod protocol;
pub mod schemas;
pub mod watching;
pub mod workloads;
pub mod writing;

use serde_json::Value;

use crate::objects::with;
use crate::step::{Step, post};

/// Creates, without storing, the object with each of the changes.
fn variants(path: &str, object: &Value, changes: Vec<Value>) -> Vec<Step> {
    let path = format!("{path}?dryRun=All");
    changes.into_iter().map(|change| post(&path, &with(object.clone(), &change))).collect()
}
