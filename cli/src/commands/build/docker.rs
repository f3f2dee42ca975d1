//! Every option of `docker build` and `docker buildx build`, and what becomes of it here. Options
//! that are refused or mean nothing are known to the command line from this table alone;
//! `docs/docker-flags.md` is made from it.

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::docker_table::FLAGS;
use crate::error::CommandError;

/// One option of Docker.
#[derive(Debug)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the page and the tests are made from the same table"
    )
)]
pub(crate) struct Flag {
    /// Without the dashes.
    pub(crate) name: &'static str,
    /// One letter.
    pub(crate) short: Option<char>,
    /// What its value is called; `None` for a switch.
    pub(crate) value: Option<&'static str>,
    /// What becomes of it.
    pub(crate) effect: Effect,
    /// Words that the tests give to `repro build`, first of all the option.
    pub(crate) tried: &'static [&'static str],
    /// Values that Docker takes and that are refused here.
    pub(crate) refused_values: &'static [&'static str],
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the page and the tests are made from the same table"
    )
)]
pub(crate) enum Effect {
    /// It does what it does in Docker.
    Same,
    /// It does that, but for what is said.
    Differs(&'static str),
    /// It is an error.
    Refused {
        /// Why.
        reason: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// It is accepted, and there is nothing that it could change.
    NotApplicable(&'static str),
}

/// Which options were given that the build itself does not know.
#[derive(Debug, Clone, Default)]
pub(crate) struct DockerArgs {
    given: Vec<&'static str>,
}

impl DockerArgs {
    /// Refuses what cannot be had.
    pub(crate) fn check(&self) -> Result<(), CommandError> {
        for flag in self.flags() {
            if let Effect::Refused { reason, instead } = flag.effect {
                let message = format!("--{} is refused: {reason}", flag.name);
                return Err(CommandError::usage(message).hint(instead));
            }
        }
        Ok(())
    }

    /// What changes nothing.
    pub(crate) fn notes(&self) -> Vec<String> {
        let note = |flag: &Flag| match flag.effect {
            Effect::NotApplicable(why) => Some(format!("--{} changes nothing: {why}", flag.name)),
            _ => None,
        };
        self.flags().filter_map(note).collect()
    }

    fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        FLAGS.iter().filter(|flag| self.given.contains(&flag.name))
    }
}

/// The options of the table that the build itself does not have.
fn foreign() -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(|flag| {
        matches!(
            flag.effect,
            Effect::Refused { .. } | Effect::NotApplicable(_)
        )
    })
}

impl FromArgMatches for DockerArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = foreign().map(|flag| flag.name);
        Ok(Self {
            given: given.filter(|name| matches.contains_id(name)).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for DockerArgs {
    fn augment_args(command: Command) -> Command {
        command.args(foreign().map(|flag| {
            let mut arg = Arg::new(flag.name)
                .long(flag.name)
                .hide(true)
                .action(ArgAction::Append);
            if let Some(short) = flag.short {
                arg = arg.short(short);
            }
            match flag.value {
                Some(value) => arg.value_name(value).allow_hyphen_values(true),
                // A switch of Docker takes a value behind `=` as well.
                None => arg
                    .value_name("BOOL")
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true"),
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The table as Markdown.
#[cfg(test)]
fn page() -> String {
    use std::fmt::Write as _;

    let mut page = String::from(
        "\
# Options of `docker build` and what becomes of them

Every option of `docker build` (the classic builder and Docker 28) and of `docker buildx build`. This
file is generated from `cli/src/commands/build/docker_table.rs`: after a change of the table,
`UPDATE=1 cargo test -p repro docker` writes it anew. The tests run every row with the words in its
last column.

What is **refused** ends with exit code 2 and says the reason and what to do instead. What is **not
applicable** is accepted, and a line on standard error says why it changes nothing. What decides a
byte of the image or what a step sees is recorded in the provenance and the same in both runs.

The context is a directory or `-`: a tar on standard input (plain, or compressed with gzip, zstd, xz
or bzip2, told by its content), or a Dockerfile alone. A URL or a git reference is an input that no
lock pins, and exit code 6.

| option | here | | tried with |
|---|---|---|---|
",
    );
    for flag in FLAGS {
        let mut name = match flag.short {
            Some(short) => format!("`-{short}`, `--{}`", flag.name),
            None => format!("`--{}`", flag.name),
        };
        if let Some(value) = flag.value {
            name = format!("{} {value}`", name.trim_end_matches('`'));
        }
        let (kind, text) = match flag.effect {
            Effect::Same => ("same", String::new()),
            Effect::Differs(how) => ("differs", how.to_owned()),
            Effect::Refused { reason, instead } => ("refused", format!("{reason}. {instead}")),
            Effect::NotApplicable(why) => ("not applicable", why.to_owned()),
        };
        let mut text = text;
        if !flag.refused_values.is_empty() {
            let values: Vec<String> = flag
                .refused_values
                .iter()
                .map(|value| format!("`{value}`"))
                .collect();
            let _ = write!(text, " Refused: {}.", values.join(", "));
        }
        let tried = flag.tried.join(" ");
        let row = format!("| {name} | {kind} | {} | `{tried}` |", text.trim());
        let written = writeln!(page, "{}", row.replace("  ", " "));
        debug_assert!(written.is_ok(), "a String takes every write");
    }
    page
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn docker_flags_md_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/docker-flags.md");
        let now = page();
        #[expect(
            clippy::disallowed_methods,
            reason = "a switch of this test, not of the program"
        )]
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == now,
            "docs/docker-flags.md is out of date: UPDATE=1 cargo test -p repro docker"
        );
    }

    #[test]
    fn docker_table_and_command_line_agree() {
        let command = Cli::command();
        let build = command.find_subcommand("build").unwrap();
        let globals = command.get_arguments();
        let known: Vec<&Arg> = build.get_arguments().chain(globals).collect();
        let mut names: Vec<&str> = FLAGS.iter().map(|flag| flag.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        names.dedup();
        assert_eq!(names.len(), FLAGS.len(), "a name stands twice");
        for flag in FLAGS {
            let arg = known
                .iter()
                .find(|arg| arg.get_long() == Some(flag.name))
                .unwrap_or_else(|| panic!("repro build has no --{}", flag.name));
            if let Some(short) = flag.short {
                assert_eq!(arg.get_short(), Some(short), "{}", flag.name);
            }
            let takes_value = arg.get_action().takes_values()
                && arg
                    .get_num_args()
                    .is_none_or(|range| range.min_values() > 0);
            assert_eq!(takes_value, flag.value.is_some(), "{}", flag.name);
            let first = flag.tried.first().copied().unwrap_or_default();
            let word = first.split('=').next().unwrap_or_default();
            let short = flag.short.map(|short| format!("-{short}"));
            assert!(
                word == format!("--{}", flag.name) || Some(word) == short.as_deref(),
                "{} is tried with {first}",
                flag.name
            );
        }
    }
}
