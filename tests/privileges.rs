//! The Role that is shipped grants what the controller needs and nothing besides. Read from the audit log of a real API
//! server after the controller's whole suite ran against it; its last run counts:
//!
//! ```console
//! $ tests/cluster/run cargo test --test controller --test privileges
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/audit.rs"]
mod audit;
#[path = "support/skip.rs"]
mod skip;

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;
use skip::skip;
use tidegate::{
    cli::rbac::NAME,
    controller::permissions::{IN_ITS_OWN, permissions},
    engine::observed::Allowed,
};

/// A verb on a resource of a group, like `patch gatewayroutes.appmesh.k8s.aws`.
type Asked = (String, String, String);

struct Log {
    allowed: BTreeSet<Asked>,
    refused: BTreeSet<String>,
}

/// What the controller was allowed and refused since the last run of its suite began; `None` where there was none.
fn read(folder: &Path) -> Option<Log> {
    let mark = std::fs::read_to_string(audit::mark(folder)).ok()?;
    let from = mark.split_whitespace().last()?.parse().unwrap();
    // Those that are to be refused act as others.
    let account = format!(":{NAME}");
    let mut log = Log { allowed: BTreeSet::new(), refused: BTreeSet::new() };
    for entry in audit::requests(folder, from, |line| line.contains(ACCOUNTS)) {
        let user = entry["user"]["username"].as_str().unwrap_or_default();
        if !user.starts_with(ACCOUNTS) || !user.ends_with(&account) {
            continue;
        }
        let asked = asked(&entry);
        if entry["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            let (group, resource, verb) = asked;
            log.refused.insert(format!("{verb} {resource}.{group} ({})", entry["requestURI"]));
        } else {
            log.allowed.insert(asked);
        }
    }
    Some(log)
}

/// What the names of ServiceAccounts begin with.
const ACCOUNTS: &str = "system:serviceaccount:";

fn asked(entry: &Value) -> Asked {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reference = &entry["objectRef"];
    let resource = match reference["subresource"].as_str() {
        Some(subresource) => format!("{}/{subresource}", text(&reference["resource"])),
        None => text(&reference["resource"]),
    };
    (text(&reference["apiGroup"]), resource, text(&entry["verb"]))
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
    assert!(log.refused.is_empty(), "refused although it is asked for: {:#?}", log.refused);
    let granted: BTreeSet<Asked> = permissions(Allowed::ALL)
        .chain(IN_ITS_OWN)
        .flat_map(|one| one.verbs.iter().map(|verb| (one.group.into(), one.resource.into(), (*verb).into())))
        .collect();
    let unused: Vec<&Asked> = granted.difference(&log.allowed).collect();
    assert!(
        unused.is_empty(),
        "granted and never used in the last run of the controller's suite: {unused:#?}"
    );
}
