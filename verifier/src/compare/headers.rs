//! Layers whose entries are equal and whose tars are not: what of the form differs.

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use repro_core::{
    digest::{Digest, HashingWriter},
    image::LayerDescriptor,
    layer::decompress,
};

use super::{
    CompareError, Difference, DifferenceKind, Evidence,
    layers::{Place, Tools},
};
use crate::causes::{Cause, Confidence};

/// Most entries of a layer whose headers are looked at.
const MAX_HEADERS: usize = 1_000_000;

/// The form of one tar, in what a reader of entries does not see.
#[derive(Default, PartialEq, Eq)]
struct Form {
    /// Digest over the names in their order.
    order: Option<Digest>,
    /// Digest over the names of users and groups.
    owners: Option<Digest>,
    /// Magics, and types of extended headers.
    dialects: BTreeSet<Vec<u8>>,
    /// Digest over the extended headers.
    extended: Option<Digest>,
    bytes: u64,
}

impl Tools<'_> {
    /// The rows on two layers that hold the same entries in different tars.
    pub(super) fn headers(
        &self,
        a: &LayerDescriptor,
        b: &LayerDescriptor,
        place: Place,
    ) -> Result<Vec<Difference>, CompareError> {
        let (form_a, form_b) = (self.form(a)?, self.form(b)?);
        let found = [
            (Cause::EntryOrder, form_a.order != form_b.order),
            (Cause::OwnerName, form_a.owners != form_b.owners),
            (Cause::TarFormat, form_a.dialects != form_b.dialects),
            (Cause::PaxHeader, form_a.extended != form_b.extended),
        ];
        let mut causes: Vec<(Cause, Confidence)> = found
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(cause, _)| (cause, Confidence::Certain))
            .collect();
        if causes.is_empty() {
            causes.push(if form_a.bytes == form_b.bytes {
                (Cause::Unknown, Confidence::Unknown)
            } else {
                (Cause::TarPadding, Confidence::Likely)
            });
        }
        let row = |(cause, confidence)| Difference {
            path: String::new(),
            layer: place.layer,
            step: place.step,
            kind: DifferenceKind::Content,
            cause,
            confidence,
            derived_from: None,
            evidence: Some(Evidence {
                offset: None,
                inside: None,
                a: a.diff_id.to_string(),
                b: b.diff_id.to_string(),
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
        form.dialects.insert(header.as_bytes()[257..265].to_vec());
        if kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
            || kind.is_gnu_longname()
            || kind.is_gnu_longlink()
        {
            form.dialects.insert(vec![kind.as_byte()]);
            write(&mut extended, &header.path_bytes())?;
            io::copy(&mut entry, &mut extended)?;
        } else {
            write(&mut order, &header.path_bytes())?;
            let name = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
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
