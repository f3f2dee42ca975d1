//! Two contents as pyc, `.mo` and PNG, which differ in a few bytes: finding what differs ends, within its limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repro_fuzz::compare;

/// Names, and how such contents begin.
const FORMS: &[(&str, &[u8])] = &[
    ("x.pyc", b""),
    ("x.mo", b"\xde\x12\x04\x95"),
    ("x.mo", b"\x95\x04\x12\xde"),
    ("x.png", b"\x89PNG\r\n\x1a\n"),
];

fuzz_target!(|bytes: &[u8]| compare(FORMS, bytes));
