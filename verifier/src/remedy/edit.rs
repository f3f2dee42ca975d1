//! Changes of one `RUN`, which keep its lines apart from those that change.

use std::ops::Range;

use super::{
    Reach, RunForm, RunText, Userland,
    command::{Change, Program, Rewriting, changed, sorted_listings},
};

/// A `RUN` that is being changed.
pub(super) struct Edit {
    /// Index of its first line.
    first: usize,
    form: RunForm,
    userland: Userland,
    escape: char,
    /// Its lines, without their ends.
    lines: Vec<String>,
    /// The end of its lines, as the file writes it.
    end: &'static str,
    /// Whether its last line had an end.
    ended: bool,
    /// Index of the line of a command that stands first, and the byte on it where it begins.
    command: (usize, usize),
    /// The programs whose calls were changed, with what that reached.
    rewritten: Vec<(Program, Reach)>,
    exports: Vec<String>,
    appended: Vec<String>,
    notes: Vec<String>,
}

impl Edit {
    /// The `RUN`, if its text is one to which something can be added.
    pub(super) fn of(lines: &[String], run: RunText, escape: char) -> Option<Self> {
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
        let command = match run.form {
            RunForm::Shell => (0, command_start(&own[0])?),
            RunForm::Script => script_start(&own)?,
        };
        let edit = Self {
            first,
            form: run.form,
            userland: run.userland,
            escape,
            end,
            ended: last.ends_with('\n'),
            command,
            rewritten: Vec::new(),
            exports: Vec::new(),
            appended: Vec::new(),
            notes: Vec::new(),
            lines: own,
        };
        (run.form == RunForm::Script || edit.takes_more()).then_some(edit)
    }

    /// Whether a command can follow: a comment or a background job at the end would take it in.
    fn takes_more(&self) -> bool {
        let Some(last) = self.lines.last().map(|line| line.trim_end()) else {
            return false;
        };
        !last.is_empty()
            && !last.ends_with(['&', ';', '|', self.escape])
            && !last.trim_start().starts_with('#')
            && !last.contains(" #")
    }

    /// The lines that hold commands.
    fn body(&self) -> Range<usize> {
        match self.form {
            RunForm::Shell => 0..self.lines.len(),
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

    /// Whether its commands have one of `texts` where a word begins; with none to look for, yes.
    pub(super) fn mentions(&self, texts: &[&str]) -> bool {
        let script = self.script();
        let begins = |at: usize| {
            let before = script[..at].chars().next_back();
            !before.is_some_and(|char| char.is_alphanumeric() || matches!(char, '_' | '-'))
        };
        texts.is_empty()
            || texts
                .iter()
                .any(|text| script.match_indices(text).any(|(at, _)| begins(at)))
    }

    /// Whether it makes archives of objects.
    pub(super) fn archives_objects(&self) -> bool {
        let script = self.script();
        let mut words = script.split(|char: char| !char.is_alphanumeric());
        words.any(|word| matches!(word, "ar" | "AR"))
    }

    /// Puts calls of `program` in their reproducible form; what that reached is known from then on.
    pub(super) fn rewrite(&mut self, program: Program) -> Reach {
        let known = self.rewritten.iter().find(|(known, _)| *known == program);
        if let Some((_, reach)) = known {
            return *reach;
        }
        let Rewriting { changes, remains } = program.rewriting(&self.script(), self.userland);
        let reach = match (changes.is_empty(), remains) {
            (true, _) => return Reach::Nothing,
            (false, true) => Reach::Part,
            (false, false) => Reach::Whole,
        };
        self.change(&changes);
        self.rewritten.push((program, reach));
        reach
    }

    /// Sorts what `find` and `ls` write to `paths`.
    pub(super) fn sort_listings(&mut self, paths: &[&str]) -> Reach {
        let (changes, written) = sorted_listings(&self.script(), paths);
        self.change(&changes);
        let sorted = paths.iter().filter(|path| written.contains(path)).count();
        Reach::of(sorted, paths.len())
    }

    /// Makes changes of its commands. No line ends or begins by them.
    fn change(&mut self, changes: &[Change]) {
        let body = self.body();
        let start = self.lines[body.start][..self.command.1].to_owned();
        let text = start + &changed(&self.text(), changes);
        for (line, new) in self.lines[body].iter_mut().zip(text.split('\n')) {
            new.clone_into(line);
        }
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
            self.lines[0].insert_str(self.command.1, &text);
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

/// Where the command of `RUN --flag=value command` begins, if it does so on this line.
fn command_start(line: &str) -> Option<usize> {
    let mut at = line.len() - line.trim_start().len();
    let keyword = line.get(at..at + 3)?;
    if !keyword.eq_ignore_ascii_case("run") {
        return None;
    }
    at += 3;
    loop {
        at += line[at..].len() - line[at..].trim_start().len();
        if !line[at..].starts_with("--") {
            return Some(at);
        }
        at += line[at..].find(char::is_whitespace)?;
    }
}

/// The first command of a script, if a POSIX shell reads it.
fn script_start(lines: &[String]) -> Option<(usize, usize)> {
    let first = lines.get(1)?;
    let Some(interpreter) = first.strip_prefix("#!") else {
        return Some((1, 0));
    };
    let shells = [
        "/bin/sh",
        "/bin/bash",
        "/bin/dash",
        "/usr/bin/bash",
        "/bin/ash",
    ];
    let program = interpreter.split_whitespace().next()?;
    shells.contains(&program).then_some((2, 0))
}
