//! The signing envelope: DSSE 1.0.2, payload type in-toto, one signature.
//!
//! What is verified is what is used: the payload is decoded once, the signature is checked over
//! those bytes, and the same bytes are parsed afterwards.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde::{Deserialize, Serialize};

use repro_core::json::{CanonicalError, canonical};

use crate::{
    keys::{self, PublicKey, Sign, SignError, SignatureError},
    strict_json::{self, JsonError},
};

/// The one payload type that is written and accepted. in-toto allows a longer form with the
/// name of the predicate; consumers compare for equality with this one.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Why an envelope is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not exactly one signature.
    #[error("exactly one signature is required, found {0}")]
    SignatureCount(usize),
    /// Another payload type.
    #[error("payload type {0:?} is not {PAYLOAD_TYPE:?}")]
    PayloadType(String),
    /// Neither standard nor URL-safe base64 with padding and without loose bits.
    #[error("{0} is not base64")]
    Base64(&'static str),
    /// Nothing inside.
    #[error("{0} is empty")]
    Empty(&'static str),
}

/// Why a text is no envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeFileError {
    /// Not strict JSON.
    #[error("the envelope is not strict JSON")]
    Json(#[from] JsonError),
    /// Fields are missing, unknown or of another type.
    #[error("the text does not have the fields of an envelope")]
    Shape(#[source] serde_json::Error),
    /// What it says of itself.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// A payload and its signature, not yet checked against any key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signature: Vec<u8>,
    key_hint: String,
}

/// The JSON form.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RawEnvelope {
    payload: String,
    payload_type: String,
    signatures: Vec<RawSignature>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature {
    sig: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
}

/// The bytes that are signed: DSSE's pre-authentication encoding of `payload_type` and `body`.
#[must_use]
pub fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Envelope {
    /// Signs `payload`.
    pub fn sign(payload: Vec<u8>, key: &dyn Sign) -> Result<Self, SignError> {
        let signature = keys::sign(key, &pae(PAYLOAD_TYPE, &payload))?;
        Ok(Self {
            payload,
            signature,
            key_hint: String::new(),
        })
    }

    /// Parses an envelope that stands alone, of at most `limit` bytes.
    pub fn parse(bytes: &[u8], limit: usize) -> Result<Self, EnvelopeFileError> {
        let value = strict_json::parse(bytes, limit)?;
        let raw = serde_json::from_value(value).map_err(EnvelopeFileError::Shape)?;
        Ok(Self::from_raw(raw)?)
    }

    /// The canonical bytes of the envelope alone.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical(&self.to_raw())
    }

    /// What is said, by whomever: no key was asked.
    pub(crate) fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Checks the signature and hands out the bytes that it covers.
    pub fn verify(&self, key: &PublicKey) -> Result<&[u8], SignatureError> {
        key.verify(&pae(PAYLOAD_TYPE, &self.payload), &self.signature)?;
        Ok(&self.payload)
    }

    /// The signer's own word on its key; never a reason to trust it.
    #[must_use]
    pub fn key_hint(&self) -> &str {
        &self.key_hint
    }

    pub(crate) fn from_raw(raw: RawEnvelope) -> Result<Self, EnvelopeError> {
        // Before anything is decoded: a payload of another type is none of ours to look into.
        if raw.payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType(
                raw.payload_type.chars().take(80).collect(),
            ));
        }
        let [signature] = <[RawSignature; 1]>::try_from(raw.signatures)
            .map_err(|all| EnvelopeError::SignatureCount(all.len()))?;
        Ok(Self {
            payload: decode("payload", &raw.payload)?,
            signature: decode("signature", &signature.sig)?,
            key_hint: signature.keyid,
        })
    }

    pub(crate) fn to_raw(&self) -> RawEnvelope {
        RawEnvelope {
            payload: STANDARD.encode(&self.payload),
            payload_type: PAYLOAD_TYPE.into(),
            signatures: vec![RawSignature {
                sig: STANDARD.encode(&self.signature),
                keyid: self.key_hint.clone(),
            }],
        }
    }
}

/// DSSE asks readers to take both alphabets; a text is in one of them, padded, canonical.
fn decode(what: &'static str, text: &str) -> Result<Vec<u8>, EnvelopeError> {
    if text.is_empty() {
        return Err(EnvelopeError::Empty(what));
    }
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .map_err(|_| EnvelopeError::Base64(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyKind, SigningKey};

    /// The test vector of the DSSE protocol text. Its signature is printed in raw form; the key
    /// and the message are what counts.
    #[test]
    fn the_vector_of_the_protocol_text_holds() {
        use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
        let message = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            message,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        // 97358161215184420915383655311931858321456579547487070936769975997791359926199
        let scalar = [
            0xd7, 0x3e, 0xc4, 0x37, 0xfd, 0x63, 0x46, 0xe3, 0x61, 0x9c, 0x5e, 0xbf, 0xdf, 0xff,
            0x0f, 0x69, 0x16, 0x80, 0x49, 0x55, 0xad, 0x32, 0xac, 0x9a, 0xc4, 0x92, 0xb0, 0xed,
            0xe1, 0xf6, 0xff, 0xb7,
        ];
        let key = SigningKey::from_slice(&scalar).unwrap();
        let signature: Signature = key.sign(&message);
        assert_eq!(
            STANDARD.encode(signature.to_bytes()),
            "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
        );
    }

    fn key() -> SigningKey {
        SigningKey::generate(KeyKind::P256, &mut |bytes| {
            bytes.fill(9);
            Ok(())
        })
        .unwrap()
    }

    fn raw(payload: &str, payload_type: &str, sigs: &[&str]) -> RawEnvelope {
        RawEnvelope {
            payload: payload.into(),
            payload_type: payload_type.into(),
            signatures: sigs
                .iter()
                .map(|sig| RawSignature {
                    sig: (*sig).into(),
                    keyid: String::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn the_payload_handed_out_is_the_payload_verified() {
        let envelope = Envelope::sign(b"{}".to_vec(), &key()).unwrap();
        let again = Envelope::from_raw(envelope.to_raw()).unwrap();
        assert_eq!(again, envelope);
        assert_eq!(again.verify(&key().public_key()), Ok(b"{}".as_slice()));
    }

    #[test]
    fn both_alphabets_are_read_and_loose_ones_are_not() {
        let bytes = [0xfb, 0xff, 0xfe, 0xff];
        for good in ["+//+/w==", "-__-_w=="] {
            let envelope = Envelope::from_raw(raw(good, PAYLOAD_TYPE, &["AA=="])).unwrap();
            assert_eq!(envelope.payload, bytes);
        }
        for bad in [
            "+//+_w==",
            "+//+/w",
            "+//+/x==",
            "+//+\n/w==",
            "+//+/w== ",
            "é",
        ] {
            assert_eq!(
                Envelope::from_raw(raw(bad, PAYLOAD_TYPE, &["AA=="])),
                Err(EnvelopeError::Base64("payload")),
                "{bad:?}"
            );
        }
        assert_eq!(
            Envelope::from_raw(raw("", PAYLOAD_TYPE, &["AA=="])),
            Err(EnvelopeError::Empty("payload"))
        );
        assert_eq!(
            Envelope::from_raw(raw("AA==", PAYLOAD_TYPE, &[""])),
            Err(EnvelopeError::Empty("signature"))
        );
    }

    #[test]
    fn one_signature_and_one_payload_type() {
        for count in [0, 2, 17] {
            let sigs = vec!["AA=="; count];
            assert_eq!(
                Envelope::from_raw(raw("AA==", PAYLOAD_TYPE, &sigs)),
                Err(EnvelopeError::SignatureCount(count))
            );
        }
        for bad in [
            "",
            "application/json",
            "text/plain",
            "APPLICATION/VND.IN-TOTO+JSON",
            "application/vnd.in-toto+json; charset=utf-8",
            "application/vnd.in-toto.provenance+json",
            "application/vnd.in-toto+json 2 {}",
        ] {
            // Not base64 either: the type is judged first.
            assert!(matches!(
                Envelope::from_raw(raw("?", bad, &["?"])),
                Err(EnvelopeError::PayloadType(_))
            ));
        }
    }
}
