//! What a step changed: the layer between two trees, and the upper tree put right to equal it.

mod links;
mod provided;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd,
};

use repro_core::{
    build::{LayerPolicy, Normalisation},
    tree::{Entry, EntryKind, EntrySink, Meta, TreePath, WHITEOUT_PREFIX},
};

use self::{links::Links, provided::Provided};
use super::{
    Root, TreeError,
    attributes::{Attributes, clear_opaque},
    make::{implicit_directory, same_content},
    node::{Kind, Node, Time},
    root::Facts,
};

/// Whether a different time alone makes an entry different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeRule {
    /// It does: a program ran, and what it dates anew, `make` sees as new.
    Counts,
    /// It does not: files were copied, and what equals the entry below is no change (rule 4).
    Ignored,
}

/// What to compare, and how.
#[derive(Debug, Clone, Copy)]
pub struct DiffRequest<'a> {
    /// The merged view of the trees below, read-only; `None` for none.
    pub lower: Option<Root<'a>>,
    /// The upper directory of the overlay, which is not mounted any more.
    pub upper: Root<'a>,
    /// Rules 1 to 3.
    pub policy: LayerPolicy,
    /// Whether times alone count.
    pub times: TimeRule,
    /// What the sandbox put there itself: the paths of rule 8 and mount targets. They and what
    /// is below them are in no layer, nor are directories above them that are new and hold
    /// nothing else.
    pub provided: &'a [TreePath],
}

/// Hands the layer between `lower` and `upper` to `sink` in canonical order, and puts `upper`
/// right so that it equals what [`super::unpack`] makes of that layer (rule 10). Gives what was
/// put right.
///
/// After an error `upper` is in between and of no use.
pub fn diff(
    request: DiffRequest<'_>,
    sink: &mut dyn EntrySink,
) -> Result<BTreeMap<Normalisation, u64>, TreeError> {
    let upper = request.upper;
    let provided = Provided::new(request.provided);
    let mut differ = Differ {
        lower: request.lower,
        upper,
        policy: request.policy,
        times: request.times,
        links: Links::scan(upper, &provided)?,
        provided,
        sink,
        counts: BTreeMap::new(),
    };
    differ.run()?;
    Ok(differ.counts)
}

struct Differ<'a> {
    lower: Option<Root<'a>>,
    upper: Root<'a>,
    policy: LayerPolicy,
    times: TimeRule,
    provided: Provided,
    links: Links,
    sink: &'a mut dyn EntrySink,
    counts: BTreeMap<Normalisation, u64>,
}

/// One name of a directory that the layer may have to speak of.
enum Child {
    Directory(Node),
    Other(Node),
    /// Hidden by overlayfs: stays on disk as it is.
    Whiteout,
    /// Hidden by an opaque directory or a socket: a whiteout is to be made.
    Hidden,
}

/// Whether overlayfs hides the directory of `lower`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opacity {
    Merged,
    /// By a mark further up.
    Inherited,
    /// By a mark on the directory.
    Marked,
}

/// A directory of `upper` on the way down.
struct Frame {
    path: TreePath,
    /// Names still to be looked at, last first.
    pending: Vec<(TreePath, Child)>,
    /// The time to be set on the way up.
    mtime: Time,
    /// Whether `lower` has a directory there.
    lower: bool,
    opacity: Opacity,
    /// Whether it equals the directory of `lower` and goes if nothing is left in it.
    unchanged: bool,
    /// Names of it that stay on disk.
    left: u64,
}

impl Differ<'_> {
    fn run(&mut self) -> Result<(), TreeError> {
        let root = TreePath::root();
        let node = self.upper.node(&root)?.ok_or(TreeError::RootEntry)?;
        let mut frames = vec![self.enter(root, &node, true, Opacity::Merged)?];
        while let Some(frame) = frames.last_mut() {
            let Some((path, child)) = frame.pending.pop() else {
                let frame = frames.pop();
                if let Some(frame) = frame
                    && self.leave(&frame)?
                    && let Some(above) = frames.last_mut()
                {
                    above.left += 1;
                }
                continue;
            };
            let (lower, opacity) = (frame.lower, frame.opacity);
            match child {
                Child::Directory(node) => {
                    let below = self.enter(path, &node, lower, opacity)?;
                    frames.push(below);
                }
                Child::Other(node) => {
                    if self.other(&path, &node, lower)? {
                        frame.left += 1;
                    }
                }
                Child::Whiteout | Child::Hidden => {
                    if matches!(child, Child::Hidden) {
                        self.upper.make_whiteout(&path)?;
                    }
                    frame.left += 1;
                    self.emit(path, EntryKind::Whiteout, Meta::default(), &mut io::empty())?;
                }
            }
        }
        Ok(())
    }

    /// Begins a directory: hands it on if it is new or changed, strips it, and lists it.
    fn enter(
        &mut self,
        path: TreePath,
        node: &Node,
        lower_above: bool,
        above: Opacity,
    ) -> Result<Frame, TreeError> {
        let fd = self.upper.open_read(&path)?;
        let attributes = Attributes::read(fd.as_fd(), &path)?;
        let below = if lower_above {
            self.lower_facts(&path)?
        } else {
            None
        };
        let equal = below.as_ref().is_some_and(|below| {
            (below.mode, below.uid, below.gid) == (node.mode, node.uid, node.gid)
                && below.xattrs == attributes.kept
        });
        if attributes.needs_strip() {
            let stripped = attributes.strip(fd.as_fd(), &path)?;
            self.count(Normalisation::StripXattr, stripped);
        }
        drop(fd);
        let before = below.as_ref().map(|below| below.mtime);
        let mtime = match before {
            Some(before) if equal => before,
            _ => {
                let mtime = self.time(&path, node.mtime, before)?;
                self.count_clamped(node.mtime, mtime);
                let meta = meta(node, mtime, attributes.kept);
                self.emit(path.clone(), EntryKind::Directory, meta, &mut io::empty())?;
                mtime
            }
        };
        let lower = below.is_some();
        let opacity = match above {
            _ if attributes.opaque => Opacity::Marked,
            Opacity::Merged => Opacity::Merged,
            Opacity::Inherited | Opacity::Marked => Opacity::Inherited,
        };
        Ok(Frame {
            pending: self.children(&path, lower, lower && opacity != Opacity::Merged)?,
            path,
            mtime,
            lower,
            opacity,
            unchanged: equal,
            left: 0,
        })
    }

    /// Ends a directory; gives whether it stays on disk.
    fn leave(&mut self, frame: &Frame) -> Result<bool, TreeError> {
        if frame.unchanged && frame.left == 0 && !frame.path.is_root() {
            self.upper.remove_directory(&frame.path)?;
            self.count(Normalisation::DropUnchanged, 1);
            return Ok(false);
        }
        if frame.opacity == Opacity::Marked {
            // Not before: links of names below are judged by what it hides.
            clear_opaque(self.upper.open_read(&frame.path)?.as_fd(), &frame.path)?;
        }
        self.upper.set_time(&frame.path, frame.mtime)?;
        Ok(true)
    }

    /// What is to be said of the names of a directory, last first. What no layer holds goes
    /// from disk here.
    fn children(
        &mut self,
        path: &TreePath,
        lower: bool,
        hides_lower: bool,
    ) -> Result<Vec<(TreePath, Child)>, TreeError> {
        let mut children = Vec::new();
        let mut seen = BTreeSet::new();
        for name in self.upper.names(path)? {
            let child = join(path, &name)?;
            if let Some(kind) = self.child(&child, &name, lower)? {
                let key = match kind {
                    Child::Directory(_) | Child::Other(_) => name.clone(),
                    Child::Whiteout | Child::Hidden => [WHITEOUT_PREFIX, &name].concat(),
                };
                children.push((key, (child, kind)));
            }
            if hides_lower {
                seen.insert(name);
            }
        }
        if hides_lower && let Some(lower) = self.lower {
            for name in lower.names(path)? {
                let child = join(path, &name)?;
                if !seen.contains(&name)
                    && !self.provided.contains(&child)
                    && lower.visible(&child)?.is_some()
                {
                    let key = [WHITEOUT_PREFIX, &name].concat();
                    children.push((key, (child, Child::Hidden)));
                }
            }
        }
        children.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        Ok(children.into_iter().map(|(_, child)| child).collect())
    }

    fn child(
        &mut self,
        path: &TreePath,
        name: &[u8],
        lower: bool,
    ) -> Result<Option<Child>, TreeError> {
        if self.provided.contains(path) {
            self.drop_provided(path)?;
            return Ok(None);
        }
        if name.starts_with(WHITEOUT_PREFIX) {
            return Err(TreeError::ReservedName(path.clone()));
        }
        let node = self.upper.node(path)?.ok_or_else(|| {
            TreeError::io("look at it", path)(io::Error::from(io::ErrorKind::NotFound))
        })?;
        let in_lower = match &self.lower {
            Some(view) if lower => view.visible(path)?,
            _ => None,
        };
        match node.kind {
            Kind::Directory => {
                if in_lower.is_none() && self.provided.fill(self.upper, path)? {
                    self.drop_provided(path)?;
                    return Ok(None);
                }
                Ok(Some(Child::Directory(node)))
            }
            Kind::Whiteout if in_lower.is_some() => Ok(Some(Child::Whiteout)),
            Kind::Whiteout => {
                self.upper.unlink(path)?;
                Ok(None)
            }
            Kind::Socket => {
                self.upper.unlink(path)?;
                self.count(Normalisation::DropSocket, (!node.is_whiteout()).into());
                // What the socket took the place of is gone all the same.
                Ok(in_lower.map(|_| Child::Hidden))
            }
            Kind::Device(kind) => Err(node.device_error(kind, path)),
            Kind::File | Kind::Symlink | Kind::Fifo => Ok(Some(Child::Other(node))),
        }
    }

    /// A file, link or FIFO; gives whether it stays on disk.
    fn other(&mut self, path: &TreePath, node: &Node, lower: bool) -> Result<bool, TreeError> {
        if let Some(first) = self.links.earlier(node, path) {
            // Decided with the first of the group.
            if self.links.is_dropped(node) {
                return self.drop_unchanged(path);
            }
            let meta = self.links.meta(node).unwrap_or_default();
            let kind = EntryKind::Hardlink { target: first };
            self.emit(path.clone(), kind, meta, &mut io::empty())?;
            return Ok(true);
        }
        let members = self.links.members(node, path);
        let attributes = self.upper.attributes(path, node.kind)?;
        let mtime = self.time_of_group(&members, node)?;
        let meta = meta(node, mtime, attributes.kept.clone());
        if lower && self.equals_lower(path, node, &meta, &members)? {
            self.links.drop_group(node);
            return self.drop_unchanged(path);
        }
        if attributes.needs_strip() {
            let fd = self.upper.open_read(path)?;
            let stripped = attributes.strip(fd.as_fd(), path)?;
            self.count(Normalisation::StripXattr, stripped);
        }
        if node.mtime != mtime {
            self.count_clamped(node.mtime, mtime);
            self.upper.set_time(path, mtime)?;
        }
        self.links.keep_group(node, &meta);
        match node.kind {
            Kind::Symlink => {
                let target = self.upper.read_link(path)?;
                self.emit(
                    path.clone(),
                    EntryKind::Symlink { target },
                    meta,
                    &mut io::empty(),
                )?;
            }
            Kind::Fifo => self.emit(path.clone(), EntryKind::Fifo, meta, &mut io::empty())?,
            _ => {
                let mut content = self.upper.open_file(path)?;
                let kind = EntryKind::File { size: node.size };
                self.emit(path.clone(), kind, meta, &mut content)?;
            }
        }
        Ok(true)
    }

    /// Whether the file with all its names is what `lower` has under these names (rules 4, 7).
    fn equals_lower(
        &mut self,
        path: &TreePath,
        node: &Node,
        meta: &Meta,
        members: &[TreePath],
    ) -> Result<bool, TreeError> {
        let Some(view) = self.lower else {
            return Ok(false);
        };
        let Some(below) = view.visible(path)? else {
            return Ok(false);
        };
        if (below.kind, below.mode, below.uid, below.gid, below.size)
            != (node.kind, node.mode, node.uid, node.gid, node.size)
        {
            return Ok(false);
        }
        let mtime = Time::whole(path, meta.mtime)?;
        if self.times == TimeRule::Counts && below.mtime != mtime && below.mtime != node.mtime {
            return Ok(false);
        }
        for member in members {
            let other = view.visible(member)?;
            if other.is_none_or(|other| other.inode != below.inode) {
                return Ok(false);
            }
        }
        if view.attributes(path, below.kind)?.kept != meta.xattrs {
            return Ok(false);
        }
        let same = match node.kind {
            Kind::Symlink => self.upper.read_link(path)? == view.read_link(path)?,
            Kind::File => same_content((self.upper, path), (view, path))?,
            _ => true,
        };
        Ok(same
            && self
                .links
                .may_keep_below(view, self.upper, &self.provided, &below, members)?)
    }

    fn drop_unchanged(&mut self, path: &TreePath) -> Result<bool, TreeError> {
        self.upper.unlink(path)?;
        self.count(Normalisation::DropUnchanged, 1);
        Ok(false)
    }

    /// Removes a provided path, and counts what the step wrote there.
    fn drop_provided(&mut self, path: &TreePath) -> Result<(), TreeError> {
        if self.provided.was_written(self.upper, path)? {
            self.count(Normalisation::DropProvided, 1);
        }
        self.upper.remove(path)
    }

    /// What `lower` says of the directory at `path`; nothing at all below is an implicit root.
    fn lower_facts(&self, path: &TreePath) -> Result<Option<Facts>, TreeError> {
        let Some(view) = self.lower else {
            return Ok(path.is_root().then(implicit_directory));
        };
        match view.visible(path)? {
            Some(node) if node.is_directory() => super::make::facts_of(view, path, &node).map(Some),
            _ => Ok(None),
        }
    }

    /// The time of a file: unchanged if any of its names had it before.
    fn time_of_group(&self, members: &[TreePath], node: &Node) -> Result<Time, TreeError> {
        if let Some(view) = &self.lower {
            for member in members {
                if let Some(below) = view.visible(member)?
                    && below.mtime == node.mtime
                    && below.mtime.nanoseconds == 0
                {
                    return Ok(below.mtime);
                }
            }
        }
        self.time(&members[0], node.mtime, None)
    }

    /// Rules 2 and 3: the time that an entry of this raw time gets.
    fn time(&self, path: &TreePath, raw: Time, before: Option<Time>) -> Result<Time, TreeError> {
        if before == Some(raw) && raw.nanoseconds == 0 {
            return Ok(raw);
        }
        let epoch = Time::whole(path, self.policy.epoch.seconds())?;
        if raw > epoch {
            return Time::whole(path, self.policy.tick.time(self.policy.epoch));
        }
        Ok(Time {
            seconds: raw.seconds.max(0),
            nanoseconds: 0,
        })
    }

    /// Counts a time that rule 2 moved; a fraction of a second that is cut off is none.
    fn count_clamped(&mut self, raw: Time, mtime: Time) {
        let moved = raw.seconds != mtime.seconds;
        self.count(Normalisation::ClampMtime, moved.into());
    }

    fn count(&mut self, what: Normalisation, times: u64) {
        if times != 0 {
            *self.counts.entry(what).or_default() += times;
        }
    }

    fn emit(
        &mut self,
        path: TreePath,
        kind: EntryKind,
        meta: Meta,
        content: &mut dyn io::Read,
    ) -> Result<(), TreeError> {
        let entry = Entry { path, kind, meta };
        self.sink
            .entry(&entry, content)
            .map_err(|source| TreeError::Sink {
                path: entry.path.clone(),
                source,
            })
    }
}

fn meta(node: &Node, mtime: Time, xattrs: BTreeMap<Vec<u8>, Vec<u8>>) -> Meta {
    Meta {
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        mtime: u64::try_from(mtime.seconds).unwrap_or(0),
        xattrs,
    }
}

/// A name found on disk, which may lie deeper than a layer can say.
pub(super) fn join(parent: &TreePath, name: &[u8]) -> Result<TreePath, TreeError> {
    parent.join(name).map_err(|source| TreeError::Path {
        parent: parent.clone(),
        source,
    })
}
