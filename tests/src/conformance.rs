//! The conformance suite: the same small Dockerfiles built by `repro` and by the established
//! builders, and the results compared.
//!
//! Cases are sections of `tests/conformance/*.cases`, see [`Case`]. What may differ stands in
//! `tests/conformance/differences.toml` with its reason, see [`Allowed`].

mod allowed;
mod cases;
mod compare;
mod image;
mod peers;

pub use allowed::Allowed;
pub use cases::{Case, Expected};
pub use compare::differences;
pub use image::{Image, ImageError};
pub use peers::{Builder, Built, Peers};
