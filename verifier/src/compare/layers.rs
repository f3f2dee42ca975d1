//! Two sides, entry by entry.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    io,
    num::NonZeroUsize,
    path::Path,
};

use repro_core::{
    digest::Digest,
    image::LayerDescriptor,
    store::BlobStore,
    tree::{EntryKind, TreePath},
};

use super::{
    CompareError, Difference, DifferenceKind, DirectoryError, Options,
    directory::FileView,
    entries::rows_of,
    index::{Item, Key, LayerIndex, Spot},
    links::Groups,
    names::renamed,
    parallel,
    removals::{self, Below, Removals},
    rows::{Pair, Place, Rows},
    samples::Samples,
    source::{Layers, Source, digest},
    spool::{Spool, Spooled, SpooledView},
    standing,
    walk::Sides,
};
use crate::causes::{
    Cause, Confidence, ContentFinding, ContentView, Excerpts, Facts, excerpts_by_name,
    find_file_causes,
};

/// What the comparison of two sides found.
pub(super) struct SideComparison {
    pub(super) differences: Vec<Difference>,
    /// Entries on either side.
    pub(super) entries: u64,
    /// Those that are equal on both.
    pub(super) equal: u64,
    /// Pairs of digests of contents that differ, with the path.
    pub(super) contents: Vec<(ContentPair, String)>,
}

/// Digests of a content in run A and run B.
pub(super) type ContentPair = (Digest, Digest);

/// What a comparison needs besides its sides.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub(super) layers: Layers<'a>,
    pub(super) facts: &'a Facts,
    pub(super) scratch: &'a Path,
    pub(super) threads: NonZeroUsize,
    pub(super) samples: Option<&'a Samples>,
}

/// One side with what was read of it.
pub(super) struct Side<'a> {
    source: Source<'a>,
    /// Layers below it, of which it shows something.
    below: &'a [LayerDescriptor],
    pub(super) index: LayerIndex,
    pub(super) groups: Groups,
}

impl Side<'_> {
    /// The item with the content of `key`: of a link the file, where this side has it.
    fn file(&self, key: &Key) -> Option<&Item> {
        self.groups.item(&self.index, &key.path)
    }

    /// The digest of the content at `key`, read where it is not known.
    fn digest(&self, key: &Key) -> Result<Option<Digest>, CompareError> {
        match (self.file(key).and_then(|item| item.content), self.source) {
            (None, Source::Directory(dir)) => {
                let view = FileView::open(dir, self.groups.file(&key.path))?;
                let found = digest(reader(&view)).map_err(|source| view.failed(source))?;
                Ok(Some(found))
            }
            (known, _) => Ok(known),
        }
    }
}

impl<'a> Tools<'a> {
    pub(super) fn new(store: &'a dyn BlobStore, options: &'a Options, facts: &'a Facts) -> Self {
        Self {
            layers: Layers {
                store,
                limits: options.limits,
            },
            facts,
            scratch: &options.scratch,
            threads: options.threads,
            samples: options.samples.as_ref(),
        }
    }

    /// Compares two sides. `below` are the layers below them, where that is known.
    pub(super) fn compare(
        &self,
        (a, b): (Source<'_>, Source<'_>),
        below: Option<Below<'_>>,
        place: Place,
    ) -> Result<SideComparison, CompareError> {
        let Sides {
            a: mut index_a,
            b: mut index_b,
            mut equal,
        } = self.sides(a, b)?;
        let mut rows = Rows::new(place);
        let shared = index_a.keys().filter(|key| index_b.contains_key(*key));
        let entries = equal + (index_a.len() + index_b.len() - shared.count()) as u64;
        let standing = standing::find(self.layers, (&index_a, &index_b), below)?;
        equal += self.removals((&mut index_a, &mut index_b), below, &mut rows)?;
        standing.put(&mut index_a, &mut index_b);
        let side = |source, below, index| Side {
            source,
            below,
            groups: Groups::of(&index),
            index,
        };
        let (below_a, below_b) = below.map_or((&[][..], &[][..]), |below| (below.a, below.b));
        let (side_a, side_b) = (side(a, below_a, index_a), side(b, below_b, index_b));
        let renamed = renamed(&side_a.index, &side_b.index, self.facts);
        rows.names(&renamed);
        rows.missing(&side_a.index, &side_b.index, &renamed);
        let mut pairs = Vec::new();
        // Files of equal size of which no digests are known, and whether something else differs.
        let mut unread = Vec::new();
        // Written by one layer, and left as it was by the other.
        let mut again = Vec::new();
        for (key, item_a) in &side_a.index {
            let Some(item_b) = side_b.index.get(key) else {
                continue;
            };
            let before = pairs.len();
            let stands = standing.has(key);
            // Links of one layer have no counterpart below it: it is the file that counts.
            let files = side_a.file(key).zip(side_b.file(key));
            let (item_a, item_b) = files.filter(|_| stands).unwrap_or((item_a, item_b));
            // Who writes gives it another time: that says no more than that it was written.
            let mut written = Cow::Borrowed(item_b);
            if stands {
                written.to_mut().meta.mtime = item_a.meta.mtime;
            }
            let item_b = written.as_ref();
            let found = rows_of(
                &mut rows,
                (key, item_a, item_b),
                (&side_a, &side_b),
                self.facts,
            );
            pairs.extend(found.pair);
            let mut alike = || {
                if stands {
                    again.push(key);
                } else {
                    equal += 1;
                }
            };
            match pairs
                .get(before)
                .and_then(|pair| contents_equal(pair, &side_a, &side_b))
            {
                Some(true) => {
                    pairs.truncate(before);
                    if found.same {
                        alike();
                    }
                }
                None if pairs.len() > before => {
                    unread.extend(pairs.pop().map(|pair| (pair, found.same)));
                }
                None if found.same => alike(),
                Some(false) | None => {}
            }
        }
        for pair in &renamed {
            let pair = Pair {
                path: pair.a.path.clone(),
                a: pair.a.clone(),
                b: pair.b.clone(),
            };
            let both = side_a.file(&pair.a).zip(side_b.file(&pair.b));
            let files = both.is_some_and(|(a, b)| is_file(a) && is_file(b));
            match contents_equal(&pair, &side_a, &side_b) {
                Some(false) if files => pairs.push(pair),
                None if files => unread.push((pair, false)),
                _ => {}
            }
        }
        for (found, (pair, same)) in self
            .read(&unread, (&side_a, &side_b))?
            .into_iter()
            .zip(unread)
        {
            if !found {
                pairs.push(pair);
            } else if same {
                equal += 1;
            }
        }
        let contents = self.contents((&side_a, &side_b), &pairs, &mut rows)?;
        let again = again
            .into_iter()
            .map(|key| (&key.path, standing.written_in_a(key)));
        rows.written_in_one(again, standing.directories());
        rows.follow();
        Ok(SideComparison {
            differences: rows.sorted(),
            entries,
            equal,
            contents,
        })
    }

    /// The entries of both sides, of two directories only those that may differ. A directory itself is no
    /// entry: it is where the tree happens to lie.
    fn sides(&self, a: Source<'_>, b: Source<'_>) -> Result<Sides, CompareError> {
        if let (Source::Directory(a), Source::Directory(b)) = (a, b) {
            return self.directories(a, b);
        }
        let (a_index, b_index) = parallel::both(
            self.threads,
            || self.layers.index(a),
            || self.layers.index(b),
        );
        let (mut index_a, mut index_b) = (a_index?, b_index?);
        if [a, b]
            .iter()
            .any(|side| matches!(side, Source::Directory(_)))
        {
            for index in [&mut index_a, &mut index_b] {
                index.remove(&Key::new(TreePath::root()));
            }
        }
        Ok(Sides {
            a: index_a,
            b: index_b,
            equal: 0,
        })
    }

    /// The rows on removals, which are then taken out of both sides; how many of them are equal.
    fn removals(
        &self,
        (a, b): (&mut LayerIndex, &mut LayerIndex),
        below: Option<Below<'_>>,
        rows: &mut Rows,
    ) -> Result<u64, CompareError> {
        let found = removals::compare(self.layers, (a, b), below)?;
        match &found {
            Removals::AsTheyStand => return Ok(0),
            Removals::SameEffect(emptied) => {
                for (path, in_a) in emptied {
                    let named = (Cause::OpaqueRemoval, Confidence::Certain);
                    let row = rows.push(path, DifferenceKind::Type, named);
                    let at_once = "emptied at once".to_owned();
                    rows.sides(row, at_once, *in_a, "emptied entry by entry");
                }
            }
            Removals::Differ(paths) => {
                for (path, in_a) in paths {
                    let named = (Cause::MissingFile, Confidence::Likely);
                    let row = rows.push(path, DifferenceKind::Missing, named);
                    rows.sides(row, "removed".into(), *in_a, "kept");
                }
            }
        }
        let same = |key: &Key, item: &Item, other: &LayerIndex| {
            let there = other.get(key);
            item.is_removal() && there.is_some_and(|there| there.kind == item.kind)
        };
        let equal = a.iter().filter(|(key, item)| same(key, item, b)).count();
        // What stands where the other has a removal is an entry of one side only.
        a.retain(|_, item| !item.is_removal());
        b.retain(|_, item| !item.is_removal());
        Ok(equal as u64)
    }

    /// Whether the two files of each pair hold the same bytes.
    fn read(
        &self,
        pairs: &[(Pair, bool)],
        (a, b): (&Side<'_>, &Side<'_>),
    ) -> Result<Vec<bool>, CompareError> {
        let equal = |(pair, _): &(Pair, bool)| -> Result<bool, CompareError> {
            if let (Source::Directory(dir_a), Source::Directory(dir_b)) = (a.source, b.source) {
                let one = FileView::open(dir_a, a.groups.file(&pair.a.path))?;
                let two = FileView::open(dir_b, b.groups.file(&pair.b.path))?;
                return Ok(one.equals(&two)?);
            }
            Ok(a.digest(&pair.a)? == b.digest(&pair.b)?)
        };
        let found = parallel::each(self.threads, pairs, equal);
        found.into_iter().collect()
    }

    /// Finds the causes of contents that differ, and puts their rows.
    fn contents(
        &self,
        (a, b): (&Side<'_>, &Side<'_>),
        pairs: &[Pair],
        rows: &mut Rows,
    ) -> Result<Vec<(ContentPair, String)>, CompareError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let spot = |side: &Side<'_>, key: &Key| {
            let path = side.groups.file(&key.path);
            side.file(key).map(|item| item.spot(path))
        };
        let keep = |side: &Side<'_>, of: fn(&Pair) -> &Key| {
            let wanted = pairs.iter().filter_map(|pair| spot(side, of(pair)));
            self.keep(side, &wanted.collect())
        };
        let (kept_a, kept_b) = parallel::both(
            self.threads,
            || keep(a, |pair| &pair.a),
            || keep(b, |pair| &pair.b),
        );
        let (kept_a, kept_b) = (kept_a?, kept_b?);
        let first = self.samples.map_or(0, Samples::next);
        let numbered: Vec<(usize, &Pair)> = (first..).zip(pairs).collect();
        let judge = |(number, pair): &(usize, &Pair)| -> Result<Judged, CompareError> {
            let digests = [a.digest(&pair.a)?, b.digest(&pair.b)?];
            let modes = [(a, &pair.a), (b, &pair.b)]
                .map(|(side, key)| side.file(key).map_or(0, |item| item.meta.mode));
            let view_a = kept_a.view(a, &pair.a, spot(a, &pair.a))?;
            let view_b = kept_b.view(b, &pair.b, spot(b, &pair.b))?;
            let (Some(view_a), Some(view_b)) = (view_a, view_b) else {
                return Ok(Judged {
                    digests,
                    findings: Vec::new(),
                });
            };
            let excerpts = excerpts_by_name(&pair.path, modes);
            let findings = find_file_causes(&pair.path, &view_a, &view_b, excerpts, self.facts)
                .map_err(|source| self.broken(source))?;
            if let Some(samples) = self.samples
                && excerpts == Excerpts::Allowed
                // What has no excerpt looks like a secret.
                && findings.iter().all(|finding| finding.excerpt.is_some())
            {
                let name = pair.path.to_string();
                samples
                    .keep(*number, &name, (&view_a, &view_b))
                    .map_err(|source| self.broken(source))?;
            }
            Ok(Judged { digests, findings })
        };
        let mut contents = Vec::new();
        let judged = parallel::each(self.threads, &numbered, judge);
        for (pair, judged) in pairs.iter().zip(judged) {
            let judged = judged?;
            if let [Some(digest_a), Some(digest_b)] = judged.digests {
                contents.push(((digest_a, digest_b), pair.path.to_string()));
            }
            rows.content(&pair.path, judged.digests, judged.findings);
        }
        Ok(contents)
    }

    fn broken(&self, source: io::Error) -> CompareError {
        CompareError::Scratch {
            scratch: self.scratch.to_owned(),
            source,
        }
    }

    fn keep(&self, side: &Side<'_>, wanted: &BTreeSet<Spot>) -> Result<Kept, CompareError> {
        let mut spool = Spool::new(self.scratch).map_err(|source| self.broken(source))?;
        let from = (side.source, side.below);
        let places = self.layers.spool(from, wanted, &mut spool)?;
        Ok(Kept { spool, places })
    }
}

/// What was found of one content that differs.
struct Judged {
    digests: [Option<Digest>; 2],
    /// None where the contents were too large to be kept.
    findings: Vec<ContentFinding>,
}

/// Contents of one side that were kept.
struct Kept {
    spool: Spool,
    places: BTreeMap<Spot, Spooled>,
}

impl Kept {
    fn view(
        &self,
        side: &Side<'_>,
        key: &Key,
        spot: Option<Spot>,
    ) -> Result<Option<View<'_>>, DirectoryError> {
        if let Source::Directory(dir) = side.source {
            let view = FileView::open(dir, side.groups.file(&key.path))?;
            return Ok(Some(View::File(view)));
        }
        let spooled = spot.and_then(|spot| self.places.get(&spot));
        Ok(spooled.map(|spooled| View::Spooled(self.spool.view(*spooled))))
    }
}

/// A content, kept or in its place.
enum View<'a> {
    Spooled(SpooledView<'a>),
    File(FileView),
}

impl ContentView for View<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Spooled(view) => view.len(),
            Self::File(view) => view.len(),
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Spooled(view) => view.read_at(offset, buf),
            Self::File(view) => view.read_at(offset, buf),
        }
    }
}

/// Reads a content from its start to its end.
fn reader(view: &dyn ContentView) -> impl io::Read {
    struct Reader<'a>(&'a dyn ContentView, u64);
    impl io::Read for Reader<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let left = self.0.len().saturating_sub(self.1);
            let now = usize::try_from(left).unwrap_or(buf.len()).min(buf.len());
            self.0.read_at(self.1, &mut buf[..now])?;
            self.1 += now as u64;
            Ok(now)
        }
    }
    Reader(view, 0)
}

pub(super) const fn is_file(item: &Item) -> bool {
    matches!(item.kind, EntryKind::File { .. })
}

/// Whether the contents of a pair are equal; `None` where only reading them tells.
fn contents_equal(pair: &Pair, a: &Side<'_>, b: &Side<'_>) -> Option<bool> {
    let (one, two) = (a.file(&pair.a)?, b.file(&pair.b)?);
    match (&one.kind, &two.kind) {
        (EntryKind::File { size: one }, EntryKind::File { size: two }) if one != two => {
            return Some(false);
        }
        (EntryKind::File { .. }, EntryKind::File { .. }) => {}
        _ => return Some(true),
    }
    one.content.zip(two.content).map(|(one, two)| one == two)
}
