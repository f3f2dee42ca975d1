//! From a Dockerfile to an image, twice, in step.
//!
//! [`dockerfile`] reads the language, [`context`] takes the files, [`source`] looks names up,
//! [`plan`] spells the build out, [`schedule`] runs it, and [`Builder`] leads through all of it.

#![forbid(unsafe_code)]

pub mod context;
pub mod dockerfile;
pub mod plan;
pub mod schedule;
pub mod source;

mod build;
#[cfg(test)]
mod checklist;
mod error;

pub use build::{Build, Builder, LockState};
pub use error::BuildError;
