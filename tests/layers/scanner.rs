//! Finds the paths that a source text names, without a compiler: `use` trees and paths in expressions, with
//! `self` and `super` resolved. Comments, strings and character literals are left out.

/// A path that the code names, from the crate's root.
pub struct Mention {
    /// The line, from 1.
    pub line: usize,
    /// The path's parts, `*` for a glob.
    pub path: Vec<String>,
}

/// Finds the paths in a source text. Modules written inline count, so that `super` is resolved rightly.
pub struct Scanner {
    code: Vec<char>,
    at: usize,
    file_module: Vec<String>,
    /// The inline modules around the present place, each with the depth of braces that it opened.
    inline: Vec<(String, usize)>,
    found: Vec<Mention>,
}

impl Scanner {
    /// A scanner over the text of a module's file.
    pub fn new(text: &str, file_module: Vec<String>) -> Self {
        Self { code: code_only(text), at: 0, file_module, inline: vec![], found: vec![] }
    }

    /// All paths that start at `crate`, `self` or `super`, resolved.
    pub fn mentions(mut self) -> Vec<Mention> {
        let mut depth = 0_usize;
        let mut before = String::new();
        while let Some(&c) = self.code.get(self.at) {
            match c {
                '{' => depth += 1,
                '}' => {
                    if self.inline.last().is_some_and(|(_, opened)| *opened == depth) {
                        self.inline.pop();
                    }
                    depth = depth.saturating_sub(1);
                }
                c if is_ident(c) => {
                    let start = self.at;
                    let word = self.ident();
                    let end = self.at;
                    if before == "mod" && self.next_is("{") {
                        self.inline.push((word.clone(), depth + 1));
                    } else if matches!(&*word, "crate" | "self" | "super") && self.next_is("::") {
                        let inline = self.inline.iter().map(|(name, _)| name.clone());
                        let here = self.file_module.iter().cloned().chain(inline).collect();
                        self.at = start;
                        self.tree(here);
                        before.clear();
                        continue;
                    }
                    self.at = end;
                    before = word;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.found
    }

    /// Reads a path or a tree of them, `a::{b, c::*}`, that starts here, and notes every leaf.
    fn tree(&mut self, mut path: Vec<String>) {
        loop {
            self.skip_space();
            match self.code.get(self.at) {
                Some('{') => {
                    self.at += 1;
                    return self.branches(&path);
                }
                Some('*') => {
                    self.at += 1;
                    path.push("*".to_owned());
                    return self.note(path);
                }
                Some(&c) if is_ident(c) => match &*self.ident() {
                    "crate" => path.clear(),
                    "super" => drop(path.pop()),
                    "self" => {}
                    name => path.push(name.to_owned()),
                },
                Some(_) | None => return self.note(path),
            }
            if !self.next_is("::") {
                return self.note(path);
            }
            self.skip_space();
            self.at += 2;
        }
    }

    fn branches(&mut self, path: &[String]) {
        while let Some(&c) = self.code.get(self.at) {
            match c {
                '}' => {
                    self.at += 1;
                    return;
                }
                c if c == ',' || c.is_whitespace() => self.at += 1,
                _ => {
                    self.tree(path.to_vec());
                    // What follows a leaf is at most `as name`.
                    while self.code.get(self.at).is_some_and(|c| !matches!(c, ',' | '}')) {
                        self.at += 1;
                    }
                }
            }
        }
    }

    fn note(&mut self, path: Vec<String>) {
        let line = 1 + self.code[..self.at].iter().filter(|c| **c == '\n').count();
        self.found.push(Mention { line, path });
    }

    fn ident(&mut self) -> String {
        let rest = self.code[self.at..].iter();
        let word: String = rest.take_while(|c| is_ident(**c)).collect();
        self.at += word.chars().count();
        word
    }

    fn skip_space(&mut self) {
        while self.code.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn next_is(&self, token: &str) -> bool {
        let rest = self.code[self.at..].iter().skip_while(|c| c.is_whitespace());
        rest.take(token.len()).copied().eq(token.chars())
    }
}

fn is_ident(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text with comments, strings and character literals blanked out, line for line.
fn code_only(text: &str) -> Vec<char> {
    let source: Vec<char> = text.chars().collect();
    let mut code = Vec::with_capacity(source.len());
    let mut at = 0;
    while at < source.len() {
        let end = match (source[at], source.get(at + 1)) {
            ('/', Some('/')) => end_of_line(&source, at),
            ('/', Some('*')) => end_of_comment(&source, at),
            ('"', _) => end_of_string(&source, at + 1),
            ('r', Some('"' | '#')) if at == 0 || !is_ident(source[at - 1]) || source[at - 1] == 'b' => {
                end_of_raw_string(&source, at + 1)
            }
            ('\'', Some('\\')) => end_of_char(&source, at + 2),
            ('\'', Some(_)) if source.get(at + 2) == Some(&'\'') => at + 3,
            _ => at,
        };
        if end == at {
            code.push(source[at]);
            at += 1;
        } else {
            let end = end.min(source.len());
            code.extend(source[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

fn end_of_line(source: &[char], at: usize) -> usize {
    let length = source[at..].iter().take_while(|c| **c != '\n').count();
    at + length
}

/// Comments nest.
fn end_of_comment(source: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < source.len() {
        match (source[at], source.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn end_of_string(source: &[char], mut at: usize) -> usize {
    while at < source.len() && source[at] != '"' {
        at += if source[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `at` is behind the `r`. A raw identifier (`r#type`) is no string and stays.
fn end_of_raw_string(source: &[char], at: usize) -> usize {
    let hashes = source[at..].iter().take_while(|c| **c == '#').count();
    let open = at + hashes;
    if source.get(open) != Some(&'"') {
        return at - 1;
    }
    let closing = |from: &usize| {
        source[*from] == '"' && source[from + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (open + 1..source.len()).find(closing).map_or(source.len(), |from| from + 1 + hashes)
}

fn end_of_char(source: &[char], at: usize) -> usize {
    let rest = source[at + 1..].iter().take_while(|c| **c != '\'').count();
    at + rest + 2
}
