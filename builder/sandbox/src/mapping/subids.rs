//! Subordinate ids: `/etc/subuid` and `/etc/subgid` (subuid(5)).

use std::{fs, io};

use repro_core::build::ExecutorError;

use super::IDS;

/// A range for hints: what `useradd` gives the first user of a machine.
const EXAMPLE: &str = "100000-165535";

/// A run of ids of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubidRange {
    /// First id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    /// `/etc/subuid`.
    Users,
    /// `/etc/subgid`, which too is keyed by the user.
    Groups,
}

impl File {
    /// Where it is.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Users => "/etc/subuid",
            Self::Groups => "/etc/subgid",
        }
    }
}

/// Why the ranges of a user are not known.
#[derive(Debug, thiserror::Error)]
pub enum SubidError {
    /// A file of the system cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: &'static str,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// A line of the system's file is broken.
    #[error("{path} line {line} is not NAME:FIRST:COUNT")]
    Line {
        /// Which file.
        path: &'static str,
        /// Line, from 1.
        line: usize,
    },
}

impl SubidError {
    pub(crate) fn into_executor(self) -> ExecutorError {
        let what = self.to_string();
        let source = match self {
            Self::Read { source, .. } => Some(source),
            Self::Line { .. } => None,
        };
        ExecutorError::Machine {
            what,
            hint: "see subuid(5) for the form of the file".to_owned(),
            source,
        }
    }
}

/// The ranges of the user `uid`, in the order of the file; none where the file does not exist.
pub(crate) fn ranges_of(file: File, uid: u32) -> Result<Vec<SubidRange>, SubidError> {
    let Some(text) = read(file.path())? else {
        return Ok(Vec::new());
    };
    let name = login(uid)?;
    parse(&text, uid, name.as_deref()).map_err(|line| SubidError::Line {
        path: file.path(),
        line,
    })
}

/// As [`ranges_of`], but `None` where they are fewer than the ids that a step needs beside root.
pub(super) fn required(file: File, uid: u32) -> Result<Option<Vec<SubidRange>>, ExecutorError> {
    let ranges = ranges_of(file, uid).map_err(SubidError::into_executor)?;
    let found: u64 = ranges.iter().map(|range| u64::from(range.count)).sum();
    Ok((found >= u64::from(IDS - 1)).then_some(ranges))
}

/// How a user gets ids. Both kinds, since who lacks one has the other as seldom.
pub(super) fn hint(name: Option<&str>) -> String {
    format!(
        "as root: usermod --add-subuids {EXAMPLE} --add-subgids {EXAMPLE} {} (or any range of 65536 \
         that nobody else has)",
        name.unwrap_or("USER")
    )
}

/// The ids that the namespace of this process has, from `/proc/self/uid_map` or `gid_map`.
pub(super) fn available(path: &'static str) -> Result<Vec<SubidRange>, ExecutorError> {
    let text = read(path)
        .map_err(SubidError::into_executor)?
        .ok_or_else(|| ExecutorError::Machine {
            what: format!("{path} does not exist"),
            hint: "mount /proc, and use a kernel with user namespaces (CONFIG_USER_NS)".to_owned(),
            source: None,
        })?;
    let range = |line: &str| {
        let mut fields = line.split_ascii_whitespace().map(str::parse);
        let (first, _, count) = (fields.next()?, fields.next()?, fields.next()?);
        Some(SubidRange {
            first: first.ok()?,
            count: count.ok()?,
        })
    };
    Ok(text.lines().filter_map(range).collect())
}

fn read(path: &'static str) -> Result<Option<String>, SubidError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SubidError::Read { path, source }),
    }
}

/// The name that the machine's own file has for `uid`.
pub(super) fn login(uid: u32) -> Result<Option<String>, SubidError> {
    Ok(read("/etc/passwd")?.and_then(|passwd| name_of(&passwd, uid)))
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Lines of other users are not looked at further; `Err` is the number of a broken line.
fn parse(text: &str, uid: u32, name: Option<&str>) -> Result<Vec<SubidRange>, usize> {
    let id = uid.to_string();
    let mut ranges = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut fields = line.trim().split(':');
        let owner = fields.next().unwrap_or_default();
        if owner != id && Some(owner) != name {
            continue;
        }
        let mut number = || fields.next().and_then(|field| field.parse().ok());
        match (number(), number()) {
            (Some(first), Some(count)) => ranges.push(SubidRange { first, count }),
            _ => return Err(index + 1),
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_by_name_and_by_id_count() {
        let text = "other:1:2\nann:100000:65536\n1000:300000:10\n";
        let ranges = parse(text, 1000, Some("ann")).unwrap();
        assert_eq!(ranges.len(), 2);
        assert_eq!(ranges[1].first, 300_000);
    }

    #[test]
    fn only_a_broken_line_of_the_user_is_an_error() {
        assert_eq!(parse("other:x\n", 1000, Some("ann")), Ok(Vec::new()));
        assert_eq!(parse("\nann:1\n", 1000, Some("ann")), Err(2));
    }

    #[test]
    fn a_user_is_found_by_id() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(name_of(passwd, 1001), None);
    }
}
