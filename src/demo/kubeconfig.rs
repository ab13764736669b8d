//! A kubeconfig on disk for as long as its server runs.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The file; dropping it removes it.
#[derive(Debug)]
pub struct KubeconfigFile {
    path: PathBuf,
}

/// The file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the kubeconfig {}", path.display())]
pub struct KubeconfigError {
    path: PathBuf,
    source: io::Error,
}

impl KubeconfigFile {
    /// Writes it to `path`, or to a new file among the temporary ones. A file that exists is replaced only where
    /// the path was given.
    pub fn write(path: Option<&Path>, content: &str) -> Result<Self, KubeconfigError> {
        let mut options = std::fs::OpenOptions::new();
        let path = if let Some(path) = path {
            options.write(true).create(true).truncate(true);
            path.to_owned()
        } else {
            // Temporary folders are open to all: a file or link that somebody put there must not be followed.
            options.write(true).create_new(true);
            std::env::temp_dir().join(format!("tidegate-{:016x}.kubeconfig", fastrand::u64(..)))
        };
        let written = options.open(&path).and_then(|mut file| file.write_all(content.as_bytes()));
        match written {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(KubeconfigError { path, source }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The command that makes `kubectl` use it.
    pub fn export(&self) -> String {
        let path = self.path.display().to_string();
        let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        if plain {
            format!("export KUBECONFIG={path}")
        } else {
            format!("export KUBECONFIG='{}'", path.replace('\'', r"'\''"))
        }
    }
}

impl Drop for KubeconfigFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "cannot remove the kubeconfig");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_while_it_is_held_and_its_path_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's mine");
        let file = KubeconfigFile::write(Some(&path), "kind: Config\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kind: Config\n");
        assert!(file.export().ends_with("it'\\''s mine'"), "{}", file.export());
        drop(file);
        assert!(!path.exists());
        let error = KubeconfigFile::write(Some(folder.path()), "").unwrap_err();
        assert!(error.to_string().starts_with("cannot write the kubeconfig /"));
    }
}
