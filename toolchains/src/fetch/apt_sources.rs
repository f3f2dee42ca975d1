//! The mirrors that the machine uses anyway.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use repro_core::fs::sorted_names;

use super::Mirror;
use crate::text_file;

/// Largest sources file that is read.
const MAX_SIZE: u64 = 1 << 20;

/// A sources file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct AptSourcesError {
    /// The file or directory.
    pub path: PathBuf,
    /// The operating system's word.
    #[source]
    pub source: io::Error,
}

/// The archives in `sources.list` and `sources.list.d/` below `etc_apt` (usually `/etc/apt`), in
/// the order of the files, each once. A machine without apt has none.
///
/// Only `http` and `https`; entries of other kinds (`cdrom:`, `mirror+file:`, ...) and entries
/// that are switched off are passed over. So are entries whose every suite is a security suite:
/// these are archives with a pool of their own.
pub fn machine_mirrors(etc_apt: &Path) -> Result<Vec<Mirror>, AptSourcesError> {
    let mut files = vec![etc_apt.join("sources.list")];
    let parts = etc_apt.join("sources.list.d");
    match sorted_names(&parts) {
        Ok(names) => files.extend(names.into_iter().map(|name| parts.join(name))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(AptSourcesError {
                path: parts,
                source,
            });
        }
    }
    let mut mirrors: Vec<Mirror> = Vec::new();
    for path in files {
        let parse = match path.extension().and_then(OsStr::to_str) {
            Some("list") => one_line_style,
            Some("sources") => deb822_style,
            _ => continue,
        };
        let text = text_file::read(&path, MAX_SIZE)
            .map_err(|source| AptSourcesError { path, source })?
            .unwrap_or_default();
        for entry in parse(&text) {
            if entry.suites.iter().all(|suite| suite.contains("-security")) {
                continue;
            }
            let parsed = entry.uris.iter().filter_map(|uri| uri.parse().ok());
            for mirror in parsed.collect::<Vec<Mirror>>() {
                if !mirrors.contains(&mirror) {
                    mirrors.push(mirror);
                }
            }
        }
    }
    Ok(mirrors)
}

#[derive(Default)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
}

/// `deb [options] URI SUITE COMPONENT...`
fn one_line_style(text: &str) -> Vec<Source> {
    let entry = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let rest = line.trim_start();
        let rest = (rest.strip_prefix("deb-src")).or_else(|| rest.strip_prefix("deb"))?;
        let mut rest = rest.strip_prefix([' ', '\t'])?.trim_start();
        if rest.starts_with('[') {
            rest = &rest[rest.find(']')? + 1..];
        }
        let mut words = rest.split_whitespace();
        Some(Source {
            uris: vec![words.next()?.to_owned()],
            suites: vec![words.next()?.to_owned()],
        })
    };
    text.lines().filter_map(entry).collect()
}

/// Paragraphs of `Types`, `URIs`, `Suites`, ...
fn deb822_style(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut source = Source::default();
    let mut enabled = true;
    let mut field = String::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            let finished = std::mem::take(&mut source);
            if enabled && !finished.uris.is_empty() {
                sources.push(finished);
            }
            enabled = true;
            field.clear();
            continue;
        }
        let value = if line.starts_with([' ', '\t']) {
            line
        } else {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            field = name.to_ascii_lowercase();
            value
        };
        let words = value.split_whitespace().map(ToOwned::to_owned);
        match field.as_str() {
            "uris" => source.uris.extend(words),
            "suites" => source.suites.extend(words),
            "enabled" => enabled = !matches!(value.trim(), "no" | "false" | "0"),
            _ => {}
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let found = machine_mirrors(dir.path()).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_styles_in_the_order_of_the_files() {
        let found = mirrors(&[
            (
                "sources.list",
                "# deb http://off.example/debian x main\n\
                 deb [arch=amd64 trusted=yes] http://a.example/debian/ bookworm main\n\
                 deb-src http://a.example/debian bookworm main\n\
                 deb cdrom:[Debian]/ bookworm main\n\
                 deb http://s.example/debian-security bookworm-security main\n",
            ),
            (
                "sources.list.d/b.sources",
                "Types: deb\n# a remark\nURIs: https://b.example/debian\n http://c.example/x\n\
                 Suites: bookworm bookworm-updates\n\n\
                 Types: deb\nEnabled: no\nURIs: http://off.example/\nSuites: bookworm\n\n\
                 Types: deb\nURIs: http://s.example/d\nSuites: bookworm-security\n",
            ),
            (
                "sources.list.d/c.list.disabled",
                "deb http://off.example/debian x main\n",
            ),
        ]);
        let expected = [
            "http://a.example/debian",
            "https://b.example/debian",
            "http://c.example/x",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_machine_without_apt_has_no_mirrors() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(machine_mirrors(&dir.path().join("apt")).unwrap(), []);
    }
}
