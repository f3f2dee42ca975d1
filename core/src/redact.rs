//! What must not be signed: credentials and personal data in arguments, labels, logs and URLs, found by
//! their shapes.
//!
//! The one place for it. `table` has the shapes; whoever refuses or replaces something asks here.
//! A shape is found or not: nothing is guessed from how random a text looks, since digests do too.

mod table;

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::LazyLock};

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use table::{SHAPES, Shape};

/// Largest pattern of a project, compiled, in bytes.
const PATTERN_MAX: usize = 1 << 20;
/// What a mark begins with.
const MARK: &str = "[redacted:";
/// Most patterns of a project.
pub const PATTERNS_MAX: usize = 100;

/// Why something must not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Whoever reads it can use it.
    Secret,
    /// It says something of a person.
    Personal,
}

/// What becomes of personal data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Personal {
    /// It is replaced wherever it is seen.
    #[default]
    Replace,
    /// The same, and a build that is given some in an argument, a label, an annotation or the lineage
    /// does not start.
    Refuse,
    /// It stays.
    Keep,
}

/// What becomes of a build whose own texts, the Dockerfile, `repro.toml` and the lock, hold what must not be
/// signed. A rebuild needs their bytes, so nothing in them is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Texts {
    /// It does not start.
    #[default]
    Refuse,
    /// The texts stay out of the evidence: whoever builds again has to be given them.
    LeaveOut,
}

/// A place with something that must not be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its line, from 1.
    pub line: usize,
    /// The name of its shape.
    pub kind: String,
}

/// A shape of the project's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// Its name in what replaces it and in messages: lower-case letters, digits and `-`.
    pub name: String,
    /// A regular expression over bytes, without look-around; its first group is what is replaced, all
    /// of it where it has none.
    pub regex: String,
    /// What it is.
    pub class: Class,
}

/// `[redaction]` of `repro.toml`. What is a secret by the table is never kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What becomes of personal data.
    pub personal: Personal,
    /// What becomes of a secret in a text of the project.
    pub texts: Texts,
    /// More shapes.
    pub patterns: Vec<Pattern>,
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Its name.
    #[error("{0:?} is no name of a pattern: lower-case letters, digits and -, at most 40")]
    Name(String),
    /// No regular expression.
    #[error("the pattern {name} is no regular expression that can be used: {reason}")]
    Regex {
        /// Its name.
        name: String,
        /// The parser's word, in one line.
        reason: String,
    },
    /// It would replace everything.
    #[error("the pattern {0} fits nothing at all, and so everywhere")]
    Empty(String),
    /// Too many.
    #[error("at most {PATTERNS_MAX} patterns, here are {0}")]
    Many(usize),
}

/// How often something was replaced, by the name of its shape.
pub type Counts = BTreeMap<String, u64>;

/// Finds and replaces.
pub struct Redactor {
    rules: Vec<Rule>,
    /// All rules at once, to pass over what none of them fits.
    set: RegexSet,
    personal: Personal,
    /// Texts that the user says are no secrets, and so is nothing in them.
    waived: Vec<Vec<u8>>,
}

struct Rule {
    name: Cow<'static, str>,
    class: Class,
    regex: Regex,
    /// Whether a place that fits is none after all.
    except: fn(&[u8], usize, usize) -> bool,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rules.iter().map(|rule| &rule.name);
        f.debug_list().entries(names).finish()
    }
}

/// The shapes of the table alone.
#[must_use]
pub fn builtin() -> &'static Redactor {
    static BUILTIN: LazyLock<Redactor> = LazyLock::new(Redactor::default);
    &BUILTIN
}

fn compile(regex: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(regex)
        .unicode(false)
        .size_limit(PATTERN_MAX)
        .build()
}

impl Default for Redactor {
    /// The shapes of the table alone.
    fn default() -> Self {
        Self::new(&Settings::default()).expect("the shapes of the table compile")
    }
}

impl Redactor {
    /// The shapes of the table and those of a project.
    pub fn new(settings: &Settings) -> Result<Self, PatternError> {
        if settings.patterns.len() > PATTERNS_MAX {
            return Err(PatternError::Many(settings.patterns.len()));
        }
        let failed = |name: &str| {
            let name = name.to_owned();
            move |error: regex::Error| {
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default();
                let reason = last.trim_start_matches("error: ").to_owned();
                PatternError::Regex { name, reason }
            }
        };
        let mut rules = Vec::new();
        for Shape {
            name,
            class,
            regex,
            except,
        } in SHAPES
        {
            rules.push(Rule {
                name: (*name).into(),
                class: *class,
                regex: compile(regex).map_err(failed(name))?,
                except: *except,
            });
        }
        for pattern in &settings.patterns {
            let good = (1..=40).contains(&pattern.name.len())
                && pattern
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !good {
                let shown = pattern.name.chars().take(60).collect();
                return Err(PatternError::Name(shown));
            }
            let regex = compile(&pattern.regex).map_err(failed(&pattern.name))?;
            if regex.is_match(b"") {
                return Err(PatternError::Empty(pattern.name.clone()));
            }
            rules.push(Rule {
                name: pattern.name.clone().into(),
                class: pattern.class,
                regex,
                except: |_, _, _| false,
            });
        }
        let set = RegexSetBuilder::new(rules.iter().map(|rule| rule.regex.as_str()))
            .unicode(false)
            .size_limit(PATTERN_MAX * (PATTERNS_MAX + SHAPES.len()))
            .build()
            .map_err(failed("of all"))?;
        Ok(Self {
            rules,
            set,
            personal: settings.personal,
            waived: Vec::new(),
        })
    }

    /// The same, which passes over what stands in one of these texts.
    #[must_use]
    pub fn waiving(mut self, texts: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.waived.extend(texts.into_iter().map(Into::into));
        self
    }

    /// The name of what `text` must not have where a user gives it, if it has such a thing.
    #[must_use]
    pub fn refused(&self, text: &str) -> Option<&str> {
        let rules = self.fitting(text.as_bytes());
        rules
            .filter(|rule| self.refuses(rule))
            .find(|rule| self.places(rule, text.as_bytes()).next().is_some())
            .map(|rule| rule.name.as_ref())
    }

    /// Every place of such things, in their order.
    #[must_use]
    pub fn refused_places(&self, text: &[u8]) -> Vec<Place> {
        let rules = self.fitting(text).filter(|rule| self.refuses(rule));
        let found = rules.flat_map(|rule| {
            self.places(rule, text).map(|(start, _)| {
                let before = text[..start].iter().filter(|byte| **byte == b'\n');
                Place {
                    line: before.count() + 1,
                    kind: rule.name.clone().into_owned(),
                }
            })
        });
        let mut found: Vec<Place> = found.collect();
        found.sort_by_key(|place| place.line);
        found
    }

    /// Whether a user must not give what fits.
    fn refuses(&self, rule: &Rule) -> bool {
        match rule.class {
            Class::Secret => true,
            Class::Personal => self.personal == Personal::Refuse,
        }
    }

    /// From where to where something fits `rule` that is not waived.
    fn places<'a>(
        &'a self,
        rule: &'a Rule,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (usize, usize)> + 'a {
        rule.places(bytes).filter(move |(start, end)| {
            let found = &bytes[*start..*end];
            let has = |text: &Vec<u8>| text.windows(found.len()).any(|part| part == found);
            !self.waived.iter().any(has)
        })
    }

    /// Replaces every place in `text`, and counts them.
    #[must_use]
    pub fn text(&self, text: &str, counts: &mut Counts) -> String {
        match self.bytes(text.as_bytes(), counts) {
            Cow::Borrowed(_) => text.to_owned(),
            // A project's pattern can cut a character in two.
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// The same for what need not be text.
    #[must_use]
    pub fn bytes<'a>(&self, bytes: &'a [u8], counts: &mut Counts) -> Cow<'a, [u8]> {
        let mut found = Cow::Borrowed(bytes);
        let rules: Vec<&Rule> = self.fitting(bytes).collect();
        for rule in rules {
            if rule.class == Class::Personal && self.personal == Personal::Keep {
                continue;
            }
            let places: Vec<(usize, usize)> = self.places(rule, &found).collect();
            if places.is_empty() {
                continue;
            }
            let mark = format!("{MARK}{}]", rule.name);
            let mut out = Vec::with_capacity(found.len());
            let mut at = 0;
            for (start, end) in &places {
                out.extend_from_slice(&found[at..*start]);
                out.extend_from_slice(mark.as_bytes());
                at = *end;
            }
            out.extend_from_slice(&found[at..]);
            *counts.entry(rule.name.clone().into_owned()).or_default() += places.len() as u64;
            found = Cow::Owned(out);
        }
        found
    }

    /// Replaces in every text of a document, keys of objects too.
    pub fn json(&self, value: &mut Value, counts: &mut Counts) {
        match value {
            Value::String(text) => {
                if self.set.is_match(text.as_bytes()) {
                    *text = self.text(text, counts);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item, counts)),
            Value::Object(fields) => {
                let keys = fields
                    .keys()
                    .filter(|key| self.set.is_match(key.as_bytes()));
                for key in keys.cloned().collect::<Vec<_>>() {
                    let other = self.text(&key, counts);
                    if let Some(field) = fields.remove(&key) {
                        fields.insert(other, field);
                    }
                }
                fields
                    .values_mut()
                    .for_each(|field| self.json(field, counts));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn fitting(&self, bytes: &[u8]) -> impl Iterator<Item = &Rule> {
        let fitting = self.set.matches(bytes);
        self.rules
            .iter()
            .enumerate()
            .filter(move |(number, _)| fitting.matched(*number))
            .map(|(_, rule)| rule)
    }
}

impl Rule {
    /// From where to where something is to be replaced.
    fn places<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (usize, usize)> + 'a {
        self.regex.captures_iter(bytes).filter_map(|captures| {
            let place = captures.get(1).or_else(|| captures.get(0))?;
            let (start, end) = (place.start(), place.end());
            // What was replaced already has a form that some shapes fit.
            let marked = bytes[start..end].starts_with(MARK.as_bytes());
            let inside = start < end && !marked && !(self.except)(bytes, start, end);
            inside.then_some((start, end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str) -> (String, Counts) {
        let mut counts = Counts::new();
        let text = builtin().text(text, &mut counts);
        (text, counts)
    }

    /// Put together here, so that no scanner of sources takes the table for a leak.
    fn join(parts: &[&str]) -> String {
        parts.concat()
    }

    #[test]
    fn every_shape_of_the_table_is_found_and_replaced() {
        let x = |n: usize| "aB3x".repeat(n.div_ceil(4))[..n].to_owned();
        let jwt = join(&["eyJ", &x(20), ".eyJ", &x(30), ".", &x(43)]);
        let armour = |kind: &str| {
            join(&[
                "-----BEGIN ",
                kind,
                "-----\n",
                &x(64),
                "\n-----END ",
                kind,
                "-----",
            ])
        };
        let table: Vec<(&str, String)> = vec![
            ("private-key", armour("PRIVATE KEY")),
            ("private-key", armour("EC PRIVATE KEY")),
            ("private-key", armour("OPENSSH PRIVATE KEY")),
            ("private-key", armour("PGP PRIVATE KEY BLOCK")),
            ("github-token", join(&["gh", "p_", &x(36)])),
            ("github-token", join(&["gh", "s_", &x(36)])),
            ("github-token", join(&["github", "_pat_", &x(60)])),
            ("gitlab-token", join(&["gl", "pat-", &x(20)])),
            ("aws-key-id", join(&["AK", "IA", "QWERTYUIOPASDFGH"])),
            (
                "aws-secret",
                join(&["aws_secret_access", "_key = ", &x(40)]),
            ),
            ("slack-token", join(&["xo", "xb-", "123456789012-", &x(24)])),
            ("npm-token", join(&["np", "m_", &x(36)])),
            (
                "npm-token",
                join(&["//registry.example/:_auth", "Token=", &x(36)]),
            ),
            ("pypi-token", join(&["py", "pi-", &x(80)])),
            ("google-key", join(&["AI", "za", &x(35)])),
            ("huggingface-token", join(&["h", "f_", &x(34)])),
            ("jwt", jwt.clone()),
            ("bearer", join(&["Authorization: Bas", "ic ", &x(24)])),
            ("bearer", join(&["bear", "er ", &x(40)])),
            (
                "url-password",
                join(&["https://user", ":pa@ss@example.org/x"]),
            ),
            (
                "url-password",
                join(&["https://user:", "${PASS:-word}@example.org/x"]),
            ),
            (
                "url-password",
                join(&["https://user:", "$a{b}@example.org/x"]),
            ),
            (
                "url-password",
                join(&["https://user:", "12$@example.org/x"]),
            ),
            (
                "url-token",
                join(&["https://example.org/x?a=1&access", "_token=", &x(12)]),
            ),
            ("url-token", join(&["/x?X-Amz-", "Signature=", &x(64)])),
            ("email", "someone.else+x@mail.example".into()),
        ];
        for (name, text) in &table {
            let whole = format!("before {text} after");
            let (found, counts) = redact(&whole);
            assert_eq!(counts.keys().collect::<Vec<_>>(), [name], "{whole}");
            assert!(
                found.starts_with("before ") && found.ends_with(" after"),
                "{found}"
            );
            assert!(found.contains(&format!("[redacted:{name}]")), "{found}");
            assert!(!found.contains(&x(12)), "{found}");
            assert_eq!(
                redact(&found),
                (found.clone(), Counts::new()),
                "twice is once"
            );
        }
        let named = table.iter().map(|(name, _)| *name);
        let all = SHAPES.iter().map(|shape| shape.name);
        let named: std::collections::BTreeSet<_> = named.collect();
        assert_eq!(named, all.collect(), "each shape has its example");
        let (found, _) = redact("ftp://u:p[w@example.org/ ?sig=a[b&c");
        assert_eq!(
            found,
            "ftp://[redacted:url-password]@example.org/ ?sig=[redacted:url-token]&c"
        );
        // What is around a secret stays, so that a log can still be read.
        let (found, _) = redact("GET https://u:p@example.org/a?token=abcdef&b=1");
        assert_eq!(
            found,
            "GET https://[redacted:url-password]@example.org/a?token=[redacted:url-token]&b=1"
        );
    }

    #[test]
    fn what_only_looks_similar_stays() {
        let digest = "0123456789abcdef".repeat(4);
        for text in [
            format!("sha256:{digest}"),
            "pkg:deb/debian/libc6@2.36-9.deb?arch=amd64".into(),
            "pkg:npm/react@18.0.0-rc.alpha".into(),
            "git@host.example:acme/app.git".into(),
            "https://user@example.org/x:y@z".into(),
            "ssh://git@example.org/x".into(),
            "getty@tty1.service".into(),
            "docker.io/library/app@sha256:00".into(),
            "basic usage of the token bucket".into(),
            "monkey_ghp_short npm_run hf_x AKIA".into(),
            "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----".into(),
            "-----BEGIN PUBLIC KEY-----".into(),
            "a@b".into(),
            "?tokens=1".into(),
            "https://files.example/x?token=REDACTED&a=1".into(),
            "https://files.example/x?token=${TOKEN}&password=$P".into(),
            "https://me:$TOKEN@files.example/x http://${A}:${B_1}$c@files.example".into(),
            "2027-01-15T07:20:00Z".into(),
        ] {
            assert_eq!(redact(&text), (text.clone(), Counts::new()));
        }
    }

    #[test]
    fn a_key_without_an_end_is_replaced_to_the_end() {
        let text = join(&["x\n-----BEGIN RSA PRIVATE", " KEY-----\nabc\ndef"]);
        assert_eq!(redact(&text).0, "x\n[redacted:private-key]");
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_around() {
        let mut counts = Counts::new();
        let found = builtin()
            .bytes(b"\xff a@mail.example \xfe", &mut counts)
            .into_owned();
        assert_eq!(found, b"\xff [redacted:email] \xfe");
    }

    #[test]
    fn a_project_adds_shapes_and_says_what_becomes_of_persons() {
        let settings = |personal, regex: &str| Settings {
            personal,
            texts: Texts::default(),
            patterns: vec![Pattern {
                name: "badge".into(),
                regex: regex.into(),
                class: Class::Personal,
            }],
        };
        let text = "badge 1234 of a@mail.example";
        let redact = |personal| {
            let redactor = Redactor::new(&settings(personal, "badge ([0-9]{4})")).unwrap();
            let found = redactor.text(text, &mut Counts::new());
            (found, redactor.refused(text).map(str::to_owned))
        };
        let replaced = "badge [redacted:badge] of [redacted:email]";
        assert_eq!(redact(Personal::Replace), (replaced.into(), None));
        assert_eq!(
            redact(Personal::Refuse),
            (replaced.into(), Some("email".into()))
        );
        assert_eq!(redact(Personal::Keep), (text.into(), None));
        for bad in ["(", "", "x*", "(?=x)", "x{1000}{1000}"] {
            assert!(
                Redactor::new(&settings(Personal::Keep, bad)).is_err(),
                "{bad}"
            );
        }
        let mut named = settings(Personal::Keep, "x");
        named.patterns[0].name = "Bad Name".into();
        assert!(matches!(Redactor::new(&named), Err(PatternError::Name(_))));
        named.patterns = vec![named.patterns[0].clone(); PATTERNS_MAX + 1];
        assert!(matches!(Redactor::new(&named), Err(PatternError::Many(_))));
    }

    #[test]
    fn places_have_their_lines_and_what_is_waived_is_none() {
        let token = join(&["gh", "p_", &"aB3x".repeat(9)]);
        let text =
            format!("FROM x\nRUN curl https://u:pw@x.example/ \\\n  {token}\n# a@mail.example\n");
        let redactor = Redactor::default();
        let lines = |redactor: &Redactor| {
            let places = redactor.refused_places(text.as_bytes());
            places.iter().map(|place| place.line).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(&redactor),
            [2, 3],
            "personal data is replaced, not refused"
        );
        let strict = Settings {
            personal: Personal::Refuse,
            ..Settings::default()
        };
        assert_eq!(lines(&Redactor::new(&strict).unwrap()), [2, 3, 4]);
        let waiving = Redactor::default().waiving(["https://u:pw@x.example/"]);
        assert_eq!(lines(&waiving), [3]);
        assert!(waiving.text(&text, &mut Counts::new()).contains("u:pw@"));
        let part = Redactor::default().waiving([&token[..20]]);
        assert_eq!(lines(&part), [2, 3], "a longer text is another");
    }

    #[test]
    fn documents_are_searched_to_their_leaves() {
        let mut value = serde_json::json!({
            "a": ["x", {"b": "c@mail.example"}], "d@mail.example": 1, "e": "f"
        });
        let mut counts = Counts::new();
        builtin().json(&mut value, &mut counts);
        assert_eq!(
            value,
            serde_json::json!({
                "a": ["x", {"b": "[redacted:email]"}], "[redacted:email]": 1, "e": "f"
            })
        );
        assert_eq!(counts, [("email".to_owned(), 2)].into());
    }
}
