//! Finds `COPY` sources that the context does not have, before anything runs.

use repro_core::{
    build::CopyLayout,
    tree::{Pattern, TreePath},
};

use super::take::{Context, ContextKind};

/// A `COPY` source that is not in the context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the context has no {pattern}")]
pub struct MissingSource {
    /// The source as the Dockerfile has it, expanded.
    pub pattern: String,
    /// What may be meant or may be the reason.
    pub hint: Option<String>,
}

/// Checks one source of a `COPY` from the context.
///
/// A source that leads through a symbolic link is left to the copy itself, which resolves links
/// inside the tree; it fails there if it leads nowhere.
///
/// Where sources keep their parents, a pattern may match nothing and match at any depth; what has no
/// wildcard must be there all the same.
pub(crate) fn check(
    context: &Context,
    pattern: &str,
    layout: CopyLayout,
) -> Result<(), MissingSource> {
    let missing = |hint| MissingSource {
        pattern: pattern.to_owned(),
        hint,
    };
    if layout == CopyLayout::Parents && !Pattern::is_literal(pattern.as_bytes()) {
        return Ok(());
    }
    let Ok(path) = TreePath::parse_clamped(pattern.as_bytes()) else {
        return Err(missing(Some(
            "it is no path that a tree can have".to_owned(),
        )));
    };
    let found = if path.is_root() {
        true
    } else if Pattern::is_literal(path.as_bytes()) {
        context.paths.contains_key(&path) || leads_through_link(context, &path)
    } else {
        // One that matches nothing copies nothing, as in BuildKit.
        Pattern::parse(path.as_bytes()).map_err(|_| {
            missing(Some(
                "the pattern has an unclosed [ or ends in \\".to_owned(),
            ))
        })?;
        true
    };
    if found {
        Ok(())
    } else {
        Err(missing(hint(context, &path)))
    }
}

fn leads_through_link(context: &Context, path: &TreePath) -> bool {
    let mut ancestor = path.parent();
    while let Some(path) = ancestor {
        match context.paths.get(&path) {
            Some(ContextKind::Link) => return true,
            Some(_) => return false,
            None => ancestor = path.parent(),
        }
    }
    false
}

fn hint(context: &Context, path: &TreePath) -> Option<String> {
    if let Some(rule) = context
        .ignored
        .iter()
        .find(|ignored| path.starts_with(ignored))
    {
        return Some(format!("the ignore file leaves {rule} out of the context"));
    }
    let wanted = path.file_name()?.to_ascii_lowercase();
    let near = context.paths.keys().find(|candidate| {
        candidate.file_name().is_some_and(|name| {
            name.to_ascii_lowercase() == wanted
                || distance_is_one(&name.to_ascii_lowercase(), &wanted)
        })
    })?;
    Some(format!("did you mean {near}?"))
}

/// Whether one byte more, less, or other makes `a` from `b`.
fn distance_is_one(a: &[u8], b: &[u8]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let same_head = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let rest = &long[same_head..];
    match long.len() - short.len() {
        0 => rest.len() > 1 && short[same_head + 1..] == rest[1..] || rest.len() == 1,
        1 => short[same_head..] == rest[1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn context() -> Context {
        let path = |text: &str| TreePath::parse(text.as_bytes()).unwrap();
        Context {
            layer: None,
            digest: repro_core::digest::DiffId(repro_core::digest::Digest::of(b"")),
            paths: BTreeMap::from([
                (path("src"), ContextKind::Directory),
                (path("src/main.c"), ContextKind::File),
                (path("current"), ContextKind::Link),
                (path("Makefile"), ContextKind::File),
            ]),
            ignored: vec![path("target")],
            findings: Vec::new(),
        }
    }

    #[test]
    fn what_is_there_is_found() {
        for source in [
            ".",
            "src",
            "/src/",
            "./src/main.c",
            "../src",
            "*.c/..",
            "src/*.c",
            "Make*",
            "current/x",
            "*.rs",
        ] {
            assert_eq!(
                check(&context(), source, CopyLayout::Contents),
                Ok(()),
                "{source}"
            );
        }
    }

    #[test]
    fn what_is_not_gets_a_reason() {
        for (source, hint) in [
            ("makefile", Some("did you mean Makefile?")),
            ("src/main.cc", Some("did you mean src/main.c?")),
            (
                "target/app",
                Some("the ignore file leaves target out of the context"),
            ),
            ("[", Some("the pattern has an unclosed [ or ends in \\")),
            ("nothing", None),
        ] {
            assert_eq!(
                check(&context(), source, CopyLayout::Contents)
                    .unwrap_err()
                    .hint
                    .as_deref(),
                hint,
                "{source}"
            );
        }
    }
}
