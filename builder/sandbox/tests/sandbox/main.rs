//! Real steps in real namespaces.
//!
//! Wants what `repro` wants of a machine, and the static busybox of Debian (`busybox-static`). Where
//! something is missing the tests fail and say what.
#![expect(
    clippy::unwrap_used,
    reason = "allowed in tests, which clippy does not know without the standard harness"
)]
#![expect(
    clippy::exit,
    clippy::print_stdout,
    reason = "this program is also the ones that its tests start: they print what they saw, and end"
)]

mod basics;
mod bench;
mod hostile;
mod isolation;
mod mounts;
mod network;
mod probe;
mod processes;
mod trees;
mod users;

use libtest_mimic::{Arguments, Trial};

fn main() {
    // This program is its own stage, as `repro` is.
    repro_sandbox::enter_if_stage();
    // It is also the program that some steps run, one that is killed, and another user's.
    probe::run_if_probe();
    processes::run_if_victim();
    users::run_if_user(trials_of_any_user);
    let arguments = Arguments::from_args();
    let mut trials = trials_of_any_user();
    trials.extend(users::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

fn trials_of_any_user() -> Vec<Trial> {
    let mut trials = basics::trials();
    trials.extend(hostile::trials());
    trials.extend(isolation::trials());
    trials.extend(mounts::trials());
    trials.extend(network::trials());
    trials.extend(processes::trials());
    trials.extend(trees::trials());
    trials
}

/// A trial named as its function.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            vec![$(libtest_mimic::Trial::test(
                concat!(module_path!(), "::", stringify!($name)),
                || { $name(); Ok(()) },
            )),*]
        }
    };
}
pub(crate) use trials;
