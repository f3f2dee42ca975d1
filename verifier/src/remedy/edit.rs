//! Changes of one `RUN`, which keep its lines apart from those that change.

use std::ops::Range;

use super::{
    Original, POSIX_SHELLS, Reach, RunForm, RunText,
    command::{
        Around, Change, Program, Rewriting, Zone, changed, has_word, keeps_epoch, sorted_listings,
    },
    shell::read,
};

/// A `RUN` that is being changed.
pub(super) struct Edit<'a> {
    /// Index of its first line.
    first: usize,
    form: RunForm,
    around: Around,
    escape: char,
    /// The Dockerfile, and what of it comes after.
    whole: &'a str,
    later: String,
    /// Its lines, without their ends.
    lines: Vec<String>,
    /// The end of its lines, as the file writes it.
    end: &'static str,
    /// Whether its last line had an end.
    ended: bool,
    /// Index of the line of a command that stands first, and the byte on it where it begins.
    command: (usize, usize),
    /// The programs whose calls were changed, with what that reached.
    rewritten: Vec<(Program, Rewriting)>,
    exports: Vec<String>,
    appended: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Edit<'a> {
    /// The `RUN`, if its text is one that can be changed.
    pub(super) fn of(lines: &[String], run: RunText, original: &Original<'a>) -> Option<Self> {
        let first = usize::try_from(run.line).ok()?.checked_sub(1)?;
        let after = usize::try_from(run.end_line).ok()?;
        let own = lines.get(first..after).filter(|own| !own.is_empty())?;
        let last = own.last()?;
        let end = if own[0].ends_with("\r\n") {
            "\r\n"
        } else {
            "\n"
        };
        let own: Vec<String> = own
            .iter()
            .map(|line| line.trim_end_matches(['\n', '\r']).to_owned())
            .collect();
        let escape = original.escape;
        let opening = command_start(&own, escape)?;
        let command = match run.form {
            RunForm::Shell => opening,
            RunForm::Script => script_start(&own, opening)?,
        };
        let zone = if has_word(original.text, "TZ") {
            Zone::Set
        } else {
            Zone::Utc
        };
        Some(Self {
            first,
            form: run.form,
            around: Around {
                userland: run.userland,
                zone,
            },
            escape,
            whole: original.text,
            later: original.text.split_inclusive('\n').skip(after).collect(),
            end,
            ended: last.ends_with('\n'),
            command,
            rewritten: Vec::new(),
            exports: Vec::new(),
            appended: Vec::new(),
            notes: Vec::new(),
            lines: own,
        })
    }

    /// What comes after it in the Dockerfile.
    pub(super) fn later(&self) -> &str {
        &self.later
    }

    /// Whether a command added at its end runs, sees the files that the step leaves, and may change
    /// them: another user may have made them.
    pub(super) fn takes_more(&self) -> bool {
        let script = self.script();
        let others = [
            "exit", "exec", "return", "trap", "sudo", "su", "doas", "gosu", "runuser",
        ];
        self.ends_plainly()
            && !self.mounts()
            && read(&script).is_some()
            && !others.iter().any(|word| has_word(&script, word))
    }

    fn mounts(&self) -> bool {
        let mut flags = self.lines[..=self.command.0].iter();
        flags.any(|line| line.contains("--mount"))
    }

    /// Whether the step leaves the epoch to its programs as it is.
    pub(super) fn keeps_epoch(&self) -> bool {
        let script = self.script();
        read(&script).is_some_and(|read| keeps_epoch(&script, &read))
    }

    /// Whether a command can follow: a comment or a background job at the end would take it in.
    fn ends_plainly(&self) -> bool {
        let Some(last) = self.lines[self.body()].last().map(|line| line.trim_end()) else {
            return false;
        };
        // Continued lines are one for the shell, all of it behind a comment.
        let seen = match self.form {
            RunForm::Shell => self.script(),
            RunForm::Script => last.to_owned(),
        };
        let comment = |(at, _): (usize, &str)| {
            let before = seen[..at].chars().next_back();
            before.is_none_or(|char| char.is_whitespace() || ";&|()".contains(char))
        };
        !last.is_empty()
            && !last.ends_with(['&', ';', '|', '\\', self.escape])
            && !seen.match_indices('#').any(comment)
    }

    /// The lines that hold commands.
    fn body(&self) -> Range<usize> {
        match self.form {
            RunForm::Shell => self.command.0..self.lines.len(),
            RunForm::Script => self.command.0..self.lines.len() - 1,
        }
    }

    /// Its commands as they stand: the lines of the body from where the first command begins.
    fn text(&self) -> String {
        let text = self.lines[self.body()].join("\n");
        text[self.command.1..].to_owned()
    }

    /// The same for reading: comments and the ends of continued lines are spaces, so that every byte
    /// keeps its place.
    fn script(&self) -> String {
        let mut script = self.text().into_bytes();
        let mut at = 0;
        let lines = self.text();
        for line in lines.split('\n') {
            let end = at + line.len();
            let blank = self.unread(line);
            script[at + blank.start..(at + blank.end).min(lines.len())].fill(b' ');
            at = end + 1;
        }
        String::from_utf8_lossy(&script).into_owned()
    }

    /// The part of a line, its end included, that a shell does not see.
    fn unread(&self, line: &str) -> Range<usize> {
        let all = line.len() + 1;
        let comment = line.trim_start().starts_with('#');
        let shown = line.trim_end();
        match self.form {
            // The parser of the Dockerfile takes them out, and the ends of lines with them.
            RunForm::Shell if comment => 0..all,
            RunForm::Shell if shown.ends_with(self.escape) => {
                shown.len() - self.escape.len_utf8()..all
            }
            RunForm::Shell => line.len()..all,
            RunForm::Script => {
                let escapes = line.len() - line.trim_end_matches('\\').len();
                if comment || escapes.is_multiple_of(2) {
                    0..0
                } else {
                    line.len() - 1..all
                }
            }
        }
    }

    /// Whether its commands have one of these words; with none to look for, yes.
    pub(super) fn mentions(&self, words: &[&str]) -> bool {
        let script = self.script();
        words.is_empty() || words.iter().any(|word| has_word(&script, word))
    }

    /// The last of its commands that is one of `names` with `argument`, by its number.
    pub(super) fn last_call(&self, names: &[&str], argument: &str) -> Option<usize> {
        let script = self.script();
        let read = read(&script).unwrap_or_default();
        read.calls.iter().rposition(|call| {
            let mut words = call.arguments.iter();
            names.contains(&&script[call.name.clone()])
                && words.any(|word| &script[word.clone()] == argument)
        })
    }

    /// Whether one command writes all of the file at `path`, and nothing else in the step names it.
    pub(super) fn writes_once(&self, path: &str) -> bool {
        let script = self.script();
        let read = read(&script).unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let writes = read
            .calls
            .iter()
            .flat_map(|call| &call.redirections)
            .any(|one| &script[one.operator.clone()] == ">" && &script[one.target.clone()] == path);
        writes && script.matches(name).count() == 1
    }

    /// Puts calls of `program` in their reproducible form, for what differs at `paths`.
    pub(super) fn rewrite(&mut self, program: Program, paths: &[&str]) -> Reach {
        let known = self
            .rewritten
            .iter()
            .position(|(known, _)| *known == program);
        let at = known.unwrap_or(self.rewritten.len());
        if known.is_none() {
            let rewriting = program.rewriting(&self.script(), self.around);
            if rewriting.changes.is_empty() || !self.change(&rewriting.changes) {
                return Reach::Nothing;
            }
            self.rewritten.push((program, rewriting));
        }
        if self.rewritten[at].1.covers(paths) {
            Reach::Whole
        } else {
            Reach::Part
        }
    }

    /// Sorts what `find` and `ls` write to `paths`.
    pub(super) fn sort_listings(&mut self, paths: &[&str]) -> Reach {
        let (changes, written) = sorted_listings(&self.script(), self.around, paths);
        if !self.change(&changes) {
            return Reach::Nothing;
        }
        let sorted = paths.iter().filter(|path| written.contains(path)).count();
        Reach::of(sorted, paths.len())
    }

    /// Makes changes of its commands, unless a line would end or begin by them.
    fn change(&mut self, changes: &[Change]) -> bool {
        let body = self.body();
        let start = self.lines[body.start][..self.command.1].to_owned();
        let text = start + &changed(&self.text(), changes);
        if text.split('\n').count() != body.len() {
            return false;
        }
        for (line, new) in self.lines[body].iter_mut().zip(text.split('\n')) {
            new.clone_into(line);
        }
        true
    }

    /// Whether something in the Dockerfile may set a variable of this name.
    pub(super) fn sets(&self, name: &str) -> bool {
        has_word(self.whole, name)
    }

    /// Sets a variable for the step.
    pub(super) fn export(&mut self, variable: &str) {
        push(&mut self.exports, variable.to_owned());
    }

    /// Adds a command at the end.
    pub(super) fn append(&mut self, command: String) {
        push(&mut self.appended, command);
    }

    /// Adds a comment above.
    pub(super) fn note(&mut self, text: String) {
        push(&mut self.notes, text);
    }

    /// Puts the changed lines in place of its own.
    pub(super) fn apply(mut self, lines: &mut Vec<String>) {
        let count = self.lines.len();
        match self.form {
            RunForm::Shell => self.finish_command(),
            RunForm::Script => self.finish_script(),
        }
        let notes = self.notes.iter().map(|note| format!("# {note}"));
        let mut new: Vec<String> = notes
            .chain(self.lines)
            .map(|line| line + self.end)
            .collect();
        if !self.ended
            && let Some(last) = new.last_mut()
        {
            last.truncate(last.len() - self.end.len());
        }
        lines.splice(self.first..self.first + count, new);
    }

    fn finish_command(&mut self) {
        if !self.exports.is_empty() {
            let text = format!("export {} && ", self.exports.join(" "));
            self.lines[self.command.0].insert_str(self.command.1, &text);
        }
        for command in &self.appended {
            if let Some(last) = self.lines.last_mut() {
                last.truncate(last.trim_end().len());
                last.push(' ');
                last.push(self.escape);
            }
            self.lines.push(format!(" && {command}"));
        }
    }

    fn finish_script(&mut self) {
        let last = self.lines.len() - 1;
        if !self.appended.is_empty() {
            // A script ends as its last command does, and must not end well for what was added.
            let added = format!("[ $? -eq 0 ] && {}", self.appended.join(" && "));
            self.lines.insert(last, added);
        }
        if !self.exports.is_empty() {
            let text = format!("export {}", self.exports.join(" "));
            self.lines.insert(self.command.0, text);
        }
    }
}

fn push(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// The line and the byte on it where the command of `RUN --flag=value command` begins.
fn command_start(lines: &[String], escape: char) -> Option<(usize, usize)> {
    let first = lines.first()?;
    let mut at = first.len() - first.trim_start().len();
    if !first.get(at..at + 3)?.eq_ignore_ascii_case("run") {
        return None;
    }
    at += 3;
    let mut index = 0;
    loop {
        let line = lines.get(index)?;
        at += line[at..].len() - line[at..].trim_start().len();
        let rest = &line[at..];
        let continued = rest.trim_end().len() == escape.len_utf8() && rest.starts_with(escape);
        // Empty lines and comments between continued ones are none.
        let fresh = index > 0 && line[..at].trim().is_empty();
        if continued || fresh && (rest.is_empty() || rest.starts_with('#')) {
            (index, at) = (index + 1, 0);
        } else if rest.is_empty() || rest.starts_with('#') {
            return None;
        } else if rest.starts_with("--") {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            // One that goes on with the next line, or has blanks within quotes.
            if rest[..end].contains(['"', '\'', escape]) {
                return None;
            }
            at += end;
        } else {
            return Some((index, at));
        }
    }
}

/// The first command of a script whose heredoc is announced at `opening`, if a POSIX shell reads it.
fn script_start(lines: &[String], (opening, at): (usize, usize)) -> Option<(usize, usize)> {
    let announced = lines.get(opening)?.get(at..)?.strip_prefix("<<")?;
    let first = lines.get(opening + 1)?;
    let first = if announced.starts_with('-') {
        first.trim_start_matches('\t')
    } else {
        first
    };
    if opening + 2 > lines.len() - 1 {
        return None;
    }
    let Some(interpreter) = first.strip_prefix("#!") else {
        return Some((opening + 1, 0));
    };
    let program = interpreter.split_whitespace().next()?;
    let name = program
        .strip_prefix("/usr")
        .unwrap_or(program)
        .strip_prefix("/bin/")?;
    POSIX_SHELLS.contains(&name).then_some((opening + 2, 0))
}
