//! The command line as a surface: what it prints, redacted, without building anything.

mod context;
mod redact;

pub use context::{Finished, Repro, TestContext, binary};
pub use redact::redact;
