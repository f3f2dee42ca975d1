//! Whoever can sign: a key in memory, or a program that has one.

use std::{error::Error, fmt};

use repro_core::json::CanonicalError;

use super::{PublicKey, SignatureError, SigningKey};

/// A holder of a private key. The key itself need not be in this process.
pub trait Sign: fmt::Debug {
    /// The public half, by which its signatures are checked.
    fn public_key(&self) -> PublicKey;

    /// Signs `message`, not a digest of it, in the form of [`super::KeyKind`].
    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;
}

impl Sign for SigningKey {
    fn public_key(&self) -> PublicKey {
        Self::public_key(self)
    }

    fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.sign(message))
    }
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// What is to be signed has no canonical form.
    #[error("what is to be signed has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// The holder of the key does not sign.
    #[error("the signer gave no signature")]
    Signer(#[source] Box<dyn Error + Send + Sync>),
    /// The holder of the key signs with another key, or something else.
    #[error("the signer gave a signature that is not one of its public key")]
    Wrong(#[source] SignatureError),
}

/// A signature by `key` over `message`, checked: a signer outside of this process can be set up
/// with another key than the one that it names, and evidence that nobody can verify is none.
pub fn sign(key: &dyn Sign, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let signature = key.sign_message(message).map_err(SignError::Signer)?;
    key.public_key()
        .verify(message, &signature)
        .map_err(SignError::Wrong)?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::KeyKind, testing::key};

    /// Names one key and signs with another, as a token with several slots can.
    #[derive(Debug)]
    struct Mixed(SigningKey, SigningKey);

    impl Sign for Mixed {
        fn public_key(&self) -> PublicKey {
            self.0.public_key()
        }

        fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
            self.1.sign_message(message)
        }
    }

    /// Has lost its key.
    #[derive(Debug)]
    struct Silent(SigningKey);

    impl Sign for Silent {
        fn public_key(&self) -> PublicKey {
            self.0.public_key()
        }

        fn sign_message(&self, _: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
            Err("no token in the slot".into())
        }
    }

    #[test]
    fn a_signature_of_another_key_is_never_written() {
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let good = Mixed(key(kind, 1), key(kind, 1));
            assert!(sign(&good, b"x").is_ok());
            let mixed = Mixed(key(kind, 1), key(kind, 2));
            assert!(matches!(sign(&mixed, b"x"), Err(SignError::Wrong(_))));
            let silent = Silent(key(kind, 1));
            assert!(matches!(sign(&silent, b"x"), Err(SignError::Signer(_))));
        }
        let other_kind = Mixed(key(KeyKind::P256, 1), key(KeyKind::Ed25519, 1));
        assert!(matches!(sign(&other_kind, b"x"), Err(SignError::Wrong(_))));
    }
}
