//! Who has a shared server: many tests at once, or one alone. It holds across processes too, by locks on files in the
//! control plane's folder; any other server is never had alone.

use std::{fs::File, path::Path};

use crate::audit;

/// A server that is had until this goes.
pub struct Hold {
    _lock: Option<File>,
    /// Other CRDs than the usual ones are there, or are about to be.
    pub changed: bool,
}

#[derive(Clone, Copy)]
enum Mode {
    Shared,
    Alone,
}

impl Hold {
    /// Together with others.
    pub async fn shared(folder: Option<&Path>) -> Self {
        let lock = match folder {
            Some(folder) => Some(take(folder, Mode::Shared).await),
            None => None,
        };
        Self { _lock: lock, changed: false }
    }

    /// With nobody else on it.
    pub async fn alone(folder: &Path) -> Self {
        Self { _lock: Some(take(folder, Mode::Alone).await), changed: false }
    }

    /// The same, to have other CRDs there.
    pub async fn to_change(folder: &Path) -> Self {
        Self { changed: true, ..Self::alone(folder).await }
    }
}

/// Waits for one's turn, as long as it takes: each of the others has its own patience.
///
/// Who wants to be alone keeps no newcomer out, lest a test that has the server and needs it once more waits for one that
/// waits for it. It comes to be alone when all who are left want that, at the latest.
async fn take(folder: &Path, mode: Mode) -> File {
    let lock = File::options().create(true).append(true).open(folder.join("tests.lock")).unwrap();
    let waiting = move || {
        match mode {
            Mode::Shared => lock.lock_shared(),
            Mode::Alone => lock.lock(),
        }
        .unwrap();
        lock
    };
    tokio::task::spawn_blocking(waiting).await.unwrap()
}

/// Whether the present run of the suite has begun on this control plane, in this process or another.
pub fn has_begun(folder: &Path) -> bool {
    let mark = std::fs::read_to_string(audit::mark(folder)).unwrap_or_default();
    mark.split_whitespace().next() == Some(run().as_str())
}

/// Notes where in the audit log the present run of the suite begins.
pub fn begin(folder: &Path) {
    let length = audited(folder);
    let written = folder.join("tests.begin");
    std::fs::write(&written, format!("{} {length}\n", run())).unwrap();
    std::fs::rename(&written, audit::mark(folder)).unwrap();
}

/// The present run of the suite. Some runners give each test a process, and say which run it belongs to.
fn run() -> String {
    std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string())
}

/// How long the audit log is now, in bytes.
pub fn audited(folder: &Path) -> u64 {
    std::fs::metadata(audit::log(folder)).unwrap().len()
}
