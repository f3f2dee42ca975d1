//! What a build could leave running or mounted.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use repro_core::fs::sorted_names;

fn processes() -> Vec<u32> {
    let names = sorted_names(Path::new("/proc")).expect("/proc is there");
    names
        .iter()
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// The parent of a process, from field 4 of its `stat`; the name in field 2 may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    // A zombie waits for its parent and does nothing more.
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?.parse().ok()
}

/// The processes that `pid` started, and those that they did.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = processes()
        .into_iter()
        .filter_map(|child| Some((child, parent(child)?)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = all.iter().filter(|(_, of)| *of == parent);
        found.extend(children.map(|(child, _)| child));
        next += 1;
    }
    found.remove(0);
    found
}

/// Processes that have `text` in their command line.
#[must_use]
pub fn processes_with(text: &str) -> Vec<u32> {
    processes()
        .into_iter()
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            parent(*pid).is_some()
                && line
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
        })
        .collect()
}

/// Lines of any process's mount table that name `dir`: mounts live in namespaces of their own,
/// which last as long as a process in them.
#[must_use]
pub fn mounts_below(dir: &Path) -> Vec<String> {
    let dir = dir.display().to_string();
    let mut found = Vec::new();
    for pid in processes() {
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let lines = table.lines().filter(|line| line.contains(&dir));
        found.extend(lines.map(|line| format!("{pid}: {line}")));
    }
    found
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not for `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
