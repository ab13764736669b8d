//! String and number formats that an API server checks. It ignores those it does not know, and so do we.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde_json::{Number, Value};

/// A format with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    DateTime,
    Date,
    Duration,
    Byte,
    Ipv4,
    Ipv6,
    Cidr,
    Uuid,
    Mac,
    Uri,
    Email,
    Hostname,
    Int32,
    Int64,
    Float,
}

impl Format {
    /// The format by its OpenAPI name; `None` for those without a check.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "date-time" | "datetime" => Self::DateTime,
            "date" => Self::Date,
            "duration" => Self::Duration,
            "byte" => Self::Byte,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "cidr" => Self::Cidr,
            "uuid" => Self::Uuid,
            "mac" => Self::Mac,
            "uri" => Self::Uri,
            "email" => Self::Email,
            "hostname" => Self::Hostname,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float" => Self::Float,
            _ => return None,
        })
    }

    /// The format's OpenAPI name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DateTime => "date-time",
            Self::Date => "date",
            Self::Duration => "duration",
            Self::Byte => "byte",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Cidr => "cidr",
            Self::Uuid => "uuid",
            Self::Mac => "mac",
            Self::Uri => "uri",
            Self::Email => "email",
            Self::Hostname => "hostname",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "float",
        }
    }

    /// Whether `value` has this format. Number formats say nothing about strings, and the other way round.
    pub fn accepts(self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.accepts_text(text),
            Value::Number(number) => self.accepts_number(number),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => true,
        }
    }

    fn accepts_number(self, number: &Number) -> bool {
        match self {
            Self::Int32 => within(number, f64::from(i32::MIN), f64::from(i32::MAX)),
            Self::Int64 => number.is_i64() || (number.is_f64() && within(number, -TWO_TO_63, TWO_TO_63)),
            Self::Float => within(number, f64::from(f32::MIN), f64::from(f32::MAX)),
            Self::DateTime
            | Self::Date
            | Self::Duration
            | Self::Byte
            | Self::Ipv4
            | Self::Ipv6
            | Self::Cidr
            | Self::Uuid
            | Self::Mac
            | Self::Uri
            | Self::Email
            | Self::Hostname => true,
        }
    }

    fn accepts_text(self, text: &str) -> bool {
        match self {
            Self::DateTime => is_date_time(text),
            Self::Date => text.len() == 10 && jiff::civil::Date::from_str(text).is_ok(),
            Self::Duration => kube::core::Duration::from_str(text).is_ok(),
            Self::Byte => is_base64(text),
            Self::Ipv4 => Ipv4Addr::from_str(text).is_ok(),
            Self::Ipv6 => Ipv6Addr::from_str(text).is_ok(),
            Self::Cidr => is_cidr(text),
            Self::Uuid => is_uuid(text),
            Self::Mac => is_mac(text),
            Self::Uri => {
                http::Uri::from_str(text).is_ok_and(|uri| uri.scheme().is_some() || text.starts_with('/'))
            }
            Self::Email => {
                text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && is_hostname(host))
            }
            Self::Hostname => is_hostname(text),
            Self::Int32 | Self::Int64 | Self::Float => true,
        }
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

fn within(number: &Number, low: f64, high: f64) -> bool {
    number.as_f64().is_some_and(|value| (low..=high).contains(&value))
}

/// RFC 3339, whose separator and offset jiff alone would not insist on.
fn is_date_time(text: &str) -> bool {
    let separated = text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b't'));
    separated && !text.contains('[') && jiff::Timestamp::from_str(text).is_ok()
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    match (IpAddr::from_str(address), u8::from_str(bits)) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

fn is_uuid(text: &str) -> bool {
    let hex: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    hex.len() == 32 && hex.iter().all(u8::is_ascii_hexdigit)
}

fn is_mac(text: &str) -> bool {
    let groups: Vec<&str> = text.split([':', '-']).collect();
    groups.len() == 6 && groups.iter().all(|group| group.len() == 2 && u8::from_str_radix(group, 16).is_ok())
}

fn is_hostname(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.trim_end_matches('.').split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_refuse_and_accept() {
        let cases = [
            ("date-time", json!("2024-01-01"), false),
            ("date-time", json!("2024-01-01 00:00:00Z"), false),
            ("date-time", json!("2024-13-01T00:00:00Z"), false),
            ("date-time", json!("2024-01-01T00:00:00Z"), true),
            ("date-time", json!("2024-01-01T00:00:00.123456+02:00"), true),
            ("date", json!("2024-1-1"), false),
            ("date", json!("2024-01-01"), true),
            ("duration", json!("5"), false),
            ("duration", json!("1h30m"), true),
            ("byte", json!("abc"), false),
            ("byte", json!("YWJj"), true),
            ("ipv4", json!("256.0.0.1"), false),
            ("ipv6", json!("::1"), true),
            ("cidr", json!("10.0.0.0/33"), false),
            ("cidr", json!("10.0.0.0/8"), true),
            ("uuid", json!("not-a-uuid"), false),
            ("uuid", json!("123e4567-e89b-12d3-a456-426614174000"), true),
            ("mac", json!("01:23:45:67:89"), false),
            ("mac", json!("01:23:45:67:89:ab"), true),
            ("hostname", json!("-a.example"), false),
            ("hostname", json!("a.example"), true),
            ("email", json!("a"), false),
            ("email", json!("a@example.com"), true),
            ("uri", json!("no scheme"), false),
            ("uri", json!("https://example.com/a"), true),
            ("int32", json!(2_147_483_648_i64), false),
            ("int32", json!(-2_147_483_648_i64), true),
            ("int64", json!(u64::MAX), false),
            ("int64", json!(i64::MAX), true),
            ("float", json!(1e39), false),
        ];
        for (format, value, accepted) in cases {
            let parsed = Format::parse(format).unwrap();
            assert_eq!(parsed.name(), format);
            assert_eq!(parsed.accepts(&value), accepted, "{format} {value}");
        }
        assert_eq!(Format::parse("made-up"), None);
    }
}
