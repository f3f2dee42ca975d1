//! The names of instructions, and what a mistyped one may have meant.

use std::fmt;

/// Longest word compared with known names: comparing takes time with its square.
const MAX_COMPARED: usize = 32;

macro_rules! keywords {
    ($($variant:ident = $name:literal,)*) => {
        /// An instruction of the language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Keyword {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl Keyword {
            /// Every instruction.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name, in capitals.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

keywords! {
    Add = "ADD",
    Arg = "ARG",
    Cmd = "CMD",
    Copy = "COPY",
    Entrypoint = "ENTRYPOINT",
    Env = "ENV",
    Expose = "EXPOSE",
    From = "FROM",
    Healthcheck = "HEALTHCHECK",
    Label = "LABEL",
    Maintainer = "MAINTAINER",
    Onbuild = "ONBUILD",
    Run = "RUN",
    Shell = "SHELL",
    Stopsignal = "STOPSIGNAL",
    User = "USER",
    Volume = "VOLUME",
    Workdir = "WORKDIR",
}

impl Keyword {
    /// The instruction of a name, letters in either case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let named = |keyword: &&Self| keyword.name().eq_ignore_ascii_case(word);
        Self::ALL.iter().find(named).copied()
    }

    /// The instruction that a mistyped name is nearest to.
    pub(super) fn near(word: &str) -> Option<&'static str> {
        nearest(
            &word.to_ascii_uppercase(),
            Self::ALL.iter().map(|keyword| keyword.name()),
        )
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name that `word` differs from by one slip, or by two if it is long.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_COMPARED {
        return None;
    }
    let slips = if word.len() < 5 { 1 } else { 2 };
    names
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood() {
        for (word, meant) in [
            ("RUNN", Some("RUN")),
            ("rnu", Some("RUN")),
            ("FORM", Some("FROM")),
            ("COPPY", Some("COPY")),
            ("ENTRYPIONT", Some("ENTRYPOINT")),
            ("BANANA", None),
            ("services:", None),
        ] {
            assert_eq!(Keyword::near(word), meant, "{word}");
        }
        assert_eq!(Keyword::near(&"R".repeat(100_000)), None);
        assert_eq!(Keyword::parse("wOrKdIr"), Some(Keyword::Workdir));
    }
}
