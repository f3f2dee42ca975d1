//! Any bytes: the parser does not panic, its messages fit a terminal, what it takes prints as text
//! that means the same, and every word of it can be expanded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repro_builder::dockerfile::{MAX_EXPANDED_BYTES, parse};
use repro_fuzz::{Values, meaning};

fuzz_target!(|text: &[u8]| {
    match parse("Dockerfile", text) {
        Ok(file) => {
            let printed = file.to_string();
            let again = parse("Dockerfile", printed.as_bytes());
            let again = again.unwrap_or_else(|errors| panic!("{printed:?}\n{errors}"));
            assert_eq!(meaning(&again), meaning(&file), "{printed}");
            assert_eq!(again.to_string(), printed);

            let values = [("a", "x y"), ("A", "*/a"), ("x", "")];
            let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let values = Values(values.into());
            let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
            for word in instructions.flat_map(|one| one.kind.expanded()) {
                if let Ok(text) = word.expand(&values) {
                    assert!(text.len() <= MAX_EXPANDED_BYTES);
                }
                drop(word.expand_words(&values));
            }
        }
        Err(errors) => {
            let shown = errors.to_string();
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        }
    }
});
