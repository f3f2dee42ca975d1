//! Signing keys and public keys: ECDSA on P-256 with SHA-256, and Ed25519.
//!
//! A key is a PEM file: PKCS#8 (RFC 5958) for the private half, `SubjectPublicKeyInfo`
//! (RFC 5280) for the public one. The algorithm of a signature is fixed by the type of the key
//! and never read from the data that it signs.

mod encrypted;
mod pem;
mod public;
mod sign;
mod signing;

use std::{fmt, io, str::FromStr};

pub use pem::{KeyFile, key_file};
pub use public::{PublicKey, SignatureError};
pub use sign::{Sign, SignError, sign};
pub use signing::SigningKey;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use repro_core::digest::Digest;

/// Largest PEM file that is looked at. A P-256 or Ed25519 key has less than 300 bytes; the rest
/// is room for comment lines around it.
pub const KEY_FILE_MAX: usize = 16 * 1024;

/// The algorithm of a key, and with it the form of its signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum KeyKind {
    /// ECDSA on NIST P-256 with SHA-256; signatures are the ASN.1 DER of `r` and `s`. What SLSA
    /// recommends and every verifier of Sigstore bundles knows.
    #[default]
    P256,
    /// Ed25519 (RFC 8032, not prehashed); signatures are 64 bytes.
    Ed25519,
}

impl KeyKind {
    /// The name on the command line and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no kind of key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind of key; the kinds are p256 and ed25519")]
pub struct UnknownKeyKind(String);

impl FromStr for KeyKind {
    type Err = UnknownKeyKind;

    fn from_str(name: &str) -> Result<Self, UnknownKeyKind> {
        [Self::P256, Self::Ed25519]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownKeyKind(name.chars().take(40).collect()))
    }
}

/// The name of a key: the SHA-256 of its `SubjectPublicKeyInfo` in DER. Written in standard
/// base64, as the hint of a Sigstore bundle has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(Digest);

impl KeyId {
    fn of_spki(der: &[u8]) -> Self {
        Self(Digest::of(der))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.as_raw()))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no key, or no key could be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// More than [`KEY_FILE_MAX`] bytes.
    #[error("a key file has at most {KEY_FILE_MAX} bytes, this one has {0}")]
    TooLarge(usize),
    /// No PEM block at all.
    #[error("no PEM block; a key begins with a line like -----BEGIN PRIVATE KEY-----")]
    NoPem,
    /// Something behind the one PEM block, or a second block.
    #[error("there is data behind the end of the key; a key file holds one key and nothing else")]
    TrailingData,
    /// A public key where a private one is needed.
    #[error("this is a public key; signing needs the private one (PEM label PRIVATE KEY)")]
    PublicAsPrivate,
    /// A private key where a public one is needed.
    #[error(
        "this is a private key; verification needs the public one (PEM label PUBLIC KEY) and never \
         the private"
    )]
    PrivateAsPublic,
    /// PKCS#8 with a password.
    #[error("this key is encrypted, and no passphrase was given")]
    Encrypted,
    /// PKCS#8 with another password.
    #[error("the passphrase does not open this key")]
    Passphrase,
    /// A passphrase that protects nothing.
    #[error("an empty passphrase protects nothing")]
    EmptyPassphrase,
    /// A PEM label of another format.
    #[error(
        "PEM label {found:?} is not {expected:?}; convert the key to PKCS#8 or SubjectPublicKeyInfo"
    )]
    Label {
        /// The label needed here.
        expected: &'static str,
        /// The label found.
        found: String,
    },
    /// The block does not decode.
    #[error("the key does not decode")]
    Encoding(#[source] pkcs8::Error),
    /// An algorithm other than P-256 and Ed25519.
    #[error("key algorithm {0} is not supported; use ECDSA on P-256 or Ed25519")]
    Algorithm(String),
    /// The caller's source of randomness failed.
    #[error("no randomness for a new key")]
    Entropy(#[source] io::Error),
    /// The caller's source of randomness gives no usable scalar again and again: it is broken.
    #[error("the source of randomness gives no usable key in {0} attempts")]
    BrokenEntropy(u32),
}
