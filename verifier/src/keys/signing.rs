//! The private half.

use std::{fmt, io};

use p256::ecdsa::signature::Signer as _;
use pkcs8::{
    EncodePrivateKey as _, LineEnding, ObjectIdentifier, PrivateKeyInfoRef,
    der::asn1::ObjectIdentifier as Oid,
};
use zeroize::Zeroizing;

use super::{KeyError, KeyKind, PublicKey, pem};

/// RFC 8410, `id-Ed25519`.
pub(super) const ED25519_OID: Oid = ed25519_dalek::pkcs8::ALGORITHM_OID;
/// RFC 5480, `id-ecPublicKey`; the curve is its parameter.
pub(super) const EC_OID: Oid = Oid::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480, `secp256r1`.
pub(super) const P256_OID: Oid = Oid::new_unwrap("1.2.840.10045.3.1.7");

/// Draws for one key. A draw is no scalar of P-256 once in 2^32, so a second one is rare and a
/// tenth means that the source repeats itself.
const ATTEMPTS: u32 = 10;

/// A private key. Wiped from memory when dropped; its debug form shows the public half only.
pub struct SigningKey(Secret);

enum Secret {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl SigningKey {
    /// A new key. `fill` must overwrite its argument with bytes of a cryptographic source of
    /// randomness; this library has none of its own.
    pub fn generate(
        kind: KeyKind,
        fill: &mut dyn FnMut(&mut [u8]) -> io::Result<()>,
    ) -> Result<Self, KeyError> {
        for _ in 0..ATTEMPTS {
            let mut seed = Zeroizing::new([0_u8; 32]);
            fill(seed.as_mut_slice()).map_err(KeyError::Entropy)?;
            // For P-256 an all-zero seed is refused as a scalar; for Ed25519 it would pass, and
            // only a source that never wrote gives it.
            if seed.iter().all(|byte| *byte == 0) {
                continue;
            }
            match kind {
                KeyKind::Ed25519 => {
                    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
                    return Ok(Self(Secret::Ed25519(key)));
                }
                KeyKind::P256 => {
                    if let Ok(key) = p256::ecdsa::SigningKey::from_slice(seed.as_slice()) {
                        return Ok(Self(Secret::P256(key)));
                    }
                }
            }
        }
        Err(KeyError::BrokenEntropy(ATTEMPTS))
    }

    /// Parses a key file: one PEM block `PRIVATE KEY` with PKCS#8 in it.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::decode(text, pem::PRIVATE)?;
        let info: PrivateKeyInfoRef<'_> = der
            .decode_msg()
            .map_err(|error: pkcs8::der::Error| KeyError::Encoding(error.into()))?;
        Self::of_info(info)
    }

    pub(super) fn of_info(info: PrivateKeyInfoRef<'_>) -> Result<Self, KeyError> {
        match info.algorithm.oid {
            ED25519_OID => {
                let key = ed25519_dalek::SigningKey::try_from(info).map_err(KeyError::Encoding)?;
                Ok(Self(Secret::Ed25519(key)))
            }
            EC_OID => {
                let curve = info
                    .algorithm
                    .parameters_oid()
                    .map_err(|error| KeyError::Encoding(error.into()))?;
                if curve != P256_OID {
                    return Err(unsupported(curve));
                }
                let key = p256::ecdsa::SigningKey::try_from(info).map_err(KeyError::Encoding)?;
                Ok(Self(Secret::P256(key)))
            }
            other => Err(unsupported(other)),
        }
    }

    /// The key file: PKCS#8 in PEM.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let pem = match &self.0 {
            Secret::P256(key) => p256::SecretKey::from(key).to_pkcs8_pem(LineEnding::LF),
            // Version 1, without the public half: OpenSSL before 3.0 refuses version 2.
            Secret::Ed25519(key) => ed25519_dalek::pkcs8::KeypairBytes {
                secret_key: key.to_bytes(),
                public_key: None,
            }
            .to_pkcs8_pem(LineEnding::LF),
        };
        pem.map_err(KeyError::Encoding)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        match &self.0 {
            Secret::P256(key) => PublicKey::p256(*key.verifying_key()),
            Secret::Ed25519(key) => PublicKey::ed25519(key.verifying_key()),
        }
    }

    /// Which algorithm it is for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match &self.0 {
            Secret::P256(_) => KeyKind::P256,
            Secret::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// Signs `message`, in the form that [`KeyKind`] names. Both algorithms are deterministic
    /// (RFC 6979, RFC 8032): no signature depends on a source of randomness being good.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Secret::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey")
            .field(&self.public_key())
            .finish()
    }
}

pub(super) fn unsupported(oid: ObjectIdentifier) -> KeyError {
    KeyError::Algorithm(match oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => "RSA".to_owned(),
        "1.3.132.0.34" => "ECDSA on P-384".to_owned(),
        "1.3.132.0.35" => "ECDSA on P-521".to_owned(),
        "1.3.132.0.10" => "ECDSA on secp256k1".to_owned(),
        "1.3.101.113" => "Ed448".to_owned(),
        other => other.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> impl FnMut(&mut [u8]) -> io::Result<()> {
        let mut next = 1_u8;
        move |bytes| {
            bytes.fill(next);
            next += 1;
            Ok(())
        }
    }

    #[test]
    fn a_key_file_round_trips() {
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let key = SigningKey::generate(kind, &mut counter()).unwrap();
            let pem = key.to_pem().unwrap();
            let again = SigningKey::from_pem(&pem).unwrap();
            assert_eq!(again.kind(), kind);
            assert_eq!(again.public_key(), key.public_key());
            assert_eq!(
                again.sign(b"x"),
                key.sign(b"x"),
                "signatures are deterministic"
            );
            assert!(!format!("{key:?}").contains("PRIVATE"));
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused_by_name() {
        let key = SigningKey::generate(KeyKind::P256, &mut counter()).unwrap();
        let pem = key.to_pem().unwrap();
        let public = key.public_key().to_pem();
        let sec1 = pem.replace("PRIVATE KEY", "EC PRIVATE KEY");
        let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let twice = format!("{}{}", *pem, *pem);
        let trailing = format!("{}x", *pem);
        let long = "x".repeat(KEY_FILE_MAX_PLUS_ONE);
        let damaged = pem.replacen('M', "?", 3);
        let is = |text: &str| SigningKey::from_pem(text).unwrap_err();
        assert!(matches!(is(""), KeyError::NoPem));
        assert!(matches!(is(&public), KeyError::PublicAsPrivate));
        assert!(matches!(is(&sec1), KeyError::Label { .. }));
        assert!(matches!(is(&encrypted), KeyError::Encrypted));
        assert!(matches!(is(&twice), KeyError::TrailingData));
        assert!(matches!(is(&trailing), KeyError::TrailingData));
        assert!(matches!(is(&long), KeyError::TooLarge(_)));
        assert!(matches!(is(&damaged), KeyError::Encoding(_)));
        for cut in 1..pem.trim_ascii().len() {
            assert!(SigningKey::from_pem(&pem[..cut]).is_err(), "cut at {cut}");
        }
    }

    const KEY_FILE_MAX_PLUS_ONE: usize = super::super::KEY_FILE_MAX + 1;

    #[test]
    fn a_broken_source_of_randomness_is_found() {
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let zeros = SigningKey::generate(kind, &mut |_| Ok(()));
            assert!(matches!(zeros, Err(KeyError::BrokenEntropy(_))));
            let failing = SigningKey::generate(kind, &mut |_| Err(io::Error::other("none")));
            assert!(matches!(failing, Err(KeyError::Entropy(_))));
        }
    }
}
