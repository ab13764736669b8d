//! What is read: files, folders and standard input become documents.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::finding::{Fault, Place, Report};
use crate::kubectl::Error;

/// What stands for standard input.
const STDIN: &str = "-";
/// The files of a folder that hold manifests.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// A document, as it was written.
#[derive(Debug)]
pub(super) struct Document {
    pub place: Place,
    pub value: Value,
}

/// Reads all that was named. What can't be read is found; what is not there is an error.
pub(super) fn read(named: &[PathBuf], report: &mut Report) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    let mut known = BTreeSet::new();
    for name in named {
        for file in files(name)? {
            // A file that is named and is in a folder that is named as well is read once.
            let same = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if !known.insert(same) {
                continue;
            }
            let told = file.display().to_string();
            report.files += 1;
            match text(&file) {
                Ok(text) => documents.extend(parse(&told, &text, report)),
                Err(error) => {
                    let fault = Fault::error("", format!("it can't be read: {error}; see that it can be"));
                    report.add(&Place { file: told, document: None }, None, fault);
                }
            }
        }
    }
    Ok(documents)
}

/// The files that a name stands for.
fn files(name: &Path) -> Result<Vec<PathBuf>, Error> {
    if name == Path::new(STDIN) {
        return Ok(vec![name.to_owned()]);
    }
    let unreadable =
        |file: &Path, source| Error::File { act: "read", file: file.display().to_string(), source };
    let found = fs::metadata(name).map_err(|source| unreadable(name, source))?;
    if !found.is_dir() {
        return Ok(vec![name.to_owned()]);
    }
    let mut files = Vec::new();
    gather(name, &mut files).map_err(|source| unreadable(name, source))?;
    if files.is_empty() {
        let folder = name.display();
        return Err(Error::Usage(format!("{folder} has no *.yaml, *.yml or *.json; name a folder that has")));
    }
    Ok(files)
}

/// The manifests below a folder, sorted. Folders that are links are not followed: they may lead in a circle.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
            && !path.is_dir()
        {
            files.push(path);
        }
    }
    Ok(())
}

fn text(file: &Path) -> io::Result<String> {
    if file != Path::new(STDIN) {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// The documents of a text. Each is parsed by itself, so that a bad one hides no other.
pub(super) fn parse(file: &str, text: &str, report: &mut Report) -> Vec<Document> {
    let parts = split(text);
    let several = parts.len() > 1;
    let mut documents = Vec::new();
    for (at, Part { line, text }) in parts.into_iter().enumerate() {
        let place = Place { file: file.to_owned(), document: several.then_some(at + 1) };
        match serde_saphyr::from_multiple::<Value>(text) {
            Ok(values) => {
                documents.extend(values.into_iter().map(|value| Document { place: place.clone(), value }));
            }
            Err(error) => {
                let within = error.location().map_or(1, |location| location.line());
                let line = line + usize::try_from(within).unwrap_or(1).saturating_sub(1);
                let why = explain(&error);
                report.add(
                    &place,
                    None,
                    Fault::error("", format!("line {line}: bad YAML: {why}; correct it")),
                );
            }
        }
    }
    documents
}

/// A document's text, and the line that it begins at, from 1.
struct Part<'a> {
    line: usize,
    text: &'a str,
}

/// The documents of a text that have more than comments.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let marks = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marks && offset > start {
            parts.push(Part { line: first_line, text: &text[start..offset] });
            (start, first_line) = (offset, at + 1);
        }
        offset += line.len();
    }
    parts.push(Part { line: first_line, text: &text[start..] });
    let says = |line: &str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line.starts_with('%') || line == "---" || line == "...")
    };
    parts.retain(|part| part.text.lines().any(says));
    parts
}

/// What is wrong, in one line and without a piece of the file: the line is told anyhow.
fn explain(error: &serde_saphyr::Error) -> String {
    let mut options = serde_saphyr::RenderOptions::default();
    options.snippets = serde_saphyr::SnippetMode::Off;
    let told = error.without_snippet().render_with_options(options);
    let told = told.split(" at line ").next().unwrap_or_default();
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}
