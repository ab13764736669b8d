//! A Markdown page as far as its links go: what is prose and what is code, where links lead, and how headings are named. It
//! knows what our pages have, and not all of Markdown.

use std::collections::{BTreeMap, BTreeSet};

use crate::heading::{headings, slug};

/// A page, with what stands in fences apart.
#[derive(Default)]
pub struct Page {
    /// What stands outside of fences; a line of a fence is empty here, so that lines count as in the page.
    prose: String,
    /// Its fences, in their order.
    pub fences: Vec<Fence>,
}

/// Code of several lines.
pub struct Fence {
    /// The line of its first backticks, from 1.
    pub line: usize,
    /// What it says that it is.
    pub language: String,
    /// What is in it, without the indent of its first line.
    pub text: String,
}

impl Page {
    /// Reads it.
    pub fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut open: Option<usize> = None;
        let mut indent = 0;
        for (line, number) in text.lines().zip(1_usize..) {
            let bare = line.trim_start();
            let ticks = bare.chars().take_while(|c| *c == '`').count();
            let ends = bare[ticks..].trim().is_empty();
            match open {
                Some(opened) if ends && ticks >= opened => open = None,
                Some(_) => {
                    let cut = indent.min(line.len() - bare.len());
                    if let Some(fence) = page.fences.last_mut() {
                        fence.text.push_str(&line[cut..]);
                        fence.text.push('\n');
                    }
                }
                None if ticks >= 3 => {
                    open = Some(ticks);
                    indent = line.len() - bare.len();
                    let language = bare[ticks..].trim().to_owned();
                    page.fences.push(Fence { line: number, language, text: String::new() });
                }
                None => page.prose.push_str(line),
            }
            page.prose.push('\n');
        }
        page
    }

    /// Where its links lead, each with its line.
    pub fn links(&self) -> Vec<(usize, String)> {
        let text = without_code(&self.prose);
        let mut found = vec![];
        for (line, number) in text.lines().zip(1_usize..) {
            let mut rest = line;
            while let Some((_, after)) = rest.split_once("](") {
                found.push((number, target(after)));
                rest = after;
            }
            // A link that is defined apart from where it stands.
            if let Some(definition) = line.strip_prefix('[')
                && let Some((name, target)) = definition.split_once("]: ")
                && !name.starts_with('^')
            {
                found.push((number, target.trim().to_owned()));
            }
        }
        found
    }

    /// What a link can name of it behind a `#`: its headings, as GitHub and mdBook spell them.
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = BTreeSet::new();
        for heading in headings(&self.prose).into_iter().filter(|heading| heading.level <= 6) {
            let slug = slug(&heading.text);
            let before = times.entry(slug.clone()).or_default();
            anchors.insert(if *before == 0 { slug } else { format!("{slug}-{before}") });
            *before += 1;
        }
        anchors
    }
}

/// The text without its code spans; lines stay.
fn without_code(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        out.push_str(&rest[..at]);
        let ticks = rest[at..].chars().take_while(|c| *c == '`').count();
        let after = &rest[at + ticks..];
        // A span ends with as many backticks, and with its paragraph at the latest.
        let paragraph = &after[..after.find("\n\n").unwrap_or(after.len())];
        if let Some(length) = run_of(paragraph, ticks) {
            out.extend(after[..length].chars().filter(|c| *c == '\n'));
            rest = &after[length + ticks..];
        } else {
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Where the first run of exactly so many backticks begins.
fn run_of(text: &str, ticks: usize) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find('`') {
        let length = text[from + at..].chars().take_while(|c| *c == '`').count();
        if length == ticks {
            return Some(from + at);
        }
        from += at + length;
    }
    None
}

/// The target of a link, by what follows its opening parenthesis.
fn target(after: &str) -> String {
    let mut depth = 0_usize;
    let mut target = String::new();
    for c in after.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            // A title follows.
            ' ' => break,
            _ => {}
        }
        target.push(c);
    }
    target.trim_start_matches('<').trim_end_matches('>').to_owned()
}
