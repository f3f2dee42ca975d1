//! The bill of materials: what packages an image holds and what it was made from, as an SPDX 2.3
//! document.
//!
//! The document is a function of the image and of the provenance of run A: whoever has both makes
//! the same bytes, and so the verifier does. There is no time of the day and no random name in it.

mod apk;
mod dpkg;
mod golang;
mod inventory;
mod npm;
mod python;
mod rpm;
mod spdx;
#[cfg(test)]
mod tests;

use repro_core::{
    digest::Digest,
    image::{ImageError, StoredImage},
    json::{CanonicalError, canonical},
    store::BlobStore,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use inventory::{Inventory, Package, PackageKind};
pub use spdx::INVENTORY;

use crate::{
    predicate::{Predicate, provenance::Provenance},
    statement::{STATEMENT_MAX, Subject},
};

/// Room for what stands around the document in its statement, in bytes.
const AROUND: usize = 64 << 10;

/// Why there is no bill of materials.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// A layer cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The document has no canonical form.
    #[error("the bill of materials has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// More than a statement can hold.
    #[error("the bill of materials has {found} bytes, a statement holds {STATEMENT_MAX}")]
    TooLarge {
        /// Its bytes.
        found: usize,
    },
    /// The provenance says no time that the document could bear.
    #[error("{0:?} is no epoch")]
    Epoch(String),
}

/// The document, as the predicate of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpdxDocument(Map<String, Value>);

impl Predicate for SpdxDocument {
    const TYPE: &'static str = "https://spdx.dev/Document";
}

impl SpdxDocument {
    /// The bill of materials of `image`, which `subject` names, and which `provenance` is of.
    pub fn of_image(
        image: &StoredImage,
        blobs: &dyn BlobStore,
        subject: &Subject,
        provenance: &Provenance,
    ) -> Result<Self, SbomError> {
        let inventory = Inventory::of_image(image, blobs)?;
        let document = spdx::document(&inventory, subject, provenance)?;
        let document = Self(document);
        let found = document.to_bytes()?.len();
        if found > STATEMENT_MAX - AROUND {
            return Err(SbomError::TooLarge { found });
        }
        Ok(document)
    }

    /// The bytes of the file: canonical JSON and a line feed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        let mut bytes = canonical(&self.0)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Which version of the rules of this room made it; `None` for those of others.
    #[must_use]
    pub fn inventory(&self) -> Option<&str> {
        let comment = self.0.get("creationInfo")?.get("comment")?.as_str()?;
        comment.strip_prefix(spdx::INVENTORY_COMMENT)
    }

    /// How many packages it lists, the image itself among them.
    #[must_use]
    pub fn packages(&self) -> usize {
        let packages = self.0.get("packages").and_then(Value::as_array);
        packages.map_or(0, Vec::len)
    }
}

/// Name of the two files of a bill of materials in a pack, without directory and ending.
#[must_use]
pub fn file_name(subject: &str) -> String {
    let name = subject.rsplit('/').next().unwrap_or(subject);
    let name = name.split([':', '@']).next().unwrap_or(name);
    let safe: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '-'
            }
        })
        .take(100)
        .collect();
    format!("sbom-{safe}")
}

/// The one digest that a document is named by.
fn namespace(digest: Digest) -> String {
    format!("{}{}", crate::uris::SBOM, digest.hex())
}
