//! The checks by their codes, which a control catalogue can name.

use std::{collections::BTreeMap, error::Error, fmt};

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($name:ident $code:literal $title:literal $absent:literal;)*) => {
        /// One kind of check. The codes are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum CheckCode {
            $(#[doc = concat!($code, ": ", $title, ".")] $name,)*
        }

        impl CheckCode {
            /// All of them, in order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// `V01` and so on.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// What is checked, in words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// Why it is not applicable where nothing of its kind was found.
            const fn absent(self) -> &'static str {
                match self { $(Self::$name => $absent),* }
            }
        }
    };
}

codes! {
    Size "V01" "sizes are within limits" "nothing was read";
    StrictJson "V02" "documents are strict JSON" "nothing was read";
    BundleVersion "V03" "bundles are of version 0.3" "there is no bundle";
    SignatureCount "V04" "each envelope has one signature" "there is no envelope";
    PayloadType "V05" "payloads are in-toto statements" "there is no envelope";
    Base64 "V06" "encodings are canonical base64" "there is no envelope";
    Signature "V07" "signatures are by accepted keys" "there is no envelope";
    SameBytes "V08" "what is used is what was signed" "there is no envelope";
    Builder "V09" "the builder is known, and trusted that far" "there is no provenance";
    KeyWindow "V10" "keys were valid when they signed" "no key has a validity window, and none is revoked";
    Types "V11" "statement and predicate types are as expected" "there is no statement";
    Subjects "V12" "subjects have well-formed digests" "there is no statement";
    DigestPinned "V13" "the image is named by digest" "the image is in the pack, not in a registry";
    SubjectMatches "V14" "subjects match recomputed digests" "there is no image in the pack";
    Parameters "V15" "build type and parameters are known" "there is no provenance";
    Source "V16" "the source is the one expected" "no policy names sources";
    Dependencies "V17" "every dependency is pinned" "there is no provenance";
    BaseImages "V18" "base images are allowed" "no policy names base images";
    Hermetic "V19" "every RUN step was without a network" "there is no provenance";
    Custody "V20" "inputs are pinned by a lock" "no policy asks for locked inputs";
    Cache "V21" "cache entries are attested" "no step's result is taken from another build: repro has no cache of steps";
    Runs "V22" "the runs are two, differ as said, and agree with the verdict" "there is no verdict";
    Quorum "V23" "independent builders agree" "one pack is one builder's word";
    Times "V24" "times are in order and not in the future" "there is no provenance";
    Sbom "V25" "the bill of materials fits the image" "there is no bill of materials";
    Tests "V26" "test results and attributes follow from the verdict" "there are no test results";
    Summary "V27" "the verification summary fits" "there is no verification summary";
    Transparency "V28" "transparency log entries hold" "there are no log entries, and none was demanded";
    Pack "V29" "the pack is what its index lists" "there is no pack";
    SomethingVerified "V30" "what must be verified was" "nothing was read";
    Lineage "V31" "the data's lineage is as required" "no policy asks for lineage";
    Demands "V32" "the verdict is what the policy demands" "no policy demands a verdict";
    Waivers "V33" "waivers are in force" "the policy has no waivers";
}

impl fmt::Display for CheckCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for CheckCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// There is nothing that it applies to.
    NotApplicable,
    /// It holds.
    Passed,
    /// It does not hold, and the policy waives that for a while.
    Waived,
    /// It could not be made, because another one failed before it.
    Skipped,
    /// It does not hold.
    Failed,
}

/// How a check ended on one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was checked: a file of the pack, or a part of it.
    pub on: String,
    /// How it ended.
    pub status: Status,
    /// What was found.
    pub detail: String,
}

/// One kind of check, on everything that it applies to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its code.
    pub code: CheckCode,
    /// What is checked.
    pub title: &'static str,
    /// The worst of its findings.
    pub status: Status,
    /// On what, and how it ended there; never empty.
    pub findings: Vec<Finding>,
}

/// Collects findings.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<CheckCode, Vec<Finding>>);

impl Checks {
    /// What was found by checks that were finished, so that more can be added.
    pub(super) fn reopen(checks: &[Check]) -> Self {
        let found = |check: &Check| {
            let made = check.status != Status::NotApplicable;
            made.then(|| (check.code, check.findings.clone()))
        };
        Self(checks.iter().filter_map(found).collect())
    }

    pub(super) fn pass(&mut self, code: CheckCode, on: &str, detail: impl fmt::Display) {
        self.add(code, on, Status::Passed, &detail);
    }

    pub(super) fn fail(&mut self, code: CheckCode, on: &str, detail: impl fmt::Display) {
        self.add(code, on, Status::Failed, &detail);
    }

    pub(super) fn skip(&mut self, code: CheckCode, on: &str, detail: impl fmt::Display) {
        self.add(code, on, Status::Skipped, &detail);
    }

    pub(super) fn not_applicable(&mut self, code: CheckCode, on: &str, detail: impl fmt::Display) {
        self.add(code, on, Status::NotApplicable, &detail);
    }

    /// Passes with `good` where `holds`, else fails with `bad`.
    pub(super) fn expect(
        &mut self,
        code: CheckCode,
        on: &str,
        holds: bool,
        good: impl fmt::Display,
        bad: impl fmt::Display,
    ) {
        if holds {
            self.pass(code, on, good);
        } else {
            self.fail(code, on, bad);
        }
    }

    /// Findings of `code` that failed so far.
    pub(super) fn failures(&self, code: CheckCode) -> usize {
        let all = self.0.get(&code).into_iter().flatten();
        all.filter(|finding| finding.status == Status::Failed)
            .count()
    }

    pub(super) fn waive(&mut self, code: CheckCode, on: &str, detail: impl fmt::Display) {
        self.add(code, on, Status::Waived, &detail);
    }

    fn add(&mut self, code: CheckCode, on: &str, status: Status, detail: &dyn fmt::Display) {
        self.0.entry(code).or_default().push(Finding {
            on: on.into(),
            status,
            detail: detail.to_string(),
        });
    }

    /// Every code once, also those that nothing was found for: a check that was not made is
    /// shown as such.
    pub(super) fn finish(mut self) -> Vec<Check> {
        let check = |code: &CheckCode| {
            let findings = self.0.remove(code).unwrap_or_default();
            Check::new(*code, findings)
        };
        CheckCode::ALL.iter().map(check).collect()
    }
}

impl Check {
    /// A check with what was found, or with why nothing was.
    pub(crate) fn new(code: CheckCode, mut findings: Vec<Finding>) -> Self {
        if findings.is_empty() {
            findings.push(Finding {
                on: "pack".into(),
                status: Status::NotApplicable,
                detail: code.absent().into(),
            });
        }
        let worst = findings.iter().map(|finding| finding.status).max();
        Self {
            code,
            title: code.title(),
            status: worst.unwrap_or(Status::NotApplicable),
            findings,
        }
    }
}

/// An error with its sources, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[test]
fn the_documentation_lists_every_check() {
    let documentation = include_str!("../../../docs/policy.md");
    for code in CheckCode::ALL {
        let row = format!("| {} | {} |", code.code(), code.title());
        assert!(documentation.contains(&row), "{row}");
    }
}
