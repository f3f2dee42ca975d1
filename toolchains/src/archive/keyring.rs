//! The keys that may sign a release, and which of them can at a given time.
//!
//! `pgp` reads packets and checks single signatures; which self-signature counts, what a
//! revocation or an expiry means and what is too weak is decided here.

use pgp::{
    composed::{Deserializable as _, SignedPublicKey, SignedPublicSubKey},
    crypto::hash::HashAlgorithm,
    packet::{Signature, SignatureType, SubpacketData},
    ser::Serialize,
    types::{Fingerprint as PgpFingerprint, KeyDetails, PublicParams, Tag, VerifyingKey},
};

use crate::lock::Fingerprint;

/// Shortest modulus of an RSA key, in bits: what Debian's own policy asks for at least.
const MIN_RSA_BITS: u16 = 2048;

/// Largest keyring; Debian's has 56 KiB.
pub const MAX_KEYRING: u64 = 16 << 20;

/// Why bytes are not a keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// Not OpenPGP certificates.
    #[error("the keyring is not a list of OpenPGP keys")]
    Malformed(#[source] Box<pgp::errors::Error>),
    /// Nothing in it.
    #[error("the keyring has no key")]
    Empty,
}

/// Why a key's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// Its owner took it back.
    #[error("the key is revoked")]
    Revoked,
    /// It was good until then.
    #[error("the key expired at {}", time(*.0))]
    Expired(i64),
    /// Its own signatures on itself are missing, wrong, or of a hash that is broken.
    #[error("the key has no valid signature on itself")]
    Unbound,
    /// It is for something else.
    #[error("the key is not for signing")]
    NotForSigning,
    /// It can be broken.
    #[error("the key is too weak: RSA of {MIN_RSA_BITS} bits or more, ECDSA and EdDSA count")]
    Weak,
}

/// A time for people.
pub(super) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// OpenPGP certificates that are trusted to sign a release.
#[derive(Debug, Clone)]
pub struct Keyring(Vec<SignedPublicKey>);

impl Keyring {
    /// Parses certificates, binary or armoured, as `/usr/share/keyrings/*.gpg` and `*.asc` have
    /// them.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringError> {
        let malformed = |error| KeyringError::Malformed(Box::new(error));
        let mut all = Vec::new();
        for block in blocks(bytes) {
            let (keys, _) = SignedPublicKey::from_reader_many(block).map_err(malformed)?;
            for key in keys {
                all.push(key.map_err(malformed)?);
            }
        }
        if all.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self(all))
    }

    /// How many keys it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no key: never, since [`Self::parse`] refuses that.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that say of themselves to have made `signature`.
    pub(super) fn candidates<'k>(&'k self, signature: &Signature) -> Vec<SigningKey<'k>> {
        let all = self.0.iter().flat_map(|certificate| {
            let own = SigningKey {
                certificate,
                subkey: None,
            };
            let subkeys = certificate.public_subkeys.iter().map(|subkey| SigningKey {
                certificate,
                subkey: Some(subkey),
            });
            std::iter::once(own).chain(subkeys)
        });
        all.filter(|key| key.is_issuer(signature)).collect()
    }
}

/// The armoured blocks of a file, of which there can be several; a binary keyring is one.
fn blocks(bytes: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let starts: Vec<usize> = (bytes.windows(BEGIN.len()).enumerate())
        .filter(|(_, window)| *window == BEGIN)
        .map(|(at, _)| at)
        .collect();
    if starts.is_empty() {
        return vec![bytes];
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let pairs = starts.iter().zip(ends);
    pairs.map(|(start, end)| &bytes[*start..end]).collect()
}

/// A primary key, or a subkey of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct SigningKey<'k> {
    certificate: &'k SignedPublicKey,
    subkey: Option<&'k SignedPublicSubKey>,
}

impl SigningKey<'_> {
    /// Fingerprint of the primary key, by which people know it.
    pub(super) fn primary(&self) -> Option<Fingerprint> {
        hex(&self.certificate.fingerprint()).parse().ok()
    }

    fn is_issuer(&self, signature: &Signature) -> bool {
        let (fingerprint, id) = match self.subkey {
            Some(subkey) => (subkey.fingerprint(), subkey.legacy_key_id()),
            None => (
                self.certificate.fingerprint(),
                self.certificate.legacy_key_id(),
            ),
        };
        let fingerprints = signature.issuer_fingerprint();
        if fingerprints.is_empty() {
            signature.issuer_key_id().contains(&&id)
        } else {
            fingerprints.contains(&&fingerprint)
        }
    }

    /// Whether the key made `signature` of `data`; says nothing of the key.
    pub(super) fn made(&self, signature: &Signature, data: &[u8]) -> bool {
        match self.subkey {
            Some(subkey) => signature.verify(&subkey.key, data),
            None => signature.verify(&self.certificate.primary_key, data),
        }
        .is_ok()
    }

    /// Whether a signature that the key made at `made` counts at `now`. `now` is `None` where an
    /// expiry since `made` does not matter.
    pub(super) fn check(&self, made: i64, now: Option<i64>) -> Result<(), KeyRefusal> {
        let primary = &self.certificate.primary_key;
        let details = &self.certificate.details;
        if !is_strong(primary.public_params()) {
            return Err(KeyRefusal::Weak);
        }
        // Whatever the reason, and whatever its hash: a revocation that is not believed is a
        // worse mistake than one too many.
        let revoked = details.revocation_signatures.iter().any(|signature| {
            signature.typ() == Some(SignatureType::KeyRevocation)
                && signature.verify_key(primary).is_ok()
        });
        if revoked {
            return Err(KeyRefusal::Revoked);
        }
        let own = self.own_signatures();
        let own = newest(own).ok_or(KeyRefusal::Unbound)?;
        not_expired(primary, own, made, now)?;
        match self.subkey {
            None => may_sign(own),
            Some(subkey) => check_subkey(subkey, primary, made, now),
        }
    }

    /// The valid signatures of the primary key on itself and on its names.
    fn own_signatures(&self) -> Vec<&Signature> {
        let primary = &self.certificate.primary_key;
        let details = &self.certificate.details;
        let direct = details.direct_signatures.iter().filter(|signature| {
            signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok()
        });
        let mut own: Vec<&Signature> = direct.collect();
        for user in &details.users {
            let valid = |signature: &&Signature| {
                signature
                    .verify_certification(primary, Tag::UserId, &user.id)
                    .is_ok()
            };
            let (revocations, bindings): (Vec<_>, Vec<_>) = user
                .signatures
                .iter()
                .partition(|signature| signature.typ() == Some(SignatureType::CertRevocation));
            if !revocations.iter().any(valid) {
                own.extend(bindings.into_iter().filter(valid));
            }
        }
        own
    }
}

fn check_subkey(
    subkey: &SignedPublicSubKey,
    primary: &(impl VerifyingKey + Serialize),
    made: i64,
    now: Option<i64>,
) -> Result<(), KeyRefusal> {
    if !is_strong(subkey.public_params()) {
        return Err(KeyRefusal::Weak);
    }
    let valid = subkey.signatures.iter().filter(|signature| {
        signature
            .verify_subkey_binding(primary, &subkey.key)
            .is_ok()
    });
    let (revocations, bindings): (Vec<_>, Vec<_>) =
        valid.partition(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
    if !revocations.is_empty() {
        return Err(KeyRefusal::Revoked);
    }
    let binding = newest(bindings).ok_or(KeyRefusal::Unbound)?;
    not_expired(&subkey.key, binding, made, now)?;
    may_sign(binding)?;
    // Without the subkey's own word anybody could bind a subkey of somebody else.
    let back = binding.embedded_signature().filter(|back| {
        is_acceptable(back)
            && back
                .verify_primary_key_binding(&subkey.key, primary)
                .is_ok()
    });
    back.map(drop).ok_or(KeyRefusal::Unbound)
}

/// The newest of those signatures that can be relied on: an older one may promise more.
fn newest(signatures: Vec<&Signature>) -> Option<&Signature> {
    let usable = signatures.into_iter().filter(|one| is_acceptable(one));
    usable.max_by_key(|signature| created(signature))
}

fn not_expired(
    key: &impl KeyDetails,
    binding: &Signature,
    made: i64,
    now: Option<i64>,
) -> Result<(), KeyRefusal> {
    let born = i64::from(key.created_at().as_secs());
    let life = binding
        .key_expiration_time()
        .map_or(0, pgp::types::Duration::as_secs);
    if made < born {
        return Err(KeyRefusal::Unbound);
    }
    let end = born + i64::from(life);
    if life != 0 && end <= now.unwrap_or(made).max(made) {
        return Err(KeyRefusal::Expired(end));
    }
    Ok(())
}

/// A key that says what it is for must be for signing.
fn may_sign(binding: &Signature) -> Result<(), KeyRefusal> {
    let config = binding.config().ok_or(KeyRefusal::Unbound)?;
    let mut says = config
        .hashed_subpackets()
        .filter_map(|one| match &one.data {
            SubpacketData::KeyFlags(flags) => Some(flags.sign()),
            _ => None,
        });
    match says.next() {
        Some(false) => Err(KeyRefusal::NotForSigning),
        Some(true) | None => Ok(()),
    }
}

/// When a signature was made; 0 if it does not say.
pub(super) fn created(signature: &Signature) -> i64 {
    signature
        .created()
        .map_or(0, |time| i64::from(time.as_secs()))
}

/// Whether a signature has a hash that is not broken, and nothing in it that must be understood
/// and is not.
pub(super) fn is_acceptable(signature: &Signature) -> bool {
    let Some(config) = signature.config() else {
        return false;
    };
    let understood = config.hashed_subpackets().all(|one| {
        !one.is_critical
            || !matches!(
                one.data,
                SubpacketData::Experimental(..) | SubpacketData::Other(..)
            )
    });
    understood && is_strong_hash(config.hash_alg)
}

/// SHA-1, MD5 and RIPE-MD are broken or near it; what nobody signs releases with is not taken.
pub(super) const fn is_strong_hash(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

fn is_strong(params: &PublicParams) -> bool {
    match params {
        PublicParams::RSA(rsa) => {
            // An integer of OpenPGP begins with its length in bits.
            let mut bytes = Vec::new();
            let written = rsa.to_writer(&mut bytes).is_ok();
            written
                && bytes
                    .first_chunk()
                    .is_some_and(|bits| u16::from_be_bytes(*bits) >= MIN_RSA_BITS)
        }
        PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => true,
        _ => false,
    }
}

/// Upper-case hexadecimal digits, as locks and people write fingerprints.
pub(super) fn hex(fingerprint: &PgpFingerprint) -> String {
    use std::fmt::Write as _;

    fingerprint
        .as_bytes()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let written = write!(text, "{byte:02X}");
            debug_assert!(written.is_ok(), "a String takes every write");
            text
        })
}
