//! How much of a foreign layer is believed.

/// Limits on a foreign layer. Exceeding one is an error that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of one layer. The largest images in use have about one million files; an archive
    /// of empty entries compresses a thousandfold and costs an inode each.
    pub max_entries: u64,
    /// Bytes of one extended header (PAX records, a long name). A reader has to hold it in
    /// memory, and its size field can say anything; the kernel's largest path, target and
    /// attribute together stay far below.
    pub max_extended_header: u64,
    /// Bytes of kept attributes of one entry, names and values (Linux `XATTR_SIZE_MAX`, which
    /// is also as much as one entry has room for on its way into the sandbox).
    pub max_xattr_bytes: u64,
    /// Bytes of file content of one layer: a disk should not be filled by an archive that says
    /// nothing.
    pub max_content: u64,
    /// Bytes of tar for one byte of blob, above the first [`Limits::RATIO_FREE`]. Deflate cannot
    /// exceed 1032; zstd can, by a factor of a hundred.
    pub max_ratio: u64,
}

impl Limits {
    /// Decompressed bytes that no ratio is applied to: small layers of zeros are common, and
    /// harmless.
    pub const RATIO_FREE: u64 = 64 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 4_000_000,
            max_extended_header: 1 << 20,
            max_xattr_bytes: 64 << 10,
            max_content: 256 << 30,
            max_ratio: 1100,
        }
    }
}
