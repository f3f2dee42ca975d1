//! placeholder
#![forbid(unsafe_code)]
#![allow(missing_docs)]
use repro_core::{build::InputRecord, digest::Digest, image::LayerDescriptor};
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct SourceError;
#[derive(Debug)]
pub struct Sources<'a>(pub &'a ());
pub struct RI { pub manifest: Digest, pub records: Vec<InputRecord> }
pub struct RT { pub layer: LayerDescriptor, pub records: Vec<InputRecord> }
impl Sources<'_> {
    pub fn toolchain(&self, _: &str) -> Result<Option<RI>, SourceError> { Ok(None) }
    pub fn input(&self, _: &str) -> Result<Option<RT>, SourceError> { Ok(None) }
}
