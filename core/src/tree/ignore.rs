//! `.dockerignore`: which paths of a directory are no part of the context.
//!
//! The reference is the walk that BuildKit's client makes over a directory with
//! `moby/patternmatcher`: for each path, going down from the root, the last pattern that matches
//! it or its parents decides.

use super::{DeepPattern, PatternError, TreePath};

/// Longest ignore file.
pub const MAX_IGNORE_BYTES: usize = 1 << 20;
/// Most patterns: each is compared with every path.
pub const MAX_PATTERNS: usize = 10_000;

/// Why a text is not an ignore file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// Longer than [`MAX_IGNORE_BYTES`].
    #[error("an ignore file has at most {MAX_IGNORE_BYTES} bytes, this one has {0}")]
    TooLarge(usize),
    /// More patterns than [`MAX_PATTERNS`].
    #[error("an ignore file has at most {MAX_PATTERNS} patterns")]
    TooMany,
    /// `!` and nothing behind it.
    #[error("line {line}: an exclamation mark needs a pattern behind it")]
    Nothing {
        /// The line, from 1.
        line: u32,
    },
    /// A pattern that is none.
    #[error("line {line} is not a pattern")]
    Pattern {
        /// The line, from 1.
        line: u32,
        /// Why.
        source: PatternError,
    },
}

/// What becomes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// It is part of the context.
    No,
    /// It is a directory that is left out unless something below it is taken in.
    Descend,
    /// It is left out, and everything below it.
    Prune,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Exclude,
    /// `!`.
    Include,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    effect: Effect,
    pattern: DeepPattern,
}

/// A parsed ignore file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoreFile {
    rules: Vec<Rule>,
}

/// Which patterns match a directory or a directory above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched(Vec<bool>);

impl IgnoreFile {
    /// Parses the text of an ignore file. An empty one leaves nothing out.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        if text.len() > MAX_IGNORE_BYTES {
            return Err(IgnoreError::TooLarge(text.len()));
        }
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut rules = Vec::new();
        for (line, text) in (1..).zip(text.split(|b| *b == b'\n')) {
            // A comment begins in the first column; `#` behind a blank is part of a name.
            if text.starts_with(b"#") {
                continue;
            }
            let text = text.trim_ascii();
            let (effect, text) = match text.strip_prefix(b"!") {
                Some(text) => (Effect::Include, text.trim_ascii()),
                None => (Effect::Exclude, text),
            };
            if text.is_empty() {
                match effect {
                    Effect::Exclude => continue,
                    Effect::Include => return Err(IgnoreError::Nothing { line }),
                }
            }
            if rules.len() == MAX_PATTERNS {
                return Err(IgnoreError::TooMany);
            }
            let pattern = DeepPattern::parse(&clean(text))
                .map_err(|source| IgnoreError::Pattern { line, source })?;
            rules.push(Rule { effect, pattern });
        }
        Ok(Self { rules })
    }

    /// The rules of a list of patterns, each as a line of an ignore file. An empty one is none.
    pub fn of_patterns<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, IgnoreError> {
        let text: Vec<String> = patterns
            .into_iter()
            // A line that begins with # is a comment, a pattern is not.
            .map(|pattern| format!(" {}", pattern.replace('\n', " ")))
            .collect();
        Self::parse(text.join("\n").as_bytes())
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule takes back in what others leave out.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.effect == Effect::Include)
    }

    /// The state above the first path of a walk.
    #[must_use]
    pub fn root(&self) -> Matched {
        Matched(vec![false; self.rules.len()])
    }

    /// Decides on a path by the state of its parent, and gives the state for what is below it.
    ///
    /// A pattern that matched a directory counts for everything in it. An exception is tried only
    /// on what is left out by the patterns above it, and the other way round.
    #[must_use]
    pub fn descend(&self, parent: &Matched, path: &TreePath, is_dir: bool) -> (Ignored, Matched) {
        let mut excluded = false;
        // What decided last, counting from 1: only exceptions behind it can take something in.
        let mut decided = 0;
        let matched: Vec<bool> = self
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| {
                let could_change = (rule.effect == Effect::Include) == excluded;
                let inherited = parent.0.get(index).copied().unwrap_or_default();
                let matched = inherited || (could_change && rule.pattern.matches(path));
                if matched {
                    excluded = rule.effect == Effect::Exclude;
                    decided = index + 1;
                }
                matched
            })
            .collect();
        let ignored = if !excluded {
            Ignored::No
        } else if is_dir && self.may_include_below(decided, path) {
            Ignored::Descend
        } else {
            Ignored::Prune
        };
        (ignored, Matched(matched))
    }

    fn may_include_below(&self, from: usize, dir: &TreePath) -> bool {
        self.rules[from..]
            .iter()
            .any(|rule| rule.effect == Effect::Include && rule.pattern.may_match_below(dir))
    }

    /// Decides on one path, going down to it from the root. A walk uses
    /// [`descend`](Self::descend), which does not go down each time.
    #[must_use]
    pub fn excluded(&self, path: &TreePath, is_dir: bool) -> Ignored {
        let names = path.names().count();
        let mut state = self.root();
        let mut ignored = Ignored::No;
        for (index, dir) in ancestors(path).into_iter().enumerate() {
            let is_dir = is_dir || index + 1 < names;
            (ignored, state) = self.descend(&state, &dir, is_dir);
        }
        ignored
    }
}

/// The path and the directories above it, the highest first, without the root.
fn ancestors(path: &TreePath) -> Vec<TreePath> {
    let up = std::iter::successors(Some(path.clone()), TreePath::parent);
    let mut all: Vec<TreePath> = up.filter(|path| !path.is_root()).collect();
    all.reverse();
    all
}

/// Go's `filepath.Clean`, and a leading slash removed.
fn clean(text: &[u8]) -> Vec<u8> {
    let rooted = text.starts_with(b"/");
    let mut names: Vec<&[u8]> = Vec::new();
    for name in text.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." if names.last().is_some_and(|last| *last != b"..") => drop(names.pop()),
            b".." if rooted => {}
            name => names.push(name),
        }
    }
    names.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).unwrap()
    }

    fn ignored(file: &str, name: &str) -> Ignored {
        let (name, is_dir) = match name.strip_suffix('/') {
            Some(name) => (name, true),
            None => (name, false),
        };
        IgnoreFile::parse(file.as_bytes())
            .unwrap()
            .excluded(&path(name), is_dir)
    }

    #[test]
    fn the_last_match_decides_for_a_path_and_what_is_below() {
        use Ignored::{Descend, No, Prune};
        for (file, name, expected) in [
            ("", "a", No),
            ("a", "a", Prune),
            ("a", "a/", Prune),
            ("a", "a/b/c", Prune),
            ("a", "b/a", No),
            ("/a", "a", Prune),
            ("./a/", "a/b", Prune),
            ("x/../a", "a", Prune),
            ("../a", "a", No),
            ("..", "a", No),
            ("/", "a", No),
            (".", "a", No),
            ("*", "a/b", Prune),
            ("*.o", "a/b.o", No),
            ("*/*.o", "a/b.o", Prune),
            ("**/*.o", "b.o", Prune),
            ("**/*.o", "x/y/b.o", Prune),
            ("**/node_modules", "x/node_modules/y", Prune),
            ("a/**", "a/", No),
            ("a/**", "a/b", Prune),
            ("  a  ", "a", Prune),
            ("a b", "a b", Prune),
            ("# a\n#a", "#a", No),
            (" #a", "#a", Prune),
            ("\u{feff}a", "a", Prune),
            ("b\r\na\r\n", "a", Prune),
            // Exceptions.
            ("*\n!a", "a", No),
            ("*\n! /a", "a", No),
            ("*\n!a", "b", Prune),
            ("!a\n*", "a", Prune),
            ("*\n!a\na/b", "a/b", Prune),
            ("*\n!a\na/b", "a/c", No),
            ("a\n!a/b", "a/b/c", No),
            ("a\n!a/b", "a/c", Prune),
            ("a\n!a/b", "a/", Descend),
            ("a\n!a/b", "a/c/", Prune),
            ("a\n!**/b", "a/c/", Descend),
            ("a\n!x/b", "a/", Prune),
            ("!a/b\na", "a/", Prune),
            ("a\n!a/b\na/b", "a/b", Prune),
            // Only what a pattern above leaves out is taken in again: the exception for the
            // directory was never tried, since nothing had left the directory out.
            ("a/b\n!a", "a/b", Prune),
            ("**\n!a/**/c", "a/", Descend),
            ("**\n!a/**/c", "a/b/c", No),
        ] {
            assert_eq!(ignored(file, name), expected, "{file:?} {name}");
        }
    }

    #[test]
    fn going_down_is_the_same_as_starting_at_the_root() {
        let file = IgnoreFile::parse(b"*\n!a\na/b\n!a/b/c").unwrap();
        let mut state = file.root();
        for (name, is_dir) in [("a", true), ("a/b", true), ("a/b/c", false)] {
            let found;
            (found, state) = file.descend(&state, &path(name), is_dir);
            assert_eq!(found, file.excluded(&path(name), is_dir), "{name}");
        }
    }

    #[test]
    fn malformed_files_are_refused_with_their_line() {
        assert_eq!(
            IgnoreFile::parse(b"a\n !\n"),
            Err(IgnoreError::Nothing { line: 2 })
        );
        let error = IgnoreFile::parse(b"\na\n[b\n").unwrap_err();
        assert!(matches!(error, IgnoreError::Pattern { line: 3, .. }));
        let many = b"a\n".repeat(MAX_PATTERNS + 1);
        assert_eq!(IgnoreFile::parse(&many), Err(IgnoreError::TooMany));
        let long = vec![b'#'; MAX_IGNORE_BYTES + 1];
        assert!(matches!(
            IgnoreFile::parse(&long),
            Err(IgnoreError::TooLarge(_))
        ));
    }
}
