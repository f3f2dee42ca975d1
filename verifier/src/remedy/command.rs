//! Programs with a reproducible form, found where a shell would find a command.

/// A program whose call can be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// `date`, of the epoch instead of now.
    Date,
    /// `hostname` and `uname -n`, by a name that means no machine.
    Hostname,
    /// `nproc`, by one.
    Nproc,
    /// `gzip`, without name and time.
    Gzip,
    /// `tar` that creates, with sorted names, one time and no owner.
    Tar,
    /// `python -m compileall`, without the time of the source.
    Compileall,
}

/// What can stand before a command. A quotation mark is not among it: what follows one is as
/// likely a text as a command.
const STARTS: [char; 6] = [';', '&', '|', '(', '`', '{'];
/// Words of the shell that a command can follow.
const WORDS: [&str; 9] = [
    "then", "do", "else", "if", "while", "until", "time", "exec", "!",
];
/// What ends a command.
const ENDS: [char; 6] = [';', '&', '|', ')', '`', '\n'];

impl Program {
    /// The line with every call in its reproducible form; `None` where there is none. `line` is
    /// a line of a script from the beginning of a command on.
    pub(super) fn rewritten(self, line: &str) -> Option<String> {
        let mut out = String::with_capacity(line.len() + 32);
        let mut rest = line;
        let mut found = false;
        while let Some((at, call)) = self.next_call(line, rest) {
            out.push_str(&rest[..at]);
            let call = &rest[at..at + call];
            match self.form(call) {
                Some(new) => {
                    out.push_str(&new);
                    found = true;
                }
                None => out.push_str(call),
            }
            rest = &rest[at + call.len()..];
        }
        out.push_str(rest);
        found.then_some(out)
    }

    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Date => &["date"],
            Self::Hostname => &["hostname", "uname"],
            Self::Nproc => &["nproc"],
            Self::Gzip => &["gzip"],
            Self::Tar => &["tar"],
            Self::Compileall => &["python", "python3"],
        }
    }

    /// The next call in `rest`, the end of `line`: where it begins and how long it is.
    fn next_call(self, line: &str, rest: &str) -> Option<(usize, usize)> {
        let before = line.len() - rest.len();
        let hits = self.names().iter().filter_map(|name| {
            rest.match_indices(name)
                .find(|(at, _)| is_call(line, before + at, name))
                .map(|(at, _)| at)
        });
        let at = hits.min()?;
        let length = rest[at..].find(ENDS).unwrap_or(rest.len() - at);
        Some((at, length))
    }

    /// The reproducible form of one call, if it is not that already.
    fn form(self, call: &str) -> Option<String> {
        let (name, arguments) = split_name(call);
        let mut words = arguments.split_whitespace();
        match self {
            // One that is told a time, or shows that of a file.
            Self::Date if words.any(tells_time) || call.contains("SOURCE_DATE_EPOCH") => None,
            Self::Date => Some(format!("{name} -u -d @$SOURCE_DATE_EPOCH{arguments}")),
            Self::Hostname if name == "uname" => match words.next() {
                Some("-n") => Some(call.replacen("uname -n", "echo localhost", 1)),
                _ => None,
            },
            // With an argument it may set the name.
            Self::Hostname => words
                .next()
                .is_none_or(|word| word.starts_with('>') || word.starts_with("2>"))
                .then(|| format!("echo localhost{arguments}")),
            Self::Nproc => Some(format!("echo 1{}", without_options(arguments))),
            Self::Gzip
                if words
                    .clone()
                    .any(|word| word == "-n" || word == "--no-name") =>
            {
                None
            }
            Self::Gzip => Some(format!("{name} -n{arguments}")),
            Self::Tar => {
                let first = words.next()?;
                let creates = if first.starts_with("--") {
                    first == "--create"
                } else {
                    first.contains('c')
                };
                // Old bundles of letters must stay in front.
                let dashed = first.starts_with('-');
                if !creates || call.contains("--sort") {
                    return None;
                }
                let fixed =
                    "--sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner";
                Some(if dashed {
                    format!("{name} {fixed}{arguments}")
                } else {
                    let end = call.trim_end().len();
                    format!("{} {fixed}{}", &call[..end], &call[end..])
                })
            }
            Self::Compileall if call.contains("--invalidation-mode") => None,
            Self::Compileall => call.contains("-m compileall").then(|| {
                call.replacen(
                    "-m compileall",
                    "-m compileall --invalidation-mode unchecked-hash",
                    1,
                )
            }),
        }
    }
}

fn tells_time(word: &str) -> bool {
    word.starts_with("--date")
        || word.starts_with("--reference")
        || word.starts_with("--set")
        || (word.starts_with('-') && !word.starts_with("--") && word.contains(['d', 'r', 's']))
}

/// What follows the options of a call: redirections stay.
fn without_options(arguments: &str) -> &str {
    let trimmed = arguments.trim_start();
    if trimmed.starts_with("--") {
        let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
        &trimmed[end..]
    } else {
        arguments
    }
}

fn split_name(call: &str) -> (&str, &str) {
    let end = call
        .find(|char: char| char.is_whitespace() || char == '>')
        .unwrap_or(call.len());
    call.split_at(end)
}

/// Whether `name` at `at` is a command of its own.
fn is_call(line: &str, at: usize, name: &str) -> bool {
    let ended = line[at + name.len()..]
        .chars()
        .next()
        .is_none_or(|next| next.is_whitespace() || next == '>' || ENDS.contains(&next));
    let before = &line[..at];
    let trimmed = before.trim_end();
    let separate = trimmed.is_empty()
        || trimmed.ends_with(STARTS)
        || (before.len() > trimmed.len()
            && trimmed
                .rsplit(|char: char| char.is_whitespace() || STARTS.contains(&char))
                .next()
                .is_some_and(|word| WORDS.contains(&word)));
    ended && separate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_rewritten_where_they_are_commands() {
        let epoch = "date -u -d @$SOURCE_DATE_EPOCH";
        for (program, line, expected) in [
            (Program::Date, "date > /x", format!("{epoch} > /x")),
            (Program::Date, "date -u +%F>/x", format!("{epoch} -u +%F>/x")),
            (
                Program::Date,
                "echo \"$(date)\" `date +%s`",
                format!("echo \"$({epoch})\" `{epoch} +%s`"),
            ),
            (Program::Date, "if date; then date; fi", format!("if {epoch}; then {epoch}; fi")),
            (Program::Hostname, "hostname > /x", "echo localhost > /x".into()),
            (Program::Hostname, "x=$(uname -n)", "x=$(echo localhost)".into()),
            (Program::Nproc, "make -j$(nproc --all)", "make -j$(echo 1)".into()),
            (Program::Gzip, "cat x | gzip -9 > y", "cat x | gzip -n -9 > y".into()),
            (
                Program::Tar,
                "tar -cf x y",
                "tar --sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner -cf x y".into(),
            ),
            (
                Program::Compileall,
                "python3 -m compileall /app",
                "python3 -m compileall --invalidation-mode unchecked-hash /app".into(),
            ),
        ] {
            assert_eq!(program.rewritten(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_command_or_needs_no_change_stays() {
        for (program, line) in [
            (Program::Date, "echo date"),
            (Program::Date, "update"),
            (Program::Date, "echo 'date of today'"),
            (Program::Date, "date -r file"),
            (Program::Date, "date -ud @1"),
            (Program::Date, "/usr/bin/date"),
            (Program::Hostname, "hostname -F /etc/hostname"),
            (Program::Hostname, "uname -r"),
            (Program::Gzip, "gzip -n x"),
            (Program::Tar, "tar xf x"),
            (Program::Tar, "tar -xf x"),
            (Program::Compileall, "python3 setup.py"),
        ] {
            assert_eq!(program.rewritten(line), None, "{line}");
        }
    }
}
