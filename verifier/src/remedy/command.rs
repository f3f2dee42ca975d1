//! Programs with a reproducible form, found where a shell would find a command.

use std::ops::Range;

use super::{
    Userland,
    output::{Output, output},
    shell::{Call, Script, read},
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
    /// `tar` that creates, with sorted names.
    TarOrder,
    /// The same, with one time.
    TarTime,
    /// The same, without owner.
    TarOwner,
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
pub(super) const COMPILERS: [&str; 6] = ["gcc", "g++", "cc", "c++", "clang", "clang++"];

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
    /// Whether something remains that may be a call of it.
    pub(super) remains: bool,
    /// What the changed calls write, as far as their text tells.
    pub(super) written: Vec<Written>,
}

impl Rewriting {
    /// Whether nothing remains and the changed calls write all of `paths`.
    pub(super) fn covers(&self, paths: &[&str]) -> bool {
        let written = |path: &&str| self.written.iter().any(|one| one.is(path));
        !self.remains && paths.iter().all(written)
    }
}

/// What a call writes, by a word of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// This file.
    File(String),
    /// What is below this directory.
    Below(String),
}

impl Written {
    fn is(&self, path: &str) -> bool {
        match self {
            Self::File(target) => is_at(path, target),
            Self::Below(directory) => {
                let ends = path.match_indices('/').map(|(end, _)| &path[..end]);
                ends.into_iter().any(|above| is_at(above, directory))
            }
        }
    }
}

/// What the text of a step does not say of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Whose programs it runs.
    pub(super) userland: Userland,
    /// Whose time its clocks show.
    pub(super) zone: Zone,
}

/// Whose time a clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// That of the place that is set.
    Set,
    /// As nothing says another, that of Greenwich.
    Utc,
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
    around: Around,
}

impl Program {
    /// What puts every call of it in its reproducible form.
    pub(super) fn rewriting(self, script: &str, around: Around) -> Rewriting {
        let Some(read) = read(script) else {
            return Rewriting::default();
        };
        let mut rewriting = Rewriting {
            remains: self.is_hidden(script, &read.calls),
            ..Rewriting::default()
        };
        if self.is_another(script, &read) || self.needs_epoch() && !keeps_epoch(script, &read) {
            rewriting.remains = true;
            return rewriting;
        }
        for call in &read.calls {
            let view = View {
                script,
                call,
                around,
            };
            if !self.names().contains(&view.program()) {
                continue;
            }
            match self.form(view) {
                // A name with its directory may be another program than the one of that name.
                Form::New(_) if view.program() != view.name() => rewriting.remains = true,
                Form::New(_) if self.needs().is_some() && around.userland != Userland::Gnu => {
                    rewriting.remains = true;
                }
                Form::New(changes) => {
                    if !self.write(view, &read, &mut rewriting.written) {
                        // Another time in one place only would part what belongs together.
                        return Rewriting {
                            remains: true,
                            ..Rewriting::default()
                        };
                    }
                    rewriting.changes.extend(changes);
                }
                Form::Fine => {}
                Form::Remains => rewriting.remains = true,
            }
        }
        rewriting.changes.sort_by_key(|change| change.range.start);
        rewriting
    }

    /// Adds what the call writes; `false` where the script may do one thing or another by what it says.
    fn write(self, view: View<'_>, read: &Script, written: &mut Vec<Written>) -> bool {
        let redirected = output(view.script, read, view.call);
        match (redirected, self) {
            (Output::Decides, Self::Date | Self::Hostname | Self::Nproc) => return false,
            (Output::File(target), _) => {
                written.extend(literal(&view.script[target]).map(Written::File));
            }
            _ => {}
        }
        let words = view.words().map(|word| match word.strip_prefix("--") {
            Some(option) => option.split_once('=').map_or("", |(_, value)| value),
            None => word,
        });
        for word in words.filter_map(literal) {
            match self {
                Self::Date | Self::Hostname | Self::Nproc => {}
                Self::Gzip => written.push(Written::File(format!("{word}.gz"))),
                Self::Javadoc | Self::Compileall => written.push(Written::Below(word)),
                _ => written.push(Written::File(word)),
            }
        }
        true
    }

    /// Whether the script may run it in another way than by a call that is known.
    fn is_hidden(self, script: &str, calls: &[Call]) -> bool {
        let known = |at: usize| {
            calls.iter().any(|call| {
                let name = &script[call.name.clone()];
                let own = name.rsplit('/').next().unwrap_or_default();
                call.name.contains(&at) && self.names().contains(&own)
            })
        };
        let names = self.names().iter();
        names
            .flat_map(|name| words(script, name))
            .any(|at| !known(at))
    }

    /// Whether the script gives its name to something else.
    fn is_another(self, script: &str, read: &Script) -> bool {
        let mut functions = read.functions.iter();
        let mut aliases = read.calls.iter().filter(|call| {
            let name = &script[call.name.clone()];
            matches!(name, "alias" | "hash")
        });
        functions.any(|name| self.names().contains(&&script[name.clone()]))
            || aliases.any(|call| {
                let mut words = call.arguments.iter();
                words.any(|word| {
                    let name = script[word.clone()].split('=').next();
                    name.is_some_and(|name| self.names().contains(&name))
                })
            })
    }

    const fn needs_epoch(self) -> bool {
        matches!(self, Self::Date | Self::TarTime)
    }

    /// What its reproducible form asks of the programs of an image, where that is not usual.
    pub(super) const fn needs(self) -> Option<&'static str> {
        match self {
            Self::TarOrder | Self::TarTime | Self::TarOwner => Some("needs GNU tar, 1.28 or later"),
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
            Self::TarOrder | Self::TarTime | Self::TarOwner => &["tar"],
            Self::Compileall => &["python", "python3"],
            Self::Ar => &["ar", "ranlib"],
            Self::Zip => &["zip"],
            Self::Cpio => &["cpio"],
            Self::CompilerPath | Self::CompilerSeed | Self::LinkerId => &COMPILERS,
            Self::Javadoc => &["javadoc"],
        }
    }

    fn form(self, view: View<'_>) -> Form {
        match self {
            // One that is told a time, or shows that of a file.
            Self::Date if view.words().any(tells_time) => Form::Fine,
            Self::Date if view.text().contains("SOURCE_DATE_EPOCH") => Form::Fine,
            Self::Date if view.around.zone == Zone::Set || view.names_zone() => {
                view.with("-d @$SOURCE_DATE_EPOCH")
            }
            Self::Date => view.with("-u -d @$SOURCE_DATE_EPOCH"),
            Self::Hostname if view.program() == "uname" => uname(view),
            // With an argument it may set the name.
            Self::Hostname if view.words().next().is_some() => Form::Remains,
            Self::Hostname => Form::New(vec![view.replace_name("echo localhost")]),
            Self::Nproc => nproc(view),
            Self::Gzip if view.has(&['n', 'd', 'l', 't'], &GZIP) => Form::Fine,
            Self::Gzip => view.with("-n"),
            Self::TarOrder if !tar_sorts(view) => Form::Remains,
            Self::TarOrder => tar(view, &["--sort=name"]),
            Self::TarTime => tar(view, &["--mtime=@$SOURCE_DATE_EPOCH"]),
            Self::TarOwner => tar(view, &["--owner=0", "--group=0", "--numeric-owner"]),
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

    /// Whether it writes which zone its time is of.
    fn names_zone(self) -> bool {
        let text = self.text();
        ["%Z", "%z", "%:"].iter().any(|zone| text.contains(zone))
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

/// Whether tar takes its names from directories alone: it sorts no others.
fn tar_sorts(view: View<'_>) -> bool {
    let old = view.words().next().unwrap_or_default();
    let listed = view.has(&['T'], &["--files-from"])
        || !old.starts_with('-') && old.contains('T')
        || view.words().any(|word| word.starts_with("--files-from"));
    let found =
        |word: &str| !word.starts_with("--") && word.contains(['*', '?', '[', '{', '$', '`']);
    !listed && !view.words().any(found)
}

/// Whether it writes a file, not into whatever reads its output.
fn tar_writes_file(view: View<'_>) -> bool {
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

fn tar(view: View<'_>, options: &[&'static str]) -> Form {
    match operation(view) {
        Operation::Create if tar_writes_file(view) => {}
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
const NO_LISTING: [&str; 16] = [
    "-exec", "-execdir", "-ok", "-okdir", "-print0", "-printf", "-fprint", "-fprint0", "-fprintf",
    "-fls", "-ls", "-quit", "-depth", "-d", "-delete", "-prune",
];

/// Changes that sort the names which `find` or `ls` writes to one of `paths`, and the paths that they
/// write. What another program writes may have an order that means something.
pub(super) fn sorted_listings<'a>(
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

/// Whether the script leaves the epoch to its programs as it is.
pub(super) fn keeps_epoch(script: &str, read: &Script) -> bool {
    let used = |at: usize| script[..at].ends_with('$') || script[..at].ends_with("${");
    let mut named = script.match_indices("SOURCE_DATE_EPOCH");
    let clears = |call: &Call| {
        let name = script[call.name.clone()].rsplit('/').next();
        let mut words = call.arguments.iter();
        name == Some("env") && words.any(|word| script[word.clone()].starts_with('-'))
    };
    named.all(|(at, _)| used(at)) && !read.calls.iter().any(clears)
}

/// What a word without variables and patterns says, without its quotes.
fn literal(word: &str) -> Option<String> {
    let quoted = |quote| word.strip_prefix(quote)?.strip_suffix(quote);
    let text = quoted('"').or_else(|| quoted('\'')).unwrap_or(word);
    let special = ['$', '`', '*', '?', '[', '{', '\\', '"', '\''];
    (!text.is_empty() && !text.contains(special)).then(|| text.to_owned())
}

/// Where `text` has `word` as a word of its own, maybe with a directory in front.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '+');
    let found = text.match_indices(word).map(|(at, _)| at);
    found.filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(|char| part(char) || char == '/')
    })
}

/// Whether it has one.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    words(text, word).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GNU: Around = Around {
        userland: Userland::Gnu,
        zone: Zone::Utc,
    };

    fn rewritten(program: Program, script: &str) -> Option<String> {
        let Rewriting { changes, .. } = program.rewriting(script, GNU);
        (!changes.is_empty()).then(|| changed(script, &changes))
    }

    #[test]
    fn calls_are_rewritten_where_they_are_commands() {
        let epoch = "date -u -d @$SOURCE_DATE_EPOCH";
        let owner = "--owner=0 --group=0 --numeric-owner";
        for (program, line, expected) in [
            (Program::Date, "date > /x", format!("{epoch} > /x")),
            (
                Program::Date,
                "date -u +%F>/x",
                format!("{epoch} -u +%F>/x"),
            ),
            (
                Program::Date,
                "echo \"$(date)\" `date +%s`",
                format!("echo \"$({epoch})\" `{epoch} +%s`"),
            ),
            (
                Program::Date,
                "if a; then date; fi",
                format!("if a; then {epoch}; fi"),
            ),
            (
                Program::Date,
                "for x in a; do date; done > /x",
                format!("for x in a; do {epoch}; done > /x"),
            ),
            (
                Program::Date,
                "x=$(date); echo $x > /x",
                format!("x=$({epoch}); echo $x > /x"),
            ),
            (
                Program::Date,
                "date | tr a b > /x; cat > /y <<E\n$(date)\nE\n",
                format!("{epoch} | tr a b > /x; cat > /y <<E\n$({epoch})\nE\n"),
            ),
            (
                Program::Date,
                "date +%FT%T%z > /x",
                "date -d @$SOURCE_DATE_EPOCH +%FT%T%z > /x".into(),
            ),
            (
                Program::Date,
                "date -Iseconds > /x",
                format!("{epoch} -Iseconds > /x"),
            ),
            (Program::Date, "date -uIns", format!("{epoch} -uIns")),
            (
                Program::Date,
                "TZ=UTC date -Idate",
                format!("TZ=UTC {epoch} -Idate"),
            ),
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
            (
                Program::Hostname,
                "uname --nodename | rev",
                "echo localhost | rev".into(),
            ),
            (
                Program::Nproc,
                "nproc --all --ignore 1 > /x",
                "echo 1 > /x".into(),
            ),
            (
                Program::TarOwner,
                "tar czf '/a;b.tgz' . 2>&1; tar -C / -cf /q.tar src; tar -z -c -f /r.tgz .",
                format!(
                    "tar czf '/a;b.tgz' . 2>&1 {owner}; tar {owner} -C / -cf /q.tar src; tar {owner} -z -c -f /r.tgz ."
                ),
            ),
            (
                Program::TarOwner,
                "tar --owner=0 -cf x y",
                "tar --group=0 --numeric-owner --owner=0 -cf x y".into(),
            ),
            (
                Program::TarTime,
                "tar -cf - * > x",
                "tar --mtime=@$SOURCE_DATE_EPOCH -cf - * > x".into(),
            ),
            (
                Program::Hostname,
                "hostname > /x",
                "echo localhost > /x".into(),
            ),
            (
                Program::Hostname,
                "x=$(uname -n)",
                "x=$(echo localhost)".into(),
            ),
            (
                Program::Nproc,
                "make -j$(nproc --all)",
                "make -j$(echo 1)".into(),
            ),
            (
                Program::Gzip,
                "cat x | gzip -9 > y",
                "cat x | gzip -n -9 > y".into(),
            ),
            (
                Program::TarOrder,
                "tar -cf x y",
                "tar --sort=name -cf x y".into(),
            ),
            (
                Program::Compileall,
                "python3 -m compileall /app",
                "python3 -m compileall --invalidation-mode unchecked-hash /app".into(),
            ),
            (
                Program::Ar,
                "ar rcs x.a x.o && ranlib x.a",
                "ar rcsD x.a x.o && ranlib -D x.a".into(),
            ),
            (Program::Ar, "ar -qcU x.a x.o", "ar -qcD x.a x.o".into()),
            (Program::Zip, "zip -r x.zip y", "zip -X -r x.zip y".into()),
            (
                Program::Cpio,
                "ls | cpio -o -H newc > x",
                "ls | cpio --reproducible -o -H newc > x".into(),
            ),
            (
                Program::CompilerPath,
                "gcc -g x.c",
                "gcc -ffile-prefix-map=$PWD=. -g x.c".into(),
            ),
            (
                Program::CompilerSeed,
                "g++ -c x.cc",
                "g++ -frandom-seed=x.cc -c x.cc".into(),
            ),
            (
                Program::LinkerId,
                "cc -Wl,--build-id=uuid x.c",
                "cc -Wl,--build-id=sha1 x.c".into(),
            ),
            (
                Program::Javadoc,
                "javadoc -d x P.java",
                "javadoc -notimestamp -d x P.java".into(),
            ),
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
            (Program::TarTime, "tar -C c -xf x"),
            (Program::TarTime, "tar -f c -x"),
            (Program::TarTime, "tar rf x y"),
            (Program::TarTime, "tar cf x -- y"),
            (Program::TarTime, "tar cf - . | tar xf - -C x"),
            (Program::TarTime, "tar cf /dev/stdout . | tar x"),
            (Program::TarOwner, "(cd a && tar c .) | (cd b && tar x)"),
            (Program::TarTime, "SOURCE_DATE_EPOCH=1; tar cf x y"),
            (Program::TarOrder, "tar cf x *"),
            (Program::TarOrder, "tar cf x $(find .)"),
            (Program::TarOrder, "tar -cf x -T list"),
            (Program::TarOrder, "tar cTf list x"),
            (Program::TarOrder, "tar -cf x --files-from=list"),
            (
                Program::Date,
                "while [ $(date +%s) -lt 9 ]; do a; done; date > /x",
            ),
            (Program::Date, "until date | grep -q 1; do a; done"),
            (Program::Date, "if date; then date; fi"),
            (
                Program::Date,
                "s=$(date +%s); a; echo $(($(date +%s) - s)) > /x",
            ),
            (Program::Date, "s=$(date +%s); if [ $s -gt 9 ]; then a; fi"),
            (Program::Date, "test $(date +%u) = 6 || a"),
            (Program::Date, "date +%u | grep -q 6 && a > /x"),
            (Program::Date, "{ date; } | grep -q 6 && a"),
            (Program::Date, "sleep $(date +%S)"),
            (Program::Date, "date() { a; }; date > /x"),
            (Program::Date, "alias date=a; date > /x"),
            (Program::Date, "case x in a|date) a;; esac; date > /x"),
            (Program::Date, "a=(date); date > /x"),
            (Program::Date, "unset SOURCE_DATE_EPOCH; date > /x"),
            (Program::Date, "export SOURCE_DATE_EPOCH=1; date > /x"),
            (Program::Date, "env -i a; date > /x"),
            (Program::CompilerPath, "gcc -g $d/x.c"),
            (Program::Hostname, "hostname -F /etc/hostname"),
            (Program::Hostname, "uname -r"),
            (Program::Gzip, "gzip -n x"),
            (Program::TarTime, "tar xf x"),
            (Program::TarTime, "tar -xf x"),
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
            (
                Program::TarTime,
                "tar cf x y; tar xf x; /bin/tar tf x",
                false,
            ),
            (Program::TarTime, "tar cf x y; tar $how x", true),
            (Program::Date, "date; \"date\"", true),
            (Program::Date, "date; \\date", true),
            (Program::Date, "date; time date", false),
            (Program::Date, "date; wrapper date", true),
            (Program::Gzip, "gzip x; find . -exec gzip {} +", true),
            (Program::CompilerSeed, "gcc x.c; gcc y.c z.c", true),
        ] {
            let found = program.rewriting(script, GNU);
            assert_eq!(found.remains, remains, "{script}");
        }
    }

    #[test]
    fn what_only_gnu_has_is_asked_of_no_other() {
        for userland in [Userland::Busybox, Userland::Unknown] {
            let around = Around { userland, ..GNU };
            for (program, script) in [
                (Program::TarTime, "tar cf x y"),
                (Program::Cpio, "ls | cpio -o > x"),
            ] {
                let found = program.rewriting(script, around);
                assert_eq!((found.changes.len(), found.remains), (0, true), "{script}");
                let reads = program.rewriting("tar xf x; cpio -i < x", around);
                assert_eq!(reads, Rewriting::default());
            }
            let found = Program::Date.rewriting("date", around);
            assert_eq!(found.changes.len(), 1);
        }
    }

    #[test]
    fn a_zone_that_is_set_stays() {
        let around = Around {
            zone: Zone::Set,
            ..GNU
        };
        let found = Program::Date.rewriting("date > /x", around);
        let after = changed("date > /x", &found.changes);
        assert_eq!(after, "date -d @$SOURCE_DATE_EPOCH > /x");
    }

    #[test]
    fn what_changed_calls_write_is_told_by_their_words_and_redirections() {
        for (program, script, path, covered) in [
            (Program::Date, "date > /x", "x", true),
            (Program::Date, "date > x", "d/x", true),
            (Program::Date, "date > \"/x\"", "x", true),
            (Program::Date, "date > $x", "x", false),
            (Program::Date, "date > /y; a > /x", "x", false),
            (Program::Date, "echo \"$(date)\" > /x", "x", true),
            (Program::Date, "cat > /x <<E\n$(date)\nE\n", "x", true),
            (Program::Date, "date | tr a b > /x", "x", true),
            (Program::Date, "x=$(date); echo $x > /x", "x", false),
            (Program::Date, "{ date; } > /x", "x", false),
            (Program::TarTime, "tar czf /x .", "x", true),
            (Program::TarTime, "tar -c --file=/x .", "x", true),
            (Program::Gzip, "gzip /x", "x.gz", true),
            (Program::Javadoc, "javadoc -d /x P.java", "x/a/b", true),
            (Program::Javadoc, "javadoc -d /x P.java", "xy/a/b", false),
        ] {
            let found = program.rewriting(script, GNU);
            assert!(!found.changes.is_empty(), "{script}");
            assert_eq!(found.covers(&[path]), covered, "{script}");
        }
    }

    #[test]
    fn listings_are_sorted_where_they_are_written() {
        for (script, expected) in [
            (
                "find d -type f > /f",
                "find d -type f > /f && LC_ALL=C sort -o /f /f",
            ),
            (
                "cd /; ls -1A d>./f",
                "cd /; ls -1A d>./f && LC_ALL=C sort -o ./f ./f",
            ),
            (
                "x && find d 2>/dev/null > /f || y",
                "x && find d 2>/dev/null > /f && LC_ALL=C sort -o /f /f || y",
            ),
        ] {
            let (changes, written) = sorted_listings(script, GNU, &["f"]);
            assert_eq!(changed(script, &changes), expected);
            assert_eq!(written, ["f"]);
        }
        for script in [
            "find d -type f -exec cat {} + > /f",
            "find d -print0 > /f",
            "find d -depth > /f",
            "find d -delete > /f",
            "find d >> /f",
            "find d > /f; find e > /f",
            "find d > /f; a /f",
            "find d > /f | a",
            "find d > /f & a",
            "! find d > /f",
            "a | find d > /f",
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
                sorted_listings(script, GNU, &["f"]),
                (vec![], vec![]),
                "{script}"
            );
        }
    }
}
