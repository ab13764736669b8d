//! Patterns are Go's RE2; the `regex` crate reads a few signs otherwise.
//!
//! `\d`, `\w`, `\s` and `\b` are ASCII in Go, and inside a class `[`, `&&`, `--` and `~~` have no meaning there.

use regex::Regex;

use super::node::Pattern;

/// Compiles a pattern with Go's meaning.
pub(super) fn compile(source: &str) -> Result<Pattern, regex::Error> {
    Ok(Pattern { source: source.to_owned(), regex: Regex::new(&from_go(source))? })
}

/// The same pattern in the `regex` crate's syntax.
fn from_go(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    let mut class = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => push_escape(&mut out, chars.next()),
            ('[', None) => {
                class = Some('[');
                out.push(c);
                if let Some(negation) = chars.next_if_eq(&'^') {
                    out.push(negation);
                }
                // A bracket that comes first is an ordinary character.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
                continue;
            }
            ('[', Some(_)) if chars.peek() == Some(&':') => {
                out.push(c);
                while let Some(name) = chars.next_if(|c| *c != ']') {
                    out.push(name);
                }
                out.extend(chars.next());
            }
            ('[', Some(_)) => out.push_str(r"\["),
            (']', Some(_)) => {
                class = None;
                out.push(c);
                continue;
            }
            ('&' | '-' | '~', Some(before)) if before == c => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        class = class.map(|_| c);
    }
    out
}

fn push_escape(out: &mut String, escaped: Option<char>) {
    match escaped {
        Some('d') => out.push_str("[0-9]"),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str("[0-9A-Za-z_]"),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('s') => out.push_str(r"[\t\n\f\r ]"),
        Some('S') => out.push_str(r"[^\t\n\f\r ]"),
        Some('b') => out.push_str(r"(?-u:\b)"),
        other => {
            out.push('\\');
            out.extend(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let cases = [
            (r"^\d+$", "٣", false),
            (r"^\d+$", "3", true),
            (r"^\w$", "é", false),
            (r"^\s$", "\u{a0}", false),
            ("^[[a]+$", "[a", true),
            ("^[]a]+$", "]a", true),
            ("^[^]a]+$", "]", false),
            ("^[a&&b]+$", "a&b", true),
            ("^[!--]+$", "#", true),
            (r"^[\d.]+$", "1.2", true),
            ("^[[:alpha:]]+$", "ab", true),
            ("^[[:alpha:]]+$", "1", false),
            ("^(?i)abc$", "ABC", true),
            (r"^\.\\$", r".\", true),
            ("^.$", "é", true),
        ];
        for (pattern, text, matches) in cases {
            let compiled = compile(pattern).unwrap();
            assert_eq!(compiled.regex.is_match(text), matches, "{pattern} on {text}");
        }
        assert!(compile("(?=look)").is_err());
    }
}
