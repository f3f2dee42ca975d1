//! From a Dockerfile to a plan, to steps, to an image, twice and in step.

#![forbid(unsafe_code)]

pub mod context;
pub mod dockerfile;
