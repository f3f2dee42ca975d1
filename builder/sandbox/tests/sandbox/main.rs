//! Real steps in real namespaces.
//!
//! Wants what `repro` wants of a machine, and the static busybox of Debian (`busybox-static`). Where
//! something is missing the tests fail and say what.

mod basics;
mod bench;

use libtest_mimic::{Arguments, Trial};

fn main() {
    // This program is its own stage, as `repro` is.
    repro_sandbox::enter_if_stage();
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(basics::trials());
    libtest_mimic::run(&arguments, trials).exit();
}
