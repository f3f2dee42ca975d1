//! Comparison, causes, statements, signatures and reports.

#![forbid(unsafe_code)]

pub mod attached;
pub mod attestation;
pub mod axes;
pub mod bisect;
pub mod bundle;
pub mod causes;
pub mod compare;
pub mod dsse;
pub mod keys;
pub mod link;
pub mod pack;
pub mod predicate;
mod purl;
pub mod rebuild;
pub mod remedy;
pub mod render;
pub mod report;
pub mod sbom;
pub mod statement;
pub mod strict_json;
pub mod summary;
pub mod terms;
#[cfg(test)]
mod testing;
pub mod uris;
pub mod verify;
