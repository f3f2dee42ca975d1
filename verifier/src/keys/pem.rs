//! The outer form of a key file: exactly one PEM block (RFC 7468).

use pkcs8::der::SecretDocument;

use super::{KEY_FILE_MAX, KeyError};

pub(super) const PRIVATE: &str = "PRIVATE KEY";
pub(super) const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
pub(super) const PUBLIC: &str = "PUBLIC KEY";

/// What a file is by its first line, without a look at the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFile {
    /// A private key as it is.
    Private,
    /// A private key behind a passphrase.
    Encrypted,
}

/// What a file with this first line is, if it can be signed with.
pub fn key_file(first_line: &str) -> Result<KeyFile, KeyError> {
    match label(first_line).ok_or(KeyError::NoPem)? {
        PRIVATE => Ok(KeyFile::Private),
        ENCRYPTED => Ok(KeyFile::Encrypted),
        PUBLIC => Err(KeyError::PublicAsPrivate),
        other => Err(KeyError::Label {
            expected: PRIVATE,
            found: other.chars().take(40).collect(),
        }),
    }
}

/// The DER inside the one PEM block of `text`, which must have the label `expected`.
///
/// Text before the block is refused by the decoder, text behind it here: a file that one tool
/// reads as one key and another as a second one must not name a signer.
pub(super) fn decode(text: &str, expected: &'static str) -> Result<SecretDocument, KeyError> {
    if text.len() > KEY_FILE_MAX {
        return Err(KeyError::TooLarge(text.len()));
    }
    let label = label(text).ok_or(KeyError::NoPem)?;
    if label != expected {
        return Err(match label {
            ENCRYPTED => KeyError::Encrypted,
            PUBLIC => KeyError::PublicAsPrivate,
            _ if expected == PUBLIC && label.ends_with(PRIVATE) => KeyError::PrivateAsPublic,
            _ => KeyError::Label {
                expected,
                found: label.chars().take(40).collect(),
            },
        });
    }
    let end = format!("-----END {expected}-----");
    match text.find(&end) {
        Some(at) if !text[at + end.len()..].trim_ascii().is_empty() => {
            return Err(KeyError::TrailingData);
        }
        _ => {}
    }
    let (_, der) = SecretDocument::from_pem(text.trim_ascii())
        .map_err(|error| KeyError::Encoding(error.into()))?;
    Ok(der)
}

fn label(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, _) = rest.split_once("-----")?;
    Some(label)
}
