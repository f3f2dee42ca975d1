//! Contents that differ, put aside for another program to look at.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

use crate::causes::ContentView;

/// Most pairs that are put aside.
const MAX_PAIRS: usize = 40;
/// Largest content that is.
const MAX_CONTENT: u64 = 16 << 20;
/// Bytes of all together.
const MAX_TOTAL: u64 = 256 << 20;
/// Longest name that a file keeps; its ending tells programs what it is.
const MAX_NAME: usize = 100;

/// Pairs of contents in the directories `a` and `b` of a directory, each under its number.
#[derive(Debug)]
pub struct Samples {
    dir: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    paths: Vec<String>,
    bytes: u64,
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
    pub fn list(&self) -> Vec<(String, String)> {
        let kept = self.kept.lock();
        let kept = kept.unwrap_or_else(std::sync::PoisonError::into_inner);
        let numbered = kept.paths.iter().enumerate();
        numbered
            .map(|(at, path)| (path.clone(), number(at)))
            .collect()
    }

    /// Puts a pair aside, if there is room.
    pub(super) fn keep(
        &self,
        path: &str,
        a: &dyn ContentView,
        b: &dyn ContentView,
    ) -> io::Result<()> {
        let kept = self.kept.lock();
        let mut kept = kept.unwrap_or_else(std::sync::PoisonError::into_inner);
        let bytes = kept.bytes.saturating_add(a.len()).saturating_add(b.len());
        if kept.paths.len() >= MAX_PAIRS || a.len().max(b.len()) > MAX_CONTENT || bytes > MAX_TOTAL
        {
            return Ok(());
        }
        let number = number(kept.paths.len());
        // Names are hostile: none but plain characters, and no path.
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name: String = name.chars().filter(plain).take(MAX_NAME).collect();
        let name = format!("content-{name}");
        for (side, content) in [("a", a), ("b", b)] {
            let dir = self.dir.join(side).join(&number);
            fs::create_dir_all(&dir)?;
            write(&dir.join(&name), content)?;
        }
        kept.paths.push(path.to_owned());
        kept.bytes = bytes;
        Ok(())
    }
}

fn number(at: usize) -> String {
    format!("{:04}", at + 1)
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
