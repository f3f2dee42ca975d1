//! Makes images of locked packages: the same bytes from the same lock, on every machine.
//!
//! The packages of the first phase are unpacked into one tree. For `method = "install"`, `dpkg`
//! then installs all packages in that tree, inside the sandbox and without a network, as it
//! would on a machine: maintainer scripts run, links of alternatives and caches come about. What
//! such a run leaves of its own time and place is removed, and the tree becomes one layer.
//!
//! One layer, not one for each phase: the first would be overwritten by the second, and an image
//! of a C compiler would be a third larger.

pub(crate) mod bootstrap;
mod clean;
mod keystore;
pub(crate) mod steps;

use std::{fs::File, io, sync::Mutex};

use repro_core::{
    build::{Executor, ExecutorError, InvocationId, StepExit},
    digest::Digest,
    epoch::TooManyTicks,
    event::{Event, EventSink, Unit},
    image::{History, ImageConfig, ImageError, RuntimeConfig, load_image, write_image},
    layer::{BuildLayerError, FlatTree, LayerBuilder},
    ruleset::Ruleset,
    store::{CacheKind, Store, StoreError},
};
use serde::{Deserialize, Serialize};

use self::{clean::Clean, steps::Steps};
use crate::{
    definition::{Method, PinnedToolchain},
    fetch::{FetchError, Fetcher},
    lock::PoolPath,
};

/// Number of the way in which images are made of packages. A change of it changes digests, and
/// must not find images made the old way.
const RECIPE: u32 = 1;

/// `PATH` of every toolchain image, Docker's default.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const CACHE: CacheKind = match CacheKind::new("toolchain") {
    Ok(kind) => kind,
    Err(_) => panic!("lower-case letters"),
};

/// Why a toolchain was not made. Nothing is kept but downloads.
#[derive(Debug, thiserror::Error)]
pub enum MaterialiseError {
    /// A package is not to be had.
    #[error("cannot fetch the packages of {name}")]
    Fetch {
        /// The toolchain.
        name: String,
        /// Why.
        #[source]
        source: Box<FetchError>,
    },
    /// A package cannot be unpacked.
    #[error("cannot unpack {path}")]
    Package {
        /// The package.
        path: PoolPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The tree cannot be put together or written.
    #[error("cannot put the tree of {name} together")]
    Tree {
        /// The toolchain.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The sandbox cannot run a step.
    #[error("cannot run {program} in the sandbox")]
    Executor {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: ExecutorError,
    },
    /// A program of the toolchain failed.
    #[error("{program} {}; its output ends in:\n{output}", ended(*exit))]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        exit: StepExit,
        /// The end of what it printed.
        output: String,
    },
    /// More programs than one image can have steps.
    #[error("too many programs in one definition")]
    Steps(#[from] TooManyTicks),
    /// The layer cannot be kept.
    #[error("cannot keep the layer of {name}")]
    Layer {
        /// The toolchain.
        name: String,
        /// Why.
        #[source]
        source: BuildLayerError,
    },
    /// The image cannot be kept.
    #[error("cannot keep the image of {name}")]
    Image {
        /// The toolchain.
        name: String,
        /// Why.
        #[source]
        source: Box<ImageError>,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn ended(exit: StepExit) -> String {
    match exit {
        StepExit::Success => "succeeded".into(),
        StepExit::Code(code) => format!("failed with code {code}"),
        StepExit::Signal(signal) => format!("was ended by signal {signal}"),
    }
}

/// What is remembered of a toolchain that was made.
#[derive(Serialize, Deserialize)]
struct Made {
    manifest: Digest,
}

/// Makes images and trees of locked files.
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// Runs what has to be run.
    pub executor: &'a dyn Executor,
    /// Brings files.
    pub fetcher: &'a Fetcher,
    /// Hears of progress.
    pub events: &'a dyn EventSink,
    /// The invocation on whose behalf this happens.
    pub invocation: &'a InvocationId,
    /// Rules that decide the bytes.
    pub ruleset: Ruleset,
}

impl std::fmt::Debug for Workshop<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop")
            .field("store", &self.store.root())
            .field("executor", &self.executor.name())
            .finish_non_exhaustive()
    }
}

impl Workshop<'_> {
    /// The manifest of the toolchain's image, if it was made before and is still there.
    pub fn made(&self, toolchain: &PinnedToolchain) -> Result<Option<Digest>, StoreError> {
        let made: Option<Made> = self.store.cache_get(CACHE, &self.cache_key(toolchain))?;
        Ok(made.map(|made| made.manifest))
    }

    /// Makes the toolchain's image, unless it was made before; gives the digest of its manifest.
    pub fn toolchain(&self, toolchain: &PinnedToolchain) -> Result<Digest, MaterialiseError> {
        if let Some(manifest) = self.made(toolchain)? {
            return Ok(manifest);
        }
        let name = &toolchain.definition.name;
        let files: Vec<_> = toolchain.lock.files().collect();
        let title = format!("fetch the packages of {name}");
        let published = toolchain.lock.archive.date.epoch();
        self.fetcher
            .fetch(&title, &files, published, self.store.blobs(), self.events)
            .map_err(|source| MaterialiseError::Fetch {
                name: name.clone(),
                source: Box::new(source),
            })?;
        let task = Task::start(self.events, name);
        let result = self.make(toolchain, &task);
        task.finish(if result.is_ok() { "made" } else { "failed" });
        result
    }

    fn make(
        &self,
        toolchain: &PinnedToolchain,
        task: &Task<'_>,
    ) -> Result<Digest, MaterialiseError> {
        let name = &toolchain.definition.name;
        let in_tree = |source| MaterialiseError::Tree {
            name: name.clone(),
            source,
        };
        let mut tree = FlatTree::new(self.store.blobs().tmp()).map_err(in_tree)?;
        bootstrap::fill(&mut tree, toolchain, self.store.blobs())?;
        task.advance();
        let programs = steps::programs(toolchain);
        if !programs.is_empty() {
            let steps = Steps::new(self, name, toolchain.lock_digest, toolchain.lock.epoch)?;
            let result = steps.run(&mut tree, &programs, task);
            // The snapshots of the steps are of no use afterwards, however it ended.
            let discarded = steps.discard();
            result.and(discarded)?;
        }
        let mut builder = LayerBuilder::new(self.store.blobs(), self.ruleset);
        match toolchain.definition.method {
            Method::Install => tree.write_to(&mut Clean::new(&mut builder, toolchain.lock.epoch)),
            Method::Unpack => tree.write_to(&mut builder),
        }
        .map_err(in_tree)?;
        let layer = builder.finish().map_err(|source| MaterialiseError::Layer {
            name: name.clone(),
            source,
        })?;
        let layer = layer.ok_or_else(|| in_tree(io::Error::other("the tree is empty")))?;
        let image = write_image(
            self.store.blobs(),
            &config(toolchain),
            &[layer.descriptor()],
        )
        .map_err(|source| MaterialiseError::Image {
            name: name.clone(),
            source: Box::new(source),
        })?;
        let manifest = image.descriptor.digest;
        let key = self.cache_key(toolchain);
        self.store
            .cache_put(CACHE, &key, &[manifest], &Made { manifest })?;
        task.advance();
        Ok(manifest)
    }

    fn cache_key(&self, toolchain: &PinnedToolchain) -> String {
        let ruleset = u32::from(self.ruleset);
        format!(
            "recipe {RECIPE} ruleset {ruleset} lock {}",
            toolchain.lock_digest
        )
    }

    /// Bytes of the layers of an image that was made.
    pub fn size(&self, manifest: Digest) -> Result<u64, ImageError> {
        let image = load_image(self.store.blobs(), manifest)?;
        Ok(image.layers.iter().map(|layer| layer.size).sum())
    }
}

fn config(toolchain: &PinnedToolchain) -> ImageConfig {
    let created = toolchain.lock.epoch.rfc3339();
    let name = &toolchain.definition.name;
    ImageConfig {
        created: Some(created.clone()),
        config: RuntimeConfig {
            env: vec![format!("PATH={PATH}")],
            cmd: toolchain.definition.image.cmd.clone(),
            ..RuntimeConfig::default()
        },
        history: vec![History {
            created: Some(created),
            created_by: Some(format!(
                "TOOLCHAIN {name} {} # repro",
                toolchain.lock_digest
            )),
            ..History::default()
        }],
        ..ImageConfig::for_platform(&toolchain.lock.platform)
    }
}

/// An unnamed file for a tree on its way.
fn spool(store: &Store) -> io::Result<File> {
    tempfile::tempfile_in(store.blobs().tmp())
}

/// Progress of making one toolchain. How many steps there are is not worth knowing beforehand:
/// they take from a second to a minute each.
struct Task<'a> {
    events: &'a dyn EventSink,
    id: String,
    done: Mutex<u64>,
}

impl<'a> Task<'a> {
    fn start(events: &'a dyn EventSink, name: &str) -> Self {
        let id = format!("toolchain-{name}");
        events.event(Event::TaskStarted {
            id: id.clone(),
            title: format!("make the toolchain {name}"),
            total: None,
            unit: Unit::Items,
        });
        Self {
            events,
            id,
            done: Mutex::new(0),
        }
    }

    fn advance(&self) {
        let mut done = self
            .done
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *done += 1;
        self.events.event(Event::TaskAdvanced {
            id: self.id.clone(),
            done: *done,
        });
    }

    fn finish(self, summary: &str) {
        self.events.event(Event::TaskFinished {
            id: self.id,
            summary: summary.to_owned(),
        });
    }
}
