//! V14, V19, V25, V26: statements that follow from others say what these do, and nothing else.

use repro_core::{build::RunId, digest::Digest, image::load_image};

use super::{
    Evidence, Stated,
    blobs::PackBlobs,
    check::{CheckCode, Checks, chain},
    files::PackFiles,
    provenance::run_steps,
    statements::{Signed, Source},
};
use crate::{
    bundle::BUNDLE_MAX,
    keys::{KeyId, PublicKey},
    link::{self, LINK_MAX, Link, LinkError},
    pack::{image::parts, layout},
    predicate::{
        Predicate, reproducibility::Reproducibility, runtime_trace::RuntimeTrace,
        scai::AttributeReport, test_result::TestResult,
    },
    sbom::{INVENTORY, SpdxDocument},
    statement::Subject,
};

/// Where a derived statement of any kind can lie, for a list of what is known.
pub(super) fn is_place(path: &str) -> bool {
    let sbom = path
        .strip_prefix(layout::SBOM)
        .and_then(|rest| rest.strip_prefix("/sbom-"))
        .is_some_and(|name| !name.contains('/'));
    [layout::TEST_RESULT, layout::ATTRIBUTES].contains(&path)
        || sbom
        || RunId::RECORDED
            .iter()
            .any(|run| path == layout::network(*run))
}

/// Checks every derived statement of the pack; gives those with a good signature.
pub(super) fn check(
    files: &PackFiles,
    keys: &[PublicKey],
    evidence: &Evidence,
    checks: &mut Checks,
) -> Vec<Stated> {
    let mut all = Derived {
        files,
        keys,
        evidence,
        checks,
        signed: Vec::new(),
    };
    all.tests();
    all.attributes();
    for run in RunId::RECORDED {
        all.network(run);
    }
    all.links();
    all.materials();
    all.signed
}

struct Derived<'a> {
    files: &'a PackFiles,
    keys: &'a [PublicKey],
    evidence: &'a Evidence,
    checks: &'a mut Checks,
    signed: Vec<Stated>,
}

impl Derived<'_> {
    /// The statement at `path`, if there is one.
    fn load<P: Predicate>(&mut self, path: &str) -> Option<Signed<P>> {
        if !self.files.paths().contains(path) {
            return None;
        }
        let source = Source {
            files: self.files,
            path: path.to_owned(),
            keys: self.keys,
        };
        let signed: Signed<P> = source.load(self.checks)?;
        self.signed.push(Stated::of(&signed));
        Some(signed)
    }

    /// Passes or fails `code` on `path`; subjects are a check of their own.
    fn judge(&mut self, code: CheckCode, path: &str, result: Result<String, String>) {
        match result {
            Ok(detail) => self.checks.pass(code, path, detail),
            Err(reason) => self.checks.fail(code, path, reason),
        }
    }

    fn subjects<P>(&mut self, signed: &Signed<P>, expected: &[Subject]) {
        self.checks.expect(
            CheckCode::SubjectMatches,
            &signed.path,
            signed.subjects == expected,
            "the subjects of the statement that it follows from",
            "its subjects are not those of the statement that it follows from",
        );
    }

    fn verdict(&mut self, code: CheckCode, path: &str) -> Option<&Signed<Reproducibility>> {
        let verdict = self.evidence.verdict.as_ref();
        if verdict.is_none() {
            self.checks.skip(code, path, "no verdict was verified");
        }
        verdict
    }

    fn tests(&mut self) {
        let (code, path) = (CheckCode::Tests, layout::TEST_RESULT);
        let Some(signed) = self.load::<TestResult>(path) else {
            return;
        };
        let Some(verdict) = self.verdict(code, path) else {
            return;
        };
        let (verdict, subjects) = (&verdict.predicate, verdict.subjects.clone());
        let found = &signed.predicate;
        let expected = TestResult::new(verdict, &found.failed_axes(), found.configuration.clone());
        let same = *found == expected;
        self.judge(
            code,
            path,
            if same {
                Ok(format!(
                    "{:?}, as the verdict has it: {} passed, {} show nothing, {} failed",
                    found.result,
                    found.passed_tests.len(),
                    found.warned_tests.len(),
                    found.failed_tests.len()
                ))
            } else {
                Err("the tests are not those that the verdict comes from".into())
            },
        );
        self.subjects(&signed, &subjects);
    }

    fn attributes(&mut self) {
        let (code, path) = (CheckCode::Tests, layout::ATTRIBUTES);
        let Some(signed) = self.load::<AttributeReport>(path) else {
            return;
        };
        let Some(verdict) = self.verdict(code, path) else {
            return;
        };
        let (bundle, subjects) = (verdict.bundle, verdict.subjects.clone());
        let producer = signed.predicate.producer.uri.clone();
        let expected = AttributeReport::new(&verdict.predicate, bundle, &producer);
        let builder = self.evidence.provenance(RunId::A);
        let builder = builder.map(|signed| &signed.predicate.run_details.builder.id);
        let result = match expected {
            None => Err("REPRODUCIBLE, and the verdict is another".into()),
            Some((expected, _)) if expected != signed.predicate => {
                Err("its evidence or conditions are not those of the verdict".into())
            }
            Some(_) if builder.is_some_and(|id| *id != producer) => {
                Err(format!("its producer {producer:?} is not the builder"))
            }
            Some(_) => Ok("REPRODUCIBLE, as the verdict has it".into()),
        };
        self.judge(code, path, result);
        self.subjects(&signed, &subjects);
    }

    fn network(&mut self, run: RunId) {
        let (code, path) = (CheckCode::Hermetic, layout::network(run));
        let Some(signed) = self.load::<RuntimeTrace>(&path) else {
            return;
        };
        let Some(provenance) = self.evidence.provenance(run) else {
            let reason = format!("no provenance of run {run} was verified");
            return self.checks.skip(code, &path, reason);
        };
        let result = same_network(&signed.predicate, &provenance.predicate);
        let subjects = provenance.subjects.clone();
        self.judge(code, &path, result);
        self.subjects(&signed, &subjects);
    }

    /// The files of the pack below `dir`.
    fn below(&self, dir: &str) -> Vec<String> {
        let paths = self.files.paths().iter();
        let below = |path: &&String| {
            path.strip_prefix(dir)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        paths.filter(below).cloned().collect()
    }

    fn links(&mut self) {
        let paths = self.below(layout::LINKS);
        for path in paths {
            match self.link(&path) {
                Ok((key, bundle, detail)) => {
                    self.signed.push(Stated {
                        path: path.clone(),
                        predicate_type: link::TYPE,
                        key,
                        bundle,
                    });
                    self.checks.pass(CheckCode::Signature, &path, "holds");
                    self.checks.pass(CheckCode::SubjectMatches, &path, detail);
                }
                Err((code, reason)) => self.checks.fail(code, &path, reason),
            }
        }
    }

    fn link(&self, path: &str) -> Result<(KeyId, Digest, String), (CheckCode, String)> {
        let code = CheckCode::SubjectMatches;
        let bytes = self
            .files
            .read(path, LINK_MAX)
            .map_err(|error| (CheckCode::Size, chain(&error)))?;
        let (found, key) = Link::verify(&bytes, self.keys).map_err(|error| {
            let code = match &error {
                LinkError::Json(_) => CheckCode::StrictJson,
                LinkError::Shape(_) => CheckCode::Types,
                LinkError::SignatureCount(_) => CheckCode::SignatureCount,
                LinkError::Hex => CheckCode::Base64,
                LinkError::OtherKey(_) | LinkError::Signature(_) => CheckCode::Signature,
            };
            (code, chain(&error))
        })?;
        let run = RunId::RECORDED
            .into_iter()
            .find(|run| path == format!("{}/{}", layout::LINKS, link::file_name(*run, key)));
        let Some(run) = run else {
            return Err((code, "its name is not that of a run and its key".into()));
        };
        let Some(provenance) = self.evidence.provenance(run) else {
            return Err((code, format!("no provenance of run {run} was verified")));
        };
        // Of another run's image only the manifest is known here, unless it is the one in the pack.
        let manifests: Vec<Digest> = provenance.subjects.iter().map(|s| s.digest).collect();
        let products = match self.parts(&manifests) {
            Some(parts) => parts,
            None => found
                .products
                .values()
                .filter_map(|digests| Digest::from_hex(digests.get("sha256")?).ok())
                .collect(),
        };
        let expected = Link::of_run(run, &provenance.predicate, &products);
        let named = manifests.iter().all(|digest| products.contains(digest));
        if found == expected && named {
            let count = found.materials.len();
            Ok((
                key.id(),
                Digest::of(&bytes),
                format!("{count} materials, {} products", products.len()),
            ))
        } else {
            Err((
                code,
                format!("does not say what the provenance of run {run} does"),
            ))
        }
    }

    /// The blobs of the image in the pack, where it is the one with these manifests.
    fn parts(&self, manifests: &[Digest]) -> Option<Vec<Digest>> {
        let [manifest] = manifests else { return None };
        let image = load_image(&PackBlobs(self.files), *manifest).ok()?;
        Some(parts(&image))
    }

    fn materials(&mut self) {
        let paths = self.below(layout::SBOM);
        let (code, end) = (CheckCode::Sbom, layout::SBOM_BUNDLE_END);
        for path in &paths {
            // A document without a statement beside it would be nobody's word.
            let bundle = path
                .strip_suffix(layout::SBOM_DOCUMENT_END)
                .map(|stem| format!("{stem}{end}"));
            if !path.ends_with(end) && !bundle.is_some_and(|bundle| paths.contains(&bundle)) {
                self.checks
                    .fail(code, path, "there is no statement on this document");
            }
        }
        for path in paths.iter().filter(|path| path.ends_with(end)) {
            let Some(signed) = self.load::<SpdxDocument>(path) else {
                continue;
            };
            let Some(provenance) = self.evidence.provenance(RunId::A) else {
                self.checks
                    .skip(code, path, "no provenance of run a was verified");
                continue;
            };
            let subjects = provenance.subjects.clone();
            if self.checks.failures(CheckCode::SubjectMatches) > 0 {
                self.checks
                    .skip(code, path, "an image or a subject was refused");
            } else {
                let result = self.document(path, &signed.predicate);
                self.judge(code, path, result);
            }
            self.subjects(&signed, &subjects);
        }
    }

    /// The document is the one beside its statement, and the one that follows from image and
    /// provenance.
    fn document(&self, path: &str, found: &SpdxDocument) -> Result<String, String> {
        let stem = path.strip_suffix(layout::SBOM_BUNDLE_END).unwrap_or(path);
        let file = format!("{stem}{}", layout::SBOM_DOCUMENT_END);
        let bytes = self
            .files
            .read(&file, BUNDLE_MAX)
            .map_err(|error| chain(&error))?;
        let signed = found.to_bytes().map_err(|error| chain(&error))?;
        if bytes != signed {
            return Err(format!("{file} is not the document that was signed"));
        }
        if found.inventory() != Some(INVENTORY) {
            let version = found.inventory().unwrap_or("none");
            return Err(format!(
                "made by rules {version:?}, this version knows those of number {INVENTORY}"
            ));
        }
        let provenance = self.evidence.provenance(RunId::A);
        let (Some(provenance), Some(subject)) = (
            provenance,
            provenance.and_then(|signed| signed.subjects.first()),
        ) else {
            return Err("there is no image that it could be of".into());
        };
        let blobs = PackBlobs(self.files);
        let image = load_image(&blobs, subject.digest).map_err(|error| chain(&error))?;
        let expected = SpdxDocument::of_image(&image, &blobs, subject, &provenance.predicate)
            .map_err(|error| chain(&error))?;
        if *found == expected {
            let count = found.packages();
            Ok(format!("{count} packages, found again in the image"))
        } else {
            Err("does not list what the image holds and was made from".into())
        }
    }
}

/// The trace is on the steps of the provenance and counts what it counts.
fn same_network(
    trace: &RuntimeTrace,
    provenance: &crate::predicate::provenance::Provenance,
) -> Result<String, String> {
    let metadata = &provenance.run_details.metadata;
    if trace.monitored_process.event != metadata.invocation_id {
        return Err("is on another invocation than the provenance".into());
    }
    if trace.monitored_process.host_id != provenance.run_details.builder.id {
        return Err("is by another builder than the provenance".into());
    }
    let mut watched = trace.monitor.trace_policy.steps.iter();
    let mut attempts = 0_u64;
    for step in run_steps(provenance) {
        let Some(network) = &step.network else {
            return Err(format!("step {} was not watched", step.index));
        };
        let same = watched
            .next()
            .is_some_and(|seen| seen.step == step.index && seen.network == network.mode);
        if !same || trace.attempts(step.index) != network.attempts {
            return Err(format!(
                "step {} is not what the provenance says of it",
                step.index
            ));
        }
        attempts = attempts.saturating_add(network.attempts);
    }
    let known = |step: u32| run_steps(provenance).any(|run| run.index == step);
    if watched.next().is_some() || trace.monitor_log.network.iter().any(|e| !known(e.step)) {
        return Err("is on steps that the provenance does not have".into());
    }
    Ok(format!("{attempts} attempts, as in the provenance"))
}
