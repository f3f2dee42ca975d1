//! Signed text, and who signed it.

use std::{collections::BTreeSet, fmt, num::NonZeroUsize};

use pgp::{
    composed::CleartextSignedMessage,
    packet::{Signature, SignatureType},
};

use super::keyring::{KeyRefusal, Keyring, created, hex, is_acceptable, is_strong_hash, time};
use crate::lock::Fingerprint;

/// Seconds that the clock of an archive may be ahead of ours.
pub(super) const AHEAD: i64 = 3600;

/// Most signatures on one text; Debian's releases have three.
const MAX_SIGNATURES: usize = 64;

/// What becomes of a release or key whose time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expiry {
    /// It is refused: an old state can be given out by whoever sits between, and it lacks the
    /// security updates since.
    #[default]
    Refuse,
    /// It is taken, if the key was good when it signed: for a state of the past, on purpose.
    Accept,
}

/// Who is believed, and when.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The keys.
    pub keyring: Keyring,
    /// How many of them must have signed.
    pub threshold: NonZeroUsize,
    /// What becomes of what was good once.
    pub expiry: Expiry,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why one signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefusal {
    /// The keyring has no such key.
    #[error("the keyring does not have the key")]
    UnknownKey,
    /// A hash that is broken, or that nobody uses.
    #[error("{0} is no hash to rely on")]
    Hash(String),
    /// A kind of signature that is not for texts, or with parts that are not understood.
    #[error("it is no signature of a text that is understood")]
    Kind,
    /// Made in the future.
    #[error("it was made at {}, which is in the future", time(*.0))]
    Future(i64),
    /// It was good until then.
    #[error("it expired at {}", time(*.0))]
    Expired(i64),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
}

impl SignatureRefusal {
    /// Whether it would count if time did not matter.
    pub(super) const fn is_expiry(&self) -> bool {
        matches!(self, Self::Expired(_) | Self::Key(KeyRefusal::Expired(_)))
    }
}

/// One signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Fingerprint or id of the key, as the signature names it.
    pub key: String,
    /// Why.
    pub why: SignatureRefusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.why)
    }
}

/// Why a text is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a text with signatures.
    #[error("it is not a signed text")]
    Malformed,
    /// A key of the keyring is named, and did not sign this.
    #[error("the signature by {0} is wrong: the text was changed")]
    Wrong(String),
    /// Too few count.
    #[error(
        "it is signed by {counted} of the {threshold} keys needed{}",
        list(refused)
    )]
    TooFew {
        /// Keys whose signatures count.
        counted: usize,
        /// Keys that are needed.
        threshold: NonZeroUsize,
        /// The other signatures.
        refused: Vec<Refused>,
    },
}

impl SignatureError {
    /// Whether it would be believed if time did not matter.
    pub(super) fn is_expiry(&self) -> bool {
        match self {
            Self::TooFew { refused, .. } => refused.iter().any(|one| one.why.is_expiry()),
            Self::Malformed | Self::Wrong(_) => false,
        }
    }
}

fn list(refused: &[Refused]) -> String {
    let all = refused.iter().map(|one| format!("; not counted: {one}"));
    all.collect()
}

/// A text, and the keys whose signatures on it count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedText {
    /// Exactly what was signed; lines end in CR LF.
    pub(super) text: String,
    /// Primary keys, sorted.
    pub(super) signed_by: BTreeSet<Fingerprint>,
}

impl Trust {
    /// Opens a text with signatures around it (RFC 9580, section 7). Nothing outside of what is
    /// signed is given back.
    pub(super) fn open(&self, bytes: &[u8]) -> Result<SignedText, SignatureError> {
        let text = str::from_utf8(bytes).map_err(|_| SignatureError::Malformed)?;
        let (message, _) =
            CleartextSignedMessage::from_string(text).map_err(|_| SignatureError::Malformed)?;
        let signatures = message.signatures();
        if signatures.len() > MAX_SIGNATURES {
            return Err(SignatureError::Malformed);
        }
        let text = message.signed_text();
        let mut signed_by = BTreeSet::new();
        let mut refused = Vec::new();
        for signature in signatures {
            match self.judge(signature, text.as_bytes())? {
                Ok(key) => {
                    signed_by.insert(key);
                }
                Err(why) => refused.push(Refused {
                    key: issuer(signature),
                    why,
                }),
            }
        }
        if signed_by.len() < self.threshold.get() {
            return Err(SignatureError::TooFew {
                counted: signed_by.len(),
                threshold: self.threshold,
                refused,
            });
        }
        Ok(SignedText { text, signed_by })
    }

    /// The primary key that a signature counts for.
    fn judge(
        &self,
        signature: &Signature,
        text: &[u8],
    ) -> Result<Result<Fingerprint, SignatureRefusal>, SignatureError> {
        let keys = self.keyring.candidates(signature);
        if keys.is_empty() {
            return Ok(Err(SignatureRefusal::UnknownKey));
        }
        if let Err(why) = self.judge_itself(signature) {
            return Ok(Err(why));
        }
        let Some(key) = keys.iter().find(|key| key.made(signature, text)) else {
            return Err(SignatureError::Wrong(issuer(signature)));
        };
        let now = match self.expiry {
            Expiry::Refuse => Some(self.now),
            Expiry::Accept => None,
        };
        if let Err(why) = key.check(created(signature), now) {
            return Ok(Err(why.into()));
        }
        Ok(key.primary().ok_or(SignatureRefusal::Kind))
    }

    /// What can be said without the key.
    fn judge_itself(&self, signature: &Signature) -> Result<(), SignatureRefusal> {
        let kind = matches!(
            signature.typ(),
            Some(SignatureType::Text | SignatureType::Binary)
        );
        let hash = signature.hash_alg().ok_or(SignatureRefusal::Kind)?;
        if !is_strong_hash(hash) {
            return Err(SignatureRefusal::Hash(hash.to_string()));
        }
        let made = created(signature);
        if !kind || made == 0 || !is_acceptable(signature) {
            return Err(SignatureRefusal::Kind);
        }
        if made > self.now + AHEAD {
            return Err(SignatureRefusal::Future(made));
        }
        let life = signature
            .signature_expiration_time()
            .map_or(0, |life| life.as_secs());
        let end = made + i64::from(life);
        if life != 0 && end <= self.now && self.expiry == Expiry::Refuse {
            return Err(SignatureRefusal::Expired(end));
        }
        Ok(())
    }
}

/// The key that a signature names.
fn issuer(signature: &Signature) -> String {
    let fingerprints = signature.issuer_fingerprint();
    let ids = signature.issuer_key_id();
    match (fingerprints.first(), ids.first()) {
        (Some(fingerprint), _) => hex(fingerprint),
        (None, Some(id)) => id.to_string().to_uppercase(),
        (None, None) => "a key without name".into(),
    }
}
