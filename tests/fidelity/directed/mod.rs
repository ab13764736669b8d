//! Cases chosen by hand: a table a topic.

pub mod built_ins;
pub mod deleting;
pub mod listing;
pub mod patching;
pub mod protocol;
pub mod schemas;
pub mod watching;
pub mod writing;
