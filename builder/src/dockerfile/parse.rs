//! The whole file: instructions to stages, errors collected.

use std::collections::BTreeMap;

use super::{
    ast::{Dockerfile, Instruction, InstructionKind, PairSyntax, Stage},
    directives::{self, Asked, Directives},
    error::{ParseError, ParseErrors, SyntaxError},
    heredoc::{self, Heredoc},
    instructions::{self, Parsed},
    keyword::Keyword,
    lines::{Lines, Logical},
    lint,
    rule::Rule,
    source::{Source, Span},
};

/// Longest Dockerfile. The largest that are written by programs have some hundred kilobytes.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// Longest instruction with its continuations. BuildKit refuses physical lines of 64 KiB; an
/// instruction is an argument of a program, and those end at 128 KiB on Linux.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Stage names that mean something else where a stage is looked for.
const RESERVED_STAGES: [&str; 2] = ["context", "scratch"];

/// Parses a Dockerfile; `name` is what messages call it.
///
/// Goes on behind an error, so that one run shows them all.
pub fn parse(name: &str, text: &[u8]) -> Result<Dockerfile, ParseErrors> {
    parse_asked(name, text, &Asked::default())
}

/// As [`parse`], with directives that come with the build.
pub fn parse_asked(name: &str, text: &[u8], asked: &Asked) -> Result<Dockerfile, ParseErrors> {
    let too_large = text.len() > MAX_FILE_BYTES;
    let source = Source::new(name, if too_large { b"" } else { text });
    let mut parser = Parser {
        source: &source,
        errors: Vec::new(),
        findings: Vec::new(),
        stage_lines: BTreeMap::new(),
    };
    if too_large {
        parser.error(START, SyntaxError::FileTooLarge { size: text.len() });
    }
    let mut faults = Vec::new();
    let directives = directives::read(&source, asked, &mut faults);
    for fault in faults {
        parser.error(fault.span, fault.error);
    }
    let (global_args, stages) = if too_large {
        Default::default()
    } else {
        parser.file(&directives)
    };
    let findings = parser.findings;
    if let Some(errors) = ParseErrors::collect(parser.errors) {
        return Err(errors);
    }
    let mut findings = findings;
    findings.extend(lint::check(&source, &stages, &global_args));
    findings.sort_by_key(|(_, _, line)| *line);
    let findings = findings
        .into_iter()
        .filter(|(rule, _, _)| !directives.skips(*rule))
        .map(|(rule, message, line)| rule.finding(message, Some(line)))
        .collect();
    Ok(Dockerfile {
        source,
        directives,
        global_args,
        stages,
        findings,
    })
}

const START: Span = Span {
    line: 1,
    column: 1,
    length: 0,
};

type GlobalArgs = Vec<Instruction<Vec<super::ArgDefinition>>>;

struct Parser<'a> {
    source: &'a Source,
    errors: Vec<ParseError>,
    findings: Vec<(Rule, String, u32)>,
    /// Line of each stage's `FROM`, by name.
    stage_lines: BTreeMap<String, u32>,
}

impl Parser<'_> {
    fn error(&mut self, span: Span, error: SyntaxError) {
        self.errors.push(ParseError::new(self.source, span, error));
    }

    fn file(&mut self, directives: &Directives) -> (GlobalArgs, Vec<Stage>) {
        let escape = directives.escape;
        let mut lines = Lines::new(self.source, escape);
        let (mut global_args, mut stages) = (Vec::new(), Vec::<Stage>::new());
        let (mut seen_any, mut seen_from, mut told) = (false, false, false);
        while self.errors.len() < ParseErrors::MAX
            && let Some(line) = lines.logical()
        {
            seen_any = true;
            let mut line = match line {
                Ok(line) => line,
                Err(fault) => {
                    // A refused line may have been a FROM.
                    seen_from = true;
                    self.error(fault.span, fault.error);
                    continue;
                }
            };
            let keyword = instructions::keyword(&line.text);
            seen_from |= keyword == Some(Keyword::From);
            if let Some(keyword) = keyword
                && !seen_from
                && keyword != Keyword::Arg
            {
                if !told {
                    self.error(first_word(&line), SyntaxError::BeforeFrom(keyword));
                }
                told = true;
            }
            let Some(heredocs) = self.heredocs(keyword, &mut line, &mut lines) else {
                continue;
            };
            let parsed = match instructions::parse(&line, heredocs, escape) {
                Ok(parsed) => parsed,
                Err(fault) => {
                    self.error(line.span(fault.range), fault.error);
                    continue;
                }
            };
            if let Some(number) = line.empty_line {
                let message = "an empty line inside an instruction; remove it or make it a comment";
                self.findings
                    .push((Rule::EmptyContinuation, message.into(), number));
            }
            match parsed {
                Parsed::From(from) => {
                    self.stage_name(from.name.as_deref(), line.line());
                    stages.push(Stage {
                        from: located(&line, from),
                        instructions: Vec::new(),
                    });
                }
                Parsed::Other(kind) => {
                    self.legacy(&kind, line.line());
                    match (stages.last_mut(), kind) {
                        (Some(stage), kind) => stage.instructions.push(located(&line, kind)),
                        (None, InstructionKind::Arg(args)) => {
                            global_args.push(located(&line, args));
                        }
                        // Told above.
                        (None, _) => {}
                    }
                }
            }
        }
        if self.errors.is_empty() && stages.is_empty() {
            let error = if seen_any {
                SyntaxError::NoStage
            } else {
                SyntaxError::Empty
            };
            self.error(START, error);
        }
        (global_args, stages)
    }

    /// Takes the texts of the heredocs of an instruction; `None` after an error.
    fn heredocs(
        &mut self,
        keyword: Option<Keyword>,
        line: &mut Logical,
        lines: &mut Lines<'_>,
    ) -> Option<Vec<Heredoc>> {
        // ONBUILD has what its trigger has.
        let keyword = match keyword {
            Some(Keyword::Onbuild) => {
                let trigger = line.text.trim_start().split_once(char::is_whitespace);
                trigger.and_then(|(_, trigger)| instructions::keyword(trigger))
            }
            keyword => keyword,
        };
        if !matches!(keyword, Some(Keyword::Run | Keyword::Copy | Keyword::Add)) {
            return Some(Vec::new());
        }
        let mut heredocs = heredoc::announced(&line.text);
        let start = line.text.find("<<").unwrap_or_default();
        let span = line.span(start..line.text.len());
        for heredoc in &mut heredocs {
            match lines.heredoc(heredoc) {
                Ok(Some(end)) => line.end_line = end,
                Ok(None) => {
                    let name = heredoc.name.clone();
                    self.error(span, SyntaxError::UnterminatedHeredoc(name));
                    return None;
                }
                Err(fault) => {
                    self.error(fault.span, fault.error);
                    lines.skip_heredoc(heredoc);
                    return None;
                }
            }
        }
        Some(heredocs)
    }

    fn stage_name(&mut self, name: Option<&str>, line: u32) {
        let Some(name) = name else { return };
        if RESERVED_STAGES.contains(&name) {
            let message = format!("a stage named {name} hides the {name} that is built in");
            self.findings.push((Rule::ReservedStageName, message, line));
        }
        if let Some(earlier) = self.stage_lines.insert(name.to_owned(), line) {
            let message = format!(
                "the stage of line {earlier} has the name {name} as well; --target and later \
                 stages mean the last one"
            );
            self.findings
                .push((Rule::DuplicateStageName, message, line));
        }
    }

    fn legacy(&mut self, kind: &InstructionKind, line: u32) {
        if let InstructionKind::Env(pairs) | InstructionKind::Label(pairs) = kind
            && pairs.syntax == PairSyntax::Legacy
        {
            let keyword = kind.keyword();
            let message = format!("write {keyword} NAME=VALUE; the form without = takes one pair");
            self.findings.push((Rule::LegacyKeyValue, message, line));
        }
    }
}

fn first_word(line: &Logical) -> Span {
    let start = line.text.len() - line.text.trim_start().len();
    let length = line.text[start..].find(char::is_whitespace);
    line.span(start..length.map_or(line.text.len(), |length| start + length))
}

fn located<K>(line: &Logical, kind: K) -> Instruction<K> {
    let start = line.text.len() - line.text.trim_start().len();
    let text = line.text.trim();
    Instruction {
        kind,
        line: line.line(),
        end_line: line.end_line,
        span: line.span(start..start + text.len()),
        text: text.to_owned(),
    }
}

/// Why the text of an `ONBUILD` is no instruction that can be run later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// It is no instruction, or not one alone.
    #[error("the trigger is not one instruction")]
    Count,
    /// An instruction that `ONBUILD` does not take.
    #[error("{0} cannot be a trigger")]
    Keyword(Keyword),
    /// It cannot be read.
    #[error("the trigger cannot be read: {0}")]
    Syntax(Box<SyntaxError>),
}

/// Reads the text of an `ONBUILD`, which counts its lines from 1. The escape character is the
/// backslash: an image does not say which one its Dockerfile had.
pub(crate) fn parse_trigger(text: &str) -> Result<Instruction, TriggerError> {
    if let Some(keyword @ (Keyword::From | Keyword::Maintainer | Keyword::Onbuild)) =
        instructions::keyword(text)
    {
        return Err(TriggerError::Keyword(keyword));
    }
    let whole = format!("FROM scratch\n{text}");
    let file = parse("trigger", whole.as_bytes()).map_err(|errors| {
        let error = errors.errors().first().map(|error| error.error.clone());
        error.map_or(TriggerError::Count, |error| {
            TriggerError::Syntax(Box::new(error))
        })
    })?;
    let mut instructions = file.stages.into_iter().flat_map(|stage| stage.instructions);
    match (instructions.next(), instructions.next()) {
        (Some(instruction), None) => Ok(instruction),
        _ => Err(TriggerError::Count),
    }
}
