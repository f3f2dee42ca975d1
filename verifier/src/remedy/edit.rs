//! Changes of one `RUN`, which keep its lines apart from those that change.

use super::{RunForm, RunText, command::Program};

/// A `RUN` that is being changed.
pub(super) struct Edit {
    /// Index of its first line.
    first: usize,
    form: RunForm,
    escape: char,
    /// Its lines, without their ends.
    lines: Vec<String>,
    /// The end of its lines, as the file writes it.
    end: &'static str,
    /// Whether its last line had an end.
    ended: bool,
    /// Index of the line of a command that stands first, and the byte on it where it begins.
    command: (usize, usize),
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
            escape,
            end,
            ended: last.ends_with('\n'),
            command,
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
    fn body(&self) -> std::ops::Range<usize> {
        match self.form {
            RunForm::Shell => 0..self.lines.len(),
            RunForm::Script => self.command.0..self.lines.len() - 1,
        }
    }

    /// Whether its commands have one of `texts`; with none to look for, yes.
    pub(super) fn mentions(&self, texts: &[&str]) -> bool {
        texts.is_empty()
            || self.lines[self.body()]
                .iter()
                .any(|line| texts.iter().any(|text| line.contains(text)))
    }

    /// Puts calls of `program` in their reproducible form; false where there are none.
    pub(super) fn rewrite(&mut self, program: Program) -> bool {
        let mut done = false;
        for index in self.body() {
            let line = &self.lines[index];
            if line.trim_start().starts_with('#') {
                continue;
            }
            let start = if index == self.command.0 {
                self.command.1
            } else {
                0
            };
            // The command of a continued line goes on behind the escape.
            let text = line
                .trim_end()
                .trim_end_matches(self.escape)
                .len()
                .max(start);
            if let Some(new) = program.rewritten(&line[start..text]) {
                self.lines[index] = format!("{}{new}{}", &line[..start], &line[text..]);
                done = true;
            }
        }
        done
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
