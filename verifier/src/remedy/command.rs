//! Programs with a reproducible form, found where a shell would find a command.

mod listing;
mod tar;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::{
    Userland,
    output::{Output, output},
    shell::{Call, Script, read},
};

pub(super) use listing::sorted_listings;

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
            Self::File(target) => listing::is_at(path, target),
            Self::Below(directory) => {
                let ends = path.match_indices('/').map(|(end, _)| &path[..end]);
                ends.into_iter()
                    .any(|above| listing::is_at(above, directory))
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
            Self::TarOrder if !tar::sorts(view) => Form::Remains,
            Self::TarOrder => tar::rewritten(view, &["--sort=name"]),
            Self::TarTime => tar::rewritten(view, &["--mtime=@$SOURCE_DATE_EPOCH"]),
            Self::TarOwner => tar::rewritten(view, &["--owner=0", "--group=0", "--numeric-owner"]),
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
