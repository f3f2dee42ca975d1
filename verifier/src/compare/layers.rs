//! Two layers of one step, entry by entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use repro_core::{
    digest::Digest,
    image::LayerDescriptor,
    tree::{EntryKind, Meta, TreePath, show_bytes},
};

use super::{
    CompareError, Difference, DifferenceKind, Evidence, Origin,
    index::{Item, Key, LayerIndex, Layers},
    metadata,
    names::{Renamed, renamed},
    spool::{Spool, Spooled},
};
use crate::causes::{
    Cause, Confidence, ContentFinding, Facts, excerpts_by_name, find_file_causes, name_cause,
    trace_of_entry,
};

/// Where two layers belong.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Index in the image.
    pub(super) layer: Option<u32>,
    /// Index in the plan.
    pub(super) step: Option<u32>,
}

/// What the comparison of two layers found.
pub(super) struct LayerComparison {
    pub(super) differences: Vec<Difference>,
    /// Entries in either layer.
    pub(super) entries: u64,
    /// Those that are equal in both.
    pub(super) equal: u64,
    /// Pairs of digests of contents that differ, with the path.
    pub(super) contents: Vec<(ContentPair, String)>,
}

/// Digests of a content in run A and run B.
pub(super) type ContentPair = (Digest, Digest);

/// What a comparison of layers needs besides the layers.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub(super) layers: Layers<'a>,
    pub(super) facts: &'a Facts,
    pub(super) scratch: &'a Path,
}

/// A file whose content differs, under its names in both layers.
struct Pair {
    a: Key,
    b: Key,
}

impl Tools<'_> {
    /// Compares two layers; a step that made no layer made an empty one.
    pub(super) fn compare(
        &self,
        a: Option<&LayerDescriptor>,
        b: Option<&LayerDescriptor>,
        place: Place,
    ) -> Result<LayerComparison, CompareError> {
        let index = |layer: Option<&LayerDescriptor>| match layer {
            Some(layer) => self.layers.index(layer),
            None => Ok(LayerIndex::new()),
        };
        let (index_a, index_b) = (index(a)?, index(b)?);
        let pairs = renamed(&index_a, &index_b, self.facts);
        let mut rows = Rows {
            place,
            found: Vec::new(),
        };
        let mut contents = Vec::new();
        rows.names(&pairs);
        rows.missing(&index_a, &index_b, &pairs);
        let mut equal = 0;
        for (key, item_a) in &index_a {
            let Some(item_b) = index_b.get(key) else {
                continue;
            };
            if item_a == item_b {
                equal += 1;
                continue;
            }
            rows.entry(key, (item_a, &index_a), (item_b, &index_b), self.facts);
            if differ_in_content(item_a, item_b) {
                contents.push(Pair {
                    a: key.clone(),
                    b: key.clone(),
                });
            }
        }
        for pair in &pairs {
            if differ_in_content(&index_a[&pair.a], &index_b[&pair.b]) {
                contents.push(Pair {
                    a: pair.a.clone(),
                    b: pair.b.clone(),
                });
            }
        }
        if let (Some(a), Some(b), false) = (a, b, contents.is_empty()) {
            self.contents((a, &index_a), (b, &index_b), &contents, &mut rows)?;
        }
        let shared = index_a.keys().filter(|key| index_b.contains_key(*key));
        let entries = index_a.len() + index_b.len() - shared.count();
        Ok(LayerComparison {
            differences: {
                rows.follow();
                rows.sorted()
            },
            entries: entries as u64,
            equal,
            contents: contents
                .iter()
                .filter_map(|pair| {
                    let digests = index_a[&pair.a].content.zip(index_b[&pair.b].content)?;
                    Some((digests, pair.a.path.to_string()))
                })
                .collect(),
        })
    }

    fn contents(
        &self,
        (a, index_a): (&LayerDescriptor, &LayerIndex),
        (b, index_b): (&LayerDescriptor, &LayerIndex),
        pairs: &[Pair],
        rows: &mut Rows,
    ) -> Result<(), CompareError> {
        let scratch = |source| CompareError::Scratch {
            scratch: self.scratch.to_owned(),
            source,
        };
        let mut spool = Spool::new(self.scratch).map_err(scratch)?;
        let wanted_a: BTreeSet<&Key> = pairs.iter().map(|pair| &pair.a).collect();
        let wanted_b: BTreeSet<&Key> = pairs.iter().map(|pair| &pair.b).collect();
        let kept_a = self
            .layers
            .spool(a, &|key| wanted_a.contains(key), &mut spool)?;
        let kept_b = self
            .layers
            .spool(b, &|key| wanted_b.contains(key), &mut spool)?;
        for pair in pairs {
            let (item_a, item_b) = (&index_a[&pair.a], &index_b[&pair.b]);
            let modes = [item_a.meta.mode, item_b.meta.mode];
            let findings = match kept(&kept_a, &pair.a).zip(kept(&kept_b, &pair.b)) {
                Some((a, b)) => find_file_causes(
                    &pair.a.path,
                    &spool.view(a),
                    &spool.view(b),
                    excerpts_by_name(&pair.a.path, modes),
                    self.facts,
                )
                .map_err(scratch)?,
                None => Vec::new(),
            };
            rows.content(&pair.a, item_a, item_b, findings);
        }
        Ok(())
    }
}

fn kept(kept: &BTreeMap<Key, Spooled>, key: &Key) -> Option<Spooled> {
    kept.get(key).copied()
}

fn differ_in_content(a: &Item, b: &Item) -> bool {
    matches!((a.content, b.content), (Some(a), Some(b)) if a != b)
}

/// The rows of one pair of layers.
struct Rows {
    place: Place,
    found: Vec<Difference>,
}

impl Rows {
    fn push(&mut self, path: &TreePath, kind: DifferenceKind, named: (Cause, Confidence)) -> usize {
        self.found.push(Difference {
            path: path.to_string(),
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

    fn values(&mut self, row: usize, a: impl Into<String>, b: impl Into<String>) {
        self.found[row].evidence = Some(Evidence {
            offset: None,
            inside: None,
            a: a.into(),
            b: b.into(),
        });
    }

    fn names(&mut self, pairs: &[Renamed]) {
        for pair in pairs {
            let named = (pair.cause, pair.confidence);
            let row = self.push(&pair.a.path, DifferenceKind::Missing, named);
            self.values(row, pair.a.path.to_string(), pair.b.path.to_string());
        }
    }

    /// Entries of one layer only. What lies below such a directory follows from it.
    fn missing(&mut self, a: &LayerIndex, b: &LayerIndex, pairs: &[Renamed]) {
        for (index, other, in_a) in [(a, b, true), (b, a, false)] {
            let mut above: BTreeMap<&TreePath, (Cause, Confidence)> = pairs
                .iter()
                .map(|pair| {
                    let key = if in_a { &pair.a } else { &pair.b };
                    (&key.path, (pair.cause, pair.confidence))
                })
                .collect();
            for (key, item) in index.iter().filter(|(key, _)| !other.contains_key(*key)) {
                if above.contains_key(&key.path) && !key.opaque {
                    continue;
                }
                let parent = key.path.parent();
                let from = parent
                    .as_ref()
                    .and_then(|parent| above.get_key_value(parent));
                let origin = from.map(|(path, _)| Origin {
                    step: self.place.step,
                    path: path.to_string(),
                });
                let known = trace_of_entry(key.path.as_bytes()).unwrap_or(Cause::MissingFile);
                let named = from.map_or((known, Confidence::Likely), |(_, named)| *named);
                if item.kind == EntryKind::Directory {
                    above.insert(&key.path, named);
                }
                let row = self.push(&key.path, DifferenceKind::Missing, named);
                self.found[row].derived_from = origin;
                let there = type_name(&item.kind);
                if in_a {
                    self.values(row, there, "absent");
                } else {
                    self.values(row, "absent", there);
                }
            }
        }
    }

    fn entry(
        &mut self,
        key: &Key,
        (a, index_a): (&Item, &LayerIndex),
        (b, index_b): (&Item, &LayerIndex),
        facts: &Facts,
    ) {
        let unknown = (Cause::Unknown, Confidence::Unknown);
        match (&a.kind, &b.kind) {
            (EntryKind::File { .. }, EntryKind::File { .. }) => {}
            (kind_a, kind_b) if kind_a == kind_b => {}
            (kind_a, kind_b) => {
                if let Some((target_a, target_b)) = link_targets(kind_a, kind_b) {
                    let hard = matches!(kind_a, EntryKind::Hardlink { .. });
                    let otherwise = if hard {
                        (Cause::HardlinkLayout, Confidence::Likely)
                    } else {
                        unknown
                    };
                    let named = name_cause(target_a, target_b, facts).unwrap_or(otherwise);
                    let row = self.push(&key.path, DifferenceKind::Link, named);
                    self.values(row, show_bytes(target_a), show_bytes(target_b));
                } else {
                    let named = metadata::kind((kind_a, index_a), (kind_b, index_b));
                    let row = self.push(&key.path, DifferenceKind::Type, named);
                    self.values(row, type_name(kind_a), type_name(kind_b));
                }
            }
        }
        let removal =
            |item: &Item| matches!(item.kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout);
        if !removal(a) && !removal(b) {
            self.metadata(key, &a.kind, &a.meta, &b.meta);
        }
    }

    fn metadata(&mut self, key: &Key, kind: &EntryKind, a: &Meta, b: &Meta) {
        let path = &key.path;
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
        if a.xattrs != b.xattrs {
            let row = self.push(path, DifferenceKind::Xattr, metadata::xattr(a, b));
            // Names only: a value can be a label, a token, or binary.
            self.values(row, differing_xattrs(a, b), differing_xattrs(b, a));
        }
    }

    fn content(&mut self, key: &Key, a: &Item, b: &Item, findings: Vec<ContentFinding>) {
        let digests = || {
            let text = |item: &Item| item.content.map(|digest| digest.to_string());
            (text(a).unwrap_or_default(), text(b).unwrap_or_default())
        };
        if findings.is_empty() {
            let named = (Cause::Unknown, Confidence::Unknown);
            let row = self.push(&key.path, DifferenceKind::Content, named);
            let (a, b) = digests();
            self.values(row, a, b);
            return;
        }
        for finding in findings {
            let named = (finding.cause, finding.confidence);
            let row = self.push(&key.path, DifferenceKind::Content, named);
            let (a, b) = finding
                .excerpt
                .map_or_else(digests, |excerpt| (excerpt.a, excerpt.b));
            self.found[row].evidence = Some(Evidence {
                offset: Some(finding.offset),
                inside: finding.inside.clone(),
                a,
                b,
            });
        }
    }

    /// Marks what follows from other rows: a build id from the rest of its file, a line of a
    /// list of checksums from the file it names.
    fn follow(&mut self) {
        let content: Vec<(String, Cause)> = self
            .found
            .iter()
            .filter(|row| row.kind == DifferenceKind::Content)
            .map(|row| (row.path.clone(), row.cause))
            .collect();
        let step = self.place.step;
        for row in &mut self.found {
            let follows = |(path, cause): &&(String, Cause)| match row.cause {
                Cause::LinkerBuildId => *path == row.path && *cause != row.cause,
                Cause::DerivedChecksum => {
                    let name = path.rsplit('/').next().unwrap_or_default();
                    let shown = row.evidence.as_ref();
                    *path != row.path
                        && *cause != row.cause
                        && !name.is_empty()
                        && shown
                            .is_some_and(|shown| shown.a.contains(name) || shown.b.contains(name))
                }
                _ => false,
            };
            if let Some((path, _)) = content.iter().find(follows) {
                let path = path.clone();
                row.derived_from = Some(Origin { step, path });
            }
        }
    }

    /// By path, then kind; the causes of one file stay in their order.
    fn sorted(mut self) -> Vec<Difference> {
        self.found
            .sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
        self.found
    }
}

fn link_targets<'a>(a: &'a EntryKind, b: &'a EntryKind) -> Option<(&'a [u8], &'a [u8])> {
    match (a, b) {
        (EntryKind::Symlink { target: a }, EntryKind::Symlink { target: b }) => Some((a, b)),
        (EntryKind::Hardlink { target: a }, EntryKind::Hardlink { target: b }) => {
            Some((a.as_bytes(), b.as_bytes()))
        }
        _ => None,
    }
}

fn type_name(kind: &EntryKind) -> String {
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

/// Names of the attributes of `one` that `other` has not, or with another value.
fn differing_xattrs(one: &Meta, other: &Meta) -> String {
    let names: Vec<String> = one
        .xattrs
        .iter()
        .filter(|(name, value)| other.xattrs.get(*name) != Some(value))
        .map(|(name, _)| show_bytes(name).into_owned())
        .collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}
