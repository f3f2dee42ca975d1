//! OCI image layouts (image-spec, "Image Layout").

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write},
    path::Path,
};

use serde::Deserialize;

use super::{
    FILE_MODE, ImportOptions, TransportError, forms, layout::Addition, source::FileSource,
};
use crate::{
    digest::{Digest, HashingReader},
    fs::{persist_durably, sorted_names},
    image::{
        Descriptor, ImageError, Index, MAX_DOCUMENT, Manifest, REF_NAME, StoredImage, keys,
        load_image, pick_platform, stored::MAX_DEPTH,
    },
    layer::LayerWriter,
    ruleset::Ruleset,
    store::{BlobStore, LocalBlobs},
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};

pub(super) const FORM: &str = "an OCI image layout";
const LAYOUT_VERSION: &str = "1.0.0";
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

pub(super) fn import(
    blobs: &LocalBlobs,
    source: &mut FileSource,
    tag: Option<&str>,
    options: ImportOptions<'_>,
) -> Result<StoredImage, TransportError> {
    let (_, index) = index(source)?;
    let root = choose(source, &index, tag, options)?;
    let mut chosen = root.clone();
    for _ in 0..MAX_DEPTH {
        if chosen.size > MAX_DOCUMENT {
            return Err(TransportError::DocumentTooLarge {
                name: chosen.digest.to_string(),
                limit: MAX_DOCUMENT,
            });
        }
        copy_in(blobs, source, &chosen)?;
        let bytes = crate::store::read_small(blobs, chosen.digest, MAX_DOCUMENT)?;
        if chosen.media_type.is_index() {
            let index = Index::parse(&bytes, Some(&chosen.media_type))?;
            chosen = pick_platform(&index, options.platform)?.clone();
            continue;
        }
        let manifest = Manifest::parse(&bytes, Some(&chosen.media_type))?;
        copy_in(blobs, source, &manifest.config)?;
        for layer in &manifest.layers {
            copy_in(blobs, source, layer)?;
        }
        if source.is_archive() {
            forms::check_docker(source, &root, manifest.config.digest)?;
        }
        return Ok(load_image(blobs, chosen.digest)?);
    }
    Err(ImageError::TooDeep(MAX_DEPTH).into())
}

/// The index of a layout, and its bytes.
pub(super) fn index(source: &mut FileSource) -> Result<(Vec<u8>, Index), TransportError> {
    let layout_file = source.document("oci-layout")?;
    let layout: LayoutFile = serde_json::from_slice(&layout_file)
        .map_err(|error| source.not_this_form(FORM, Some(error)))?;
    keys::refuse_folded(&layout_file, keys::LAYOUT)?;
    if layout.image_layout_version != LAYOUT_VERSION {
        return Err(source.not_this_form("an OCI image layout of version 1.0.0", None));
    }
    let bytes = source.document("index.json")?;
    let index = Index::parse(&bytes, None)?;
    Ok((bytes, index))
}

pub(super) fn choose(
    source: &FileSource,
    index: &Index,
    tag: Option<&str>,
    options: ImportOptions<'_>,
) -> Result<Descriptor, TransportError> {
    let images: Vec<&Descriptor> = images(index).collect();
    match (tag, &images[..]) {
        (None, several)
            if several.len() != 1 && several.iter().all(|found| found.platform.is_some()) =>
        {
            Ok(pick_platform(index, options.platform)?.clone())
        }
        _ => choose_root(source, index, tag),
    }
}

/// The image that `tag` names, or the only one.
pub(super) fn choose_root(
    source: &FileSource,
    index: &Index,
    tag: Option<&str>,
) -> Result<Descriptor, TransportError> {
    let name = |found: &Descriptor| found.annotations.get(REF_NAME).cloned();
    let found = || {
        images(index)
            .map(|found| name(found).unwrap_or_else(|| found.digest.to_string()))
            .collect()
    };
    let path = || source.path().to_owned();
    let mut all = images(index);
    match (tag, all.next(), all.next()) {
        (Some(tag), _, _) => {
            let named = images(index).find(|found| name(found).as_deref() == Some(tag));
            let chosen = named.ok_or_else(|| TransportError::NoSuchImage {
                path: path(),
                wanted: tag.to_owned(),
                found: found(),
            })?;
            refuse_namesakes(source, index, tag, chosen)?;
            Ok(chosen.clone())
        }
        (None, Some(only), None) => Ok(only.clone()),
        (None, _, _) => Err(TransportError::SeveralImages {
            path: path(),
            found: found(),
        }),
    }
}

/// Refuses an index in which `tag` names anything else besides `chosen`. Some programs take the first
/// entry of a name, some the last, whatever its type and platform are, and some go by another
/// annotation.
fn refuse_namesakes(
    source: &FileSource,
    index: &Index,
    tag: &str,
    chosen: &Descriptor,
) -> Result<(), TransportError> {
    let named: Vec<&Descriptor> = index
        .manifests
        .iter()
        .filter(|entry| {
            let mut names = [REF_NAME, forms::IMAGE_NAME].into_iter();
            names.any(|key| entry.annotations.get(key).is_some_and(|name| name == tag))
        })
        .collect();
    let what = |entry: &Descriptor| (entry.digest, entry.size, entry.media_type.clone());
    if named.iter().all(|entry| what(entry) == what(chosen)) {
        return Ok(());
    }
    Err(TransportError::SameName {
        path: source.path().to_owned(),
        wanted: tag.to_owned(),
        found: named.iter().map(|entry| entry.digest.to_string()).collect(),
    })
}

/// The entries of a layout that are images or lists of them, not what refers to one.
fn images(index: &Index) -> impl Iterator<Item = &Descriptor> {
    let all = index.manifests.iter();
    all.filter(|found| found.artifact_type.is_none())
}

/// Copies a blob into the store, if it has the size and digest that its descriptor says.
pub(super) fn copy_in(
    blobs: &LocalBlobs,
    source: &FileSource,
    blob: &Descriptor,
) -> Result<(), TransportError> {
    let wrong_size = || TransportError::BlobSize {
        digest: blob.digest,
        expected: blob.size,
    };
    let (reader, size) = source.open(&blob_name(blob.digest))?;
    if size != blob.size {
        return Err(wrong_size());
    }
    let mut out = blobs.create()?;
    let copied = io::copy(&mut reader.take(blob.size), &mut out)
        .map_err(TransportError::io("copy a blob from", source.path()))?;
    if copied != blob.size {
        return Err(wrong_size());
    }
    out.commit_as(blob.digest)?;
    Ok(())
}

pub(super) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The entry of `index.json` for an image.
fn index_entry(image: &StoredImage, tag: Option<&str>) -> Descriptor {
    let mut entry = image.descriptor.clone();
    // The name is what the caller says now, whatever it was elsewhere.
    entry.annotations.remove(REF_NAME);
    entry
        .annotations
        .extend(tag.map(|tag| (REF_NAME.to_owned(), tag.to_owned())));
    entry
}

/// Digests and sizes of everything an image is made of.
fn parts(image: &StoredImage) -> BTreeMap<Digest, u64> {
    let manifest = &image.manifest;
    let parts = manifest
        .layers
        .iter()
        .chain([&manifest.config, &image.descriptor]);
    parts.map(|part| (part.digest, part.size)).collect()
}

/// Adds the image to a layout, in place of the one that had its name.
pub(super) fn export_dir(
    blobs: &LocalBlobs,
    image: &StoredImage,
    tag: Option<&str>,
    dir: &Path,
) -> Result<(), TransportError> {
    let target = dir.join("blobs/sha256");
    let mut index = existing_index(dir)?;
    fs::create_dir_all(&target).map_err(TransportError::io("make", &target))?;
    for digest in parts(image).into_keys() {
        write_file(&dir.join(blob_name(digest)), &target, |out| {
            io::copy(&mut blobs.open(digest).map_err(io::Error::from)?, out).map(drop)
        })?;
    }
    index
        .manifests
        .retain(|found| found.annotations.get(REF_NAME).map(String::as_str) != tag);
    index.manifests.push(index_entry(image, tag));
    sort(&mut index);
    let bytes = crate::json::canonical(&index).map_err(ImageError::Canonical)?;
    write_file(&dir.join("oci-layout"), dir, |out| out.write_all(LAYOUT))?;
    // Last: until it is there, nothing refers to the new blobs.
    write_file(&dir.join("index.json"), dir, |out| out.write_all(&bytes))
}

/// As [`super::add_to_layout`].
pub(super) fn add_entries(
    blobs: &dyn BlobStore,
    dir: &Path,
    addition: &Addition<'_>,
) -> Result<Vec<Digest>, TransportError> {
    let Addition {
        entries,
        parts,
        image,
        annotation: (key, value),
    } = addition;
    let target = dir.join("blobs/sha256");
    let mut index = existing_index(dir)?;
    let is_new = |entry: &&Descriptor| {
        let mut there = index.manifests.iter();
        !there.any(|found| found.digest == entry.digest)
    };
    let new: Vec<Descriptor> = entries.iter().filter(is_new).cloned().collect();
    let digests: Vec<Digest> = new.iter().map(|entry| entry.digest).collect();
    for digest in parts.iter().chain(&digests) {
        let path = dir.join(blob_name(*digest));
        // One that is there and is damaged is mended by the one that is not.
        if path.metadata().is_ok_and(|meta| meta.is_file()) && is_whole(&path, *digest) {
            continue;
        }
        write_file(&path, &target, |out| {
            io::copy(&mut blobs.open(*digest).map_err(io::Error::from)?, out).map(drop)
        })?;
    }
    let mut marked = false;
    for entry in &mut index.manifests {
        if entry.digest == *image {
            let old = entry.annotations.insert((*key).into(), (*value).into());
            marked |= old.as_deref() != Some(*value);
        }
    }
    if marked || !new.is_empty() {
        index.manifests.extend(new);
        sort(&mut index);
        let bytes = crate::json::canonical(&index).map_err(ImageError::Canonical)?;
        write_file(&dir.join("index.json"), dir, |out| out.write_all(&bytes))?;
    }
    Ok(digests)
}

/// Whether a file has the digest that it is named by.
fn is_whole(path: &Path, digest: Digest) -> bool {
    let hash = || {
        let mut reader = HashingReader::new(fs::File::open(path)?);
        io::copy(&mut reader, &mut io::sink())?;
        Ok::<_, io::Error>(reader.finish().0)
    };
    hash().is_ok_and(|found| found == digest)
}

fn sort(index: &mut Index) {
    index.manifests.sort_by_key(|found| {
        let name = found.annotations.get(REF_NAME).cloned();
        (name, found.digest)
    });
}

/// The index of a layout that is there, or an empty one for an empty or new directory.
fn existing_index(dir: &Path) -> Result<Index, TransportError> {
    let names = match sorted_names(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result.map_err(TransportError::io("list", dir))?,
    };
    if names.is_empty() {
        return Ok(Index::new(Vec::new()));
    }
    if !names.iter().any(|name| name == "oci-layout") {
        return Err(TransportError::NotEmpty(dir.to_owned()));
    }
    match FileSource::dir(dir).document("index.json") {
        Ok(bytes) => Ok(Index::parse(&bytes, None)?),
        Err(TransportError::NoMember { .. }) => Ok(Index::new(Vec::new())),
        Err(error) => Err(error),
    }
}

fn write_file(
    path: &Path,
    tmp: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), TransportError> {
    let attempt = || {
        let mut file = tempfile::NamedTempFile::new_in(tmp)?;
        write(&mut file)?;
        persist_durably(file, path, FILE_MODE)
    };
    attempt().map_err(TransportError::io("write", path))
}

/// Writes a layout with one image as a tar: names in canonical order, everything dated 1970.
pub(super) fn export_archive(
    blobs: &LocalBlobs,
    image: &StoredImage,
    tag: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), TransportError> {
    let index = Index::new(vec![index_entry(image, tag)]);
    let index = crate::json::canonical(&index).map_err(ImageError::Canonical)?;
    let write = || {
        let mut tar = LayerWriter::new(out, Ruleset::V1);
        for dir in ["blobs", "blobs/sha256"] {
            tar.entry(&member(dir, EntryKind::Directory)?, &mut io::empty())?;
        }
        for (digest, size) in parts(image) {
            let mut content = blobs.open(digest).map_err(io::Error::from)?;
            let kind = EntryKind::File { size };
            tar.entry(&member(&blob_name(digest), kind)?, &mut content)?;
        }
        for (name, bytes) in [("index.json", &index[..]), ("oci-layout", LAYOUT)] {
            tar.entry(&file_member(name, bytes)?, &mut &bytes[..])?;
        }
        tar.finish().map(drop)
    };
    write().map_err(|source| TransportError::Io {
        what: "write an OCI archive".into(),
        source,
    })
}

pub(super) fn file_member(name: &str, bytes: &[u8]) -> io::Result<Entry> {
    let size = bytes.len() as u64;
    member(name, EntryKind::File { size })
}

/// An entry of an archive that is no layer.
pub(super) fn member(name: &str, kind: EntryKind) -> io::Result<Entry> {
    let mode = if kind == EntryKind::Directory {
        0o755
    } else {
        0o644
    };
    Ok(Entry {
        path: TreePath::parse(name.as_bytes()).map_err(io::Error::other)?,
        kind,
        meta: Meta {
            mode,
            ..Meta::default()
        },
    })
}
