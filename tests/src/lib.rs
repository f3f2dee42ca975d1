//! What the end-to-end tests share: a place of their own to run `repro` in.

#![forbid(unsafe_code)]

mod context;
mod redact;

pub use context::{Finished, Repro, TestContext, binary};
pub use redact::redact;
