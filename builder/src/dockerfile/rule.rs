//! Findings that are not errors, with the names of BuildKit's build checks where it has them.

use repro_core::build::Finding;

/// Whether a rule is looked at unless a Dockerfile asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maturity {
    /// It is.
    Settled,
    /// Only where `# check=experimental=` names it: it can be wrong.
    Experimental,
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $code:literal;)*) => {
        /// A rule that a Dockerfile can break without being refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name that `# check=skip=` takes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The code of its findings.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

rules! {
    /// A stage name with capitals.
    StageNameCasing = "StageNameCasing", "stage-name-casing";
    /// `AS` in other letters than `FROM`.
    FromAsCasing = "FromAsCasing", "from-as-casing";
    /// An empty line inside a continued instruction.
    EmptyContinuation = "NoEmptyContinuation", "no-empty-continuation";
    /// An instruction in other letters than most.
    InstructionCasing = "ConsistentInstructionCasing", "consistent-instruction-casing";
    /// Two stages of one name: `--from` and `--target` mean the later one.
    DuplicateStageName = "DuplicateStageName", "duplicate-stage-name";
    /// A stage named like a word with a meaning of its own.
    ReservedStageName = "ReservedStageName", "reserved-stage-name";
    /// `CMD` or `ENTRYPOINT` for the shell, which then gets the signals.
    JsonArgs = "JSONArgsRecommended", "json-args-recommended";
    /// `MAINTAINER`.
    Maintainer = "MaintainerDeprecated", "maintainer-deprecated";
    /// A variable of `FROM` that no `ARG` declares.
    UndefinedArgInFrom = "UndefinedArgInFrom", "undefined-arg-in-from";
    /// `WORKDIR` relative to what the base image says.
    RelativeWorkdir = "WorkdirRelativePath", "workdir-relative-path";
    /// A variable that is not set.
    UndefinedVar = "UndefinedVar", "undefined-var";
    /// An instruction of which only the last one counts, several times in a stage.
    MultipleInstructions = "MultipleInstructionsDisallowed", "multiple-instructions-disallowed";
    /// `ENV name value` instead of `ENV name=value`.
    LegacyKeyValue = "LegacyKeyValueFormat", "legacy-key-value-format";
    /// `FROM --platform=$TARGETPLATFORM`, which is so anyway.
    RedundantTargetPlatform = "RedundantTargetPlatform", "redundant-target-platform";
    /// A name of `ARG` or `ENV` that says secret.
    SecretName = "SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env";
    /// `FROM` that without build arguments names no image.
    InvalidDefaultArg = "InvalidDefaultArgInFrom", "invalid-default-arg-in-from";
    /// `FROM --platform` that is the same whatever is built for.
    ConstantPlatform = "FromPlatformFlagConstDisallowed", "from-platform-flag-const-disallowed";
    /// A source of `COPY` that the ignore file leaves out.
    CopyIgnoredFile = "CopyIgnoredFile", "copy-ignored-file";
    /// A comment above an `ARG` or a stage that does not begin with its name.
    DefinitionDescription = "InvalidDefinitionDescription", "invalid-definition-description";
    /// A protocol of `EXPOSE` in capitals.
    ExposeProtoCasing = "ExposeProtoCasing", "expose-proto-casing";
    /// `EXPOSE` of an address or a port of the machine.
    ExposeFormat = "ExposeInvalidFormat", "expose-invalid-format";
    /// A `--build-arg` that no `ARG` declares. Ours alone: BuildKit warns without a rule.
    UnusedBuildArg = "UnusedBuildArg", "unused-build-arg";
}

impl Rule {
    /// Whether it is looked at unless asked for.
    #[must_use]
    pub const fn maturity(self) -> Maturity {
        match self {
            Self::CopyIgnoredFile | Self::DefinitionDescription => Maturity::Experimental,
            _ => Maturity::Settled,
        }
    }

    /// The rule whose findings have this code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|rule| rule.code() == code).copied()
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
