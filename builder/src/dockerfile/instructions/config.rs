//! Instructions that change the configuration and no file.

use super::{
    super::{
        ast::{CommandLine, ListSyntax, Volumes},
        error::SyntaxError,
        health::{self, HealthError, HealthTest, HealthTiming},
        parse::parse_trigger,
        signal::check_signal,
        template::Template,
        words::{self, BLANKS},
    },
    Arguments, Fault, Flags,
};

impl Arguments<'_> {
    /// Flags before `NONE` are passed over, as Docker does: they have nothing to say there.
    pub(super) fn health(&self, mut flags: Flags) -> Result<HealthTest, Fault> {
        let word = self.text.split(BLANKS).next().unwrap_or_default();
        let rest = self.start + word.len()..self.start + self.text.len();
        let fault = |error| Fault {
            range: self.start..self.start + word.len(),
            error: SyntaxError::Health(error),
        };
        if word.is_empty() {
            return Err(self.missing("CMD and a command, or NONE"));
        }
        if word.eq_ignore_ascii_case("none") {
            return if word.len() == self.text.len() {
                Ok(HealthTest::None)
            } else {
                Err(Fault {
                    range: rest,
                    error: SyntaxError::Health(HealthError::NoneWithMore),
                })
            };
        }
        if !word.eq_ignore_ascii_case("cmd") {
            return Err(fault(HealthError::Kind(word.chars().take(40).collect())));
        }
        let mut time = |name: &str| match flags.take(name) {
            None => Ok(None),
            Some((range, text)) => health::duration(&text).map_err(|error| Fault {
                range,
                error: SyntaxError::Health(error),
            }),
        };
        let timing = HealthTiming {
            interval: time("interval")?,
            timeout: time("timeout")?,
            start_period: time("start-period")?,
            start_interval: time("start-interval")?,
            retries: None,
        };
        let retries = match flags.take("retries") {
            None => None,
            Some((range, text)) => health::retries(&text).map_err(|error| Fault {
                range,
                error: SyntaxError::Health(error),
            })?,
        };
        let text = &self.text[word.len()..];
        let command = Arguments {
            start: rest.start + (text.len() - text.trim_start().len()),
            text: text.trim_start(),
            word: self.word.clone(),
            heredocs: Vec::new(),
            ..*self
        };
        match command.command()? {
            CommandLine::Shell(text) if text.is_empty() => {
                Err(self.whole(SyntaxError::EmptyCommand(self.keyword)))
            }
            CommandLine::Exec(arguments) if arguments.is_empty() => {
                Err(self.whole(SyntaxError::EmptyCommand(self.keyword)))
            }
            command => Ok(HealthTest::Command {
                command,
                timing: HealthTiming { retries, ..timing },
            }),
        }
    }

    pub(super) fn maintainer(&self) -> Result<String, Fault> {
        if self.text.is_empty() {
            return Err(self.missing("a name"));
        }
        Ok(self.text.to_owned())
    }

    pub(super) fn onbuild(&self) -> Result<String, Fault> {
        if self.text.is_empty() {
            return Err(self.missing("an instruction"));
        }
        let mut text = self.text.to_owned();
        for heredoc in &self.heredocs {
            text.push('\n');
            text.push_str(&heredoc.content);
            text.push_str(&heredoc.name);
        }
        parse_trigger(&text).map_err(|error| {
            let whole = 0..self.text.len();
            self.at(whole, SyntaxError::Trigger(error))
        })?;
        Ok(text)
    }

    pub(super) fn shell(&self) -> Result<Vec<String>, Fault> {
        match self.json()? {
            Some(words) if words.is_empty() => Err(self.missing("a program")),
            Some(words) => Ok(words),
            None => Err(self.whole(SyntaxError::ShellNotJson)),
        }
    }

    pub(super) fn stop_signal(&self) -> Result<Template, Fault> {
        let template = self.line("a signal")?;
        if let Some(Err(error)) = template.literal().map(|text| check_signal(&text)) {
            return Err(self.at(0..self.text.len(), SyntaxError::Signal(error)));
        }
        Ok(template)
    }

    pub(super) fn volumes(&self) -> Result<Volumes, Fault> {
        let whole = self.start..self.start + self.text.len();
        let (syntax, paths) = if let Some(words) = self.json()? {
            let paths = words.iter().map(|word| {
                if word.trim().is_empty() {
                    return Err(self.whole(SyntaxError::EmptyVolume));
                }
                self.decoded(word.trim(), whole.clone())
            });
            (ListSyntax::Json, paths.collect::<Result<Vec<_>, _>>()?)
        } else {
            let paths = words::fields(self.text).into_iter();
            let paths = paths.map(|word| self.template(word));
            (ListSyntax::Words, paths.collect::<Result<_, _>>()?)
        };
        if paths.is_empty() {
            return Err(self.missing("a path"));
        }
        Ok(Volumes { syntax, paths })
    }
}
