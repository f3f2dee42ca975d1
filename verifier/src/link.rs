//! in-toto links in their first form, the `Metablock` (in-toto specification 1.0, section 4.3): for
//! users of layouts, whose tools read no statement.
//!
//! There is one link for each run that made an image. Its materials are what the run was given, its
//! products the parts of the image by their paths in the evidence pack, so that a layout can demand
//! that two runs, or two builders, agree.

use std::collections::BTreeMap;

use repro_core::{
    build::RunId,
    digest::Digest,
    json::{CanonicalError, canonical},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    keys::{self, PublicKey, Sign, SignError, SignatureError},
    pack::layout,
    predicate::provenance::Provenance,
    strict_json::{self, JsonError},
};

/// Largest link, in bytes. Of an input it has some 150, and builds have some thousand inputs.
pub const LINK_MAX: usize = 16 << 20;
/// What a report calls it, which has no predicate type.
pub const TYPE: &str = "https://in-toto.io/Link/v0.1";
/// Characters of a key's id in the name of a file.
const SHORT: usize = 8;

/// Digests by algorithm.
type Digests = BTreeMap<String, String>;

/// What a step of a layout did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// `link`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// Name of the step in a layout: `run-a` and so on.
    pub name: String,
    /// Of no use here: what ran is in the provenance.
    pub command: Vec<String>,
    /// What the run was given, by name, else by URI.
    pub materials: BTreeMap<String, Digests>,
    /// Manifest, configuration and layers of the image, by path in the evidence pack.
    pub products: BTreeMap<String, Digests>,
    /// Empty: logs are in the provenance.
    pub byproducts: BTreeMap<String, String>,
    /// Empty: the environment is in the provenance.
    pub environment: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metablock {
    signatures: Vec<LinkSignature>,
    signed: Link,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkSignature {
    keyid: String,
    sig: String,
}

/// Why bytes are not a link that can be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Not strict JSON.
    #[error("the link is not strict JSON")]
    Json(#[from] JsonError),
    /// Fields are missing, unknown or of another type.
    #[error("the link does not have the fields of a link")]
    Shape(#[source] serde_json::Error),
    /// Not exactly one signature.
    #[error("exactly one signature is required, found {0}")]
    SignatureCount(usize),
    /// A signature that is not hexadecimal.
    #[error("the signature is not hexadecimal")]
    Hex,
    /// Signed by a key that is not among the accepted ones.
    #[error("signed by the key {0:?}, which is none of the accepted ones")]
    OtherKey(String),
    /// The key did not make the signature.
    #[error("no signature by the key that it names")]
    Signature(#[source] SignatureError),
}

impl Link {
    /// The link of the run that `provenance` is of. `parts` are the digests of the image.
    #[must_use]
    pub fn of_run(run: RunId, provenance: &Provenance, parts: &[Digest]) -> Self {
        let digests = |digest: Digest| Digests::from([("sha256".to_owned(), digest.hex())]);
        let mut materials = BTreeMap::new();
        for dependency in &provenance.build_definition.resolved_dependencies {
            let Some(digest) = dependency.sha256() else {
                continue;
            };
            let name = [&dependency.name, &dependency.uri]
                .into_iter()
                .find(|name| !name.is_empty());
            let Some(name) = name else { continue };
            // Answers to one URL can differ from turn to turn.
            let taken = materials
                .get(name)
                .is_some_and(|other| *other != digests(digest));
            let name = if taken {
                format!("{name}#{}", digest.hex())
            } else {
                name.clone()
            };
            materials.insert(name, digests(digest));
        }
        let products = parts
            .iter()
            .map(|part| (layout::image_blob(*part), digests(*part)));
        Self {
            kind: "link".into(),
            name: name(run),
            command: Vec::new(),
            materials,
            products: products.collect(),
            byproducts: BTreeMap::new(),
            environment: BTreeMap::new(),
        }
    }

    /// The bytes of the signed file.
    pub fn sign(self, key: &dyn Sign) -> Result<Vec<u8>, SignError> {
        let message = self.signed_bytes().map_err(CanonicalError::from)?;
        let signature = keys::sign(key, &message)?;
        let block = Metablock {
            signatures: vec![LinkSignature {
                keyid: key_id(&key.public_key()),
                sig: hex(&signature),
            }],
            signed: self,
        };
        let mut bytes = canonical(&block)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Parses a file and checks its signature against `keys`; gives the key too.
    pub fn verify<'a>(
        bytes: &[u8],
        keys: &'a [PublicKey],
    ) -> Result<(Self, &'a PublicKey), LinkError> {
        let value = strict_json::parse(bytes, LINK_MAX)?;
        let block: Metablock = serde_json::from_value(value).map_err(LinkError::Shape)?;
        let [signature] = <[LinkSignature; 1]>::try_from(block.signatures)
            .map_err(|all| LinkError::SignatureCount(all.len()))?;
        let key = keys.iter().find(|key| key_id(key) == signature.keyid);
        let Some(key) = key else {
            let shown = signature.keyid.chars().take(80).collect();
            return Err(LinkError::OtherKey(shown));
        };
        let message = block.signed.signed_bytes().map_err(LinkError::Shape)?;
        let signature = unhex(&signature.sig).ok_or(LinkError::Hex)?;
        key.verify(&message, &signature)
            .map_err(LinkError::Signature)?;
        Ok((block.signed, key))
    }

    /// The bytes that are signed.
    fn signed_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = String::new();
        olpc(&serde_json::to_value(self)?, &mut text);
        Ok(text.into_bytes())
    }
}

/// Name of the step of a run in a layout.
#[must_use]
pub fn name(run: RunId) -> String {
    format!("run-{run}")
}

/// Name of the file of a run's link, as verifiers of layouts look for it.
#[must_use]
pub fn file_name(run: RunId, key: &PublicKey) -> String {
    format!("{}.{}.link", name(run), &key_id(key)[..SHORT])
}

/// A key as a layout has it.
#[must_use]
pub fn layout_key(key: &PublicKey) -> Value {
    let (keytype, scheme, public) = match key.ed25519_bytes() {
        None => ("ecdsa", "ecdsa-sha2-nistp256", key.to_pem()),
        Some(bytes) => ("ed25519", "ed25519", hex(&bytes)),
    };
    serde_json::json!({
        "keytype": keytype,
        "scheme": scheme,
        "keyval": {"public": public},
    })
}

/// The id of a key as in-toto has it: the SHA-256 of its canonical form.
#[must_use]
pub fn key_id(key: &PublicKey) -> String {
    let mut text = String::new();
    olpc(&layout_key(key), &mut text);
    Digest::of(text.as_bytes()).hex()
}

/// The canonical JSON of OLPC, which in-toto signs: as `repro_core::json::canonical`, but with no
/// character escaped other than quote and backslash, so that a line feed stands as it is.
fn olpc(value: &Value, out: &mut String) {
    let text = |text: &str, out: &mut String| {
        out.push('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    };
    match value {
        Value::String(string) => text(string, out),
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                olpc(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (number, (key, item)) in fields.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                text(key, out);
                out.push(':');
                olpc(item, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a String takes every write");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        })
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}
