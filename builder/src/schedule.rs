//! Runs a plan: once, or twice side by side, and in each run the steps side by side that do not
//! wait for each other.

mod assemble;
mod board;
mod log;
mod order;
mod queue;
mod run;
mod stages;

pub use assemble::AssembleError;
pub use run::RunError;

pub(crate) use board::Board;
pub(crate) use run::{RunContext, RunEnd, run};
