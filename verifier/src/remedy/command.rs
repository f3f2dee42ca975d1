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
    /// `ar` and `ranlib`, without time and owner.
    Ar,
    /// `zip`, without the extra fields of the file system.
    Zip,
    /// `cpio` that creates, without inodes and devices.
    Cpio,
    /// A C or C++ compiler, with its directory left out of what it writes.
    CompilerPath,
    /// A C or C++ compiler, with a seed of its own for each source.
    CompilerSeed,
    /// A C or C++ compiler that asks its linker for a random build id.
    LinkerId,
    /// `javadoc`, without its time.
    Javadoc,
}

/// What C and C++ compilers are called.
const COMPILERS: [&str; 6] = ["gcc", "g++", "cc", "c++", "clang", "clang++"];

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
            Self::Ar => &["ar", "ranlib"],
            Self::Zip => &["zip"],
            Self::Cpio => &["cpio"],
            Self::CompilerPath | Self::CompilerSeed | Self::LinkerId => &COMPILERS,
            Self::Javadoc => &["javadoc"],
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
            Self::Ar if name == "ranlib" => with_option(name, arguments, "-D"),
            Self::Ar => {
                let first = words.next()?;
                let letters = first.strip_prefix('-').unwrap_or(first);
                // Others do not write, and options in words have no letters to add one to.
                let writes = letters.starts_with(['q', 'r', 'c', 's']);
                if !writes
                    || !letters.bytes().all(|byte| byte.is_ascii_alphabetic())
                    || letters.contains('D')
                {
                    return None;
                }
                let fixed = format!("{}D", first.replace('U', ""));
                Some(format!("{name}{}", arguments.replacen(first, &fixed, 1)))
            }
            Self::Zip if words.any(|word| is_bundle_with(word, 'X')) => None,
            Self::Zip => with_option(name, arguments, "-X"),
            Self::Cpio if !call.contains("-o") && !call.contains("--create") => None,
            Self::Cpio => with_option(name, arguments, "--reproducible"),
            Self::CompilerPath if call.contains("-prefix-map=") => None,
            Self::CompilerPath => with_option(name, arguments, "-ffile-prefix-map=$PWD=."),
            Self::CompilerSeed => {
                let sources: Vec<&str> = words.filter(|word| is_source(word)).collect();
                let [source] = sources.as_slice() else {
                    return None;
                };
                if call.contains("-frandom-seed") {
                    return None;
                }
                with_option(name, arguments, &format!("-frandom-seed={source}"))
            }
            Self::LinkerId => call
                .contains("--build-id=uuid")
                .then(|| call.replace("--build-id=uuid", "--build-id=sha1")),
            Self::Javadoc => with_option(name, arguments, "-notimestamp"),
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

/// The call with `option` in front of its arguments, unless it has it.
fn with_option(name: &str, arguments: &str, option: &str) -> Option<String> {
    let there = arguments.split_whitespace().any(|word| word == option);
    (!there).then(|| format!("{name} {option}{arguments}"))
}

/// Whether `word` is a bundle of one-letter options with `letter` among them.
fn is_bundle_with(word: &str, letter: char) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains(letter)
}

/// Whether `word` names a source of C or C++.
fn is_source(word: &str) -> bool {
    [".c", ".cc", ".cpp", ".cxx", ".C"]
        .iter()
        .any(|end| word.ends_with(end))
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
            (Program::Ar, "ar rcs x.a x.o && ranlib x.a", "ar rcsD x.a x.o && ranlib -D x.a".into()),
            (Program::Ar, "ar -qcU x.a x.o", "ar -qcD x.a x.o".into()),
            (Program::Zip, "zip -r x.zip y", "zip -X -r x.zip y".into()),
            (Program::Cpio, "ls | cpio -o -H newc > x", "ls | cpio --reproducible -o -H newc > x".into()),
            (Program::CompilerPath, "gcc -g x.c", "gcc -ffile-prefix-map=$PWD=. -g x.c".into()),
            (Program::CompilerSeed, "g++ -c x.cc", "g++ -frandom-seed=x.cc -c x.cc".into()),
            (
                Program::LinkerId,
                "cc -Wl,--build-id=uuid x.c",
                "cc -Wl,--build-id=sha1 x.c".into(),
            ),
            (Program::Javadoc, "javadoc -d x P.java", "javadoc -notimestamp -d x P.java".into()),
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
            (Program::Ar, "ar t x.a"),
            (Program::Ar, "ar rcsD x.a x.o"),
            (Program::Ar, "ar --version"),
            (Program::Zip, "zip -qX x.zip y"),
            (Program::Zip, "unzip x.zip"),
            (Program::Cpio, "cpio -i < x"),
            (Program::CompilerPath, "gcc -fdebug-prefix-map=/x=. x.c"),
            (Program::CompilerSeed, "gcc x.c y.c"),
            (Program::CompilerSeed, "gcc x.o"),
            (Program::LinkerId, "gcc x.c"),
        ] {
            assert_eq!(program.rewritten(line), None, "{line}");
        }
    }
}
