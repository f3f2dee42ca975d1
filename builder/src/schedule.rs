//! Runs a plan: once, or twice side by side.

mod assemble;
mod board;
mod log;
mod run;

pub use assemble::AssembleError;
pub use run::RunError;

pub(crate) use board::Board;
pub(crate) use run::{RunContext, RunEnd, run};
