//! The Role that is shipped grants what the controller needs and nothing besides. Read from the audit log of a real API
//! server after the controller's suite ran against it:
//!
//! ```console
//! $ tests/cluster/run cargo test --test controller --test privileges
//! ```

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/skip.rs"]
mod skip;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde_json::Value;
use skip::skip;
use tidegate::{cli::rbac::NAME, controller::permissions::PERMISSIONS};

/// A verb on a resource of a group, like `patch gatewayroutes.appmesh.k8s.aws`.
type Asked = (String, String, String);

struct Log {
    allowed: BTreeSet<Asked>,
    refused: BTreeSet<String>,
}

fn read(path: &Path) -> Log {
    // Those that are to be refused act as others.
    let account = format!(":{NAME}");
    let mut log = Log { allowed: BTreeSet::new(), refused: BTreeSet::new() };
    for line in BufReader::new(File::open(path).unwrap()).lines() {
        let Ok(entry) = serde_json::from_str::<Value>(&line.unwrap()) else { continue };
        let user = entry["user"]["username"].as_str().unwrap_or_default();
        if !user.starts_with("system:serviceaccount:") || !user.ends_with(&account) {
            continue;
        }
        let reference = &entry["objectRef"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = match reference["subresource"].as_str() {
            Some(subresource) => format!("{}/{subresource}", text(&reference["resource"])),
            None => text(&reference["resource"]),
        };
        let asked = (text(&reference["apiGroup"]), resource, text(&entry["verb"]));
        if entry["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            log.refused.insert(format!(
                "{} {}.{} ({})",
                asked.2,
                asked.1,
                asked.0,
                text(&entry["requestURI"])
            ));
        } else {
            log.allowed.insert(asked);
        }
    }
    log
}

#[test]
fn everything_granted_was_used_and_nothing_was_refused() {
    let folder = std::env::var_os("TIDEGATE_TEST_CLUSTER");
    let Some(folder) = folder else {
        let why = "there is no audit log; run it with: tests/cluster/run cargo test --test controller --test privileges";
        return skip(why);
    };
    let log = read(&Path::new(&folder).join("audit.log"));
    let ran = !log.allowed.is_empty();
    assert!(ran, "the controller has not run against this API server; run its suite first, as said above");
    assert!(log.refused.is_empty(), "refused although it is asked for: {:#?}", log.refused);
    let granted: BTreeSet<Asked> = PERMISSIONS
        .iter()
        .flat_map(|one| one.verbs.iter().map(|verb| (one.group.into(), one.resource.into(), (*verb).into())))
        .collect();
    let unused: Vec<&Asked> = granted.difference(&log.allowed).collect();
    assert!(unused.is_empty(), "granted and never used: {unused:#?}");
}
