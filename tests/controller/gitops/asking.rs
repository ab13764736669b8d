//! Argo CD's and Flux's own code, asked through the programs `tests/cluster/argo-cd` and `tests/cluster/flux`, which are
//! built on first use.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

use serde_json::Value;

use crate::skip::skip;

/// The launcher's exit code where Go is missing or can't build.
const UNAVAILABLE: i32 = 69;

pub struct Asked {
    name: &'static str,
    path: OnceLock<Option<PathBuf>>,
}

pub static ARGO_CD: Asked = Asked { name: "argo-cd", path: OnceLock::new() };
pub static FLUX: Asked = Asked { name: "flux", path: OnceLock::new() };

impl Asked {
    /// Whether it is there, or can be built; says so if not.
    pub fn is_there(&self) -> bool {
        let there = self.path.get_or_init(|| built(self.name)).is_some();
        if !there {
            skip(&format!("{} is not there, and could not be built: it needs Go 1.26", self.name));
        }
        there
    }

    /// The answer to each question.
    pub fn answers(&self, questions: &[Value]) -> Vec<Value> {
        self.asked(&mut self.command(), questions)
    }

    /// The answers of one that works on a cluster.
    pub fn answers_on(&self, kubeconfig: &Path, questions: &[Value]) -> Vec<Value> {
        self.asked(self.command().env("KUBECONFIG", kubeconfig), questions)
    }

    fn command(&self) -> Command {
        let path = self.path.get().and_then(Option::as_ref);
        Command::new(path.expect("is_there was asked first"))
    }

    fn asked(&self, command: &mut Command, questions: &[Value]) -> Vec<Value> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let questions = serde_json::to_vec(questions).unwrap();
        let output = thread::scope(|scope| {
            scope.spawn(move || input.write_all(&questions));
            child.wait_with_output().unwrap()
        });
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {told}", self.name);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Where the program is, once the launcher of `tests/cluster` has it.
fn built(name: &str) -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/run");
    // What it says of a build, or of why there is none, is for whoever waits for it.
    let output = Command::new(script).args(["program", name]).stderr(Stdio::inherit()).output().unwrap();
    if output.status.code() == Some(UNAVAILABLE) {
        return None;
    }
    assert!(output.status.success(), "{script} program {name}: {}", output.status);
    Some(String::from_utf8(output.stdout).unwrap().trim().into())
}
