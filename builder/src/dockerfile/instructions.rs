//! One logical line to one typed instruction.

mod config;
mod copy;

use std::{collections::BTreeSet, ops::Range};

use serde_json::Value;

use super::{
    ast::{ArgDefinition, CommandLine, From, InstructionKind, Pair, PairSyntax, Pairs},
    directives::Escape,
    error::SyntaxError,
    heredoc::Heredoc,
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

/// Flags by what they take.
#[derive(Default)]
struct KnownFlags {
    /// A value, once.
    values: &'static [&'static str],
    /// A value each time.
    lists: &'static [&'static str],
    /// `true`, `false`, or nothing, which is `true`.
    switches: &'static [&'static str],
}

const HEALTH_FLAGS: &[&str] = &[
    "interval",
    "retries",
    "start-interval",
    "start-period",
    "timeout",
];

fn flags_of(keyword: Keyword) -> KnownFlags {
    match keyword {
        Keyword::From => KnownFlags {
            values: &["platform"],
            ..KnownFlags::default()
        },
        Keyword::Copy => KnownFlags {
            values: &["chmod", "chown", "from"],
            lists: &["exclude"],
            switches: &["link", "parents"],
        },
        Keyword::Add => KnownFlags {
            values: &["checksum", "chmod", "chown"],
            lists: &["exclude"],
            switches: &["keep-git-dir", "link", "unpack"],
        },
        Keyword::Healthcheck => KnownFlags {
            values: HEALTH_FLAGS,
            ..KnownFlags::default()
        },
        Keyword::Run => KnownFlags {
            values: &["network", "security"],
            lists: &["device", "mount"],
            ..KnownFlags::default()
        },
        _ => KnownFlags::default(),
    }
}

/// The names of an instruction's flags.
#[cfg(test)]
pub(crate) fn flag_names(keyword: Keyword) -> impl Iterator<Item = &'static str> {
    let known = flags_of(keyword);
    let all = [known.values, known.lists, known.switches];
    all.into_iter().flatten().copied()
}

/// The instruction that a line begins with, if it is one.
pub(super) fn keyword(line: &str) -> Option<Keyword> {
    let line = line.trim();
    Keyword::parse(line.split(BLANKS).next().unwrap_or_default())
}

/// Reads an instruction with the heredocs that it announces.
pub(super) fn parse(
    line: &Logical,
    heredocs: Vec<Heredoc>,
    escape: Escape,
) -> Result<Parsed, Fault> {
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
    let rest = word_range.end;
    let arguments = &line.text[rest..start + body.len()];
    let (flags, args) = if keyword == Keyword::Onbuild {
        // What stands here is the other instruction's.
        (Vec::new(), 0)
    } else {
        words::flags(arguments)
    };
    let text = &line.text[rest + args..start + body.len()];
    let arguments = Arguments {
        keyword,
        word: word_range.clone(),
        escape,
        heredocs,
        start: rest + args + (text.len() - text.trim_start().len()),
        text: text.trim(),
    };
    let flags = match keyword {
        // Nothing looks at them, not even whether they exist.
        Keyword::Healthcheck if arguments.text.eq_ignore_ascii_case("none") => Vec::new(),
        _ => flags,
    };
    let flags = arguments.flags(flags, rest)?;
    if keyword == Keyword::From {
        return arguments.from(flags).map(Parsed::From);
    }
    arguments.read(flags).map(Parsed::Other)
}

/// The arguments of one instruction.
struct Arguments<'a> {
    keyword: Keyword,
    /// Where the keyword stands.
    word: Range<usize>,
    escape: Escape,
    /// With their texts.
    heredocs: Vec<Heredoc>,
    /// Where `text` starts in the logical line.
    start: usize,
    /// Behind the flags, without blanks around it.
    text: &'a str,
}

impl Arguments<'_> {
    fn read(&self, flags: Flags) -> Result<InstructionKind, Fault> {
        use InstructionKind as Kind;
        Ok(match self.keyword {
            Keyword::Add => Kind::Add(self.add(flags)?),
            Keyword::Arg => Kind::Arg(self.arg()?),
            Keyword::Cmd => Kind::Cmd(self.command()?),
            Keyword::Copy => Kind::Copy(self.copy(flags)?),
            Keyword::Entrypoint => Kind::Entrypoint(self.command()?),
            Keyword::Env => Kind::Env(self.pairs()?),
            Keyword::Expose => Kind::Expose(self.expose()?),
            Keyword::Healthcheck => Kind::Healthcheck(self.health(flags)?),
            Keyword::Label => Kind::Label(self.pairs()?),
            Keyword::Maintainer => Kind::Maintainer(self.maintainer()?),
            Keyword::Onbuild => Kind::Onbuild(self.onbuild()?),
            Keyword::Run => Kind::Run(self.run(flags)?),
            Keyword::Shell => Kind::Shell(self.shell()?),
            Keyword::Stopsignal => Kind::Stopsignal(self.stop_signal()?),
            Keyword::User => Kind::User(self.line("a user")?),
            Keyword::Volume => Kind::Volume(self.volumes()?),
            Keyword::Workdir => Kind::Workdir(self.line("a directory")?),
            // A stage, not something in one.
            Keyword::From => return Err(self.missing("a stage")),
        })
    }

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

    fn flags(&self, flags: Vec<Flag>, offset: usize) -> Result<Flags, Fault> {
        let known = flags_of(self.keyword);
        let mut found: Vec<(Range<usize>, &'static str, String)> = Vec::new();
        let mut given = BTreeSet::new();
        for flag in flags {
            let range = flag.range.start + offset..flag.range.end + offset;
            let fault = |error| Fault {
                range: range.clone(),
                error,
            };
            let named = |names: &'static [&'static str]| {
                names.iter().find(|name| **name == flag.name).copied()
            };
            let once = named(known.values).or_else(|| named(known.switches));
            let Some(name) = once.or_else(|| named(known.lists)) else {
                let all = [known.values, known.switches, known.lists];
                return Err(fault(SyntaxError::UnknownFlag {
                    keyword: self.keyword,
                    nearest: nearest(&flag.name, all.into_iter().flatten().copied()),
                    flag: flag.name,
                }));
            };
            if once.is_some() && given.contains(name) {
                return Err(fault(SyntaxError::DuplicateFlag(flag.name)));
            }
            let is_switch = known.switches.contains(&name);
            let value = match flag.value {
                None if is_switch => "true".to_owned(),
                Some(value) if is_switch => {
                    let lower = value.to_ascii_lowercase();
                    if value.is_empty() {
                        return Err(fault(SyntaxError::FlagValue(flag.name)));
                    }
                    if !matches!(lower.as_str(), "true" | "false") {
                        return Err(fault(SyntaxError::Switch(flag.name)));
                    }
                    lower
                }
                Some(value) => value,
                None => return Err(fault(SyntaxError::FlagValue(flag.name))),
            };
            // An empty value is as good as none: a template fills in what it has.
            given.insert(name);
            if once.is_none() || !value.is_empty() {
                found.push((range, name, value));
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
        Ok(RunArgs {
            mounts,
            network,
            security,
            command: self.run_command()?,
        })
    }

    fn run_command(&self) -> Result<CommandLine, Fault> {
        match self.command()? {
            CommandLine::Exec(arguments) if arguments.is_empty() => {
                Err(self.whole(SyntaxError::EmptyCommand(self.keyword)))
            }
            CommandLine::Shell(text) if !self.heredocs.is_empty() => {
                Ok(CommandLine::Heredocs(text, self.heredocs.clone()))
            }
            command => Ok(command),
        }
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

/// The flags that were given, each with a value.
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

    fn switch(&mut self, name: &str) -> Option<bool> {
        self.take(name).map(|(_, value)| value == "true")
    }

    /// A flag that may be given several times, in order.
    fn templates(&mut self, arguments: &Arguments<'_>, name: &str) -> Result<Vec<Template>, Fault> {
        let (wanted, others) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(_, other, _)| *other == name);
        self.0 = others;
        let wanted: Vec<(Range<usize>, &str, String)> = wanted;
        wanted
            .into_iter()
            .map(|(range, _, value)| arguments.decoded(&value, range))
            .collect()
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
