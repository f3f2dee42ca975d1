//! File trees as values: paths, entries, and streams of entries.

mod deep_pattern;
mod entry;
mod ignore;
mod path;
mod pattern;
mod wire;

pub use deep_pattern::DeepPattern;
pub use entry::{Entry, EntryKind, Meta, WHITEOUT_OPAQUE, WHITEOUT_PREFIX};
pub use ignore::{IgnoreError, IgnoreFile, Ignored, MAX_IGNORE_BYTES, MAX_PATTERNS, Matched};
pub(crate) use path::MAX_PATH;
pub use path::{TreePath, TreePathError, show_bytes};
pub use pattern::{Pattern, PatternError};
pub(crate) use wire::copy_exactly;
pub use wire::{EntryReader, EntrySink, EntrySource, EntryWriter, WireError};
