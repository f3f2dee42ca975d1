//! Making single entries, for unpacking and copying alike.

use std::{
    io::{self, Read},
    os::fd::AsFd,
};

use repro_core::tree::TreePath;

use super::{
    Root, TreeError,
    attributes::remove_others,
    node::{Kind, Node, Time},
    root::Facts,
};

/// What a directory has that no entry and no lower tree describes: 0755, root's, of 1970.
/// Steps set a directory's time back to that of the tree below (rule 3), so the time shows in
/// no layer.
pub(super) fn implicit_directory() -> Facts {
    Facts {
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: Time {
            seconds: 0,
            nanoseconds: 0,
        },
        xattrs: std::collections::BTreeMap::new(),
    }
}

/// The facts of a node as they are.
pub(super) fn facts_of(root: Root<'_>, path: &TreePath, node: &Node) -> Result<Facts, TreeError> {
    Ok(Facts {
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        mtime: node.mtime,
        xattrs: root.attributes(path, node.kind)?.kept,
    })
}

/// Makes a file of exactly `size` bytes.
pub(super) fn make_file(
    root: Root<'_>,
    path: &TreePath,
    facts: &Facts,
    size: u64,
    content: &mut dyn Read,
) -> Result<(), TreeError> {
    let mut file = root.make_file(path)?;
    let mut found = io::copy(&mut content.take(size), &mut file)
        .map_err(TreeError::io("write its content", path))?;
    if found == size {
        found += content
            .read(&mut [0])
            .map_err(TreeError::io("read its content", path))? as u64;
    }
    if found != size {
        return Err(TreeError::ContentSize {
            path: path.clone(),
            expected: size,
            found,
        });
    }
    root.set_facts_of(file.as_fd(), path, facts)
}

pub(super) fn make_symlink(
    root: Root<'_>,
    path: &TreePath,
    facts: &Facts,
    target: &[u8],
) -> Result<(), TreeError> {
    root.make_symlink(path, target)?;
    root.set_facts(path, Kind::Symlink, facts)
}

pub(super) fn make_fifo(root: Root<'_>, path: &TreePath, facts: &Facts) -> Result<(), TreeError> {
    root.make_fifo(path)?;
    root.set_facts(path, Kind::Fifo, facts)
}

/// Makes a directory, or takes the one that is there, and gives it `facts`, attributes that it
/// should not have included. Its time holds until something is made in it.
pub(super) fn make_directory(
    root: Root<'_>,
    path: &TreePath,
    facts: &Facts,
) -> Result<(), TreeError> {
    if root.node(path)?.is_none() {
        root.make_directory(path)?;
    }
    let fd = root.open_read(path)?;
    remove_others(fd.as_fd(), path, &facts.xattrs)?;
    root.set_facts_of(fd.as_fd(), path, facts)
}

/// Copies one entry that is no directory to a free name of another tree.
pub(super) fn transfer(
    source: (Root<'_>, &TreePath, &Node),
    dest: Root<'_>,
    path: &TreePath,
    facts: &Facts,
) -> Result<(), TreeError> {
    let (root, from, node) = source;
    match node.kind {
        Kind::File => copy_file(root, from, node, dest, path, facts),
        Kind::Symlink => make_symlink(dest, path, facts, &root.read_link(from)?),
        Kind::Fifo => make_fifo(dest, path, facts),
        Kind::Device(kind) => Err(node.device_error(kind, from)),
        Kind::Socket => Err(TreeError::Socket(from.clone())),
        Kind::Directory | Kind::Whiteout => Err(TreeError::FileOverDirectory(from.clone())),
    }
}

/// File to file, so that the kernel copies, or shares the blocks where it can.
fn copy_file(
    root: Root<'_>,
    from: &TreePath,
    node: &Node,
    dest: Root<'_>,
    path: &TreePath,
    facts: &Facts,
) -> Result<(), TreeError> {
    let mut content = root.open_file(from)?;
    let mut file = dest.make_file(path)?;
    let found =
        io::copy(&mut content, &mut file).map_err(TreeError::io("write its content", path))?;
    if found != node.size {
        return Err(TreeError::ContentSize {
            path: from.clone(),
            expected: node.size,
            found,
        });
    }
    dest.set_facts_of(file.as_fd(), path, facts)
}

/// Whether two files of equal size have equal bytes.
pub(super) fn same_content(
    one: (Root<'_>, &TreePath),
    other: (Root<'_>, &TreePath),
) -> Result<bool, TreeError> {
    let path = one.1;
    let mut files = [one.0.open_file(path)?, other.0.open_file(other.1)?];
    let mut buffers = [vec![0; CHUNK], vec![0; CHUNK]];
    loop {
        let mut filled = [0; 2];
        for (index, file) in files.iter_mut().enumerate() {
            filled[index] =
                fill(file, &mut buffers[index]).map_err(TreeError::io("read its content", path))?;
        }
        if buffers[0][..filled[0]] != buffers[1][..filled[1]] {
            return Ok(false);
        }
        if filled[0] < CHUNK {
            return Ok(true);
        }
    }
}

/// Bytes compared at once.
const CHUNK: usize = 128 << 10;

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
