//! JSON bodies, read so that a field given twice is noticed.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a JSON text; the second part names the fields that stand there twice, of which the last one counts.
pub(super) fn parse(text: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let mut doubled = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Reader { path: String::new(), doubled: &mut doubled }.deserialize(&mut reader)?;
    reader.end()?;
    Ok((value, doubled))
}

struct Reader<'d> {
    path: String,
    doubled: &'d mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, list.len());
            match items.next_element_seed(Reader { path, doubled: self.doubled })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            let value = entries.next_value_seed(Reader { path: path.clone(), doubled: self.doubled })?;
            if fields.insert(name, value).is_some() && !self.doubled.contains(&path) {
                self.doubled.push(path);
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_of_two_counts_and_is_told() {
        let text = br#"{"a": 1, "b": [{"c": 1, "c": 2.5}], "a": null, "d": -3}"#;
        let (value, doubled) = parse(text).unwrap();
        assert_eq!(value, json!({"a": null, "b": [{"c": 2.5}], "d": -3}));
        assert_eq!(doubled, ["b[0].c", "a"]);
        assert!(parse(b"{} {}").is_err());
        assert!(parse(b"{").is_err());
    }
}
