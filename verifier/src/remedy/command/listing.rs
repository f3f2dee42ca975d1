//! Names that `find` and `ls` write in the order of a directory.

use super::{super::shell::read, Around, Change, View, insert};

/// Expressions of `find` after which its output is no list of names, one on each line, whose order
/// means nothing.
const NO_LISTING: [&str; 16] = [
    "-exec", "-execdir", "-ok", "-okdir", "-print0", "-printf", "-fprint", "-fprint0", "-fprintf",
    "-fls", "-ls", "-quit", "-depth", "-d", "-delete", "-prune",
];

/// Changes that sort the names which `find` or `ls` writes to one of `paths`, and the paths that they
/// write. What another program writes may have an order that means something.
pub(in crate::remedy) fn sorted_listings<'a>(
    script: &str,
    around: Around,
    paths: &[&'a str],
) -> (Vec<Change>, Vec<&'a str>) {
    let mut changes = Vec::new();
    let mut written = Vec::new();
    let read = read(script).unwrap_or_default();
    for call in &read.calls {
        let view = View {
            script,
            call,
            around,
        };
        let Some(last) = call.redirections.last() else {
            continue;
        };
        let target = &script[last.target.clone()];
        let path = paths.iter().find(|path| is_at(path, target));
        let operators = call
            .redirections
            .iter()
            .map(|one| &script[one.operator.clone()]);
        let others = operators.filter(|text| !matches!(*text, "2>" | "2>>"));
        let others: Vec<&str> = others.collect();
        if let Some(path) = path
            && matches!(others.as_slice(), [">" | "1>"])
            && last.range.end == call.end()
            && script.matches(target).count() == 1
            && stands_alone(view)
            && lists_names(view)
        {
            // Not by a pipe, which would hide how it ends.
            let text = format!(" && LC_ALL=C sort -o {target} {target}");
            changes.push(insert(call.end(), text));
            written.push(*path);
        }
    }
    (changes, written)
}

/// Whether another command can follow where it does well: it is no part of a pipe, runs before what
/// comes next, and nothing turns round how it ends.
fn stands_alone(view: View<'_>) -> bool {
    let script = view.script;
    let before = script[..view.call.name.start].trim_end();
    let after = script[view.call.end()..].trim_start_matches([' ', '\t']);
    let piped = |text: &str, double: &str, single: char| {
        text.starts_with(single) && !text.starts_with(double)
    };
    !piped(after, "||", '|')
        && !piped(after, "&&", '&')
        && !before.ends_with('!')
        && (before.ends_with("||") || !before.ends_with('|'))
        && view.call.place.within.is_none()
}

fn lists_names(view: View<'_>) -> bool {
    match view.name() {
        "find" => !view.words().any(|word| NO_LISTING.contains(&word)),
        // Of several directories it says which is which, and another order can be asked for.
        "ls" => {
            let (options, names): (Vec<&str>, Vec<&str>) =
                view.words().partition(|word| word.starts_with('-'));
            let plain = |word: &&str| word[1..].bytes().all(|byte| b"1aAUf".contains(&byte));
            options.iter().all(plain)
                && names.len() <= 1
                && !names
                    .iter()
                    .any(|name| name.contains(['*', '?', '[', '{', '$', '`']))
        }
        _ => false,
    }
}

/// Whether a shell that redirects to `target` may write `path`, a path below `/`.
pub(super) fn is_at(path: &str, target: &str) -> bool {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute == path;
    }
    let target = target.strip_prefix("./").unwrap_or(target);
    let above = path.strip_suffix(target);
    above.is_some_and(|above| above.is_empty() || above.ends_with('/'))
}
