//! Rules of ruleset 1 that show in the bytes of a tar or a blob.

use std::{collections::BTreeMap, io::Write as _};

use super::{
    super::{
        GzipWriter,
        header::{BLOCK, GID, MAGIC, MODE, MTIME, NAME, PREFIX, SIZE, TYPE, UID},
    },
    Tree, entry, file, write,
};
use crate::tree::{EntryKind, TreePath};

/// Where a header has the names of owners (POSIX, ustar).
const OWNER_NAMES: std::ops::Range<usize> = 265..329;

fn one(entry: (crate::tree::Entry, Vec<u8>)) -> Vec<u8> {
    write(&vec![entry]).unwrap()
}

/// The headers of a tar whose entries have less than a block of content.
fn types(tar: &[u8]) -> String {
    let mut blocks = tar.chunks(BLOCK);
    let mut types = String::new();
    while let Some(block) = blocks.next() {
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        types.push(char::from(block[TYPE]));
        if block[SIZE].iter().any(|byte| (b'1'..=b'7').contains(byte)) {
            blocks.next();
        }
    }
    types
}

#[test]
fn rule_11_directories_end_in_a_slash_and_names_are_relative() {
    let tree: Tree = vec![
        (entry("a", EntryKind::Directory), Vec::new()),
        file("a/b", b""),
        file("a-b", b""),
    ];
    let tar = write(&tree).unwrap();
    let names: Vec<String> = tar
        .chunks(BLOCK)
        .take(3)
        .map(|header| {
            let name = String::from_utf8(header[NAME].to_vec()).unwrap();
            name.trim_end_matches('\0').to_owned()
        })
        .collect();
    assert_eq!(names, ["a/", "a/b", "a-b"]);
}

#[test]
fn rule_12_owners_are_numbers_and_modes_have_no_type() {
    let mut odd = file("a", b"");
    (odd.0.meta.mode, odd.0.meta.uid, odd.0.meta.gid) = (0o6755, 1000, 0);
    let header = &one(odd)[..BLOCK];
    assert_eq!(&header[MODE], b"0006755\0");
    assert_eq!(
        (&header[UID], &header[GID]),
        (&b"0001750\0"[..], &b"0000000\0"[..])
    );
    assert!(header[OWNER_NAMES].iter().all(|byte| *byte == 0));
    assert_eq!(&header[MTIME], b"00000000003\0");
}

#[test]
fn rule_14_ustar_alone_where_it_fits_and_one_record_with_what_does_not() {
    let tar = one(file("a", b"x"));
    assert_eq!(types(&tar), "0");
    assert_eq!(&tar[MAGIC], b"ustar\x0000");
    // Header, content, two blocks of zeros.
    assert_eq!(tar.len(), 4 * BLOCK);

    let split = format!("{}/{}", "p".repeat(150), "q".repeat(100));
    let tar = one(file(&split, b""));
    assert_eq!(types(&tar), "0", "a path that the prefix has room for");
    assert_eq!(&tar[PREFIX][..150], "p".repeat(150).as_bytes());

    let mut large = file("d/a", b"");
    large.0.meta.uid = 1 << 21;
    large.0.meta.mtime = 1 << 33;
    large.0.meta.xattrs = BTreeMap::from([(b"user.a".to_vec(), b"1".to_vec())]);
    let tar = one(large);
    assert_eq!(types(&tar), "x0");
    assert!(tar.starts_with(b"PaxHeaders/a\0"));
    let records = b"25 SCHILY.xattr.user.a=1\n20 mtime=8589934592\n15 uid=2097152\n\0";
    assert_eq!(&tar[BLOCK..BLOCK + records.len()], records);
}

#[test]
fn rule_7_a_link_names_the_first_of_its_group() {
    let target = TreePath::parse(b"a").unwrap();
    let tree = vec![
        file("a", b"x"),
        (entry("b", EntryKind::Hardlink { target }), Vec::new()),
    ];
    let tar = write(&tree).unwrap();
    assert_eq!(types(&tar), "01");
}

#[test]
fn rule_15_the_header_of_a_blob_says_nothing() {
    let mut writer = GzipWriter::new(Vec::new()).unwrap();
    writer.write_all(b"content").unwrap();
    let blob = writer.finish().unwrap();
    // Magic, deflate, no flags (so no name), time 0, XFL 0, OS 255.
    assert_eq!(blob[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
}
