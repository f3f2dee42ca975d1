//! What one of two layers writes and the other leaves as the layers below made it: both file systems have
//! it, and what differs is the one against the other.

use repro_core::{
    image::LayerDescriptor,
    tree::{EntryKind, TreePath},
};

use super::{
    CompareError, flatten,
    index::{Item, Key, LayerIndex},
    removals::Below,
    source::Layers,
};

/// Number of a layer itself among those of its side; those below it follow.
pub(super) const OWN: usize = 0;

/// Entries of the layers below that show through, for each side those that only the other writes.
#[derive(Debug, Default)]
pub(super) struct Standing {
    a: LayerIndex,
    b: LayerIndex,
}

/// Looks for entries below two layers, as far as is known what lies there.
pub(super) fn find(
    layers: Layers<'_>,
    (a, b): (&LayerIndex, &LayerIndex),
    below: Option<Below<'_>>,
) -> Result<Standing, CompareError> {
    let Some(below) = below else {
        return Ok(Standing::default());
    };
    Ok(Standing {
        a: showing(layers, (a, below.a), b)?,
        b: showing(layers, (b, below.b), a)?,
    })
}

/// Of the entries that only `other` has those that show through `own` from `below`.
fn showing(
    layers: Layers<'_>,
    (own, below): (&LayerIndex, &[LayerDescriptor]),
    other: &LayerIndex,
) -> Result<LayerIndex, CompareError> {
    let mut wanted = other
        .iter()
        .filter(|(key, item)| !item.is_removal() && !own.contains_key(*key))
        .map(|(key, _)| key)
        .peekable();
    if wanted.peek().is_none() || below.is_empty() {
        return Ok(LayerIndex::new());
    }
    let mut tree = flatten::Tree::default();
    for (layer, number) in below.iter().zip(OWN + 1..) {
        tree.put(layers.layer(layer, number)?);
    }
    // It hides what it removes or replaces.
    tree.put(own.clone());
    let tree = tree.finish();
    let found = wanted.filter_map(|key| Some((key.clone(), shown(&tree, key)?)));
    Ok(found.collect())
}

/// The entry at `key`, of a link the file, if a layer below has it.
fn shown(tree: &LayerIndex, key: &Key) -> Option<Item> {
    let item = tree.get(key).filter(|item| item.layer != OWN)?;
    let EntryKind::Hardlink { target } = &item.kind else {
        return Some(item.clone());
    };
    let mut file = tree.get(&Key::new(target.clone()))?.clone();
    file.from.get_or_insert_with(|| target.clone());
    Some(file)
}

impl Standing {
    /// Puts the entries into the sides on which they show.
    pub(super) fn put(&self, a: &mut LayerIndex, b: &mut LayerIndex) {
        a.extend(self.a.clone());
        b.extend(self.b.clone());
    }

    /// Whether one of the layers leaves the entry as it was.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.a.contains_key(key) || self.b.contains_key(key)
    }

    /// Whether it is layer A that writes the entry.
    pub(super) fn written_in_a(&self, key: &Key) -> bool {
        self.b.contains_key(key)
    }

    /// Directories that one of the layers leaves as they were. The other has them, with a new time, because
    /// of what it writes in them.
    pub(super) fn directories(&self) -> impl Iterator<Item = &TreePath> {
        let entries = self.a.iter().chain(&self.b);
        let directories = entries.filter(|(_, item)| item.kind == EntryKind::Directory);
        directories.map(|(key, _)| &key.path)
    }
}
