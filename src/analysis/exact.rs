//! Numbers that survive a round trip through JSON bit for bit.
//!
//! A JSON number can not say minus infinity, parsers may be off in the last digit, and an API server that stores
//! a status reads and prints every number anew. So persisted evidence writes its numbers as decimal strings: the
//! shortest text that reads back as the same `f64`, or `-inf`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Schema of such a string; it stands for `f64` wherever this encoding is used.
pub struct Decimal;

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^(-inf|-?[0-9]+(\.[0-9]+)?)$"})
    }
}

/// Reads one number. NaN and +inf are refused: no arithmetic of this module yields them.
fn parse<E: Error>(text: &str) -> Result<f64, E> {
    let value: f64 = text.parse().map_err(|_| E::custom(format_args!("not a decimal number: {text:?}")))?;
    if value.is_nan() || value == f64::INFINITY {
        return Err(E::custom(format_args!("not a value of evidence: {text:?}")));
    }
    Ok(value)
}

// serde's `with` hands over a reference to the field.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    parse(&Cow::<str>::deserialize(deserializer)?)
}

/// The same for a list of fixed length.
pub mod list {
    use super::{Cow, Deserialize, Deserializer, Error, Serializer, parse};

    pub fn serialize<S: Serializer, const N: usize>(
        values: &[f64; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(f64::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[f64; N], D::Error> {
        let values = Vec::<Cow<str>>::deserialize(deserializer)?
            .iter()
            .map(|text| parse(text))
            .collect::<Result<Vec<f64>, D::Error>>()?;
        let length = values.len();
        values.try_into().map_err(|_| D::Error::invalid_length(length, &"one number for each bet"))
    }
}

/// The same for a number that may be absent.
pub mod option {
    use super::{Cow, Deserialize, Deserializer, Serializer, parse};

    // serde's `with` hands over a reference to the field as it is.
    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::<Cow<str>>::deserialize(deserializer)?.map(|text| parse(&text)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, Debug)]
    struct Holder {
        #[serde(with = "super")]
        one: f64,
        #[serde(with = "super::list")]
        two: [f64; 2],
        #[serde(with = "super::option")]
        perhaps: Option<f64>,
    }

    fn read(json: &str) -> Result<Holder, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn refuses_what_evidence_never_holds() {
        let cases = [
            (r#"{"one":"NaN","two":["0","0"],"perhaps":null}"#, "not a value of evidence"),
            (r#"{"one":"inf","two":["0","0"],"perhaps":null}"#, "not a value of evidence"),
            (r#"{"one":"x","two":["0","0"],"perhaps":null}"#, "not a decimal number"),
            (r#"{"one":"1","two":["0"],"perhaps":null}"#, "invalid length 1"),
            (r#"{"one":null,"two":["0","0"],"perhaps":null}"#, "invalid type: null"),
            (r#"{"one":1.5,"two":["0","0"],"perhaps":null}"#, "invalid type: floating point"),
        ];
        for (json, want) in cases {
            let error = read(json).expect_err(json);
            assert!(error.contains(want), "{json}: {error}");
        }
    }

    #[test]
    fn minus_infinity_is_written_as_a_word() {
        let holder = Holder { one: f64::NEG_INFINITY, two: [0.1, -2.0], perhaps: Some(1.0 / 3.0) };
        let json = serde_json::to_string(&holder).expect("plain data");
        assert_eq!(json, r#"{"one":"-inf","two":["0.1","-2"],"perhaps":"0.3333333333333333"}"#);
    }

    proptest! {
        #[test]
        fn every_number_comes_back_bit_for_bit(one in proptest::num::f64::ANY, two in -700.0..700.0_f64) {
            prop_assume!(!one.is_nan() && one != f64::INFINITY);
            let json = serde_json::to_string(&Holder { one, two: [two, -two], perhaps: Some(two) });
            let back = read(&json.expect("plain data")).expect("what was written");
            prop_assert_eq!(back.one.to_bits(), one.to_bits());
            prop_assert_eq!(back.two.map(f64::to_bits), [two.to_bits(), (-two).to_bits()]);
            prop_assert_eq!(back.perhaps.map(f64::to_bits), Some(two.to_bits()));
        }
    }
}
