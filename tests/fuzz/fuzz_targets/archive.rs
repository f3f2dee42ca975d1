//! Two contents as zip, ar and cpio, which differ in a few bytes: finding what differs ends, within its limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repro_fuzz::compare;

/// Names, and how such contents begin.
const FORMS: &[(&str, &[u8])] = &[
    ("x.zip", b"PK\x03\x04"),
    ("x.a", b"!<arch>\n"),
    ("x.cpio", b"070701"),
];

fuzz_target!(|bytes: &[u8]| compare(FORMS, bytes));
