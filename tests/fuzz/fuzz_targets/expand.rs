//! Any word with any values: expanding ends, soon, in a text that is not too long; what has no
//! variables does not depend on values.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use repro_builder::dockerfile::{Escape, MAX_EXPANDED_BYTES, Template};
use repro_fuzz::Values;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    backtick: bool,
    a: Option<&'a str>,
    b: Option<&'a str>,
    word: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let escape = if input.backtick {
        Escape::Backtick
    } else {
        Escape::Backslash
    };
    let Ok(template) = Template::parse(input.word, escape) else {
        return;
    };
    assert_eq!(template.raw(), input.word);
    let mut values = Values::default();
    for (name, value) in [("a", input.a), ("b", input.b)] {
        if let Some(value) = value {
            values.0.insert(name.to_owned(), value.to_owned());
        }
    }
    let expanded = template.expand(&values);
    if let Ok(text) = &expanded {
        assert!(text.len() <= MAX_EXPANDED_BYTES);
    }
    if let Some(literal) = template.literal() {
        assert_eq!(expanded, Ok(literal));
    }
    if let Ok(words) = template.expand_words(&values) {
        assert!(words.iter().all(|word| !word.is_empty()));
    }
});
