//! Tars that other programs, or nobody in good faith, would write.

use std::collections::BTreeMap;

use super::{
    super::{
        LayerFault, LayerReader, Limits,
        header::{BLOCK, CHECKSUM, checksum},
        pax::record,
    },
    fault, fault_of, read, read_with, whiteout,
};
use crate::tree::{EntryKind, EntrySource as _};

/// A header as a hostile or foreign writer would make it.
fn header(name: &[u8], kind: u8, size: &str, change: impl FnOnce(&mut [u8; BLOCK])) -> Vec<u8> {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0000000");
    block[116..123].copy_from_slice(b"0000000");
    block[124..124 + size.len()].copy_from_slice(size.as_bytes());
    block[136..147].copy_from_slice(b"00000000003");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    let sum = format!("{:06o}\0 ", checksum(&block));
    block[CHECKSUM].copy_from_slice(sum.as_bytes());
    block.to_vec()
}

fn plain(name: &[u8], kind: u8) -> Vec<u8> {
    header(name, kind, "0", |_| {})
}

fn link(name: &[u8], kind: u8, target: &[u8]) -> Vec<u8> {
    header(name, kind, "0", |block| {
        block[157..157 + target.len()].copy_from_slice(target);
    })
}

/// Content, padded to whole blocks.
fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn extended(kind: u8, content: &[u8]) -> Vec<u8> {
    let size = format!("{:o}", content.len());
    [header(b"ext", kind, &size, |_| {}), padded(content)].concat()
}

fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 2 * BLOCK]].concat()
}

#[test]
fn whiteouts() {
    let tar = tar(&[plain(b"a/.wh.b", b'0'), plain(b"d/.wh..wh..opq", b'0')]);
    let tree = read(&tar).unwrap();
    assert_eq!(tree[0], whiteout("a/b"));
    assert_eq!(tree[1].0.path.as_bytes(), b"d");
    assert_eq!(tree[1].0.kind, EntryKind::OpaqueWhiteout);
    for (name, expected) in [
        (&b".wh."[..], LayerFault::Whiteout),
        (b"a/.wh..", LayerFault::Whiteout),
        (b".wh...", LayerFault::Whiteout),
        (b".wh..wh.plnk", LayerFault::ReservedName),
        (b".wh.a/b", LayerFault::ReservedName),
        (b".wh.a/.wh.b", LayerFault::ReservedName),
    ] {
        assert_eq!(
            fault(&self::tar(&[plain(name, b'0')])),
            expected,
            "{name:?}"
        );
    }
    let directory = self::tar(&[plain(b".wh.a", b'5')]);
    assert_eq!(fault(&directory), LayerFault::Whiteout);
    let full = self::tar(&[header(b".wh.a", b'0', "1", |_| {}), padded(b"x")]);
    assert_eq!(fault(&full), LayerFault::Whiteout);
}

#[test]
fn the_size_of_the_record_counts_not_that_of_the_header() {
    // CVE-2026-33055: a reader that prefers the header's size finds "hidden" as an entry.
    let hidden = plain(b"hidden", b'0');
    let tar = tar(&[
        extended(b'x', &record(b"size", b"1024")),
        header(b"outer", b'0', "1000", |_| {}),
        [hidden.clone(), hidden].concat(),
    ]);
    let tree = read(&tar).unwrap();
    assert_eq!(tree.len(), 1);
    assert_eq!(tree[0].1.len(), 1024);
}

#[test]
fn what_readers_disagree_on_is_refused() {
    let file = || plain(b"f", b'0');
    let pax = |key: &[u8], value: &[u8]| extended(b'x', &record(key, value));
    let mut bad_sum = file();
    bad_sum[0] = b'g';
    let bad_magic = header(b"f", b'0', "0", |block| block[257] = b'v');
    let sparse = [record(b"GNU.sparse.major", b"1")].concat();
    for (what, tar, expected) in [
        ("checksum", tar(&[bad_sum]), LayerFault::Checksum),
        ("magic", tar(&[bad_magic]), LayerFault::Magic),
        (
            "negative size",
            tar(&[header(b"f", b'0', "-1", |_| {})]),
            LayerFault::Number("size"),
        ),
        (
            "negative size in base 256",
            tar(&[header(b"f", b'0', "0", |block| {
                block[124..136].fill(0xff);
            })]),
            LayerFault::Number("size"),
        ),
        ("no end", file(), LayerFault::Truncated),
        (
            "cut content",
            header(b"f", b'0', "1", |_| {}),
            LayerFault::Truncated,
        ),
        (
            "behind the end",
            [tar(&[file()]), file()].concat(),
            LayerFault::TrailingData,
        ),
        (
            "two x",
            tar(&[pax(b"path", b"a"), pax(b"uid", b"1"), file()]),
            LayerFault::ExtensionTwice,
        ),
        (
            "two L",
            tar(&[extended(b'L', b"a"), extended(b'L', b"b"), file()]),
            LayerFault::ExtensionTwice,
        ),
        (
            "L and path",
            tar(&[extended(b'L', b"a"), pax(b"path", b"b"), file()]),
            LayerFault::ExtensionTwice,
        ),
        (
            "K and linkpath",
            tar(&[
                extended(b'K', b"a"),
                pax(b"linkpath", b"b"),
                plain(b"l", b'2'),
            ]),
            LayerFault::ExtensionTwice,
        ),
        (
            "x at the end",
            tar(&[pax(b"path", b"a")]),
            LayerFault::DanglingExtension,
        ),
        (
            "global path",
            tar(&[extended(b'g', &record(b"path", b"a")), file()]),
            LayerFault::GlobalHeader("path".into()),
        ),
        (
            "two names in L",
            tar(&[extended(b'L', b"a\0b"), file()]),
            LayerFault::LongName,
        ),
        (
            "empty L",
            tar(&[extended(b'L', b"\0"), file()]),
            LayerFault::LongName,
        ),
        ("old sparse", tar(&[plain(b"f", b'S')]), LayerFault::Sparse),
        (
            "PAX sparse",
            tar(&[extended(b'x', &sparse), file()]),
            LayerFault::Sparse,
        ),
        (
            "volume label",
            tar(&[plain(b"f", b'V')]),
            LayerFault::Type(b'V'),
        ),
        (
            "file with slash",
            tar(&[plain(b"f/", b'0')]),
            LayerFault::FileWithSlash,
        ),
        (
            "directory with content",
            tar(&[header(b"d", b'5', "1", |_| {}), padded(b"x")]),
            LayerFault::ContentWithoutFile,
        ),
        ("no name", tar(&[plain(b"", b'0')]), LayerFault::NoName),
        (
            "root as link",
            tar(&[link(b"./", b'2', b"/")]),
            LayerFault::RootKind,
        ),
        (
            "symlink to nothing",
            tar(&[plain(b"l", b'2')]),
            LayerFault::NoTarget,
        ),
        (
            "link to itself",
            tar(&[link(b"l", b'1', b"./l")]),
            LayerFault::NoTarget,
        ),
        (
            "link to the root",
            tar(&[link(b"l", b'1', b"/")]),
            LayerFault::NoTarget,
        ),
    ] {
        assert_eq!(fault(&tar), expected, "{what}");
    }
    for path in [&b"../x"[..], b"a/../../x", b"/.."] {
        assert!(
            matches!(fault(&tar(&[plain(path, b'0')])), LayerFault::Path(_)),
            "{path:?}"
        );
    }
    let outside = tar(&[link(b"l", b'1', b"../../etc/shadow")]);
    assert!(matches!(fault(&outside), LayerFault::LinkTarget(_)));
    let nul = tar(&[pax(b"path", b"a\0b"), file()]);
    assert!(matches!(fault(&nul), LayerFault::Path(_)));
}

#[test]
fn what_is_odd_but_clear_is_read() {
    let comment = extended(b'g', &record(b"comment", b"0123456789"));
    let v7 = header(b"old/", 0, "0", |block| block[257..265].fill(0));
    let tar = tar(&[
        comment,
        plain(b"./", b'5'),
        plain(b"/absolute", b'0'),
        v7,
        link(b"l", b'2', b"../../../outside"),
    ]);
    let tree = read(&tar).unwrap();
    let shown: Vec<_> = tree
        .iter()
        .map(|(entry, _)| entry.path.to_string())
        .collect();
    assert_eq!(shown, ["", "absolute", "old", "l"]);
    assert_eq!(tree[2].0.kind, EntryKind::Directory);
}

#[test]
fn attributes_that_no_image_keeps_are_counted() {
    let records = [
        record(b"SCHILY.xattr.security.selinux", b"s"),
        record(b"SCHILY.xattr.user.keep", b"k"),
        record(b"SCHILY.xattr.user.overlay.opaque", b"y"),
    ];
    let tar = tar(&[extended(b'x', &records.concat()), plain(b"f", b'0')]);
    let mut reader = LayerReader::new(&tar[..], Limits::default());
    let mut kept = BTreeMap::new();
    reader
        .next_entry(&mut |entry, _| {
            kept = entry.meta.xattrs.clone();
            Ok(())
        })
        .unwrap();
    assert_eq!(
        kept,
        BTreeMap::from([(b"user.keep".to_vec(), b"k".to_vec())])
    );
    let dropped: Vec<_> = reader.dropped_xattrs().keys().cloned().collect();
    assert_eq!(
        dropped,
        [
            b"security.selinux".to_vec(),
            b"user.overlay.opaque".to_vec()
        ]
    );
}

/// Each limit holds at its value and fails one above it.
#[test]
fn limits_are_exact() {
    let value = |size: usize| record(b"SCHILY.xattr.user.x", &vec![b'v'; size]);
    let two = tar(&[plain(b"a", b'0'), plain(b"b", b'0')]);
    let content = tar(&[header(b"a", b'0', "12", |_| {}), padded(&[1; 10])]);
    let xattr = tar(&[extended(b'x', &value(10)), plain(b"a", b'0')]);
    let length = value(10).len() as u64;
    let base = Limits::default();
    for (tar, at, below, expected) in [
        (
            &two,
            Limits {
                max_entries: 2,
                ..base
            },
            Limits {
                max_entries: 1,
                ..base
            },
            LayerFault::TooManyEntries(1),
        ),
        (
            &content,
            Limits {
                max_content: 10,
                ..base
            },
            Limits {
                max_content: 9,
                ..base
            },
            LayerFault::TooMuchContent(9),
        ),
        (
            &xattr,
            Limits {
                max_xattr_bytes: 16,
                ..base
            },
            Limits {
                max_xattr_bytes: 15,
                ..base
            },
            LayerFault::TooManyXattrs(15),
        ),
        (
            &xattr,
            Limits {
                max_extended_header: length,
                ..base
            },
            Limits {
                max_extended_header: length - 1,
                ..base
            },
            LayerFault::ExtensionTooLong(length - 1),
        ),
    ] {
        read_with(tar, at).unwrap();
        assert_eq!(fault_of(read_with(tar, below).unwrap_err()), expected);
    }
    // A size that would overflow the padding, or the sum.
    let huge = tar(&[
        extended(b'x', &record(b"size", b"9223372036854775807")),
        plain(b"a", b'0'),
    ]);
    assert!(matches!(fault(&huge), LayerFault::TooMuchContent(_)));
}
