//! JSON5 text to JSON values, with places in the errors.
//!
//! JSON5 numbers are JavaScript numbers, so `18789.0` and `1e3` are whole numbers here too; nothing
//! else is converted. Nesting is bounded because the parser recurses.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::ConfigError;

/// Deepest allowed nesting of objects and lists.
const MAX_DEPTH: usize = 64;
/// Largest whole number that JavaScript holds exactly.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// A parsed file.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    /// Keys that are written twice in one object; the last one counts.
    pub(crate) duplicates: Vec<String>,
}

/// Parses `text`, the content of `file`.
///
/// # Errors
///
/// [`ConfigError::Syntax`] with line and column.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Document, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    json5::from_str(text).map_err(|error| {
        let (line, column) = error
            .position()
            .map_or((1, 1), |at| (at.line + 1, at.column + 1));
        let message = error
            .code()
            .map_or_else(|| without_position(&error), |code| code.to_string());
        ConfigError::Syntax {
            file: file.to_owned(),
            line,
            column,
            message,
        }
    })
}

/// The text of our own errors; the parser appends the position to it.
fn without_position(error: &json5::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ")
        .map_or(text.clone(), |end| text[..end].to_owned())
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let duplicates = RefCell::new(Vec::new());
        let value = Node {
            depth: 0,
            duplicates: &duplicates,
        }
        .deserialize(deserializer)?;
        Ok(Self {
            value,
            duplicates: duplicates.into_inner(),
        })
    }
}

/// One value at a known depth.
#[derive(Clone, Copy)]
struct Node<'a> {
    depth: usize,
    duplicates: &'a RefCell<Vec<String>>,
}

impl Node<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON5 value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within the exact range"
        )]
        if value.fract() == 0.0 && value.abs() <= MAX_SAFE {
            return Ok((value as i64).into());
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("NaN and Infinity are not allowed"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if map.contains_key(&key) {
                self.duplicates.borrow_mut().push(key.clone());
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Result<Value, String> {
        parse(Path::new("openclaw.json"), text)
            .map(|document| document.value)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn reads_json5_as_people_write_it() {
        let text =
            "\u{feff}// mine\n{ Port: 18789.0, hex: 0x10, half: .5, 'list': [1, 2,], /* end */ }";
        assert_eq!(
            value(text).unwrap(),
            json!({ "Port": 18789, "hex": 16, "half": 0.5, "list": [1, 2] })
        );
    }

    #[test]
    fn a_fraction_stays_a_fraction() {
        assert_eq!(
            value("{ port: 18789.7 }").unwrap(),
            json!({ "port": 18789.7 })
        );
    }

    #[test]
    fn syntax_errors_name_file_line_and_column() {
        assert_eq!(
            value("{\n  a: 1\n  b: 2\n}").unwrap_err(),
            "openclaw.json:3:3: expected comma"
        );
        assert_eq!(
            value("{\n  a: NaN }").unwrap_err(),
            "openclaw.json:2:6: NaN and Infinity are not allowed"
        );
        assert_eq!(
            value("{} {}").unwrap_err(),
            "openclaw.json:1:4: trailing characters"
        );
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let error = value(&"[".repeat(200_000)).unwrap_err();
        assert!(error.ends_with("nested deeper than 64 levels"), "{error}");
    }

    #[test]
    fn a_key_written_twice_is_reported() {
        let document = parse(Path::new("f"), "{ a: 1, b: { c: 1, c: 2 }, a: 3 }").unwrap();
        assert_eq!(document.value, json!({ "a": 3, "b": { "c": 2 } }));
        assert_eq!(document.duplicates, ["c", "a"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in r#"([{}\[\]:,'"$/*\\ \n]|[a-z0-9.+-]|\PC)*"#) {
            value(&text).ok();
        }
    }
}
