//! Layers whose entries are equal and whose tars are not: what of the form differs.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write as _},
};

use repro_core::{
    digest::{Digest, HashingWriter},
    image::LayerDescriptor,
    layer::decompress,
    tree::show_bytes,
};

use super::{
    CompareError, Difference, DifferenceKind, Evidence, layers::Tools, parallel, rows::Place,
};
use crate::causes::{Cause, Confidence};

/// Most entries of a layer whose headers are looked at.
const MAX_HEADERS: usize = 1_000_000;
/// Bytes of an extended header whose keys are looked at.
const MAX_RECORDS: u64 = 64 << 10;

/// Most values of one kind that are shown of a tar.
const MAX_SHOWN: usize = 16;

/// The form of one tar, in what a reader of entries does not see.
#[derive(Default, PartialEq, Eq)]
struct Form {
    /// Digest over the names in their order.
    order: Option<Digest>,
    /// Digest over the names of users and groups.
    owners: Option<Digest>,
    /// The first names of users and groups.
    owner_names: BTreeSet<String>,
    /// Magics, and whether modes hold the type of the file.
    dialects: BTreeSet<String>,
    /// Types of extended headers.
    types: BTreeSet<String>,
    /// Digest over the extended headers.
    extended: Option<Digest>,
    /// Their keys.
    keys: BTreeSet<String>,
    bytes: u64,
}

/// A list in a report; the digest of everything where the lists are equal.
fn shown(list: &BTreeSet<String>, other: &BTreeSet<String>, digest: Option<Digest>) -> String {
    if list != other {
        let names: Vec<&str> = list.iter().map(String::as_str).collect();
        return if names.is_empty() {
            "none".into()
        } else {
            names.join(", ")
        };
    }
    digest.map_or_else(String::new, |digest| digest.to_string())
}

impl Tools<'_> {
    /// The rows on the form of two layers with different tars. `known` says that their entries differ
    /// already, so that nothing has to be found.
    pub(super) fn headers(
        &self,
        a: &LayerDescriptor,
        b: &LayerDescriptor,
        known: bool,
        place: Place,
    ) -> Result<Vec<Difference>, CompareError> {
        let (form_a, form_b) = parallel::both(self.threads, || self.form(a), || self.form(b));
        let (form_a, form_b) = (form_a?, form_b?);
        let digests = || (a.diff_id.to_string(), b.diff_id.to_string());
        let mut causes: Vec<(Cause, Confidence, (String, String))> = Vec::new();
        let mut say = |cause, evidence| causes.push((cause, Confidence::Certain, evidence));
        // Other names are another order as well, and already said.
        if form_a.order != form_b.order && !known {
            say(Cause::EntryOrder, digests());
        }
        if form_a.owners != form_b.owners && (!known || form_a.owner_names != form_b.owner_names) {
            let (one, two) = (&form_a.owner_names, &form_b.owner_names);
            let evidence = (
                shown(one, two, form_a.owners),
                shown(two, one, form_b.owners),
            );
            say(Cause::OwnerName, evidence);
        }
        for (one, two, counts) in [
            (&form_a.dialects, &form_b.dialects, true),
            // An attribute or a long name alone can need one.
            (&form_a.types, &form_b.types, !known),
        ] {
            if counts && one != two {
                say(
                    Cause::TarFormat,
                    (shown(one, two, None), shown(two, one, None)),
                );
            }
        }
        if form_a.extended != form_b.extended && (!known || form_a.keys != form_b.keys) {
            let (one, two) = (&form_a.keys, &form_b.keys);
            let evidence = (
                shown(one, two, form_a.extended),
                shown(two, one, form_b.extended),
            );
            say(Cause::PaxHeader, evidence);
        }
        if causes.is_empty() && !known {
            let named = if form_a.bytes == form_b.bytes {
                (Cause::Unknown, Confidence::Unknown)
            } else {
                (Cause::TarPadding, Confidence::Likely)
            };
            causes.push((named.0, named.1, digests()));
        }
        let row = |(cause, confidence, (a, b))| Difference {
            path: String::new(),
            platform: None,
            layer: place.layer,
            step: place.step,
            kind: DifferenceKind::Content,
            cause,
            confidence,
            derived_from: None,
            evidence: Some(Evidence {
                offset: None,
                inside: None,
                a,
                b,
                around: None,
            }),
        };
        Ok(causes.into_iter().map(row).collect())
    }

    fn form(&self, layer: &LayerDescriptor) -> Result<Form, CompareError> {
        let broken = |source| CompareError::Layer {
            digest: layer.digest,
            source,
        };
        let compression = layer.media_type.layer_compression();
        let compression = compression.ok_or_else(|| broken(io::ErrorKind::Unsupported.into()))?;
        let blob = self.layers.store.open(layer.digest)?;
        let tar = decompress(blob, compression, layer.size, self.layers.limits);
        form(tar).map_err(broken)
    }
}

fn form(tar: Box<dyn Read + Send>) -> io::Result<Form> {
    let mut counted = Counted {
        inner: tar,
        bytes: 0,
    };
    let mut form = Form::default();
    let hashes = || HashingWriter::new(io::sink());
    let (mut order, mut owners, mut extended) = (hashes(), hashes(), hashes());
    let mut archive = tar::Archive::new(&mut counted);
    for entry in archive.entries()?.raw(true).take(MAX_HEADERS) {
        let mut entry = entry?;
        let header = entry.header().clone();
        let kind = header.entry_type();
        let magic = &header.as_bytes()[257..265];
        form.dialects.insert(show_bytes(magic).into_owned());
        // Twelve bits are permissions; some writers put the type of the file above them.
        if header.mode().is_ok_and(|mode| mode > 0o7777) {
            form.dialects.insert("file types in modes".into());
        }
        if kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
            || kind.is_gnu_longname()
            || kind.is_gnu_longlink()
        {
            let kind = char::from(kind.as_byte());
            form.types.insert(format!("headers of type {kind}"));
            write(&mut extended, &header.path_bytes())?;
            let mut records = Vec::new();
            let read = (&mut entry).take(MAX_RECORDS);
            { read }.read_to_end(&mut records)?;
            extended.write_all(&records)?;
            io::copy(&mut entry, &mut extended)?;
            if matches!(kind, 'x' | 'g') {
                keys(&records, &mut form.keys);
            }
        } else {
            write(&mut order, &header.path_bytes())?;
            let name = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
            for owner in [header.username_bytes(), header.groupname_bytes()] {
                let owner = show_bytes(owner.unwrap_or_default()).into_owned();
                if form.owner_names.len() < MAX_SHOWN && !owner.is_empty() {
                    form.owner_names.insert(owner);
                }
            }
            // By entry, whatever their order: sums would hide swaps, so names go along.
            write(&mut owners, &name(header.username_bytes()))?;
            write(&mut owners, &name(header.groupname_bytes()))?;
        }
    }
    io::copy(&mut counted, &mut io::sink())?;
    form.order = Some(order.finish().0);
    form.owners = Some(owners.finish().0);
    form.extended = Some(extended.finish().0);
    form.bytes = counted.bytes;
    Ok(form)
}

/// The keys of the records of an extended header, as far as it is well formed.
fn keys(mut records: &[u8], keys: &mut BTreeSet<String>) {
    while keys.len() < MAX_SHOWN
        && let Some(space) = records.iter().position(|byte| *byte == b' ')
        && let Ok(length) = std::str::from_utf8(&records[..space])
        && let Ok(length) = length.parse::<usize>()
        && length > space
        && let Some((record, rest)) = records.split_at_checked(length)
    {
        let record = &record[space + 1..];
        let end = record.iter().position(|byte| *byte == b'=');
        let key = &record[..end.unwrap_or(record.len())];
        records = rest;
        // What they say is compared entry by entry.
        let known = [&b"path"[..], b"linkpath", b"size", b"uid", b"gid"].contains(&key);
        if known || key.starts_with(b"SCHILY.xattr.") {
            continue;
        }
        keys.insert(show_bytes(&key[..key.len().min(80)]).into_owned());
    }
}

/// Writes `field` so that two fields are never taken for one.
fn write(to: &mut impl io::Write, field: &[u8]) -> io::Result<()> {
    to.write_all(&(field.len() as u64).to_le_bytes())?;
    to.write_all(field)
}

/// Counts what is read.
struct Counted {
    inner: Box<dyn Read + Send>,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(names: &[&str], user: &str, gnu: bool) -> Box<dyn Read + Send> {
        let mut tar = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = if gnu {
                tar::Header::new_gnu()
            } else {
                tar::Header::new_ustar()
            };
            header.set_size(1);
            header.set_mode(0o644);
            header.set_username(user).unwrap();
            tar.append_data(&mut header, name, &b"x"[..]).unwrap();
        }
        Box::new(io::Cursor::new(tar.into_inner().unwrap()))
    }

    #[test]
    fn forms_are_told_apart() {
        let plain = form(tar(&["a", "b"], "u", false)).unwrap();
        assert!(plain == form(tar(&["a", "b"], "u", false)).unwrap());
        let other = form(tar(&["b", "a"], "u", false)).unwrap();
        assert!(plain.order != other.order && plain.owners == other.owners);
        let other = form(tar(&["a", "b"], "v", false)).unwrap();
        assert!(plain.order == other.order && plain.owners != other.owners);
        let other = form(tar(&["a", "b"], "u", true)).unwrap();
        assert!(plain.dialects != other.dialects);
    }
}
