//! Reader and writer against each other, against other programs, and against hostile input.

mod canonical;
mod compressed;
mod hostile;
mod random;
mod rules;

use std::{collections::BTreeMap, io};

use super::{LayerError, LayerFault, LayerReader, LayerWriter, Limits};
use crate::{
    ruleset::Ruleset,
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
