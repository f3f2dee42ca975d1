//! Which file a line of a list of checksums follows.

use memchr::memmem;
use repro_core::tree::show_bytes;

use super::Evidence;

/// The one of `paths` that a line of the list at `list` names, by what is shown of it. Of several files of
/// that name it is the one beside the list, or none.
pub(super) fn followed<'a>(
    list: &str,
    shown: Option<&Evidence>,
    paths: &[&'a str],
) -> Option<&'a str> {
    let names = shown.map(names).unwrap_or_default();
    names
        .iter()
        .find_map(|name| named(list, name, paths))
        .or_else(|| {
            // A list of one file is called as the file is, wherever that lay and where no name is in it.
            let beside = |path: &&&str| {
                let one = list.strip_prefix(**path);
                let by_name = |name: &String| last(name) == last(path);
                one.is_some_and(|end| end.starts_with('.'))
                    && (names.is_empty() || names.iter().any(by_name))
            };
            paths.iter().find(beside).copied()
        })
}

fn named<'a>(list: &str, name: &str, paths: &[&'a str]) -> Option<&'a str> {
    let name = name.trim_start_matches("./").trim_start_matches('/');
    if name.is_empty() {
        return None;
    }
    let beside = match list.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{name}"),
        None => name.to_owned(),
    };
    let is = |wanted: &str| paths.iter().find(|path| **path == wanted).copied();
    is(&beside).or_else(|| is(name)).or_else(|| {
        let below = |path: &&&str| {
            let above = path.strip_suffix(name);
            above.is_some_and(|above| above.ends_with('/'))
        };
        let mut found = paths.iter().filter(below);
        found.next().filter(|_| found.next().is_none()).copied()
    })
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The names, printable, on the lines that differ: from the bytes around them, where there are some, since
/// an excerpt has no room for a long digest and a name.
fn names(shown: &Evidence) -> Vec<String> {
    let around = shown.around.as_ref();
    let whole = around.and_then(|around| Some((around.a.bytes()?, around.b.bytes()?)));
    let (a, b) =
        whole.unwrap_or_else(|| (shown.a.clone().into_bytes(), shown.b.clone().into_bytes()));
    let others: Vec<&[u8]> = lines(&b).collect();
    lines(&a)
        .filter(|line| !others.contains(line))
        .filter_map(name)
        .map(|name| show_bytes(name).into_owned())
        .collect()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
}

/// The name on a line: behind the digest, before it as in `RECORD`, or in parentheses.
fn name(line: &[u8]) -> Option<&[u8]> {
    if let Some(equals) = memmem::rfind(line, b") = ") {
        let start = memmem::find(&line[..equals], b" (")?;
        return Some(&line[start + 2..equals]);
    }
    if let Some(end) = memmem::find(line, b",sha256=") {
        return Some(&line[..end]);
    }
    let end = line.iter().position(u8::is_ascii_whitespace)?;
    let (digest, name) = line.split_at(end);
    let digest = digest.strip_prefix(b"\\").unwrap_or(digest);
    let name = name.trim_ascii_start();
    digest
        .iter()
        .all(u8::is_ascii_hexdigit)
        .then(|| name.strip_prefix(b"*").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_are_followed() {
        let followed = |list: &str, line: &str, paths: &[&'static str]| {
            let digest = |digit: &str| line.replace('D', &digit.repeat(64));
            let shown = Evidence {
                offset: None,
                inside: None,
                a: digest("a"),
                b: digest("b"),
                around: None,
            };
            followed(list, Some(&shown), paths)
        };
        for (list, line, paths, expected) in [
            (
                "SUMS",
                "D  usr/bin/x",
                &["a", "usr/bin/x"][..],
                Some("usr/bin/x"),
            ),
            // In every digest.
            ("SUMS", "D  usr/bin/x", &["a", "b"], None),
            ("SUMS", "D  ax", &["x", "a"], None),
            ("SUMS", "D *x", &["x"], Some("x")),
            ("SUMS", "D  ./x", &["x"], Some("x")),
            ("SUMS", "D  /usr/bin/x", &["usr/bin/x"], Some("usr/bin/x")),
            ("SUMS", "D  bin/x", &["opt/bin/x", "x"], Some("opt/bin/x")),
            ("SUMS", "D  my file", &["my file", "my"], Some("my file")),
            ("SUMS", "SHA256 (x y) = D", &["y", "x y"], Some("x y")),
            (
                "p/RECORD",
                "m/x.py,sha256=D,7",
                &["p/m/x.py"],
                Some("p/m/x.py"),
            ),
            ("d/SUMS", "D  x", &["c/x", "d/x"], Some("d/x")),
            ("SUMS", "D  x", &["c/x", "d/x"], None),
            ("d/x.sha256", "D", &["d/y", "d/x"], Some("d/x")),
            ("d/x.sha256", "D  /build/x", &["d/x"], Some("d/x")),
            ("d/x.sha256", "D  y", &["d/x"], None),
            ("SUMS", "D", &["a", "SUMS2"], None),
        ] {
            assert_eq!(followed(list, line, paths), expected, "{list} {line}");
        }
    }
}
