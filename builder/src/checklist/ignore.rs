//! `.dockerignore`.

use repro_core::tree::{IgnoreFile, Ignored, TreePath};

#[test]
fn rows() {
    for (row, text, out, kept) in [
        (
            "a pattern and what is below it",
            "a",
            &["a", "a/b/c"][..],
            &["b/a", "ab"][..],
        ),
        ("byte order mark", "\u{feff}a", &["a"], &["\u{feff}a"]),
        (
            "comments begin in the first column",
            "#a\n #b",
            &["#b"],
            &["#a", "a"],
        ),
        ("blanks around", "  a \t\r\n", &["a"], &["  a "]),
        ("blanks inside", "a b", &["a b"], &["a", "b"]),
        ("empty lines", "\n\n  \na\n\n", &["a"], &["b"]),
        ("a slash in front", "/a", &["a"], &["b/a"]),
        ("a slash behind", "a/", &["a", "a/b"], &["b"]),
        (
            "a path that is not clean",
            "./x/../a//b/.",
            &["a/b"],
            &["a/c", "x"],
        ),
        ("a path above the root", "../a", &[], &["a"]),
        ("the root", ".\n/", &[], &["a"]),
        ("*", "*.o", &["a.o", ".o"], &["d/a.o"]),
        ("?", "a?c", &["abc"], &["ac", "abbc", "a/c"]),
        ("[ ]", "[a-c]x", &["ax", "cx"], &["dx"]),
        ("escapes", "\\*a\n[[]b", &["*a", "[b"], &["xa", "b"]),
        ("**", "**/*.o", &["a.o", "d/e/a.o"], &["a"]),
        ("** behind", "a/**", &["a/b", "a/b/c"], &["b/a"]),
        ("** between", "a/**/z", &["a/z", "a/b/c/z"], &["z"]),
        ("!", "*.md\n!README.md", &["a.md"], &["README.md"]),
        ("! and blanks", "*\n! \ta", &["b"], &["a"]),
        (
            "! of what is in a directory",
            "d\n!d/keep",
            &["d/x"],
            &["d/keep/y"],
        ),
        (
            "the last match wins",
            "*.md\n!R*\nR1.md",
            &["R1.md", "a.md"],
            &["R2.md"],
        ),
        ("the last match wins, back", "!a\n*", &["a"], &[]),
    ] {
        let file = IgnoreFile::parse(text.as_bytes()).unwrap();
        for (paths, is_out) in [(out, true), (kept, false)] {
            for path in paths {
                let path = TreePath::parse(path.as_bytes()).unwrap();
                let found = file.excluded(&path, false) != Ignored::No;
                assert_eq!(found, is_out, "{row}: {path}");
            }
        }
    }
    for (row, text) in [("!", "a\n!"), ("[ ]", "[a"), ("escapes", "a\\")] {
        assert!(IgnoreFile::parse(text.as_bytes()).is_err(), "{row}: {text}");
    }
}
