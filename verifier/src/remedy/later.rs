//! Whether what comes later in a Dockerfile may need a file that a step leaves.

/// Characters of a name that stand for themselves.
fn is_plain(char: char) -> bool {
    char.is_alphanumeric() || "._-+@%~".contains(char)
}

/// Whether the text of later instructions may name `path`, a path below `/`, or what it is in.
pub(super) fn may_need(later: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
    later.contains(name) || above.any(|directory| names(later, directory)) || takes_all(later)
}

/// Whether a text names a directory itself, or what a pattern or a variable gives in it.
fn names(text: &str, directory: &str) -> bool {
    text.match_indices(directory).any(|(at, _)| {
        let rest = &text[at + directory.len()..];
        let end = |char: char| !is_plain(char) && char != '/';
        let (word, next) = rest.split_at(rest.find(end).unwrap_or(rest.len()));
        word.trim_end_matches('/').is_empty()
            || next.starts_with(['*', '?', '[', '{', '$', '`', '\\'])
    })
}

/// Whether what is taken from another stage may be all of it.
fn takes_all(later: &str) -> bool {
    later.lines().any(|line| {
        let mut words = line.split_whitespace().rev().skip(1);
        let all = |word: &str| {
            matches!(word, "/" | "." | "./" | "/.")
                || word.contains(['$', '*', '?', '[', '"'])
                || word.starts_with("--mount")
        };
        line.contains("from=") && (line.trim_end().ends_with(['\\', '`']) || words.any(all))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_instruction_may_name_is_needed() {
        for (later, needed) in [
            ("", false),
            ("RUN cat /etc/other\nCMD [\"cat\", \"/etc/b\"]\n", false),
            ("RUN cat /etc/a/seed\n", true),
            ("WORKDIR /etc/a\n", true),
            ("RUN cd /etc && ls\n", true),
            ("RUN cat /etc/*\n", true),
            ("RUN cat /etc/a/se*\n", true),
            ("RUN cat /etc/$x\n", true),
            ("COPY seed /\n", true),
            ("COPY --from=a /etc/ /out/\n", true),
            ("COPY --from=a / /out\n", true),
            ("COPY --from=a \\\n  / /out\n", true),
            ("COPY --from=a /usr/x .\n", false),
            ("RUN --mount=from=a,target=/m ls\n", true),
        ] {
            assert_eq!(may_need(later, "etc/a/seed"), needed, "{later}");
        }
    }
}
