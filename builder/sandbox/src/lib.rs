//! Runs one step of a build in namespaces, and reads and writes the trees of steps.

mod blockers;
mod channel;
pub mod doctor;
mod executor;
pub mod guest;
mod image;
mod init;
pub mod mapping;
mod net;
pub mod policy;
mod protocol;
mod seccomp;
mod stage;
mod sys;
mod trace;
pub mod tree;
pub mod users;

pub use executor::{NativeExecutor, Snapshots};
pub use image::StageImage;
pub use stage::enter_if_stage;
