//! Paths inside a tree. Names are bytes, never text.

use std::{borrow::Cow, ffi::OsStr, fmt, os::unix::ffi::OsStrExt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest path, in bytes (Linux `PATH_MAX` less its terminator).
pub(crate) const MAX_PATH: usize = 4095;
/// Longest name of a path, in bytes (Linux `NAME_MAX`).
pub(crate) const MAX_NAME: usize = 255;

/// Why bytes are not a path inside a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreePathError {
    /// Longer than 4095 bytes, Linux's `PATH_MAX` less its terminator.
    #[error("a path has at most {MAX_PATH} bytes, this one has {0}")]
    TooLong(usize),
    /// A name longer than 255 bytes, Linux's `NAME_MAX`.
    #[error("a name has at most {MAX_NAME} bytes: {0}")]
    NameTooLong(String),
    /// Contains a NUL byte.
    #[error("a path contains a NUL byte: {0}")]
    Nul(String),
    /// Contains a `..` that would leave its directory.
    #[error("a path must not contain '..': {0}")]
    Parent(String),
}

/// A path relative to the root of a tree: names joined by `/`, no leading or trailing
/// slash, no empty name, no `.`, no `..`, no NUL. The root itself is the empty path.
///
/// Ordered as a pre-order walk with the names of a directory compared bytewise (ruleset 1,
/// rule 11): `a`, `a/b`, `a-b`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The root of the tree.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Parses bytes as they stand in archives: a leading `/` or `./`, doubled slashes, `.`
    /// and a trailing slash are dropped, `..` is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, TreePathError> {
        let shown = || show_bytes(&bytes[..bytes.len().min(200)]).into_owned();
        if bytes.len() > MAX_PATH {
            return Err(TreePathError::TooLong(bytes.len()));
        }
        if bytes.contains(&0) {
            return Err(TreePathError::Nul(shown()));
        }
        let mut path = Vec::with_capacity(bytes.len());
        for name in bytes.split(|b| *b == b'/') {
            match name {
                b"" | b"." => {}
                b".." => return Err(TreePathError::Parent(shown())),
                name if name.len() > MAX_NAME => return Err(TreePathError::NameTooLong(shown())),
                name => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name);
                }
            }
        }
        Ok(Self(path))
    }

    /// As [`TreePath::parse`], but `..` steps back and stays at the root, as a shell in a
    /// container would see it and as Docker treats `COPY ../x`.
    pub fn parse_clamped(bytes: &[u8]) -> Result<Self, TreePathError> {
        let mut names: Vec<&[u8]> = Vec::new();
        for name in bytes.split(|b| *b == b'/') {
            match name {
                b"" | b"." => {}
                b".." => drop(names.pop()),
                name => names.push(name),
            }
        }
        Self::parse(&names.join(&b'/'))
    }

    /// This path with one more name.
    pub fn join(&self, name: &[u8]) -> Result<Self, TreePathError> {
        let mut joined = Vec::with_capacity(self.0.len() + 1 + name.len());
        joined.extend_from_slice(&self.0);
        joined.push(b'/');
        joined.extend_from_slice(name);
        Self::parse(&joined)
    }

    /// The bytes, without a leading slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for calls that take one.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// Whether this is the root of the tree.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The names from the root down.
    #[must_use]
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|name| !name.is_empty())
    }

    /// The last name; `None` for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        self.names().next_back()
    }

    /// The path without its last name; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// Whether `self` is `ancestor` or lies below it.
    #[must_use]
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || self.0 == ancestor.0
            || (self.0.starts_with(&ancestor.0) && self.0.get(ancestor.0.len()) == Some(&b'/'))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TreePath {
    /// Name by name, so that what is below a directory follows it at once.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Comparing the names themselves takes several times as long, and trees compare millions of paths.
        let mut pairs = self.0.iter().zip(&other.0);
        match pairs.find(|(ours, theirs)| ours != theirs) {
            // One is the other, or lies below it.
            None => self.0.len().cmp(&other.0.len()),
            // A name that ends is less than one that goes on.
            Some((b'/', _)) => std::cmp::Ordering::Less,
            Some((_, b'/')) => std::cmp::Ordering::Greater,
            Some((ours, theirs)) => ours.cmp(theirs),
        }
    }
}

impl fmt::Display for TreePath {
    /// Printable: control characters and bytes that are not UTF-8 are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_bytes(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Text that shows hostile bytes safely: valid UTF-8 without control or direction characters
/// as it is, everything else, and the backslash, escaped as `\xNN`, `\n` or `\\`.
///
/// Injective, so that [`TreePath`] can go through JSON and come back.
#[must_use]
pub fn show_bytes(bytes: &[u8]) -> Cow<'_, str> {
    use fmt::Write as _;
    let plain = |c: char| !c.is_control() && c != '\\' && !is_direction(c);
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.chars().all(plain)
    {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                shown.push_str("\\\\");
            } else if plain(c) {
                shown.push(c);
            } else {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    write!(shown, "\\x{byte:02x}").expect("a String takes every write");
                }
            }
        }
        for byte in chunk.invalid() {
            write!(shown, "\\x{byte:02x}").expect("a String takes every write");
        }
    }
    Cow::Owned(shown)
}

/// Characters that reorder or hide what a terminal or page shows.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The bytes that [`show_bytes`] made `text` from.
fn unshow(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        match rest {
            [b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [b'x', high, low, tail @ ..] => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = tail;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

impl Serialize for TreePath {
    /// Raw bytes in binary formats, [`show_bytes`] in readable ones.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            unshow(&text).ok_or_else(|| D::Error::custom("a path has a broken escape"))?
        } else {
            Vec::<u8>::deserialize(deserializer)?
        };
        let path = Self::parse(&bytes).map_err(D::Error::custom)?;
        if path.0 == bytes {
            Ok(path)
        } else {
            Err(D::Error::custom("a path is not normalised"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).unwrap()
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_names(a in "([!/0a]{1,2}/?){0,4}", b in "([!/0a]{1,2}/?){0,4}") {
            let (a, b) = (path(&a), path(&b));
            prop_assert_eq!(a.cmp(&b), a.names().cmp(b.names()));
        }
    }

    #[test]
    fn parses_what_archives_hold() {
        for (text, shown) in [
            ("./a//b/", "a/b"),
            ("/", ""),
            (".", ""),
            ("/etc/x", "etc/x"),
        ] {
            assert_eq!(path(text).to_string(), shown);
        }
        assert!(TreePath::parse(b"a/../b").is_err());
        assert!(TreePath::parse(b"a\0b").is_err());
        assert!(TreePath::parse(&[b'a'; 256]).is_err());
        assert!(TreePath::parse(&[b'a'; 255]).is_ok());
        assert_eq!(TreePath::parse_clamped(b"../../a/../b").unwrap(), path("b"));
    }

    #[test]
    fn order_is_a_pre_order_walk() {
        let mut paths = ["a-b", "a", "a/b", "a.b", "a/b/c"].map(path);
        paths.sort();
        assert_eq!(
            paths.map(|p| p.to_string()),
            ["a", "a/b", "a/b/c", "a-b", "a.b"]
        );
    }

    #[test]
    fn ancestors() {
        assert!(path("a/b").starts_with(&path("a")));
        assert!(!path("ab").starts_with(&path("a")));
        assert!(path("ab").starts_with(&TreePath::root()));
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
    }

    proptest! {
        #[test]
        fn hostile_names_are_shown_safely_and_come_back(bytes in proptest::collection::vec(1_u8.., 0..60)) {
            let shown = show_bytes(&bytes);
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(unshow(&shown), Some(bytes));
        }

        #[test]
        fn json_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(path) = TreePath::parse(&bytes) {
                let json = serde_json::to_string(&path).unwrap();
                prop_assert_eq!(serde_json::from_str::<TreePath>(&json).unwrap(), path);
            }
        }
    }
}
