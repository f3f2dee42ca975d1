//! Who owns what, where the kernel knows one owner only.
//!
//! A user without subordinate ids has one id for all users of a step. What a step gives to others is
//! then written down: by file while a stage works, by path beside a stored tree.

use std::{cell::RefCell, collections::BTreeMap};

use repro_core::{build::UserIds, tree::TreePath};
use rustix::fs::{Statx, StatxFlags};
use serde::{Deserialize, Serialize};

use super::{Root, TreeError, diff::join, node::Time};

/// User and group of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// The owner of everything that nobody was given.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// A file, for as long as it exists: numbers are used again, and the time of birth tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId {
    device: (u32, u32),
    number: u64,
    born: Time,
}

impl FileId {
    /// What `statx` has to be asked for.
    pub(crate) const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

    /// `None` on a file system that does not tell when a file was made.
    pub(crate) fn new(stat: &Statx) -> Option<Self> {
        let told = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        told.then_some(Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            number: stat.stx_ino,
            born: Time {
                seconds: stat.stx_btime.tv_sec,
                nanoseconds: stat.stx_btime.tv_nsec,
            },
        })
    }
}

/// Owners of files, as far as they are not root's. One process with one thread works with it.
#[derive(Debug, Default)]
pub struct Owners(RefCell<BTreeMap<FileId, Owner>>);

impl Owners {
    pub(crate) fn get(&self, file: FileId) -> Owner {
        self.0.borrow().get(&file).copied().unwrap_or(Owner::ROOT)
    }

    pub(crate) fn set(&self, file: FileId, owner: Owner) {
        let mut owners = self.0.borrow_mut();
        if owner == Owner::ROOT {
            owners.remove(&file);
        } else {
            owners.insert(file, owner);
        }
    }

    /// Whether everything is root's.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

/// Where owners are known from.
#[derive(Debug, Clone, Copy, Default)]
pub enum Ids<'a> {
    /// The kernel.
    #[default]
    Kernel,
    /// What was written down.
    Recorded(&'a Owners),
}

impl Ids<'_> {
    /// How many ids of the machine there are.
    pub(crate) const fn users(self) -> UserIds {
        match self {
            Self::Kernel => UserIds::Range,
            Self::Recorded(_) => UserIds::One,
        }
    }
}

/// One line of the file beside a stored tree.
#[derive(Debug, Serialize, Deserialize)]
struct Row(Vec<u8>, u32, u32);

/// Owners of a stored tree, in the order of its paths.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct OwnerList(Vec<Row>);

impl OwnerList {
    /// The list of everything in `tree` that is not root's.
    pub fn of(tree: Root<'_>) -> Result<Self, TreeError> {
        let mut list = Vec::new();
        let mut pending = vec![TreePath::root()];
        while let Some(path) = pending.pop() {
            let Some(node) = tree.visible(&path)? else {
                continue;
            };
            if (node.uid, node.gid) != (0, 0) {
                list.push(Row(path.as_bytes().to_vec(), node.uid, node.gid));
            }
            if node.is_directory() {
                for name in tree.names(&path)? {
                    pending.push(join(&path, &name)?);
                }
            }
        }
        list.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(Self(list))
    }

    /// Writes down the owners of the files of `tree`, whose list this is. What is not there any more
    /// is passed over: it has no owner either.
    pub fn apply(&self, tree: Root<'_>) -> Result<(), TreeError> {
        for Row(path, uid, gid) in &self.0 {
            let path = if path.is_empty() {
                TreePath::root()
            } else {
                TreePath::parse(path)?
            };
            let owner = Owner {
                uid: *uid,
                gid: *gid,
            };
            tree.record(&path, owner)?;
        }
        Ok(())
    }
}
