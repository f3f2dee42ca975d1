//! Reader and writer against each other, against other programs, and against hostile input.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    process::{Command, Stdio},
};

use proptest::prelude::*;

use super::{
    DecompressionBomb, GzipWriter, LayerBuilder, LayerError, LayerFault, LayerReader,
    LayerWriteError, LayerWriter, Limits,
    header::{BLOCK, CHECKSUM, checksum},
    open_layer,
    pax::record,
};
use crate::{
    digest::{DiffId, Digest},
    image::{LayerDescriptor, MediaType},
    ruleset::Ruleset,
    store::{BlobError, BlobStore as _, MemoryBlobs, put_bytes},
    tree::{Entry, EntryKind, EntrySink as _, EntrySource as _, Meta, TreePath},
};

type Tree = Vec<(Entry, Vec<u8>)>;

fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry {
        path: TreePath::parse(path.as_bytes()).unwrap(),
        kind,
        meta: Meta {
            mode: 0o644,
            uid: 1,
            gid: 2,
            mtime: 3,
            xattrs: BTreeMap::new(),
        },
    }
}

fn file(path: &str, content: &[u8]) -> (Entry, Vec<u8>) {
    let size = content.len() as u64;
    (entry(path, EntryKind::File { size }), content.to_vec())
}

fn whiteout(path: &str) -> (Entry, Vec<u8>) {
    let mut entry = entry(path, EntryKind::Whiteout);
    entry.meta = Meta::default();
    (entry, Vec::new())
}

fn write(tree: &Tree) -> io::Result<Vec<u8>> {
    let mut writer = LayerWriter::new(Vec::new(), Ruleset::V1);
    for (entry, content) in tree {
        writer.entry(entry, &mut &content[..])?;
    }
    writer.finish()
}

fn read(tar: &[u8]) -> io::Result<Tree> {
    read_with(tar, Limits::default())
}

fn read_with(tar: &[u8], limits: Limits) -> io::Result<Tree> {
    let mut tree = Vec::new();
    let mut reader = LayerReader::new(tar, limits);
    while reader.next_entry(&mut |entry, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        tree.push((entry.clone(), bytes));
        Ok(())
    })? {}
    Ok(tree)
}

fn fault(tar: &[u8]) -> LayerFault {
    fault_of(read(tar).unwrap_err())
}

fn fault_of(error: io::Error) -> LayerFault {
    error.downcast::<LayerError>().unwrap().fault
}

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
        block[157..157 + target.len()].copy_from_slice(target)
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

fn names() -> impl Strategy<Value = Vec<u8>> {
    // Bytes that are not UTF-8, long names, and letters that collide in order with the slash.
    let byte = prop_oneof![Just(b'a'), Just(b'-'), Just(b'.'), Just(b' '), 1..=255_u8];
    prop_oneof![
        4 => prop::collection::vec(byte.clone(), 1..6),
        1 => prop::collection::vec(byte, 90..255),
    ]
    .prop_map(|mut name| {
        name.iter_mut().for_each(|byte| {
            if *byte == b'/' {
                *byte = b'x';
            }
        });
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
            let content = (0..entry.content_size()).map(|at| at as u8).collect();
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

/// One entry of each kind and every reason for a PAX record.
fn sample() -> Tree {
    let long = format!("d/{}", "n".repeat(120));
    let mut big = file("d/big-ids", b"x").0;
    big.meta.uid = 3_000_000;
    big.meta.gid = u32::MAX;
    let mut capable = file("d/capable", b"").0;
    let capability = [&[1, 0, 0, 2][..], &[0; 16]].concat();
    capable
        .meta
        .xattrs
        .insert(b"security.capability".to_vec(), capability);
    capable
        .meta
        .xattrs
        .insert(b"user.z".to_vec(), b"a=b\n\0".to_vec());
    let symlink = |target: &str| EntryKind::Symlink {
        target: target.into(),
    };
    let target = TreePath::parse(b"d/big-ids").unwrap();
    let mut directory = entry("d", EntryKind::Directory);
    directory.meta.mode = 0o1755;
    vec![
        (entry("", EntryKind::Directory), Vec::new()),
        whiteout("gone"),
        file("a-b", b"before the directory's children, after it"),
        (directory, Vec::new()),
        (big, b"x".to_vec()),
        (capable, Vec::new()),
        (entry("d/fifo", EntryKind::Fifo), Vec::new()),
        (entry("d/hard", EntryKind::Hardlink { target }), Vec::new()),
        file(&long, &[7; 513]),
        (
            entry("d/null", EntryKind::CharDevice { major: 1, minor: 3 }),
            Vec::new(),
        ),
        (entry("d/soft", symlink("../../anywhere")), Vec::new()),
        (entry("d/soft-long", symlink(&"t".repeat(101))), Vec::new()),
        file(
            &format!("{}/{}", "p".repeat(150), "q".repeat(100)),
            b"prefix",
        ),
    ]
}

/// The bytes of ruleset 1. If this fails, a rule has changed, and every digest with it: that is a
/// new ruleset, not a new golden.
#[test]
fn golden_digests() {
    let tree = sample();
    assert_eq!(Digest::of(&write(&tree).unwrap()).hex(), GOLDEN_TAR);
    let store = MemoryBlobs::new();
    let mut builder = LayerBuilder::new(&store, Ruleset::V1);
    for (entry, content) in &tree {
        builder.entry(entry, &mut &content[..]).unwrap();
    }
    let layer = builder.finish().unwrap().unwrap();
    assert_eq!(layer.diff_id.0.hex(), GOLDEN_TAR);
    assert_eq!(layer.blob.digest.hex(), GOLDEN_BLOB);
    assert_eq!((layer.entries, layer.newest_mtime), (13, 3));
}

const GOLDEN_TAR: &str = "71c7712c9bd23bed5d7c57ef010f443d74667636c1e526f459967579a8cf227d";
const GOLDEN_BLOB: &str = "f363897f1e0d66396c24b3eac1f8e633576a0cdc57daade089c6c8a244c7bddd";

#[test]
fn no_entry_makes_no_layer_and_no_blob() {
    let store = MemoryBlobs::new();
    assert_eq!(
        LayerBuilder::new(&store, Ruleset::V1).finish().unwrap(),
        None
    );
    assert!(store.digests().is_empty());
}

/// Runs a program over a tar on its standard input.
fn pipe(program: &str, args: &[&str], tar: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tar).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// GNU tar and Python list the same names, types and sizes as we do.
#[test]
fn gnu_tar_and_python_agree() {
    let tree = sample();
    let tar = write(&tree).unwrap();
    let expected: Vec<String> = tree
        .iter()
        .map(|(entry, _)| {
            let name = entry.sort_key().join(&b'/');
            String::from_utf8(name).unwrap()
        })
        .collect();
    let listed = pipe("tar", &["-tf", "-"], &tar);
    let listed: Vec<&str> = listed
        .lines()
        .map(|line| {
            line.trim_end_matches('/')
                .trim_start_matches('.')
                .trim_start_matches('/')
        })
        .collect();
    let bare: Vec<&str> = expected
        .iter()
        .map(|name| name.trim_start_matches('.'))
        .collect();
    assert_eq!(listed, bare);

    let script = "import sys,tarfile\n\
        for m in tarfile.open(fileobj=sys.stdin.buffer,mode='r|'):\n\
        \x20 print(m.name,m.type.decode(),m.size,m.mode,m.uid,m.gid,int(m.mtime),sep='|')\n";
    let listed = pipe("python3", &["-c", script], &tar);
    let ours: Vec<String> = tree
        .iter()
        .zip(&expected)
        .map(|((entry, _), name)| {
            let kind = match entry.kind {
                EntryKind::Hardlink { .. } => 1,
                EntryKind::Symlink { .. } => 2,
                EntryKind::CharDevice { .. } => 3,
                EntryKind::BlockDevice { .. } => 4,
                EntryKind::Directory => 5,
                EntryKind::Fifo => 6,
                _ => 0,
            };
            let name = if name.is_empty() { "." } else { name };
            let Meta {
                mode,
                uid,
                gid,
                mtime,
                ..
            } = entry.meta;
            format!(
                "{name}|{kind}|{}|{mode}|{uid}|{gid}|{mtime}",
                entry.content_size()
            )
        })
        .collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), ours);
}

/// Tars of other programs, in each dialect, read as the tree that they were made from.
#[test]
fn reads_what_gnu_tar_and_python_write() {
    let dir = tempfile::tempdir().unwrap();
    let long = "l".repeat(130);
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::write(dir.path().join("sub").join(&long), b"content").unwrap();
    std::os::unix::fs::symlink("t".repeat(150), dir.path().join("link")).unwrap();
    for format in ["gnu", "oldgnu", "pax"] {
        let format = format!("--format={format}");
        let args = ["--sort=name", "--mtime=@7.5", &format, "-C"];
        let path = dir.path().to_str().unwrap();
        let output = Command::new("tar")
            .args(args)
            .args([path, "-cf", "-", "."])
            .output();
        let tree = read(&output.unwrap().stdout).unwrap();
        let paths: Vec<_> = tree
            .iter()
            .map(|(entry, _)| entry.path.to_string())
            .collect();
        assert_eq!(
            paths,
            ["", "link", "sub", &format!("sub/{long}")],
            "{format}"
        );
        let target = EntryKind::Symlink {
            target: vec![b't'; 150],
        };
        assert_eq!(tree[1].0.kind, target, "{format}");
        assert_eq!(tree[3].1, b"content");
        assert_eq!(tree[3].0.meta.mtime, 7, "rounded down");
    }
    let script = "import sys,tarfile,io\n\
        t=tarfile.open(fileobj=sys.stdout.buffer,mode='w|',format=tarfile.GNU_FORMAT)\n\
        i=tarfile.TarInfo('x');i.uid=2**31;i.size=2;i.mtime=-5;t.addfile(i,io.BytesIO(b'hi'));t.close()\n";
    let output = Command::new("python3")
        .args(["-c", script])
        .output()
        .unwrap();
    let tree = read(&output.stdout).unwrap();
    assert_eq!((tree[0].0.meta.uid, tree[0].0.meta.mtime), (1 << 31, 0));
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

#[test]
fn the_writer_refuses_what_has_no_canonical_place() {
    let refused = |tree: Tree| {
        let error = write(&tree).unwrap_err();
        error.downcast::<LayerWriteError>().unwrap()
    };
    let order = [
        vec![file("b", b""), file("a", b"")],
        vec![file("a", b""), file("a", b"")],
    ];
    for tree in order {
        assert!(matches!(refused(tree), LayerWriteError::Order { .. }));
    }
    // A whiteout stands by its written name: `.wh.z` comes before `a`.
    write(&vec![whiteout("z"), file("a", b"")]).unwrap();
    assert!(matches!(
        refused(vec![file("a", b""), whiteout("z")]),
        LayerWriteError::Order { .. }
    ));
    let opaque = (entry("d", EntryKind::OpaqueWhiteout), Vec::new());
    assert!(matches!(refused(vec![opaque]), LayerWriteError::Opaque(_)));
    assert!(matches!(
        refused(vec![file(".wh.a", b"")]),
        LayerWriteError::ReservedName(_)
    ));
    assert!(matches!(
        refused(vec![file("", b"")]),
        LayerWriteError::Root
    ));
    let mut selinux = file("a", b"");
    selinux
        .0
        .meta
        .xattrs
        .insert(b"security.selinux".to_vec(), Vec::new());
    assert!(matches!(
        refused(vec![selinux]),
        LayerWriteError::Xattr { .. }
    ));
    let mut typed = file("a", b"");
    typed.0.meta.mode = 0o10_644;
    assert!(matches!(refused(vec![typed]), LayerWriteError::Mode(_)));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzipWriter::new(Vec::new()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn gzip_says_nothing_about_time_place_or_effort_and_does_not_depend_on_the_writes() {
    let bytes: Vec<u8> = (0..400_000_u32)
        .flat_map(|n| (n / 7).to_le_bytes())
        .collect();
    let whole = gzip(&bytes);
    assert_eq!(whole[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut writer = GzipWriter::new(Vec::new()).unwrap();
    for (index, piece) in bytes.chunks(977).enumerate() {
        writer.write_all(piece).unwrap();
        if index % 5 == 0 {
            writer.flush().unwrap();
        }
    }
    assert!(writer.finish().unwrap() == whole);
    let mut back = Vec::new();
    flate2::bufread::GzDecoder::new(&whole[..])
        .read_to_end(&mut back)
        .unwrap();
    assert!(back == bytes);
    assert_eq!(gzip(b"").len(), 20);
}

/// The encoder is the pinned one, whatever features other crates of the build turn on: they
/// choose what flate2 compresses with, and nothing here compresses with flate2. A second copy of
/// `miniz_oxide` may be there; ours must be the pinned one.
#[test]
fn the_encoder_is_pinned() {
    let lock = include_str!("../../../Cargo.lock");
    let package = "name = \"miniz_oxide\"\nversion = \"0.9.1\"";
    assert!(lock.contains(package));
    let manifest = include_str!("../../../Cargo.toml");
    assert!(manifest.contains(r#"gzip-v1 = { package = "miniz_oxide", version = "=0.9.1""#));
}

fn stored(store: &MemoryBlobs, blob: &[u8], tar: &[u8], media_type: MediaType) -> LayerDescriptor {
    let kept = put_bytes(store, blob).unwrap();
    LayerDescriptor {
        media_type,
        digest: kept.digest,
        size: kept.size,
        diff_id: DiffId(Digest::of(tar)),
    }
}

fn count(store: &MemoryBlobs, layer: &LayerDescriptor) -> io::Result<usize> {
    let mut reader = open_layer(store, layer, Limits::default()).unwrap();
    let mut entries = 0;
    while reader.next_entry(&mut |_, _| {
        entries += 1;
        Ok(())
    })? {}
    Ok(entries)
}

/// A zstd frame that stores `bytes` uncompressed (RFC 8878, 3.1.1).
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    let mut blocks = bytes.chunks(100_000).peekable();
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        let header = u32::try_from(block.len()).unwrap() << 3 | last;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

#[test]
fn layers_open_in_every_compression_and_in_pieces() {
    let store = MemoryBlobs::new();
    let tar = write(&sample()).unwrap();
    let (first, second) = tar.split_at(1000);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for (blob, media_type) in [
        (tar.clone(), MediaType::OciLayer),
        (gzip(&tar), MediaType::DockerLayerGzip),
        (
            [gzip(first), gzip(second)].concat(),
            MediaType::OciLayerGzip,
        ),
        (zstd(&tar), MediaType::OciLayerZstd),
        (
            [zstd(first), skippable, zstd(second)].concat(),
            MediaType::OciLayerZstd,
        ),
    ] {
        let layer = stored(&store, &blob, &tar, media_type.clone());
        assert_eq!(count(&store, &layer).unwrap(), 13, "{media_type}");
    }
    let other = stored(&store, &tar, &tar, MediaType::OciConfig);
    assert!(open_layer(&store, &other, Limits::default()).is_err());
}

#[test]
fn nothing_may_follow_a_compressed_layer_and_both_digests_hold() {
    let store = MemoryBlobs::new();
    let tar = write(&sample()).unwrap();
    for (blob, media_type) in [
        (
            [gzip(&tar), b"garbage".to_vec()].concat(),
            MediaType::OciLayerGzip,
        ),
        (
            [zstd(&tar), b"garbage".to_vec()].concat(),
            MediaType::OciLayerZstd,
        ),
        (gzip(&tar)[..200].to_vec(), MediaType::OciLayerGzip),
        (zstd(&tar)[..2000].to_vec(), MediaType::OciLayerZstd),
    ] {
        let layer = stored(&store, &blob, &tar, media_type.clone());
        assert!(count(&store, &layer).is_err(), "{media_type}");
    }
    let layer = stored(&store, &gzip(&tar), b"another tar", MediaType::OciLayerGzip);
    let error = count(&store, &layer)
        .unwrap_err()
        .downcast::<BlobError>()
        .unwrap();
    assert!(matches!(error, BlobError::Corrupt { .. }));
}

/// Damage in a byte that does not reach the tar (the time in the gzip header) is found too.
#[test]
fn the_blob_is_verified_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::store::LocalBlobs::open(dir.path()).unwrap();
    let tar = write(&sample()).unwrap();
    let blob = put_bytes(&store, &gzip(&tar)).unwrap();
    let path = store.path(blob.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let layer = LayerDescriptor {
        media_type: MediaType::OciLayerGzip,
        digest: blob.digest,
        size: blob.size,
        diff_id: DiffId(Digest::of(&tar)),
    };
    let mut reader = open_layer(&store, &layer, Limits::default()).unwrap();
    let mut result = Ok(true);
    while matches!(result, Ok(true)) {
        result = reader.next_entry(&mut |_, _| Ok(()));
    }
    assert!(result.unwrap_err().to_string().contains("damaged"));
}

#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    let store = MemoryBlobs::new();
    // zstd can repeat one byte for 128 KiB in a block of four bytes: 32 000 times its size.
    let blocks = 1000_u32;
    let mut blob = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for block in 0..blocks {
        let header = 131_072_u32 << 3 | 1 << 1 | u32::from(block + 1 == blocks);
        blob.extend_from_slice(&header.to_le_bytes()[..3]);
        blob.push(0);
    }
    let layer = stored(&store, &blob, b"", MediaType::OciLayerZstd);
    let error = count(&store, &layer).unwrap_err();
    assert!(error.downcast::<DecompressionBomb>().is_ok());
    assert!(store.size(layer.digest).unwrap().is_some());
}
