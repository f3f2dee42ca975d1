//! placeholder
#![expect(missing_docs, clippy::all, clippy::pedantic, missing_debug_implementations, reason="x")]
use repro_core::build::*; use repro_core::store::Store;
pub fn enter_if_stage(){}
pub struct StageImage; impl StageImage{ pub fn capture()->Result<Self,ExecutorError>{Ok(Self)}}
pub struct NativeExecutor;
