//! The step's network, which ends at loopback: what is answered there, and what is counted.

pub(crate) mod counters;
pub(crate) mod dns;
pub(crate) mod loopback;
pub(crate) mod observed;
