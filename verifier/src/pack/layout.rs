//! Where things lie in an evidence pack. Paths are relative to the pack, with `/`.

use std::collections::BTreeMap;

use repro_core::{
    build::{RunId, RunRecord},
    digest::{DiffId, Digest},
};

/// The list of all other files.
pub const INDEX: &str = "index.json";
/// The signed word on it.
pub const INDEX_BUNDLE: &str = "index.sigstore.json";
/// The image of run A, an OCI layout.
pub const IMAGE: &str = "image";
/// The signed verdict.
pub const REPRODUCIBILITY: &str = "reproducibility/reproducibility.sigstore.json";
/// The verdict as test results.
pub const TEST_RESULT: &str = "reproducibility/test-result.sigstore.json";
/// The attribute that follows from the verdict, where the image is reproducible.
pub const ATTRIBUTES: &str = "reproducibility/attributes.sigstore.json";
/// Where the bill of materials lies.
pub const SBOM: &str = "sbom";
/// What its statement and its document end in.
pub const SBOM_BUNDLE_END: &str = ".sigstore.json";
/// See [`SBOM_BUNDLE_END`].
pub const SBOM_DOCUMENT_END: &str = ".spdx.json";
/// Where the links lie.
pub const LINKS: &str = "links";
/// The public half of a key that was made for this pack and thrown away. It proves that the
/// pack is whole, not who made it.
pub const EPHEMERAL_KEY: &str = "ephemeral.pub";

/// The Dockerfile, as it was built.
pub const DOCKERFILE: &str = "inputs/Dockerfile";
/// `repro.toml` of the project, if it has one.
pub const PROJECT: &str = "inputs/repro.toml";
/// `repro.lock` of the project, if it has one.
pub const LOCK: &str = "inputs/repro.lock";

/// A context by the digest of its canonical tar, where the builder wanted it in the pack.
#[must_use]
pub fn context(tar: DiffId) -> String {
    format!("inputs/contexts/{}.tar.gz", tar.0.hex())
}

/// The forms of the report that a pack can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportFormat {
    /// The report itself; every pack has it.
    Json,
    /// For a CI summary.
    Markdown,
    /// For a browser.
    Html,
    /// For code scanning.
    Sarif,
    /// For the list of tests of a CI system.
    Junit,
}

impl ReportFormat {
    /// Every form.
    pub const ALL: [Self; 5] = [
        Self::Json,
        Self::Markdown,
        Self::Html,
        Self::Sarif,
        Self::Junit,
    ];

    /// Where it lies.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Json => "reproducibility/report.json",
            Self::Markdown => "reproducibility/report.md",
            Self::Html => "reproducibility/report.html",
            Self::Sarif => "reproducibility/report.sarif",
            Self::Junit => "reproducibility/report.junit.xml",
        }
    }
}

/// The provenance of a run.
#[must_use]
pub fn provenance(run: RunId) -> String {
    format!("provenance/run-{run}.sigstore.json")
}

/// What the steps of a run asked the network for.
#[must_use]
pub fn network(run: RunId) -> String {
    format!("network/run-{run}.sigstore.json")
}

/// The bill of materials on an image with this name: its statement, and the document alone.
#[must_use]
pub fn sbom(image: &str) -> (String, String) {
    let name = crate::sbom::file_name(image);
    let path = |end: &str| format!("{SBOM}/{name}{end}");
    (path(SBOM_BUNDLE_END), path(SBOM_DOCUMENT_END))
}

/// A part of the image.
#[must_use]
pub fn image_blob(digest: Digest) -> String {
    format!("{IMAGE}/blobs/sha256/{}", digest.hex())
}

/// The logs of a run: path to blob.
#[must_use]
pub fn logs(run: &RunRecord) -> BTreeMap<String, Digest> {
    let ended = run.steps.iter().map(|step| (step.index, step.log));
    let failed = run
        .failure
        .iter()
        .map(|failure| (failure.index, failure.log));
    ended
        .chain(failed)
        .filter_map(|(index, log)| Some((format!("logs/run-{}/{index:02}.log", run.id), log?)))
        .collect()
}
