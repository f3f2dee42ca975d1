//! The simple commands of a script, found where a shell finds them.
//!
//! What stands in quotes is text, unless it is a substitution. Where the script cannot be followed to
//! its end, there are no commands: a text must not be changed that was read wrongly.

use std::ops::Range;

/// A simple command: a program with its arguments and redirections. Ranges are bytes of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The word that names the program.
    pub(super) name: Range<usize>,
    /// The words behind it, redirections left out.
    pub(super) arguments: Vec<Range<usize>>,
    /// Its redirections in order.
    pub(super) redirections: Vec<Redirection>,
    /// What becomes of its output and of how it ends.
    pub(super) place: Place,
}

/// Where a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Where the substitution or the heredoc that it is in begins, in a word or a redirection.
    pub(super) within: Option<usize>,
    /// Whether a shell decides by it what comes next.
    pub(super) condition: Condition,
}

/// Whether something decides what a shell does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It stands in one, or in the words of a loop, or in arithmetic.
    Is,
    /// It does not.
    No,
}

/// What a script says, as far as it was followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// Its commands, in the order of their names.
    pub(super) calls: Vec<Call>,
    /// The names of the functions that it defines.
    pub(super) functions: Vec<Range<usize>>,
}

/// A redirection of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirection {
    /// All of it, with the number in front.
    pub(super) range: Range<usize>,
    /// The operator, with the number in front.
    pub(super) operator: Range<usize>,
    /// What it names.
    pub(super) target: Range<usize>,
}

impl Call {
    /// Where its last word or redirection ends.
    pub(super) fn end(&self) -> usize {
        let words = self.arguments.last().map(|word| word.end);
        let redirections = self.redirections.last().map(|last| last.range.end);
        self.name
            .end
            .max(words.unwrap_or(0))
            .max(redirections.unwrap_or(0))
    }
}

/// The commands of `script`; `None` where it cannot be followed. That is so of `case`, whose patterns
/// look like commands, and of what bash alone reads.
pub(super) fn read(script: &str) -> Option<Script> {
    let mut reader = Reader {
        text: script.as_bytes(),
        at: 0,
        depth: 0,
        within: None,
        document: None,
        conditions: 0,
        script: Script::default(),
        documents: Vec::new(),
    };
    reader.list(Until::End)?;
    if !reader.documents.is_empty() {
        return None;
    }
    let mut script = reader.script;
    script.calls.sort_by_key(|call| call.name.start);
    Some(script)
}

/// Words of the shell that a command can follow.
const WORDS: [&[u8]; 12] = [
    b"then", b"do", b"else", b"elif", b"if", b"while", b"until", b"time", b"exec", b"!", b"{", b"}",
];

/// Substitutions within each other that are followed; nobody writes as many.
const DEPTH: u32 = 50;

/// What ends a list of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    Parenthesis,
    Backquote,
}

/// Commands of the shell that read their words in another way.
const OTHERS: [&[u8]; 5] = [b"case", b"[[", b"function", b"coproc", b"esac"];

/// The beginning of a heredoc whose body comes with the next line.
struct Document {
    /// Where its redirection begins.
    start: usize,
    end: Vec<u8>,
    /// Whether tabs in front of its end are left out.
    tabs: bool,
    /// Whether its body has substitutions.
    expanded: bool,
}

/// What was read of a command.
#[derive(Default)]
struct Parts {
    words: Vec<Range<usize>>,
    redirections: Vec<Redirection>,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
    /// Where what is being read stands.
    within: Option<usize>,
    /// Where the heredoc is announced whose body is being read.
    document: Option<usize>,
    /// The conditions and the words of loops that have begun and not ended.
    conditions: u32,
    script: Script,
    documents: Vec<Document>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn follows(&self, text: &[u8]) -> bool {
        let rest = self.text.get(self.at..);
        rest.is_some_and(|rest| rest.starts_with(text))
    }

    fn list(&mut self, until: Until) -> Option<()> {
        self.deeper(|reader| reader.commands(until))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let done = if self.depth > DEPTH { None } else { read(self) };
        self.depth -= 1;
        done
    }

    /// Reads a substitution that begins at `start`. One in a heredoc stands where that is announced.
    fn inside<T>(&mut self, start: usize, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let document = self.document.take();
        let outside = (self.within, self.conditions);
        self.within = document.or(Some(start));
        let done = read(self);
        (self.within, self.conditions) = outside;
        self.document = document;
        done
    }

    fn commands(&mut self, until: Until) -> Option<()> {
        let mut parts = Parts::default();
        loop {
            let Some(next) = self.peek() else {
                self.finish(parts)?;
                return (until == Until::End).then_some(());
            };
            match next {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.finish(std::mem::take(&mut parts))?;
                    self.at += 1;
                    self.bodies()?;
                }
                b';' if self.follows(b";;") => return None,
                b'&' if self.follows(b"&>") => parts.redirections.push(self.redirection(self.at)?),
                b';' | b'|' | b'&' => {
                    self.finish(std::mem::take(&mut parts))?;
                    self.at += 1;
                }
                b'(' if self.follows(b"((") => return None,
                b'(' if parts.words.iter().any(|word| !self.is_reserved(word)) => {
                    self.function(std::mem::take(&mut parts))?;
                }
                b'(' => {
                    self.finish(std::mem::take(&mut parts))?;
                    self.at += 1;
                    self.list(Until::Parenthesis)?;
                }
                b')' if until == Until::Parenthesis => {
                    self.finish(parts)?;
                    self.at += 1;
                    return Some(());
                }
                b')' => return None,
                b'`' if until == Until::Backquote => {
                    self.finish(parts)?;
                    self.at += 1;
                    return Some(());
                }
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                b'<' | b'>' if self.is_process() => {
                    let start = self.at;
                    self.word(until)?;
                    parts.words.push(start..self.at);
                }
                b'<' | b'>' => parts.redirections.push(self.redirection(self.at)?),
                _ => {
                    let start = self.at;
                    self.word(until)?;
                    let word = &self.text[start..self.at];
                    let number = word.iter().all(u8::is_ascii_digit);
                    if number && matches!(self.peek(), Some(b'<' | b'>')) && !self.is_process() {
                        parts.redirections.push(self.redirection(start)?);
                    } else {
                        parts.words.push(start..self.at);
                    }
                }
            }
        }
    }

    fn is_process(&self) -> bool {
        self.follows(b"<(") || self.follows(b">(")
    }

    fn is_reserved(&self, word: &Range<usize>) -> bool {
        WORDS.contains(&&self.text[word.clone()])
    }

    /// Reads the `()` of a function. Any other parenthesis behind a word is of bash.
    fn function(&mut self, parts: Parts) -> Option<()> {
        self.at += 1;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let mut names = parts.words.into_iter();
        let name = names.find(|word| !self.is_reserved(word))?;
        if names.next().is_some()
            || self.peek() != Some(b')')
            || is_assignment(&self.text[name.clone()])
        {
            return None;
        }
        self.at += 1;
        self.script.functions.push(name);
        Some(())
    }

    /// Takes what was read as a call, if it has the name of a program.
    fn finish(&mut self, parts: Parts) -> Option<()> {
        let mut words = parts.words.into_iter().peekable();
        while let Some(word) = words.next_if(|word| {
            let reserved = self.is_reserved(word);
            reserved || is_assignment(&self.text[word.clone()])
        }) {
            self.count(&word);
        }
        let Some(name) = words.next() else {
            return Some(());
        };
        if OTHERS.contains(&&self.text[name.clone()]) {
            return None;
        }
        // The words of a loop end as a condition does.
        self.count(&name);
        let condition = if self.conditions > 0 {
            Condition::Is
        } else {
            Condition::No
        };
        self.script.calls.push(Call {
            name,
            arguments: words.collect(),
            redirections: parts.redirections,
            place: Place {
                within: self.within,
                condition,
            },
        });
        Some(())
    }

    /// Begins or ends a condition, where `word` does.
    fn count(&mut self, word: &Range<usize>) {
        self.conditions = match &self.text[word.clone()] {
            b"if" | b"elif" | b"while" | b"until" | b"for" | b"select" => self.conditions + 1,
            b"then" | b"do" => self.conditions.saturating_sub(1),
            _ => self.conditions,
        };
    }

    /// Reads a redirection that begins at `start` with its number, and goes on here.
    fn redirection(&mut self, start: usize) -> Option<Redirection> {
        let operators: [&[u8]; 12] = [
            b"&>>", b"&>", b"<<<", b"<<-", b"<<", b"<&", b"<>", b">>", b">&", b">|", b"<", b">",
        ];
        let operator = operators.into_iter().find(|text| self.follows(text))?;
        self.at += operator.len();
        let end = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let from = self.at;
        self.word(Until::End)?;
        if from == self.at {
            return None;
        }
        if matches!(operator, b"<<" | b"<<-") {
            let word = &self.text[from..self.at];
            let quoted = |byte: &u8| matches!(byte, b'\'' | b'"' | b'\\');
            self.documents.push(Document {
                start,
                end: word.iter().copied().filter(|byte| !quoted(byte)).collect(),
                tabs: operator == b"<<-",
                expanded: !word.iter().any(quoted),
            });
        }
        Some(Redirection {
            range: start..self.at,
            operator: start..end,
            target: from..self.at,
        })
    }

    /// Reads the heredocs that the line before began.
    fn bodies(&mut self) -> Option<()> {
        for document in std::mem::take(&mut self.documents) {
            self.document = Some(document.start);
            self.body(&document)?;
            self.document = None;
        }
        Some(())
    }

    fn body(&mut self, document: &Document) -> Option<()> {
        while !self.line_ends(document)? {
            while let Some(next) = self.peek() {
                if next == b'\n' {
                    self.at += 1;
                    break;
                }
                if !document.expanded || !self.expansion()? {
                    self.at += if next == b'\\' && document.expanded {
                        2
                    } else {
                        1
                    };
                }
            }
        }
        Some(())
    }

    /// Goes past the line that begins here, if it ends the heredoc; `None` where nothing does.
    fn line_ends(&mut self, document: &Document) -> Option<bool> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let line = rest.split(|byte| *byte == b'\n').next()?;
        let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
        let own = &line[if document.tabs { tabs } else { 0 }..];
        let ends = own == document.end;
        if ends {
            self.at = (self.at + line.len() + 1).min(self.text.len());
        }
        Some(ends)
    }

    fn word(&mut self, until: Until) -> Option<()> {
        while let Some(next) = self.peek() {
            match next {
                b'`' if until == Until::Backquote => break,
                b'<' | b'>' if self.is_process() => {
                    let start = self.at;
                    self.at += 2;
                    self.inside(start, |reader| reader.list(Until::Parenthesis))?;
                }
                b'$' if self.follows(b"$'") => return None,
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => {
                    break;
                }
                b'\'' => self.past_quote()?,
                b'"' => self.double_quotes()?,
                b'\\' => self.at += 2,
                _ if self.expansion()? => {}
                _ => self.at += 1,
            }
        }
        (self.at <= self.text.len()).then_some(())
    }

    fn past_quote(&mut self) -> Option<()> {
        let rest = &self.text[self.at + 1..];
        let end = rest.iter().position(|byte| *byte == b'\'')?;
        self.at += end + 2;
        Some(())
    }

    fn double_quotes(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ if self.expansion()? => {}
                _ => self.at += 1,
            }
        }
    }

    /// Reads a substitution, if one begins here.
    fn expansion(&mut self) -> Option<bool> {
        let start = self.at;
        if self.follows(b"$((") {
            self.at += 3;
            self.inside(start, |reader| {
                reader.conditions += 1;
                reader.deeper(Self::arithmetic)
            })?;
        } else if self.follows(b"$(") {
            self.at += 2;
            self.inside(start, |reader| reader.list(Until::Parenthesis))?;
        } else if self.follows(b"${") {
            self.at += 2;
            self.deeper(Self::braces)?;
        } else if self.peek() == Some(b'`') {
            self.at += 1;
            self.inside(start, |reader| reader.list(Until::Backquote))?;
        } else {
            return Some(false);
        }
        Some(true)
    }

    fn arithmetic(&mut self) -> Option<()> {
        let mut open = 2;
        while open > 0 {
            match self.peek()? {
                b'(' => open += 1,
                b')' => open -= 1,
                _ if self.expansion()? => continue,
                _ => {}
            }
            self.at += 1;
        }
        Some(())
    }

    fn braces(&mut self) -> Option<()> {
        loop {
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                b'"' => self.double_quotes()?,
                b'\\' => self.at += 2,
                _ if self.expansion()? => {}
                _ => self.at += 1,
            }
        }
    }
}

/// Whether `word` sets a variable.
fn is_assignment(word: &[u8]) -> bool {
    let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.len() < word.len()
        && name.first().is_some_and(|byte| !byte.is_ascii_digit())
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(script: &str) -> Option<Vec<&str>> {
        let calls = read(script)?.calls;
        Some(calls.into_iter().map(|call| &script[call.name]).collect())
    }

    #[test]
    fn commands_are_found_where_a_shell_finds_them() {
        for (script, expected) in [
            ("a b; c & d | e && f || g", "a c d e f g"),
            ("if a; then b; elif c; then d; else e; fi", "a b c d e fi"),
            ("{ a; } > x; (b; c)", "a b c"),
            ("X=1 Y=$(a b) c; Z=2", "a c"),
            ("a \"b (c) $(d \"$(e)\")\" '$(f)'", "a d e"),
            ("a `b c` \"`d`\"", "a b d"),
            ("a $((1 << (2 + $(b)))) ${c:-$(d)} e", "a b d"),
            ("a <(b) > >(c) 2>&1 & d", "a b c d"),
            ("a # b; c\nd", "a d"),
            ("a#b; c", "a#b c"),
            ("a <<X; b\nc $(d) `e`\nX\nf", "a b d e f"),
            ("a <<'X' <<-Y\nc $(d)\nX\n$(g)\n\tY\nf", "a g f"),
            ("a \\; b \\\" c; d", "a d"),
            ("f() { a; }; f", "a f"),
        ] {
            let expected: Vec<&str> = expected.split(' ').collect();
            assert_eq!(names(script), Some(expected), "{script}");
        }
    }

    #[test]
    fn a_script_that_cannot_be_followed_has_none() {
        for script in [
            "a 'b",
            "a \"b",
            "a $(b",
            "a `b",
            "a ${b",
            "a $((1)",
            "a <<X\nb",
            "a <<X",
            "a $(case x in b) c;; esac)",
            "case x in a) b;; esac",
            "case x in\na|b) c;; esac",
            "if case x in (a) b;; esac; then c; fi",
            "a=(b c)",
            "a+=(b)",
            "[[ a && b ]]",
            "((a))",
            "a $'b'",
            "function f { a; }",
            "a @(b|c)",
            "a; b) c",
            "a >",
            "a \\",
        ] {
            assert_eq!(names(script), None, "{script}");
        }
    }

    #[test]
    fn what_is_nested_without_an_end_is_left_alone() {
        for open in ["$(", "(", "${a:-", "$((", "a \"$("] {
            assert_eq!(names(&open.repeat(100_000)), None, "{open}");
        }
    }

    #[test]
    fn words_and_redirections_are_told_apart() {
        let script = "a 1>x b 2 2>&1 &>y c";
        let calls = read(script).unwrap().calls;
        let [call] = calls.as_slice() else {
            panic!("{calls:?}");
        };
        let text = |range: &Range<usize>| &script[range.clone()];
        let words: Vec<&str> = call.arguments.iter().map(text).collect();
        assert_eq!(words, ["b", "2", "c"]);
        let all: Vec<(&str, &str, &str)> = call
            .redirections
            .iter()
            .map(|one| (text(&one.range), text(&one.operator), text(&one.target)))
            .collect();
        assert_eq!(
            all,
            [("1>x", "1>", "x"), ("2>&1", "2>&", "1"), ("&>y", "&>", "y")]
        );
        assert_eq!(call.end(), script.len());
    }
}
