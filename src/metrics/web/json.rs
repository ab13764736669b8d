//! One number out of an answer, by JSONPath (RFC 9535).

use jsonpath_rust::{
    parser::{model::JpQuery, parse_json_path},
    query::js_path_process,
};
use serde_json::Value;

use crate::{engine::look::ReadError, metrics::presets::unsupported};

/// A path that is cheap to follow whatever the answer is.
#[derive(Debug)]
pub(super) struct Path(JpQuery);

impl Path {
    /// Parses a path.
    pub(super) fn parse(role: &str, text: &str) -> Result<Self, ReadError> {
        let path = parse_json_path(text).map_err(|_| {
            unsupported(format!(
                "what follows the | in the query {role} is no JSONPath; it must be like $.errors"
            ))
        })?;
        if !is_cheap(text) {
            return Err(unsupported(format!(
                "the JSONPath of the query {role} searches too much; it may have one .., one $ and no lists like [a,b]"
            )));
        }
        Ok(Self(path))
    }

    /// The one number that the path selects.
    pub(super) fn number(&self, role: &str, answer: &Value) -> Result<f64, ReadError> {
        let query = || role.to_owned();
        let found = js_path_process(&self.0, answer).map_err(|_| ReadError::Malformed)?;
        match found.as_slice() {
            [] => Err(ReadError::Empty { query: query() }),
            [one] => {
                let number = one.clone().val().as_f64().ok_or_else(|| {
                    unsupported(format!(
                        "the query {role} selects something that is no number; correct its JSONPath"
                    ))
                })?;
                if number.is_finite() { Ok(number) } else { Err(ReadError::NotFinite { query: query() }) }
            }
            many => Err(ReadError::ManySeries { query: query(), count: many.len() }),
        }
    }
}

/// Whether a path visits each value of an answer a few times at most: lists multiply what is found with each other, a
/// second `..` what is below with itself, and a `$` in a filter goes through all of it for each element.
fn is_cheap(text: &str) -> bool {
    let mut quote = None;
    let mut outside = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => drop(chars.next()),
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => outside.push(c),
        }
    }
    outside.matches("..").count() <= 1 && outside.matches('$').count() == 1 && !outside.contains(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_or_a_reason() {
        let answer = serde_json::json!({
            "errors": 3, "rate": 0.5, "text": "5", "none": null,
            "arms": [{"name": "v1", "total": 10}, {"name": "v2", "total": 20}],
            "by.name": {"v,2..$": 7},
        });
        let cases: [(&str, Result<f64, &str>); 11] = [
            ("$.errors", Ok(3.0)),
            ("$['rate']", Ok(0.5)),
            ("$.arms[1].total", Ok(20.0)),
            ("$.arms[?@.name == 'v2'].total", Ok(20.0)),
            ("$[\"by.name\"][\"v,2..$\"]", Ok(7.0)),
            ("$..rate", Ok(0.5)),
            ("$.missing", Err("returned nothing")),
            ("$.arms[*].total", Err("returned 2 series")),
            ("$.text", Err("no number")),
            ("$.none", Err("no number")),
            ("$", Err("no number")),
        ];
        for (path, want) in cases {
            let got = Path::parse("total", path).and_then(|path| path.number("total", &answer));
            match want {
                Ok(number) => assert_eq!(got, Ok(number), "{path}"),
                Err(part) => assert!(got.unwrap_err().to_string().contains(part), "{path}"),
            }
        }
    }

    #[test]
    fn what_is_no_path_or_a_costly_one_is_refused() {
        let deep = format!("$[?{}@.a{}]", "(".repeat(1000), ")".repeat(1000));
        for path in ["", "errors", "$.", "$[", &deep] {
            let error = Path::parse("total", path).unwrap_err().to_string();
            assert!(error.contains("no JSONPath"), "{path}: {error}");
        }
        for path in ["$..*..*", "$.arms[?@.total == $.errors]", "$[*,*][*,*]"] {
            let error = Path::parse("total", path).unwrap_err().to_string();
            assert!(error.contains("searches too much"), "{path}: {error}");
        }
    }
}
