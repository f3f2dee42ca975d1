//! Canonical JSON: sorted keys, no white space, integers only (ruleset 1, rule 17).
//!
//! The subset of RFC 8785 that documents without fractions need; a fraction is an error, so
//! the number formatting of ECMAScript never comes into play.

use serde::Serialize;

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// The value itself does not serialise.
    #[error("the value does not serialise as JSON")]
    Json(#[from] serde_json::Error),
    /// A number with a fraction or an exponent.
    #[error("number {0} is not an integer")]
    Fraction(String),
}

/// The canonical bytes of `value`.
///
/// Keys sort by UTF-16 code units in RFC 8785; every key that `repro` writes is ASCII or an
/// annotation chosen by the user, and both orders agree below U+E000, so bytes are compared.
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    // `serde_json::Value` keeps maps in a `BTreeMap`: going through it sorts every level.
    let value = serde_json::to_value(value)?;
    refuse_fractions(&value)?;
    Ok(serde_json::to_vec(&value)?)
}

fn refuse_fractions(value: &serde_json::Value) -> Result<(), CanonicalError> {
    match value {
        serde_json::Value::Number(number) if number.is_f64() => {
            Err(CanonicalError::Fraction(number.to_string()))
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(refuse_fractions),
        serde_json::Value::Object(fields) => fields.values().try_for_each(refuse_fractions),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value = serde_json::json!({"b": {"z": 1, "a": [{"y": 1, "x": 2}]}, "a": null});
        let bytes = canonical(&value).unwrap();
        assert_eq!(bytes, br#"{"a":null,"b":{"a":[{"x":2,"y":1}],"z":1}}"#);
    }

    #[test]
    fn fractions_are_refused() {
        assert!(matches!(
            canonical(&serde_json::json!({"a": [1.5]})),
            Err(CanonicalError::Fraction(_))
        ));
    }
}
