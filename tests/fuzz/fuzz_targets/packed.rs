//! Two contents as gzip, zstd, xz and bzip2, which differ in a few bytes: finding what differs ends, within its limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repro_fuzz::compare;

/// Names, and how such contents begin.
const FORMS: &[(&str, &[u8])] = &[
    ("x.gz", b"\x1f\x8b\x08"),
    ("x.zst", b"\x28\xb5\x2f\xfd"),
    ("x.xz", b"\xfd7zXZ\0"),
    ("x.bz2", b"BZh9"),
];

fuzz_target!(|bytes: &[u8]| compare(FORMS, bytes));
