//! Values as both tools spell them: durations in Go's way, numbers that may be strings, and what our API makes of them.

use std::time::Duration as Span;

use serde::{Deserialize, Deserializer, de};

use crate::api::units::{Decimal, Duration, Percent};

/// What stands where a person has to put something in. No object can have such a name, so nothing happens by it.
pub(super) const PLACEHOLDER: &str = "REPLACE-ME";

/// A placeholder that says for what it stands.
pub(super) fn placeholder(what: &str) -> String {
    format!("{PLACEHOLDER}-{what}")
}

/// A whole number, or a text that holds one or an argument.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged, expecting = "a whole number, or a text")]
pub(super) enum IntOrText {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl IntOrText {
    /// As a text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A span of time: `30s`, `1h30m`, or seconds as a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GoSpan(pub(super) Span);

impl<'de> Deserialize<'de> for GoSpan {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = IntOrText::deserialize(from)?;
        span(&read.text()).map(Self).map_err(de::Error::custom)
    }
}

/// A span as Go spells it, or seconds without a unit. Nothing is a span too.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let error = || format!("{text:?} is not a duration; it must be like 30s, 5m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Span::from_secs(seconds));
    }
    if text.is_empty() || text.starts_with('-') {
        return Err(error());
    }
    text.parse::<kube::core::Duration>().map(Into::into).map_err(|_| error())
}

/// A span as our API has it; none for nothing, which it does not take.
pub(super) fn duration(span: Span) -> Option<Duration> {
    (span.as_millis() > 0).then(|| Duration::of(span))
}

/// Whole seconds as a duration; none for nothing, and for less.
pub(super) fn seconds(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().and_then(|seconds| duration(Span::from_secs(seconds)))
}

/// A number as a decimal string; none where it has more digits than the API takes.
pub(super) fn decimal(number: f64) -> Option<Decimal> {
    let text = format!("{number}");
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() > 15 || fraction.len() > 9 { None } else { text.parse().ok() }
}

/// A number of percent; none where it is no share, or has more digits than the API takes.
pub(super) fn percent(number: f64) -> Option<Percent> {
    // 100 - 99.9 is 0.09999999999999432.
    let rounded = (number * 1e6).round() / 1e6;
    format!("{rounded}%").parse().ok()
}

/// A name as the API takes it for a metric: lower case, digits and dashes.
pub(super) fn metric_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let all: String = name.chars().map(plain).take(60).collect();
    let trimmed = all.trim_matches('-');
    if trimmed.is_empty() { "metric".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_go_spells_them() {
        let cases = [
            ("10", Some(10_000)),
            ("0", Some(0)),
            ("90s", Some(90_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5m", Some(90_000)),
            ("250ms", Some(250)),
            ("", None),
            ("soon", None),
            ("-5m", None),
            ("5 m", None),
        ];
        for (text, millis) in cases {
            assert_eq!(span(text).ok().map(|span| span.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn numbers_as_the_api_takes_them() {
        let cases = [
            (0.95, Some("0.95")),
            (500.0, Some("500")),
            (-3.5, Some("-3.5")),
            (1e-7, Some("0.0000001")),
            (1e-12, None),
            (1e20, None),
            (f64::NAN, None),
        ];
        for (number, want) in cases {
            assert_eq!(decimal(number).map(String::from).as_deref(), want, "{number}");
        }
        let shares = [
            (100.0 - 99.9, Some("0.1%")),
            (0.0, Some("0%")),
            (100.0, Some("100%")),
            (-1.0, None),
            (101.0, None),
        ];
        for (number, want) in shares {
            assert_eq!(percent(number).map(String::from).as_deref(), want, "{number}");
        }
    }

    #[test]
    fn names_of_metrics() {
        let cases = [
            ("success-rate", "success-rate"),
            ("404s Percentage", "404s-percentage"),
            ("_x_", "x"),
            ("%", "metric"),
        ];
        for (name, want) in cases {
            assert_eq!(metric_name(name), want);
        }
    }
}
