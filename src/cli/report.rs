//! Where a report goes, and in which shape.

use std::{
    io::{self, Write},
    path::Path,
};

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For machines.
    Json,
}

/// A file or standard output did not take it.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report to {place}")]
pub struct WriteError {
    place: String,
    source: io::Error,
}

/// Writes a report to a file.
pub(super) fn write(file: &Path, text: &str) -> Result<(), WriteError> {
    std::fs::write(file, text).map_err(|source| WriteError { place: file.display().to_string(), source })
}

/// Prints a report.
pub(super) fn print(text: &str) -> Result<(), WriteError> {
    let written = io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|source| WriteError { place: "standard output".to_owned(), source })
}
