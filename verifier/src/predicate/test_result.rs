//! in-toto's test result, derived from the verdict for those who read nothing else: one test for
//! each axis of variation.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::build::{Axis, BuildRecord, InputKind, RunId, RunRecord};
use serde::{Deserialize, Serialize};

use super::{
    Predicate,
    reproducibility::{Reproducibility, Verdict},
};
use crate::statement::ResourceDescriptor;

/// The test that the images of runs A and B are one.
const IMAGE: &str = "image";
/// The test that the control run made the image of run A.
const CONTROL: &str = "control";

/// The predicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestResult {
    /// All tests together.
    pub result: TestOutcome,
    /// What was tested with what: the Dockerfile and the sandbox policy.
    pub configuration: Vec<ResourceDescriptor>,
    /// Tests that passed, sorted.
    #[serde(default)]
    pub passed_tests: BTreeSet<String>,
    /// Tests that show nothing: an axis that was not varied, or one of several of which some break
    /// the build; sorted.
    #[serde(default)]
    pub warned_tests: BTreeSet<String>,
    /// Tests that failed, sorted.
    #[serde(default)]
    pub failed_tests: BTreeSet<String>,
}

/// How all tests together ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TestOutcome {
    /// All passed.
    Passed,
    /// None failed, and some show nothing.
    Warned,
    /// Some failed.
    Failed,
}

impl Predicate for TestResult {
    const TYPE: &'static str = "https://in-toto.io/attestation/test-result/v0.1";
}

/// Name of the test on an axis.
fn test(axis: Axis) -> String {
    format!("axis/{axis}")
}

impl TestResult {
    /// The tests that `verdict` comes from. `failed` are the axes that are known to break the build;
    /// of an axis that was varied together with such a one nothing is known.
    #[must_use]
    pub fn new(
        verdict: &Reproducibility,
        failed: &BTreeSet<Axis>,
        configuration: Vec<ResourceDescriptor>,
    ) -> Self {
        let manifest = |id| {
            let run = verdict.runs.iter().find(|run| run.id == id)?;
            Some(run.manifest)
        };
        let a = manifest(RunId::A).flatten();
        let mut tests: BTreeMap<String, TestOutcome> = BTreeMap::new();
        let image = match manifest(RunId::B) {
            Some(b) if a.is_some() && a == b => TestOutcome::Passed,
            // Nothing was compared.
            None if verdict.verdict == Verdict::Inconclusive => TestOutcome::Warned,
            _ => TestOutcome::Failed,
        };
        tests.insert(IMAGE.into(), image);
        if let Some(control) = manifest(RunId::Control) {
            let equal = a.is_some() && control == a;
            let outcome = if equal {
                TestOutcome::Passed
            } else {
                TestOutcome::Failed
            };
            tests.insert(CONTROL.into(), outcome);
        }
        for axis in verdict.axes.keys() {
            let outcome = match verdict.verdict {
                Verdict::Reproducible => TestOutcome::Passed,
                _ if failed.contains(axis) => TestOutcome::Failed,
                _ => TestOutcome::Warned,
            };
            tests.insert(test(*axis), outcome);
        }
        for axis in &verdict.not_varied {
            tests.insert(test(*axis), TestOutcome::Warned);
        }
        let with = |wanted: TestOutcome| -> BTreeSet<String> {
            let found = tests.iter().filter(|(_, outcome)| **outcome == wanted);
            found.map(|(name, _)| name.clone()).collect()
        };
        let failed_tests = with(TestOutcome::Failed);
        let warned_tests = with(TestOutcome::Warned);
        Self {
            result: if !failed_tests.is_empty() {
                TestOutcome::Failed
            } else if !warned_tests.is_empty() {
                TestOutcome::Warned
            } else {
                TestOutcome::Passed
            },
            configuration,
            passed_tests: with(TestOutcome::Passed),
            warned_tests,
            failed_tests,
        }
    }

    /// The axes whose tests failed.
    #[must_use]
    pub fn failed_axes(&self) -> BTreeSet<Axis> {
        let all = Axis::VARIED.into_iter();
        all.filter(|axis| self.failed_tests.contains(&test(*axis)))
            .collect()
    }
}

/// What `run` was tested with.
#[must_use]
pub fn configuration(record: &BuildRecord, run: &RunRecord) -> Vec<ResourceDescriptor> {
    let dockerfile = record
        .inputs
        .iter()
        .filter(|input| input.kind == InputKind::Dockerfile)
        .map(|input| ResourceDescriptor::named("dockerfile", input.digest));
    dockerfile
        .chain([ResourceDescriptor::named("sandbox-policy", run.policy)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Case;

    fn result(case: &Case) -> TestResult {
        let report = ResourceDescriptor::named("report.json", repro_core::digest::Digest::of(b""));
        let verdict = Reproducibility::new(&case.record, &case.findings, &BTreeMap::new(), report);
        TestResult::new(&verdict, &case.findings.failed_axes, Vec::new())
    }

    #[test]
    fn every_axis_is_one_test_and_is_counted_once() {
        for case in [
            Case::reproducible(),
            Case::different(),
            Case::reproducible().with_control("same"),
        ] {
            let tests = result(&case);
            let all = [
                &tests.passed_tests,
                &tests.warned_tests,
                &tests.failed_tests,
            ];
            for axis in Axis::VARIED {
                let named = all.iter().filter(|list| list.contains(&test(axis)));
                assert_eq!(named.count(), 1, "{axis}");
            }
            let count: usize = all.iter().map(|list| list.len()).sum();
            let control = case.record.runs.len() - 2;
            assert_eq!(count, Axis::VARIED.len() + 1 + control);
        }
    }

    #[test]
    fn what_is_not_known_has_not_passed() {
        let tests = result(&Case::reproducible());
        assert_eq!(tests.result, TestOutcome::Passed);
        assert!(tests.passed_tests.contains("image"));

        let tests = result(&Case::different());
        assert_eq!(tests.result, TestOutcome::Failed);
        assert_eq!(
            tests.failed_tests,
            ["axis/hostname".to_owned(), "image".to_owned()].into()
        );
        assert_eq!(tests.passed_tests, BTreeSet::new());
        assert!(tests.warned_tests.contains("axis/clock"));
        assert_eq!(tests.failed_axes(), [Axis::Hostname].into());

        let mut narrow = Case::reproducible();
        let left: BTreeSet<Axis> = [Axis::Clock].into();
        narrow.record.runs[1].variation = repro_core::build::Variation::run_b(&left);
        let tests = result(&narrow);
        assert_eq!(tests.result, TestOutcome::Warned);
        assert!(tests.passed_tests.contains("axis/clock"));
        assert!(tests.warned_tests.contains("axis/hostname"));

        let mut one = Case::reproducible();
        one.record.runs.pop();
        one.findings.verdict = Verdict::Inconclusive;
        let tests = result(&one);
        assert_eq!(tests.result, TestOutcome::Warned);
        assert_eq!(tests.passed_tests, BTreeSet::new());
    }

    #[test]
    fn a_control_run_that_differs_fails_by_its_own_name() {
        let mut case = Case::reproducible().with_control("otherwise");
        case.findings.verdict = Verdict::NotReproducible;
        let tests = result(&case);
        assert_eq!(tests.failed_tests, ["control".to_owned()].into());
        assert!(tests.passed_tests.contains("image"));
    }
}
