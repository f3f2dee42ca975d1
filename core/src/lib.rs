//! The shared ground of `repro`: digests, references, tar, layers, images, the store, and
//! the plain data of a build.
//!
//! Nothing in this crate starts a process, opens a network connection or reads a clock.

#![forbid(unsafe_code)]

pub mod build;
pub mod digest;
pub mod epoch;
pub mod event;
pub mod fs;
pub mod hosts;
pub mod image;
pub mod json;
pub mod layer;
pub mod platform;
pub mod redact;
pub mod reference;
pub mod ruleset;
pub mod store;
pub mod tree;
