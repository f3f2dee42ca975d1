//! Parser directives: comments of the form `# key=value` above everything else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr as _,
};

use repro_core::{hosts::DEFAULT_REGISTRY, reference::ImageRef};
use serde_json::Value;

use super::{
    error::SyntaxError,
    lines::{LineFault, without_bom},
    rule::{Maturity, Rule},
    source::{Source, Span},
};

/// The repositories of the one front end whose language this is: its releases, and what becomes
/// one.
const FRONTENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];
/// Tags without a number. `experimental` is what `labs` was called.
const MOVING_TAGS: [&str; 5] = ["latest", "labs", "experimental", "master", "master-labs"];

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
    /// Rules that `skip=` turns off.
    pub skipped: Rules,
    /// Rules that `experimental=` turns on.
    pub experimental: Rules,
    /// `error=`.
    pub severity: Severity,
}

/// Rules that an option of `check=` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// `all`, alone.
    All,
    /// These, letters as in [`Rule::name`]. A name that no rule has names none: it may be one of
    /// another release.
    Named(BTreeSet<String>),
}

impl Default for Rules {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Rules {
    fn parse(text: &str) -> Self {
        match text.trim() {
            "all" => Self::All,
            names => Self::Named(names.split(',').map(|name| name.trim().into()).collect()),
        }
    }

    fn have(&self, rule: Rule) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(rule.name()),
        }
    }
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
        let wanted = match rule.maturity() {
            Maturity::Settled => true,
            Maturity::Experimental => self.checks.experimental.have(rule),
        };
        !wanted || self.checks.skipped.have(rule)
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

/// Directives that come with the build instead: they count for those of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    syntax: Option<String>,
    checks: Option<(String, Checks)>,
}

/// A build argument that stands for a directive, and cannot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the build argument {name} cannot be used")]
pub struct AskedError {
    /// Its name.
    pub name: &'static str,
    /// Why.
    #[source]
    pub source: SyntaxError,
}

impl Asked {
    /// For `syntax=`.
    const SYNTAX: &'static str = "BUILDKIT_SYNTAX";
    /// For `check=`.
    const CHECK: &'static str = "BUILDKIT_DOCKERFILE_CHECK";

    /// Reads the build arguments that stand for directives. An empty one is none.
    pub fn of_build_args(args: &BTreeMap<String, String>) -> Result<Self, AskedError> {
        let given = |name| args.get(name).filter(|value| !value.is_empty());
        let refused = |name| move |source| AskedError { name, source };
        let syntax = given(Self::SYNTAX).cloned();
        if let Some(syntax) = &syntax {
            frontend(syntax).map_err(refused(Self::SYNTAX))?;
        }
        let checks = given(Self::CHECK).map(|text| {
            let checks = check(text).map_err(refused(Self::CHECK))?;
            Ok((text.clone(), checks))
        });
        Ok(Self {
            syntax,
            checks: checks.transpose()?,
        })
    }
}

/// Reads the directives at the top. Lines that are none are left to the reader of lines, as the
/// comments they are.
pub(super) fn read(source: &Source, asked: &Asked, faults: &mut Vec<LineFault>) -> Directives {
    let mut directives = Directives {
        syntax: asked.syntax.clone(),
        check: asked.checks.as_ref().map(|(text, _)| text.clone()),
        checks: match &asked.checks {
            Some((_, checks)) => checks.clone(),
            None => Checks::default(),
        },
        ..Directives::default()
    };
    let mut seen = BTreeSet::new();
    let mut index = 0;
    if asked.syntax.is_none() {
        faults.extend(foreign(source));
    }
    // Below a `#!` line BuildKit looks for `syntax` and `check`, but not for `escape`.
    let shebang = source
        .line(0)
        .is_some_and(|line| without_bom(line).starts_with(b"#!"));
    if shebang {
        index = 1;
    }
    // Blanks before a directive leave an escape what it is; the search for the others ends there.
    let mut flush = true;
    while let Some(line) = source.line(index)
        && let Some((key, value, span)) = split(line, index, "#")
    {
        flush &= without_bom(line).starts_with(b"#");
        index += 1;
        let result = match key.as_str() {
            "syntax" | "escape" | "check" if !seen.insert(key.clone()) => {
                Err(SyntaxError::DuplicateDirective(key))
            }
            "syntax" | "check" if !flush => Ok(()),
            "syntax" if asked.syntax.is_some() => Ok(()),
            "syntax" => frontend(value).map(|()| directives.syntax = Some(value.to_owned())),
            "escape" if shebang => break,
            "escape" => escape(value).map(|escape| directives.escape = escape),
            "check" if asked.checks.is_some() => Ok(()),
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

/// A front end of another language, named in one of the ways that are no comments of a Dockerfile:
/// behind `//`, or in a JSON object. What follows is that language's, so what is wrong with it as
/// a Dockerfile would say nothing.
fn foreign(source: &Source) -> Option<LineFault> {
    let first = without_bom(source.line(0)?);
    let start = usize::from(first.starts_with(b"#!"));
    let directives = (start..).map_while(|index| split(source.line(index)?, index, "//"));
    let mut syntax = directives.filter(|(key, _, _)| key == "syntax");
    let (value, span) = if let Some((_, value, span)) = syntax.next() {
        (value.to_owned(), span)
    } else {
        let mut text = source.text();
        if start == 1 {
            let end = text.iter().position(|b| *b == b'\n')?;
            text = &text[end..];
        }
        let mut object: serde_json::Map<String, Value> =
            serde_json::from_slice(without_bom(text)).ok()?;
        let Some(Value::String(value)) = object.remove("syntax") else {
            return None;
        };
        let span = Span {
            line: 1,
            column: 1,
            length: 0,
        };
        (value, span)
    };
    let error = frontend(&value).err()?;
    Some(LineFault { span, error })
}

/// Key in lower case, value, and place of the value.
fn split<'a>(line: &'a [u8], index: usize, comment: &str) -> Option<(String, &'a str, Span)> {
    let whole = std::str::from_utf8(line).ok()?;
    let text = if index == 0 {
        whole.trim_start_matches('\u{feff}')
    } else {
        whole
    };
    let (key, value) = text.trim_start().strip_prefix(comment)?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let good = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|b| b.is_ascii_alphanumeric())
        && !value.is_empty();
    let column = whole.trim_end().len() - value.len() + 1;
    good.then(|| {
        let span = Span {
            line: u32::try_from(index + 1).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            length: u32::try_from(value.len()).unwrap_or(u32::MAX),
        };
        (key.to_ascii_lowercase(), value, span)
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
    let name = value.split(' ').next().unwrap_or_default();
    let known = ImageRef::from_str(name).is_ok_and(|image| {
        let tag = image.tag().unwrap_or("latest");
        let major = tag.strip_prefix('1');
        image.registry() == DEFAULT_REGISTRY
            && FRONTENDS.contains(&image.repository())
            && (MOVING_TAGS.contains(&tag)
                || major.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-'])))
    });
    known
        .then_some(())
        .ok_or_else(|| SyntaxError::Frontend(value.to_owned()))
}

/// The options of `check=`, between semicolons; of one given twice the last counts.
fn check(value: &str) -> Result<Checks, SyntaxError> {
    let mut checks = Checks::default();
    // What stands behind a third semicolon belongs to the third option, as in BuildKit.
    for part in value.trim().splitn(3, ';') {
        let unknown = || SyntaxError::CheckDirective(part.trim().to_owned());
        let (name, option) = part.split_once('=').ok_or_else(unknown)?;
        match name.trim() {
            "skip" => checks.skipped = Rules::parse(option),
            "experimental" => checks.experimental = Rules::parse(option),
            "error" => {
                checks.severity = match option.trim() {
                    "1" | "t" | "T" | "true" | "TRUE" | "True" => Severity::Error,
                    "0" | "f" | "F" | "false" | "FALSE" | "False" => Severity::Warning,
                    _ => return Err(unknown()),
                }
            }
            _ => return Err(unknown()),
        }
    }
    Ok(checks)
}
