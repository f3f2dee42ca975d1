//! Programs, their ends, and what they see.

use libtest_mimic::Trial;
use repro_core::build::StepExit;

use crate::bench::Bench;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test(
        "a_program_runs_and_its_changes_are_the_layer",
        || {
            let bench = Bench::new();
            let seen = bench.sh("echo hello; echo made > /tmp/made; rm -r /home; id");
            assert_eq!(seen.result.exit, StepExit::Success);
            assert!(seen.output.starts_with("hello\n"), "{}", seen.output);
            assert_eq!(seen.layer.paths(), ["-home", "tmp/made"]);
            Ok(())
        },
    )]
}
