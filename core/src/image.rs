//! Images: configuration, manifest, index, and the ways in and out of a store.

mod config;
mod descriptor;
mod document;
mod keys;
mod media;
mod reach;
mod stored;
pub mod transport;

pub use config::{Healthcheck, History, ImageConfig, RootFs, RuntimeConfig};
pub use descriptor::{Descriptor, LayerDescriptor, REF_NAME};
pub use document::{Document, Index, MAX_DOCUMENT, Manifest};
pub use media::{Compression, MediaType};
pub use reach::{Reach, reach};
pub use stored::{
    ImageError, StoredImage, find_platform, load_image, newest_mtime, pick_platform,
    write_annotated_image, write_image,
};
