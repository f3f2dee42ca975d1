//! Calls of tar.

use super::{Form, View, insert};

/// What a call of tar does to its archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    /// Reads it.
    Read,
    /// Adds to one that is there, or is not told in a way that is known.
    Other,
}

/// Letters of tar that take a value.
const TAR_VALUES: [char; 11] = ['f', 'b', 'C', 'T', 'X', 'I', 'K', 'N', 'V', 'g', 'F'];

fn operation(view: View<'_>) -> Operation {
    let mut words = view.words();
    let mut first = true;
    while let Some(word) = words.next() {
        let letters = match word.strip_prefix('-') {
            Some("-") => break,
            Some(long) if long.starts_with('-') => {
                match long {
                    "-create" => return Operation::Create,
                    "-extract" | "-get" | "-list" | "-diff" | "-compare" | "-test-label"
                    | "-version" | "-help" => return Operation::Read,
                    _ => {}
                }
                ""
            }
            Some(letters) => letters,
            // An old bundle of letters.
            None if first => word,
            None => "",
        };
        let old = first && !word.starts_with('-');
        first = false;
        for (at, letter) in letters.char_indices() {
            match letter {
                'c' => return Operation::Create,
                'x' | 't' | 'd' => return Operation::Read,
                'r' | 'u' | 'A' => return Operation::Other,
                _ if !old && TAR_VALUES.contains(&letter) => {
                    if at + letter.len_utf8() == letters.len() {
                        words.next();
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    Operation::Other
}

/// Whether tar takes its names from directories alone: it sorts no others.
pub(super) fn sorts(view: View<'_>) -> bool {
    let old = view.words().next().unwrap_or_default();
    let listed = view.has(&['T'], &["--files-from"])
        || !old.starts_with('-') && old.contains('T')
        || view.words().any(|word| word.starts_with("--files-from"));
    let found =
        |word: &str| !word.starts_with("--") && word.contains(['*', '?', '[', '{', '$', '`']);
    !listed && !view.words().any(found)
}

/// Whether it writes a file, not into whatever reads its output.
fn writes_file(view: View<'_>) -> bool {
    let redirected = view.call.redirections.iter().any(|one| {
        let operator = &view.script[one.operator.clone()];
        matches!(operator, ">" | "1>" | ">|")
    });
    let old = view.words().next().unwrap_or_default();
    let named = view.has(&['f'], &["--file"])
        || !old.starts_with('-') && old.contains('f')
        || view.words().any(|word| word.starts_with("--file="));
    let standard = |word: &str| word == "-" || word.starts_with('-') && word.ends_with("f-");
    let standard = view
        .words()
        .any(|word| standard(word) || word == "--file=-" || word.contains("/dev/"));
    redirected || named && !standard
}

pub(super) fn rewritten(view: View<'_>, options: &[&'static str]) -> Form {
    match operation(view) {
        Operation::Create if writes_file(view) => {}
        Operation::Read => return Form::Fine,
        Operation::Create | Operation::Other => return Form::Remains,
    }
    let has = |option: &str| {
        let name = option.split('=').next().unwrap_or(option);
        view.words()
            .any(|word| word.split('=').next() == Some(name))
    };
    let missing = options.iter().copied().filter(|option| !has(option));
    let missing: Vec<&str> = missing.collect();
    if missing.is_empty() {
        return Form::Fine;
    }
    let missing = missing.join(" ");
    // Old bundles of letters must stay in front.
    if view
        .words()
        .next()
        .is_some_and(|word| word.starts_with('-'))
    {
        view.with(&missing)
    } else if view.words().any(|word| word == "--") {
        Form::Remains
    } else {
        Form::New(vec![insert(view.call.end(), format!(" {missing}"))])
    }
}
