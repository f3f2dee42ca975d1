//! Builds with planted differences, for tests: real layers and images in a store in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use repro_core::{
    build::{
        Annotations, Axis, BuildRecord, Cost, EpochRecord, EpochSource, Hindrances, ImageRecord,
        NetworkObservation, Outcome, PlannedStep, Reason, RunId, RunRecord, RunSettings,
        StepRecord, Usage, Variation,
    },
    digest::Digest,
    epoch::Epoch,
    image::{History, ImageConfig, write_image},
    layer::{LayerBuilder, StoredLayer},
    ruleset::Ruleset,
    store::MemoryBlobs,
    tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
};

use super::{CompareError, Comparison, Options, compare_runs};

/// 2026-11-23T21:33:20Z, the start of run A; run B starts two seconds later.
const STARTS: [&str; 2] = ["2026-11-23T21:33:20Z", "2026-11-23T21:33:22Z"];
const ENDS: [&str; 2] = ["2026-11-23T21:33:30Z", "2026-11-23T21:33:32Z"];

/// One entry of a planted layer.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    pub(crate) entry: Entry,
    pub(crate) content: Vec<u8>,
}

/// A file, 0644.
pub(crate) fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Planted {
    let content = content.as_ref().to_vec();
    let kind = EntryKind::File {
        size: content.len() as u64,
    };
    Planted {
        entry: Entry {
            path: TreePath::parse(path.as_ref()).unwrap(),
            kind,
            meta: Meta {
                mode: 0o644,
                ..Meta::default()
            },
        },
        content,
    }
}

/// An entry without content, 0755.
pub(crate) fn other(path: &str, kind: EntryKind) -> Planted {
    let mut planted = file(path, "");
    planted.entry.kind = kind;
    planted.entry.meta.mode = 0o755;
    planted
}

impl Planted {
    pub(crate) fn meta(mut self, change: impl FnOnce(&mut Meta)) -> Self {
        change(&mut self.entry.meta);
        self
    }
}

/// One step: what its layer holds in run A and in run B.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) instruction: &'static str,
    pub(crate) in_image: bool,
    pub(crate) layers: [Vec<Planted>; 2],
}

/// A step whose layer is part of the image.
pub(crate) fn step(instruction: &'static str, a: Vec<Planted>, b: Vec<Planted>) -> Step {
    Step {
        instruction,
        in_image: true,
        layers: [a, b],
    }
}

/// A build of planted steps.
pub(crate) struct Build {
    pub(crate) blobs: MemoryBlobs,
    pub(crate) record: BuildRecord,
}

impl Build {
    pub(crate) fn new(steps: &[Step]) -> Self {
        Self::with_base(steps, &[])
    }

    /// A build on base layers, each the same in both runs.
    pub(crate) fn with_base(steps: &[Step], base: &[Vec<Planted>]) -> Self {
        let blobs = MemoryBlobs::new();
        let runs: Vec<RunRecord> = (0..2).map(|run| build(&blobs, steps, base, run)).collect();
        let manifest = |run: &RunRecord| run.image.as_ref().unwrap().manifest;
        let reason = if manifest(&runs[0]) == manifest(&runs[1]) {
            Reason::Reproduced
        } else {
            Reason::Differs
        };
        let plan = steps.iter().zip(2..).map(|(step, line)| PlannedStep {
            stage: "0".into(),
            instruction: step.instruction.into(),
            line,
            filesystem: true,
            in_image: step.in_image,
            secrets: BTreeSet::new(),
            agents: BTreeSet::new(),
        });
        let record = BuildRecord {
            version: 1,
            invocation: "planted".to_owned().try_into().unwrap(),
            tags: vec!["registry.example/app:1".parse().unwrap()],
            platform: "linux/amd64".parse().unwrap(),
            ruleset: Ruleset::V1,
            epoch: EpochRecord {
                value: Epoch::MIN,
                source: EpochSource::Minimum,
            },
            dockerfile: "Dockerfile".into(),
            target: None,
            contexts: BTreeMap::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: Annotations::default(),
            settings: RunSettings::default(),
            secrets: BTreeSet::new(),
            agents: BTreeSet::new(),
            lineage: BTreeMap::new(),
            redacted: BTreeMap::new(),
            inputs: Vec::new(),
            plan: plan.collect(),
            runs,
            findings: Vec::new(),
            outcome: Outcome::new(reason, Cost::default()),
        };
        Self { blobs, record }
    }

    pub(crate) fn compare(&self) -> Result<Comparison, CompareError> {
        let scratch = tempfile::tempdir().unwrap();
        let options = Options {
            host_cpus: NonZeroU32::new(8),
            ..Options::new(scratch.path().to_owned())
        };
        compare_runs(&self.blobs, &self.record, &options)
    }
}

fn layer(blobs: &MemoryBlobs, entries: &[Planted]) -> Option<StoredLayer> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|planted| planted.entry.sort_key());
    let mut builder = LayerBuilder::new(blobs, Ruleset::V1);
    for planted in entries {
        builder
            .entry(&planted.entry, &mut &planted.content[..])
            .unwrap();
    }
    builder.finish().unwrap()
}

fn build(blobs: &MemoryBlobs, steps: &[Step], base: &[Vec<Planted>], run: usize) -> RunRecord {
    let layers: Vec<Option<StoredLayer>> = steps
        .iter()
        .map(|step| layer(blobs, &step.layers[run]))
        .collect();
    let made = steps.iter().zip(&layers).filter(|(step, _)| step.in_image);
    let descriptors: Vec<_> = base
        .iter()
        .map(|entries| layer(blobs, entries).unwrap().descriptor())
        .chain(made.filter_map(|(_, layer)| layer.map(|layer| layer.descriptor())))
        .collect();
    let mut config = ImageConfig::for_platform(&"linux/amd64".parse().unwrap());
    config.history = descriptors.iter().map(|_| History::default()).collect();
    let image = write_image(blobs, &config, &descriptors).unwrap();
    let records = layers.iter().zip(0_u32..).map(|(layer, index)| StepRecord {
        index,
        diff_id: layer.map(|layer| layer.diff_id),
        blob: layer.map(|layer| layer.blob.digest),
        blob_size: layer.map(|layer| layer.blob.size),
        hindrances: Hindrances::default(),
        network: NetworkObservation::default(),
        normalised: BTreeMap::new(),
        usage: Usage {
            wall_ms: 1_250,
            ..Usage::default()
        },
        log: None,
    });
    let id = [RunId::A, RunId::B][run];
    RunRecord {
        id,
        invocation_id: format!("planted-{id}"),
        executor: "native".into(),
        user_ids: repro_core::build::UserIds::Range,
        snapshotter: repro_core::build::Snapshotter::Overlay,
        policy: Digest::of(b"policy"),
        variation: match run {
            0 => Variation::run_a(),
            _ => Variation::run_b(&Axis::VARIED.into()),
        },
        started_on: STARTS[run].into(),
        finished_on: ENDS[run].into(),
        steps: records.collect(),
        image: Some(ImageRecord {
            manifest: image.descriptor.digest,
            manifest_size: image.descriptor.size,
            config: image.manifest.config.digest,
            diff_ids: image.diff_ids().to_vec(),
        }),
        failure: None,
    }
}
