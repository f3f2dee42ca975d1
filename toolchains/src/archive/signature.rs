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
            .map_or(0, pgp::types::Duration::as_secs);
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEYRING: &[u8] = include_bytes!("../../tests/signed/keyring.asc");

    macro_rules! signed {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/signed/", $name, ".asc"))
        };
    }

    /// Noon of the day of the signatures.
    const NOW: i64 = 1_783_771_200;

    fn trust() -> Trust {
        Trust {
            keyring: Keyring::parse(KEYRING).unwrap(),
            threshold: NonZeroUsize::MIN,
            expiry: Expiry::Refuse,
            now: NOW,
        }
    }

    fn refusal(trust: &Trust, bytes: &[u8]) -> SignatureRefusal {
        match trust.open(bytes) {
            Err(SignatureError::TooFew { mut refused, .. }) => refused.remove(0).why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_good_key_signed_is_believed() {
        for bytes in [
            &signed!("good")[..],
            signed!("subkey"),
            signed!("sha512"),
            signed!("short"),
            signed!("mixed"),
        ] {
            let opened = trust().open(bytes).unwrap();
            assert!(
                opened.text.starts_with("Origin: Example\r\n"),
                "{}",
                opened.text
            );
            assert_eq!(opened.signed_by.len(), 1);
        }
        let two = trust().open(signed!("two")).unwrap();
        assert_eq!(two.signed_by.len(), 2);
    }

    #[test]
    fn what_does_not_count_says_why() {
        for (bytes, why) in [
            (&signed!("stranger")[..], SignatureRefusal::UnknownKey),
            (signed!("weak"), KeyRefusal::Weak.into()),
            (signed!("revoked"), KeyRefusal::Revoked.into()),
            (signed!("sha1"), SignatureRefusal::Hash("SHA1".into())),
            (
                signed!("expired"),
                KeyRefusal::Expired(1_748_736_000).into(),
            ),
            (signed!("future"), SignatureRefusal::Future(1_893_456_000)),
        ] {
            let found = refusal(&trust(), bytes);
            let same_kind = std::mem::discriminant(&found) == std::mem::discriminant(&why);
            assert!(same_kind, "{found} and not {why}");
            if !why.is_expiry() {
                assert_eq!(found, why);
            }
        }
    }

    #[test]
    fn time_that_is_over_can_be_accepted_and_nothing_else() {
        let mut trust = trust();
        trust.now = NOW + 365 * 86_400;
        assert!(refusal(&trust, signed!("short")).is_expiry());
        let error = trust.open(signed!("short")).unwrap_err();
        assert!(error.is_expiry());
        trust.expiry = Expiry::Accept;
        for bytes in [&signed!("short")[..], signed!("expired"), signed!("good")] {
            trust.open(bytes).unwrap();
        }
        for bytes in [&signed!("revoked")[..], signed!("weak"), signed!("sha1")] {
            trust.open(bytes).unwrap_err();
        }
    }

    #[test]
    fn a_threshold_counts_keys() {
        let mut trust = trust();
        trust.threshold = NonZeroUsize::new(2).unwrap();
        trust.open(signed!("two")).unwrap();
        for bytes in [&signed!("good")[..], signed!("mixed")] {
            let error = trust.open(bytes).unwrap_err();
            assert!(error.to_string().contains("1 of the 2 keys"), "{error}");
        }
        // One signature twice is one key.
        let text = String::from_utf8(signed!("good").to_vec()).unwrap();
        let at = text.find("-----BEGIN PGP SIGNATURE").unwrap();
        trust
            .open(format!("{text}{}", &text[at..]).as_bytes())
            .unwrap_err();
    }

    #[test]
    fn a_change_anywhere_is_found() {
        let good = String::from_utf8(signed!("good").to_vec()).unwrap();
        let wrong = |text: &str| trust().open(text.as_bytes()).unwrap_err();
        for (from, to) in [
            ("moon", "sun"),
            ("ff 12", "fe 12"),
            ("SHA256:\n", "SHA256:\n\n"),
        ] {
            let error = wrong(&good.replace(from, to));
            assert!(matches!(error, SignatureError::Wrong(_)), "{error}");
        }
        let appended = format!("{good}Suite: other\n");
        let before = format!("Suite: other\n{good}");
        for text in [
            &appended,
            &before,
            "",
            "Suite: moon\n",
            &good[..good.len() / 2],
        ] {
            assert_eq!(wrong(text), SignatureError::Malformed, "{text}");
        }
        let text =
            &good[good.find("Origin").unwrap()..good.find("-----BEGIN PGP SIGNATURE").unwrap()];
        assert_eq!(wrong(text), SignatureError::Malformed);
    }

    #[test]
    fn keyrings() {
        let text = std::str::from_utf8(KEYRING).unwrap();
        assert_eq!(Keyring::parse(KEYRING).unwrap().len(), 6);
        assert_eq!(Keyring::parse(text.repeat(2).as_bytes()).unwrap().len(), 12);
        for bytes in [&b""[..], b"moon", &KEYRING[..KEYRING.len() / 2]] {
            assert!(Keyring::parse(bytes).is_err());
        }
    }
}
