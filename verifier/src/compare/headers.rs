//! Layers whose entries are equal and whose tars are not: what of the form differs.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Read, Write as _},
};

use repro_core::{
    digest::{Digest, HashingWriter},
    event::counted,
    image::LayerDescriptor,
    layer::decompress,
    tree::{TreePath, show_bytes},
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
    /// Number of entries below the root; one path can be that of several.
    entries: u64,
    /// Digest over the paths in their order.
    order: Option<Digest>,
    /// The paths, in whatever order.
    paths: Unordered,
    /// The paths with the names of users and groups.
    owners: Unordered,
    /// The first names of users and groups.
    owner_names: BTreeSet<String>,
    /// Magics, what stands before paths, and whether modes hold the type of the file.
    dialects: BTreeSet<String>,
    /// Types of extended headers.
    types: BTreeSet<String>,
    /// The extended headers.
    extended: Unordered,
    /// Their keys.
    keys: BTreeSet<String>,
    bytes: u64,
}

/// What stands in a tar, each as often as it does and in whatever order: the sum of its digests. It only
/// tells how a difference is named, so that somebody could make two sums equal costs nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Unordered(u128);

impl Unordered {
    fn add(&mut self, item: Digest) {
        let mut half = [0; 16];
        half.copy_from_slice(&item.as_raw()[..16]);
        self.0 = self.0.wrapping_add(u128::from_le_bytes(half));
    }
}

impl fmt::Display for Unordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A list in a report; the sum of everything where the lists are equal.
fn shown(list: &BTreeSet<String>, other: &BTreeSet<String>, all: Option<Unordered>) -> String {
    if list != other {
        let names: Vec<&str> = list.iter().map(String::as_str).collect();
        return if names.is_empty() {
            "none".into()
        } else {
            names.join(", ")
        };
    }
    all.map_or_else(String::new, |all| all.to_string())
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
        // What entries of one side only have says nothing of how the others were written.
        let told = |one: &BTreeSet<String>, two: &BTreeSet<String>| {
            one != two && !(known && (one.is_subset(two) || two.is_subset(one)))
        };
        let confidence = if known {
            Confidence::Likely
        } else {
            Confidence::Certain
        };
        let mut say = |cause, evidence| causes.push((cause, confidence, evidence));
        // Where a path has more entries on one side, all that is told by entry differs with it.
        let same = !known && form_a.paths == form_b.paths;
        if same && form_a.order != form_b.order {
            say(Cause::EntryOrder, digests());
        }
        let (one, two) = (&form_a.owner_names, &form_b.owner_names);
        if form_a.owners != form_b.owners && (same || told(one, two)) {
            let evidence = (
                shown(one, two, Some(form_a.owners)),
                shown(two, one, Some(form_b.owners)),
            );
            say(Cause::OwnerName, evidence);
        }
        for (one, two, counts) in [
            (&form_a.dialects, &form_b.dialects, true),
            // An attribute or a long name alone can need one.
            (&form_a.types, &form_b.types, !known),
        ] {
            if counts && told(one, two) {
                say(
                    Cause::TarFormat,
                    (shown(one, two, None), shown(two, one, None)),
                );
            }
        }
        let (one, two) = (&form_a.keys, &form_b.keys);
        if form_a.extended != form_b.extended && (same || told(one, two)) {
            let evidence = (
                shown(one, two, Some(form_a.extended)),
                shown(two, one, Some(form_b.extended)),
            );
            say(Cause::PaxHeader, evidence);
        }
        if !known && form_a.entries != form_b.entries {
            let entries = |form: &Form| counted(form.entries, "entry", "entries");
            let evidence = (entries(&form_a), entries(&form_b));
            causes.push((Cause::Unknown, Confidence::Unknown, evidence));
        }
        if causes.is_empty() && !known {
            let named = if !same || form_a.bytes == form_b.bytes {
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
    let mut order = hashes();
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
            let mut extended = hashes();
            write(&mut extended, &header.path_bytes())?;
            let mut records = Vec::new();
            let read = (&mut entry).take(MAX_RECORDS);
            { read }.read_to_end(&mut records)?;
            extended.write_all(&records)?;
            io::copy(&mut entry, &mut extended)?;
            form.extended.add(extended.finish().0);
            if matches!(kind, 'x' | 'g') {
                keys(&records, &mut form.keys);
            }
        } else {
            let name = header.path_bytes();
            for prefix in ["./", "/"] {
                if name.starts_with(prefix.as_bytes()) {
                    form.dialects
                        .insert(format!("names that begin with {prefix}"));
                }
            }
            let path = TreePath::parse_clamped(&name);
            let path = path.as_ref().map_or(&name[..], TreePath::as_bytes);
            let mut owners = hashes();
            write(&mut owners, path)?;
            for owner in [header.username_bytes(), header.groupname_bytes()] {
                let owner = owner.unwrap_or_default();
                // By entry, whatever their order: sums would hide swaps, so names go along.
                write(&mut owners, owner)?;
                let owner = show_bytes(owner).into_owned();
                if form.owner_names.len() < MAX_SHOWN && !owner.is_empty() {
                    form.owner_names.insert(owner);
                }
            }
            // The root is written by some only, and says nothing of the others.
            if !path.is_empty() {
                form.entries += 1;
                write(&mut order, path)?;
                form.paths.add(Digest::of(path));
                form.owners.add(owners.finish().0);
            }
        }
    }
    io::copy(&mut counted, &mut io::sink())?;
    form.order = Some(order.finish().0);
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
        assert!(plain.paths == other.paths && plain.entries == other.entries);
        let other = form(tar(&["a", "b"], "v", false)).unwrap();
        assert!(plain.order == other.order && plain.owners != other.owners);
        let other = form(tar(&["a", "b"], "u", true)).unwrap();
        assert!(plain.dialects != other.dialects);
        let other = form(tar(&["a", "b", "a"], "u", false)).unwrap();
        assert!(plain.paths != other.paths && other.entries == 3);
    }
}
