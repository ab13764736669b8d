//! Values that cannot be wrong: a weight is 0–100, a duration is positive and reads as it was written, a share
//! and a threshold are decimal strings. Bad ones fail to parse with a sentence that tells the remedy, and the
//! schema refuses them before that.

use std::{borrow::Cow, fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a value can't be built. The texts name the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a duration.
    #[error("{0:?} is not a duration; it must be like 30s, 5m or 1h30m")]
    Duration(String),
    /// Not a share.
    #[error("{0:?} is not a share; it must be a percentage from 0% to 100%, like \"0.5%\"")]
    Percent(String),
    /// Not a decimal.
    #[error("{0:?} is not a number; it must be a decimal string like \"1.25\"")]
    Decimal(String),
    /// Not a weight.
    #[error("{0} is not a weight; it must be a whole number from 0 to 100")]
    Weight(i32),
}

/// A canary's share of the traffic in percent, 0–100; stable has the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "i32", into = "i32")]
#[schemars(inline, extend("minimum" = 0, "maximum" = 100))]
pub struct Weight(i32);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const FULL: Self = Self(100);

    /// The percentage.
    pub const fn percent(self) -> i32 {
        self.0
    }

    /// What is left for the other side.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(100 - self.0)
    }
}

impl TryFrom<i32> for Weight {
    type Error = UnitError;

    fn try_from(percent: i32) -> Result<Self, Self::Error> {
        if (0..=100).contains(&percent) { Ok(Self(percent)) } else { Err(UnitError::Weight(percent)) }
    }
}

impl From<Weight> for i32 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A positive span of time in Go's spelling with whole numbers: `30s`, `5m`, `1h30m`. It keeps the spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    spelled: String,
    span: time::Duration,
}

/// What the schema accepts as a duration: the Gateway API's rule, without a leading zero and so without nothing.
pub const DURATION_PATTERN: &str = "^[1-9][0-9]{0,4}(h|m|s|ms)([0-9]{1,5}(h|m|s|ms)){0,3}$";
/// How a share in percent is spelled: `2.5%`.
pub const PERCENT_PATTERN: &str = r"^(100(\.0{1,9})?|[0-9]{1,2}(\.[0-9]{1,9})?)%$";
/// How a number is spelled that has to be exact: `1.25`.
pub const NUMBER_PATTERN: &str = r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$";

impl Duration {
    /// The span itself.
    pub const fn span(&self) -> time::Duration {
        self.span
    }

    /// A duration of whole milliseconds, spelled as shortly as possible; a finer rest is cut off.
    pub fn of(span: time::Duration) -> Self {
        let span = time::Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        Self { spelled: spell(span), span }
    }
}

/// Spells a span as people write it: `1h30m`, `5m`, `1m30s`, `250ms`; `0s` for nothing. Below a second in
/// milliseconds; above, fractions of a second are left out.
pub fn spell(span: time::Duration) -> String {
    if span < time::Duration::from_secs(1) && !span.is_zero() {
        return format!("{}ms", span.as_millis());
    }
    let seconds = span.as_secs();
    let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

impl FromStr for Duration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UnitError::Duration(text.to_owned());
        // Go's grammar is wider (signs, fractions, ns); the schema's is what people get told.
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit() || b"hms".contains(&b)) {
            return Err(error());
        }
        let span: time::Duration = text.parse::<kube::core::Duration>().map_err(|_| error())?.into();
        if span.is_zero() { Err(error()) } else { Ok(Self { spelled: text.to_owned(), span }) }
    }
}

impl TryFrom<String> for Duration {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.spelled
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spell(self.span))
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 24, "pattern": DURATION_PATTERN })
    }
}

/// A share of requests as a percent string, `0.5%`. It keeps the spelling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent {
    spelled: String,
    share: f64,
}

impl Percent {
    /// The share, 0–1.
    pub const fn share(&self) -> f64 {
        self.share
    }
}

impl FromStr for Percent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UnitError::Percent(text.to_owned());
        let number = text.strip_suffix('%').ok_or_else(error)?;
        let percent = decimal(number).filter(|p| (0.0..=100.0).contains(p)).ok_or_else(error)?;
        Ok(Self { spelled: text.to_owned(), share: percent / 100.0 })
    }
}

impl TryFrom<String> for Percent {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.spelled
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 14, "pattern": PERCENT_PATTERN })
    }
}

/// A decimal string, `1.25` or `-3`. It keeps the spelling; no float stands in a spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal {
    spelled: String,
    value: f64,
}

impl Decimal {
    /// The value; always finite.
    pub const fn value(&self) -> f64 {
        self.value
    }
}

impl FromStr for Decimal {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let magnitude = text.strip_prefix('-').unwrap_or(text);
        let value = decimal(magnitude).ok_or_else(|| UnitError::Decimal(text.to_owned()))?;
        let signed = if magnitude.len() < text.len() { -value } else { value };
        Ok(Self { spelled: text.to_owned(), value: signed })
    }
}

impl TryFrom<String> for Decimal {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.spelled
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled)
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 26, "pattern": NUMBER_PATTERN })
    }
}

/// Digits with at most one point between them: no exponent, sign, `inf` or `nan`.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if plain && text.matches('.').count() <= 1 { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        let cases = [
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("90s", Some(90_000)),
            ("0s", None),
            ("", None),
            ("5", None),
            ("-5m", None),
            ("1.5h", None),
            ("5 m", None),
            ("fast", None),
        ];
        for (text, millis) in cases {
            let got = text.parse::<Duration>().ok().map(|d| d.span().as_millis());
            assert_eq!(got, millis, "{text}");
        }
    }

    #[test]
    fn a_duration_keeps_its_spelling_and_is_told_shortly() {
        let duration: Duration = "90s".parse().unwrap();
        assert_eq!(serde_json::to_value(&duration).unwrap(), "90s");
        assert_eq!(duration.to_string(), "1m30s");
        assert_eq!(Duration::of(time::Duration::from_hours(1)).to_string(), "1h");
        assert_eq!(spell(time::Duration::ZERO), "0s");
    }

    #[test]
    fn shares_and_decimals() {
        assert!((("0.5%".parse::<Percent>().unwrap()).share() - 0.005).abs() < 1e-12);
        for bad in ["5", "101%", "-1%", "%", "1e1%", "nan%", "."] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
        assert!(("-3.5".parse::<Decimal>().unwrap().value() + 3.5).abs() < 1e-12);
        for bad in ["", "-", "1e9", "inf", "1.", ".5", "--1", "1.2.3"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
        assert_eq!(Weight::try_from(101), Err(UnitError::Weight(101)));
    }
}
