//! Parser directives: comments of the form `# key=value` above everything else.

use std::{collections::BTreeSet, fmt, str::FromStr as _};

use repro_core::{hosts::DEFAULT_REGISTRY, reference::ImageRef};

use super::{
    error::SyntaxError,
    lines::{LineFault, without_bom},
    rule::{Maturity, Rule},
    source::{Source, Span},
};

/// The repository of the one front end whose language this is.
const FRONTEND: &str = "docker/dockerfile";

/// The escape character: of continuations, and in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// `\`.
    #[default]
    Backslash,
    /// `` ` ``, so that `\` can stand in paths.
    Backtick,
}

impl Escape {
    /// The character.
    #[must_use]
    pub const fn char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }

    /// A line without its continuation mark; `None` if it has none.
    ///
    /// The mark may be followed by blanks. Two in a row are none: the first escapes the second.
    pub(super) fn continued(self, line: &str) -> Option<&str> {
        let rest = line
            .trim_end_matches([' ', '\t'])
            .strip_suffix(self.char())?;
        (!rest.ends_with(self.char())).then_some(rest)
    }

    /// As [`Escape::continued`], of bytes that may not be text.
    pub(super) fn continued_bytes(self, line: &[u8]) -> bool {
        let line = line.trim_ascii_end();
        let mark = self.char() as u8;
        line.strip_suffix(&[mark])
            .is_some_and(|rest| rest.last() != Some(&mark))
    }
}

/// What the directives say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directives {
    /// `syntax=`: a release of the front end whose language this is. Nothing is fetched for it.
    pub syntax: Option<String>,
    /// `escape=`.
    pub escape: Escape,
    /// `check=`, as written.
    pub check: Option<String>,
    /// What `check=` asks for.
    pub checks: Checks,
}

/// What `check=` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// Rules that `skip=` turns off, in lower case; `all` for every one.
    pub skipped: BTreeSet<String>,
    /// Rules that `experimental=` turns on, in lower case; `all` for every one.
    pub experimental: BTreeSet<String>,
    /// `error=`.
    pub severity: Severity,
}

/// What a finding of a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Severity {
    /// A warning.
    #[default]
    Warning,
    /// `error=true`: a reason not to build.
    Error,
}

impl Directives {
    /// Whether findings of a rule are left out.
    #[must_use]
    pub fn skips(&self, rule: Rule) -> bool {
        let named = |rules: &BTreeSet<String>| {
            rules.contains("all") || rules.contains(&rule.name().to_ascii_lowercase())
        };
        let wanted = match rule.maturity() {
            Maturity::Settled => true,
            Maturity::Experimental => named(&self.checks.experimental),
        };
        !wanted || named(&self.checks.skipped)
    }
}

impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(syntax) = &self.syntax {
            writeln!(f, "# syntax={syntax}")?;
        }
        if self.escape != Escape::default() {
            writeln!(f, "# escape={}", self.escape.char())?;
        }
        match &self.check {
            Some(check) => writeln!(f, "# check={check}"),
            None => Ok(()),
        }
    }
}

/// Reads the directives at the top. Lines that are none are left to the reader of lines, as the
/// comments they are.
pub(super) fn read(source: &Source, faults: &mut Vec<LineFault>) -> Directives {
    let mut directives = Directives::default();
    let mut seen = BTreeSet::new();
    let mut index = 0;
    // Below a `#!` line BuildKit looks for `syntax` and `check`, but not for `escape`.
    let shebang = source
        .line(0)
        .is_some_and(|line| without_bom(line).starts_with(b"#!"));
    if shebang {
        index = 1;
    }
    while let Some((key, value, column)) = source.line(index).and_then(|line| split(line, index)) {
        let span = Span {
            line: u32::try_from(index + 1).unwrap_or(u32::MAX),
            column,
            length: u32::try_from(value.len()).unwrap_or(u32::MAX),
        };
        index += 1;
        let result = match key.as_str() {
            "syntax" | "escape" | "check" if !seen.insert(key.clone()) => {
                Err(SyntaxError::DuplicateDirective(key))
            }
            "syntax" => frontend(value).map(|()| directives.syntax = Some(value.to_owned())),
            "escape" if shebang => break,
            "escape" => escape(value).map(|escape| directives.escape = escape),
            "check" => check(value).map(|checks| {
                directives.check = Some(value.to_owned());
                directives.checks = checks;
            }),
            // Not a directive, so a comment; and after a comment there are none.
            _ => break,
        };
        if let Err(error) = result {
            faults.push(LineFault { span, error });
        }
    }
    directives
}

/// Key in lower case, value, and column of the value.
fn split(line: &[u8], index: usize) -> Option<(String, &str, u32)> {
    let whole = std::str::from_utf8(line).ok()?;
    let text = if index == 0 {
        whole.trim_start_matches('\u{feff}')
    } else {
        whole
    };
    let (key, value) = text.trim_start().strip_prefix('#')?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let good = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|b| b.is_ascii_alphanumeric())
        && !value.is_empty();
    let column = whole.trim_end().len() - value.len() + 1;
    good.then(|| {
        let column = u32::try_from(column).unwrap_or(u32::MAX);
        (key.to_ascii_lowercase(), value, column)
    })
}

fn escape(value: &str) -> Result<Escape, SyntaxError> {
    match value {
        "\\" => Ok(Escape::Backslash),
        "`" => Ok(Escape::Backtick),
        _ => Err(SyntaxError::EscapeDirective(value.to_owned())),
    }
}

/// Whether a front end's language is the one read here: releases 1.x of Docker's.
fn frontend(value: &str) -> Result<(), SyntaxError> {
    // What follows a blank are options of the front end; this one has none.
    let known = ImageRef::from_str(value).is_ok_and(|image| {
        let tag = image.tag().unwrap_or("latest");
        let major = tag.strip_prefix('1');
        image.registry() == DEFAULT_REGISTRY
            && image.repository() == FRONTEND
            && (tag == "latest"
                || tag == "labs"
                || major.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-'])))
    });
    known
        .then_some(())
        .ok_or_else(|| SyntaxError::Frontend(value.to_owned()))
}

fn check(value: &str) -> Result<Checks, SyntaxError> {
    let names = |rules: &str| {
        let rules = rules
            .split(',')
            .map(|rule| rule.trim().to_ascii_lowercase());
        rules.collect::<Vec<_>>()
    };
    let mut checks = Checks::default();
    for part in value.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        match part.split_once('=').map(|(k, v)| (k.trim(), v.trim())) {
            Some(("skip", rules)) => checks.skipped.extend(names(rules)),
            Some(("experimental", rules)) => checks.experimental.extend(names(rules)),
            Some(("error", "true")) => checks.severity = Severity::Error,
            Some(("error", "false")) => checks.severity = Severity::Warning,
            _ => return Err(SyntaxError::CheckDirective(part.to_owned())),
        }
    }
    Ok(checks)
}
