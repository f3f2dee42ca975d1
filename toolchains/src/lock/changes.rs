//! What is different in a new lock, as people read it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use repro_core::{digest::Digest, event::counted};
use serde::Serialize;

use super::{LockedSource, Package, ProjectLock};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What: a package with its kind, a base, a toolchain, an input, or a URL.
    pub what: String,
    /// What it was; `None` where it was not there.
    pub before: Option<String>,
    /// What it is; `None` where it is gone.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{what}: {before} -> {after}"),
            (None, Some(after)) => write!(f, "{what}: new, {after}"),
            (Some(before), None) => write!(f, "{what}: gone, was {before}"),
            (None, None) => f.write_str(what),
        }
    }
}

/// The differences, by what they are about. Packages are told by their versions, all else by digest or
/// size.
#[must_use]
pub fn changes(old: Option<&ProjectLock>, new: &ProjectLock) -> Vec<Change> {
    let none = BTreeMap::new();
    let before = old.map_or(none, entries);
    let after = entries(new);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let text = |entry: Option<&Entry>| entry.map(ToString::to_string);
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| Change {
            what: name.clone(),
            before: text(before.get(name)),
            after: text(after.get(name)),
        })
        .collect()
}

/// What a lock says of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// Versions of a package. The bytes behind them are left out: a build of the same version, or the
    /// listing that led to it, is an entry of its own.
    Versions(BTreeSet<String>),
    Digest(Digest),
    /// Answers, each with its bytes.
    Answers(Vec<(u16, u64, Digest)>),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Versions(versions) => {
                let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
                f.write_str(&versions.join(", "))
            }
            Self::Digest(digest) => write!(f, "{}", digest.short()),
            Self::Answers(answers) => {
                let answers: Vec<String> = answers
                    .iter()
                    .map(|(status, size, digest)| {
                        let bytes = counted(*size, "byte", "bytes");
                        match status {
                            200 => format!("{bytes} ({})", digest.short()),
                            status => format!("status {status}, {bytes}"),
                        }
                    })
                    .collect();
                f.write_str(&answers.join(", "))
            }
        }
    }
}

fn entries(lock: &ProjectLock) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    for ((reference, platform), base) in &lock.bases {
        let name = format!("base {reference} ({platform})");
        entries.insert(name, Entry::Digest(base.digest));
    }
    for (name, toolchain) in &lock.toolchains {
        match &toolchain.source {
            LockedSource::Shipped { lock, .. } => {
                entries.insert(format!("toolchain {name}"), Entry::Digest(*lock));
            }
            LockedSource::Own(lock) => {
                for package in &lock.packages {
                    let version = BTreeSet::from([package.version.clone()]);
                    let name = format!("toolchain {name}: {}", package.name);
                    entries.insert(name, Entry::Versions(version));
                }
            }
        }
    }
    for (name, input) in &lock.inputs {
        let entry = Entry::Versions(BTreeSet::from([input.purl.to_string()]));
        entries.insert(format!("input {name}"), entry);
    }
    for fetch in lock.steps.iter().flat_map(|step| &step.fetches) {
        let package = Package::of_url(&fetch.key.url).filter(|_| fetch.status == 200);
        if let Some(package) = package {
            let name = format!("{} {}", package.ecosystem.name(), package.name);
            let entry = entries.entry(name);
            let entry = entry.or_insert_with(|| Entry::Versions(BTreeSet::new()));
            if let Entry::Versions(versions) = entry {
                versions.insert(package.version);
            }
        } else {
            let name = format!("{} {}", fetch.key.method, fetch.key.url);
            let entry = entries.entry(name);
            let entry = entry.or_insert_with(|| Entry::Answers(Vec::new()));
            let answer = (fetch.status, fetch.size, fetch.sha256);
            if let Entry::Answers(answers) = entry
                && !answers.contains(&answer)
            {
                answers.push(answer);
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn lock(fetches: &[(&str, &str)]) -> ProjectLock {
        let zeros = Digest::of(b"");
        let mut text = format!(
            "version = 1\nruleset = 1\nchecksum = \"{zeros}\"\n[[step]]\nname = \"0/1\"\n\
             platform = \"linux/amd64\"\ninstruction = \"{zeros}\"\n"
        );
        for (url, body) in fetches {
            write!(
                text,
                "[[fetch]]\nstep = \"0/1\"\nplatform = \"linux/amd64\"\nmethod = \"GET\"\n\
                 url = \"{url}\"\nstatus = 200\nsize = {}\nsha256 = \"{}\"\n",
                body.len(),
                Digest::of(body.as_bytes())
            )
            .unwrap();
        }
        ProjectLock::parse("repro.lock", &text).unwrap()
    }

    #[test]
    fn packages_are_told_by_version_and_other_files_by_size() {
        let old = lock(&[
            ("http://h/pool/a_1_all.deb", "a"),
            ("http://h/pool/b_1_all.deb", "b"),
            ("http://h/list", "xx"),
        ]);
        let new = lock(&[
            ("http://h/pool/a_2_all.deb", "a2"),
            ("http://h/c/-/c-1.0.0.tgz", "c"),
            ("http://h/list", "yyy"),
        ]);
        let shown: Vec<String> = changes(Some(&old), &new)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            shown[1..],
            ["deb a: 1 -> 2", "deb b: gone, was 1", "npm c: new, 1.0.0"]
        );
        assert!(
            shown[0].starts_with("GET http://h/list: 2 bytes ("),
            "{}",
            shown[0]
        );
        assert!(changes(Some(&new), &new).is_empty());
        assert_eq!(changes(None, &new).len(), 3);
    }
}
