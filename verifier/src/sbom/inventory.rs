//! Which packages an image holds, by the databases of package managers in its layers.
//!
//! The layers are read once, lowest first; what a higher one replaces or removes is not listed. Files
//! that no package manager speaks of are not looked into, but for programs made by Go, which carry
//! the list of their modules with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

use repro_core::{
    digest::DiffId,
    image::{ImageError, StoredImage},
    layer::{Limits, open_layer},
    redact,
    store::BlobStore,
    tree::{Entry, EntryKind, EntrySource as _, TreePath},
};

use super::{SbomError, apk, dpkg, golang, npm, python, rpm};

/// Largest database of packages, in bytes. Debian's with ten thousand packages has 20 MiB.
const DATABASE_MAX: u64 = 128 << 20;
/// Largest description of one package, in bytes.
const DESCRIPTION_MAX: u64 = 4 << 20;
/// Largest program that is looked into, in bytes.
const PROGRAM_MAX: u64 = 256 << 20;
/// Most files that are looked into, and most packages of one. Both are far above what images have: an
/// image from outside should not fill the memory of whoever looks at it.
const FILES_MAX: usize = 200_000;
const PACKAGES_MAX: usize = 100_000;

/// The package manager that a package is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageKind {
    /// Alpine's.
    Apk,
    /// Debian's.
    Deb,
    /// Go modules.
    Golang,
    /// Node.js.
    Npm,
    /// Python.
    Pypi,
    /// RPM.
    Rpm,
}

impl PackageKind {
    /// The type in package URLs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Deb => "deb",
            Self::Golang => "golang",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::Rpm => "rpm",
        }
    }
}

/// One package, as its package manager has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Whose.
    pub kind: PackageKind,
    /// What its name stands in: a scope of npm, a path of Go; empty for others.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version; empty where there is none.
    pub version: String,
    /// Its architecture; empty where there is none.
    pub arch: String,
    /// Epoch of RPM, which is no part of its version there; empty elsewhere.
    pub epoch: String,
    /// Its source package with version, where it says so; empty elsewhere.
    pub source: String,
    /// What it says of its licence; empty where it says nothing.
    pub license: String,
}

impl Package {
    pub(super) fn new(kind: PackageKind, name: &str, version: &str) -> Self {
        Self {
            kind,
            namespace: String::new(),
            name: name.into(),
            version: version.into(),
            arch: String::new(),
            epoch: String::new(),
            source: String::new(),
            license: String::new(),
        }
    }
}

/// What an image holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Each package with the file that lists it and the layer that has this file.
    pub packages: BTreeSet<(Package, String, DiffId)>,
    /// `ID` of `os-release`; empty where there is none.
    pub distro: String,
    /// `VERSION_ID` of it.
    pub distro_version: String,
    /// Files that list packages and could not be read, with the reason.
    pub unread: BTreeMap<String, &'static str>,
}

/// What a file is to be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Dpkg,
    Apk,
    Rpm,
    Python,
    Npm,
    OsRelease,
    Program,
}

/// What one file lists.
#[derive(Debug, Clone)]
struct Listed {
    layer: usize,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Packages(Vec<Package>),
    Os { id: String, version: String },
    Unread(&'static str),
}

impl Inventory {
    /// Reads every layer of `image`.
    pub fn of_image(image: &StoredImage, blobs: &dyn BlobStore) -> Result<Self, SbomError> {
        let mut files: BTreeMap<TreePath, Listed> = BTreeMap::new();
        for (number, layer) in image.layers.iter().enumerate() {
            let mut reader = open_layer(blobs, layer, Limits::default())
                .map_err(|source| SbomError::Image(source.into()))?;
            let mut take =
                |entry: &Entry, content: &mut dyn Read| put(&mut files, number, entry, content);
            let failed = |source| ImageError::Layer {
                digest: layer.digest,
                source,
            };
            while reader.next_entry(&mut take).map_err(failed)? {}
        }
        Ok(Self::of_files(files, image.diff_ids()))
    }

    fn of_files(files: BTreeMap<TreePath, Listed>, layers: &[DiffId]) -> Self {
        let mut inventory = Self::default();
        for (path, listed) in files {
            let name = format!("/{path}");
            let layer = layers.get(listed.layer).copied();
            match (listed.what, layer) {
                (What::Packages(packages), Some(layer)) => {
                    let each = packages.into_iter();
                    let each = each.map(|package| (package, name.clone(), layer));
                    inventory.packages.extend(each);
                }
                // `etc/os-release` comes before the one below `usr/lib`, as programs look for it.
                (What::Os { id, version }, _) if inventory.distro.is_empty() => {
                    inventory.distro = id;
                    inventory.distro_version = version;
                }
                (What::Unread(reason), _) => {
                    inventory.unread.insert(name, reason);
                }
                (What::Os { .. }, _) | (What::Packages(_), None) => {}
            }
        }
        inventory
    }
}

/// Applies one entry of layer `number` to what was found below.
fn put(
    files: &mut BTreeMap<TreePath, Listed>,
    number: usize,
    entry: &Entry,
    content: &mut dyn Read,
) -> io::Result<()> {
    match &entry.kind {
        EntryKind::Directory => {}
        EntryKind::OpaqueWhiteout => hide(files, number, &entry.path, false),
        EntryKind::Hardlink { target } => {
            let same = files.get(target).cloned();
            files.remove(&entry.path);
            if let Some(same) = same.filter(|_| reading(&entry.path, entry.meta.mode).is_some()) {
                let listed = Listed {
                    layer: number,
                    ..same
                };
                files.insert(entry.path.clone(), listed);
            }
        }
        // What is no directory hides what was below its path, as a whiteout does.
        _ => {
            hide(files, number, &entry.path, true);
            if let EntryKind::File { size } = entry.kind
                && let Some(reading) = reading(&entry.path, entry.meta.mode)
                && let Some(what) = read(reading, &entry.path, size, content, files.len())?
            {
                let listed = Listed {
                    layer: number,
                    what,
                };
                files.insert(entry.path.clone(), listed);
            }
        }
    }
    Ok(())
}

/// Removes what lower layers than `number` have below `path`, and at it too with `itself`.
fn hide(files: &mut BTreeMap<TreePath, Listed>, number: usize, path: &TreePath, itself: bool) {
    // A path comes before all that is below it, and nothing else comes between.
    let below = files.range(path..);
    let hidden: Vec<TreePath> = below
        .take_while(|(found, _)| found.starts_with(path))
        .filter(|(found, listed)| listed.layer < number && (itself || *found != path))
        .map(|(found, _)| found.clone())
        .collect();
    for path in hidden {
        files.remove(&path);
    }
}

/// What a file is, by its name; programs by their mode.
fn reading(path: &TreePath, mode: u16) -> Option<Reading> {
    let names: Vec<&[u8]> = path.names().collect();
    match names.as_slice() {
        [b"var", b"lib", b"dpkg", b"status"] => Some(Reading::Dpkg),
        // Distroless images: one file a package, beside lists of their files.
        [b"var", b"lib", b"dpkg", b"status.d", name] if !name.ends_with(b".md5sums") => {
            Some(Reading::Dpkg)
        }
        [b"lib", b"apk", b"db", b"installed"] | [b"usr", b"lib", b"apk", b"db", b"installed"] => {
            Some(Reading::Apk)
        }
        [b"var", b"lib", b"rpm", b"rpmdb.sqlite"]
        | [b"usr", b"lib", b"sysimage", b"rpm", b"rpmdb.sqlite"] => Some(Reading::Rpm),
        [b"etc", b"os-release"] | [b"usr", b"lib", b"os-release"] => Some(Reading::OsRelease),
        [.., dir, b"METADATA"] if dir.ends_with(b".dist-info") => Some(Reading::Python),
        [.., dir, b"PKG-INFO"] if dir.ends_with(b".egg-info") => Some(Reading::Python),
        [.., name] if name.ends_with(b".egg-info") => Some(Reading::Python),
        [.., b"node_modules", name, b"package.json"] if !name.starts_with(b"@") => {
            Some(Reading::Npm)
        }
        [.., b"node_modules", scope, _, b"package.json"] if scope.starts_with(b"@") => {
            Some(Reading::Npm)
        }
        _ if mode & 0o111 != 0 => Some(Reading::Program),
        _ => None,
    }
}

/// Reads a file; `None` if it lists nothing.
fn read(
    reading: Reading,
    path: &TreePath,
    size: u64,
    content: &mut dyn Read,
    files: usize,
) -> io::Result<Option<What>> {
    let limit = match reading {
        Reading::Dpkg | Reading::Apk | Reading::Rpm => DATABASE_MAX,
        Reading::Python | Reading::Npm | Reading::OsRelease => DESCRIPTION_MAX,
        Reading::Program => PROGRAM_MAX,
    };
    if reading == Reading::Program {
        // Most programs are scripts or none of Go's; only the first bytes of these are read.
        let mut magic = [0_u8; 4];
        if size < 64 || size > limit {
            return Ok(None);
        }
        content.read_exact(&mut magic)?;
        if magic != *b"\x7fELF" {
            return Ok(None);
        }
        let mut bytes = magic.to_vec();
        content.read_to_end(&mut bytes)?;
        let modules = golang::modules(&bytes);
        return Ok(listed(modules).filter(|_| files < FILES_MAX));
    }
    if size > limit {
        return Ok(Some(What::Unread("larger than any known one")));
    }
    if files >= FILES_MAX {
        return Ok(Some(What::Unread("too many files that list packages")));
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    if reading == Reading::Rpm {
        return Ok(match rpm::packages(&bytes) {
            Some(packages) => listed(packages),
            None => Some(What::Unread("not a database of RPM that can be read")),
        });
    }
    let text = String::from_utf8_lossy(&bytes);
    let packages = match reading {
        Reading::Dpkg => dpkg::packages(&text),
        Reading::Apk => apk::packages(&text),
        Reading::Python => python::package(&text).into_iter().collect(),
        Reading::Npm => npm::package(path, &bytes).into_iter().collect(),
        Reading::OsRelease => {
            let (id, version) = os_release(&text);
            return Ok(Some(What::Os { id, version }));
        }
        Reading::Rpm | Reading::Program => Vec::new(),
    };
    Ok(listed(packages))
}

fn listed(packages: Vec<Package>) -> Option<What> {
    match packages.len() {
        0 => None,
        1..=PACKAGES_MAX => Some(What::Packages(packages)),
        _ => Some(What::Unread("too many packages")),
    }
}

/// `ID` and `VERSION_ID` of an `os-release` (os-release(5)).
fn os_release(text: &str) -> (String, String) {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
            Some(value.trim_matches(['"', '\'']).to_owned())
        });
        line.unwrap_or_default()
    };
    (value("ID"), value("VERSION_ID"))
}

/// What a package says of its licence. Some quote the whole text, with whoever wrote it.
pub(super) fn license(value: &str) -> String {
    redact::builtin().text(&one_line(value), &mut redact::Counts::new())
}

/// A value that is one line, without what no name or version has.
pub(super) fn one_line(value: &str) -> String {
    let value = value.trim();
    value
        .chars()
        .filter(|c| !c.is_control())
        .take(400)
        .collect()
}
