//! The Role that is shipped grants what the controller needs and nothing besides. Read from the audit log of a real API
//! server after the controller's whole suite ran against it; its last run counts:
//!
//! ```console
//! $ tests/cluster/run cargo test --test controller --test privileges
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/audit.rs"]
mod audit;
#[path = "support/granted.rs"]
mod granted;
#[path = "support/skip.rs"]
mod skip;

use std::{collections::BTreeSet, path::Path};

use granted::{Asked, Log};
use skip::skip;
use tidegate::{
    cli::rbac::NAME,
    controller::permissions::{IN_ITS_OWN, permissions},
    engine::observed::Allowed,
};

/// What the controller was allowed and refused since the last run of its suite began; `None` where there was none.
fn read(folder: &Path) -> Option<Log> {
    let mark = std::fs::read_to_string(audit::mark(folder)).ok()?;
    let from = mark.split_whitespace().last()?.parse().unwrap();
    // Those that are to be refused act as others.
    let account = format!(":{NAME}");
    Some(Log::read(folder, from, |user| user.ends_with(&account)))
}

#[test]
fn everything_granted_was_used_and_nothing_was_refused() {
    let folder = std::env::var_os("TIDEGATE_TEST_CLUSTER");
    let Some(folder) = folder else {
        let why = "there is no audit log; run it with: tests/cluster/run cargo test --test controller --test privileges";
        return skip(why);
    };
    let log = read(Path::new(&folder)).filter(|log| !log.allowed.is_empty());
    let log =
        log.expect("the controller has run against this API server: run its suite first, as said above");
    let granted: BTreeSet<Asked> = permissions(Allowed::ALL)
        .chain(IN_ITS_OWN)
        .flat_map(|one| one.verbs.iter().map(|verb| (one.group.into(), one.resource.into(), (*verb).into())))
        .collect();
    let faults = log.faults(&granted);
    assert!(faults.is_empty(), "in the last run of the controller's suite: {faults:#?}");
}
