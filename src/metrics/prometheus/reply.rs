//! What Prometheus' HTTP API answers, taken apart. Text of an answer goes no further than this file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::{engine::look::ReadError, outbound::Answer};

/// The result of a query.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(super) enum Data {
    /// Series at one time.
    Vector(Vec<Instant>),
    /// Series over a range.
    Matrix(Vec<Range>),
    /// A number without labels.
    Scalar(Point),
}

/// A series at one time.
#[derive(Debug, Deserialize)]
pub(super) struct Instant {
    /// Its labels.
    #[serde(default)]
    pub metric: BTreeMap<String, String>,
    /// Its value; native histograms have none and are refused.
    pub value: Point,
}

/// A series over a range.
#[derive(Debug, Deserialize)]
pub(super) struct Range {
    /// Its labels.
    #[serde(default)]
    pub metric: BTreeMap<String, String>,
    /// Its values, oldest first.
    pub values: Vec<Point>,
}

/// Unix seconds, and a number in a string.
#[derive(Debug, Deserialize)]
pub(super) struct Point(f64, String);

impl Point {
    /// The time, to the millisecond.
    pub(super) fn at(&self) -> Result<Timestamp, ReadError> {
        #[expect(clippy::cast_possible_truncation, reason = "a float beyond i64 saturates and is refused")]
        Timestamp::from_millisecond((self.0 * 1000.0).round() as i64).map_err(|_| ReadError::Malformed)
    }

    /// The value, where it is a number that can be reckoned with.
    pub(super) fn finite(&self, query: &str) -> Result<f64, ReadError> {
        let value: f64 = self.1.parse().map_err(|_| ReadError::Malformed)?;
        if value.is_finite() { Ok(value) } else { Err(ReadError::NotFinite { query: query.to_owned() }) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    #[serde(default)]
    error_type: Option<String>,
}

#[derive(Deserialize)]
struct Success {
    data: Data,
}

/// Takes an answer apart. What it was asked in, who asked knows.
pub(super) fn data(answer: &Answer) -> Result<Data, ReadError> {
    let status = answer.status;
    let envelope: Option<Envelope> = serde_json::from_slice(&answer.body).ok();
    match envelope {
        Some(envelope) if envelope.error_type.as_deref() == Some("bad_data") => {
            Err(ReadError::BadQuery { query: String::new() })
        }
        _ if !status.is_success() => Err(ReadError::Status(status.as_u16())),
        Some(envelope) if envelope.status == "success" => serde_json::from_slice::<Success>(&answer.body)
            .map(|success| success.data)
            .map_err(|_| ReadError::Malformed),
        Some(_) | None => Err(ReadError::Malformed),
    }
}
