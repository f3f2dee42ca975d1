//! The files of a layout, in a directory or a tar.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _},
    iter,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::TransportError;
use crate::{
    image::{Compression, MAX_DOCUMENT},
    layer::{Limits, RawKind, RawReader, decompress},
    tree::TreePath,
};

/// Links that are followed inside an archive. `docker save` once wrote one for a layer that it
/// had written before.
const MAX_LINKS: usize = 8;

/// The files of an archive or directory, by name.
#[derive(Debug)]
pub struct FileSource(Place);

/// Where they are.
#[derive(Debug)]
enum Place {
    Dir(PathBuf),
    Tar {
        path: PathBuf,
        file: File,
        members: BTreeMap<TreePath, Member>,
    },
}

/// What an archive has under a name.
#[derive(Debug)]
enum Member {
    File {
        offset: u64,
        size: u64,
    },
    Link(TreePath),
    /// Something that programs find in different places: the first of two, or the second.
    Unclear,
}

/// What a name means that several files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twice {
    /// The later file, as where an archive is unpacked.
    Later,
    /// Nothing, since programs differ.
    Unclear,
}

/// Reads a file from a place on. A position of its own, since copies of a file share theirs.
struct At {
    file: File,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buf, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// How the bytes of a file begin, and so how it is compressed.
pub(super) fn sniff(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        // bzip2 and xz: known, and not read.
        [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] => None,
        _ => Some(Compression::None),
    }
}

/// Reads the first bytes of `file` and gives it back at its start.
pub(super) fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(6).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(head)
}

/// Opens a file that is one: reading a FIFO would wait for ever.
pub(super) fn open_file(path: &Path) -> Result<(File, u64), TransportError> {
    let meta = std::fs::metadata(path).map_err(TransportError::io("open", path))?;
    if !meta.is_file() {
        return Err(TransportError::NotThisForm {
            path: path.to_owned(),
            form: "a regular file",
            source: None,
        });
    }
    let file = File::open(path).map_err(TransportError::io("open", path))?;
    Ok((file, meta.len()))
}

impl FileSource {
    pub(super) fn dir(dir: &Path) -> Self {
        Self(Place::Dir(dir.to_owned()))
    }

    /// Indexes a tar of files. Of two with one name the later counts, as in every program that unpacks
    /// them.
    pub fn archive(path: &Path, tmp: &Path, limits: Limits) -> Result<Self, TransportError> {
        Self::open_archive(path, tmp, limits, Twice::Later)
    }

    /// As [`Self::archive`] for a tar that is an image. Programs look such files up by name, some the
    /// first of two and some the last, so a name with two files cannot be asked for.
    pub(super) fn image(path: &Path, tmp: &Path, limits: Limits) -> Result<Self, TransportError> {
        Self::open_archive(path, tmp, limits, Twice::Unclear)
    }

    /// A compressed archive is unpacked to an unnamed file in `tmp` first: its members are not in the
    /// order in which they are needed.
    fn open_archive(
        path: &Path,
        tmp: &Path,
        limits: Limits,
        twice: Twice,
    ) -> Result<Self, TransportError> {
        let fail = |source| TransportError::io("read", path)(source);
        let (mut file, size) = open_file(path)?;
        let compression = sniff(&head(&mut file).map_err(fail)?);
        let compression = compression.ok_or_else(|| TransportError::NotThisForm {
            path: path.to_owned(),
            form: "a tar, plain or compressed with gzip or zstd",
            source: None,
        })?;
        if compression != Compression::None {
            let mut spool = tempfile::tempfile_in(tmp).map_err(fail)?;
            let mut plain = decompress(Box::new(file), compression, size, limits);
            io::copy(&mut plain, &mut spool).map_err(fail)?;
            spool.flush().map_err(fail)?;
            file = spool;
        }
        file.seek(SeekFrom::Start(0)).map_err(fail)?;
        let members = index(&file, limits, twice).map_err(fail)?;
        // Programs that unpack the archive put such a file where the link leads.
        if twice == Twice::Unclear
            && let Some(below) = members.keys().find(|path| is_below_another(path, &members))
        {
            return Err(TransportError::UnclearMember {
                path: path.to_owned(),
                name: below.to_string(),
            });
        }
        Ok(Self(Place::Tar {
            path: path.to_owned(),
            file,
            members,
        }))
    }

    /// The archive or directory, for messages.
    pub(super) fn path(&self) -> &Path {
        match &self.0 {
            Place::Dir(path) | Place::Tar { path, .. } => path,
        }
    }

    /// Whether the files are those of an archive.
    pub(super) const fn is_archive(&self) -> bool {
        matches!(self.0, Place::Tar { .. })
    }

    /// Opens a file; its size.
    pub(super) fn open(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), TransportError> {
        let missing = || TransportError::NoMember {
            path: self.path().to_owned(),
            name: name.to_owned(),
        };
        let (path, file, members) = match &self.0 {
            Place::Dir(dir) => {
                let (file, size) = open_file(&dir.join(name)).map_err(|error| match error {
                    TransportError::Io { source, .. }
                        if source.kind() == io::ErrorKind::NotFound =>
                    {
                        missing()
                    }
                    error => error,
                })?;
                return Ok((Box::new(file), size));
            }
            Place::Tar {
                path,
                file,
                members,
            } => (path, file, members),
        };
        let mut wanted = TreePath::parse(name.as_bytes()).map_err(|_| missing())?;
        for _ in 0..MAX_LINKS {
            match members.get(&wanted).ok_or_else(missing)? {
                Member::Link(target) => wanted = target.clone(),
                Member::Unclear => {
                    return Err(TransportError::UnclearMember {
                        path: path.clone(),
                        name: name.to_owned(),
                    });
                }
                Member::File { offset, size } => {
                    let file = file.try_clone().map_err(TransportError::io("read", path))?;
                    let at = At {
                        file,
                        offset: *offset,
                    };
                    return Ok((Box::new(at.take(*size)), *size));
                }
            }
        }
        Err(missing())
    }

    /// Reads a small document.
    pub fn document(&self, name: &str) -> Result<Vec<u8>, TransportError> {
        let (reader, _) = self.open(name)?;
        let mut bytes = Vec::new();
        reader
            .take(MAX_DOCUMENT + 1)
            .read_to_end(&mut bytes)
            .map_err(TransportError::io("read", self.path()))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(TransportError::DocumentTooLarge {
                name: name.to_owned(),
                limit: MAX_DOCUMENT,
            });
        }
        Ok(bytes)
    }

    /// For documents of the form itself: an error that says what `path` should have been.
    pub(super) fn not_this_form(
        &self,
        form: &'static str,
        source: Option<serde_json::Error>,
    ) -> TransportError {
        TransportError::NotThisForm {
            path: self.path().to_owned(),
            form,
            source,
        }
    }
}

/// Where each file of a tar is.
fn index(file: &File, limits: Limits, twice: Twice) -> io::Result<BTreeMap<TreePath, Member>> {
    let mut raw = RawReader::new(BufReader::with_capacity(256 << 10, file), limits);
    let mut members = BTreeMap::new();
    while let Some(entry) = raw.next()? {
        let (path, plain) = match (TreePath::parse(&entry.path), twice) {
            (Ok(path), _) => (path, true),
            (Err(_), Twice::Later) => continue, // cannot be asked for
            // Programs that clean names first take `a/../b` for `b`.
            (Err(_), Twice::Unclear) => match TreePath::parse_clamped(&entry.path) {
                Ok(path) => (path, false),
                Err(_) => continue,
            },
        };
        let member = match entry.kind {
            RawKind::File => Member::File {
                offset: entry.offset,
                size: entry.size,
            },
            RawKind::Hardlink => TreePath::parse(&entry.link).map_or(Member::Unclear, Member::Link),
            RawKind::Symlink => {
                let dir = path.parent().unwrap_or_default();
                // Relative to the directory of the link; never above the archive's root.
                let joined = [dir.as_bytes(), b"/", &entry.link].concat();
                match TreePath::parse_clamped(&joined) {
                    // To some an absolute link starts at the archive's root.
                    Ok(target) if dir.is_root() || !entry.link.starts_with(b"/") => {
                        Member::Link(target)
                    }
                    _ => Member::Unclear,
                }
            }
            // Without content that could be asked for.
            _ => continue,
        };
        match members.entry(path) {
            Entry::Vacant(place) if plain => {
                place.insert(member);
            }
            Entry::Vacant(place) => {
                place.insert(Member::Unclear);
            }
            Entry::Occupied(mut place) => {
                place.insert(match twice {
                    Twice::Later => member,
                    Twice::Unclear => Member::Unclear,
                });
            }
        }
    }
    Ok(members)
}

/// Whether `path` lies below a file or link, which is no directory.
fn is_below_another(path: &TreePath, members: &BTreeMap<TreePath, Member>) -> bool {
    let mut above = iter::successors(path.parent(), TreePath::parent);
    above.any(|dir| members.contains_key(&dir))
}
