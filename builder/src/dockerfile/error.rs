//! Why a text is not a Dockerfile that can be built.

use std::fmt;

use repro_core::build::ModeError;

use super::{
    health::HealthError,
    keyword::Keyword,
    mount::MountError,
    parse::TriggerError,
    ports::PortError,
    run::RunFlagError,
    signal::SignalError,
    source::{Diagnostic, Span},
    template::TemplateError,
};

/// One thing wrong with a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// The file is longer than [`super::MAX_FILE_BYTES`].
    #[error("a Dockerfile has at most {max} bytes, this one has {size}", max = super::MAX_FILE_BYTES)]
    FileTooLarge {
        /// Bytes it has.
        size: usize,
    },
    /// An instruction is longer than [`super::MAX_LINE_BYTES`].
    #[error("an instruction has at most {max} bytes", max = super::MAX_LINE_BYTES)]
    LineTooLong,
    /// Bytes outside comments that are not UTF-8.
    #[error("this is not UTF-8")]
    NotUtf8,
    /// A NUL byte outside comments.
    #[error("an instruction contains a NUL byte")]
    Nul,
    /// Nothing but comments.
    #[error("the file has no instructions")]
    Empty,
    /// Instructions, but no `FROM`.
    #[error("the file has no FROM")]
    NoStage,
    /// An instruction above the first `FROM`.
    #[error("{0} stands before the first FROM")]
    BeforeFrom(Keyword),
    /// A word that is no instruction.
    #[error("unknown instruction: {word}")]
    UnknownInstruction {
        /// The word.
        word: String,
        /// The instruction it is nearest to.
        nearest: Option<&'static str>,
    },
    /// Fewer arguments than the instruction needs.
    #[error("{keyword} needs {needs}")]
    MissingArguments {
        /// The instruction.
        keyword: Keyword,
        /// What it needs.
        needs: &'static str,
    },
    /// `FROM` with other than one or three words.
    #[error("FROM takes an image and, if wanted, AS and a name")]
    FromArguments,
    /// A name that a stage cannot have.
    #[error("{0:?} cannot be the name of a stage")]
    StageName(String),
    /// A flag that the instruction does not have.
    #[error("{keyword} has no flag --{flag}")]
    UnknownFlag {
        /// The instruction.
        keyword: Keyword,
        /// The flag without its dashes.
        flag: String,
        /// The flag it is nearest to.
        nearest: Option<&'static str>,
    },
    /// A flag without its value.
    #[error("--{0} needs a value: --{0}=VALUE")]
    FlagValue(String),
    /// A flag given twice.
    #[error("--{0} is given twice")]
    DuplicateFlag(String),
    /// A JSON array with something else than strings.
    #[error("a JSON array of {0} holds strings only")]
    JsonNotStrings(Keyword),
    /// `\u0000` in a JSON string.
    #[error("an argument of {0} contains a NUL character")]
    JsonNul(Keyword),
    /// `RUN []`, or an instruction with an empty command.
    #[error("{0} needs a command")]
    EmptyCommand(Keyword),
    /// A word without `=` where pairs are listed.
    #[error("{keyword} needs NAME=VALUE, found {word}")]
    MissingEquals {
        /// The instruction.
        keyword: Keyword,
        /// The word.
        word: String,
    },
    /// A name of no characters.
    #[error("a name of {0} is empty")]
    EmptyName(Keyword),
    /// A variable in a flag that takes none.
    #[error("--from takes no variables")]
    VariableInFrom,
    /// A word that cannot be expanded, whatever its variables hold.
    #[error(transparent)]
    Template(TemplateError),
    /// `--chmod` with something else than a mode.
    #[error(transparent)]
    Mode(ModeError),
    /// A switch with something else than `true` or `false`.
    #[error("--{0} takes true or false")]
    Switch(String),
    /// An option or the kind of `HEALTHCHECK`.
    #[error(transparent)]
    Health(HealthError),
    /// `STOPSIGNAL` with something else than a signal.
    #[error(transparent)]
    Signal(SignalError),
    /// `SHELL` with something else than an array of strings.
    #[error("SHELL needs a JSON array of strings")]
    ShellNotJson,
    /// `VOLUME` with a path of no characters.
    #[error("a path of VOLUME is empty")]
    EmptyVolume,
    /// `ONBUILD` with something that cannot run later.
    #[error(transparent)]
    Trigger(TriggerError),
    /// A heredoc that is the destination of a copy.
    #[error("a heredoc cannot be the destination of {0}")]
    HeredocDestination(Keyword),
    /// A heredoc in the middle of a word of `COPY` or `ADD`, or with blanks in its name.
    #[error("a heredoc of {0} is one word, without blanks: <<NAME")]
    HeredocWord(Keyword),
    /// A heredoc whose name cannot be that of a file.
    #[error("the heredoc {0} cannot be a file: its name is one component of a path")]
    HeredocName(String),
    /// An `EXPOSE` argument that is no port.
    #[error(transparent)]
    Port(PortError),
    /// `RUN --mount`.
    #[error(transparent)]
    Mount(MountError),
    /// Another flag of `RUN`.
    #[error(transparent)]
    Run(RunFlagError),
    /// A heredoc whose end does not come.
    #[error("the heredoc {0} does not end")]
    UnterminatedHeredoc(String),
    /// A directive given twice.
    #[error("the directive {0} is given twice")]
    DuplicateDirective(String),
    /// `escape=` with another character.
    #[error("the escape character is \\ or `, not {0}")]
    EscapeDirective(String),
    /// A part of `check=` that is none.
    #[error("unknown build check option: {0}")]
    CheckDirective(String),
    /// `syntax=` with a front end whose language is not known here.
    #[error("{0} is not a front end that repro reads")]
    Frontend(String),
}

impl SyntaxError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownInstruction {
                nearest: Some(nearest),
                ..
            } => return Some(format!("did you mean {nearest}?")),
            Self::UnknownFlag {
                nearest: Some(nearest),
                ..
            } => return Some(format!("did you mean --{nearest}?")),
            Self::EmptyName(keyword) | Self::MissingEquals { keyword, .. } => {
                return Some(format!(
                    "write {keyword} NAME=VALUE, with no blanks around ="
                ));
            }
            Self::Mount(error) => return error.hint(),
            Self::Run(error) => return error.hint().map(str::to_owned),
            Self::NoStage => "begin with FROM and an image, or FROM scratch",
            Self::BeforeFrom(_) => "only ARG may stand above the first FROM",
            Self::StageName(_) => {
                "a stage name begins with a letter and goes on with letters, digits, -, _ and ."
            }
            Self::NotUtf8 => "save the file as UTF-8",
            Self::ShellNotJson => "write SHELL [\"/bin/bash\", \"-c\"]",
            Self::JsonNotStrings(_) => "put every item in double quotes",
            Self::VariableInFrom => {
                "declare the ARG above the first FROM, name a stage with it \
                 (FROM image:${VERSION} AS tools), and write --from=tools"
            }
            Self::Frontend(_) => {
                "remove the directive, or name docker/dockerfile:1, whose language repro has built in"
            }
            Self::UnterminatedHeredoc(_) => "the end stands alone on its line, without blanks",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// One error with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub error: SyntaxError,
    /// Where, and how to show it.
    pub diagnostic: Diagnostic,
}

impl ParseError {
    pub(super) fn new(source: &super::Source, span: Span, error: SyntaxError) -> Self {
        let diagnostic = source.diagnostic(span, error.to_string(), error.hint());
        Self { error, diagnostic }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}

impl std::error::Error for ParseError {}

/// Everything wrong with a Dockerfile: at least one error, in order of lines, and at most
/// [`ParseErrors::MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseErrors(Vec<ParseError>);

impl ParseErrors {
    /// Errors that are kept: a file that is no Dockerfile would have one for each line.
    pub const MAX: usize = 20;

    /// `None` if there are none.
    pub(super) fn collect(mut errors: Vec<ParseError>) -> Option<Self> {
        errors.sort_by_key(|e| (e.diagnostic.line, e.diagnostic.column));
        errors.truncate(Self::MAX);
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// The errors.
    #[must_use]
    pub fn errors(&self) -> &[ParseError] {
        &self.0
    }

    /// Their places and messages.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().map(|error| &error.diagnostic)
    }
}

impl fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseErrors {}
