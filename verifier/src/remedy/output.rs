//! Where the output of a command goes: into a file, or into what decides by it.
//!
//! A clock that a script waits for or compares must go on running.

use std::ops::Range;

use super::{
    command::COMPILERS,
    shell::{Call, Condition, Script},
};

/// What becomes of the output of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// It ends in the file that this word names.
    File(Range<usize>),
    /// It is shown or kept, but not known where.
    Shown,
    /// The script may go one way or another by it.
    Decides,
}

/// Programs that put their words into what they write.
const WRITERS: [&str; 10] = [
    "echo", "printf", "cat", "tee", "sed", "make", "cmake", "ninja", "go", "cargo",
];

/// Programs that write what they read.
const FILTERS: [&str; 9] = [
    "cat", "tee", "tr", "cut", "sed", "rev", "head", "tail", "base64",
];

/// Programs that set a variable.
const SETTERS: [&str; 4] = ["export", "readonly", "local", "declare"];

/// Programs that compare, reckon or wait.
const JUDGES: [&str; 8] = ["[", "test", "expr", "let", "bc", "sleep", "timeout", "awk"];

/// Calls that are followed from one to the next; nobody writes as many.
const MOST: usize = 50;

/// What becomes of the output of `call`.
pub(super) fn output(script: &str, read: &Script, call: &Call) -> Output {
    let mut call = call;
    for _ in 0..MOST {
        if call.place.condition == Condition::Is {
            return Output::Decides;
        }
        if let Some(target) = redirected(script, call) {
            return Output::File(target);
        }
        if let Some(pipe) = pipe(script, call) {
            match read.calls.iter().find(|next| next.name.start > pipe) {
                Some(next) if FILTERS.contains(&name(script, next)) => call = next,
                _ => return Output::Decides,
            }
        } else if let Some(within) = call.place.within {
            let above = above(read, within);
            match above {
                Some(above) if writes(name(script, above)) => call = above,
                Some(above) if !SETTERS.contains(&name(script, above)) => return Output::Decides,
                _ => return kept(script, read),
            }
        } else if !read.functions.is_empty() || pipes_group(script) {
            return kept(script, read);
        } else {
            return Output::Shown;
        }
    }
    Output::Decides
}

fn name<'a>(script: &'a str, call: &Call) -> &'a str {
    &script[call.name.clone()]
}

fn writes(name: &str) -> bool {
    WRITERS.contains(&name) || COMPILERS.contains(&name)
}

/// The file that it writes to.
fn redirected(script: &str, call: &Call) -> Option<Range<usize>> {
    let writes = |text: &str| matches!(text, ">" | "1>" | ">>" | "1>>" | ">|" | "&>" | "&>>");
    let redirections = call.redirections.iter().rev();
    redirections
        .filter(|one| writes(&script[one.operator.clone()]))
        .map(|one| one.target.clone())
        .next()
}

/// Where the pipe is that takes its output, if one does.
fn pipe(script: &str, call: &Call) -> Option<usize> {
    let after = script[call.end()..].trim_start_matches([' ', '\t']);
    let piped = after.starts_with('|') && !after.starts_with("||");
    piped.then(|| script.len() - after.len())
}

/// The call that has what begins at `start` among its words or redirections.
fn above(read: &Script, start: usize) -> Option<&Call> {
    let mut calls = read.calls.iter().rev();
    calls.find(|call| call.name.start <= start && start < call.end())
}

/// What becomes of a value that a variable or a group has.
fn kept(script: &str, read: &Script) -> Output {
    let judges =
        |call: &Call| call.place.condition == Condition::Is || JUDGES.contains(&name(script, call));
    if pipes_group(script) || script.contains("$((") || read.calls.iter().any(judges) {
        Output::Decides
    } else {
        Output::Shown
    }
}

/// Whether a pipe follows what may be a group of commands.
fn pipes_group(script: &str) -> bool {
    let mut pipes = script.match_indices('|');
    pipes.any(|(at, _)| {
        let (before, after) = (&script[..at], &script[at + 1..]);
        let double = before.ends_with('|') || after.starts_with('|');
        let before = before.trim_end();
        !double
            && ["}", ")", "done", "fi"]
                .iter()
                .any(|end| before.ends_with(end))
    })
}
