//! One small build with everything that evidence is made of, for the tests of this crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use repro_core::{
    build::{
        Annotations, Axis, BuildRecord, Cost, EpochRecord, EpochSource, Hindrances, ImageRecord,
        InputKind, InputRecord, NetworkObservation, Outcome, PlannedStep, Reason, RunId, RunRecord,
        RunSettings, StepRecord, Usage, Variation,
    },
    digest::Digest,
    epoch::Epoch,
    image::{ImageConfig, StoredImage, write_image},
    layer::{LayerBuilder, StoredLayer},
    ruleset::Ruleset,
    store::{MemoryBlobs, put_bytes},
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};
use serde_json::json;

use crate::{
    keys::{KeyKind, SigningKey},
    pack::{self, PackContents, PackError, PackInputs, Signer, WrittenPack, layout::ReportFormat},
    predicate::{
        provenance::{BuilderId, BuilderInfo},
        reproducibility::{CauseCount, Counts, Findings, FirstDivergence, RebuildOf, Verdict},
    },
    verify::{self, FilesError, Terms, Verification, VerifyReport},
};

/// Half an hour after the build of [`Case`], in seconds since 1970.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn key(kind: KeyKind, seed: u8) -> SigningKey {
    SigningKey::generate(kind, &mut |bytes| {
        bytes.fill(seed);
        Ok(())
    })
    .unwrap()
}

/// The report on the pack in `dir`, by itself.
pub(crate) fn verify_pack(dir: &Path, terms: &Terms<'_>) -> Result<VerifyReport, FilesError> {
    let mut verification = verify_packs(&[("pack".to_owned(), dir)], terms, None)?;
    Ok(verification.packs.remove(0).1)
}

/// Everything on these packs, each a name and where it lies.
pub(crate) fn verify_packs(
    packs: &[(String, &Path)],
    terms: &Terms<'_>,
    builders: Option<usize>,
) -> Result<Verification, FilesError> {
    let looked = packs.iter().map(|(name, dir)| {
        let report = verify::look(dir, terms)?.report;
        Ok((name.clone(), report))
    });
    let reports = looked.collect::<Result<Vec<_>, FilesError>>()?;
    Ok(Verification::of_reports(reports, terms, builders))
}

pub(crate) fn builder() -> BuilderInfo {
    BuilderInfo {
        id: BuilderId::default(),
        version: "0.1.0".into(),
        binary: Digest::of(b"repro"),
        kernel_release: "6.1.0-28-amd64".into(),
    }
}

/// The record of [`Case::reproducible`].
pub(crate) fn record() -> BuildRecord {
    Case::reproducible().record
}

/// A build of two steps, `COPY` and `RUN`, run twice.
pub(crate) struct Case {
    pub(crate) record: BuildRecord,
    pub(crate) blobs: MemoryBlobs,
    pub(crate) findings: Findings,
    pub(crate) reports: BTreeMap<ReportFormat, Vec<u8>>,
    pub(crate) inputs: PackInputs,
    pub(crate) rebuild_of: Option<RebuildOf>,
}

impl Case {
    pub(crate) fn reproducible() -> Self {
        let counts = Counts {
            layers: 2,
            layers_equal: 2,
            files: 2,
            files_equal: 2,
            differences: 0,
            differences_elsewhere: 0,
        };
        let findings = Findings {
            verdict: Verdict::Reproducible,
            counts,
            first_divergence: None,
            causes: Vec::new(),
            failed_axes: BTreeSet::new(),
        };
        Self::with(["same", "same"], findings)
    }

    pub(crate) fn different() -> Self {
        let counts = Counts {
            layers: 2,
            layers_equal: 1,
            files: 2,
            files_equal: 1,
            differences: 1,
            differences_elsewhere: 0,
        };
        let cause = CauseCount {
            code: "embedded-hostname".into(),
            count: 1,
            primary: true,
        };
        let findings = Findings {
            verdict: Verdict::NotReproducible,
            counts,
            first_divergence: Some(FirstDivergence { index: 1, line: 3 }),
            causes: vec![cause],
            failed_axes: [Axis::Hostname].into(),
        };
        Self::with(["repro-a", "repro-b-canary"], findings)
    }

    fn with(outputs: [&str; 2], findings: Findings) -> Self {
        let blobs = MemoryBlobs::new();
        let runs = vec![
            run(&blobs, RunId::A, outputs[0]),
            run(&blobs, RunId::B, outputs[1]),
        ];
        let record = BuildRecord {
            version: 1,
            invocation: "inv-1".to_owned().try_into().unwrap(),
            tags: vec!["example".parse().unwrap()],
            platform: "linux/amd64".parse().unwrap(),
            ruleset: Ruleset::V1,
            epoch: EpochRecord {
                value: Epoch::new(1_700_000_000).unwrap(),
                source: EpochSource::Flag,
            },
            dockerfile: "Dockerfile".into(),
            target: None,
            contexts: BTreeMap::new(),
            build_args: BTreeMap::from([("LEVEL".into(), "2".into())]),
            labels: BTreeMap::new(),
            annotations: Annotations::default(),
            settings: RunSettings::default(),
            secrets: BTreeSet::new(),
            agents: BTreeSet::new(),
            lineage: BTreeMap::new(),
            redacted: BTreeMap::new(),
            inputs: vec![
                input("dockerfile", InputKind::Dockerfile, None),
                input("context", InputKind::Context, None),
                input("pkg:docker/busybox@1.36", InputKind::Image, Some("busybox")),
            ],
            plan: vec![planned("COPY x /x", 2), planned("RUN make", 3)],
            runs,
            findings: Vec::new(),
            outcome: Outcome::new(Reason::Reproduced, Cost::default()),
        };
        let mut case = Self {
            record,
            blobs,
            findings,
            reports: BTreeMap::new(),
            inputs: PackInputs::default(),
            rebuild_of: None,
        };
        case.report();
        case
    }

    /// The same with a control run that printed `output` where run A printed `repro-a`.
    pub(crate) fn with_control(mut self, output: &str) -> Self {
        let mut control = run(&self.blobs, RunId::Control, output);
        control.variation = Variation::run_a();
        self.record.runs.push(control);
        self.report();
        self
    }

    /// Writes the report anew after the record or the findings were changed.
    pub(crate) fn report(&mut self) {
        let runs: Vec<_> = self
            .record
            .runs
            .iter()
            .map(|run| {
                let manifest = run.image.as_ref().map(|image| image.manifest);
                json!({"id": run.id, "manifestDigest": manifest})
            })
            .collect();
        let report = json!({"verdict": self.findings.verdict, "runs": runs});
        self.reports = BTreeMap::from([
            (ReportFormat::Json, serde_json::to_vec(&report).unwrap()),
            (ReportFormat::Markdown, b"# report\n".to_vec()),
        ]);
    }

    pub(crate) fn write(&self, dir: &Path, signer: Signer<'_>) -> Result<WrittenPack, PackError> {
        let builder = builder();
        let contents = PackContents {
            record: &self.record,
            blobs: &self.blobs,
            findings: &self.findings,
            reports: &self.reports,
            builder: &builder,
            sbom: pack::Sbom::Written,
            signer,
            inputs: &self.inputs,
            rebuild_of: self.rebuild_of.as_ref(),
        };
        pack::write(dir, &contents)
    }
}

fn input(uri: &str, kind: InputKind, name: Option<&str>) -> InputRecord {
    InputRecord {
        uri: uri.into(),
        name: name.map(Into::into),
        digest: Digest::of(uri.as_bytes()),
        kind,
        step: Some(0),
        locked: true,
    }
}

fn planned(instruction: &str, line: u32) -> PlannedStep {
    PlannedStep {
        stage: "0".into(),
        instruction: instruction.into(),
        line,
        filesystem: true,
        in_image: true,
        secrets: BTreeSet::new(),
        agents: BTreeSet::new(),
    }
}

fn layer(blobs: &MemoryBlobs, name: &str, content: &str) -> StoredLayer {
    let mut builder = LayerBuilder::new(blobs, Ruleset::V1);
    let entry = Entry {
        path: TreePath::parse(name.as_bytes()).unwrap(),
        kind: EntryKind::File {
            size: content.len() as u64,
        },
        meta: Meta {
            mode: 0o644,
            ..Meta::default()
        },
    };
    builder.entry(&entry, &mut content.as_bytes()).unwrap();
    builder.finish().unwrap().unwrap()
}

fn run(blobs: &MemoryBlobs, id: RunId, output: &str) -> RunRecord {
    let layers = [layer(blobs, "x", "x"), layer(blobs, "out", output)];
    let descriptors = layers.map(|layer| layer.descriptor());
    let config = ImageConfig::for_platform(&"linux/amd64".parse().unwrap());
    let image: StoredImage = write_image(blobs, &config, &descriptors).unwrap();
    let variation = match id {
        RunId::A => Variation::run_a(),
        _ => Variation::run_b(&Axis::VARIED.into()),
    };
    let log = put_bytes(blobs, format!("made by {id}\n").as_bytes()).unwrap();
    let steps = layers.iter().zip(0_u32..).map(|(layer, index)| StepRecord {
        index,
        diff_id: Some(layer.diff_id),
        blob: Some(layer.blob.digest),
        blob_size: Some(layer.blob.size),
        hindrances: Hindrances::default(),
        network: NetworkObservation {
            no_route: 3 * u64::from(index),
            ..NetworkObservation::default()
        },
        normalised: BTreeMap::new(),
        usage: Usage::default(),
        log: (index == 1).then_some(log.digest),
    });
    RunRecord {
        id,
        invocation_id: format!("inv-1-{id}"),
        executor: "native".into(),
        user_ids: repro_core::build::UserIds::Range,
        snapshotter: repro_core::build::Snapshotter::Overlay,
        policy: Digest::of(b"policy"),
        variation,
        started_on: "2027-01-15T07:20:00Z".into(),
        finished_on: "2027-01-15T07:30:00Z".into(),
        steps: steps.collect(),
        image: Some(ImageRecord {
            manifest: image.descriptor.digest,
            manifest_size: image.descriptor.size,
            config: image.manifest.config.digest,
            diff_ids: image.diff_ids().to_vec(),
        }),
        failure: None,
    }
}
