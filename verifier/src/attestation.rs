//! A signed statement, before and after its signature was checked.
//!
//! Only an [`Attestation<Verified>`] hands out its statement: what was not verified cannot be
//! used by mistake.

use repro_core::json::CanonicalError;

use crate::{
    bundle::{BUNDLE_MAX, Bundle, BundleError},
    dsse::{Envelope, EnvelopeFileError},
    keys::{KeyId, PublicKey, Sign, SignError, SignatureError},
    statement::{Statement, StatementError},
};

/// Parsed, nothing checked.
#[derive(Debug, Clone)]
pub struct Unverified(());

/// Signed by a key of the verifier's choice; the statement is what the signature covers.
#[derive(Debug, Clone)]
pub struct Verified {
    statement: Statement,
    key: KeyId,
}

/// A statement in a Sigstore bundle.
#[derive(Debug, Clone)]
pub struct Attestation<State> {
    bundle: Bundle,
    state: State,
}

/// Why an attestation is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// The bundle names a key that is not among the accepted ones.
    #[error("the bundle names the key {hint}, the accepted keys are {accepted}")]
    OtherKey {
        /// The name in the bundle.
        hint: String,
        /// The accepted keys, separated by commas.
        accepted: String,
    },
    /// The one accepted key that fits did not make the signature.
    #[error("no signature by {key}")]
    Signature {
        /// The key that was tried last.
        key: KeyId,
        /// Why.
        #[source]
        source: SignatureError,
    },
    /// There is nothing to verify with.
    #[error("no public key to verify with")]
    NoKeys,
    /// Well signed, and no statement.
    #[error("the signed payload is not a statement that can be used")]
    Statement(#[from] StatementError),
}

impl Attestation<Unverified> {
    /// Parses a bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        Ok(Self {
            bundle: Bundle::parse(bytes)?,
            state: Unverified(()),
        })
    }

    /// Parses an envelope without a bundle, as readers before the bundle keep it. It names no key:
    /// every accepted one is tried.
    pub fn parse_envelope(bytes: &[u8]) -> Result<Self, EnvelopeFileError> {
        let envelope = Envelope::parse(bytes, BUNDLE_MAX)?;
        Ok(Self {
            bundle: Bundle::new(envelope, String::new()),
            state: Unverified(()),
        })
    }

    /// What somebody claims, whoever that is. For carrying a statement to where it belongs and for
    /// telling people what is there; nothing may be decided on it.
    pub fn claims(&self) -> Result<Statement, StatementError> {
        Statement::parse(self.bundle.envelope().unverified_payload())
    }

    /// Checks the signature against `keys`, then parses what it covers.
    ///
    /// The hint of the bundle only narrows: it can make a key be passed over, never be accepted.
    pub fn verify(self, keys: &[PublicKey]) -> Result<Attestation<Verified>, AttestationError> {
        let hint = self.bundle.hint();
        let mut last = None;
        for key in keys {
            if !hint.is_empty() && hint != key.id().to_string() {
                continue;
            }
            match self.bundle.envelope().verify(key) {
                Ok(payload) => {
                    let state = Verified {
                        statement: Statement::parse(payload)?,
                        key: key.id(),
                    };
                    return Ok(Attestation {
                        bundle: self.bundle,
                        state,
                    });
                }
                Err(source) => {
                    last = Some(AttestationError::Signature {
                        key: key.id(),
                        source,
                    });
                }
            }
        }
        Err(last.unwrap_or_else(|| match keys {
            [] => AttestationError::NoKeys,
            _ => AttestationError::OtherKey {
                hint: hint.chars().take(80).collect(),
                accepted: join(keys),
            },
        }))
    }
}

fn join(keys: &[PublicKey]) -> String {
    let ids: Vec<String> = keys.iter().map(|key| key.id().to_string()).collect();
    ids.join(", ")
}

impl Attestation<Verified> {
    /// Signs `statement`.
    pub fn sign(statement: Statement, key: &dyn Sign) -> Result<Self, SignError> {
        let envelope = Envelope::sign(statement.to_bytes()?, key)?;
        let id = key.public_key().id();
        Ok(Self {
            bundle: Bundle::new(envelope, id.to_string()),
            state: Verified { statement, key: id },
        })
    }

    /// What is said.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.state.statement
    }

    /// Who says it.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.state.key
    }
}

impl<State> Attestation<State> {
    /// The canonical bytes of its bundle.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        self.bundle.to_bytes()
    }

    /// The canonical bytes of its envelope alone.
    pub fn envelope_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        self.bundle.envelope().to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keys::{KeyKind, SigningKey},
        statement::Subject,
    };
    use repro_core::digest::Digest;

    fn key(kind: KeyKind, seed: u8) -> SigningKey {
        SigningKey::generate(kind, &mut |bytes| {
            bytes.fill(seed);
            Ok(())
        })
        .unwrap()
    }

    fn signed(key: &SigningKey) -> Vec<u8> {
        let statement = Statement {
            subjects: vec![Subject {
                name: "a".into(),
                digest: Digest::of(b"a"),
            }],
            predicate_type: "https://example.com/p/v1".into(),
            predicate: serde_json::Map::new(),
        };
        Attestation::sign(statement, key)
            .unwrap()
            .to_bytes()
            .unwrap()
    }

    #[test]
    fn only_an_accepted_key_verifies() {
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let (ours, other) = (key(kind, 1), key(kind, 2));
            let bytes = signed(&ours);
            let verify = |keys: &[PublicKey]| Attestation::parse(&bytes).unwrap().verify(keys);
            let both = [other.public_key(), ours.public_key()];
            assert_eq!(verify(&both).unwrap().key(), ours.public_key().id());
            assert!(matches!(
                verify(&[other.public_key()]),
                Err(AttestationError::OtherKey { .. })
            ));
            assert!(matches!(verify(&[]), Err(AttestationError::NoKeys)));
        }
    }

    #[test]
    fn a_hint_can_spoof_nothing() {
        let (ours, other) = (key(KeyKind::P256, 1), key(KeyKind::P256, 2));
        let bytes = String::from_utf8(signed(&other)).unwrap();
        let spoofed = bytes.replace(
            &other.public_key().id().to_string(),
            &ours.public_key().id().to_string(),
        );
        assert_ne!(spoofed, bytes);
        assert!(matches!(
            Attestation::parse(spoofed.as_bytes())
                .unwrap()
                .verify(&[ours.public_key()]),
            Err(AttestationError::Signature { .. })
        ));
    }

    #[test]
    fn one_flipped_bit_anywhere_refuses_or_changes_nothing() {
        let ours = key(KeyKind::P256, 1);
        let bytes = signed(&ours);
        let keys = [ours.public_key()];
        let statement = Attestation::parse(&bytes).unwrap().verify(&keys).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(parsed) = Attestation::parse(&flipped) else {
                continue;
            };
            if let Ok(verified) = parsed.verify(&keys) {
                assert_eq!(verified.statement(), statement.statement(), "bit {bit}");
            }
        }
        for eighth in 0..8 {
            let cut = &bytes[..bytes.len() * eighth / 8];
            assert!(Attestation::parse(cut).is_err(), "cut at {eighth}/8");
        }
    }
}
