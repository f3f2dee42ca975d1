//! JSON that every reader reads the same: the form in which evidence is accepted.
//!
//! Two readers that disagree on what a document says are how a verifier is made to check one
//! thing and a consumer to use another. So a document is one value in UTF-8 without anything
//! behind it, no object has a key twice (compared after unescaping), nesting is bounded, and
//! numbers are integers that a double holds exactly.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Deepest nesting. What is signed here has less than ten levels; recursive readers elsewhere
/// give up at a hundred or so.
pub const DEPTH_MAX: usize = 64;

/// Largest integer that protobuf's `Struct` and JavaScript hold exactly.
const INTEGER_MAX: u64 = 1 << 53;

/// Why a document is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// More bytes than its kind may have.
    #[error("{found} bytes are more than the {limit} allowed here")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8(#[source] std::str::Utf8Error),
    /// A key twice in one object.
    #[error("duplicate key {key:?} at {path}")]
    DuplicateKey {
        /// The key, unescaped.
        key: String,
        /// The object, as `$.a[0]`.
        path: String,
    },
    /// More than [`DEPTH_MAX`] levels.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// A fraction, an exponent, or beyond what a double holds exactly.
    #[error("the number at {path} is not an integer between -2^53 and 2^53")]
    Number {
        /// Where, as `$.a[0]`.
        path: String,
    },
    /// Not one JSON value.
    #[error("not one JSON document")]
    Syntax(#[source] serde_json::Error),
}

/// Parses one document of at most `limit` bytes.
pub fn parse(bytes: &[u8], limit: usize) -> Result<Value, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLarge {
            found: bytes.len(),
            limit,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(JsonError::Utf8)?;
    let refusal = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = Strict {
        refusal: &refusal,
        at: Place::Root,
        depth: 0,
    };
    let value = seed.deserialize(&mut reader).and_then(|value| {
        reader.end()?;
        Ok(value)
    });
    value.map_err(|error| refusal.take().unwrap_or(JsonError::Syntax(error)))
}

/// Where in the document the reader stands; each level borrows the one above.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Key(parent, key) => write!(f, "{parent}.{}", key.escape_debug()),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    /// serde carries errors as text; the typed reason travels here.
    refusal: &'a RefCell<Option<JsonError>>,
    at: Place<'a>,
    depth: usize,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(&self, reason: JsonError) -> E {
        let text = E::custom(&reason);
        self.refusal.replace(Some(reason));
        text
    }

    fn number<E: serde::de::Error>(&self) -> E {
        self.refuse(JsonError::Number {
            path: self.at.to_string(),
        })
    }

    fn below<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth == DEPTH_MAX {
            return Err(self.refuse(JsonError::TooDeep));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > INTEGER_MAX {
            return Err(self.number());
        }
        Ok(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > INTEGER_MAX {
            return Err(self.number());
        }
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Err(self.number())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let depth = self.below()?;
        let mut values = Vec::new();
        loop {
            let seed = Strict {
                refusal: self.refusal,
                at: Place::Item(&self.at, values.len()),
                depth,
            };
            match items.next_element_seed(seed)? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let depth = self.below()?;
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(self.refuse(JsonError::DuplicateKey {
                    key,
                    path: self.at.to_string(),
                }));
            }
            let value = fields.next_value_seed(Strict {
                refusal: self.refusal,
                at: Place::Key(&self.at, &key),
                depth,
            })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &[u8]) -> JsonError {
        parse(text, 1 << 20).unwrap_err()
    }

    #[test]
    fn a_plain_document_reads_as_serde_json_reads_it() {
        let text = br#" {"a":[1,-2,null,true,"x\u0041\n"],"b":{"":{}}, "c":9007199254740992} "#;
        let value = parse(text, 1 << 20).unwrap();
        assert_eq!(value, serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_twice_is_refused_at_every_depth_and_in_every_spelling() {
        for (text, at) in [
            (r#"{"a":1,"a":1}"#, "$"),
            (r#"{"b":[{},{"subject":1,"subj\u0065ct":2}]}"#, "$.b[1]"),
            (r#"{"x":{"y":{"":0,"":1}}}"#, "$.x.y"),
        ] {
            match refused(text.as_bytes()) {
                JsonError::DuplicateKey { path, .. } => assert_eq!(path, at),
                other => panic!("{text}: {other}"),
            }
        }
    }

    #[test]
    fn numbers_that_readers_disagree_on_are_refused() {
        for number in [
            "1.5",
            "1e2",
            "-0.0",
            "9007199254740993",
            "-9007199254740993",
            "1e400",
        ] {
            let text = format!("[{number}]");
            assert!(parse(text.as_bytes(), 100).is_err(), "{number}");
        }
        assert!(matches!(refused(b"[0,1.5]"), JsonError::Number { path } if path == "$[1]"));
    }

    #[test]
    fn nesting_is_bounded_before_the_stack_is() {
        let nested = |n: usize| [b"[".repeat(n), b"]".repeat(n)].concat();
        assert!(parse(&nested(DEPTH_MAX), 1 << 20).is_ok());
        assert!(matches!(
            refused(&nested(DEPTH_MAX + 1)),
            JsonError::TooDeep
        ));
        assert!(matches!(refused(&nested(100_000)), JsonError::TooDeep));
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in [
            b"".as_slice(),
            b"{} {}",
            b"{}x",
            b"{\"a\":1",
            b"\xef\xbb\xbf{}",
            b"{}\0",
            b"{\"a\0\":1}",
            b"{'a':1}",
            b"NaN",
            &utf16,
        ] {
            assert!(matches!(refused(text), JsonError::Syntax(_)), "{text:?}");
        }
        assert!(matches!(refused(b"\"\xff\""), JsonError::Utf8(_)));
        assert!(matches!(
            parse(b"[1]", 2),
            Err(JsonError::TooLarge { found: 3, limit: 2 })
        ));
    }
}
