//! Layers: a strict reader of foreign tars, and the one writer of canonical ones.
//!
//! Reading takes what engines take, and refuses what two readers could understand differently.
//! Writing follows ruleset 1 (`docs/ruleset-1.md`).

mod build;
mod flatten;
#[cfg(test)]
mod flatten_tests;
mod gzip;
mod header;
mod limits;
mod open;
mod pax;
mod raw;
mod reader;
#[cfg(test)]
mod tests;
mod writer;
mod xattr;

pub use build::{BuildLayerError, LayerBuilder, StoredLayer};
pub use flatten::{FlatTree, FlattenError, TakeName};
pub use gzip::GzipWriter;
pub use limits::Limits;
pub(crate) use open::open_tar;
pub use open::{DecompressionBomb, OpenLayerError, decompress, open_layer};
pub(crate) use raw::{RawKind, RawReader};
pub use reader::{LayerError, LayerFault, LayerReader, Xattrs};
pub use writer::{LayerWriteError, LayerWriter};
pub use xattr::is_kept_xattr;
