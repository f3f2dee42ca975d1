//! From a Dockerfile to steps: pure, and the same for every run.
//!
//! ```text
//! Dockerfile --outline--> Outline            which stages are needed, which names they start from
//!            --resolve--> Bases              each name looked up, each configuration known
//!            --plan-----> Plan               every instruction expanded, every step spelt out
//! ```
//!
//! The bases come in the middle because an instruction may use what its base sets
//! (`ENV PATH=/x:$PATH`).

mod error;
mod lint;
mod mounts;
mod outline;
mod paths;
mod steps;
#[cfg(test)]
pub(crate) mod tests;

pub use error::{PlanError, PlanFault};
pub use outline::{Outline, OutlineError, SourceKey, SourceName, Triggers, outline};
pub(crate) use steps::platforms;
pub use steps::{Bases, plan};

use std::collections::BTreeSet;

use repro_core::{
    build::{
        Archives, CopyLayout, Finding, InlineFile, MakeDirSpec, ModeChange, MountSource, MountSpec,
        Owner, Placement, RunSpec,
    },
    digest::{ChainId, Digest},
    epoch::Tick,
    image::{ImageConfig, LayerDescriptor},
};
use repro_toolchains::{capture::StepKey, lock::StepName};

/// An image that stages start from or copy from, unpacked or to be unpacked as `chain`.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<LayerDescriptor>,
    /// The chain of each prefix of its layers.
    pub chain: Vec<ChainId>,
}

/// Everything a build does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The stages that the target needs, in the order of the Dockerfile.
    pub stages: Vec<Stage>,
    /// Index of the stage whose image is wanted: the last one.
    pub target: usize,
    /// Every instruction of those stages, in order.
    pub steps: Vec<Step>,
    /// What the user should know.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// How a lock knows the step, if it runs a program.
    #[must_use]
    pub fn step_key(&self, index: u32) -> Option<StepKey> {
        let index = usize::try_from(index).ok()?;
        let step = self.steps.get(index)?;
        let of_stage =
            |other: &&Step| other.stage == step.stage && matches!(other.work, Work::Run(_));
        if !of_stage(&step) {
            return None;
        }
        let ordinal = self.steps[..=index].iter().filter(of_stage).count();
        Some(StepKey {
            name: StepName {
                stage: self.stages[step.stage].name.clone(),
                ordinal: u32::try_from(ordinal).ok()?,
            },
            instruction: Digest::of(step.history.as_bytes()),
        })
    }
}

/// One stage.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name, or its number in the Dockerfile.
    pub name: String,
    /// What it starts from.
    pub base: StageBase,
    /// The configuration that its instructions lead to; layers, times and history come from a run.
    pub config: ImageConfig,
}

/// What a stage starts from.
#[derive(Debug, Clone)]
pub enum StageBase {
    /// Nothing.
    Scratch,
    /// An earlier stage, by its index in [`Plan::stages`].
    Stage(usize),
    /// An image.
    Image(Box<BaseImage>),
}

/// One instruction.
#[derive(Debug, Clone)]
pub struct Step {
    /// Index of its stage in [`Plan::stages`].
    pub stage: usize,
    /// Line in the Dockerfile, from 1.
    pub line: u32,
    /// The instruction, expanded, as the image's history shows it.
    pub history: String,
    /// What it does to the file system.
    pub work: Work,
    /// k of rule 2, for instructions that work on the file system.
    pub tick: Tick,
}

/// What an instruction does to the file system.
#[derive(Debug, Clone)]
pub enum Work {
    /// Nothing: it changes the configuration.
    Nothing,
    /// Runs a program.
    Run(RunSpec<CopyFrom>),
    /// Copies files.
    Copy {
        /// Whence.
        from: CopyFrom,
        /// What, and how.
        what: Box<CopyWork>,
    },
    /// Makes a directory.
    MakeDir(MakeDirSpec),
}

/// What is copied, and how: [`repro_core::build::CopySpec`] without its source.
#[derive(Debug, Clone)]
pub struct CopyWork {
    /// Path patterns inside the source.
    pub patterns: Vec<String>,
    /// Files of the Dockerfile.
    pub files: Vec<InlineFile>,
    /// Whither, absolute.
    pub destination: String,
    /// Owner of what is copied.
    pub owner: Owner,
    /// `--chmod`.
    pub mode: Option<ModeChange>,
    /// `--parents`.
    pub layout: CopyLayout,
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// What becomes of archives.
    pub archives: Archives,
    /// `--link`.
    pub placement: Placement,
}

/// The tree that a copy or a mount reads.
#[derive(Debug, Clone)]
pub enum CopyFrom {
    /// The context.
    Context,
    /// A directory given as a context by this name.
    Named(String),
    /// A stage, by its index in [`Plan::stages`].
    Stage(usize),
    /// An image or a declared input, lowest layer first.
    Tree(Vec<ChainId>),
}

impl Work {
    /// Whether the instruction can make a layer.
    #[must_use]
    pub const fn is_filesystem(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The trees that it takes files from, besides its own.
    pub(crate) fn reads(&self) -> Vec<&CopyFrom> {
        match self {
            Self::Copy { from, .. } => vec![from],
            Self::Run(spec) => spec.mounts.iter().filter_map(MountSpec::trees).collect(),
            Self::Nothing | Self::MakeDir(_) => Vec::new(),
        }
    }

    /// Names of the caches that it writes to.
    pub(crate) fn caches(&self) -> Vec<&str> {
        let Self::Run(spec) = self else {
            return Vec::new();
        };
        let caches = spec.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Cache { id, .. } => Some(id.as_str()),
            _ => None,
        });
        caches.collect()
    }

    /// Names of the secrets that the step is given.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<String> {
        match self {
            Self::Run(spec) => spec.secrets().map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Names of the ssh agents that the step can talk to.
    #[must_use]
    pub fn agents(&self) -> BTreeSet<String> {
        match self {
            Self::Run(spec) => spec.agents().map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        }
    }
}
