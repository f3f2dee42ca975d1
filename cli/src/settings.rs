//! What the command line and the surroundings mean together, decided once, before any command.

use std::path::PathBuf;

use crate::{
    ambient::{Ambient, CallersLineage},
    args::{GlobalArgs, JsonArgs},
    error::{CommandError, ErrorKind},
    output::{Format, Messages, Output, Talk},
    progress::{ProgressMode, View},
};

/// Everything that a command needs to know besides its own arguments.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where the store is, or why that is unknown: not every command needs one.
    store: Result<PathBuf, NoStore>,
    /// The way out.
    pub(crate) output: Output,
    /// How work in progress is shown.
    pub(crate) view: View,
    /// `SOURCE_DATE_EPOCH` of the caller.
    pub(crate) source_date_epoch: Option<std::ffi::OsString>,
    /// What the caller's variables say of the data.
    pub(crate) lineage: CallersLineage,
}

/// Nothing says where the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NoStore;

/// What a command says of its own output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forms {
    /// `--progress`.
    pub(crate) progress: ProgressMode,
    /// `--json`.
    pub(crate) format: Format,
}

impl Forms {
    /// Of a command that shows progress.
    pub(crate) const fn new(progress: ProgressMode, json: JsonArgs) -> Self {
        let format = if json.json {
            Format::Json
        } else {
            Format::Text
        };
        Self { progress, format }
    }

    /// Of a command that does not.
    pub(crate) const fn of(json: JsonArgs) -> Self {
        Self::new(ProgressMode::Auto, json)
    }
}

impl Settings {
    pub(crate) fn resolve(
        global: &GlobalArgs,
        forms: Forms,
        ambient: &Ambient,
    ) -> Result<Self, CommandError> {
        let talk = if global.quiet || forms.progress == ProgressMode::Quiet {
            Talk::Quiet
        } else {
            Talk::Normal
        };
        let messages = forms.progress.messages();
        let logs = global.verbose > 0 || ambient.log_filter.is_some();
        if logs && messages == Messages::Ndjson {
            return Err(CommandError::usage(
                "logs would stand between the lines of --progress json",
            )
            .hint("leave out -v, and RUST_LOG in the environment"));
        }
        let live = ambient.stderr.is_terminal();
        let view = match (forms.progress, talk) {
            (ProgressMode::Json, _) => View::Ndjson,
            (_, Talk::Quiet) => View::Quiet,
            (ProgressMode::Tty, _) if !live => {
                return Err(CommandError::usage(
                    "--progress tty needs a terminal on standard error",
                )
                .hint("use --progress auto, which takes a terminal where there is one"));
            }
            (ProgressMode::Tty, _) => View::Terminal,
            // Log lines would tear a live view apart.
            (ProgressMode::Auto, _) if live && !logs => View::Terminal,
            (ProgressMode::Auto | ProgressMode::Plain | ProgressMode::Quiet, _) => View::Plain,
        };
        Ok(Self {
            store: store(global, ambient),
            output: Output::new(ambient, global.color, talk, messages, forms.format),
            view,
            source_date_epoch: ambient.source_date_epoch.clone(),
            lineage: ambient.lineage.clone(),
        })
    }

    /// The directory of the store.
    pub(crate) fn store_dir(&self) -> Result<&PathBuf, CommandError> {
        self.store.as_ref().map_err(|NoStore| {
            CommandError::message(
                ErrorKind::Machine,
                "there is no place for the store: neither --store, REPRO_STORE, XDG_DATA_HOME nor \
                 HOME says where it is",
            )
            .hint("name one: --store DIR")
        })
    }
}

/// The store of design: the flag or `REPRO_STORE`, else the user's data directory. A relative
/// `XDG_DATA_HOME` is ignored, as the XDG Base Directory Specification demands.
fn store(global: &GlobalArgs, ambient: &Ambient) -> Result<PathBuf, NoStore> {
    if let Some(dir) = &global.store
        && !dir.as_os_str().is_empty()
    {
        return Ok(dir.clone());
    }
    let absolute = |dir: &Option<PathBuf>| dir.clone().filter(|dir| dir.is_absolute());
    absolute(&ambient.data_home)
        .or_else(|| absolute(&ambient.home).map(|home| home.join(".local/share")))
        .map(|data| data.join("repro"))
        .ok_or(NoStore)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ambient::Stream, output::ColorChoice};

    const PLAIN: Forms = Forms {
        progress: ProgressMode::Auto,
        format: Format::Text,
    };

    fn global(store: Option<&str>) -> GlobalArgs {
        GlobalArgs {
            store: store.map(Into::into),
            color: ColorChoice::Never,
            quiet: false,
            verbose: 0,
        }
    }

    fn ambient(home: Option<&str>, data: Option<&str>) -> Ambient {
        Ambient {
            home: home.map(Into::into),
            data_home: data.map(Into::into),
            ..Ambient::default()
        }
    }

    #[test]
    fn the_store_is_where_the_first_of_four_says() {
        for (flag, data, home, expected) in [
            (Some("/s"), Some("/d"), Some("/h"), Some("/s")),
            (Some("s"), None, None, Some("s")),
            (Some(""), Some("/d"), Some("/h"), Some("/d/repro")),
            (
                None,
                Some("relative"),
                Some("/h"),
                Some("/h/.local/share/repro"),
            ),
            (None, None, Some("relative"), None),
        ] {
            let found = store(&global(flag), &ambient(home, data));
            assert_eq!(found.ok(), expected.map(PathBuf::from));
        }
    }

    #[test]
    fn the_view_follows_terminal_and_flags() {
        use ProgressMode::{Auto, Json, Plain, Tty};

        let view = |progress, terminal, quiet, verbose| {
            let stderr = if terminal {
                Stream::Terminal
            } else {
                Stream::Plain
            };
            let ambient = Ambient {
                stderr,
                ..Ambient::default()
            };
            let global = GlobalArgs {
                quiet,
                verbose,
                ..global(None)
            };
            Settings::resolve(&global, Forms { progress, ..PLAIN }, &ambient)
                .map(|settings| settings.view)
                .ok()
        };
        assert_eq!(view(Auto, true, false, 0), Some(View::Terminal));
        assert_eq!(view(Auto, false, false, 0), Some(View::Plain));
        assert_eq!(view(Auto, true, false, 1), Some(View::Plain));
        assert_eq!(view(Auto, true, true, 0), Some(View::Quiet));
        assert_eq!(view(Plain, true, false, 0), Some(View::Plain));
        assert_eq!(view(Json, true, true, 0), Some(View::Ndjson));
        assert_eq!(view(Json, true, false, 1), None);
        assert_eq!(view(Tty, false, false, 0), None);
    }
}
