//! What a build needs from outside: `repro.toml` and `repro.lock`, toolchains made from Debian
//! packages, source packages as inputs, and the downloads behind them.
//!
//! The way through: [`project::Project`] says what is wanted, [`lock::ProjectLock`] which bytes
//! that is, [`fetch::Fetcher`] brings the bytes into the store from any mirror, and
//! [`sources::Sources`] turns them into images and trees. Locks are made by
//! [`locking::Locksmith`], from an archive that [`archive::ArchiveReader`] checks.

#![forbid(unsafe_code)]

pub mod archive;
pub mod capture;
pub mod deb;
pub mod definition;
pub mod diagnostic;
pub mod fetch;
pub mod inputs;
pub mod lock;
pub mod locking;
pub mod materialise;
pub mod project;
pub mod purl;
pub mod registry;
pub mod sources;

mod codec;
mod entries;
mod http;
mod parallel;
mod part;
mod progress;
mod text_file;

pub use sources::{Pins, ResolvedImage, ResolvedTree, SourceError, Sources};
