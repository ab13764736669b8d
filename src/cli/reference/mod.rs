//! `tidegate reference`: writes the pages of the documentation that are generated from this program, or checks that they are
//! what it would write.

mod fields;
mod metrics;

use std::path::PathBuf;

/// Writes the pages, or checks them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the pages
    #[arg(long, value_name = "DIR", default_value = "docs")]
    dir: PathBuf,
    /// Write nothing; exit non-zero and name the page that is not as generated
    #[arg(long)]
    check: bool,
}

/// Why a page was not written, or does not agree.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// It can't be read.
    #[error("cannot read {file}")]
    Read {
        /// The page.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It can't be written.
    #[error("cannot write {file}")]
    Write {
        /// The page.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what this program would write.
    #[error("not as generated: {file}; run: tidegate reference")]
    Differs {
        /// The page.
        file: String,
    },
}

/// Writes or checks.
pub fn run(args: &Args) -> Result<(), ReferenceError> {
    for (name, page) in [("metrics.md", metrics::page()), ("fields.md", fields::page())] {
        let path = args.dir.join(name);
        let file = path.display().to_string();
        if !args.check {
            std::fs::write(&path, page).map_err(|source| ReferenceError::Write { file, source })?;
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) if text == page => {}
            Ok(_) => return Err(ReferenceError::Differs { file }),
            Err(source) => return Err(ReferenceError::Read { file, source }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_pages_are_the_generated_ones() {
        run(&Args { dir: Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"), check: true }).unwrap();
    }

    #[test]
    fn the_check_tells_a_page_that_is_missing_and_one_that_was_edited() {
        let folder = tempfile::tempdir().unwrap();
        let args = |check| Args { dir: folder.path().to_owned(), check };
        assert!(run(&args(true)).unwrap_err().to_string().starts_with("cannot read"));
        run(&args(false)).unwrap();
        run(&args(true)).unwrap();
        std::fs::write(folder.path().join("fields.md"), "edited").unwrap();
        let edited = run(&args(true)).unwrap_err().to_string();
        assert!(edited.contains("fields.md") && edited.contains("run: tidegate reference"), "{edited}");
    }
}
