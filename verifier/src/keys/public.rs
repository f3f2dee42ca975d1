//! The public half.

use std::fmt;

use p256::ecdsa::signature::Verifier as _;
use pkcs8::{EncodePublicKey as _, LineEnding, spki::SubjectPublicKeyInfoRef};

use super::{
    KeyError, KeyId, KeyKind, pem,
    signing::{EC_OID, ED25519_OID, P256_OID, unsupported},
};

/// A public key: who signed.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: Point,
    id: KeyId,
    pem: String,
}

#[derive(Clone, PartialEq, Eq)]
enum Point {
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// Why a signature is not one of this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// ECDSA: not the DER of two integers within the order of the curve. The other common form,
    /// 64 raw bytes (IEEE P1363), is refused too: one form, one meaning.
    #[error("the signature is not the ASN.1 DER of an ECDSA signature on P-256")]
    NotDer,
    /// Ed25519: not 64 bytes.
    #[error("an Ed25519 signature has 64 bytes, this one has {0}")]
    Length(usize),
    /// Well-formed, and of another key or message.
    #[error("the signature does not match the message")]
    Mismatch,
}

impl PublicKey {
    pub(super) fn p256(key: p256::ecdsa::VerifyingKey) -> Self {
        let document = key
            .to_public_key_der()
            .expect("a point of the curve always has a DER form");
        Self::new(Point::P256(key), &document)
    }

    pub(super) fn ed25519(key: ed25519_dalek::VerifyingKey) -> Self {
        let document = key
            .to_public_key_der()
            .expect("32 bytes always have a DER form");
        Self::new(Point::Ed25519(key), &document)
    }

    fn new(point: Point, spki: &pkcs8::Document) -> Self {
        Self {
            point,
            id: KeyId::of_spki(spki.as_bytes()),
            pem: spki
                .to_pem(pem::PUBLIC, LineEnding::LF)
                .expect("the label is a constant that PEM allows"),
        }
    }

    /// Parses a key file: one PEM block `PUBLIC KEY` with a `SubjectPublicKeyInfo` in it.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::decode(text, pem::PUBLIC)?;
        let spki: SubjectPublicKeyInfoRef<'_> = der
            .decode_msg()
            .map_err(|error: pkcs8::der::Error| KeyError::Encoding(error.into()))?;
        let encoding = |error: pkcs8::spki::Error| KeyError::Encoding(error.into());
        match spki.algorithm.oid {
            ED25519_OID => ed25519_dalek::VerifyingKey::try_from(spki)
                .map(Self::ed25519)
                .map_err(encoding),
            EC_OID => {
                let curve = spki.algorithm.parameters_oid().map_err(encoding)?;
                if curve != P256_OID {
                    return Err(unsupported(curve));
                }
                p256::ecdsa::VerifyingKey::try_from(spki)
                    .map(Self::p256)
                    .map_err(encoding)
            }
            other => Err(unsupported(other)),
        }
    }

    /// The key file.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.pem.clone()
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Which algorithm it is for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match self.point {
            Point::P256(_) => KeyKind::P256,
            Point::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// The 32 bytes of an Ed25519 key; `None` for others.
    #[must_use]
    pub fn ed25519_bytes(&self) -> Option<[u8; 32]> {
        match &self.point {
            Point::P256(_) => None,
            Point::Ed25519(key) => Some(key.to_bytes()),
        }
    }

    /// Checks that `signature` is this key's over `message`.
    ///
    /// An ECDSA signature with a high `s` passes: signers of the field do not normalise it, and
    /// both forms say the same of the same message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match &self.point {
            Point::P256(key) => {
                let signature = p256::ecdsa::DerSignature::try_from(signature)
                    .map_err(|_| SignatureError::NotDer)?;
                key.verify(message, &signature)
                    .map_err(|_| SignatureError::Mismatch)
            }
            Point::Ed25519(key) => {
                let signature = <[u8; 64]>::try_from(signature)
                    .map_err(|_| SignatureError::Length(signature.len()))?;
                // The strict form refuses keys and points of small order, for which one
                // signature fits many messages.
                key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature))
                    .map_err(|_| SignatureError::Mismatch)
            }
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.kind(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;

    fn key(kind: KeyKind, seed: u8) -> SigningKey {
        SigningKey::generate(kind, &mut |bytes| {
            bytes.fill(seed);
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn a_signature_fits_its_key_and_message_only() {
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let signing = key(kind, 7);
            let public = PublicKey::from_pem(&signing.public_key().to_pem()).unwrap();
            let signature = signing.sign(b"message");
            assert_eq!(public.verify(b"message", &signature), Ok(()));
            assert!(public.verify(b"massage", &signature).is_err());
            assert!(
                key(kind, 8)
                    .public_key()
                    .verify(b"message", &signature)
                    .is_err()
            );
            for bit in 0..signature.len() * 8 {
                let mut flipped = signature.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(public.verify(b"message", &flipped).is_err(), "bit {bit}");
            }
            for length in 0..signature.len() {
                assert!(public.verify(b"message", &signature[..length]).is_err());
            }
            let trailing = [signature.as_slice(), &[0]].concat();
            assert!(public.verify(b"message", &trailing).is_err());
        }
    }

    #[test]
    fn the_raw_form_of_an_ecdsa_signature_is_refused() {
        let signing = key(KeyKind::P256, 7);
        let der = p256::ecdsa::DerSignature::try_from(signing.sign(b"m").as_slice()).unwrap();
        let raw = p256::ecdsa::Signature::try_from(der).unwrap().to_bytes();
        let public = signing.public_key();
        assert_eq!(public.verify(b"m", &raw), Err(SignatureError::NotDer));
        // r = s = 0 as DER.
        let zero = [0x30, 6, 2, 1, 0, 2, 1, 0];
        assert!(public.verify(b"m", &zero).is_err());
    }

    #[test]
    fn what_is_no_public_key_is_refused_by_name() {
        let signing = key(KeyKind::Ed25519, 7);
        let private = signing.to_pem().unwrap();
        let public = signing.public_key().to_pem();
        let is = |text: &str| PublicKey::from_pem(text).unwrap_err();
        assert!(matches!(is(&private), KeyError::PrivateAsPublic));
        let sec1 = private.replace("PRIVATE", "EC PRIVATE");
        assert!(matches!(is(&sec1), KeyError::PrivateAsPublic));
        assert!(matches!(is(&format!("{public}-")), KeyError::TrailingData));
        let certificate = public.replace("PUBLIC KEY", "CERTIFICATE");
        assert!(matches!(is(&certificate), KeyError::Label { .. }));
    }

    /// `SubjectPublicKeyInfo` of P-384 and RSA, made of the algorithm identifiers alone.
    #[test]
    fn other_algorithms_are_refused_by_name() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let pem = |der: &[u8]| {
            format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                STANDARD.encode(der)
            )
        };
        let p384 = [
            0x30, 0x16, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x02, 0x00, 0x04,
        ];
        let rsa = [
            0x30, 0x13, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
            0x01, 0x05, 0x00, 0x03, 0x02, 0x00, 0x04,
        ];
        for (der, name) in [(p384.as_slice(), "ECDSA on P-384"), (&rsa, "RSA")] {
            match PublicKey::from_pem(&pem(der)) {
                Err(KeyError::Algorithm(found)) => assert_eq!(found, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
