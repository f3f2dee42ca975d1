//! Docker and Podman as places where images are loaded and steps are run.
//!
//! Both are spoken to by Docker's API over a socket. Nothing is ever pulled, and nothing is touched
//! that this crate has not made itself.
#![forbid(unsafe_code)]

mod about;
mod client;
mod context;
mod endpoint;
mod error;
mod executor;
mod find;
mod load;
mod pair;

pub use about::{About, ApiVersion, EngineKind, Privileges, SystemCallFilter};
pub use client::Client;
pub use context::ContextError;
pub use endpoint::{Endpoint, EndpointError, TlsFiles};
pub use error::EngineError;
pub use executor::{Cleaned, EngineExecutor, StoreId, clean, forget, retain};
pub use find::{Ambient, Candidate, Found, Origin, Problem, find, survey};
pub use load::LoadedImage;
pub use pair::Pair;
