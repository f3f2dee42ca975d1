//! Any ignore file and any path: deciding ends, and what is pruned has nothing in it that is taken.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use repro_core::tree::{IgnoreFile, Ignored, TreePath};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    path: &'a [u8],
    text: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let Ok(file) = IgnoreFile::parse(input.text) else {
        return;
    };
    let Ok(path) = TreePath::parse(input.path) else {
        return;
    };
    let found = file.excluded(&path, false);
    assert_ne!(found, Ignored::Descend, "a file has nothing below it");
    let mut above = path.parent();
    while let Some(dir) = above.filter(|dir| !dir.is_root()) {
        if file.excluded(&dir, true) == Ignored::Prune {
            assert_eq!(found, Ignored::Prune, "{path} in {dir}");
        }
        above = dir.parent();
    }
});
