//! Comparison, causes, statements, signatures and reports.

#![forbid(unsafe_code)]

pub mod causes;
pub mod uris;
