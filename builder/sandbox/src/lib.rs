//! Runs one step of a build in namespaces, and reads and writes the trees of steps.

pub mod tree;
pub mod users;
