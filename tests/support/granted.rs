//! What ServiceAccounts were allowed and refused by the API server of a control plane of tests/cluster, held against what they are
//! granted. Shared by the test programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;

use crate::audit;

/// What the names of ServiceAccounts begin with.
const ACCOUNTS: &str = "system:serviceaccount:";

/// A verb on a resource of a group: group, resource, verb.
pub type Asked = (String, String, String);

/// What some accounts were allowed and refused.
#[derive(Debug, Default)]
pub struct Log {
    /// How often each was allowed.
    pub allowed: BTreeMap<Asked, usize>,
    /// Each in words.
    pub refused: BTreeSet<String>,
}

impl Log {
    /// That of the accounts whose names are meant, from a byte of the audit log on.
    pub fn read(folder: &Path, from: u64, is_meant: impl Fn(&str) -> bool) -> Self {
        let mut log = Self::default();
        for entry in audit::requests(folder, from, |line| line.contains(ACCOUNTS)) {
            let user = entry["user"]["username"].as_str().unwrap_or_default();
            if !user.starts_with(ACCOUNTS) || !is_meant(user) {
                continue;
            }
            let asked = asked(&entry);
            if entry["annotations"]["authorization.k8s.io/decision"] == "forbid" {
                let (group, resource, verb) = asked;
                log.refused.insert(format!("{verb} {resource}.{group} ({})", entry["requestURI"]));
            } else {
                *log.allowed.entry(asked).or_default() += 1;
            }
        }
        log
    }

    /// What is granted in vain, and what lacks.
    pub fn faults(&self, granted: &BTreeSet<Asked>) -> Vec<String> {
        let unused = granted.iter().filter(|asked| !self.allowed.contains_key(asked));
        let unused = unused
            .map(|(group, resource, verb)| format!("granted and never used: {verb} {resource}.{group}"));
        let refused = self.refused.iter().map(|asked| format!("refused although it is asked for: {asked}"));
        unused.chain(refused).collect()
    }
}

fn asked(entry: &Value) -> Asked {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reference = &entry["objectRef"];
    let resource = match reference["subresource"].as_str() {
        Some(subresource) => format!("{}/{subresource}", text(&reference["resource"])),
        None => text(&reference["resource"]),
    };
    (text(&reference["apiGroup"]), resource, text(&entry["verb"]))
}
