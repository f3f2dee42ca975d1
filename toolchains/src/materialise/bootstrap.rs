//! The tree before anything runs in it.

use std::io;

use repro_core::{
    epoch::Epoch,
    layer::FlatTree,
    store::BlobStore,
    tree::{Entry, EntryKind, TreePath},
};

use super::MaterialiseError;
use crate::{
    deb,
    definition::{Method, PinnedToolchain},
    entries::{EntryList, Mapped, path},
    lock::{LockedPackage, Phase, PoolFile},
};

/// Directories that are links into `/usr` on every Debian since bookworm. Packages of bookworm
/// still have files in them, and rely on `usr-is-merged` to refuse a system where they are not
/// links; so the links come before the first package, as in Debian's own installer.
const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Where `dpkg` finds the packages; removed from the tree afterwards.
pub(super) const PACKAGES: &str = "var/cache/repro";

/// Path of package `index` in the tree, with a leading slash.
pub(super) fn package_path(index: usize, package: &LockedPackage) -> String {
    format!("/{PACKAGES}/{index:04}_{}.deb", package.name)
}

/// Fills `tree` with the files of the packages of the first phase, and with what has to be
/// there before a program can run.
pub(super) fn fill(
    tree: &mut FlatTree,
    toolchain: &PinnedToolchain,
    store: &dyn BlobStore,
) -> Result<(), MaterialiseError> {
    let in_tree = |source| MaterialiseError::Tree {
        name: toolchain.definition.name.clone(),
        source,
    };
    let method = toolchain.definition.method;
    tree.apply(&mut before(method, toolchain.lock.epoch))
        .map_err(in_tree)?;
    let packages = &toolchain.lock.packages;
    for package in packages
        .iter()
        .filter(|package| package.phase == Phase::Bootstrap)
    {
        unpack(tree, &package.file, method, store).map_err(|source| MaterialiseError::Package {
            path: package.file.path.clone(),
            source,
        })?;
    }
    tree.apply(&mut after(toolchain)).map_err(in_tree)?;
    if method == Method::Install {
        for (index, package) in packages.iter().enumerate() {
            let content =
                store
                    .open(package.file.sha256)
                    .map_err(|error| MaterialiseError::Package {
                        path: package.file.path.clone(),
                        source: io::Error::other(error),
                    })?;
            let mut list = EntryList::default();
            let place = path(&package_path(index, package));
            let time = toolchain.lock.epoch.seconds();
            list.stream(place, time, package.file.size, content);
            tree.apply(&mut list).map_err(in_tree)?;
        }
    }
    Ok(())
}

/// Puts the files of one package on top of `tree`.
pub(crate) fn unpack(
    tree: &mut FlatTree,
    package: &PoolFile,
    method: Method,
    store: &dyn BlobStore,
) -> io::Result<()> {
    let mut deb = store.open(package.sha256).map_err(io::Error::other)?;
    deb::read_data(&mut deb, &mut |source| match method {
        Method::Install => tree.apply(&mut Mapped::new(source, |entry| Ok(merge_usr(entry)))),
        Method::Unpack => tree.apply(source),
    })
}

/// What packages are unpacked on top of.
pub(crate) fn before(method: Method, epoch: Epoch) -> EntryList {
    let time = epoch.seconds();
    let mut list = EntryList::default();
    list.directory(TreePath::root(), 0o755, time);
    if method == Method::Install {
        list.directory(path("usr"), 0o755, time);
        for name in MERGED {
            let target = format!("usr/{name}");
            list.directory(path(&target), 0o755, time);
            list.symlink(path(name), target.as_bytes(), time);
        }
    }
    list
}

/// What comes on top of packages.
fn after(toolchain: &PinnedToolchain) -> EntryList {
    let time = toolchain.lock.epoch.seconds();
    let mut list = EntryList::default();
    for (path, mode) in &toolchain.definition.tree.directories {
        list.directory(path.clone(), *mode, time);
    }
    for (path, text) in &toolchain.definition.tree.files {
        list.file(path.clone(), 0o644, time, text.as_bytes());
    }
    if toolchain.definition.method == Method::Install {
        // dpkg does not begin without its two lists.
        for name in ["status", "available"] {
            list.file(path(&format!("var/lib/dpkg/{name}")), 0o644, time, b"");
        }
        // Keeps maintainer scripts from starting services (Debian policy 9.3.3.1).
        let refuse = b"#!/bin/sh\nexit 101\n";
        list.file(path("usr/sbin/policy-rc.d"), 0o755, time, refuse);
    }
    list
}

/// The entry where the links of [`MERGED`] lead; `None` for these directories themselves.
fn merge_usr(mut entry: Entry) -> Option<Entry> {
    let is_link = MERGED
        .iter()
        .any(|name| entry.path.as_bytes() == name.as_bytes());
    // Directories on bookworm; base-files of later releases has the links themselves.
    if is_link && matches!(entry.kind, EntryKind::Directory | EntryKind::Symlink { .. }) {
        return None;
    }
    entry.path = merged(entry.path);
    if let EntryKind::Hardlink { target } = &mut entry.kind {
        *target = merged(std::mem::take(target));
    }
    Some(entry)
}

fn merged(path: TreePath) -> TreePath {
    let first = path.names().next().unwrap_or_default();
    if MERGED.iter().any(|name| name.as_bytes() == first) {
        let moved = [b"usr/", path.as_bytes()].concat();
        // A path of a tar is at most 4095 bytes long; four more can be too long.
        TreePath::parse(&moved).unwrap_or(path)
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use repro_core::tree::Meta;

    use super::*;

    fn entry(at: &str, kind: EntryKind) -> Entry {
        Entry {
            path: path(at),
            kind,
            meta: Meta::default(),
        }
    }

    #[test]
    fn files_move_below_usr_and_links_stay() {
        let file = EntryKind::File { size: 0 };
        for (from, to) in [
            ("bin/sh", "usr/bin/sh"),
            ("lib/x/y", "usr/lib/x/y"),
            ("lib64/ld.so", "usr/lib64/ld.so"),
            ("libexec/x", "libexec/x"),
            ("usr/bin/sh", "usr/bin/sh"),
            ("etc/bin/x", "etc/bin/x"),
        ] {
            let moved = merge_usr(entry(from, file.clone())).unwrap();
            assert_eq!(moved.path, path(to));
        }
        let link = EntryKind::Symlink {
            target: b"usr/lib".to_vec(),
        };
        for kind in [EntryKind::Directory, link] {
            assert_eq!(merge_usr(entry("lib", kind)), None);
        }
        let link = EntryKind::Hardlink {
            target: path("bin/perl"),
        };
        let moved = merge_usr(entry("usr/bin/perl5", link)).unwrap();
        let target = path("usr/bin/perl");
        assert_eq!(moved.kind, EntryKind::Hardlink { target });
    }
}
