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

mod axes;
mod basics;
mod bench;
mod clock;
mod hostile;
mod isolation;
mod mounts;
mod network;
mod owners;
mod probe;
mod processes;
mod trees;
mod users;

use libtest_mimic::{Arguments, Trial};
use repro_core::build::Snapshotter;

fn main() {
    // This program is its own stage, as `repro` is.
    repro_sandbox::enter_if_stage();
    // It is also the program that some steps run, one that is killed, and another user's.
    probe::run_if_probe();
    processes::run_if_victim();
    users::run_if_user(trials_of_any_user);
    let arguments = Arguments::from_args();
    let mut trials = trials_of_any_user();
    trials.extend(users::trials(Snapshotter::Overlay));
    libtest_mimic::run(&arguments, trials).exit();
}

fn trials_of_any_user() -> Vec<Trial> {
    let mut trials = Vec::new();
    // What steps see and leave is the same in plain copies.
    for &snapshotter in bench::snapshotters() {
        trials.extend(axes::trials(snapshotter));
        trials.extend(basics::trials(snapshotter));
        trials.extend(mounts::trials(snapshotter));
        trials.extend(trees::trials(snapshotter));
    }
    let usual = bench::snapshotters()[0];
    trials.extend(clock::trials(usual));
    trials.extend(hostile::trials(usual));
    trials.extend(isolation::trials(usual));
    trials.extend(network::trials(usual));
    trials.extend(owners::trials(usual));
    trials.extend(processes::trials(usual));
    trials
}

/// A trial whose benches put trees together like this.
fn trial(name: &str, snapshotter: Snapshotter, function: fn()) -> Trial {
    let name = match snapshotter {
        Snapshotter::Overlay => name.to_owned(),
        Snapshotter::PlainCopy | Snapshotter::Engine => format!("{name}::plain_copy"),
    };
    Trial::test(name, move || {
        bench::SNAPSHOTTER.set(snapshotter);
        function();
        Ok(())
    })
}

/// A trial named as its function.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn trials(
            snapshotter: repro_core::build::Snapshotter,
        ) -> Vec<libtest_mimic::Trial> {
            vec![$(crate::trial(
                concat!(module_path!(), "::", stringify!($name)),
                snapshotter,
                $name,
            )),*]
        }
    };
}
pub(crate) use trials;
