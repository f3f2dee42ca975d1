//! What a step asked to be mounted, in a container that can mount nothing.
//!
//! The container is for this one step, so what the tree has at a mount's place makes way for what the
//! mount has, and what is there is in no layer. Lost is that a mount is read-only: what a program writes
//! to it is gone with the container, but the program is not told. Files in memory are below `/dev`, which
//! is the engine's memory, and their places lead there: no secret is on the engine's disk. Rejected: mounts
//! of the engine, which can be directories only, and would need volumes that outlive a killed process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write as _,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixListener,
    },
    path::Path,
};

use repro_core::{
    build::{LayerPolicy, MountFacts, MountSource, MountSpec},
    epoch::{Epoch, Tick},
    tree::{EntryWriter, TreePath},
};
use rustix::{
    fs::{
        AtFlags, Gid, Mode, OFlags, RawMode, Uid, chmodat, chownat, mkdirat, openat, renameat,
        statat, symlinkat,
    },
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::PLACE;
use crate::{
    protocol::{During, Failure, Program, Secret},
    stage::faults::tree_failure,
    tree::{self, DiffRequest, Root, TimeRule, resolve},
};

/// Where secrets are, in the engine's memory.
const SECRETS: &str = "dev/repro-secrets";
/// Mode of a directory that is put on nothing: `tmpfs`'s own.
const MEMORY_MODE: RawMode = 0o1777;
/// Names of the root that are the engine's.
const ENGINES: [&[u8]; 3] = [b"dev", b"proc", b"sys"];

/// How a mount gets what it begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filling {
    /// It begins with nothing, or with what the order has.
    Nothing,
    /// A tree is sent; its source is a path in it.
    Tree,
    /// A directory that steps of a run have in common.
    Cache {
        /// Its name: the same for all mounts of a run that mean the same.
        key: String,
        /// What is sent for it.
        content: CacheContent,
    },
}

/// What a cache begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheContent {
    /// Nothing: no step of the run had it.
    New,
    /// A tree, in which its source is a path.
    Tree,
    /// What the step before left, which is the directory itself.
    Left,
}

impl Filling {
    pub(super) const fn is_sent(&self) -> bool {
        !matches!(
            self,
            Self::Nothing
                | Self::Cache {
                    content: CacheContent::New,
                    ..
                }
        )
    }
}

/// Where the mounts of a step are.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Each, links of the tree followed, in the order of the step.
    places: Vec<TreePath>,
    /// Caches by their names.
    caches: BTreeMap<String, TreePath>,
    /// Sockets of agents, in the order of the mounts.
    pub(super) listeners: Vec<UnixListener>,
}

impl Mounts {
    /// Finds the places of all mounts in the tree.
    pub(super) fn find(spec: &Program, tree: Root<'_>) -> Result<Self, Failure> {
        let mut places = Vec::new();
        for MountSpec { target, .. } in &spec.mounts {
            let place = resolve(tree, target.as_bytes()).map_err(|error| tree_failure(&error))?;
            let first = place.names().next();
            if first.is_none_or(|name| ENGINES.contains(&name)) {
                return Err(Failure::refused(format!(
                    "the mount target {target:?} leads to /{place}, which the engine provides"
                )));
            }
            places.push(place);
        }
        Ok(Self {
            places,
            ..Self::default()
        })
    }

    /// The places, which are in no layer.
    pub(super) fn places(&self) -> BTreeSet<TreePath> {
        self.places.iter().cloned().collect()
    }

    /// Puts everything to its place, outer ones first, and of those at one place the last one. `sources`
    /// are the trees that were sent, by the index of their mount.
    pub(super) fn put(
        &mut self,
        (spec, fillings): (&Program, &[Filling]),
        root: &OwnedFd,
        sources: &BTreeMap<usize, OwnedFd>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<(), Failure> {
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        order.sort_by(|one, other| self.places[*one].cmp(&self.places[*other]));
        let mut listeners = BTreeMap::new();
        for index in order {
            let (mount, place) = (&spec.mounts[index], self.places[index].clone());
            let mode = directory_mode(root, &place)?;
            make_parents(root, &place)?;
            Root::new(root.as_fd())
                .remove(&place)
                .map_err(|error| tree_failure(&error))?;
            match (&mount.source, &fillings[index]) {
                (MountSource::Bind { path, .. }, _) => {
                    take_source(root, sources.get(&index), index, (path, mount), &place)?;
                }
                (MountSource::Cache { path, facts, .. }, Filling::Cache { key, content }) => {
                    if let Some(same) = self.caches.get(key) {
                        link(root, &format!("/{same}"), &place)?;
                        continue;
                    }
                    match content {
                        CacheContent::New => directory(root, &place, 0o755)?,
                        CacheContent::Left => {
                            take_source(root, sources.get(&index), index, ("/", mount), &place)?;
                        }
                        CacheContent::Tree => {
                            take_source(root, sources.get(&index), index, (path, mount), &place)?;
                        }
                    }
                    set_facts(root, &place, *facts)?;
                    self.caches.insert(key.clone(), place);
                }
                (MountSource::Tmpfs { .. }, _) => {
                    directory(root, &place, mode.unwrap_or(MEMORY_MODE))?;
                }
                (MountSource::Secret { id, facts }, _) => {
                    let value = secrets.get(id).ok_or_else(|| {
                        Failure::refused(format!("the secret {id} was not given"))
                    })?;
                    let file = secret(root, index, &value.0, *facts)?;
                    link(root, &file, &place)?;
                }
                (MountSource::Agent { facts, .. }, _) => {
                    let path = Path::new("/").join(place.as_os_str());
                    let listener = UnixListener::bind(&path).map_err(|error| {
                        Failure::io(format!("bind({})", path.display()), &error)
                    })?;
                    set_facts(root, &place, *facts)?;
                    listeners.insert(index, listener);
                }
                (MountSource::Cache { .. }, Filling::Nothing | Filling::Tree) => {
                    return Err(Failure::refused("a cache without a name"));
                }
            }
        }
        self.listeners = listeners.into_values().collect();
        Ok(())
    }

    /// The caches, as steps left them.
    pub(super) fn caches(&self) -> impl Iterator<Item = (&String, &TreePath)> {
        self.caches.iter()
    }
}

/// Hands on everything that is in the directory at `place`. Times keep their whole seconds.
pub(super) fn hand_on_directory(
    root: &OwnedFd,
    place: &TreePath,
    out: &mut dyn std::io::Write,
) -> Result<(), Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(root, place.as_os_str(), flags, Mode::empty())
        .during(&format!("open({place:?})"))?;
    let mut writer = EntryWriter::new(out);
    let request = DiffRequest {
        lower: None,
        upper: Root::new(directory.as_fd()),
        policy: LayerPolicy {
            epoch: Epoch::LATEST,
            tick: Tick::FIRST,
        },
        times: TimeRule::Counts,
        provided: &[],
    };
    // What was put right is no layer's.
    tree::diff(request, &mut writer)
        .map(drop)
        .map_err(|error| tree_failure(&error))?;
    writer
        .finish(&[])
        .map(drop)
        .map_err(|error| Failure::io("write(cache)", &error))
}

/// Mode of the directory that the tree has there.
fn directory_mode(root: &OwnedFd, place: &TreePath) -> Result<Option<RawMode>, Failure> {
    match statat(root, place.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
            let is_directory = kind == rustix::fs::FileType::Directory;
            Ok(is_directory.then_some(stat.st_mode & 0o7777))
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Failure::operation(format!("stat({place:?})"), errno)),
    }
}

fn make_parents(root: &OwnedFd, place: &TreePath) -> Result<(), Failure> {
    let mut at = TreePath::root();
    let names: Vec<_> = place.names().collect();
    for name in &names[..names.len().saturating_sub(1)] {
        at = at
            .join(name)
            .map_err(|error| Failure::refused(error.to_string()))?;
        match mkdirat(root, at.as_os_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(Errno::NOTDIR) => {
                return Err(Failure::refused(format!(
                    "the mount target /{place} lies below a file of the image"
                )));
            }
            Err(errno) => return Err(Failure::operation(format!("mkdir({at:?})"), errno)),
        }
    }
    Ok(())
}

/// Moves what a mount shows of its tree to its place.
fn take_source(
    root: &OwnedFd,
    source: Option<&OwnedFd>,
    index: usize,
    (path, mount): (&str, &MountSpec<Vec<String>>),
    place: &TreePath,
) -> Result<(), Failure> {
    let missing = || {
        Failure::refused(format!(
            "the source {path:?} of the mount at {:?} is not there",
            mount.target
        ))
    };
    let source = source.ok_or_else(missing)?;
    let found = resolve(Root::new(source.as_fd()), path.as_bytes())
        .map_err(|error| tree_failure(&error))?;
    let from = if found.is_root() {
        format!("{PLACE}/{}", directory_of(index)).into()
    } else {
        Path::new(PLACE)
            .join(directory_of(index))
            .join(found.as_os_str())
    };
    match renameat(root, &from, root, place.as_os_str()) {
        Err(Errno::NOENT) => Err(missing()),
        moved => moved.during(&format!("rename({}, {place:?})", from.display())),
    }
}

/// Name of the directory for the tree of a mount, in the helper's place.
pub(super) fn directory_of(index: usize) -> String {
    format!("mount-{index}")
}

fn directory(root: &OwnedFd, place: &TreePath, mode: RawMode) -> Result<(), Failure> {
    let mode = Mode::from_raw_mode(mode);
    mkdirat(root, place.as_os_str(), mode).during(&format!("mkdir({place:?})"))?;
    chmodat(root, place.as_os_str(), mode, AtFlags::empty()).during(&format!("chmod({place:?})"))
}

fn link(root: &OwnedFd, target: &str, place: &TreePath) -> Result<(), Failure> {
    symlinkat(target, root, place.as_os_str()).during(&format!("symlink({target:?}, {place:?})"))
}

fn set_facts(root: &OwnedFd, place: &TreePath, facts: MountFacts) -> Result<(), Failure> {
    let at = place.as_os_str();
    let (uid, gid) = (Uid::from_raw(facts.uid), Gid::from_raw(facts.gid));
    chownat(root, at, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .during(&format!("chown({place:?})"))?;
    let mode = Mode::from_raw_mode(facts.mode.into());
    chmodat(root, at, mode, AtFlags::empty()).during(&format!("chmod({place:?})"))
}

/// Writes a secret to memory; gives where.
fn secret(
    root: &OwnedFd,
    index: usize,
    value: &[u8],
    facts: MountFacts,
) -> Result<String, Failure> {
    match mkdirat(root, SECRETS, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Failure::operation(format!("mkdir({SECRETS:?})"), errno)),
    }
    let path = format!("{SECRETS}/{index}");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(root, path.as_str(), flags, Mode::from_raw_mode(0o600))
        .during(&format!("open({path:?})"))?;
    File::from(file)
        .write_all(value)
        .map_err(|error| Failure::io(format!("write({path:?})"), &error))?;
    let place =
        TreePath::parse(path.as_bytes()).map_err(|error| Failure::refused(error.to_string()))?;
    set_facts(root, &place, facts)?;
    Ok(format!("/{path}"))
}
