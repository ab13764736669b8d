//! What the API server of a control plane of tests/cluster was asked: its audit log. Shared by the test programs.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The log in the folder of a control plane.
pub fn log(folder: &Path) -> PathBuf {
    folder.join("audit.log")
}

/// Where the controller's suite notes in that folder which run of it was the last, and how long the log was then.
pub fn mark(folder: &Path) -> PathBuf {
    folder.join("controller-suite")
}

/// The requests in the log from a byte on. Only lines that may matter are read as JSON; there are many.
pub fn requests(folder: &Path, from: u64, matters: impl Fn(&str) -> bool) -> impl Iterator<Item = Value> {
    let mut file = File::open(log(folder)).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    let lines = BufReader::new(file).lines().map(Result::unwrap).filter(move |line| matters(line));
    // The last line may be about to be written.
    lines.filter_map(|line| serde_json::from_str(&line).ok())
}
