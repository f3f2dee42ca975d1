//! Evidence beside images: put there, and found there.

pub(crate) mod attach;
pub(crate) mod places;
