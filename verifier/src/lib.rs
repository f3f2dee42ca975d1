//! Comparison, causes, statements, signatures and reports.

#![forbid(unsafe_code)]

<<<<<<< HEAD
pub mod attestation;
pub mod bundle;
pub mod dsse;
pub mod keys;
pub mod statement;
pub mod strict_json;
=======
>>>>>>> report
pub mod uris;
