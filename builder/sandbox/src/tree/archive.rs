//! `ADD` of an archive: told by its content, unpacked into a directory of the tree.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
};

use liblzma::stream::{CONCATENATED, Stream};
use repro_core::{
    image::Compression,
    layer::{LayerReader, Limits, decompress},
    tree::{Entry, EntryKind, EntrySource as _, TreePath},
};

use super::{
    DeviceKind, Root, TreeError,
    make::{make_directory, make_fifo, make_file, make_symlink},
    make_dir::make_missing,
    node::{Kind, Time},
    resolve::{resolve, resolve_parent},
    root::Facts,
    unpack::facts_from,
};

/// Memory for one xz stream: `xz -9` needs 65 MiB, larger dictionaries several times that. The format allows headers that ask for 4 GiB.
const XZ_MEMORY: u64 = 512 << 20;
/// Bytes of a tar's block.
const BLOCK: usize = 512;
/// Where a header has its checksum.
const CHECKSUM: std::ops::Range<usize> = 148..156;
/// Longest signature of a compressed file.
const MAGIC: usize = 6;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A frame, or one to be skipped, with which some programs begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// The tar in `file`, from its start.
fn open_tar(file: File, size: u64) -> io::Result<Box<dyn Read + Send>> {
    use std::io::{BufReader, Seek as _};
    let mut file = file;
    let mut head = [0; MAGIC];
    let length = fill(&mut file, &mut head)?;
    file.rewind()?;
    let limits = Limits::default();
    let buffered = |file| BufReader::with_capacity(64 << 10, file);
    // What core does not decompress it still holds to the ratio.
    let (plain, compression): (Box<dyn Read + Send>, _) = match Packing::of(&head[..length]) {
        Packing::Plain => return Ok(Box::new(buffered(file))),
        Packing::Gzip => (Box::new(file), Compression::Gzip),
        Packing::Zstd => (Box::new(file), Compression::Zstd),
        Packing::Bzip2 => {
            let decoder = bzip2::bufread::MultiBzDecoder::new(buffered(file));
            (Box::new(decoder), Compression::None)
        }
        Packing::Xz => {
            let stream =
                Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED).map_err(io::Error::other)?;
            let decoder = liblzma::bufread::XzDecoder::new_stream(buffered(file), stream);
            (Box::new(decoder), Compression::None)
        }
    };
    let plain = decompress(plain, compression, size, limits);
    Ok(Box::new(BufReader::with_capacity(64 << 10, plain)))
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether a file holds a tar: whether what it decompresses to begins with a header whose checksum
/// is right. A file that does not decompress is none.
pub(super) fn is_archive(root: Root<'_>, path: &TreePath, size: u64) -> Result<bool, TreeError> {
    let mut block = [0; BLOCK];
    let file = root.open_file(path)?;
    let filled = open_tar(file, size).and_then(|mut tar| fill(&mut tar, &mut block));
    Ok(filled.is_ok_and(|filled| filled == BLOCK) && is_header(&block))
}

/// The tar in `file`, decompressed; `None` if there is none. It is told by its content, as `ADD` does.
/// Gives up behind [`Limits::max_ratio`] times the size of the file.
pub fn open_archive(mut file: File) -> io::Result<Option<Box<dyn Read + Send>>> {
    use std::io::Seek as _;
    let size = file.metadata()?.len();
    let mut block = [0; BLOCK];
    file.rewind()?;
    let filled = open_tar(file.try_clone()?, size).and_then(|mut tar| fill(&mut tar, &mut block));
    if !filled.is_ok_and(|filled| filled == BLOCK) || !is_header(&block) {
        return Ok(None);
    }
    file.rewind()?;
    open_tar(file, size).map(Some)
}

fn is_header(block: &[u8; BLOCK]) -> bool {
    let field = &block[CHECKSUM];
    let text: String = field
        .iter()
        .map(|byte| char::from(*byte))
        .filter(|c| !matches!(c, '\0' | ' '))
        .collect();
    let Ok(expected) = i64::from_str_radix(&text, 8) else {
        return false;
    };
    let bytes = || {
        let counted = |at| {
            if CHECKSUM.contains(&at) {
                b' '
            } else {
                block[at]
            }
        };
        (0..BLOCK).map(counted)
    };
    let unsigned: i64 = bytes().map(i64::from).sum();
    // Some programs of old added up signed bytes.
    let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
    expected == unsigned || expected == signed
}

/// What an archive is unpacked with.
#[derive(Debug, Clone)]
pub(super) struct Unpacking<'a> {
    /// `--chown`: the owner of every entry.
    pub(super) owner: Option<(u32, u32)>,
    /// What directories get that the archive lacks; they are root's.
    pub(super) implied: &'a Facts,
}

/// Unpacks the archive at `path` into the directory `dest`, which is the root of all names and
/// links in it; gives how many entries it had.
///
/// As in `BuildKit`: a directory on a directory is merged, and anything else is replaced by what
/// the archive has. Links of the tree are followed where they lead to a directory, inside `dest`.
/// An entry for `dest` itself is passed over. Owners are the archive's, unless one is given; times
/// are, and so are modes.
pub(super) fn unpack_archive(
    source: Root<'_>,
    path: &TreePath,
    size: u64,
    dest: Root<'_>,
    unpacking: &Unpacking<'_>,
) -> Result<u64, TreeError> {
    let broken = |error: io::Error| TreeError::Archive {
        path: path.clone(),
        source: error,
    };
    let tar = open_tar(source.open_file(path)?, size).map_err(broken)?;
    let mut reader = LayerReader::new(tar, Limits::default());
    let mut extractor = Extractor {
        dest,
        unpacking,
        directories: BTreeMap::new(),
    };
    loop {
        let mut failure = None;
        let more = reader.next_entry(&mut |entry, content| {
            extractor.entry(entry, content).map_err(|error| {
                let shown = io::Error::other(error.to_string());
                failure = Some(error);
                shown
            })
        });
        match (failure, more) {
            // What would be damage in a layer is an archive that somebody made so.
            (
                Some(
                    error @ (TreeError::LinkTarget { .. }
                    | TreeError::RootEntry
                    | TreeError::ContentSize { .. }),
                ),
                _,
            ) => return Err(broken(io::Error::other(error))),
            // Content that could not be read is the archive's fault, one that could not be written not.
            (Some(TreeError::Io { source, .. }), _)
                if matches!(
                    source.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                ) =>
            {
                return Err(broken(source));
            }
            (Some(error), _) => return Err(error),
            (None, Err(error)) => return Err(broken(error)),
            (None, Ok(true)) => {}
            (None, Ok(false)) => break,
        }
    }
    extractor.finish()?;
    Ok(reader.entries())
}

struct Extractor<'a> {
    dest: Root<'a>,
    unpacking: &'a Unpacking<'a>,
    /// Directories with the times to set at the end.
    directories: BTreeMap<TreePath, Time>,
}

impl Extractor<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), TreeError> {
        if entry.path.is_root() {
            return match entry.kind {
                EntryKind::Directory => Ok(()),
                _ => Err(TreeError::RootEntry),
            };
        }
        let is_directory = entry.kind == EntryKind::Directory;
        let path = if is_directory {
            resolve(self.dest, entry.path.as_bytes())?
        } else {
            resolve_parent(self.dest, &entry.path)?
        };
        if path.is_root() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            for made in make_missing(self.dest, &parent, self.unpacking.implied)? {
                self.directories.insert(made, self.unpacking.implied.mtime);
            }
        }
        let mut facts = facts_from(&path, &entry.meta)?;
        if let Some((uid, gid)) = self.unpacking.owner {
            (facts.uid, facts.gid) = (uid, gid);
        }
        let target = match &entry.kind {
            EntryKind::Hardlink { target } => Some(self.link_target(&path, target)?),
            _ => None,
        };
        match self.dest.node(&path)?.map(|node| node.kind) {
            None => {}
            Some(Kind::Directory) if is_directory => {}
            Some(_) => self.make_way(&path)?,
        }
        match &entry.kind {
            EntryKind::Directory => {
                make_directory(self.dest, &path, &facts)?;
                self.directories.insert(path, facts.mtime);
                Ok(())
            }
            EntryKind::File { size } => make_file(self.dest, &path, &facts, *size, content),
            EntryKind::Symlink { target } => make_symlink(self.dest, &path, &facts, target),
            EntryKind::Fifo => make_fifo(self.dest, &path, &facts),
            EntryKind::Hardlink { .. } => match target {
                Some(target) => self.dest.make_link(&path, &target),
                None => Ok(()),
            },
            EntryKind::CharDevice { major, minor } => {
                Err(device(path, DeviceKind::Character, *major, *minor))
            }
            EntryKind::BlockDevice { major, minor } => {
                Err(device(path, DeviceKind::Block, *major, *minor))
            }
            EntryKind::Whiteout | EntryKind::OpaqueWhiteout => Err(TreeError::ReservedName(path)),
        }
    }

    /// The file that a hard link is another name of.
    fn link_target(&self, path: &TreePath, target: &TreePath) -> Result<TreePath, TreeError> {
        let found = resolve_parent(self.dest, target)?;
        let kind = self.dest.node(&found)?.map(|node| node.kind);
        // What makes way for the link must not be its target.
        if found.starts_with(path) || matches!(kind, None | Some(Kind::Directory)) {
            return Err(TreeError::LinkTarget {
                path: path.clone(),
                target: target.clone(),
            });
        }
        Ok(found)
    }

    fn make_way(&mut self, path: &TreePath) -> Result<(), TreeError> {
        self.directories
            .retain(|directory, _| !directory.starts_with(path));
        self.dest.remove(path)
    }

    fn finish(self) -> Result<(), TreeError> {
        for (path, mtime) in self.directories.iter().rev() {
            self.dest.set_time(path, *mtime)?;
        }
        Ok(())
    }
}

fn device(path: TreePath, kind: DeviceKind, major: u32, minor: u32) -> TreeError {
    TreeError::Device {
        path,
        kind,
        major,
        minor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_told_by_the_first_bytes() {
        for (head, packing) in [
            (&b"\x1f\x8b\x08\0"[..], Packing::Gzip),
            (b"BZh9", Packing::Bzip2),
            (b"\xfd7zXZ\0", Packing::Xz),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd),
            (b"\x51\x2a\x4d\x18", Packing::Zstd),
            (b"\x1f\x8b\x09", Packing::Plain),
            (b"", Packing::Plain),
        ] {
            assert_eq!(Packing::of(head), packing, "{head:?}");
        }
    }

    #[test]
    fn a_header_is_known_by_its_checksum() {
        let mut block = [0_u8; BLOCK];
        assert!(!is_header(&block), "zeros are the end of a tar");
        block[0] = 0xe9;
        block[CHECKSUM].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(is_header(&block));
        let signed = sum - 256;
        block[CHECKSUM].copy_from_slice(format!("{signed:06o}\0 ").as_bytes());
        assert!(is_header(&block));
        block[1] = 1;
        assert!(!is_header(&block));
    }
}
