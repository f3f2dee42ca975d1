//! What a Dockerfile says.

use repro_core::build::Finding;

use super::{
    copy::{AddArgs, CopyArgs},
    directives::Directives,
    health::HealthTest,
    heredoc::Heredoc,
    keyword::Keyword,
    run::RunArgs,
    source::{Diagnostic, Source, Span},
    template::Template,
};

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// Name and text, for messages.
    pub source: Source,
    /// The directives at its top.
    pub directives: Directives,
    /// Each `ARG` above the first `FROM`.
    pub global_args: Vec<Instruction<Vec<ArgDefinition>>>,
    /// At least one.
    pub stages: Vec<Stage>,
    /// What is allowed but unwise, less what `# check=skip=` turns off.
    pub findings: Vec<Finding>,
}

impl Dockerfile {
    /// The stage of a name, letters in either case; of several the last. Numbers are no names.
    #[must_use]
    pub fn stage_named(&self, name: &str) -> Option<usize> {
        self.stages.iter().rposition(|stage| {
            let own = stage.from.kind.name.as_deref();
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        })
    }

    /// A message about the instruction that begins on `line`.
    #[must_use]
    pub fn diagnostic_at(&self, line: u32, message: String, hint: Option<String>) -> Diagnostic {
        let instructions = self.stages.iter().flat_map(|stage| &stage.instructions);
        let span = instructions
            .filter(|instruction| instruction.line == line)
            .map(|instruction| instruction.span)
            .next();
        let span = span.unwrap_or(Span {
            line,
            column: 1,
            length: 0,
        });
        self.source.diagnostic(span, message, hint)
    }

    /// A message about an instruction, for errors that only building it shows.
    #[must_use]
    pub fn diagnostic<K>(
        &self,
        instruction: &Instruction<K>,
        message: String,
        hint: Option<String>,
    ) -> Diagnostic {
        self.source.diagnostic(instruction.span, message, hint)
    }
}

/// A stage: `FROM` and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// What it begins with.
    pub from: Instruction<From>,
    /// Its instructions in order.
    pub instructions: Vec<Instruction>,
}

/// An instruction with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction<K = InstructionKind> {
    /// What it says.
    pub kind: K,
    /// Its first line, from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// Its text on its first line.
    pub span: Span,
    /// Its text, continuations joined, comments left out.
    pub text: String,
}

/// The arguments of `FROM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// A stage, `scratch`, or an image. Expanded with the global scope; must not become empty.
    pub image: Template,
    /// `--platform`, expanded with the global scope.
    pub platform: Option<Template>,
    /// `AS`, in lower case.
    pub name: Option<String>,
}

/// The arguments of an instruction within a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ADD`.
    Add(AddArgs),
    /// `ARG`, at least one.
    Arg(Vec<ArgDefinition>),
    /// `CMD`.
    Cmd(CommandLine),
    /// `COPY`.
    Copy(CopyArgs),
    /// `ENTRYPOINT`.
    Entrypoint(CommandLine),
    /// `ENV`.
    Env(Pairs),
    /// `EXPOSE`, at least one; expanded into words, then [`super::parse_ports`].
    Expose(Vec<Template>),
    /// `HEALTHCHECK`. Nothing of it is expanded.
    Healthcheck(HealthTest),
    /// `LABEL`.
    Label(Pairs),
    /// `MAINTAINER`, not expanded.
    Maintainer(String),
    /// `ONBUILD`: the text of an instruction, heredocs included. It was read once, to know that it
    /// is one; it means something only in the Dockerfile that it will be run for.
    Onbuild(String),
    /// `RUN`.
    Run(RunArgs),
    /// `SHELL`, not empty.
    Shell(Vec<String>),
    /// `STOPSIGNAL`; expanded, then [`super::check_signal`].
    Stopsignal(Template),
    /// `USER`, `user[:group]`.
    User(Template),
    /// `VOLUME`, at least one.
    Volume(Volumes),
    /// `WORKDIR`, absolute or relative to the one before.
    Workdir(Template),
}

impl InstructionKind {
    /// The instruction's name.
    #[must_use]
    pub const fn keyword(&self) -> Keyword {
        match self {
            Self::Add(_) => Keyword::Add,
            Self::Arg(_) => Keyword::Arg,
            Self::Cmd(_) => Keyword::Cmd,
            Self::Copy(_) => Keyword::Copy,
            Self::Entrypoint(_) => Keyword::Entrypoint,
            Self::Env(_) => Keyword::Env,
            Self::Expose(_) => Keyword::Expose,
            Self::Healthcheck(_) => Keyword::Healthcheck,
            Self::Label(_) => Keyword::Label,
            Self::Maintainer(_) => Keyword::Maintainer,
            Self::Onbuild(_) => Keyword::Onbuild,
            Self::Run(_) => Keyword::Run,
            Self::Shell(_) => Keyword::Shell,
            Self::Stopsignal(_) => Keyword::Stopsignal,
            Self::User(_) => Keyword::User,
            Self::Volume(_) => Keyword::Volume,
            Self::Workdir(_) => Keyword::Workdir,
        }
    }
}

impl InstructionKind {
    /// The words in which the builder puts values in place of variables, but the names and defaults
    /// of `ARG`.
    #[must_use]
    pub fn expanded(&self) -> Vec<&Template> {
        match self {
            Self::Add(add) => {
                let mut words = add.copy.expanded();
                words.extend(&add.checksum);
                words
            }
            Self::Copy(copy) => copy.expanded(),
            Self::Env(pairs) | Self::Label(pairs) => {
                let pairs = pairs.pairs.iter();
                pairs.flat_map(|pair| [&pair.name, &pair.value]).collect()
            }
            Self::Expose(words) => words.iter().collect(),
            Self::Stopsignal(word) | Self::User(word) | Self::Workdir(word) => vec![word],
            Self::Volume(volumes) => volumes.paths.iter().collect(),
            Self::Arg(_)
            | Self::Cmd(_)
            | Self::Entrypoint(_)
            | Self::Healthcheck(_)
            | Self::Maintainer(_)
            | Self::Onbuild(_)
            | Self::Run(_)
            | Self::Shell(_) => Vec::new(),
        }
    }
}

/// One variable of an `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDefinition {
    /// Its name.
    pub name: Template,
    /// Behind `=`. `Some` of an empty word where nothing follows the `=`.
    pub default: Option<Template>,
}

/// A command of `RUN`, `CMD` or `ENTRYPOINT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// One text for the shell. An empty one is run like any other, as in Docker.
    Shell(String),
    /// Program and arguments. Empty only for `CMD []` and `ENTRYPOINT []`.
    Exec(Vec<String>),
    /// `RUN` alone: a text for the shell and the heredocs that it announces, at least one.
    Heredocs(String, Vec<Heredoc>),
}

/// The paths of `VOLUME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volumes {
    /// How they are written.
    pub syntax: ListSyntax,
    /// At least one, none empty before expansion.
    pub paths: Vec<Template>,
}

/// How pairs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairSyntax {
    /// `name=value ...`.
    Assignments,
    /// `name value`: one pair, the value to the end of the line.
    Legacy,
}

/// The pairs of `ENV` or `LABEL`, at least one, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// How they are written.
    pub syntax: PairSyntax,
    /// The pairs.
    pub pairs: Vec<Pair>,
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Left of `=`.
    pub name: Template,
    /// Right of `=`.
    pub value: Template,
}

/// How a list of words is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSyntax {
    /// With blanks between.
    Words,
    /// As a JSON array, so that words can hold blanks.
    Json,
}
