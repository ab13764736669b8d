//! A running Envoy. It ends with the demo, however that ends, and leaves no file: its configuration is an argument, and what it
//! says is kept from the screen until it is needed.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

use super::EnvoyError;

/// So many lines of what it said last are kept.
const KEPT: usize = 10;
/// How long the last of what it said may take to arrive after its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A running Envoy; dropping it ends it.
pub struct Process {
    child: Child,
    said: Arc<Mutex<VecDeque<String>>>,
    listens: JoinHandle<()>,
}

impl Process {
    /// Starts it.
    pub fn start(program: &Path, bootstrap: &Value) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg("--config-yaml").arg(bootstrap.to_string());
        // A hot restart would share memory with the other Envoys of this machine; one thread is enough for a demo.
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // A terminal's Ctrl-C is for the demo, which then ends Envoy.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let said = Arc::default();
        let listens = tokio::spawn(listen(child.stderr.take(), Arc::clone(&said)));
        Ok(Self { child, said, listens })
    }

    /// Waits until it has ended by itself, and says why.
    pub async fn ended(&mut self) -> EnvoyError {
        let status = match self.child.wait().await {
            Ok(status) => status,
            Err(error) => return EnvoyError::Wait(error),
        };
        drop(tokio::time::timeout(LAST_WORDS, &mut self.listens).await);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.iter().map(|line| format!("\n  {line}")).collect();
        EnvoyError::Ended { status, said }
    }

    /// Ends it, and waits until it has.
    pub async fn end(mut self) {
        // One that has ended already cannot be ended.
        if !matches!(self.child.try_wait(), Ok(Some(_)))
            && let Err(error) = self.child.kill().await
        {
            tracing::warn!(%error, "cannot end Envoy");
        }
    }
}

/// Keeps the last lines of what it says.
async fn listen(says: Option<impl AsyncRead + Unpin>, said: Arc<Mutex<VecDeque<String>>>) {
    let Some(says) = says else { return };
    let mut lines = BufReader::new(says).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == KEPT {
            said.pop_front();
        }
        said.push_back(line);
    }
}
