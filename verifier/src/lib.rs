//! Comparison, causes, statements, signatures and reports.

#![forbid(unsafe_code)]

pub mod attestation;
pub mod bundle;
pub mod dsse;
pub mod keys;
pub mod statement;
pub mod strict_json;
pub mod uris;
