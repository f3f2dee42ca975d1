//! One logical line to one typed instruction.

use std::ops::Range;

use serde_json::Value;

use super::{
    ast::{ArgDefinition, CommandLine, From, InstructionKind, ListSyntax, Pair, PairSyntax, Pairs},
    chmod::{self, ChmodError},
    copy::CopyArgs,
    directives::Escape,
    error::{NotYet, SyntaxError},
    keyword::{Keyword, nearest},
    lines::Logical,
    mount::{MAX_MOUNTS, MountFlag},
    ports::parse_ports,
    run::{RunArgs, RunFlagError, RunNetwork, RunSecurity},
    template::Template,
    words::{self, BLANKS, Flag},
};

/// An error with its place in the logical line.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) range: Range<usize>,
    pub(super) error: SyntaxError,
}

/// An instruction; `FROM` apart, because it begins a stage.
#[derive(Debug)]
pub(super) enum Parsed {
    From(From),
    Other(InstructionKind),
}

/// Flags by what this front end does with them.
struct KnownFlags {
    read: &'static [&'static str],
    not_yet: &'static [&'static str],
}

const fn flags_of(keyword: Keyword) -> KnownFlags {
    let (read, not_yet): (&[_], &[_]) = match keyword {
        Keyword::From => (&["platform"], &[]),
        Keyword::Copy => (&["chmod", "chown", "from"], &["exclude", "link", "parents"]),
        Keyword::Run => (&["device", "mount", "network", "security"], &[]),
        _ => (&[], &[]),
    };
    KnownFlags { read, not_yet }
}

/// The instruction that a line begins with, if it is one.
pub(super) fn keyword(line: &str) -> Option<Keyword> {
    let line = line.trim();
    Keyword::parse(line.split(BLANKS).next().unwrap_or_default())
}

pub(super) fn parse(line: &Logical, escape: Escape) -> Result<Parsed, Fault> {
    let start = line.text.len() - line.text.trim_start().len();
    let body = line.text.trim();
    let word = body.split(BLANKS).next().unwrap_or_default();
    let word_range = start..start + word.len();
    let fault = |error| Fault {
        range: word_range.clone(),
        error,
    };
    let Some(keyword) = Keyword::parse(word) else {
        return Err(fault(SyntaxError::UnknownInstruction {
            word: word.chars().take(40).collect(),
            nearest: Keyword::near(word),
        }));
    };
    let not_yet = |what: String| {
        SyntaxError::NotYet(NotYet {
            what,
            line: line.line(),
        })
    };
    let Some(read) = reader(keyword) else {
        return Err(fault(not_yet(keyword.to_string())));
    };
    let rest = word_range.end;
    let (flags, args) = words::flags(&line.text[rest..start + body.len()]);
    let text = &line.text[rest + args..start + body.len()];
    let arguments = Arguments {
        keyword,
        word: word_range.clone(),
        line_number: line.line(),
        escape,
        start: rest + args + (text.len() - text.trim_start().len()),
        text: text.trim(),
    };
    let flags = arguments.flags(flags, rest, &not_yet)?;
    read(&arguments, flags)
}

type Reader = fn(&Arguments<'_>, Flags) -> Result<Parsed, Fault>;

/// How the arguments of an instruction are read; `None` for those that cannot be built yet.
fn reader(keyword: Keyword) -> Option<Reader> {
    use InstructionKind as Kind;
    Some(match keyword {
        Keyword::Arg => |a, _| a.arg().map(Kind::Arg).map(Parsed::Other),
        Keyword::Cmd => |a, _| a.command().map(Kind::Cmd).map(Parsed::Other),
        Keyword::Copy => |a, flags| a.copy(flags).map(Kind::Copy).map(Parsed::Other),
        Keyword::Entrypoint => |a, _| a.command().map(Kind::Entrypoint).map(Parsed::Other),
        Keyword::Env => |a, _| a.pairs().map(Kind::Env).map(Parsed::Other),
        Keyword::Expose => |a, _| a.expose().map(Kind::Expose).map(Parsed::Other),
        Keyword::From => |a, flags| a.from(flags).map(Parsed::From),
        Keyword::Label => |a, _| a.pairs().map(Kind::Label).map(Parsed::Other),
        Keyword::Run => |a, flags| a.run(flags).map(Kind::Run).map(Parsed::Other),
        Keyword::User => |a, _| a.line("a user").map(Kind::User).map(Parsed::Other),
        Keyword::Workdir => |a, _| a.line("a directory").map(Kind::Workdir).map(Parsed::Other),
        Keyword::Add
        | Keyword::Healthcheck
        | Keyword::Maintainer
        | Keyword::Onbuild
        | Keyword::Shell
        | Keyword::Stopsignal
        | Keyword::Volume => return None,
    })
}

/// The arguments of one instruction.
struct Arguments<'a> {
    keyword: Keyword,
    /// Where the keyword stands.
    word: Range<usize>,
    /// First line of the instruction.
    line_number: u32,
    escape: Escape,
    /// Where `text` starts in the logical line.
    start: usize,
    /// Behind the flags, without blanks around it.
    text: &'a str,
}

impl Arguments<'_> {
    fn at(&self, range: Range<usize>, error: SyntaxError) -> Fault {
        Fault {
            range: self.start + range.start..self.start + range.end,
            error,
        }
    }

    /// An error about the instruction as a whole.
    const fn whole(&self, error: SyntaxError) -> Fault {
        Fault {
            range: self.word.start..self.word.end,
            error,
        }
    }

    const fn missing(&self, needs: &'static str) -> Fault {
        self.whole(SyntaxError::MissingArguments {
            keyword: self.keyword,
            needs,
        })
    }

    fn template(&self, range: Range<usize>) -> Result<Template, Fault> {
        Template::parse(&self.text[range.clone()], self.escape).map_err(|(at, error)| {
            let at = range.start + at;
            self.at(at..at + 1, SyntaxError::Template(error))
        })
    }

    /// A word that was decoded, so that places in it are not places in the line.
    fn decoded(&self, word: &str, range: Range<usize>) -> Result<Template, Fault> {
        Template::parse(word, self.escape).map_err(|(_, error)| Fault {
            range,
            error: SyntaxError::Template(error),
        })
    }

    fn flags(
        &self,
        flags: Vec<Flag>,
        offset: usize,
        not_yet: &dyn Fn(String) -> SyntaxError,
    ) -> Result<Flags, Fault> {
        let known = flags_of(self.keyword);
        let mut found: Vec<(Range<usize>, &'static str, String)> = Vec::new();
        for flag in flags {
            let range = flag.range.start + offset..flag.range.end + offset;
            let fault = |error| Fault {
                range: range.clone(),
                error,
            };
            if known.not_yet.contains(&flag.name.as_str()) {
                return Err(fault(not_yet(format!("{} --{}", self.keyword, flag.name))));
            }
            let Some(name) = known.read.iter().find(|name| **name == flag.name) else {
                let names = known.read.iter().chain(known.not_yet).copied();
                return Err(fault(SyntaxError::UnknownFlag {
                    keyword: self.keyword,
                    nearest: nearest(&flag.name, names),
                    flag: flag.name,
                }));
            };
            let repeats = matches!(*name, "mount" | "device");
            if !repeats && found.iter().any(|(_, other, _)| other == name) {
                return Err(fault(SyntaxError::DuplicateFlag(flag.name)));
            }
            match flag.value.filter(|value| !value.is_empty()) {
                Some(value) => found.push((range, name, value)),
                None => return Err(fault(SyntaxError::FlagValue(flag.name))),
            }
        }
        Ok(Flags(found))
    }

    fn from(&self, mut flags: Flags) -> Result<From, Fault> {
        let words = words::fields(self.text);
        let name = match words.as_slice() {
            [] => return Err(self.missing("an image, a stage or scratch")),
            [_] => None,
            [_, and, name] if self.text[and.clone()].eq_ignore_ascii_case("as") => {
                Some(self.stage_name(name.clone())?)
            }
            [_, rest @ ..] => {
                let range = rest[0].start..self.text.len();
                return Err(self.at(range, SyntaxError::FromArguments));
            }
        };
        Ok(From {
            image: self.template(words[0].clone())?,
            platform: flags.template(self, "platform")?,
            name,
        })
    }

    fn stage_name(&self, range: Range<usize>) -> Result<String, Fault> {
        let name = self.text[range.clone()].to_ascii_lowercase();
        let good = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        if good {
            Ok(name)
        } else {
            let name = self.text[range.clone()].to_owned();
            Err(self.at(range, SyntaxError::StageName(name)))
        }
    }

    /// The whole line as one word.
    fn line(&self, needs: &'static str) -> Result<Template, Fault> {
        if self.text.is_empty() {
            return Err(self.missing(needs));
        }
        self.template(0..self.text.len())
    }

    fn arg(&self) -> Result<Vec<ArgDefinition>, Fault> {
        let words = words::quoted_words(self.text, self.escape);
        if words.is_empty() {
            return Err(self.missing("a name"));
        }
        let definition = |word: Range<usize>| {
            let (name, default) = match self.text[word.clone()].find('=') {
                Some(at) => (
                    word.start..word.start + at,
                    Some(self.template(word.start + at + 1..word.end)?),
                ),
                None => (word.clone(), None),
            };
            if name.is_empty() {
                return Err(self.at(word, SyntaxError::EmptyName(self.keyword)));
            }
            Ok(ArgDefinition {
                name: self.template(name)?,
                default,
            })
        };
        words.into_iter().map(definition).collect()
    }

    fn pairs(&self) -> Result<Pairs, Fault> {
        let words = words::quoted_words(self.text, self.escape);
        let Some(first) = words.first() else {
            return Err(self.missing("NAME=VALUE"));
        };
        if !self.text[first.clone()].contains('=') {
            return self.legacy_pair();
        }
        let pair = |word: Range<usize>| {
            let Some(at) = self.text[word.clone()].find('=') else {
                let error = SyntaxError::MissingEquals {
                    keyword: self.keyword,
                    word: self.text[word.clone()].chars().take(40).collect(),
                };
                return Err(self.at(word, error));
            };
            if at == 0 {
                return Err(self.at(word, SyntaxError::EmptyName(self.keyword)));
            }
            Ok(Pair {
                name: self.template(word.start..word.start + at)?,
                value: self.template(word.start + at + 1..word.end)?,
            })
        };
        Ok(Pairs {
            syntax: PairSyntax::Assignments,
            pairs: words.into_iter().map(pair).collect::<Result<_, _>>()?,
        })
    }

    fn legacy_pair(&self) -> Result<Pairs, Fault> {
        let Some(end) = self.text.find(BLANKS) else {
            return Err(self.missing("NAME=VALUE"));
        };
        let value = self.text[end..].trim_start_matches(BLANKS);
        Ok(Pairs {
            syntax: PairSyntax::Legacy,
            pairs: vec![Pair {
                name: self.template(0..end)?,
                value: self.template(self.text.len() - value.len()..self.text.len())?,
            }],
        })
    }

    /// The strings of a JSON array; `None` if the text is none, which then is words or a shell
    /// command.
    fn json(&self) -> Result<Option<Vec<String>>, Fault> {
        if !self.text.starts_with('[') {
            return Ok(None);
        }
        let Ok(values) = serde_json::from_str::<Vec<Value>>(self.text) else {
            return Ok(None);
        };
        let string = |value| match value {
            Value::String(text) if text.contains('\0') => {
                Err(self.at(0..self.text.len(), SyntaxError::JsonNul(self.keyword)))
            }
            Value::String(text) => Ok(text),
            _ => Err(self.at(
                0..self.text.len(),
                SyntaxError::JsonNotStrings(self.keyword),
            )),
        };
        let strings = values.into_iter().map(string);
        strings.collect::<Result<_, _>>().map(Some)
    }

    fn command(&self) -> Result<CommandLine, Fault> {
        match self.json()? {
            Some(arguments) => Ok(CommandLine::Exec(arguments)),
            None if self.text.is_empty() => {
                Err(self.whole(SyntaxError::EmptyCommand(self.keyword)))
            }
            None => Ok(CommandLine::Shell(self.text.to_owned())),
        }
    }

    fn run(&self, mut flags: Flags) -> Result<RunArgs, Fault> {
        let fault = |range: Range<usize>, error| Fault {
            range,
            error: SyntaxError::Run(error),
        };
        if let Some((range, device)) = flags.take("device") {
            return Err(fault(range, RunFlagError::Device(device)));
        }
        let network = flags
            .take("network")
            .map(|(range, value)| RunNetwork::parse(&value).map_err(|error| fault(range, error)));
        let security = flags
            .take("security")
            .map(|(range, value)| RunSecurity::parse(&value).map_err(|error| fault(range, error)));
        let (network, security) = (network.transpose()?, security.transpose()?);
        let mut mounts = Vec::new();
        while let Some((range, value)) = flags.take("mount") {
            if mounts.len() == MAX_MOUNTS {
                return Err(fault(range, RunFlagError::TooManyMounts));
            }
            let mount = MountFlag::parse(&value, self.escape).map_err(|error| Fault {
                range,
                error: SyntaxError::Mount(error),
            })?;
            mounts.push(mount);
        }
        let command = match self.command()? {
            CommandLine::Exec(arguments) if arguments.is_empty() => {
                return Err(self.whole(SyntaxError::EmptyCommand(self.keyword)));
            }
            command => command,
        };
        Ok(RunArgs {
            mounts,
            network,
            security,
            command,
        })
    }

    fn copy(&self, mut flags: Flags) -> Result<CopyArgs, Fault> {
        let whole = self.start..self.start + self.text.len();
        let (syntax, mut words) = if let Some(strings) = self.json()? {
            let word = |word: String| self.decoded(&word, whole.clone());
            let words = strings.into_iter().map(word);
            (ListSyntax::Json, words.collect::<Result<Vec<_>, _>>()?)
        } else {
            let words = words::fields(self.text);
            let words = words.into_iter().map(|word| self.template(word));
            (ListSyntax::Words, words.collect::<Result<_, _>>()?)
        };
        let Some(destination) = words.pop().filter(|_| !words.is_empty()) else {
            return Err(self.missing("at least one source and a destination"));
        };
        let from = match flags.take("from") {
            Some((range, value)) => {
                let word = self.decoded(&value, range.clone())?;
                let error = SyntaxError::VariableInFrom;
                Some(word.literal().ok_or(Fault { range, error })?)
            }
            None => None,
        };
        let chmod_range = flags.range("chmod");
        let chmod = flags.template(self, "chmod")?;
        if let Some(mode) = chmod.as_ref().and_then(Template::literal)
            && let Err(error) = chmod::parse(&mode)
        {
            let range = chmod_range.unwrap_or(whole);
            let error = match error {
                ChmodError::SymbolicNotYet(mode) => SyntaxError::NotYet(NotYet {
                    what: format!("COPY --chmod={mode}, a symbolic mode,"),
                    line: self.line_number,
                }),
                ChmodError::Invalid(_) => SyntaxError::Chmod(error),
            };
            return Err(Fault { range, error });
        }
        Ok(CopyArgs {
            from,
            chown: flags.template(self, "chown")?,
            chmod,
            syntax,
            sources: words,
            destination,
        })
    }

    fn expose(&self) -> Result<Vec<Template>, Fault> {
        let words = words::fields(self.text);
        if words.is_empty() {
            return Err(self.missing("a port"));
        }
        let port = |range: Range<usize>| {
            let template = self.template(range.clone())?;
            if let Some(Err(error)) = template.literal().map(|text| parse_ports(&text)) {
                return Err(self.at(range, SyntaxError::Port(error)));
            }
            Ok(template)
        };
        words.into_iter().map(port).collect()
    }
}

/// The flags that were given, in order and with values; those that cannot be repeated once.
struct Flags(Vec<(Range<usize>, &'static str, String)>);

impl Flags {
    fn range(&self, name: &str) -> Option<Range<usize>> {
        let found = self.0.iter().find(|(_, other, _)| *other == name);
        found.map(|(range, _, _)| range.clone())
    }

    fn take(&mut self, name: &str) -> Option<(Range<usize>, String)> {
        let at = self.0.iter().position(|(_, other, _)| *other == name)?;
        let (range, _, value) = self.0.remove(at);
        Some((range, value))
    }

    fn template(
        &mut self,
        arguments: &Arguments<'_>,
        name: &str,
    ) -> Result<Option<Template>, Fault> {
        let Some((range, value)) = self.take(name) else {
            return Ok(None);
        };
        arguments.decoded(&value, range).map(Some)
    }
}
