//! The rows of one pair of layers.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use repro_core::{
    digest::Digest,
    tree::{EntryKind, Meta, TreePath, show_bytes},
};

use super::{
    ABSENT, Difference, DifferenceKind, Evidence, Origin,
    capability::{self, CAPABILITY},
    index::{Key, LayerIndex},
    metadata,
    names::Renamed,
    sums,
};
use crate::causes::{Cause, Confidence, ContentFinding, trace_of_entry};

/// Where two layers belong.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Index in the image.
    pub(super) layer: Option<u32>,
    /// Index in the plan.
    pub(super) step: Option<u32>,
}

/// Rows as they are found.
pub(super) struct Rows {
    place: Place,
    found: Vec<Difference>,
}

impl Rows {
    pub(super) const fn new(place: Place) -> Self {
        Self {
            place,
            found: Vec::new(),
        }
    }

    /// A row without values; its number.
    pub(super) fn push(
        &mut self,
        path: &TreePath,
        kind: DifferenceKind,
        named: (Cause, Confidence),
    ) -> usize {
        self.found.push(Difference {
            path: path.to_string(),
            platform: None,
            layer: self.place.layer,
            step: self.place.step,
            kind,
            cause: named.0,
            confidence: named.1,
            derived_from: None,
            evidence: None,
        });
        self.found.len() - 1
    }

    pub(super) fn values(&mut self, row: usize, a: impl Into<String>, b: impl Into<String>) {
        self.found[row].evidence = Some(Evidence {
            offset: None,
            inside: None,
            a: a.into(),
            b: b.into(),
            around: None,
        });
    }

    pub(super) fn names(&mut self, pairs: &[Renamed]) {
        for pair in pairs {
            let named = (pair.cause, pair.confidence);
            let row = self.push(&pair.a.path, DifferenceKind::Missing, named);
            self.values(row, pair.a.path.to_string(), pair.b.path.to_string());
        }
    }

    /// Entries of one layer only. What lies below such a directory follows from it.
    pub(super) fn missing(&mut self, a: &LayerIndex, b: &LayerIndex, pairs: &[Renamed]) {
        for (index, other, in_a) in [(a, b, true), (b, a, false)] {
            // Directories, with the row that tells of each.
            let mut above: BTreeMap<&TreePath, (&TreePath, Cause, Confidence)> = pairs
                .iter()
                .map(|pair| {
                    let key = if in_a { &pair.a } else { &pair.b };
                    (&key.path, (&pair.a.path, pair.cause, pair.confidence))
                })
                .collect();
            for (key, item) in index.iter().filter(|(key, _)| !other.contains_key(*key)) {
                if above.contains_key(&key.path) && !key.opaque {
                    continue;
                }
                let parent = key.path.parent();
                let from = parent.as_ref().and_then(|parent| above.get(parent));
                let origin = from.map(|(path, ..)| Origin {
                    step: self.place.step,
                    path: path.to_string(),
                });
                let known = trace_of_entry(key.path.as_bytes()).unwrap_or(Cause::MissingFile);
                let named = from.map_or((known, Confidence::Likely), |(_, cause, confidence)| {
                    (*cause, *confidence)
                });
                if item.kind == EntryKind::Directory {
                    above.insert(&key.path, (&key.path, named.0, named.1));
                }
                let row = self.push(&key.path, DifferenceKind::Missing, named);
                self.found[row].derived_from = origin;
                self.sides(row, type_name(&item.kind), in_a, ABSENT);
            }
        }
    }

    /// Entries that one layer writes and the other leaves as they were, with whether it is A that writes.
    /// Of `directories` it has those above what it writes as well: these follow from that.
    pub(super) fn written_in_one<'a>(
        &mut self,
        entries: impl Iterator<Item = (&'a TreePath, bool)>,
        directories: impl Iterator<Item = &'a TreePath>,
    ) {
        let told: BTreeSet<String> = self.found.iter().map(|row| row.path.clone()).collect();
        let mut written: BTreeMap<&TreePath, bool> = entries.collect();
        for directory in directories {
            let mut behind = written.range::<TreePath, _>((Excluded(directory), Unbounded));
            let explained = behind
                .next()
                .is_some_and(|(path, _)| path.starts_with(directory));
            if explained || first_below(&told, &directory.to_string()).is_some() {
                written.remove(directory);
            }
        }
        for (path, in_a) in written {
            let named = (Cause::OneSidedWrite, Confidence::Certain);
            let row = self.push(path, DifferenceKind::Missing, named);
            self.sides(row, "written".into(), in_a, "left as it was");
        }
    }

    /// A value that one side has, and what the other has instead.
    pub(super) fn sides(&mut self, row: usize, there: String, in_a: bool, otherwise: &str) {
        if in_a {
            self.values(row, there, otherwise);
        } else {
            self.values(row, otherwise, there);
        }
    }

    /// Mode, owner, time and attributes of one entry.
    pub(super) fn metadata(&mut self, path: &TreePath, kind: &EntryKind, a: &Meta, b: &Meta) {
        if a.mode != b.mode {
            let named = metadata::mode(kind, a.mode, b.mode);
            let row = self.push(path, DifferenceKind::Mode, named);
            self.values(row, format!("{:04o}", a.mode), format!("{:04o}", b.mode));
        }
        if (a.uid, a.gid) != (b.uid, b.gid) {
            let named = (Cause::OwnerId, Confidence::Certain);
            let row = self.push(path, DifferenceKind::Owner, named);
            self.values(
                row,
                format!("{}:{}", a.uid, a.gid),
                format!("{}:{}", b.uid, b.gid),
            );
        }
        if a.mtime != b.mtime {
            let named = (Cause::FileTime, Confidence::Certain);
            let row = self.push(path, DifferenceKind::Mtime, named);
            self.values(row, a.mtime.to_string(), b.mtime.to_string());
        }
        if !capability::same_xattrs(&a.xattrs, &b.xattrs) {
            let row = self.push(path, DifferenceKind::Xattr, metadata::xattr(a, b));
            self.values(row, differing_xattrs(a, b), differing_xattrs(b, a));
        }
    }

    /// The causes of a differing content, or its digests where none was found.
    pub(super) fn content(
        &mut self,
        path: &TreePath,
        digests: [Option<Digest>; 2],
        findings: Vec<ContentFinding>,
    ) {
        let digests = || {
            let text = |digest: Option<Digest>| {
                digest.map_or_else(String::new, |digest| digest.to_string())
            };
            (text(digests[0]), text(digests[1]))
        };
        if findings.is_empty() {
            let named = (Cause::LimitReached, Confidence::Unknown);
            let row = self.push(path, DifferenceKind::Content, named);
            let (a, b) = digests();
            self.values(row, a, b);
            return;
        }
        for finding in findings {
            let named = (finding.cause, finding.confidence);
            let row = self.push(path, DifferenceKind::Content, named);
            let around = finding
                .excerpt
                .as_ref()
                .and_then(|excerpt| excerpt.around.clone());
            let (a, b) = finding
                .excerpt
                .map_or_else(digests, |excerpt| (excerpt.a, excerpt.b));
            self.found[row].evidence = Some(Evidence {
                offset: Some(finding.offset),
                inside: finding.inside.clone(),
                a,
                b,
                around,
            });
        }
    }

    /// Marks what follows from other rows: a build id from the rest of its file, a line of a
    /// list of checksums from the file it names.
    pub(super) fn follow(&mut self) {
        let content: Vec<(String, Cause)> = self
            .found
            .iter()
            .filter(|row| row.kind == DifferenceKind::Content)
            .map(|row| (row.path.clone(), row.cause))
            .collect();
        let step = self.place.step;
        for row in &mut self.found {
            let mut others = content.iter().filter(|(_, cause)| *cause != row.cause);
            let from = match row.cause {
                Cause::LinkerBuildId => others.find(|(path, _)| *path == row.path),
                Cause::DerivedChecksum => {
                    let paths: Vec<&str> = others
                        .map(|(path, _)| path.as_str())
                        .filter(|path| *path != row.path)
                        .collect();
                    let path = sums::followed(&row.path, row.evidence.as_ref(), &paths);
                    path.and_then(|path| content.iter().find(|(other, _)| other == path))
                }
                _ => None,
            };
            if let Some((path, _)) = from {
                let path = path.clone();
                row.derived_from = Some(Origin { step, path });
            }
        }
    }

    /// By path, then kind; the causes of one file stay in their order.
    pub(super) fn sorted(mut self) -> Vec<Difference> {
        self.found
            .sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
        self.found
    }
}

/// The first of `paths` below `directory`; both printable.
fn first_below<'a>(paths: &'a BTreeSet<String>, directory: &str) -> Option<&'a String> {
    let prefix = match directory {
        "" => String::new(),
        directory => format!("{directory}/"),
    };
    let mut behind = paths.range(prefix.clone()..);
    behind
        .find(|path| *path != directory)
        .filter(|path| path.starts_with(&prefix))
}

/// The targets of two links of one kind.
pub(super) fn link_targets<'a>(a: &'a EntryKind, b: &'a EntryKind) -> Option<(&'a [u8], &'a [u8])> {
    match (a, b) {
        (EntryKind::Symlink { target: a }, EntryKind::Symlink { target: b }) => Some((a, b)),
        (EntryKind::Hardlink { target: a }, EntryKind::Hardlink { target: b }) => {
            Some((a.as_bytes(), b.as_bytes()))
        }
        _ => None,
    }
}

/// The type of an entry in words.
pub(super) fn type_name(kind: &EntryKind) -> String {
    match kind {
        EntryKind::Directory => "directory".into(),
        EntryKind::File { .. } => "file".into(),
        EntryKind::Symlink { .. } => "symbolic link".into(),
        EntryKind::Hardlink { .. } => "hard link".into(),
        EntryKind::Fifo => "named pipe".into(),
        EntryKind::CharDevice { major, minor } => format!("character device {major}:{minor}"),
        EntryKind::BlockDevice { major, minor } => format!("block device {major}:{minor}"),
        EntryKind::Whiteout => "removal".into(),
        EntryKind::OpaqueWhiteout => "removal of everything below".into(),
    }
}

/// Names of the attributes of `one` that `other` has not, or with another meaning. Of values only
/// capabilities are shown: others can be a label, a token, or binary.
fn differing_xattrs(one: &Meta, other: &Meta) -> String {
    let differs = |name: &Vec<u8>, value: &Vec<u8>| {
        let there = other.xattrs.get(name);
        there.is_none_or(|there| !capability::same(name, value, there))
    };
    let names: Vec<String> = one
        .xattrs
        .iter()
        .filter(|(name, value)| differs(name, value))
        .map(|(name, value)| match name.as_slice() {
            CAPABILITY => capability::words(value),
            name => show_bytes(name).into_owned(),
        })
        .collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

/// Keys of both sides that hold one content.
pub(super) struct Pair {
    /// Under which it is reported.
    pub(super) path: TreePath,
    pub(super) a: Key,
    pub(super) b: Key,
}
