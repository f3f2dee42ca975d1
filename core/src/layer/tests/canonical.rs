//! The bytes of ruleset 1, and what other programs make of them.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::{
    super::{LayerBuilder, LayerWriteError},
    Tree, entry, file, read, sample, whiteout, write,
};
use crate::{
    digest::Digest,
    ruleset::Ruleset,
    store::MemoryBlobs,
    tree::{EntryKind, EntrySink as _, Meta},
};

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
