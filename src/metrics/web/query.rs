//! A Rollout's query: what to get below the configured address, and where in the answer the number stands.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use super::{Answers, json::Path};
use crate::{
    engine::look::ReadError,
    metrics::{
        presets::unsupported,
        template::{self, Values},
    },
};

/// What stands between the path and the JSONPath.
const SEPARATOR: &str = " | ";
/// All that a name may not bring into an address as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A query, ready to be asked.
#[derive(Debug)]
pub(super) struct Query {
    /// The address.
    pub url: Url,
    role: String,
    path: Path,
}

impl Query {
    /// Parses and fills `path?query | $.json.path`.
    pub(super) fn parse(role: &str, text: &str, values: &Values<'_>, base: &Url) -> Result<Self, ReadError> {
        let (below, path) = text.trim().split_once(SEPARATOR).ok_or_else(|| {
            unsupported(format!(
                "the query {role} must be a path and a JSONPath, like \"stats/{{{{target}}}}?window=1m | $.errors\""
            ))
        })?;
        let path = template::fill(role, path.trim(), values).map_err(ReadError::Unsupported)?;
        Ok(Self {
            url: address(role, below.trim(), values, base)?,
            role: role.to_owned(),
            path: Path::parse(role, &path)?,
        })
    }

    /// The number that the query selects.
    pub(super) fn value(&self, answers: &Answers) -> Result<f64, ReadError> {
        let answer = answers.get(&self.url).ok_or(ReadError::Defect)?;
        self.path.number(&self.role, answer)
    }

    /// The same, where it is a counter.
    pub(super) fn count(&self, answers: &Answers) -> Result<f64, ReadError> {
        let count = self.value(answers)?;
        if count < 0.0 {
            return Err(unsupported(format!(
                "the query {} selects a negative number, and counters are not negative; correct it",
                self.role
            )));
        }
        Ok(count)
    }
}

/// The address below the base. What a placeholder stands for can add neither a segment nor a parameter.
fn address(role: &str, below: &str, values: &Values<'_>, base: &Url) -> Result<Url, ReadError> {
    let refused = |what: &str| {
        Err(unsupported(format!(
            "the query {role} {what}; it must be a path below the provider's address, like stats/color?window=1m"
        )))
    };
    if below.contains("://") || below.starts_with('/') {
        return refused("begins with / or names a host");
    }
    let escape = |value: &str| Ok(utf8_percent_encode(value, ESCAPED).to_string());
    let filled = template::fill_with(role, below, values, escape).map_err(ReadError::Unsupported)?;
    if filled.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '#')) {
        return refused("has a space, a \\ or a #");
    }
    let (path, query) = match filled.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (filled.as_str(), None),
    };
    if has_dots(path) {
        return refused("has . or .. as a part of its path");
    }
    let mut url = base.clone();
    let base = base.path().trim_end_matches('/');
    url.set_path(&if path.is_empty() { base.to_owned() } else { format!("{base}/{path}") });
    url.set_query(query);
    // The parser has the last word on what a path is.
    if url.path() != base && !url.path().starts_with(&format!("{base}/")) {
        return refused("leaves the provider's address");
    }
    Ok(url)
}

/// Whether a part of a path would lead up, or nowhere, in any spelling: what stands behind the address may decode it, and
/// more than once.
fn has_dots(path: &str) -> bool {
    let mut plain = path.to_ascii_lowercase();
    while plain.contains("%25") {
        plain = plain.replace("%25", "%");
    }
    let plain = plain.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    plain.split('/').any(|part| matches!(part, "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [(&str, &str); 2] = [("target", "v2/x?y=1&z#é"), ("namespace", "..")];

    fn at(base: &str, text: &str) -> Result<String, String> {
        Query::parse("total", text, &Values::named(&VALUES), &Url::parse(base).unwrap())
            .map(|query| query.url.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_query_stays_below_its_address() {
        let escaped = "v2%2Fx%3Fy%3D1%26z%23%C3%A9";
        let cases = [
            ("http://h", "stats | $.a", "http://h/stats".to_owned()),
            ("http://h/api/", "stats?w=1m | $.a", "http://h/api/stats?w=1m".to_owned()),
            ("http://h/api", "?v={{target}} | $.a", format!("http://h/api?v={escaped}")),
            ("http://h/api", "s/{{ target }}/x | $.a", format!("http://h/api/s/{escaped}/x")),
            ("http://h/api", "me@evil.example/x | $.a", "http://h/api/me@evil.example/x".to_owned()),
            ("http://h/api", "a//b | $.a", "http://h/api/a//b".to_owned()),
        ];
        for (base, text, want) in cases {
            assert_eq!(at(base, text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_query_says_why() {
        let cases = [
            ("stats", "must be a path and a JSONPath"),
            ("$.a", "must be a path and a JSONPath"),
            ("/stats | $.a", "begins with / or names a host"),
            ("http://evil/x | $.a", "begins with / or names a host"),
            ("../admin | $.a", "has . or .."),
            ("a/%2E%2e/admin | $.a", "has . or .."),
            ("a/.%2E/admin | $.a", "has . or .."),
            ("a/./b | $.a", "has . or .."),
            ("a/{{namespace}}/admin | $.a", "has . or .."),
            ("a%2F..%2fadmin | $.a", "has . or .."),
            ("a/%252e%25252E/admin | $.a", "has . or .."),
            ("a%5c{{namespace}}%2fadmin | $.a", "has . or .."),
            ("a\\..\\b | $.a", "has a space, a \\ or a #"),
            ("a b | $.a", "has a space, a \\ or a #"),
            ("a#b | $.a", "has a space, a \\ or a #"),
            ("a/{{pod}} | $.a", "unknown placeholder {{pod}}"),
            ("a | b", "is no JSONPath"),
            ("a | $.{{target}}", "outside quotes"),
        ];
        for (text, want) in cases {
            let error = at("http://h/api", text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_leads_out(below in "[a-z./%2eE?{}@:\\\\]{0,20}", value in "\\PC{0,12}") {
            let base = Url::parse("https://h:8443/api/v1").unwrap();
            let text = format!("{below}{{{{target}}}} | $.a");
            if let Ok(query) = Query::parse("total", &text, &Values::named(&[("target", &value)]), &base) {
                proptest::prop_assert_eq!(query.url.origin(), base.origin());
                let path = query.url.path();
                proptest::prop_assert!(path == "/api/v1" || path.starts_with("/api/v1/"), "{}", path);
            }
        }
    }
}
