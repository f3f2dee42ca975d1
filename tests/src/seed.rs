//! Randomness that can be repeated.

use std::{fs::File, io::Read as _};

use crate::program::ambient;

/// The seed of this run: `REPRO_TEST_SEED`, or a new one. Print it, so that a failure can be
/// repeated.
///
/// # Panics
/// If `REPRO_TEST_SEED` is no number.
#[must_use]
pub fn seed() -> u64 {
    if let Some(text) = ambient("REPRO_TEST_SEED") {
        let text = text.to_string_lossy();
        return text.parse().expect("REPRO_TEST_SEED is a number");
    }
    let mut bytes = [0; 8];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("/dev/urandom can be read");
    u64::from_le_bytes(bytes)
}

/// The next number of splitmix64, which is plenty for choosing moments.
#[must_use]
pub const fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
