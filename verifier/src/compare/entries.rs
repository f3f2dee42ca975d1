//! One entry that both sides have.

use repro_core::tree::{EntryKind, TreePath, show_bytes};

use super::{
    DifferenceKind,
    capability::same_xattrs,
    index::{Item, Key},
    layers::{Side, is_file},
    metadata,
    rows::{Pair, Rows, link_targets, type_name},
};
use crate::causes::{Cause, Confidence, Facts, name_cause};

/// What the headers of an entry tell.
pub(super) struct Entry {
    /// Contents to compare, if there are any.
    pub(super) pair: Option<Pair>,
    /// Whether nothing but the content can differ.
    pub(super) same: bool,
}

/// Puts the rows on an entry that both sides have, but for its content.
pub(super) fn rows_of(
    rows: &mut Rows,
    (key, a, b): (&Key, &Item, &Item),
    (side_a, side_b): (&Side<'_>, &Side<'_>),
    facts: &Facts,
) -> Entry {
    use EntryKind::{File, Hardlink};
    let path = &key.path;
    let pair = |path: &TreePath| {
        let key = |side: &Side<'_>| Key::new(side.groups.file(path).clone());
        Some(Pair {
            path: path.clone(),
            a: key(side_a),
            b: key(side_b),
        })
    };
    let same_meta = (a.meta.mode, a.meta.uid, a.meta.gid, a.meta.mtime)
        == (b.meta.mode, b.meta.uid, b.meta.gid, b.meta.mtime)
        && same_xattrs(&a.meta.xattrs, &b.meta.xattrs);
    match (&a.kind, &b.kind) {
        (File { .. }, File { .. }) => {
            rows.metadata(path, &a.kind, &a.meta, &b.meta);
            return Entry {
                pair: pair(path),
                same: same_meta,
            };
        }
        (kind_a, kind_b) if kind_a == kind_b => {}
        (File { .. } | Hardlink { .. }, File { .. } | Hardlink { .. }) => {
            return linked(rows, path, (a, b), (side_a, side_b), facts, pair);
        }
        (kind_a, kind_b) => {
            if let Some((target_a, target_b)) = link_targets(kind_a, kind_b) {
                let unknown = (Cause::Unknown, Confidence::Unknown);
                let named = name_cause(target_a, target_b, facts).unwrap_or(unknown);
                let row = rows.push(path, DifferenceKind::Link, named);
                rows.values(row, show_bytes(target_a), show_bytes(target_b));
            } else {
                let row = rows.push(path, DifferenceKind::Type, metadata::kind(kind_a, kind_b));
                rows.values(row, type_name(kind_a), type_name(kind_b));
            }
        }
    }
    if !a.is_removal() && !b.is_removal() {
        rows.metadata(path, &a.kind, &a.meta, &b.meta);
    }
    Entry {
        pair: None,
        same: a.kind == b.kind && same_meta,
    }
}

/// A name that is a hard link on one side at least, and not the same on both.
fn linked(
    rows: &mut Rows,
    path: &TreePath,
    (a, b): (&Item, &Item),
    (side_a, side_b): (&Side<'_>, &Side<'_>),
    facts: &Facts,
    pair: impl Fn(&TreePath) -> Option<Pair>,
) -> Entry {
    let different = |pair| Entry { pair, same: false };
    let groups = (side_a.groups.names(path), side_b.groups.names(path));
    let files = (
        side_a.groups.item(&side_a.index, path),
        side_b.groups.item(&side_b.index, path),
    );
    if let (Some(names_a), Some(names_b)) = groups
        && names_a == names_b
    {
        // One file under the same names: said once, under the first.
        if names_a.first() != Some(path) {
            return different(None);
        }
        let named = (Cause::HardlinkLayout, Confidence::Certain);
        let row = rows.push(path, DifferenceKind::Link, named);
        let file = |side: &Side<'_>| format!("the file is {}", side.groups.file(path));
        rows.values(row, file(side_a), file(side_b));
        if let (Some(file_a), Some(file_b)) = files {
            rows.metadata(path, &file_a.kind, &file_a.meta, &file_b.meta);
        }
        return different(pair(path));
    }
    let known = files.0.zip(files.1);
    let equal = known.and_then(|(one, two)| Some(one.content? == two.content?));
    let targets = link_targets(&a.kind, &b.kind);
    let by_name = targets.and_then(|(a, b)| name_cause(a, b, facts));
    let named = match (by_name, targets, equal) {
        (Some(named), ..) => named,
        (None, Some(_), _) => (Cause::HardlinkLayout, Confidence::Likely),
        (None, None, Some(false)) => (Cause::Unknown, Confidence::Unknown),
        (None, None, _) => (Cause::HardlinkBroken, Confidence::Likely),
    };
    if let Some((target_a, target_b)) = targets {
        let row = rows.push(path, DifferenceKind::Link, named);
        rows.values(row, show_bytes(target_a), show_bytes(target_b));
    } else {
        let row = rows.push(path, DifferenceKind::Type, named);
        rows.values(row, type_name(&a.kind), type_name(&b.kind));
    }
    rows.metadata(path, &a.kind, &a.meta, &b.meta);
    let files = known.is_some_and(|(one, two)| is_file(one) && is_file(two));
    different(files.then(|| pair(path)).flatten())
}
