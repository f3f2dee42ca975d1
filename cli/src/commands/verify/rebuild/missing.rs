//! Inputs of a rebuild that cannot be had, or that are others: all of them named at once.

use repro_core::build::InputRecord;
use repro_verifier::rebuild::{Order, OtherInput};

use crate::error::{CommandError, ErrorKind};

/// Inputs that are shown by name; of a toolchain that is another one every package may differ.
const SHOWN: usize = 12;

/// What is not there, each with what to do about it.
#[derive(Debug, Default)]
pub(super) struct Missing(Vec<(String, String)>);

impl Missing {
    pub(super) fn add(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.0.push((what.into(), hint.into()));
    }

    /// Fails if there is anything.
    pub(super) fn refuse(self) -> Result<(), CommandError> {
        let Some(((first, hint), rest)) = self.0.split_first() else {
            return Ok(());
        };
        let count = match rest.len() {
            0 => "an input is missing".to_owned(),
            more => format!("{} inputs are missing", more + 1),
        };
        let names: Vec<&str> = std::iter::once(first.as_str())
            .chain(rest.iter().map(|(what, _)| what.as_str()))
            .collect();
        let mut error = CommandError::message(
            ErrorKind::Input,
            format!("cannot build it again: {count}: {}", names.join("; ")),
        )
        .hint(hint.clone());
        for (_, hint) in rest {
            error = error.hint(hint.clone());
        }
        Err(error)
    }
}

/// Before the first step: the inputs are those that were attested, or nothing is built. A rebuild from
/// others says nothing on the image.
pub(super) fn refuse_others(order: &Order, inputs: &[InputRecord]) -> Result<(), CommandError> {
    let others = order.other_inputs(inputs);
    if others.is_empty() {
        return Ok(());
    }
    let mut error = CommandError::message(
        ErrorKind::Input,
        "cannot build it again: its inputs are not those that were attested",
    );
    let mut lines: Vec<String> = others.iter().take(SHOWN).map(line).collect();
    if others.len() > SHOWN {
        lines.push(format!("and {} more", others.len() - SHOWN));
    }
    error = error.because(lines);
    for other in &others {
        if let Some(hint) = hint(order, other) {
            error = error.hint(hint);
        }
    }
    Err(error)
}

fn line(other: &OtherInput) -> String {
    let OtherInput {
        input,
        attested,
        found,
    } = other;
    match (attested, found) {
        (Some(attested), Some(found)) => format!("{input} is {found}, attested was {attested}"),
        (Some(attested), None) => format!("{input} {attested} was attested, and is not used"),
        (None, Some(found)) => format!("{input} {found} is used, and was not attested"),
        (None, None) => format!("{input} has no digest"),
    }
}

fn hint(order: &Order, other: &OtherInput) -> Option<String> {
    let kind = other.input.split(' ').next().unwrap_or_default();
    Some(match kind {
        "context" => "give the files as they were built, from the same commit and without build \
                      products: --context DIR"
            .to_owned(),
        "toolchain" => match &order.version {
            Some(version) => format!("repro {version} built it, and may have made another one"),
            None => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_is_named_with_its_next_step() {
        assert!(Missing::default().refuse().is_ok());
        let mut missing = Missing::default();
        missing.add("the context sha256:0", "give it: --context DIR");
        missing.add("the secret token", "lend it: --secret id=token,src=FILE");
        let error = missing.refuse().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        let text = error.to_string();
        assert!(text.contains("2 inputs are missing: the context sha256:0; the secret token"));
        assert_eq!(error.hints().len(), 2);
    }
}
