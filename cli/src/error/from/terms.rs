//! Files of a verifier that cannot be used, and summaries that cannot be made.

use std::path::Path;

use repro_verifier::{
    summary::IssueError,
    terms::{DocumentError, kyverno::KyvernoError},
};

use super::super::{CommandError, ErrorKind, Excerpt};

/// An error in a trust file or a policy, at its line.
pub(crate) fn in_document(error: &DocumentError, path: &Path, text: &str) -> CommandError {
    let result = CommandError::usage(error.message());
    let Some(span) = error.span() else {
        return result;
    };
    let start = span.start.min(text.len());
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let column = before[line_start..].chars().count();
    let meant = text.get(start..span.end).unwrap_or_default();
    // What goes on in the next line is marked to the end of this one.
    let length = meant.lines().next().unwrap_or_default().chars().count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    result.at(Excerpt {
        file: path.display().to_string(),
        line: number(before.matches('\n').count() + 1),
        column: number(column + 1),
        length: number(length),
        text: line.to_owned(),
        label: None,
    })
}

impl From<KyvernoError> for CommandError {
    fn from(error: KyvernoError) -> Self {
        Self::new(ErrorKind::Usage, &error)
            .hint("write the base images into a policy of repro: docs/policy.md")
    }
}

impl From<IssueError> for CommandError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::NoImage | IssueError::SeveralImages(..) => {
                Self::new(ErrorKind::Refused, &error)
            }
            IssueError::Canonical(_) => Self::new(ErrorKind::Internal, &error),
            IssueError::Sign(error) => Self::from(error).context("the summary cannot be signed"),
        }
    }
}
