//! Removals by what they hide: a directory emptied at once, or entry by entry, is the same removal.

use std::collections::BTreeSet;

use repro_core::{
    image::LayerDescriptor,
    tree::{EntryKind, TreePath},
};

use super::{
    CompareError,
    index::{Key, LayerIndex},
    source::Layers,
};

/// The layers below those that are compared, by which removals are understood.
#[derive(Clone, Copy)]
pub(super) struct Below<'a> {
    pub(super) a: &'a [LayerDescriptor],
    pub(super) b: &'a [LayerDescriptor],
}

/// What the removals of two layers say.
pub(super) enum Removals {
    /// The same entries, or it is not known what lies below.
    AsTheyStand,
    /// Other entries that hide the same; the directories that one of them empties at once, and whether
    /// that is A.
    SameEffect(Vec<(TreePath, bool)>),
    /// They hide different things: the highest of each, and whether A hides it.
    Differ(Vec<(TreePath, bool)>),
}

/// Compares the removals of two layers.
pub(super) fn compare(
    layers: Layers<'_>,
    (a, b): (&LayerIndex, &LayerIndex),
    below: Option<Below<'_>>,
) -> Result<Removals, CompareError> {
    let (removals_a, removals_b) = (removals(a), removals(b));
    let Some(below) = below.filter(|_| removals_a != removals_b) else {
        return Ok(Removals::AsTheyStand);
    };
    let hidden_a = hidden(a, &layers.paths(below.a)?);
    let hidden_b = hidden(b, &layers.paths(below.b)?);
    if hidden_a == hidden_b {
        let differing = removals_a.symmetric_difference(&removals_b);
        let opaque = differing.filter(|(key, _)| key.opaque);
        let emptied: Vec<_> = opaque
            .map(|(key, _)| (key.path.clone(), a.contains_key(key)))
            .collect();
        return Ok(if emptied.is_empty() {
            // Removals of what is not there.
            Removals::AsTheyStand
        } else {
            Removals::SameEffect(emptied)
        });
    }
    let highest = |of: &BTreeSet<TreePath>, other: &BTreeSet<TreePath>, in_a| {
        let only: BTreeSet<&TreePath> = of.difference(other).collect();
        let top = |path: &&&TreePath| !path.parent().is_some_and(|above| only.contains(&above));
        let highest: Vec<_> = only
            .iter()
            .filter(top)
            .map(|path| ((*path).clone(), in_a))
            .collect();
        highest
    };
    let mut differing = highest(&hidden_a, &hidden_b, true);
    differing.extend(highest(&hidden_b, &hidden_a, false));
    Ok(Removals::Differ(differing))
}

/// The removals of a layer as they stand.
fn removals(index: &LayerIndex) -> BTreeSet<(&Key, bool)> {
    let removals = index.iter().filter(|(_, item)| item.is_removal());
    removals
        .map(|(key, item)| (key, matches!(item.kind, EntryKind::OpaqueWhiteout)))
        .collect()
}

/// The paths of `lower` that a layer hides and does not bring back.
fn hidden(layer: &LayerIndex, lower: &BTreeSet<TreePath>) -> BTreeSet<TreePath> {
    let mut hidden = BTreeSet::new();
    for (key, _) in layer.iter().filter(|(_, item)| item.is_removal()) {
        let below = lower.range(key.path.clone()..);
        let below = below.take_while(|path| path.starts_with(&key.path));
        hidden.extend(
            below
                .filter(|path| !key.opaque || **path != key.path)
                .cloned(),
        );
    }
    hidden.retain(|path| {
        let again = layer.get(&Key::new(path.clone()));
        again.is_none_or(super::index::Item::is_removal)
    });
    hidden
}
