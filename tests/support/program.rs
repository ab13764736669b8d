//! Programs of this machine that a test starts, and that end with it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

/// A running program; dropping it ends it.
pub struct Program {
    child: Child,
    log: PathBuf,
    _starter: mpsc::Sender<()>,
}

impl Program {
    /// Starts it. What it says is appended to a file, and shown where the test fails.
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let said = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let (spawned, child) = mpsc::channel();
        let (starter, over) = mpsc::channel::<()>();
        // A program that asks to be told of its parent's death is told when the thread that started it ends.
        thread::spawn(move || {
            let _ = spawned.send(command.spawn());
            let _ = over.recv();
        });
        Self { child: child.recv().unwrap().unwrap(), log, _starter: starter }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "{:?}: {}",
                self.log.file_name(),
                std::fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
    }
}

/// Whether a program of the machine can be run.
pub fn is_there(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Envoy's program: the one that `TIDEGATE_ENVOY` names, or the one on PATH.
pub fn envoy() -> PathBuf {
    std::env::var_os("TIDEGATE_ENVOY").map_or_else(|| "envoy".into(), Into::into)
}
