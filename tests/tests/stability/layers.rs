//! Trees for the golden digests of layers.

use std::collections::BTreeMap;

use repro_core::{
    layer::LayerBuilder,
    ruleset::Ruleset,
    store::MemoryBlobs,
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};

type Tree = Vec<(Entry, Vec<u8>)>;

/// Largest number that seven octal digits hold, which is what a header has for an id.
const MAX_ID: u32 = 0o7_777_777;
/// The same of eleven digits, for a time.
const MAX_TIME: u64 = 0o77_777_777_777;
const MEBIBYTE: usize = 1 << 20;

fn at(path: &[u8]) -> TreePath {
    TreePath::parse(path).expect("a path of a test")
}

fn entry(path: &[u8], kind: EntryKind) -> Entry {
    let meta = match kind {
        EntryKind::Whiteout => Meta::default(),
        EntryKind::Directory => meta(0o755),
        _ => meta(0o644),
    };
    let path = at(path);
    Entry { path, kind, meta }
}

fn meta(mode: u16) -> Meta {
    Meta {
        mode,
        uid: 1000,
        gid: 100,
        mtime: 1_700_000_000,
        xattrs: BTreeMap::new(),
    }
}

fn bare(path: &str, kind: EntryKind) -> (Entry, Vec<u8>) {
    (entry(path.as_bytes(), kind), Vec::new())
}

fn file(path: &[u8], content: &[u8]) -> (Entry, Vec<u8>) {
    let size = content.len() as u64;
    (entry(path, EntryKind::File { size }), content.to_vec())
}

fn symlink(path: &str, target: &[u8]) -> (Entry, Vec<u8>) {
    let target = target.to_vec();
    bare(path, EntryKind::Symlink { target })
}

/// Bytes without a pattern that an encoder could find: xorshift.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    next.flatten().take(length).collect()
}

fn with(mut entry: (Entry, Vec<u8>), change: impl FnOnce(&mut Meta)) -> (Entry, Vec<u8>) {
    change(&mut entry.0.meta);
    entry
}

fn numbers() -> Tree {
    let one = |name: &[u8], change: fn(&mut Meta)| with(file(name, b"x"), change);
    vec![
        one(b"a-mode", |meta| meta.mode = 0o7777),
        one(b"b-id", |meta| (meta.uid, meta.gid) = (MAX_ID, MAX_ID)),
        one(b"c-id", |meta| (meta.uid, meta.gid) = (MAX_ID + 1, 0)),
        one(b"d-id", |meta| (meta.uid, meta.gid) = (0, u32::MAX)),
        one(b"e-time", |meta| meta.mtime = MAX_TIME),
        one(b"f-time", |meta| meta.mtime = MAX_TIME + 1),
        one(b"g-time", |meta| meta.mtime = 0),
    ]
}

fn names() -> Tree {
    let long = |byte: u8, length| vec![byte; length];
    let mut split = [long(b'd', 155), long(b'e', 100)].join(&b'/');
    let deep = [long(b'd', 200), long(b'e', 200)].join(&b'/');
    let too_long = [long(b'd', 155), long(b'f', 101)].join(&b'/');
    vec![
        file(&long(b'a', 100), b""),
        file(&long(b'b', 101), b""),
        file("c-\u{fc}".as_bytes(), b""),
        file(b"c-\xff\n", b""),
        file(&std::mem::take(&mut split), b"split"),
        file(&too_long, b"not split"),
        file(&deep, b"deep"),
        symlink("x", &long(b't', 100)),
        symlink("y", &long(b't', 101)),
        symlink("z", b"\xff"),
    ]
}

fn attributes() -> Tree {
    // cap_net_raw+ep in version 2.
    let mut capability = 0x0200_0001_u32.to_le_bytes().to_vec();
    capability.extend(0x2000_u32.to_le_bytes());
    capability.extend([0; 12]);
    let set = |meta: &mut Meta, name: &str, value: &[u8]| {
        meta.xattrs.insert(name.into(), value.to_vec());
    };
    vec![
        with(bare("d", EntryKind::Directory), |meta| {
            set(meta, "user.d", b"");
        }),
        with(file(b"d/ping", b"ping"), |meta| {
            set(meta, "user.z", b"line\nbreak");
            set(meta, "security.capability", &capability);
            set(meta, "user.a", b"\0\xff=");
        }),
    ]
}

/// Every tree, by the name of its golden.
pub(crate) fn all() -> Vec<(&'static str, Tree)> {
    let device = |major, minor| EntryKind::CharDevice { major, minor };
    let line = b"the same line of a text, again and again\n";
    vec![
        ("plain-file", vec![file(b"hello", b"hello\n")]),
        (
            "order",
            vec![
                bare("z", EntryKind::Whiteout),
                bare("B", EntryKind::Directory),
                bare("a", EntryKind::Directory),
                bare("a/z", EntryKind::Whiteout),
                file(b"a/b", b""),
                file(b"a-b", b""),
                file(b"a.b", b""),
            ],
        ),
        (
            "kinds",
            vec![
                bare("block", EntryKind::BlockDevice { major: 8, minor: 1 }),
                bare("d", EntryKind::Directory),
                file(b"d/first", b"content"),
                bare(
                    "d/second",
                    EntryKind::Hardlink {
                        target: at(b"d/first"),
                    },
                ),
                bare("fifo", EntryKind::Fifo),
                symlink("link", b"../d/first"),
                bare("null", device(1, 3)),
            ],
        ),
        ("names", names()),
        ("numbers", numbers()),
        ("attributes", attributes()),
        (
            "root",
            vec![with(bare("", EntryKind::Directory), |meta| {
                meta.mode = 0o700;
            })],
        ),
        (
            "compressible",
            vec![file(b"text", &line.repeat(MEBIBYTE / line.len()))],
        ),
        ("incompressible", vec![file(b"noise", &noise(MEBIBYTE))]),
    ]
}

/// The digests of a tree's layer and blob.
pub(crate) fn digests(tree: &Tree) -> (String, String) {
    let store = MemoryBlobs::new();
    let mut builder = LayerBuilder::new(&store, Ruleset::V1);
    for (entry, content) in tree {
        let kept = builder.entry(entry, &mut &content[..]);
        kept.expect("the tree has a canonical form");
    }
    let layer = builder.finish().expect("memory takes every write");
    let layer = layer.expect("a tree has entries");
    (layer.diff_id.to_string(), layer.blob.digest.to_string())
}
