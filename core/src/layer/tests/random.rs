//! Random trees, and random damage.

use std::{collections::BTreeMap, io::Read as _};

use proptest::prelude::*;

use super::{
    super::header::{BLOCK, CHECKSUM, checksum},
    Tree, read, write,
};
use crate::tree::{Entry, EntryKind, Meta, TreePath};

fn names() -> impl Strategy<Value = Vec<u8>> {
    // Bytes that are not UTF-8, long names, and letters that collide in order with the slash.
    let byte = prop_oneof![Just(b'a'), Just(b'-'), Just(b'.'), Just(b' '), 1..=255_u8];
    prop_oneof![
        4 => prop::collection::vec(byte.clone(), 1..6),
        1 => prop::collection::vec(byte, 90..255),
    ]
    .prop_map(|mut name| {
        for byte in name.iter_mut().filter(|byte| **byte == b'/') {
            *byte = b'x';
        }
        if matches!(&name[..], b"." | b"..") || name.starts_with(b".wh.") {
            name.insert(0, b'_');
            name.truncate(255);
        }
        name
    })
}

fn kinds() -> impl Strategy<Value = EntryKind> {
    let target = prop::collection::vec(1..=255_u8, 1..200);
    prop_oneof![
        Just(EntryKind::Directory),
        (0..2000_u64).prop_map(|size| EntryKind::File { size }),
        target.prop_map(|target| EntryKind::Symlink { target }),
        Just(EntryKind::Fifo),
        Just(EntryKind::Whiteout),
        (0..4096_u32, 0..1_048_576_u32)
            .prop_map(|(major, minor)| EntryKind::CharDevice { major, minor }),
        (0..4096_u32, 0..1_048_576_u32)
            .prop_map(|(major, minor)| EntryKind::BlockDevice { major, minor }),
        prop::collection::vec(names(), 1..3).prop_map(|names| EntryKind::Hardlink {
            target: TreePath::parse(&[b"target/", &names.join(&b'/')[..]].concat()).unwrap()
        }),
    ]
}

fn metas() -> impl Strategy<Value = Meta> {
    let ids = || prop_oneof![0..5_u32, Just(2_097_151), Just(2_097_152), Just(u32::MAX)];
    let times = prop_oneof![0..5_u64, Just(0o77_777_777_777), Just(0o100_000_000_000)];
    let value = prop::collection::vec(0..=255_u8, 0..40);
    let xattrs = prop::collection::btree_map("user\\.[a-z]{1,9}", value, 0..3);
    (0..=0o7777_u16, ids(), ids(), times, xattrs).prop_map(|(mode, uid, gid, mtime, xattrs)| Meta {
        mode,
        uid,
        gid,
        mtime,
        xattrs: xattrs
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), value))
            .collect(),
    })
}

fn trees() -> impl Strategy<Value = Tree> {
    let path = prop::collection::vec(names(), 1..5);
    prop::collection::vec((path, kinds(), metas()), 0..12).prop_map(|entries| {
        let mut tree = BTreeMap::new();
        for (names, kind, meta) in entries {
            let path = TreePath::parse(&names.join(&b'/')).unwrap();
            let meta = if kind == EntryKind::Whiteout {
                Meta::default()
            } else {
                meta
            };
            let entry = Entry { path, kind, meta };
            let content = (0..entry.content_size())
                .map(|at| at.to_le_bytes()[0])
                .collect();
            tree.insert(entry.sort_key(), (entry, content));
        }
        tree.into_values().collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(tree in trees()) {
        // A name of 255 bytes leaves no room for the whiteout's prefix: such a tree is refused.
        let tar = write(&tree).unwrap();
        prop_assert_eq!(tar.len() % BLOCK, 0);
        let back = read(&tar);
        let too_long = tree.iter().any(|(entry, _)| {
            entry.kind == EntryKind::Whiteout && entry.path.file_name().unwrap().len() > 251
        });
        if too_long {
            prop_assert!(back.is_err());
        } else {
            prop_assert_eq!(back.unwrap(), tree);
        }
    }

    #[test]
    fn other_readers_see_the_same(tree in trees()) {
        // The other reader ends a PAX record at a newline in its value.
        let has_newline = |bytes: &[u8]| bytes.contains(&b'\n');
        prop_assume!(!tree.iter().any(|(entry, _)| {
            has_newline(entry.path.as_bytes())
                || entry.meta.xattrs.values().any(|value| has_newline(value))
                || matches!(&entry.kind, EntryKind::Symlink { target } if has_newline(target))
                || matches!(&entry.kind, EntryKind::Hardlink { target }
                    if has_newline(target.as_bytes()))
        }));
        let tar = write(&tree).unwrap();
        let mut archive = tar::Archive::new(&tar[..]);
        for (theirs, (ours, content)) in archive.entries().unwrap().zip(&tree) {
            let mut theirs = theirs.unwrap();
            let written = ours.sort_key().join(&b'/');
            let path = theirs.path_bytes().into_owned();
            prop_assert_eq!(path.strip_suffix(b"/").unwrap_or(&path), &written[..]);
            prop_assert_eq!(theirs.size(), ours.content_size());
            prop_assert_eq!(theirs.header().mode().unwrap(), u32::from(ours.meta.mode));
            let mut bytes = Vec::new();
            theirs.read_to_end(&mut bytes).unwrap();
            prop_assert_eq!(&bytes, content);
        }
        prop_assert_eq!(tar::Archive::new(&tar[..]).entries().unwrap().count(), tree.len());
    }

    /// Whatever the bytes: an error or entries, never a panic or a hang.
    #[test]
    fn random_damage_is_survived(
        tree in trees(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut tar = write(&tree).unwrap();
        for (at, byte) in flips {
            let at = at.index(tar.len());
            tar[at] = byte;
            // With a good checksum the damage gets past the first check.
            let start = at / BLOCK * BLOCK;
            let block: &mut [u8; BLOCK] = (&mut tar[start..start + BLOCK]).try_into().unwrap();
            let sum = format!("{:06o}\0 ", checksum(block));
            block[CHECKSUM].copy_from_slice(sum.as_bytes());
        }
        drop(read(&tar));
    }
}
