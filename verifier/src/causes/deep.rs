//! From two files to causes: formats are taken apart as deep as they go, and the names and shapes
//! of what is found make a general cause a special one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use repro_core::{digest::Digest, tree::TreePath};

use super::{
    Cause, Confidence, ContentFinding, ContentView, Excerpt, Excerpts, Facts, excerpts_by_name,
    find_causes,
    formats::{Budget, Format, NotOpened, Part, Role, formats_of},
    secret_marker,
    shapes::{self, Pair},
    traces::trace,
};

/// Largest content that is taken apart; larger ones are compared as bytes, in bounded memory.
const MAX_DEEP: u64 = 64 << 20;
/// Deepest nesting: a package in an image has four (deb, tar, jar, jar), a bomb has any number.
const MAX_DEPTH: usize = 8;
/// Bytes that all levels of one pair of files may unpack to, both sides together.
const MAX_TOTAL: u64 = 256 << 20;
/// Bytes by which the format of a content is told.
const HEAD: usize = 1024;
/// Longest value of a field in an excerpt, in bytes before escaping.
const EXCERPT: usize = 48;
/// Longest name of a member in an excerpt, in characters.
const MEMBER: usize = 96;

/// As [`find_causes`] for two files at `path`, whose formats are taken apart.
pub fn find_file_causes(
    path: &TreePath,
    a: &dyn ContentView,
    b: &dyn ContentView,
    excerpts: Excerpts,
    facts: &Facts,
) -> io::Result<Vec<ContentFinding>> {
    if a.len() > MAX_DEEP || b.len() > MAX_DEEP {
        let mut found = find_causes(a, b, excerpts, facts)?;
        if formats_of(path.as_bytes(), &head(a)?, &head(b)?)
            .next()
            .is_some()
        {
            found.push(limit_reached(None));
        }
        return Ok(refined(path.as_bytes(), None, found));
    }
    let (bytes_a, bytes_b) = (load(a)?, load(b)?);
    let mut search = Search {
        facts,
        found: BTreeMap::new(),
        left: MAX_TOTAL,
    };
    let place = Place {
        path: path.as_bytes().to_vec(),
        inside: String::new(),
        excerpts,
        depth: 0,
    };
    search.contents(&place, &bytes_a, &bytes_b, None)?;
    let found = search.finish();
    let whole = (&bytes_a[..], &bytes_b[..]);
    Ok(refined(path.as_bytes(), Some(whole), found))
}

/// The first bytes of a content, by which formats are told.
fn head(content: &dyn ContentView) -> io::Result<Vec<u8>> {
    let length = usize::try_from(content.len()).unwrap_or(HEAD).min(HEAD);
    let mut bytes = vec![0; length];
    content.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Says that a content was compared as bytes though its format is known.
fn limit_reached(inside: Option<String>) -> ContentFinding {
    ContentFinding {
        cause: Cause::LimitReached,
        confidence: Confidence::Unknown,
        offset: 0,
        excerpt: None,
        inside,
    }
}

fn load(content: &dyn ContentView) -> io::Result<Vec<u8>> {
    let length = usize::try_from(content.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    content.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Causes that say how a value got in, or that nothing is known: a special cause says the same
/// and more. Values that prove themselves, such as the host's name, stay.
const GENERAL: [Cause; 6] = [
    Cause::EmbeddedTimestamp,
    Cause::RandomContent,
    Cause::GeneratedKey,
    Cause::LineOrder,
    Cause::EmbeddedPath,
    Cause::Unknown,
];

/// Puts the special cause of a known place or shape in place of general ones.
fn refined(
    path: &[u8],
    whole: Option<(&[u8], &[u8])>,
    found: Vec<ContentFinding>,
) -> Vec<ContentFinding> {
    let shape = whole.and_then(|(a, b)| {
        shapes::shape(&Pair {
            path,
            inside: "",
            a,
            b,
        })
    });
    // A known place says more than that a path is in the file.
    let special = shape.filter(|cause| *cause != Cause::EmbeddedPath);
    match (special, trace(path), shape) {
        (Some(Cause::PackageVersion), ..) => versions(path, whole, found),
        (Some(cause), ..) | (None, None, Some(cause)) => replaced(cause, found),
        (None, Some(cause), _) => placed(cause, found),
        (None, None, None) => found,
    }
}

/// Says which packages have other versions, where excerpts may be shown.
fn versions(
    path: &[u8],
    whole: Option<(&[u8], &[u8])>,
    found: Vec<ContentFinding>,
) -> Vec<ContentFinding> {
    let mut found = replaced(Cause::PackageVersion, found);
    let told = whole.and_then(|(a, b)| shapes::changed_versions(path, a, b));
    let of = |finding: &&mut ContentFinding| finding.cause == Cause::PackageVersion;
    if let Some((a, b)) = told
        && let Some(finding) = found.iter_mut().find(of)
        && finding.excerpt.is_some()
    {
        finding.excerpt = Some(Excerpt { a, b, around: None });
        // The database itself says so.
        finding.confidence = Confidence::Certain;
    }
    found
}

/// Causes that say what of the run is in a file, wherever it lies.
const PROVEN: [Cause; 5] = [
    Cause::EmbeddedHostname,
    Cause::EmbeddedKernel,
    Cause::EmbeddedCpuCount,
    Cause::EmbeddedProcessId,
    Cause::EmbeddedAddress,
];

/// Puts the cause of a known place in place of all that follows from it: of a cache it does not
/// matter that the archives in it hold times.
fn placed(cause: Cause, found: Vec<ContentFinding>) -> Vec<ContentFinding> {
    let mut seen = BTreeSet::new();
    let renamed = found.into_iter().map(|mut finding| {
        if !PROVEN.contains(&finding.cause) {
            finding.cause = cause;
            finding.confidence = finding.confidence.max(Confidence::Likely);
        }
        finding
    });
    renamed
        .filter(|finding| seen.insert(finding.cause))
        .collect()
}

fn replaced(cause: Cause, found: Vec<ContentFinding>) -> Vec<ContentFinding> {
    let mut seen = BTreeSet::new();
    let renamed = found.into_iter().map(|mut finding| {
        // That a path is there explains nothing that was drawn at random beside it.
        let explained = match cause {
            Cause::EmbeddedPath => finding.cause == Cause::Unknown,
            _ => GENERAL.contains(&finding.cause),
        };
        if explained {
            finding.cause = cause;
            // A place tells what wrote the file, not what differs in it.
            finding.confidence = finding.confidence.max(Confidence::Likely);
        }
        finding
    });
    renamed
        .filter(|finding| seen.insert(finding.cause))
        .collect()
}

/// Where contents lie.
struct Place {
    /// Path of the file, and below it the names of the parts.
    path: Vec<u8>,
    /// The same without the file, for people.
    inside: String,
    excerpts: Excerpts,
    depth: usize,
}

impl Place {
    /// The part in the file, if it is one.
    fn named(&self) -> Option<String> {
        (!self.inside.is_empty()).then(|| self.inside.clone())
    }

    fn part(&self, name: &str) -> Self {
        let join = |above: &str| match (above, name) {
            (above, "") => above.to_owned(),
            ("", name) => name.to_owned(),
            (above, name) => format!("{above}!{name}"),
        };
        let path = if name.is_empty() {
            self.path.clone()
        } else {
            [&self.path[..], b"/", name.as_bytes()].concat()
        };
        // A name that no tree could have names no secret file by itself.
        let named = TreePath::parse_clamped(name.as_bytes()).map_or(Excerpts::Allowed, |path| {
            excerpts_by_name(&path, [0o644; 2])
        });
        Self {
            path,
            inside: join(&self.inside),
            excerpts: match (self.excerpts, named) {
                (Excerpts::Allowed, Excerpts::Allowed) => Excerpts::Allowed,
                _ => Excerpts::Refused,
            },
            depth: self.depth + 1,
        }
    }
}

/// What came of taking two contents apart.
enum Taken {
    /// Their parts say what differs.
    Apart,
    /// They are damaged, or what differs is in no part.
    No,
    /// A limit was reached.
    TooLarge,
}

struct Search<'a> {
    facts: &'a Facts,
    /// By cause: the surest and first of each.
    found: BTreeMap<Cause, ContentFinding>,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl Search<'_> {
    /// Looks at two contents that may differ. `paths` is the cause where paths differ.
    fn contents(
        &mut self,
        place: &Place,
        a: &[u8],
        b: &[u8],
        paths: Option<Cause>,
    ) -> io::Result<()> {
        if a == b {
            return Ok(());
        }
        // Keys are never taken apart: a part of one has no marker of its own.
        let secret = secret_marker(0, a).is_some() || secret_marker(0, b).is_some();
        let pair = Pair {
            path: &place.path,
            inside: &place.inside,
            a,
            b,
        };
        for format in formats_of(&place.path, a, b).filter(|_| !secret) {
            // Item by item a list in another order has other values.
            let is_json = format.form() == Some(Cause::JsonOrder);
            if place.depth > 0 && is_json && shapes::shape(&pair) == Some(Cause::ListOrder) {
                break;
            }
            let taken = if place.depth < MAX_DEPTH {
                self.parts(place, format, a, b)?
            } else {
                Taken::TooLarge
            };
            match taken {
                Taken::Apart => return Ok(()),
                Taken::No => {}
                Taken::TooLarge => {
                    self.add(limit_reached(place.named()));
                    break;
                }
            }
        }
        let mut found = find_causes(&a, &b, place.excerpts, self.facts)?;
        let shape = (place.depth > 0).then(|| shapes::shape(&pair)).flatten();
        if let Some(cause) = shape {
            found = replaced(cause, found);
        }
        for mut finding in found {
            let path = match finding.cause {
                Cause::Unknown | Cause::EmbeddedPath => true,
                // A directory of a random name, such as pip compiles in.
                Cause::RandomContent => paths == Some(Cause::DebugPath),
                _ => false,
            };
            if path && let Some(cause) = paths {
                finding.cause = cause;
                finding.confidence = Confidence::Likely;
            }
            finding.inside = place.named();
            self.add(finding);
        }
        Ok(())
    }

    /// Looks at the parts of two contents.
    fn parts(
        &mut self,
        place: &Place,
        format: &dyn Format,
        a: &[u8],
        b: &[u8],
    ) -> io::Result<Taken> {
        let mut budget_a = Budget::new(a.len() as u64, self.left);
        let mut budget_b = Budget::new(b.len() as u64, self.left);
        let (parts_a, parts_b) =
            match (format.open(a, &mut budget_a), format.open(b, &mut budget_b)) {
                (Ok(parts_a), Ok(parts_b)) => (parts_a, parts_b),
                (Err(NotOpened::TooLarge), _) | (_, Err(NotOpened::TooLarge)) => {
                    return Ok(Taken::TooLarge);
                }
                _ => return Ok(Taken::No),
            };
        let used: u64 = parts_a
            .iter()
            .chain(&parts_b)
            .map(|part| part.bytes.len() as u64)
            .sum();
        self.left = self.left.saturating_sub(used);
        if let Some(cause) = format.order()
            && reordered(cause, &parts_a, &parts_b)
        {
            let excerpt = moved(place, &parts_a, &parts_b);
            self.say(place, cause, Confidence::Certain, excerpt);
            return Ok(Taken::Apart);
        }
        let (named_a, named_b) = (by_name(&parts_a), by_name(&parts_b));
        let mut differs = false;
        // Fields of one side only follow from the part that they belong to, unless that is there.
        let mut fields = Vec::new();
        let keys: BTreeSet<_> = named_a.keys().chain(named_b.keys()).collect();
        for key in keys {
            match (named_a.get(key), named_b.get(key)) {
                (Some(one), Some(other)) if one.bytes == other.bytes => {}
                (Some(one), Some(other)) => {
                    differs = true;
                    self.part(place, one, other)?;
                }
                (Some(part), None) | (None, Some(part)) => {
                    let in_a = named_a.contains_key(key);
                    match part.role {
                        Role::Field(cause) | Role::Follows(cause) => {
                            fields.push((cause, Confidence::Certain, *part, in_a));
                        }
                        Role::Text => {
                            fields.push((Cause::Unknown, Confidence::Unknown, *part, in_a));
                        }
                        Role::Content | Role::Paths(_) => {
                            differs = true;
                            self.alone(place, format.alone(), part, in_a);
                        }
                    }
                }
                (None, None) => {}
            }
        }
        if !differs {
            differs = !fields.is_empty();
            for (cause, confidence, part, in_a) in fields {
                self.alone(place, (cause, confidence), part, in_a);
            }
        }
        let order = |parts: &[Part<'_>]| -> Vec<String> {
            parts.iter().map(|part| part.name.clone()).collect()
        };
        if named_a.len() == named_b.len()
            && named_a.keys().eq(named_b.keys())
            && order(&parts_a) != order(&parts_b)
            && let Some(cause) = format.order()
        {
            differs = true;
            let excerpt = moved(place, &parts_a, &parts_b);
            self.say(place, cause, Confidence::Certain, excerpt);
        }
        if !differs {
            match format.form().filter(|_| format.says_the_same(a, b)) {
                Some(cause) => self.say(place, cause, Confidence::Likely, None),
                None => return Ok(Taken::No),
            }
        }
        Ok(Taken::Apart)
    }

    fn part(&mut self, place: &Place, a: &Part<'_>, b: &Part<'_>) -> io::Result<()> {
        let place = place.part(&a.name);
        match a.role {
            Role::Content | Role::Text => self.contents(&place, &a.bytes, &b.bytes, None),
            Role::Paths(cause) => self.contents(&place, &a.bytes, &b.bytes, Some(cause)),
            Role::Field(cause) | Role::Follows(cause) => {
                let shown = |part: &Part<'_>| {
                    let bytes = &part.bytes[..part.bytes.len().min(EXCERPT)];
                    repro_core::tree::show_bytes(bytes).into_owned()
                };
                let excerpt = (place.excerpts == Excerpts::Allowed).then(|| Excerpt {
                    a: shown(a),
                    b: shown(b),
                    around: None,
                });
                self.say(&place, cause, Confidence::Certain, excerpt);
                Ok(())
            }
        }
    }

    fn alone(
        &mut self,
        place: &Place,
        (cause, confidence): (Cause, Confidence),
        part: &Part<'_>,
        in_a: bool,
    ) {
        let place = place.part(&part.name);
        let (there, absent) = ("there".to_owned(), "absent".to_owned());
        let excerpt = if in_a {
            Excerpt {
                a: there,
                b: absent,
                around: None,
            }
        } else {
            Excerpt {
                a: absent,
                b: there,
                around: None,
            }
        };
        self.say(&place, cause, confidence, Some(excerpt));
    }

    fn say(
        &mut self,
        place: &Place,
        cause: Cause,
        confidence: Confidence,
        excerpt: Option<Excerpt>,
    ) {
        self.add(ContentFinding {
            cause,
            confidence,
            offset: 0,
            excerpt,
            inside: place.named(),
        });
    }

    fn add(&mut self, finding: ContentFinding) {
        match self.found.get(&finding.cause) {
            Some(known) if known.confidence >= finding.confidence => {}
            _ => {
                self.found.insert(finding.cause, finding);
            }
        }
    }

    fn finish(self) -> Vec<ContentFinding> {
        let mut found: Vec<ContentFinding> = self.found.into_values().collect();
        found.sort_by_key(|finding| std::cmp::Reverse(finding.confidence));
        found
    }
}

/// The names of the first two members that stand in one place, where names may be shown.
fn moved(place: &Place, a: &[Part<'_>], b: &[Part<'_>]) -> Option<Excerpt> {
    fn members<'a>(parts: &'a [Part<'_>]) -> impl Iterator<Item = &'a str> {
        let contents = parts
            .iter()
            .filter(|part| matches!(part.role, Role::Content));
        contents.map(|part| part.name.as_str())
    }
    let shown = |name: &str| name.chars().take(MEMBER).collect();
    let (one, two) = members(a).zip(members(b)).find(|(one, two)| one != two)?;
    (place.excerpts == Excerpts::Allowed).then(|| Excerpt {
        a: shown(one),
        b: shown(two),
        around: None,
    })
}

/// Whether both hold the same parts, each as often, in another order. In an archive the last member of a
/// name is the one that is unpacked: its order is content.
fn reordered(cause: Cause, a: &[Part<'_>], b: &[Part<'_>]) -> bool {
    let sizes = |parts: &[Part<'_>]| -> Vec<(String, usize)> {
        let sizes = parts
            .iter()
            .map(|part| (part.name.clone(), part.bytes.len()));
        let mut sizes: Vec<_> = sizes.collect();
        sizes.sort_unstable();
        sizes
    };
    let sorted = |parts: &[Part<'_>]| -> Vec<(String, Digest)> {
        let mut sorted: Vec<_> = parts
            .iter()
            .map(|part| (part.name.clone(), Digest::of(&part.bytes)))
            .collect();
        sorted.sort_unstable();
        sorted
    };
    let same = |(a, b): (&Part<'_>, &Part<'_>)| a.name == b.name && a.bytes == b.bytes;
    // Digests last: they cost most.
    a.len() == b.len()
        && !a.iter().zip(b).all(same)
        && sizes(a) == sizes(b)
        && sorted(a) == sorted(b)
        && (cause != Cause::ArchiveOrder || same_by_turn(a, b))
}

/// Whether both hold the same parts, and those of one name in the same order.
fn same_by_turn(a: &[Part<'_>], b: &[Part<'_>]) -> bool {
    let (a, b) = (by_name(a), by_name(b));
    a.len() == b.len()
        && a.iter()
            .all(|(key, part)| b.get(key).is_some_and(|other| other.bytes == part.bytes))
}

/// Parts by name and, of the same name, by turn.
fn by_name<'p, 'a>(parts: &'p [Part<'a>]) -> BTreeMap<(&'p str, usize), &'p Part<'a>> {
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut named = BTreeMap::new();
    for part in parts {
        let turn = turns.entry(&part.name).or_default();
        named.insert((part.name.as_str(), *turn), part);
        *turn += 1;
    }
    named
}

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod tests;
