//! What `COPY` and `ADD` do to a tree.

use serde::{Deserialize, Serialize};

use super::{ModeChange, SnapshotName};

/// Whom a copied entry belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// As in the source tree.
    Keep,
    /// `user[:group]`, names looked up in the destination tree.
    Named(String),
}

/// A file whose text stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InlineFile {
    /// Its name: one component of a path.
    pub name: String,
    /// Its text.
    pub content: String,
}

impl InlineFile {
    /// Where a step finds its script: `BuildKit`'s place for it, since `$0` can show it.
    pub const SCRIPT_DIR: &str = "/dev/pipes";
    /// Mode of a file that `COPY` or `ADD` makes of a heredoc.
    pub const MODE: u16 = 0o644;
}

/// How sources lie below the destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyLayout {
    /// A file by its last name, a directory as its contents.
    #[default]
    Contents,
    /// `--parents`: each with the directories above it, from the pivot `/./` on if there is one.
    Parents,
}

/// What becomes of a source that is an archive: a tar, plain or compressed by gzip, bzip2, xz or
/// zstd, told by its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Archives {
    /// It is a file.
    #[default]
    Copy,
    /// It is unpacked into the destination.
    Unpack,
}

/// What the destination path is resolved in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// The tree: its links are followed, its directories used as they are.
    #[default]
    Merged,
    /// `--link`: an empty tree, which is then laid over the other. No link is followed, and every
    /// directory of the path is made anew.
    Linked,
}

/// A copy of files into the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopySpec {
    /// Whence.
    pub source: CopySource,
    /// Path patterns inside the source; matched as Go's `filepath.Match`, those of
    /// [`CopyLayout::Parents`] with `**` as well.
    pub patterns: Vec<String>,
    /// Files of the Dockerfile, written after the others.
    pub files: Vec<InlineFile>,
    /// Whither, absolute inside the tree. A trailing slash makes it a directory.
    pub destination: String,
    /// Owner of what is copied, and of directories made for it.
    pub owner: Owner,
    /// `--chmod`.
    pub mode: Option<ModeChange>,
    /// How sources lie below the destination.
    pub layout: CopyLayout,
    /// `--exclude`: patterns as of an ignore file, matched below each source.
    pub exclude: Vec<String>,
    /// What becomes of archives.
    pub archives: Archives,
    /// What the destination is resolved in.
    pub placement: Placement,
}

/// The tree that a copy reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CopySource {
    /// The context: every entry gets the time of the tick (rule 2).
    Context {
        /// The trees, lowest first.
        trees: Vec<SnapshotName>,
    },
    /// A stage, an image or an input: times are kept, up to the epoch.
    Tree {
        /// The trees, lowest first.
        trees: Vec<SnapshotName>,
    },
}
