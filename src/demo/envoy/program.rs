//! Which program is Envoy: the one that is named, or the one that is found.

use std::{ffi::OsString, io, path::PathBuf, process::Stdio, time::Duration};

use tokio::process::Command;

use super::EnvoyError;

/// The variable of the environment that names Envoy's program.
pub const VARIABLE: &str = "TIDEGATE_ENVOY";
/// What it is called on PATH.
const NAME: &str = "envoy";
/// How long it may take to say its version.
const LIMIT: Duration = Duration::from_secs(10);
/// How much is shown of what another program says.
const SHOWN: usize = 100;

/// Which Envoy is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any that is found.
    Any,
    /// This one.
    Named(PathBuf),
}

/// An Envoy that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envoy {
    /// The program.
    pub path: PathBuf,
    /// Its version.
    pub version: String,
}

impl From<OsString> for Wanted {
    /// As it is typed; nothing is any.
    fn from(typed: OsString) -> Self {
        if typed.is_empty() { Self::Any } else { Self::Named(typed.into()) }
    }
}

impl Wanted {
    /// Finds it, and asks it for its version.
    pub async fn find(&self) -> Result<Envoy, EnvoyError> {
        let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        let (path, looked) = self.place(variable);
        let mut command = Command::new(&path);
        command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(LIMIT, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(source)) => return Err(EnvoyError::Program { looked, source }),
            Err(_) => {
                let source = io::Error::new(io::ErrorKind::TimedOut, "it does not say its version");
                return Err(EnvoyError::Program { looked, source });
            }
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let first = || said.trim().lines().next().unwrap_or_default().chars().take(SHOWN).collect();
        let version = version(&said).ok_or_else(|| EnvoyError::Stranger { looked, said: first() })?;
        Ok(Envoy { path, version: version.to_owned() })
    }

    /// Where it is, and the same for people.
    fn place(&self, variable: Option<OsString>) -> (PathBuf, String) {
        match (self, variable) {
            (Self::Named(path), _) => (path.clone(), format!("{}, which --envoy names", path.display())),
            (Self::Any, Some(path)) => {
                let path = PathBuf::from(path);
                let looked = format!("{}, which {VARIABLE} names", path.display());
                (path, looked)
            }
            (Self::Any, None) => {
                let looked = format!("`{NAME}` on PATH, for neither --envoy nor {VARIABLE} names a program");
                (NAME.into(), looked)
            }
        }
    }
}

/// The version in what Envoy says of itself: `envoy  version: <commit>/<version>/<state of the sources>/…`.
fn version(said: &str) -> Option<&str> {
    let (_, built) = said.split_once("version: ")?;
    let mut parts = built.split('/');
    let _commit = parts.next()?;
    parts.next().filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_named_comes_before_who_is_found() {
        let variable = || Some(OsString::from("/opt/other"));
        let cases = [
            ("/opt/envoy", variable(), "/opt/envoy", "/opt/envoy, which --envoy names"),
            ("", variable(), "/opt/other", "/opt/other, which TIDEGATE_ENVOY names"),
            ("", None, "envoy", "`envoy` on PATH, for neither --envoy nor TIDEGATE_ENVOY names a program"),
        ];
        for (typed, variable, path, looked) in cases {
            let place = Wanted::from(OsString::from(typed)).place(variable);
            assert_eq!(place, (path.into(), looked.to_owned()), "{typed:?}");
        }
    }

    #[test]
    fn the_version_is_between_the_commit_and_the_rest() {
        let cases = [
            ("\n/usr/bin/envoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL\n\n", Some("1.40.0")),
            ("envoy  version: 9e5580/1.41.0-dev/Modified/DEBUG/BoringSSL\n", Some("1.41.0-dev")),
            ("cat (GNU coreutils) 9.1\n", None),
            ("some version: a/b/c", None),
            ("", None),
        ];
        for (said, want) in cases {
            assert_eq!(version(said), want, "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_program_that_is_something_else_is_not_taken_for_it() {
        let error = Wanted::Named("echo".into()).find().await.unwrap_err();
        let told = "cannot run Envoy: this is something else: echo, which --envoy names. Asked for its version it says \"";
        assert!(error.to_string().starts_with(told), "{error}");
    }
}
