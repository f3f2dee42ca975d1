//! A unified diff of one file, as `patch -p1` and `git apply` read it.

use std::fmt::Write as _;

use imara_diff::{Algorithm, Diff, InternedInput};

/// Lines shown around a change, as everywhere.
const CONTEXT: usize = 3;

/// A file whose name has no place in the header of a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be named in a patch: it begins outside the project or has special characters"
)]
pub struct PatchNameError(String);

/// The way from `before` to `after`. The two must differ.
pub(super) fn unified(name: &str, before: &str, after: &str) -> Result<String, PatchNameError> {
    let special = |char: char| char.is_control() || char == '"' || char == '\\';
    if name.is_empty()
        || name.starts_with('/')
        || name.chars().any(special)
        || name.split('/').any(|part| part == "..")
    {
        return Err(PatchNameError(name.to_owned()));
    }
    let (old, new) = (lines(before), lines(after));
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let changes: Vec<(usize, usize, usize, usize)> = diff
        .hunks()
        .map(|hunk| {
            let index = |number: u32| number as usize;
            (
                index(hunk.before.start),
                index(hunk.before.end),
                index(hunk.after.start),
                index(hunk.after.end),
            )
        })
        .collect();
    // A tab ends a name that has spaces.
    let tab = if name.contains(' ') { "\t" } else { "" };
    let mut out = format!("--- a/{name}{tab}\n+++ b/{name}{tab}\n");
    let near = |a: &(usize, usize, usize, usize), b: &(usize, usize, usize, usize)| {
        b.0 - a.1 <= 2 * CONTEXT
    };
    for group in changes.chunk_by(near) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let lead = first.0.min(CONTEXT);
        let trail = (old.len() - last.1).min(CONTEXT);
        let (start, end) = (first.0 - lead, last.1 + trail);
        let new_start = first.2 - lead;
        let new_count = last.3 + trail - new_start;
        let number = |start: usize, count: usize| if count == 0 { start } else { start + 1 };
        let count = end - start;
        let header = format!(
            "@@ -{},{count} +{},{new_count} @@\n",
            number(start, count),
            number(new_start, new_count),
        );
        out.push_str(&header);
        let mut at = start;
        for &(from, to, new_from, new_to) in group {
            put(&mut out, ' ', &old[at..from]);
            put(&mut out, '-', &old[from..to]);
            put(&mut out, '+', &new[new_from..new_to]);
            at = to;
        }
        put(&mut out, ' ', &old[at..end]);
    }
    Ok(out)
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn put(out: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        write!(out, "{sign}{line}").expect("a String takes every write");
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}
