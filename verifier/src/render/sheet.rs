//! What the report on a build and the one on a pair have in common: differences and causes.

use std::collections::BTreeSet;

use repro_core::event::counted;

use super::{
    axes,
    escape::{printable, shortened},
    words,
};
use crate::{
    compare::{Difference, NotListed, Ratio},
    report::{CauseSummary, PairReport, Report, differing_paths},
};

/// Longest path where paths are named one after the other, in columns.
const NAMED: usize = 72;

/// The part of a report that says what differs and why.
#[derive(Clone, Copy)]
pub(super) struct Sheet<'a> {
    /// The build, if the differences are those of one: its steps have places in a Dockerfile.
    pub(super) build: Option<&'a Report>,
    /// Every difference that is listed.
    pub(super) differences: &'a [Difference],
    /// How many are not.
    pub(super) not_listed: NotListed,
    /// The causes, most important first.
    pub(super) causes: &'a [CauseSummary],
    /// How much is equal; absent where nothing was compared.
    pub(super) ratio: Option<Ratio>,
}

impl<'a> From<&'a Report> for Sheet<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            build: Some(report),
            differences: &report.differences,
            not_listed: report.not_listed,
            causes: &report.causes,
            ratio: report.ratio,
        }
    }
}

impl<'a> From<&'a PairReport> for Sheet<'a> {
    fn from(report: &'a PairReport) -> Self {
        Self {
            build: None,
            differences: &report.differences,
            not_listed: report.not_listed,
            causes: &report.causes,
            ratio: Some(report.ratio),
        }
    }
}

impl<'a> Sheet<'a> {
    /// What the two sides are called.
    pub(super) const fn sides(self) -> [&'static str; 2] {
        match self.build {
            Some(_) => ["run a", "run b"],
            None => ["a", "b"],
        }
    }

    /// Where a difference lies, for people.
    pub(super) fn place(self, row: &Difference) -> String {
        let place = match (self.build, row.layer) {
            (Some(report), _) => words::place(report, row),
            (None, Some(layer)) => format!("layer {layer}"),
            (None, None) => "configuration".into(),
        };
        match &row.platform {
            Some(platform) => format!("{platform}, {place}"),
            None => place,
        }
    }

    /// Where a cause comes from: lines of the Dockerfile, or layers of a pair that has several.
    pub(super) fn whence(self, cause: &CauseSummary) -> Vec<String> {
        if let Some(report) = self.build {
            return words::lines(report, &cause.steps);
        }
        let mut places: Vec<String> = Vec::new();
        if self.ratio.is_none_or(|ratio| ratio.layers > 1) {
            for row in self
                .differences
                .iter()
                .filter(|row| row.cause == cause.code)
            {
                let place = self.place(row);
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        places
    }

    /// The difference that shows a cause best: one that follows from no other and whose bytes
    /// are known.
    pub(super) fn example(self, cause: &CauseSummary) -> Option<&'a Difference> {
        let rows = self
            .differences
            .iter()
            .filter(|row| row.cause == cause.code);
        // Of equals `max_by_key` takes the last, which is the first of the list.
        rows.rev().max_by_key(|row| {
            let evidence = row.evidence.as_ref();
            let around = evidence.is_some_and(|evidence| evidence.around.is_some());
            (row.derived_from.is_none(), around, evidence.is_some())
        })
    }

    /// What runs with some of the axes showed of a difference.
    pub(super) fn by(self, row: &Difference) -> Option<String> {
        axes::of_row(self.build?, row)
    }

    /// Paths that differ. Of differences beyond the list the paths are unknown; there are at least
    /// as many as entries of the image that are not equal.
    pub(super) fn paths(self) -> u64 {
        let listed = differing_paths(self.differences, |_| true);
        if self.not_listed.total() == 0 {
            return listed;
        }
        let ratio = self.ratio.unwrap_or_default();
        listed.max(ratio.files.saturating_sub(ratio.files_equal))
    }

    /// How many differences are counted and not listed, in words.
    pub(super) fn beyond(self) -> Option<String> {
        let beyond = self.not_listed.total();
        (beyond > 0).then(|| {
            let one = "difference is counted with its cause and not listed";
            counted(
                beyond,
                one,
                "differences are counted with their causes and not listed",
            )
        })
    }

    /// The first `most` paths of a cause and how many there are more.
    pub(super) fn named(cause: &CauseSummary, most: usize) -> (Vec<String>, u64) {
        let paths = cause.paths.iter().take(most);
        let paths: Vec<String> = paths.map(|path| Self::name(path)).collect();
        let more = cause.count.saturating_sub(paths.len() as u64);
        (paths, more)
    }

    fn name(path: &str) -> String {
        let path = if path.is_empty() { "/" } else { path };
        shortened(&printable(path), NAMED).into_owned()
    }

    /// The first `most` paths of a cause, that of its example before the others; each with what makes it
    /// differ where they have not one axis in common.
    pub(super) fn told(self, cause: &CauseSummary, most: usize) -> Vec<String> {
        let example = self.example(cause).map(|row| row.path.as_str());
        let others = cause.paths.iter().map(String::as_str);
        let others = others.filter(|path| Some(*path) != example);
        let paths = example.into_iter().chain(others).take(most);
        paths
            .map(|path| match self.by_path(cause, path) {
                Some(by) => format!("{} ({by})", Self::name(path)),
                None => Self::name(path),
            })
            .collect()
    }

    /// What makes a path of a cause differ, unless that is said of the cause as a whole.
    fn by_path(self, cause: &CauseSummary, path: &str) -> Option<String> {
        let always = cause.without_variation >= Some(cause.count.max(1));
        if cause.axis_proven || always {
            return None;
        }
        let rows = self.differences.iter();
        let rows = rows.filter(|row| row.cause == cause.code && row.path == path);
        let ways: BTreeSet<String> = rows.filter_map(|row| self.by(row)).collect();
        let ways: Vec<String> = ways.into_iter().collect();
        (!ways.is_empty()).then(|| ways.join(", "))
    }

    /// How sure a cause is, whether it follows from others, and what more runs showed of it.
    pub(super) fn sureness(cause: &CauseSummary) -> String {
        let follows = if cause.primary {
            ""
        } else {
            ", follows from others"
        };
        let shown = axes::of_cause(cause).map_or_else(String::new, |shown| format!(", {shown}"));
        format!("{}{follows}{shown}", cause.confidence)
    }
}
