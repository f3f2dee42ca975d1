//! Files of the verifier: TOML with nothing in it that means nothing.

use std::{fmt, ops::Range, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Why a file of the verifier cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DocumentError {
    message: String,
    span: Option<Range<usize>>,
}

impl DocumentError {
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            span: None,
        }
    }

    /// At bytes of the text.
    pub(super) fn at(message: impl fmt::Display, span: Range<usize>) -> Self {
        Self {
            message: message.to_string(),
            span: Some(span),
        }
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where, in bytes of the text, if it is at one place.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }
}

impl From<toml::de::Error> for DocumentError {
    fn from(error: toml::de::Error) -> Self {
        Self {
            message: error.message().replace('\n', ", "),
            span: error.span(),
        }
    }
}

/// A value that is written as a text.
#[derive(Debug, Clone)]
pub(super) struct Parsed<T>(pub(super) T);

impl<'de, T> Deserialize<'de> for Parsed<T>
where
    T: FromStr<Err: fmt::Display>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A moment, written as RFC 3339 in quotes or as TOML's own date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) i64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Text(String),
            Toml(toml::value::Datetime),
        }
        let text = match Raw::deserialize(deserializer)? {
            Raw::Text(text) => text,
            Raw::Toml(moment) => moment.to_string(),
        };
        // A date alone would be another moment in each time zone.
        let moment: Timestamp = text.parse().map_err(|_| {
            let shown: String = text.chars().take(40).collect();
            D::Error::custom(format!(
                "{shown:?} is not a time in RFC 3339, such as 2027-01-31T00:00:00Z"
            ))
        })?;
        Ok(Self(moment.as_second()))
    }
}

/// The one version of a file that is read.
pub(super) fn first_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match u64::deserialize(deserializer)? {
        1 => Ok(()),
        other => Err(D::Error::custom(format!(
            "version {other} is not known; this version of repro reads version 1"
        ))),
    }
}

/// A moment as statements have it.
pub(crate) fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |moment| moment.to_string())
}
