//! Any bytes as a tar, as they are and compressed: reading ends in entries or an error; a tree made
//! of them can be written as a canonical layer, and reads back as the same tree.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use repro_core::{
    image::Compression,
    layer::{FlatTree, LayerReader, LayerWriter, Limits, decompress},
    ruleset::Ruleset,
};
use repro_fuzz::with_headers;

/// Small, so that an input of a few bytes cannot take the time of a large one.
const LIMITS: Limits = Limits {
    max_entries: 1000,
    max_extended_header: 1 << 16,
    max_xattr_bytes: 1 << 12,
    max_content: 1 << 20,
    max_ratio: 1100,
};

fn canonical(tar: &[u8]) -> Option<Vec<u8>> {
    let mut tree = FlatTree::new(&std::env::temp_dir()).expect("a temporary file");
    tree.apply(&mut LayerReader::new(tar, LIMITS)).ok()?;
    let mut writer = LayerWriter::new(Vec::new(), Ruleset::V1);
    // A name can be one that only a whiteout may have.
    tree.write_to(&mut writer).ok()?;
    Some(writer.finish().expect("memory"))
}

fuzz_target!(|bytes: &[u8]| {
    let tar = with_headers(bytes);
    if let Some(first) = canonical(&tar) {
        let again = canonical(&first);
        assert_eq!(again.as_deref(), Some(&first[..]), "the canonical form moved");
    }
    for compression in [Compression::Gzip, Compression::Zstd] {
        let size = bytes.len() as u64;
        let plain = decompress(Box::new(Cursor::new(bytes.to_vec())), compression, size, LIMITS);
        let mut reader = LayerReader::new(plain, LIMITS);
        let mut entry = |_: &_, content: &mut dyn std::io::Read| {
            std::io::copy(content, &mut std::io::sink()).map(|_| ())
        };
        while let Ok(true) =
            repro_core::tree::EntrySource::next_entry(&mut reader, &mut entry)
        {}
    }
});
