//! Checking a whole store.

use std::{ffi::OsString, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{BlobError, BlobStore as _, LocalBlobs, Store, StoreError, blob::from_read};
use crate::{
    digest::Digest,
    event::{Event, EventSink, Unit},
    fs::sorted_names,
    image::{Reach, reach},
};

/// Name of the task in events.
const TASK: &str = "store-verify";
/// Blobs between two progress events: hashing is slower than anyone reads.
const PROGRESS_EVERY: u64 = 16;

/// Something in the store that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "damage",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Damage {
    /// A blob whose bytes have another digest than its name.
    Corrupt {
        /// The blob.
        digest: Digest,
        /// What its bytes hash to.
        found: Digest,
    },
    /// A file among the blobs that is none.
    NotABlob {
        /// Its name; what is not UTF-8 is replaced.
        name: String,
    },
    /// Something refers to a blob that is not there.
    Missing {
        /// A tag, or the path of a remembered result.
        referrer: String,
        /// The blob.
        digest: Digest,
    },
    /// A remembered result that cannot be read.
    Document {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What was found. The store is sound if `damage` is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// Blobs hashed.
    pub blobs: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// Tags checked.
    pub tags: u64,
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
    /// Unfinished files that killed processes left, or that others are writing right now. No
    /// damage; [`Store::gc`] removes them.
    pub leftovers: Vec<PathBuf>,
}

impl Store {
    /// Hashes every blob and follows every tag and remembered result. An error means that the
    /// check could not be finished; what is wrong with the store is in the report.
    pub fn verify(&self, events: &dyn EventSink) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        self.verify_blobs(&mut report, events)?;
        let follow = |referrer: String, digest: Digest, report: &mut VerifyReport| {
            let mut reached = Reach::default();
            // Damaged documents have been named above.
            reach(self.blobs(), digest, &mut reached)?;
            let missing = reached.missing.into_iter();
            report.damage.extend(missing.map(|digest| Damage::Missing {
                referrer: referrer.clone(),
                digest,
            }));
            Ok::<_, StoreError>(())
        };
        for (reference, image) in self.tags()? {
            follow(reference.to_string(), image.digest, &mut report)?;
            report.tags += 1;
        }
        for (path, document) in self.cache_documents()? {
            match document {
                Ok(document) => {
                    for root in document.roots {
                        follow(path.display().to_string(), root, &mut report)?;
                    }
                }
                Err(error) => report.damage.push(Damage::Document {
                    path,
                    reason: error.to_string(),
                }),
            }
        }
        let tmp = self.blobs().tmp();
        let names = sorted_names(tmp).map_err(StoreError::io("list", tmp))?;
        report.leftovers = names.into_iter().map(|name| tmp.join(name)).collect();
        Ok(report)
    }

    fn verify_blobs(
        &self,
        report: &mut VerifyReport,
        events: &dyn EventSink,
    ) -> Result<(), StoreError> {
        let dir = self.blobs().dir();
        let names = sorted_names(dir).map_err(StoreError::io("list", dir))?;
        events.event(Event::TaskStarted {
            id: TASK.into(),
            title: "checking blobs".into(),
            total: Some(names.len() as u64),
            unit: Unit::Items,
        });
        for (done, name) in (1..).zip(&names) {
            verify_blob(self.blobs(), name, report)?;
            if done % PROGRESS_EVERY == 0 {
                events.event(Event::TaskAdvanced {
                    id: TASK.into(),
                    done,
                });
            }
        }
        events.event(Event::TaskFinished {
            id: TASK.into(),
            summary: format!("{} blobs, {} damaged", report.blobs, report.damage.len()),
        });
        Ok(())
    }
}

fn verify_blob(
    blobs: &LocalBlobs,
    name: &OsString,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    let Some(digest) = name.to_str().and_then(|hex| Digest::from_hex(hex).ok()) else {
        report.damage.push(Damage::NotABlob {
            name: name.to_string_lossy().into_owned(),
        });
        return Ok(());
    };
    let mut reader = match blobs.open(digest) {
        Err(BlobError::Missing(_)) => return Ok(()), // removed since the listing
        result => result?,
    };
    match io::copy(&mut reader, &mut io::sink()).map_err(|error| from_read(digest, error)) {
        Ok(bytes) => report.bytes += bytes,
        Err(BlobError::Corrupt { expected, found }) => report.damage.push(Damage::Corrupt {
            digest: expected,
            found,
        }),
        Err(error) => return Err(error.into()),
    }
    report.blobs += 1;
    Ok(())
}
