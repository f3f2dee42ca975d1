//! Causes that the lines of a content tell, where its name alone does not: each detector looks at
//! what differs and says nothing unless all of it fits.

mod binaries;
mod languages;
mod order;
mod packages;

use std::collections::BTreeSet;

pub(super) use packages::changed_versions;

use super::Cause;

/// Largest content that is looked at line by line.
const MAX_TEXT: usize = 8 << 20;

/// Two contents that differ.
pub(super) struct Pair<'a> {
    /// Path of the file and of the part in it.
    pub(super) path: &'a [u8],
    /// The part in the file; empty for a whole file.
    pub(super) inside: &'a str,
    pub(super) a: &'a [u8],
    pub(super) b: &'a [u8],
}

type Detector = fn(&Pair<'_>) -> Option<Cause>;

/// The special cause of a difference, if its shape has one.
pub(super) fn shape(pair: &Pair<'_>) -> Option<Cause> {
    if pair.a.len().max(pair.b.len()) > MAX_TEXT {
        return None;
    }
    // The last ones are the most general.
    let detectors: [&[Detector]; 4] = [
        &binaries::DETECTORS,
        &packages::DETECTORS,
        &languages::DETECTORS,
        &order::DETECTORS,
    ];
    let mut detectors = detectors.into_iter().flatten();
    detectors.find_map(|detector| detector(pair))
}

impl<'a> Pair<'a> {
    fn is(&self, path: &str) -> bool {
        self.path == path.as_bytes()
    }

    fn ends(&self, end: &str) -> bool {
        self.path.ends_with(end.as_bytes())
    }

    fn name(&self) -> &'a [u8] {
        self.path
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }

    /// The lines that only one side has, of both sides. Their order does not count.
    fn changed(&self) -> Vec<&'a [u8]> {
        let lines = |bytes: &'a [u8]| -> BTreeSet<&'a [u8]> {
            bytes
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::trim_ascii_end)
                .collect()
        };
        let (a, b) = (lines(self.a), lines(self.b));
        a.symmetric_difference(&b).copied().collect()
    }

    /// Whether lines differ, and every one of them fits.
    fn all_changed(&self, fits: impl Fn(&[u8]) -> bool) -> bool {
        let changed = self.changed();
        !changed.is_empty() && changed.into_iter().all(fits)
    }
}

fn starts(line: &[u8], with: &str) -> bool {
    line.trim_ascii_start().starts_with(with.as_bytes())
}

fn holds(line: &[u8], text: &str) -> bool {
    memchr::memmem::find(line, text.as_bytes()).is_some()
}

/// Whether a line holds four digits in a row, as every date with a year does.
fn has_year(line: &[u8]) -> bool {
    line.windows(4).any(|four| {
        (four.starts_with(b"19") || four.starts_with(b"20")) && four.iter().all(u8::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests;
