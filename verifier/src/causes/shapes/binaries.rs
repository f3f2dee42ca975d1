//! Binary forms that are told by their magic and are not taken apart.

use super::{Detector, Pair, holds};
use crate::causes::Cause;

pub(super) const DETECTORS: [Detector; 7] = [
    file_system,
    module_signature,
    archive_signature,
    certificate,
    key_box,
    haskell,
    coverage,
];

/// Whether both sides have `magic` at `at`.
fn both_have(pair: &Pair<'_>, at: usize, magic: &[u8]) -> bool {
    let has = |bytes: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    has(pair.a) && has(pair.b)
}

/// An image of a file system: what it holds is not looked at.
fn file_system(pair: &Pair<'_>) -> Option<Cause> {
    /// Where the superblock says which it is.
    const MAGICS: [(usize, &[u8]); 10] = [
        (0, b"hsqs"),
        (0, b"XFSB"),
        (0x400 + 0x38, &[0x53, 0xef]),
        (0x400, &[0xe2, 0xe1, 0xf5, 0xe0]),
        (0x10040, b"_BHRfS_M"),
        (0x8001, b"CD001"),
        (0x36, b"FAT12   "),
        (0x36, b"FAT16   "),
        (0x52, b"FAT32   "),
        (0, &[0x45, 0x3d, 0xcd, 0x28]),
    ];
    MAGICS
        .iter()
        .any(|(at, magic)| both_have(pair, *at, magic))
        .then_some(Cause::FilesystemImage)
}

/// What signs a module of the kernel stands behind it.
fn module_signature(pair: &Pair<'_>) -> Option<Cause> {
    const END: &[u8] = b"~Module signature appended~\n";
    /// The lengths of the parts of a signature: that of its data is the last number.
    const HEADER: usize = 12;
    let module = |bytes: &[u8]| -> Option<Vec<u8>> {
        let rest = bytes.strip_suffix(END)?;
        let (rest, header) = rest.split_at_checked(rest.len().checked_sub(HEADER)?)?;
        let length = u32::from_be_bytes(header[8..].try_into().ok()?);
        let end = rest.len().checked_sub(usize::try_from(length).ok()?)?;
        Some(rest[..end].to_vec())
    };
    // Only the signature differs; else it follows from the module.
    (module(pair.a)? == module(pair.b)?).then_some(Cause::EmbeddedSignature)
}

/// Signatures in a jar.
fn archive_signature(pair: &Pair<'_>) -> Option<Cause> {
    let signature = [".SF", ".RSA", ".DSA", ".EC"]
        .iter()
        .any(|end| pair.ends(end));
    (holds(pair.path, "META-INF/") && signature).then_some(Cause::EmbeddedSignature)
}

/// A certificate of X.509 in DER: a sequence whose first member is one that says version 3.
fn certificate(pair: &Pair<'_>) -> Option<Cause> {
    let certificate = |bytes: &[u8]| {
        matches!(
            bytes,
            [0x30, 0x82, _, _, 0x30, 0x82, _, _, 0xa0, 3, 2, 1, 2, 2, ..]
                | [0x30, 0x82, _, _, 0x30, 0x81, _, 0xa0, 3, 2, 1, 2, 2, ..]
        )
    };
    (certificate(pair.a) && certificate(pair.b)).then_some(Cause::GeneratedKey)
}

/// Keys of `GnuPG`.
fn key_box(pair: &Pair<'_>) -> Option<Cause> {
    both_have(pair, 8, b"KBXf").then_some(Cause::GeneratedKey)
}

/// Interfaces of Haskell's modules.
fn haskell(pair: &Pair<'_>) -> Option<Cause> {
    const MAGICS: [&[u8]; 2] = [&[1, 0xfa, 0xce, 0x64], &[0x64, 0xce, 0xfa, 1]];
    let named = pair.ends(".hi") || pair.ends(".dyn_hi");
    (named && MAGICS.iter().any(|magic| both_have(pair, 0, magic)))
        .then_some(Cause::HaskellInterface)
}

/// Notes of gcov: a path, and a stamp that is made of it.
fn coverage(pair: &Pair<'_>) -> Option<Cause> {
    both_have(pair, 0, b"oncg").then_some(Cause::EmbeddedPath)
}
