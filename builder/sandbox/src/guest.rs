//! The helper inside a container of an engine: this program, started as the container's first process.
//!
//! An engine gives what the sandbox otherwise makes itself: namespaces, a root, a filter of system
//! calls. What decides bytes stays the same code: the helper puts the tree right, runs the one thing
//! that the step does, and hands on what changed.
//!
//! ```text
//! orchestrator                      helper
//!   Begin, names of the tree  ──►
//!                             ◄──   mount points
//!   entries that are sent     ──►   the tree is put right
//!   the source of a copy      ──►
//!                             ◄──   what the program prints; connections to its one way out
//!                             ◄──   names that have to be compared
//!   their entries             ──►
//!                             ◄──   the layer, the result
//! ```
//!
//! It speaks over its standard streams, so an engine on another machine serves as well as one here.

mod confined;
mod host;
mod mounts;
mod pack;
mod program;
mod serve;
mod ways;
mod wire;

pub use host::{Door, Order, Parents, Streams, Trees, Way, Ways, attend};
pub use mounts::{CacheContent, Filling};
pub use pack::{Helper, HelperFile};
pub(crate) use serve::enter_if_guest;

/// The directory at the root of a container that the helper comes in, and works in when no program
/// runs. A program never sees it. No image can have the name.
pub const PLACE: &str = ".repro-guest";
/// Name of the helper in it, by which the program knows what it was started as.
pub(crate) const NAME: &str = "repro-guest";
