//! Runs one step of a build in namespaces, and reads and writes the trees of steps.

mod blockers;
mod channel;
mod image;
pub mod mapping;
mod protocol;
mod stage;

pub use image::StageImage;
pub use stage::enter_if_stage;
