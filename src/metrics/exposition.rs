//! Prometheus' text format, as Envoy writes it. Strict: a line that is no sample, comment or blank makes the
//! whole answer malformed, for a skipped line could be the one that counts.

use std::collections::BTreeMap;

use crate::{engine::look::ReadError, outbound::Answer};

/// The most samples an answer may have; 1 MiB holds fewer in practice.
const MAX_SAMPLES: usize = 50_000;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value; may be NaN or infinite.
    pub value: f64,
}

/// The samples of an answer.
pub(super) fn read(answer: Answer) -> Result<Vec<Sample>, ReadError> {
    let body = answer.success()?;
    parse(std::str::from_utf8(&body).map_err(|_| ReadError::Malformed)?)
}

/// Parses an exposition.
pub(super) fn parse(text: &str) -> Result<Vec<Sample>, ReadError> {
    let mut samples = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if samples.len() == MAX_SAMPLES {
            return Err(ReadError::TooLarge);
        }
        samples.push(sample(line).ok_or(ReadError::Malformed)?);
    }
    Ok(samples)
}

/// `name{label="value",…} value [timestamp] [# exemplar]`.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None if rest.starts_with(char::is_whitespace) => (BTreeMap::new(), rest),
        None => return None,
    };
    // An exemplar is told apart only behind the labels: a label's value may hold a `#`.
    let mut fields = rest.split('#').next()?.split_whitespace();
    let value = fields.next()?.parse().ok()?;
    if let Some(timestamp) = fields.next() {
        timestamp.parse::<f64>().ok()?;
    }
    fields.next().is_none().then(|| Sample { name: name.to_owned(), labels, value })
}

/// The labels behind `{`, and what follows `}`.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// A value behind its opening quote, and what follows its closing one.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_they_come() {
        type Want = (&'static str, &'static [(&'static str, &'static str)], f64);
        let cases: [(&str, Option<Want>); 14] = [
            ("up 1", Some(("up", &[], 1.0))),
            ("a:b{} 2.5", Some(("a:b", &[], 2.5))),
            (r#"x{a="1",b="2",} 3 1395066363000"#, Some(("x", &[("a", "1"), ("b", "2")], 3.0))),
            (r#"x{ a = "1" } 3"#, Some(("x", &[("a", "1")], 3.0))),
            (r#"x{a="q\"b\\s\nn}#,="} 3"#, Some(("x", &[("a", "q\"b\\s\nn}#,=")], 3.0))),
            (r#"x{le="+Inf"} 17 # {id="ab"} 0.67 1.5"#, Some(("x", &[("le", "+Inf")], 17.0))),
            ("x +Inf", Some(("x", &[], f64::INFINITY))),
            ("x", None),
            ("x one", None),
            ("x 1 2 3", None),
            (r#"x{a="1" 3"#, None),
            (r#"x{a="1",a="2"} 3"#, None),
            ("x{a=1} 3", None),
            ("<html>", None),
        ];
        for (line, want) in cases {
            let got = sample(line).map(|s| (s.name, s.labels.into_iter().collect::<Vec<_>>(), s.value));
            let want = want.map(|(name, labels, value)| {
                let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
                (name.to_owned(), labels.collect(), value)
            });
            assert_eq!(got, want, "{line}");
        }
        assert!(sample("x NaN").unwrap().value.is_nan());
    }

    #[test]
    fn comments_and_blanks_are_no_samples() {
        let text = "# HELP x y\n# TYPE x counter\n\n# \nx 1\r\n# EOF\n";
        assert_eq!(parse(text).unwrap().len(), 1);
        assert_eq!(parse("x 1\n<html>\n"), Err(ReadError::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
