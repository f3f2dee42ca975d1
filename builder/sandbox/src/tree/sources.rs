//! The sources of a copy: patterns, matched in the source tree.

use repro_core::tree::{Pattern, TreePath, show_bytes};

use super::{Root, TreeError, diff::join, resolve::resolve};

/// Names shown where a source is missing.
const MAX_NEAR: usize = 3;
/// Names of the directory that are looked at for that.
const MAX_COMPARED: usize = 10_000;
/// Letters that may differ.
const MAX_DISTANCE: usize = 2;

/// One thing to copy.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is, every link followed.
    pub(super) path: TreePath,
    /// The name it was found by, which it keeps in a directory; empty for the root.
    pub(super) name: Vec<u8>,
}

/// What one pattern stands for, in canonical order.
///
/// As in `BuildKit`: links before the first component with a wildcard are followed, and so is
/// what was found in the end; none in between. A pattern without wildcard must be there, one
/// with a wildcard may match nothing. `..` stays in the tree.
pub(super) fn expand(root: Root<'_>, pattern: &str) -> Result<Vec<Source>, TreeError> {
    let names = clean(pattern);
    let literal = names
        .iter()
        .position(|name| has_wildcard(name))
        .unwrap_or(names.len());
    let (before, wild) = names.split_at(literal);
    let start = resolve(root, &before.join(&b'/'))?;
    if root.visible(&start)?.is_none() {
        return Err(no_source(root, pattern, before, start)?);
    }
    if wild.is_empty() {
        let name = before.last().map(|name| name.to_vec()).unwrap_or_default();
        return Ok(vec![Source { path: start, name }]);
    }
    let compiled = Pattern::parse(&wild.join(&b'/'))?;
    let mut found = vec![start];
    for depth in 0..wild.len() {
        let mut next = Vec::new();
        for directory in found {
            let is_directory = root
                .visible(&directory)?
                .is_some_and(|node| node.is_directory());
            if !is_directory {
                continue;
            }
            for name in root.names(&directory)? {
                let path = join(&directory, &name)?;
                // A name that overlayfs removed is in the listing of a single tree.
                if compiled.component_matches(depth, &name) && root.visible(&path)?.is_some() {
                    next.push(path);
                }
            }
        }
        found = next;
    }
    let mut sources = Vec::with_capacity(found.len());
    for path in found {
        let followed = resolve(root, path.as_bytes())?;
        if root.visible(&followed)?.is_none() {
            return Err(TreeError::Dangling {
                pattern: show_bytes(path.as_bytes()).into_owned(),
                target: followed,
            });
        }
        sources.push(Source {
            name: path.file_name().unwrap_or_default().to_vec(),
            path: followed,
        });
    }
    Ok(sources)
}

/// The components of a pattern, as Go's `filepath.Clean` leaves them of an absolute one.
pub(super) fn clean(pattern: &str) -> Vec<&[u8]> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in pattern.as_bytes().split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names
}

/// Whether a component has a special character that no backslash takes away.
pub(super) fn has_wildcard(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// The error for a missing source: it is a link, which leads to `target`, or there are names that
/// look like it.
fn no_source(
    root: Root<'_>,
    pattern: &str,
    names: &[&[u8]],
    target: TreePath,
) -> Result<TreeError, TreeError> {
    let mut near = Vec::new();
    if let Some((last, above)) = names.split_last() {
        let directory = resolve(root, &above.join(&b'/'))?;
        if root.visible(&join(&directory, last)?)?.is_some() {
            return Ok(TreeError::Dangling {
                pattern: pattern.to_owned(),
                target,
            });
        }
        let is_directory = root
            .visible(&directory)?
            .is_some_and(|node| node.is_directory());
        if is_directory {
            near = root
                .names(&directory)?
                .into_iter()
                .take(MAX_COMPARED)
                .filter(|name| is_near(name, last))
                .take(MAX_NEAR)
                .map(|name| show_bytes(&name).into_owned())
                .collect();
        }
    }
    Ok(TreeError::NoSource {
        pattern: pattern.to_owned(),
        near,
    })
}

/// Whether two names are equal but for case, or at most [`MAX_DISTANCE`] edits apart and longer
/// than twice that.
fn is_near(one: &[u8], other: &[u8]) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    if one.len().abs_diff(other.len()) > MAX_DISTANCE || one.len().min(other.len()) <= MAX_DISTANCE
    {
        return false;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()] <= MAX_DISTANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_character_is_no_wildcard() {
        for (name, wild) in [
            (&b"a"[..], false),
            (b"a*", true),
            (b"a\\*", false),
            (b"a\\\\*", true),
            (b"[[]", true),
            (b"?", true),
            (b"\\", false),
        ] {
            assert_eq!(has_wildcard(name), wild, "{}", show_bytes(name));
        }
    }

    #[test]
    fn near_names() {
        assert!(is_near(b"Makefile", b"makefile"));
        assert!(is_near(b"main.c", b"mian.c"));
        assert!(is_near(b"requirement.txt", b"requirements.txt"));
        assert!(!is_near(b"src", b"lib"));
        assert!(!is_near(b"a", b"b"));
        assert!(!is_near(b"main.c", b"main.rs.bak"));
    }
}
