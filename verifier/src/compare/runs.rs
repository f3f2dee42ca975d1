//! The two runs of a record, step by step.

use std::collections::BTreeMap;

use repro_core::{
    build::{BuildRecord, ImageRecord, RunId, RunRecord, StepRecord},
    image::{LayerDescriptor, MediaType, StoredImage, load_image},
    store::BlobStore,
};

use super::{
    CompareError, Comparison, Difference, DifferenceKind, Evidence, MAX_AROUND, Options, Origin,
    config::{compare_configs, compare_manifests},
    layers::{ContentPair, SideComparison, Tools},
    removals::Below,
    rows::Place,
    source::Source,
};
use crate::{
    causes::{Cause, Confidence, Facts},
    predicate::reproducibility::FirstDivergence,
};

/// The first step of the plan that ended differently in run A and the `other`: with other layers, or in
/// one of them only.
#[must_use]
pub fn first_divergence(record: &BuildRecord, other: RunId) -> Option<FirstDivergence> {
    let a = run(record, RunId::A).ok()?;
    let b = run(record, other).ok()?;
    record.plan.iter().zip(0..).find_map(|(planned, index)| {
        let (a, b) = (step(a, index), step(b, index));
        let differs = match (a, b) {
            (Some(a), Some(b)) => a.diff_id != b.diff_id,
            (None, None) => false,
            _ => true,
        };
        differs.then_some(FirstDivergence {
            index,
            line: planned.line,
        })
    })
}

/// Compares runs A and B of `record`, whose layers and images are in `store`: first every step
/// that ended in both, also those whose layers are not part of the image, then the
/// configuration.
pub fn compare_runs(
    store: &dyn BlobStore,
    record: &BuildRecord,
    options: &Options,
) -> Result<Comparison, CompareError> {
    compare_run(store, record, run(record, RunId::B)?, options)
}

/// The same with another run of the build than B, which `record` need not hold.
pub fn compare_run(
    store: &dyn BlobStore,
    record: &BuildRecord,
    b: &RunRecord,
    options: &Options,
) -> Result<Comparison, CompareError> {
    let a = run(record, RunId::A)?;
    let facts = Facts::between(Some(a), Some(b), options.host_cpus)?;
    let mut comparer = Comparer::new(store, options, &facts);
    let base = base_layers(record, a)?;
    let mut layer = base;
    let mut stack = None;
    if let (Some(image_a), Some(image_b)) = (&a.image, &b.image) {
        let base_b = base_layers(record, b)?;
        comparer.base_layers((image_a, base), (image_b, base_b))?;
        // Equal images have no layer to look below.
        if image_a.manifest != image_b.manifest {
            let (all_a, all_b) = (
                comparer.load(image_a)?.layers,
                comparer.load(image_b)?.layers,
            );
            stack = Some(Stack {
                a: (all_a, base as usize),
                b: (all_b, base_b as usize),
            });
        }
    }
    for (planned, index) in record.plan.iter().zip(0_u32..) {
        let (Some(step_a), Some(step_b)) = (step(a, index), step(b, index)) else {
            continue;
        };
        let place = Place {
            layer: (planned.in_image && layer_of(step_a, step_b)).then_some(layer),
            step: Some(index),
        };
        let descriptor = |run, step| descriptor(run, step);
        let (layer_a, layer_b) = (descriptor(RunId::A, step_a)?, descriptor(b.id, step_b)?);
        let here = stack.as_mut().filter(|_| place.layer.is_some());
        let below = here.as_ref().map(|stack| stack.below());
        comparer.layers((layer_a.as_ref(), layer_b.as_ref()), below, place)?;
        if let Some(stack) = here {
            stack.a.1 += usize::from(layer_a.is_some());
            stack.b.1 += usize::from(layer_b.is_some());
        }
        layer += u32::from(place.layer.is_some());
    }
    if let (Some(image_a), Some(image_b)) = (&a.image, &b.image) {
        comparer.images(image_a, image_b)?;
    }
    Ok(comparer.finish())
}

/// The layers of both images, and how many of them lie below the step that is looked at: a step can make a
/// layer in one run only.
struct Stack {
    a: (Vec<LayerDescriptor>, usize),
    b: (Vec<LayerDescriptor>, usize),
}

impl Stack {
    fn below(&self) -> Below<'_> {
        fn lower((layers, count): &(Vec<LayerDescriptor>, usize)) -> &[LayerDescriptor] {
            &layers[..(*count).min(layers.len())]
        }
        Below {
            a: lower(&self.a),
            b: lower(&self.b),
        }
    }
}

fn layer_of(a: &StepRecord, b: &StepRecord) -> bool {
    a.diff_id.is_some() || b.diff_id.is_some()
}

fn run(record: &BuildRecord, id: RunId) -> Result<&RunRecord, CompareError> {
    let mut runs = record.runs.iter();
    runs.find(|run| run.id == id).ok_or(CompareError::NoRun(id))
}

fn step(run: &RunRecord, index: u32) -> Option<&StepRecord> {
    run.steps.iter().find(|step| step.index == index)
}

/// Layers of the run's image that no step made.
fn base_layers(record: &BuildRecord, run: &RunRecord) -> Result<u32, CompareError> {
    let Some(image) = &run.image else {
        return Ok(0);
    };
    let made = run.steps.iter().filter(|step| {
        let planned = usize::try_from(step.index)
            .ok()
            .and_then(|index| record.plan.get(index));
        step.diff_id.is_some() && planned.is_some_and(|planned| planned.in_image)
    });
    let base = image.diff_ids.len().checked_sub(made.count());
    base.and_then(|base| u32::try_from(base).ok())
        .ok_or(CompareError::LayerCount(run.id))
}

fn descriptor(run: RunId, step: &StepRecord) -> Result<Option<LayerDescriptor>, CompareError> {
    let Some(diff_id) = step.diff_id else {
        return Ok(None);
    };
    let (Some(digest), Some(size)) = (step.blob, step.blob_size) else {
        return Err(CompareError::NoBlob {
            run,
            step: step.index,
        });
    };
    Ok(Some(LayerDescriptor {
        // What the ruleset writes.
        media_type: MediaType::OciLayerGzip,
        digest,
        size,
        diff_id,
    }))
}

/// Differences of each cause that are listed, however long the list is.
const OF_EACH_CAUSE: usize = 50;

/// Adds what another comparison found.
pub(super) fn add_up(whole: &mut Comparison, part: Comparison) {
    whole.differences.extend(part.differences);
    whole.not_listed.image += part.not_listed.image;
    whole.not_listed.elsewhere += part.not_listed.elsewhere;
    for (cause, count) in part.not_listed_by_cause {
        *whole.not_listed_by_cause.entry(cause).or_default() += count;
    }
    whole.ratio.layers += part.ratio.layers;
    whole.ratio.layers_equal += part.ratio.layers_equal;
    whole.ratio.files += part.ratio.files;
    whole.ratio.files_equal += part.ratio.files_equal;
}

/// Numbers of differences in the list.
#[derive(Default)]
struct Listed {
    image: usize,
    elsewhere: usize,
}

/// Collects what the pairs of layers and the configurations give.
pub(super) struct Comparer<'a> {
    tools: Tools<'a>,
    comparison: Comparison,
    /// [`Options::most`].
    most: usize,
    listed: Listed,
    by_cause: BTreeMap<Cause, usize>,
    /// Where a pair of contents was seen first, to tell what is merely copied on.
    origins: BTreeMap<ContentPair, Origin>,
    /// Steps whose layer only one of the images has.
    one_sided: usize,
}

impl<'a> Comparer<'a> {
    pub(super) fn new(store: &'a dyn BlobStore, options: &'a Options, facts: &'a Facts) -> Self {
        Self {
            tools: Tools::new(store, options, facts),
            most: options.most,
            comparison: Comparison::default(),
            listed: Listed::default(),
            by_cause: BTreeMap::new(),
            origins: BTreeMap::new(),
            one_sided: 0,
        }
    }

    /// Compares the layers at one place. They count where they are part of the image.
    pub(super) fn layers(
        &mut self,
        (a, b): (Option<&LayerDescriptor>, Option<&LayerDescriptor>),
        below: Option<Below<'_>>,
        place: Place,
    ) -> Result<(), CompareError> {
        let counts = u64::from(place.layer.is_some());
        let ratio = &mut self.comparison.ratio;
        ratio.layers += counts;
        match (a, b) {
            (None, None) => {}
            (Some(a), Some(b)) if a.diff_id == b.diff_id => {
                ratio.layers_equal += counts;
                if counts == 1 {
                    let entries = self.tools.layers.count(a)?;
                    ratio.files += entries;
                    ratio.files_equal += entries;
                }
                if a.digest != b.digest {
                    self.add(compressed_differently(a, b, place));
                }
            }
            (a, b) => {
                let made = place.step.is_some() && place.layer.is_some();
                self.one_sided += usize::from(made && a.is_some() != b.is_some());
                let found = self
                    .tools
                    .compare((Source::from(a), Source::from(b)), below, place)?;
                // Layers of a build are canonical: their form differs only where nothing else does.
                let canonical = place.step.is_some() && !found.differences.is_empty();
                let form = match (a, b) {
                    (Some(a), Some(b)) if !canonical => {
                        let known = !found.differences.is_empty();
                        self.tools.headers(a, b, known, place)?
                    }
                    _ => Vec::new(),
                };
                self.found(found, form, place);
            }
        }
        Ok(())
    }

    /// Compares two whole file systems.
    pub(super) fn trees(
        &mut self,
        trees: (Source<'_>, Source<'_>),
        place: Place,
    ) -> Result<(), CompareError> {
        let found = self.tools.compare(trees, None, place)?;
        self.comparison.ratio.layers += 1;
        self.comparison.ratio.layers_equal += u64::from(found.differences.is_empty());
        self.found(found, Vec::new(), place);
        Ok(())
    }

    fn found(&mut self, found: SideComparison, form: Vec<Difference>, place: Place) {
        let counts = u64::from(place.layer.is_some());
        self.comparison.ratio.files += counts * found.entries;
        self.comparison.ratio.files_equal += counts * found.equal;
        let mut differences = form;
        differences.extend(found.differences);
        for (contents, path) in found.contents {
            self.follow(&mut differences, contents, path, place);
        }
        for difference in differences {
            self.add(difference);
        }
    }

    /// Marks the rows on `path` as derived if an earlier step already gave these contents.
    fn follow(&mut self, rows: &mut [Difference], pair: ContentPair, path: String, place: Place) {
        match self.origins.get(&pair) {
            Some(origin) if origin.step != place.step => {
                let content =
                    |row: &&mut Difference| row.kind == DifferenceKind::Content && row.path == path;
                for row in rows.iter_mut().filter(content) {
                    row.derived_from = Some(origin.clone());
                }
            }
            Some(_) => {}
            None => {
                let step = place.step;
                self.origins.insert(pair, Origin { step, path });
            }
        }
    }

    /// The layers below the build's own. They come from the same input, by digest; where they
    /// differ all the same, that is said.
    fn base_layers(
        &mut self,
        (a, base_a): (&ImageRecord, u32),
        (b, base_b): (&ImageRecord, u32),
    ) -> Result<(), CompareError> {
        let base = |image: &ImageRecord, count: u32| image.diff_ids[..count as usize].to_vec();
        if base(a, base_a) == base(b, base_b) {
            self.comparison.ratio.layers += u64::from(base_a);
            self.comparison.ratio.layers_equal += u64::from(base_a);
            return Ok(());
        }
        let (stored_a, stored_b) = (self.load(a)?, self.load(b)?);
        for layer in 0..base_a.max(base_b) {
            let pick = |image: &StoredImage, count: u32| {
                let there = (layer < count).then(|| image.layers.get(layer as usize));
                there.flatten().cloned()
            };
            let place = Place {
                layer: Some(layer),
                step: None,
            };
            let (a, b) = (pick(&stored_a, base_a), pick(&stored_b, base_b));
            self.layers((a.as_ref(), b.as_ref()), None, place)?;
        }
        Ok(())
    }

    fn load(&self, image: &ImageRecord) -> Result<StoredImage, CompareError> {
        load_image(self.tools.layers.store, image.manifest).map_err(|source| CompareError::Image {
            manifest: image.manifest,
            source: source.into(),
        })
    }

    fn images(&mut self, a: &ImageRecord, b: &ImageRecord) -> Result<(), CompareError> {
        self.documents((a.manifest, a.config), (b.manifest, b.config))
    }

    /// Compares manifest and configuration, given as their digests.
    pub(super) fn documents(
        &mut self,
        a: (repro_core::digest::Digest, repro_core::digest::Digest),
        b: (repro_core::digest::Digest, repro_core::digest::Digest),
    ) -> Result<(), CompareError> {
        if a.0 == b.0 {
            return Ok(());
        }
        let store = self.tools.layers.store;
        let mut rows = compare_configs(store, (a.1, b.1), self.tools.facts)?;
        rows.extend(compare_manifests(store, (a.0, b.0), self.tools.facts)?);
        if self.one_sided > 0 {
            // That a step made a layer in one run only is said with what is in it.
            rows.retain(|row| !says_empty(&row.path));
        }
        for row in rows {
            self.add(row);
        }
        if self.comparison.image_is_equal() {
            // Documents that say the same in other bytes: a difference must not go unsaid.
            self.add(Difference {
                path: String::new(),
                platform: None,
                layer: None,
                step: None,
                kind: DifferenceKind::Config,
                cause: Cause::DocumentForm,
                // Media types of layers are not fields that are compared.
                confidence: Confidence::Likely,
                derived_from: None,
                evidence: Some(Evidence {
                    offset: None,
                    inside: None,
                    a: a.0.to_string(),
                    b: b.0.to_string(),
                    around: None,
                }),
            });
        }
        Ok(())
    }

    pub(super) fn add(&mut self, mut difference: Difference) {
        // Each kind has a list of its own: many differences of a stage must not push one of the
        // image out.
        let not_listed = &mut self.comparison.not_listed;
        let (listed, beyond) = if difference.in_image() {
            (&mut self.listed.image, &mut not_listed.image)
        } else {
            (&mut self.listed.elsewhere, &mut not_listed.elsewhere)
        };
        // Each cause too: many times must not push out the one content that differs.
        let of_cause = self.by_cause.entry(difference.cause).or_default();
        let room = *listed < self.most && *of_cause < self.most / 2;
        if room || *of_cause < OF_EACH_CAUSE {
            *listed += 1;
            *of_cause += 1;
            if *of_cause > MAX_AROUND
                && let Some(evidence) = &mut difference.evidence
            {
                evidence.around = None;
            }
            self.comparison.differences.push(difference);
        } else {
            *beyond += 1;
            let beyond = &mut self.comparison.not_listed_by_cause;
            *beyond.entry(difference.cause).or_default() += 1;
        }
    }

    /// Whether all that was compared so far is equal.
    pub(super) fn is_equal(&self) -> bool {
        self.comparison.image_is_equal()
    }

    pub(super) fn finish(self) -> Comparison {
        self.comparison
    }
}

/// Whether a field of a configuration says that a step made no layer.
fn says_empty(pointer: &str) -> bool {
    let step = pointer.strip_prefix("/history/");
    step.is_some_and(|rest| rest.ends_with("/empty_layer"))
}

fn compressed_differently(a: &LayerDescriptor, b: &LayerDescriptor, place: Place) -> Difference {
    Difference {
        path: String::new(),
        platform: None,
        layer: place.layer,
        step: place.step,
        kind: DifferenceKind::Content,
        cause: Cause::LayerCompression,
        confidence: Confidence::Certain,
        derived_from: None,
        evidence: Some(Evidence {
            offset: None,
            inside: None,
            a: a.digest.to_string(),
            b: b.digest.to_string(),
            around: None,
        }),
    }
}
