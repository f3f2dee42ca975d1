//! The report as files: forms, and where each goes.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    str::FromStr,
};

use repro_core::json::CanonicalError;
use repro_verifier::{
    pack::layout::ReportFormat,
    render::{self, Line, TextOptions},
    report::{PairReport, Report},
};

use crate::{
    error::{CommandError, ErrorKind},
    files,
    output::Output,
};

/// A form of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people, as on a terminal
    #[default]
    Text,
    /// For the summary of a CI job, or a comment
    Markdown,
    /// All of it, for programs
    Json,
    /// For code scanning
    Sarif,
    /// For the list of tests of a CI system
    Junit,
    /// One page that needs nothing from elsewhere
    Html,
}

impl Form {
    /// The form that the end of a file's name stands for.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        let end = path.extension()?.to_str()?.to_ascii_lowercase();
        let stem = path.file_stem().map(Path::new);
        let inner = stem.and_then(Path::extension).and_then(OsStr::to_str);
        Some(match (end.as_str(), inner) {
            ("sarif", _) | ("json", Some("sarif")) => Self::Sarif,
            ("json", _) => Self::Json,
            ("md" | "markdown", _) => Self::Markdown,
            ("html" | "htm", _) => Self::Html,
            ("xml", _) => Self::Junit,
            ("txt", _) => Self::Text,
            _ => return None,
        })
    }

    const fn format(self) -> Option<ReportFormat> {
        match self {
            Self::Text => None,
            Self::Markdown => Some(ReportFormat::Markdown),
            Self::Json => Some(ReportFormat::Json),
            Self::Sarif => Some(ReportFormat::Sarif),
            Self::Junit => Some(ReportFormat::Junit),
            Self::Html => Some(ReportFormat::Html),
        }
    }
}

/// What a report is on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    Build {
        report: &'a Report,
        /// The Dockerfile, from where the program was started if it lies below: CI starts builds at the top of a
        /// checkout, and code scanning looks for files from there.
        dockerfile: &'a str,
    },
    Pair(&'a PairReport),
}

impl Subject<'_> {
    /// The report as lines of text.
    pub(crate) fn text(self, options: &TextOptions) -> Vec<Line> {
        match self {
            Self::Build { report, .. } => render::text(report, options),
            Self::Pair(report) => render::pair_text(report, options),
        }
    }

    /// The report as a file: text with everything in it, without colours.
    pub(crate) fn bytes(self, form: Form) -> Result<Vec<u8>, CommandError> {
        let written: Result<Vec<u8>, CanonicalError> = match (form.format(), self) {
            (Some(ReportFormat::Sarif), Self::Build { report, dockerfile }) => {
                render::sarif(report, dockerfile)
            }
            (Some(format), Self::Build { report, .. }) => render::report(report, format),
            (Some(format), Self::Pair(report)) => render::pair(report, format),
            (None, _) => {
                let options = TextOptions {
                    height: None,
                    ..TextOptions::default()
                };
                let lines = self.text(&options);
                Ok(lines
                    .iter()
                    .flat_map(|line| format!("{line}\n").into_bytes())
                    .collect())
            }
        };
        let mut bytes = written.map_err(|error| CommandError::new(ErrorKind::Internal, &error))?;
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        Ok(bytes)
    }
}

/// One `FORM=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportArg {
    form: Form,
    /// `-` is standard output.
    file: PathBuf,
}

/// One value of `--report`, or several of them with spaces between, as `REPRO_REPORT` has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportArgs(Vec<ReportArg>);

/// Why a text names no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReportArgError {
    /// There is no form before it.
    #[error("a report is given as FORM=FILE; FORM is text, markdown, json, sarif, junit or html")]
    Form,
    /// There is no file behind it.
    #[error("no file is named for the report as {0}")]
    File(String),
}

impl FromStr for ReportArgs {
    type Err = ReportArgError;

    /// A space ends a value only where the next one begins, so that a name may have spaces.
    fn from_str(text: &str) -> Result<Self, ReportArgError> {
        let mut found: Vec<(Form, String)> = Vec::new();
        for word in text.split(' ') {
            let next = word.split_once('=').and_then(|(form, file)| {
                let form = <Form as clap::ValueEnum>::from_str(form, false).ok()?;
                Some((form, file.to_owned()))
            });
            match (next, found.last_mut()) {
                (Some(next), _) => found.push(next),
                (None, Some((_, file))) => {
                    file.push(' ');
                    file.push_str(word);
                }
                (None, None) if word.is_empty() => {}
                (None, None) => return Err(ReportArgError::Form),
            }
        }
        if found.is_empty() {
            return Err(ReportArgError::Form);
        }
        let reports = found.into_iter().map(|(form, file)| {
            let file = file.trim_end();
            if file.is_empty() {
                let form = clap::ValueEnum::to_possible_value(&form);
                let name = form.map_or_else(String::new, |form| form.get_name().to_owned());
                return Err(ReportArgError::File(name));
            }
            let file = PathBuf::from(file);
            Ok(ReportArg { form, file })
        });
        reports.collect::<Result<_, _>>().map(Self)
    }
}

/// All `--report` of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reports<'a>(pub(crate) &'a [ReportArgs]);

impl<'a> Reports<'a> {
    fn all(self) -> impl Iterator<Item = &'a ReportArg> {
        self.0.iter().flat_map(|values| &values.0)
    }

    /// Whether standard output is taken by one of them.
    pub(crate) fn streams(self) -> bool {
        self.all().any(|report| is_stdout(&report.file))
    }

    /// The files that will be written, for whoever removes older ones.
    pub(crate) fn files(self) -> impl Iterator<Item = &'a Path> {
        self.all()
            .map(|report| report.file.as_path())
            .filter(|file| !is_stdout(file))
    }

    /// Refuses, before any work, what could not be written after it. `taken` says whether standard
    /// output holds something else.
    pub(crate) fn check(self, evidence: &Path, taken: bool) -> Result<(), CommandError> {
        let streams = self.all().filter(|report| is_stdout(&report.file)).count();
        if streams > 1 || (streams == 1 && taken) {
            return Err(
                CommandError::usage("standard output holds one document only")
                    .hint("name a file for the others"),
            );
        }
        for file in self.files() {
            if file.starts_with(evidence) {
                let message = format!("{} is in the evidence pack", file.display());
                return Err(CommandError::usage(message).hint(
                    "name another place: a pack holds the report in every form already, and nothing \
                     may be added to it",
                ));
            }
            check_place(file)?;
        }
        Ok(())
    }

    /// Writes all of them.
    pub(crate) fn write(self, subject: Subject<'_>, output: &Output) -> Result<(), CommandError> {
        for report in self.all() {
            write(subject, report.form, &report.file, output)?;
        }
        Ok(())
    }
}

/// Refuses a file whose directory is not there.
pub(crate) fn check_place(file: &Path) -> Result<(), CommandError> {
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent
        && !parent.is_dir()
    {
        let message = format!("the report cannot be written to {}", file.display());
        return Err(CommandError::usage(&message)
            .hint(format!("make the directory {} first", parent.display())));
    }
    if file.is_dir() {
        let message = format!(
            "the report cannot be written to {}: it is a directory",
            file.display()
        );
        return Err(CommandError::usage(message).hint("name a file in it"));
    }
    Ok(())
}

/// Writes one report to a file, or to standard output for `-`.
pub(crate) fn write(
    subject: Subject<'_>,
    form: Form,
    file: &Path,
    output: &Output,
) -> Result<(), CommandError> {
    let bytes = subject.bytes(form)?;
    if is_stdout(file) {
        output.data(&bytes)
    } else {
        files::write(file, &bytes)
    }
}

/// Whether `-` is meant.
pub(crate) fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(Form, String)>, ReportArgError> {
        let ReportArgs(reports) = text.parse()?;
        let reports = reports.into_iter();
        Ok(reports
            .map(|report| (report.form, report.file.display().to_string()))
            .collect())
    }

    #[test]
    fn one_value_or_several() {
        let of = |form, file: &str| (form, file.to_owned());
        assert_eq!(parsed("html=a.html"), Ok(vec![of(Form::Html, "a.html")]));
        assert_eq!(parsed("junit=-"), Ok(vec![of(Form::Junit, "-")]));
        assert_eq!(
            parsed("html=my report.html  markdown=a=b.md "),
            Ok(vec![
                of(Form::Html, "my report.html"),
                of(Form::Markdown, "a=b.md")
            ])
        );
        for text in ["", " ", "a.html", "pdf=a", "=a"] {
            assert_eq!(parsed(text), Err(ReportArgError::Form), "{text:?}");
        }
        assert_eq!(parsed("html="), Err(ReportArgError::File("html".into())));
    }

    #[test]
    fn a_name_stands_for_a_form() {
        for (name, form) in [
            ("a.html", Some(Form::Html)),
            ("a.sarif.json", Some(Form::Sarif)),
            ("a.SARIF", Some(Form::Sarif)),
            ("dir.md/a.json", Some(Form::Json)),
            ("a.junit.xml", Some(Form::Junit)),
            ("a.pdf", None),
            ("md", None),
            ("-", None),
        ] {
            assert_eq!(Form::of_name(Path::new(name)), form, "{name}");
        }
    }
}
