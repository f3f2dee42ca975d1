//! Any bytes: the parser does not panic, its messages fit a terminal, and what it takes prints as
//! text that means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repro_builder::dockerfile::{Dockerfile, parse};

/// What printing must keep: everything but places and findings.
fn meaning(file: &Dockerfile) -> String {
    let globals: Vec<_> = file.global_args.iter().map(|args| &args.kind).collect();
    let stages: Vec<_> = file
        .stages
        .iter()
        .map(|stage| {
            let kinds: Vec<_> = stage.instructions.iter().map(|one| &one.kind).collect();
            (&stage.from.kind, kinds)
        })
        .collect();
    format!("{:?} {globals:?} {stages:?}", file.directives)
}

fuzz_target!(|text: &[u8]| {
    match parse("Dockerfile", text) {
        Ok(file) => {
            let printed = file.to_string();
            let again = parse("Dockerfile", printed.as_bytes());
            let again = again.unwrap_or_else(|errors| panic!("{printed:?}\n{errors}"));
            assert_eq!(meaning(&again), meaning(&file), "{printed}");
        }
        Err(errors) => {
            let shown = errors.to_string();
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        }
    }
});
