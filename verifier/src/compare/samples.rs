//! Contents that differ, put aside for another program to look at.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::causes::ContentView;

/// Pairs that are looked at; fewer are put aside.
const MAX_PAIRS: usize = 40;
/// Largest content that is put aside.
const MAX_CONTENT: u64 = 4 << 20;
/// Longest name that a file keeps; its ending tells programs what it is.
const MAX_NAME: usize = 100;

/// Pairs of contents in the directories `a` and `b` of a directory, each under its number.
#[derive(Debug)]
pub struct Samples {
    dir: PathBuf,
    /// Paths by number.
    kept: Mutex<BTreeMap<usize, String>>,
}

impl Samples {
    /// Keeps samples in `dir`, which is there and empty.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            kept: Mutex::default(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path and number of every pair, the paths printable.
    #[must_use]
    pub fn list(&self) -> Vec<(String, String)> {
        let kept = self.kept();
        let numbered = kept.iter();
        numbered
            .map(|(number, path)| (path.clone(), name(*number)))
            .collect()
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<usize, String>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number behind all that were put aside so far.
    pub(super) fn next(&self) -> usize {
        self.kept().last_key_value().map_or(1, |(last, _)| last + 1)
    }

    /// Puts a pair aside under a number, if it is among the first and small enough. What is kept does
    /// not depend on which of several threads comes first.
    pub(super) fn keep(
        &self,
        number: usize,
        path: &str,
        (a, b): (&dyn ContentView, &dyn ContentView),
    ) -> io::Result<()> {
        if number > MAX_PAIRS || a.len().max(b.len()) > MAX_CONTENT {
            return Ok(());
        }
        // Names are hostile: none but plain characters, and no path.
        let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let last: String = last.chars().filter(plain).take(MAX_NAME).collect();
        for (side, content) in [("a", a), ("b", b)] {
            let dir = self.dir.join(side).join(name(number));
            fs::create_dir_all(&dir)?;
            write(&dir.join(format!("content-{last}")), content)?;
        }
        self.kept().insert(number, path.to_owned());
        Ok(())
    }
}

fn name(number: usize) -> String {
    format!("{number:04}")
}

fn write(path: &Path, content: &dyn ContentView) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    let mut chunk = vec![0; 64 << 10];
    let mut offset = 0;
    while offset < content.len() {
        let left = usize::try_from(content.len() - offset).unwrap_or(chunk.len());
        let now = left.min(chunk.len());
        content.read_at(offset, &mut chunk[..now])?;
        file.write_all(&chunk[..now])?;
        offset += now as u64;
    }
    Ok(())
}
