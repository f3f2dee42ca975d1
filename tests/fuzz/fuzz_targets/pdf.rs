//! Two contents as PDF, which differ in a few bytes: finding what differs ends, within its limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repro_fuzz::compare;

/// Names, and how such contents begin.
const FORMS: &[(&str, &[u8])] = &[
    ("x.pdf", b"%PDF-"),
];

fuzz_target!(|bytes: &[u8]| compare(FORMS, bytes));
