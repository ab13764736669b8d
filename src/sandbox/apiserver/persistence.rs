//! Keeping the store in a file: saved whole after writes, read at the start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Inner;
use super::store::{Key, Store};

/// Writes that follow one another this closely are saved together.
const GATHER: Duration = Duration::from_millis(50);

#[derive(Serialize, Deserialize)]
struct Saved {
    revision: u64,
    objects: Vec<SavedObject>,
}

#[derive(Serialize, Deserialize)]
struct SavedObject {
    storage: String,
    namespace: String,
    name: String,
    object: Value,
}

/// Reads what was saved; a file that does not exist is an empty store.
pub(super) fn load(path: &Path, store: &mut Store) -> io::Result<()> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let saved: Saved = serde_json::from_slice(&text)?;
    let objects = saved.objects.into_iter().map(|saved| {
        (Key { storage: saved.storage, namespace: saved.namespace, name: saved.name }, saved.object)
    });
    store.restore(saved.revision, objects);
    Ok(())
}

/// Saves after writes until the server stops, and once more then.
pub(super) async fn run(server: Arc<Inner>, path: PathBuf) {
    let mut changed = server.state().store.subscribe();
    loop {
        let stopping = tokio::select! {
            () = server.stop.cancelled() => true,
            _ = changed.changed() => false,
        };
        if !stopping {
            tokio::time::sleep(GATHER).await;
            changed.mark_unchanged();
        }
        if let Err(error) = save(&server, &path).await {
            tracing::error!(%error, path = %path.display(), "cannot save the state of the API server");
        }
        if stopping {
            return;
        }
    }
}

async fn save(server: &Inner, path: &Path) -> io::Result<()> {
    let saved = {
        let state = server.state();
        let objects = state.store.everything().map(|(key, value)| SavedObject {
            storage: key.storage.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            object: (**value).clone(),
        });
        Saved { revision: state.store.revision(), objects: objects.collect() }
    };
    let text = serde_json::to_vec(&saved)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    tokio::fs::write(&temporary, text).await?;
    tokio::fs::rename(&temporary, path).await
}
