//! Two directories of this machine, walked side by side: what both have alike is counted and let go, so that
//! memory grows with what differs, and not with what there is.

use std::{cmp::Ordering, path::Path};

use repro_core::tree::EntryKind;

use super::{
    CompareError, DirectoryError,
    capability::same_xattrs,
    directory::{FileView, Listed, Names, Walk},
    index::{Item, Key, LayerIndex},
    layers::Tools,
    parallel,
};

/// Pairs of files that are held until their contents are read side by side.
const BATCH: usize = 4096;

/// What is left of two sides to be compared entry by entry.
#[derive(Default)]
pub(super) struct Sides {
    pub(super) a: LayerIndex,
    pub(super) b: LayerIndex,
    /// Entries that both have, equal in everything, and that neither index has.
    pub(super) equal: u64,
}

/// What a walk gives.
type Entries<'a> = dyn Iterator<Item = Result<Listed, DirectoryError>> + 'a;

/// Two files of one path, size and metadata.
type Unread = (Key, Item, Item);

impl Tools<'_> {
    /// Walks both directories and keeps what may differ. Files with several names are kept as well: which
    /// names share one is known when all are seen.
    pub(super) fn directories(&self, a: &Path, b: &Path) -> Result<Sides, CompareError> {
        parallel::ahead(self.threads, Walk::new(a), |walk_a| {
            parallel::ahead(self.threads, Walk::new(b), |walk_b| {
                self.merge((walk_a, walk_b), (a, b))
            })
        })
    }

    fn merge(
        &self,
        (walk_a, walk_b): (&mut Entries<'_>, &mut Entries<'_>),
        dirs: (&Path, &Path),
    ) -> Result<Sides, CompareError> {
        let mut sides = Sides::default();
        let mut unread = Vec::new();
        let (mut next_a, mut next_b) = (walk_a.next().transpose()?, walk_b.next().transpose()?);
        loop {
            let order = match (&next_a, &next_b) {
                (Some(a), Some(b)) => a.key.cmp(&b.key),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let one = order.is_le().then(|| next_a.take()).flatten();
            let two = order.is_ge().then(|| next_b.take()).flatten();
            if one.is_some() {
                next_a = walk_a.next().transpose()?;
            }
            if two.is_some() {
                next_b = walk_b.next().transpose()?;
            }
            match (one, two) {
                (Some(one), Some(two)) if alike(&one, &two) => {
                    if matches!(one.item.kind, EntryKind::File { size } if size > 0) {
                        unread.push((one.key, one.item, two.item));
                    } else {
                        sides.equal += 1;
                    }
                }
                (one, two) => {
                    sides.a.extend(one.map(|listed| (listed.key, listed.item)));
                    sides.b.extend(two.map(|listed| (listed.key, listed.item)));
                }
            }
            if unread.len() == BATCH {
                self.read_batch(&mut sides, &mut unread, dirs)?;
            }
        }
        self.read_batch(&mut sides, &mut unread, dirs)?;
        Ok(sides)
    }

    /// Reads both files of each pair, and keeps those whose contents differ.
    fn read_batch(
        &self,
        sides: &mut Sides,
        unread: &mut Vec<Unread>,
        (a, b): (&Path, &Path),
    ) -> Result<(), CompareError> {
        let equal = |(key, ..): &Unread| -> Result<bool, DirectoryError> {
            FileView::open(a, &key.path)?.equals(&FileView::open(b, &key.path)?)
        };
        let found = parallel::each(self.threads, unread, equal);
        for (found, (key, one, two)) in found.into_iter().zip(unread.drain(..)) {
            if found? {
                sides.equal += 1;
            } else {
                sides.a.insert(key.clone(), one);
                sides.b.insert(key, two);
            }
        }
        Ok(())
    }
}

/// Whether nothing but the content of two entries of one path can differ.
fn alike(a: &Listed, b: &Listed) -> bool {
    let (one, two) = (&a.item.meta, &b.item.meta);
    (a.names, b.names) == (Names::One, Names::One)
        && a.item.kind == b.item.kind
        && (one.mode, one.uid, one.gid, one.mtime) == (two.mode, two.uid, two.gid, two.mtime)
        && same_xattrs(&one.xattrs, &two.xattrs)
}

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroUsize};

    use super::*;
    use crate::{
        causes::Facts,
        compare::{DifferenceKind, Options, Tree, compare_trees},
    };
    use repro_core::store::MemoryBlobs;

    /// Writes the files, and gives everything one time.
    fn write(dir: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    fn settle(dir: &Path) {
        let time = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        for item in walkdir::WalkDir::new(dir).contents_first(true) {
            let file = fs::File::open(item.unwrap().path()).unwrap();
            file.set_times(time).unwrap();
        }
    }

    #[test]
    fn what_is_alike_is_counted_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        // A name that sorts between a directory and what lies in it, if names were compared as texts.
        let both = [("d/same", "same"), ("d/other", "one!"), ("d-e/empty", "")];
        write(&a, &both);
        write(&b, &both);
        write(&a, &[("only/a", "1"), ("linked", "x")]);
        write(&b, &[("d/other", "two!"), ("linked", "x"), ("z", "2")]);
        fs::hard_link(a.join("linked"), a.join("name")).unwrap();
        fs::hard_link(b.join("linked"), b.join("name")).unwrap();
        settle(&a);
        settle(&b);
        for threads in [1, 3] {
            let store = MemoryBlobs::new();
            let facts = Facts::default();
            let mut options = Options::new(dir.path().to_owned());
            options.threads = NonZeroUsize::new(threads).unwrap();
            let tools = Tools::new(&store, &options, &facts);
            let sides = tools.directories(&a, &b).unwrap();
            let paths = |index: &LayerIndex| -> Vec<String> {
                index.keys().map(|key| key.path.to_string()).collect()
            };
            let kept = ["d/other", "linked", "name"];
            assert_eq!(paths(&sides.a)[..3], kept);
            assert_eq!(paths(&sides.a)[3..], ["only", "only/a"]);
            assert_eq!(paths(&sides.b)[..3], kept);
            assert_eq!(paths(&sides.b)[3..], ["z"]);
            // d, d/same, d-e, d-e/empty
            assert_eq!(sides.equal, 4);

            let trees = (Tree::Directory(&a), Tree::Directory(&b));
            let found = compare_trees(&store, trees.0, trees.1, &facts, &options).unwrap();
            let rows: Vec<_> = found
                .differences
                .iter()
                .map(|row| (row.path.as_str(), row.kind))
                .collect();
            assert_eq!(
                rows,
                [
                    ("d/other", DifferenceKind::Content),
                    ("only", DifferenceKind::Missing),
                    ("only/a", DifferenceKind::Missing),
                    ("z", DifferenceKind::Missing),
                ]
            );
            assert_eq!((found.ratio.files, found.ratio.files_equal), (10, 6));
        }
    }

    #[test]
    fn a_walk_that_fails_is_an_error_of_the_comparison() {
        let dir = tempfile::tempdir().unwrap();
        let a = dir.path().join("a");
        write(&a, &[("file", "1")]);
        let options = Options::new(dir.path().to_owned());
        let absent = dir.path().join("absent");
        let trees = (Tree::Directory(&a), Tree::Directory(&absent));
        let store = MemoryBlobs::new();
        let facts = Facts::default();
        let error = compare_trees(&store, trees.0, trees.1, &facts, &options).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }
}
