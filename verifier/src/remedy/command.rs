//! Programs with a reproducible form, found where a shell would find a command.

use std::ops::Range;

use super::{
    Userland,
    shell::{Call, calls},
};

/// A program whose call can be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// Programs that run another one, whose call they hide.
const WRAPPERS: [&str; 15] = [
    "env", "sudo", "xargs", "nice", "nohup", "timeout", "command", "busybox", "chroot", "su",
    "eval", "sh", "bash", "dash", "ash",
];

/// A text in place of a part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The bytes that it replaces.
    pub(super) range: Range<usize>,
    /// What stands there then.
    pub(super) text: String,
}

/// What becomes of the calls of one program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rewriting {
    /// The changes, in the order of their places.
    pub(super) changes: Vec<Change>,
    /// Whether a call remains that has no reproducible form.
    pub(super) remains: bool,
}

/// What is to be done about one call.
enum Form {
    /// These changes put it in its reproducible form.
    New(Vec<Change>),
    /// It is in that form, or does something else.
    Fine,
    /// It may keep what differs, and no change of it is known to be right.
    Remains,
}

/// A call with the script that it is part of.
#[derive(Clone, Copy)]
struct View<'a> {
    script: &'a str,
    call: &'a Call,
}

impl Program {
    /// What puts every call of it in its reproducible form.
    pub(super) fn rewriting(self, script: &str, userland: Userland) -> Rewriting {
        let mut rewriting = Rewriting::default();
        let calls = calls(script).unwrap_or_default();
        for call in &calls {
            let view = View { script, call };
            if !self.names().contains(&view.program()) {
                rewriting.remains |= self.is_hidden_in(view);
                continue;
            }
            match self.form(view) {
                // A name with its directory may be another program than the one of that name.
                Form::New(_) if view.program() != view.name() => rewriting.remains = true,
                Form::New(_) if self.needs().is_some() && userland == Userland::Busybox => {
                    rewriting.remains = true;
                }
                Form::New(changes) => rewriting.changes.extend(changes),
                Form::Fine => {}
                Form::Remains => rewriting.remains = true,
            }
        }
        rewriting.changes.sort_by_key(|change| change.range.start);
        rewriting
    }

    /// What its reproducible form asks of the programs of an image, where that is not usual.
    pub(super) const fn needs(self) -> Option<&'static str> {
        match self {
            Self::Tar => Some("needs GNU tar, 1.28 or later"),
            Self::Cpio => Some("needs GNU cpio, 2.12 or later"),
            _ => None,
        }
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

    /// Whether `view` runs it through another program.
    fn is_hidden_in(self, view: View<'_>) -> bool {
        let runs = |word: &str| self.names().iter().any(|name| has_word(word, name));
        WRAPPERS.contains(&view.program()) && view.words().any(runs)
    }

    fn form(self, view: View<'_>) -> Form {
        match self {
            // One that is told a time, or shows that of a file.
            Self::Date if view.words().any(tells_time) => Form::Fine,
            Self::Date if view.text().contains("SOURCE_DATE_EPOCH") => Form::Fine,
            Self::Date => view.with("-u -d @$SOURCE_DATE_EPOCH"),
            Self::Hostname if view.program() == "uname" => uname(view),
            // With an argument it may set the name.
            Self::Hostname if view.words().next().is_some() => Form::Remains,
            Self::Hostname => Form::New(vec![view.replace_name("echo localhost")]),
            Self::Nproc => nproc(view),
            Self::Gzip if view.has(&['n', 'd', 'l', 't'], &GZIP) => Form::Fine,
            Self::Gzip => view.with("-n"),
            Self::Tar => tar(view),
            Self::Ar if view.program() == "ranlib" => view.with_option("-D"),
            Self::Ar => ar(view),
            Self::Zip if view.has(&['X'], &[]) => Form::Fine,
            Self::Zip => view.with("-X"),
            Self::Cpio if !view.has(&['o'], &["--create"]) => Form::Fine,
            Self::Cpio => view.with_option("--reproducible"),
            Self::CompilerPath if view.text().contains("-prefix-map=") => Form::Fine,
            // One in a directory that a variable names need not be below this one.
            Self::CompilerPath if view.sources().any(|source| source.contains(['$', '`'])) => {
                Form::Remains
            }
            Self::CompilerPath => view.with("-ffile-prefix-map=$PWD=."),
            Self::CompilerSeed => {
                let sources: Vec<&str> = view.sources().collect();
                match sources.as_slice() {
                    [] => Form::Fine,
                    _ if view.text().contains("-frandom-seed") => Form::Fine,
                    [source] => view.with(&format!("-frandom-seed={source}")),
                    _ => Form::Remains,
                }
            }
            Self::LinkerId => linker_id(view),
            Self::Javadoc => view.with_option("-notimestamp"),
            Self::Compileall => compileall(view),
        }
    }
}

/// Options of gzip in words after which it writes no header, or none with a name and a time.
const GZIP: [&str; 5] = [
    "--no-name",
    "--decompress",
    "--uncompress",
    "--list",
    "--test",
];

impl<'a> View<'a> {
    fn name(self) -> &'a str {
        &self.script[self.call.name.clone()]
    }

    /// The name without its directory.
    fn program(self) -> &'a str {
        self.name().rsplit('/').next().unwrap_or_default()
    }

    fn words(self) -> impl Iterator<Item = &'a str> {
        let script = self.script;
        let words = self.call.arguments.iter();
        words.map(move |word| &script[word.clone()])
    }

    fn text(self) -> &'a str {
        &self.script[self.call.name.start..self.call.end()]
    }

    /// The sources of C and C++ among its words.
    fn sources(self) -> impl Iterator<Item = &'a str> {
        self.words().filter(|word| is_source(word))
    }

    /// Whether it has an option of one letter, alone or in a bundle, or one in words.
    fn has(self, letters: &[char], options: &[&str]) -> bool {
        self.words().any(|word| {
            options.contains(&word) || letters.iter().any(|letter| is_bundle_with(word, *letter))
        })
    }

    fn replace_name(self, text: &str) -> Change {
        Change {
            range: self.call.name.clone(),
            text: text.to_owned(),
        }
    }

    /// The call with `options` in front of its arguments.
    fn with(self, options: &str) -> Form {
        Form::New(vec![insert(self.call.name.end, format!(" {options}"))])
    }

    /// The same, unless it has the option.
    fn with_option(self, option: &str) -> Form {
        if self.words().any(|word| word == option) {
            Form::Fine
        } else {
            self.with(option)
        }
    }
}

const fn insert(at: usize, text: String) -> Change {
    Change {
        range: at..at,
        text,
    }
}

/// Only `uname -n` says nothing but the name.
fn uname(view: View<'_>) -> Form {
    let all = &view.call.arguments;
    let only = match all.as_slice() {
        [only] => view
            .words()
            .all(|word| matches!(word, "-n" | "--nodename"))
            .then_some(only),
        _ => None,
    };
    let redirected = |at: usize| {
        view.call
            .redirections
            .iter()
            .any(|one| one.range.start < at)
    };
    match only {
        Some(only) if !redirected(only.end) => Form::New(vec![Change {
            range: view.call.name.start..only.end,
            text: "echo localhost".to_owned(),
        }]),
        _ if view.has(&['n', 'a'], &["--nodename", "--all"]) => Form::Remains,
        _ => Form::Fine,
    }
}

/// Its options, whose meaning is gone, are left out.
fn nproc(view: View<'_>) -> Form {
    let mut changes = vec![view.replace_name("echo 1")];
    let gone = view.call.arguments.iter().map(|word| {
        let space = view.script[..word.start].ends_with(' ');
        Change {
            range: word.start - usize::from(space)..word.end,
            text: String::new(),
        }
    });
    changes.extend(gone);
    Form::New(changes)
}

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

/// What makes an archive of tar follow from the files alone. Each is told by what stands before `=`.
const TAR_OPTIONS: [&str; 5] = [
    "--sort=name",
    "--mtime=@$SOURCE_DATE_EPOCH",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
];

fn tar(view: View<'_>) -> Form {
    match operation(view) {
        Operation::Create => {}
        Operation::Read => return Form::Fine,
        Operation::Other => return Form::Remains,
    }
    let has = |option: &str| {
        let name = option.split('=').next().unwrap_or(option);
        view.words()
            .any(|word| word.split('=').next() == Some(name))
    };
    let missing: Vec<&str> = TAR_OPTIONS
        .into_iter()
        .filter(|option| !has(option))
        .collect();
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

fn ar(view: View<'_>) -> Form {
    let (Some(range), Some(first)) = (view.call.arguments.first(), view.words().next()) else {
        return Form::Fine;
    };
    let letters = first.strip_prefix('-').unwrap_or(first);
    // Options in words have no letters to add one to.
    let plain = letters.bytes().all(|byte| byte.is_ascii_alphabetic());
    if plain && (letters.contains('D') || letters.starts_with(['t', 'x', 'p'])) {
        return Form::Fine;
    }
    if !plain || !letters.starts_with(['q', 'r', 'c', 's']) {
        return Form::Remains;
    }
    Form::New(vec![Change {
        range: range.clone(),
        text: format!("{}D", first.replace('U', "")),
    }])
}

fn linker_id(view: View<'_>) -> Form {
    let random = "--build-id=uuid";
    let changes: Vec<Change> = view
        .call
        .arguments
        .iter()
        .filter(|word| view.script[(*word).clone()].contains(random))
        .map(|word| Change {
            range: word.clone(),
            text: view.script[word.clone()].replace(random, "--build-id=sha1"),
        })
        .collect();
    if changes.is_empty() {
        Form::Fine
    } else {
        Form::New(changes)
    }
}

fn compileall(view: View<'_>) -> Form {
    let words: Vec<&str> = view.words().collect();
    let module = words
        .windows(2)
        .position(|pair| pair == ["-m", "compileall"]);
    match module {
        Some(at)
            if !words
                .iter()
                .any(|word| word.starts_with("--invalidation-mode")) =>
        {
            let end = view.call.arguments[at + 1].end;
            let text = " --invalidation-mode unchecked-hash".to_owned();
            Form::New(vec![insert(end, text)])
        }
        _ => Form::Fine,
    }
}

/// Expressions of `find` after which its output is no list of names, one on each line, whose order
/// means nothing.
const NO_LISTING: [&str; 12] = [
    "-exec", "-execdir", "-ok", "-okdir", "-print0", "-printf", "-fprint", "-fprint0", "-fprintf",
    "-fls", "-ls", "-quit",
];

/// Changes that sort the names which `find` or `ls` writes to one of `paths`, and the paths that they
/// write. What another program writes may have an order that means something.
pub(super) fn sorted_listings<'a>(script: &str, paths: &[&'a str]) -> (Vec<Change>, Vec<&'a str>) {
    let mut changes = Vec::new();
    let mut written = Vec::new();
    for call in calls(script).unwrap_or_default() {
        let view = View {
            script,
            call: &call,
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
            && matches!(others.as_slice(), [">" | ">>" | "1>" | "1>>"])
            && last.range.end == call.end()
            && lists_names(view)
        {
            let space = if script[..last.range.start].ends_with(' ') {
                ""
            } else {
                " "
            };
            let text = format!("{space}| LC_ALL=C sort ");
            changes.push(insert(last.range.start, text));
            written.push(*path);
        }
    }
    (changes, written)
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
fn is_at(path: &str, target: &str) -> bool {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute == path;
    }
    let target = target.strip_prefix("./").unwrap_or(target);
    let above = path.strip_suffix(target);
    above.is_some_and(|above| above.is_empty() || above.ends_with('/'))
}

/// The script with the changes made. Of two that meet, the first is made.
pub(super) fn changed(script: &str, changes: &[Change]) -> String {
    let mut out = String::with_capacity(script.len() + 64 * changes.len());
    let mut at = 0;
    for Change { range, text } in changes {
        if range.start >= at {
            out.push_str(&script[at..range.start]);
            out.push_str(text);
            at = range.end;
        }
    }
    out.push_str(&script[at..]);
    out
}

/// Whether `word` is a bundle of one-letter options with `letter` among them.
fn is_bundle_with(word: &str, letter: char) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains(letter)
}

/// Whether `word` names a source of C or C++.
fn is_source(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'']);
    [".c", ".cc", ".cpp", ".cxx", ".C"]
        .iter()
        .any(|end| word.ends_with(end))
}

/// Whether a word of `date` says which time is meant.
fn tells_time(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'']);
    if word.starts_with("--") {
        return ["--date", "--reference", "--set", "--file"]
            .iter()
            .any(|option| word.starts_with(option));
    }
    let Some(letters) = word.strip_prefix('-') else {
        // What stands alone sets the clock.
        return word.starts_with(|first: char| first.is_ascii_digit());
    };
    // The value of -I follows it at once.
    let letters = letters.split('I').next().unwrap_or_default();
    letters.contains(['d', 'r', 's', 'f'])
}

/// Whether `text` has `word` as a word of its own, maybe with a directory in front.
fn has_word(text: &str, word: &str) -> bool {
    let part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.');
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(|char| part(char) || char == '/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(program: Program, script: &str) -> Option<String> {
        let Rewriting { changes, .. } = program.rewriting(script, Userland::Unknown);
        (!changes.is_empty()).then(|| changed(script, &changes))
    }

    #[test]
    fn calls_are_rewritten_where_they_are_commands() {
        let epoch = "date -u -d @$SOURCE_DATE_EPOCH";
        let tar = TAR_OPTIONS.join(" ");
        for (program, line, expected) in [
            (Program::Date, "date > /x", format!("{epoch} > /x")),
            (Program::Date, "date -u +%F>/x", format!("{epoch} -u +%F>/x")),
            (
                Program::Date,
                "echo \"$(date)\" `date +%s`",
                format!("echo \"$({epoch})\" `{epoch} +%s`"),
            ),
            (Program::Date, "if date; then date; fi", format!("if {epoch}; then {epoch}; fi")),
            (Program::Date, "date -Iseconds > /x", format!("{epoch} -Iseconds > /x")),
            (Program::Date, "date -uIns", format!("{epoch} -uIns")),
            (Program::Date, "TZ=UTC date -Idate", format!("TZ=UTC {epoch} -Idate")),
            (
                Program::Date,
                "echo \"Time (date): $(date)\"; (date)",
                format!("echo \"Time (date): $({epoch})\"; ({epoch})"),
            ),
            (
                Program::Date,
                r#"gcc -DSTAMP="\"built $(date)\"" x.c"#,
                format!(r#"gcc -DSTAMP="\"built $({epoch})\"" x.c"#),
            ),
            (Program::Hostname, "uname --nodename | rev", "echo localhost | rev".into()),
            (Program::Nproc, "nproc --all --ignore 1 > /x", "echo 1 > /x".into()),
            (
                Program::Tar,
                "tar czf '/a;b.tgz' . 2>&1 | cat; tar -C / -cf /q.tar src; tar -z -c -f /r.tgz .",
                format!("tar czf '/a;b.tgz' . 2>&1 {tar} | cat; tar {tar} -C / -cf /q.tar src; tar {tar} -z -c -f /r.tgz ."),
            ),
            (
                Program::Tar,
                "tar --sort=name --owner=0 --group=0 -cf x y",
                "tar --mtime=@$SOURCE_DATE_EPOCH --numeric-owner --sort=name --owner=0 --group=0 -cf x y".into(),
            ),
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
            assert_eq!(rewritten(program, line), Some(expected), "{line}");
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
            (Program::Date, "echo \"(date)\" '$(date)'"),
            (Program::Date, "date 01010000"),
            (Program::Date, "cat > /x <<'E'\ndate\nE\n"),
            (Program::Hostname, "uname -n -r"),
            (Program::Hostname, "uname > /x -n"),
            (Program::Gzip, "gzip -dc x"),
            (Program::Tar, "tar -C c -xf x"),
            (Program::Tar, "tar -f c -x"),
            (Program::Tar, "tar rf x y"),
            (Program::Tar, "tar cf x -- y"),
            (Program::CompilerPath, "gcc -g $d/x.c"),
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
            assert_eq!(rewritten(program, line), None, "{line}");
        }
    }

    #[test]
    fn calls_without_a_reproducible_form_are_not_forgotten() {
        for (program, script, remains) in [
            (Program::Date, "date; date -r x", false),
            (Program::Date, "date; /bin/date", true),
            (Program::Date, "date; sh -c 'date > /x'", true),
            (Program::Date, "date; env TZ=UTC date", true),
            (Program::Date, "date; sudo update-date", false),
            (Program::Hostname, "uname -n; uname -n -r", true),
            (Program::Hostname, "uname -n; uname -r", false),
            (Program::Tar, "tar cf x y; tar xf x; /bin/tar tf x", false),
            (Program::Tar, "tar cf x y; tar $how x", true),
            (Program::CompilerSeed, "gcc x.c; gcc y.c z.c", true),
        ] {
            let found = program.rewriting(script, Userland::Unknown);
            assert_eq!(found.remains, remains, "{script}");
        }
    }

    #[test]
    fn what_busybox_has_not_is_not_asked_of_it() {
        for (program, script) in [
            (Program::Tar, "tar cf x y"),
            (Program::Cpio, "ls | cpio -o > x"),
        ] {
            let found = program.rewriting(script, Userland::Busybox);
            assert_eq!((found.changes.len(), found.remains), (0, true), "{script}");
            let reads = program.rewriting("tar xf x; cpio -i < x", Userland::Busybox);
            assert_eq!(reads, Rewriting::default());
        }
        let found = Program::Date.rewriting("date", Userland::Busybox);
        assert_eq!(found.changes.len(), 1);
    }

    #[test]
    fn listings_are_sorted_where_they_are_written() {
        for (script, expected) in [
            ("find d -type f > /f", "find d -type f | LC_ALL=C sort > /f"),
            ("cd /; ls -1A d>./f", "cd /; ls -1A d | LC_ALL=C sort >./f"),
            (
                "x && find d 2>/dev/null >> f || y",
                "x && find d 2>/dev/null | LC_ALL=C sort >> f || y",
            ),
        ] {
            let (changes, written) = sorted_listings(script, &["f"]);
            assert_eq!(changed(script, &changes), expected);
            assert_eq!(written, ["f"]);
        }
        for script in [
            "find d -type f -exec cat {} + > /f",
            "find d -print0 > /f",
            "find d > /g",
            "find d > /f 2>&1",
            "find d 2>&1 > /f",
            "find d > /f -type f",
            "find d | cat > /f",
            "{ find d; } > /f",
            "make > /f",
            "ls -t d > /f",
            "ls a b > /f",
            "ls a/* > /f",
            "echo 'find d > /f'",
        ] {
            assert_eq!(
                sorted_listings(script, &["f"]),
                (vec![], vec![]),
                "{script}"
            );
        }
    }
}
