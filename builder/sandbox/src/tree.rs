//! Trees on disk: unpacking layers, finding what a step changed, copying, deleting.
//!
//! Everything here runs inside the id mapping of a step, as its mapped root, when no process of
//! the step is left. Names and links were chosen by others: paths are walked from a directory
//! descriptor without following links (`openat2`), links are resolved by [`resolve`] inside the
//! tree, and nothing is ever opened by a path of the host.
//!
//! A tree that is written by [`unpack`] or put right by [`diff`] has the form that overlayfs
//! takes as a layer when mounted with `userxattr`: a removed name is a character device 0:0, a
//! directory that hides the one below has `user.overlay.opaque`. Mounts must have `index=off`, so
//! that a write breaks a hard link (rule 7). `userxattr` turns `redirect_dir` and `metacopy` off
//! (and takes neither option): a layer holds whole files.

mod align;
mod archive;
mod attributes;
mod capture;
mod copy;
mod diff;
mod distill;
mod error;
mod listing;
mod make;
mod make_dir;
mod merge;
mod node;
mod owners;
mod remove;
mod resolve;
mod root;
mod sources;
mod unpack;

pub(crate) use align::{align, align_facts, align_root, let_time_pass, points};
pub use archive::open_archive;
pub(crate) use capture::{capture, names_in};
pub use copy::{CopyReport, copy};
pub use diff::{DiffRequest, TimeRule, diff};
pub use distill::distill;
pub use error::{CapabilityFault, DeviceKind, TreeError};
pub use listing::{Listing, Name, Origin};
pub use make_dir::{make_dir, prepare_upper};
pub use merge::{Content, Merged, merge};
pub(crate) use owners::FileId;
pub use owners::{Ids, Owner, OwnerList, Owners};
pub use remove::{RemoveError, remove_tree};
pub use resolve::resolve;
pub(crate) use root::Detour;
pub use root::{MountsSeen, Root};
pub use unpack::unpack;
