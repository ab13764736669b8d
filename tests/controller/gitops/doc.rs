//! `docs/gitops.md` as the tests read it: its snippets, by the name after the language of their fence, and its tables.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

fn text() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gitops.md")).unwrap()
}

fn snippets() -> BTreeMap<String, String> {
    let text = text();
    let mut parts = text.split("\n```");
    let mut found = BTreeMap::new();
    parts.next();
    while let (Some(snippet), Some(_)) = (parts.next(), parts.next()) {
        let (fence, body) = snippet.split_once('\n').unwrap();
        let (_, name) = fence.split_once(' ').unwrap_or_else(|| panic!("a snippet without a name: {body}"));
        assert!(found.insert(name.to_owned(), body.to_owned()).is_none(), "two snippets are called {name}");
    }
    found
}

/// A snippet by its name.
pub fn snippet(name: &str) -> String {
    snippets().remove(name).unwrap_or_else(|| panic!("docs/gitops.md has no snippet {name}"))
}

/// A snippet of YAML.
pub fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&snippet(name)).unwrap()
}

/// The rows of the table below a heading, without its head, as the texts of their cells.
pub fn table(heading: &str) -> Vec<Vec<String>> {
    let text = text();
    let (_, below) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let rows =
        below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let plain = |cell: &str| {
        let code = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
        code.unwrap_or(cell).to_owned()
    };
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| plain(cell.trim())).collect();
    rows.skip(2).map(cells).collect()
}

#[test]
fn every_snippet_is_run() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controller/gitops");
    let sources: String =
        fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    for name in snippets().keys() {
        let read = ["snippet", "yaml"].map(|by| format!("doc::{by}(\"{name}\")"));
        assert!(read.iter().any(|call| sources.contains(call)), "nothing runs {name}");
    }
}
