//! Sigstore bundles, version 0.3: one DSSE envelope signed with a key that the verifier brings.
//!
//! Certificates, transparency log entries and time stamps are refused by name: to accept a
//! bundle and leave a part of it unchecked would say more than was checked.

use repro_core::json::{CanonicalError, canonical};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    dsse::{Envelope, EnvelopeError, RawEnvelope},
    strict_json::{self, JsonError},
};

/// The media type that is written.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// An older spelling of the same version, which other tools still write.
const MEDIA_TYPE_PARAMETER: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
/// Largest bundle, in bytes. The statements made here have some kilobytes; an SBOM of a large
/// image has some megabytes.
pub const BUNDLE_MAX: usize = 32 << 20;

/// Why a text is not a bundle that can be checked.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not strict JSON.
    #[error("the bundle is not strict JSON")]
    Json(#[from] JsonError),
    /// Not a bundle of version 0.3.
    #[error("media type {0:?} is not that of a Sigstore bundle of version 0.3")]
    MediaType(String),
    /// Fields are missing, unknown or of another type.
    #[error("the bundle does not have the fields of version 0.3 with a public key and an envelope")]
    Shape(#[source] serde_json::Error),
    /// Verification material other than a public key's hint.
    #[error("the bundle carries {0}, which this version does not check")]
    Unsupported(&'static str),
    /// The two places that name the key disagree.
    #[error("the envelope names the key {envelope:?}, the bundle {bundle:?}")]
    KeyHints {
        /// `verificationMaterial.publicKey.hint`.
        bundle: String,
        /// `dsseEnvelope.signatures[0].keyid`.
        envelope: String,
    },
    /// The envelope inside.
    #[error("the envelope is not acceptable")]
    Envelope(#[from] EnvelopeError),
}

/// A bundle: an envelope, and the signer's word on which key is its.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    envelope: Envelope,
    hint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawBundle {
    media_type: String,
    verification_material: RawMaterial,
    dsse_envelope: RawEnvelope,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawMaterial {
    public_key: RawHint,
    /// protojson writers may spell out an empty list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tlog_entries: Vec<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHint {
    #[serde(default)]
    hint: String,
}

impl Bundle {
    /// Puts `envelope` into a bundle that names its key by `hint`.
    #[must_use]
    pub const fn new(envelope: Envelope, hint: String) -> Self {
        Self { envelope, hint }
    }

    /// Parses a bundle. Nothing is verified by that.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let value = strict_json::parse(bytes, BUNDLE_MAX)?;
        let media_type = value.get("mediaType").and_then(Value::as_str);
        match media_type {
            Some(MEDIA_TYPE | MEDIA_TYPE_PARAMETER) => {}
            other => {
                let found = other.unwrap_or_default().chars().take(80).collect();
                return Err(BundleError::MediaType(found));
            }
        }
        refuse_unsupported(&value)?;
        let raw: RawBundle = serde_json::from_value(value).map_err(BundleError::Shape)?;
        let envelope = Envelope::from_raw(raw.dsse_envelope)?;
        let hint = raw.verification_material.public_key.hint;
        if !envelope.key_hint().is_empty() && envelope.key_hint() != hint {
            return Err(BundleError::KeyHints {
                bundle: hint,
                envelope: envelope.key_hint().into(),
            });
        }
        Ok(Self { envelope, hint })
    }

    /// The canonical bytes of the bundle, with a line feed behind them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        let mut bytes = canonical(&RawBundle {
            media_type: MEDIA_TYPE.into(),
            verification_material: RawMaterial {
                public_key: RawHint {
                    hint: self.hint.clone(),
                },
                tlog_entries: Vec::new(),
            },
            dsse_envelope: self.envelope.to_raw(),
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Which key the signer says it used; empty if it says nothing.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// Names what is known and not checked, which an "unknown field" would not.
fn refuse_unsupported(value: &Value) -> Result<(), BundleError> {
    let material = &value["verificationMaterial"];
    let has = |object: &Value, key: &str| object.get(key).is_some_and(|found| !found.is_null());
    let filled = |key: &str| {
        material
            .get(key)
            .and_then(Value::as_array)
            .is_some_and(|entries| !entries.is_empty())
    };
    if has(material, "x509CertificateChain") || has(material, "certificate") {
        return Err(BundleError::Unsupported("a certificate"));
    }
    if has(material, "timestampVerificationData") {
        return Err(BundleError::Unsupported("time stamps"));
    }
    if filled("tlogEntries") {
        return Err(BundleError::Unsupported("transparency log entries"));
    }
    if has(value, "messageSignature") {
        return Err(BundleError::Unsupported("a signature over a message"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyKind, SigningKey};

    fn valid() -> Value {
        let key = SigningKey::generate(KeyKind::Ed25519, &mut |bytes| {
            bytes.fill(3);
            Ok(())
        })
        .unwrap();
        let envelope = Envelope::sign(b"{}".to_vec(), &key).unwrap();
        let bundle = Bundle::new(envelope, key.public_key().id().to_string());
        let bytes = bundle.to_bytes().unwrap();
        assert_eq!(Bundle::parse(&bytes).unwrap(), bundle);
        serde_json::from_slice(&bytes).unwrap()
    }

    fn refused(edit: impl FnOnce(&mut Value)) -> BundleError {
        let mut value = valid();
        edit(&mut value);
        Bundle::parse(&serde_json::to_vec(&value).unwrap()).unwrap_err()
    }

    #[test]
    fn both_spellings_of_version_0_3_and_no_other_version() {
        let mut value = valid();
        value["mediaType"] = MEDIA_TYPE_PARAMETER.into();
        assert!(Bundle::parse(&serde_json::to_vec(&value).unwrap()).is_ok());
        for bad in [
            "application/vnd.dev.sigstore.bundle.v0.4+json",
            "application/vnd.dev.sigstore.bundle+json;version=0.2",
            "application/vnd.dev.sigstore.bundle.v0.3+json ",
            "",
        ] {
            let error = refused(|value| value["mediaType"] = bad.into());
            assert!(matches!(error, BundleError::MediaType(_)), "{bad}: {error}");
        }
        let error = refused(|value| value["mediaType"] = Value::Null);
        assert!(matches!(error, BundleError::MediaType(_)));
    }

    #[test]
    fn material_that_is_not_checked_is_refused_by_name() {
        for (pointer, field) in [
            ("/verificationMaterial", "x509CertificateChain"),
            ("/verificationMaterial", "certificate"),
            ("/verificationMaterial", "timestampVerificationData"),
            ("", "messageSignature"),
        ] {
            let error = refused(|value| {
                value.pointer_mut(pointer).unwrap()[field] = serde_json::json!({});
            });
            assert!(matches!(error, BundleError::Unsupported(_)), "{field}");
        }
        let error = refused(|value| {
            value["verificationMaterial"]["tlogEntries"] = serde_json::json!([{}]);
        });
        assert!(matches!(error, BundleError::Unsupported(_)));
        let mut value = valid();
        value["verificationMaterial"]["tlogEntries"] = serde_json::json!([]);
        assert!(Bundle::parse(&serde_json::to_vec(&value).unwrap()).is_ok());
    }

    #[test]
    fn shapes_that_are_none_are_refused() {
        for field in ["verificationMaterial", "dsseEnvelope"] {
            let error = refused(|value| {
                value.as_object_mut().unwrap().remove(field);
            });
            assert!(matches!(error, BundleError::Shape(_)), "{field}");
        }
        let error = refused(|value| value["extra"] = 1.into());
        assert!(matches!(error, BundleError::Shape(_)));
        let error = refused(|value| value["dsseEnvelope"]["payload"] = 7.into());
        assert!(matches!(error, BundleError::Shape(_)));
        for text in ["[]", "null", "7", "\"\""] {
            assert!(matches!(
                Bundle::parse(text.as_bytes()),
                Err(BundleError::MediaType(_))
            ));
        }
    }

    #[test]
    fn the_envelope_names_no_other_key_than_the_bundle() {
        let error = refused(|value| {
            value["dsseEnvelope"]["signatures"][0]["keyid"] = "another".into();
        });
        assert!(matches!(error, BundleError::KeyHints { .. }));
    }
}
