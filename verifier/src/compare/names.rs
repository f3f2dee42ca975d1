//! Entries in one layer only, and which two of them are one entry under names that change.

use std::collections::BTreeMap;

use repro_core::tree::{EntryKind, TreePath};

use super::index::{Key, LayerIndex};
use crate::causes::{Cause, Confidence, Facts, name_cause};

/// Most entries of one directory on each side that are tried against each other: the tries
/// are the product of both.
const MOST_TRIED: usize = 64;

/// Two entries that are one but for the name.
pub(super) struct Renamed {
    pub(super) a: Key,
    pub(super) b: Key,
    pub(super) cause: Cause,
    pub(super) confidence: Confidence,
}

/// Finds pairs among the entries that only `a` or only `b` has: same directory, same type, and
/// names that differ by something with a cause.
pub(super) fn renamed(a: &LayerIndex, b: &LayerIndex, facts: &Facts) -> Vec<Renamed> {
    let mut right = by_directory(b, a);
    let mut pairs = Vec::new();
    for (directory, keys_a) in by_directory(a, b) {
        let Some(keys_b) = right.get_mut(&directory) else {
            continue;
        };
        for key_a in keys_a {
            let found = keys_b.iter().enumerate().find_map(|(at, key_b)| {
                let same = std::mem::discriminant(&a[key_a].kind)
                    == std::mem::discriminant(&b[*key_b].kind);
                let named = name_cause(
                    key_a.path.file_name().unwrap_or_default(),
                    key_b.path.file_name().unwrap_or_default(),
                    facts,
                );
                named.filter(|_| same).map(|named| (at, named))
            });
            if let Some((at, (cause, confidence))) = found {
                pairs.push(Renamed {
                    a: key_a.clone(),
                    b: keys_b.remove(at).clone(),
                    cause,
                    confidence,
                });
            }
        }
    }
    pairs
}

/// The entries that `other` lacks, at most [`MOST_TRIED`] of each directory.
fn by_directory<'a>(index: &'a LayerIndex, other: &LayerIndex) -> BTreeMap<TreePath, Vec<&'a Key>> {
    let mut directories: BTreeMap<TreePath, Vec<&Key>> = BTreeMap::new();
    for (key, item) in index {
        let removal = matches!(item.kind, EntryKind::Whiteout | EntryKind::OpaqueWhiteout);
        if removal || other.contains_key(key) {
            continue;
        }
        if let Some(directory) = key.path.parent() {
            let keys = directories.entry(directory).or_default();
            if keys.len() < MOST_TRIED {
                keys.push(key);
            }
        }
    }
    directories
}
