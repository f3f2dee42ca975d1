//! Paths of a Dockerfile.

/// `path` on top of `base`, cleaned as Go's `path.Join` does: absolute, no `.`, no `..`.
pub(super) fn join(base: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{base}/{path}")
    };
    let mut names: Vec<&str> = Vec::new();
    for name in whole.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_join_as_in_a_shell_that_cannot_leave() {
        for (base, path, joined) in [
            ("/", "a", "/a"),
            ("/a", "b/", "/a/b"),
            ("/a", "/b", "/b"),
            ("/a", "../..", "/"),
            ("/a/b", "./../c", "/a/c"),
            ("", ".", "/"),
        ] {
            assert_eq!(join(base, path), joined);
        }
    }
}
