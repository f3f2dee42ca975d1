//! V29: the pack is what its signed index lists, no more and no less.

use std::io::{self, Read as _};

use repro_core::{
    digest::{Digest, HashingReader},
    event::counted,
    store::StoredBlob,
};

use super::{
    check::{CheckCode, Checks, chain},
    files::{self, PackFiles},
    statements::Signed,
};
use crate::{
    pack::layout,
    predicate::evidence_index::{EvidenceIndex, PackIndex},
    strict_json::{self, JsonError},
    uris,
};

const CODE: CheckCode = CheckCode::Pack;

pub(super) fn check(
    files: &PackFiles,
    signed: Option<&Signed<EvidenceIndex>>,
    checks: &mut Checks,
) {
    let on = layout::INDEX;
    let bytes = match files.read(on, files::INDEX_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return checks.fail(CODE, on, chain(&error)),
    };
    let Some(signed) = signed else {
        return checks.skip(CODE, on, "its signature was refused");
    };
    let digest = Digest::of(&bytes);
    match signed.subjects.as_slice() {
        [subject] if subject.digest == digest => {
            checks.pass(CheckCode::SubjectMatches, on, digest);
        }
        _ => {
            let reason = format!("{digest} is not the one subject that was signed");
            return checks.fail(CODE, on, reason);
        }
    }
    let index = match strict_json::parse(&bytes, files::INDEX_MAX) {
        Ok(value) => serde_json::from_value::<PackIndex>(value),
        Err(JsonError::Syntax(error)) => Err(error),
        Err(error) => return checks.fail(CheckCode::StrictJson, on, chain(&error)),
    };
    let index = match index {
        Ok(index) if index.schema == uris::EVIDENCE_INDEX => index,
        Ok(index) => return checks.fail(CODE, on, format!("its schema is {:?}", index.schema)),
        Err(error) => return checks.fail(CODE, on, chain(&error)),
    };
    let before = checks.failures(CODE);
    compare(files, &index, checks);
    let count = index.files.len() as u64;
    if count != signed.predicate.files {
        let reason = format!(
            "lists {count} files, {} were signed",
            signed.predicate.files
        );
        checks.fail(CODE, on, reason);
    }
    if checks.failures(CODE) == before {
        checks.pass(
            CODE,
            on,
            format!(
                "{}, each with its size and digest",
                counted(count, "file", "files")
            ),
        );
    }
}

fn compare(files: &PackFiles, index: &PackIndex, checks: &mut Checks) {
    for path in files.paths() {
        let own = [layout::INDEX, layout::INDEX_BUNDLE].contains(&path.as_str());
        if own == index.files.contains_key(path) {
            let reason = if own {
                "lists itself"
            } else {
                "is not in the index"
            };
            checks.fail(CODE, path, reason);
        }
    }
    for (path, listed) in &index.files {
        if let Err(reason) = hold(files, path, listed) {
            checks.fail(CODE, path, reason);
        }
    }
}

/// Whether a file is the one that is listed. The size is looked at first: a file with a hole of some
/// terabytes costs whoever made it nothing, and whoever reads it hours.
fn hold(files: &PackFiles, path: &str, listed: &StoredBlob) -> Result<(), String> {
    let file = files.open(path).map_err(|error| chain(&error))?;
    let size = file.metadata().map_err(|error| chain(&error))?.len();
    if size != listed.size {
        return Err(format!("has {size} bytes, the index says {}", listed.size));
    }
    // It may grow while it is read.
    let mut reader = HashingReader::new(file.take(size.saturating_add(1)));
    io::copy(&mut reader, &mut io::sink()).map_err(|error| chain(&error))?;
    let (digest, _, _) = reader.finish();
    if digest != listed.digest {
        return Err(format!("is {digest}, the index says {}", listed.digest));
    }
    Ok(())
}
