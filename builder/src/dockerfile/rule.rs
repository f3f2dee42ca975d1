//! Findings that are not errors, with the names of BuildKit's build checks where it has them.

use repro_core::build::Finding;

/// A rule that a Dockerfile can break without being refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An empty line inside a continued instruction.
    EmptyContinuation,
    /// `ENV name value` instead of `ENV name=value`.
    LegacyKeyValue,
    /// Two stages of one name: `--from` and `--target` mean the later one.
    DuplicateStageName,
    /// A stage named like a word with a meaning of its own.
    ReservedStageName,
    /// A `--build-arg` that no `ARG` declares. Ours alone: BuildKit warns without a rule.
    UnusedBuildArg,
}

impl Rule {
    /// The name that `# check=skip=` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptyContinuation => "NoEmptyContinuation",
            Self::LegacyKeyValue => "LegacyKeyValueFormat",
            Self::DuplicateStageName => "DuplicateStageName",
            Self::ReservedStageName => "ReservedStageName",
            Self::UnusedBuildArg => "UnusedBuildArg",
        }
    }

    /// The code of its findings.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::EmptyContinuation => "no-empty-continuation",
            Self::LegacyKeyValue => "legacy-key-value-format",
            Self::DuplicateStageName => "duplicate-stage-name",
            Self::ReservedStageName => "reserved-stage-name",
            Self::UnusedBuildArg => "unused-build-arg",
        }
    }

    /// A finding of this rule.
    #[must_use]
    pub fn finding(self, message: String, line: Option<u32>) -> Finding {
        Finding {
            code: self.code().into(),
            message,
            line,
        }
    }
}
