//! What the targets have in common.

use std::collections::BTreeMap;

use repro_builder::dockerfile::{Dockerfile, Scope};
use repro_core::tree::TreePath;
use repro_verifier::causes::{Excerpts, Facts, find_file_causes};

/// What printing must keep: everything but places and findings.
pub fn meaning(file: &Dockerfile) -> String {
    let globals: Vec<_> = file.global_args.iter().map(|args| &args.kind).collect();
    let stages: Vec<_> = file
        .stages
        .iter()
        .map(|stage| {
            let kinds: Vec<_> = stage.instructions.iter().map(|one| &one.kind).collect();
            (&stage.from.kind, kinds)
        })
        .collect();
    format!("{:?} {globals:?} {stages:?}", file.directives)
}

/// Variables for an expansion.
#[derive(Debug, Default)]
pub struct Values(pub BTreeMap<String, String>);

impl Scope for Values {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Bytes of an input that say how the second content differs from the first.
const EDITS: usize = 16;

/// Looks for the causes of the difference of two contents: the rest of `bytes`, and the same with the
/// changes that its first bytes say. The first of all chooses one of `forms`, names with magics.
///
/// # Panics
///
/// Where equal contents have a cause, or different ones none.
pub fn compare(forms: &[(&str, &[u8])], bytes: &[u8]) {
    let Some((edits, content)) = bytes.split_at_checked(EDITS) else {
        return;
    };
    let (name, magic) = forms[usize::from(edits[0]) % forms.len()];
    let mut a = content.to_vec();
    let length = a.len().min(magic.len());
    a[..length].copy_from_slice(&magic[..length]);
    let mut b = a.clone();
    for edit in edits[1..].chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        if let Some(byte) = b.get_mut(at) {
            *byte ^= edit[2];
        }
    }
    if edits[0] & 0x80 != 0 {
        b.truncate(b.len() / 2);
    }
    let path = TreePath::parse(name.as_bytes()).expect("a constant");
    let facts = Facts::default();
    let found = find_file_causes(&path, &&a[..], &&b[..], Excerpts::Allowed, &facts);
    let found = found.expect("contents in memory can be read");
    assert_eq!(found.is_empty(), a == b, "{found:?}");
}

/// Bytes of a block of a tar, and where in a header its magic and its checksum are.
const BLOCK: usize = 512;
const MAGIC: std::ops::Range<usize> = 257..265;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Makes headers of the blocks that the first bytes choose. No mutation finds a right checksum.
#[must_use]
pub fn with_headers(bytes: &[u8]) -> Vec<u8> {
    let Some((mask, tar)) = bytes.split_at_checked(8) else {
        return bytes.to_vec();
    };
    let mut tar = tar.to_vec();
    for (index, block) in tar.chunks_exact_mut(BLOCK).enumerate() {
        if mask[index / 8 % 8] >> (index % 8) & 1 == 1 {
            block[MAGIC].copy_from_slice(b"ustar\x0000");
            block[CHECKSUM].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    tar
}
