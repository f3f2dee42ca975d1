//! Heredocs: texts that stand below the instruction that announces them.

use std::fmt;

use super::{
    directives::Escape,
    template::{ExpandError, Scope, Template, TemplateError},
};

/// A heredoc with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The line that ends it, quotes removed; for a file its name.
    pub name: String,
    /// Whether tabs at the beginning of its lines count.
    pub tabs: Tabs,
    /// Whether the builder puts values in place of variables, where the heredoc is a file.
    pub expansion: Expansion,
    /// Its lines as they are, each with its end.
    pub content: String,
}

/// `<<` or `<<-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tabs {
    /// `<<`.
    Kept,
    /// `<<-`: tabs at the beginning of a line are dropped, also before the name at the end.
    Stripped,
}

/// Whether any of the name is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expansion {
    /// Nothing is: variables are expanded.
    Expanded,
    /// Something is: the text stays as it is.
    Verbatim,
}

impl Heredoc {
    /// The text without the tabs that `<<-` drops.
    #[must_use]
    pub fn text(&self) -> String {
        match self.tabs {
            Tabs::Kept => self.content.clone(),
            Tabs::Stripped => self
                .content
                .split_inclusive('\n')
                .map(|line| line.trim_start_matches('\t'))
                .collect(),
        }
    }

    /// Whether a command is nothing but a heredoc.
    #[must_use]
    pub fn is_alone(command: &str) -> bool {
        heredoc(command.trim()).is_some()
    }

    /// The heredoc that `word` alone announces, without text.
    pub(super) fn word(word: &str) -> Option<Self> {
        heredoc(word)
    }
}

impl fmt::Display for Heredoc {
    /// The word that announces it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = match self.tabs {
            Tabs::Kept => "",
            Tabs::Stripped => "-",
        };
        match self.expansion {
            Expansion::Expanded => write!(f, "<<{dash}{}", self.name),
            Expansion::Verbatim => {
                let name = self.name.replace('\'', "'\"'\"'");
                write!(f, "<<{dash}'{name}'")
            }
        }
    }
}

/// A heredoc of `COPY` or `ADD`: a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeredocFile {
    /// As it is written.
    pub heredoc: Heredoc,
    /// `None` where it is verbatim.
    template: Option<Template>,
}

impl HeredocFile {
    /// In the text quotes mean nothing, and a backslash stands for the next character.
    pub(super) fn new(heredoc: Heredoc) -> Result<Self, TemplateError> {
        let template = match heredoc.expansion {
            Expansion::Verbatim => None,
            Expansion::Expanded => Some(
                Template::parse_text(&heredoc.text(), Escape::Backslash)
                    .map_err(|(_, error)| error)?,
            ),
        };
        Ok(Self { heredoc, template })
    }

    /// The name of the file.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.heredoc.name.trim_start_matches('/')
    }

    /// The text, where variables in it are expanded.
    pub(super) const fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// The text of the file.
    pub fn content(&self, scope: &dyn Scope) -> Result<String, ExpandError> {
        match &self.template {
            None => Ok(self.heredoc.text()),
            Some(template) => template.expand_file(scope),
        }
    }
}

impl Heredoc {
    /// Whether a line is the end of the body.
    pub(super) fn ends_at(&self, line: &[u8]) -> bool {
        let tabs = line.iter().take_while(|b| **b == b'\t').count();
        let line = match self.tabs {
            Tabs::Kept => line,
            Tabs::Stripped => &line[tabs..],
        };
        line == self.name.as_bytes()
    }
}

/// The heredocs of an instruction, in order.
///
/// A word is one if it is digits, `<<`, perhaps `-`, and one more word. `1<<2` in the middle of a
/// word, `<<<` and anything in quotes are none. The escape here is always the backslash.
pub(super) fn announced(line: &str) -> Vec<Heredoc> {
    if !line.contains("<<") {
        return Vec::new();
    }
    words(line)
        .unwrap_or_default()
        .iter()
        .filter_map(|word| heredoc(word))
        .collect()
}

/// Words with quotes and escapes kept; blanks behind `<<` belong to the word. `None` if a quote
/// is left open: then there are no heredocs.
fn words(line: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        let here = at;
        at += c.len_utf8();
        if c.is_whitespace() {
            words.extend(start.take().map(|start| &line[start..here]));
            continue;
        }
        start.get_or_insert(here);
        match c {
            '\\' => at += line[at..].chars().next().map_or(0, char::len_utf8),
            '\'' | '"' => at = closing(line, at, c)?,
            '<' if line[at..].starts_with('<') => {
                at += 1;
                at += line[at..].len() - line[at..].trim_start().len();
            }
            '$' if line[at..].starts_with('{') => {
                at += line[at..].find('}')? + 1;
            }
            _ => {}
        }
    }
    words.extend(start.map(|start| &line[start..]));
    Some(words)
}

/// Behind the quote that closes the one before `at`.
fn closing(line: &str, mut at: usize, quote: char) -> Option<usize> {
    loop {
        let c = line[at..].chars().next()?;
        at += c.len_utf8();
        if c == quote {
            return Some(at);
        }
        if c == '\\' && quote == '"' {
            at += line[at..].chars().next()?.len_utf8();
        }
    }
}

fn heredoc(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix("<<")?;
    let (tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (Tabs::Stripped, rest),
        None => (Tabs::Kept, rest),
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let mut name = String::new();
    let mut chars = rest.chars();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match c {
            c if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            '\\' if quote != Some('\'') => name.extend(chars.next()),
            // More than one word: a command with a heredoc, not a heredoc.
            c if quote.is_none() && c.is_whitespace() => return None,
            c => name.push(c),
        }
    }
    let expansion = if name == rest {
        Expansion::Expanded
    } else {
        Expansion::Verbatim
    };
    (!name.is_empty()).then_some(Heredoc {
        name,
        tabs,
        expansion,
        content: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heredocs_are_told_from_shifts_and_strings() {
        for (line, names) in [
            ("RUN <<EOF", vec!["EOF"]),
            (
                "RUN cat <<-'EOT' > /a && cat 3<<\"B C\"",
                vec!["EOT", "B C"],
            ),
            ("RUN << EOF", vec!["EOF"]),
            ("COPY <<a.txt <<b.txt /", vec!["a.txt", "b.txt"]),
            ("RUN echo $((1<<2))", vec![]),
            ("RUN echo \"x <<EOF\"", vec![]),
            ("RUN echo 'x <<EOF'", vec![]),
            ("RUN cat <<< word", vec![]),
            ("RUN cat <<<word", vec![]),
            ("RUN echo ${a:-<<b}", vec![]),
            ("RUN it's <<EOF", vec![]),
            ("RUN echo \\<<EOF", vec![]),
            ("RUN a<b", vec![]),
        ] {
            let found: Vec<String> = announced(line).into_iter().map(|h| h.name).collect();
            assert_eq!(found, names, "{line}");
        }
    }

    #[test]
    fn tabs_before_the_end_count_unless_stripped() {
        let kept = &announced("RUN <<A")[0];
        let stripped = &announced("RUN <<-A")[0];
        assert!(kept.ends_at(b"A") && !kept.ends_at(b"\tA") && !kept.ends_at(b"A "));
        assert!(stripped.ends_at(b"\t\tA") && !stripped.ends_at(b" A"));
    }
}
