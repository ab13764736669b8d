//! Cases chosen by hand: a table a topic.

#![expect(clippy::too_many_lines, reason = "a table is as long as its cases are many")]

pub mod built_ins;
pub mod deleting;
pub mod listing;
pub mod metadata;
pub mod patching;
pub mod protocol;
pub mod schemas;
pub mod watching;
pub mod writing;
