//! Steps in containers of an engine, a container a step.
//!
//! Layers are kept on this machine. A container starts from an image with the tree of the stage's base,
//! and the helper in it (`repro_sandbox::guest`) adds what the steps before made, carries out this one,
//! and hands on what changed. So nothing of what decides bytes is the engine's, and nothing has to be
//! committed to it: its own idea of a difference misses changes that keep size and time, and loses
//! attributes.

mod container;
mod image;
mod labels;
mod layers;
mod profile;
mod store_id;
mod trees;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io,
    os::{
        fd::AsRawFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use repro_core::{
    build::{
        Caller, CopySource, Executor, ExecutorError, Grants, InlineFile, InvocationId, MountSource,
        MountSpec, RunId, SecretValue, SnapshotInfo, SnapshotName, Snapshotter, StepAction,
        StepExit, StepListener, StepNetwork, StepObserver, StepResult, StepSpec, UserIds,
        Variation, cache_key,
    },
    digest::{ChainId, Digest},
    event::EventSink,
    platform::Platform,
    tree::{EntrySink, EntrySource},
};
use repro_sandbox::{
    StageImage,
    guest::{self, CacheContent, Door, Filling, Helper, Order, Streams, Way, Ways},
};

pub use self::store_id::StoreId;
use self::{
    container::{Container, Making},
    image::Images,
    layers::{Layer, LayerSource, Layers},
    profile::Profile,
    trees::{Mount, Source, StepTrees, Tree},
};
use tempfile::TempDir;

use crate::{Client, EngineKind};

/// Runs steps in containers of an engine.
pub struct EngineExecutor {
    client: Client,
    layers: Layers,
    images: Images,
    profile: Profile,
    /// For files that go with this process.
    tmp: PathBuf,
    /// Tells this store's containers from those of others.
    store: StoreId,
    grants: Grants,
    events: Arc<dyn EventSink>,
    running: Mutex<Running>,
    /// Trees of base images: every step on one needs it.
    bases: Mutex<BTreeMap<Vec<ChainId>, Arc<Tree>>>,
}

impl fmt::Debug for EngineExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineExecutor")
            .field("engine", self.client.about())
            .finish_non_exhaustive()
    }
}

/// A run, by the name of its directory in the invocation's.
type RunKey = (InvocationId, RunId);

/// Containers at work.
#[derive(Debug, Default)]
struct Running {
    /// Once set, nothing new is started.
    cancelled: bool,
    /// The same, for single runs.
    stopped: BTreeSet<RunKey>,
    containers: BTreeMap<String, RunKey>,
}

impl Running {
    fn is_over(&self, run: &RunKey) -> bool {
        self.cancelled || self.stopped.contains(run)
    }
}

impl EngineExecutor {
    /// An executor that keeps its layers below `root`, the store's directory, which must exist. `tmp` is
    /// for files that go with this process.
    pub fn new(
        client: Client,
        image: &StageImage,
        (root, tmp): (&Path, &Path),
        store: &StoreId,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, ExecutorError> {
        let (theirs, ours) = (&client.about().architecture, Platform::host());
        if theirs != ours.architecture() {
            return Err(ExecutorError::Machine {
                what: format!(
                    "{} runs programs of {theirs}, and this repro is one of {}",
                    client.about(),
                    ours.architecture()
                ),
                hint: "its helper is repro itself: use a repro of the engine's architecture, or \
                       another engine"
                    .to_owned(),
                source: None,
            });
        }
        let helper = Helper::collect(image)?;
        Ok(Self {
            layers: Layers::create(root)?,
            images: Images::new(helper, tmp)?,
            profile: Profile::for_engine(client.about(), tmp)?,
            tmp: tmp.to_owned(),
            store: store.clone(),
            grants: Grants::default(),
            events,
            running: Mutex::default(),
            bases: Mutex::default(),
            client,
        })
    }

    /// The same, with secrets for the steps that name them. A step that names others is refused.
    #[must_use]
    pub fn with_grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// The engine.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// A stored layer once more.
    pub fn entries(&self, chain: ChainId) -> Result<impl EntrySource, ExecutorError> {
        let layer = self.layers.open(&SnapshotName::Stored(chain))?;
        Ok(LayerSource::new(layer))
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // What it guards is valid at every moment.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, names: &[SnapshotName]) -> Result<Vec<Arc<Layer>>, ExecutorError> {
        names.iter().map(|name| self.layers.open(name)).collect()
    }

    fn tree(&self, layers: Vec<Arc<Layer>>) -> Result<Tree, ExecutorError> {
        Tree::new(layers, &self.tmp).map_err(|source| ExecutorError::Input {
            what: "the layers below the step do not make a tree".to_owned(),
            source: Some(source),
        })
    }

    /// The tree of stored layers, put together once.
    fn base(&self, chain: &[ChainId], layers: &[Arc<Layer>]) -> Result<Arc<Tree>, ExecutorError> {
        let bases = || self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        let known = bases().get(chain).cloned();
        if let Some(tree) = known {
            return Ok(tree);
        }
        // Not under the lock: the other run may want another one.
        let tree = Arc::new(self.tree(layers.to_vec())?);
        bases().insert(chain.to_vec(), tree.clone());
        Ok(tree)
    }

    /// The step's trees, and the image that its container starts from.
    fn trees<'a>(
        &'a self,
        spec: &StepSpec,
        run: &'a RunKey,
    ) -> Result<(StepTrees<'a>, String), ExecutorError> {
        let layers = self.open(&spec.parents)?;
        let stored = spec.parents.iter().map_while(|name| match name {
            SnapshotName::Stored(chain) => Some(*chain),
            SnapshotName::Step { .. } => None,
        });
        let chain: Vec<ChainId> = stored.collect();
        let base = self.base(&chain, &layers[..chain.len()])?;
        let tmp = (self.tmp.as_path(), &*self.events);
        let image = self
            .images
            .ensure(&self.client, chain.last().copied(), &base, tmp)?;
        let (source, mounts) = match &spec.action {
            StepAction::Copy(copy) => {
                let (CopySource::Context { trees } | CopySource::Tree { trees }) = &copy.source;
                (self.source(trees, &copy.patterns)?, Vec::new())
            }
            StepAction::Run(program) => {
                let mounts = program.mounts.iter();
                let mounts = mounts.map(|mount| self.mount(mount, run));
                (Source::default(), mounts.collect::<Result<_, _>>()?)
            }
            StepAction::MakeDir(_) => Default::default(),
        };
        let tree = if layers.len() == chain.len() {
            base.clone()
        } else {
            Arc::new(self.tree(layers)?)
        };
        let ours = (&self.layers, run);
        Ok((StepTrees::new(tree, &base, (source, mounts), ours), image))
    }

    fn source(&self, trees: &[SnapshotName], patterns: &[String]) -> Result<Source, ExecutorError> {
        Ok(Source {
            tree: self.tree(self.open(trees)?)?,
            patterns: patterns.to_vec(),
        })
    }

    /// How a mount is filled.
    fn mount(&self, mount: &MountSpec, run: &RunKey) -> Result<Mount, ExecutorError> {
        let (filling, source) = match &mount.source {
            MountSource::Bind { trees, path } => {
                let source = self.source(trees, std::slice::from_ref(path))?;
                (Filling::Tree, source)
            }
            MountSource::Cache {
                id, trees, path, ..
            } => {
                let key = cache_key(id, trees.as_deref().unwrap_or_default(), path);
                let (content, source) = match (self.layers.cache(run, &key)?, trees) {
                    (Some(left), _) => {
                        let source = Source {
                            tree: self.tree(vec![left])?,
                            patterns: vec!["/".to_owned()],
                        };
                        (CacheContent::Left, source)
                    }
                    (None, Some(trees)) => {
                        let source = self.source(trees, std::slice::from_ref(path))?;
                        (CacheContent::Tree, source)
                    }
                    (None, None) => (CacheContent::New, Source::default()),
                };
                (Filling::Cache { key, content }, source)
            }
            MountSource::Tmpfs { .. } | MountSource::Secret { .. } | MountSource::Agent { .. } => {
                (Filling::Nothing, Source::default())
            }
        };
        Ok(Mount { filling, source })
    }

    fn making(
        &self,
        spec: &StepSpec,
        variation: &Variation,
        (image, run): (String, &RunKey),
    ) -> Making {
        let shm = match &spec.action {
            StepAction::Run(run) => run.settings.shm_bytes,
            StepAction::Copy(_) | StepAction::MakeDir(_) => None,
        };
        let environment = match variation.caller {
            Caller::Plain => Vec::new(),
            Caller::Canaries => Variation::CALLER
                .map(|(name, value)| format!("{name}={value}"))
                .to_vec(),
        };
        let mut host = self.profile.host_config(shm);
        if let StepAction::Run(program) = &spec.action
            && program.script.is_some()
        {
            // Podman lets nothing be executed that lies on its `/dev`.
            let options = "exec,mode=0755".to_owned();
            let place = InlineFile::SCRIPT_DIR.to_owned();
            host.tmpfs = Some([(place, options)].into_iter().collect());
        }
        Making {
            image,
            command: self.images.command().to_vec(),
            environment,
            hostname: variation.hostname.clone(),
            domainname: match variation.domainname.as_str() {
                // The kernel's word for none.
                "(none)" => String::new(),
                name => name.to_owned(),
            },
            labels: labels::of_run(&self.store, &run.0, run.1),
            host,
        }
    }

    /// Notes a container, so that it can be stopped.
    fn register(
        &self,
        container: &Container<'_>,
        run: &RunKey,
    ) -> Result<Registered<'_>, ExecutorError> {
        let mut running = self.running();
        if running.is_over(run) {
            return Err(ExecutorError::Cancelled);
        }
        let id = container.id().to_owned();
        running.containers.insert(id.clone(), run.clone());
        Ok(Registered { executor: self, id })
    }

    fn secrets(&self, spec: &StepSpec) -> Result<BTreeMap<String, SecretValue>, ExecutorError> {
        let secret = |id: &str| Ok((id.to_owned(), self.grants.secret(id)?.clone()));
        spec.secrets().map(secret).collect()
    }

    /// Kills the containers that `is_meant` picks.
    fn kill(&self, is_meant: impl Fn(&RunKey) -> bool) {
        let ids: Vec<String> = {
            let running = self.running();
            let meant = running.containers.iter().filter(|(_, run)| is_meant(run));
            meant.map(|(id, _)| id.clone()).collect()
        };
        for id in ids {
            container::kill(&self.client, &id);
        }
    }
}

/// Removes the layers of every chain that is not in `keep` from the store at `root`; gives how many. Nothing
/// may be running.
pub fn retain(root: &Path, keep: &BTreeSet<ChainId>) -> Result<u64, ExecutorError> {
    let keep: BTreeSet<String> = keep.iter().map(|chain| chain.0.hex()).collect();
    Layers::create(root)?.retain(&|name| keep.contains(name))
}

/// Removes the layers that steps of `invocation` left in the store at `root`, whoever runs steps now.
pub fn forget(root: &Path, invocation: &InvocationId) -> Result<(), ExecutorError> {
    Layers::create(root)?.discard(invocation)
}

/// What was removed from an engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Containers of this store whose invocation is over.
    pub containers: u64,
    /// Images that containers of any store started from; one in use stays.
    pub images: u64,
}

/// Removes from an engine what builds with a store left there, but for invocations that are `alive`, and
/// all images that repro loaded for itself.
pub fn clean(
    client: &Client,
    store: &StoreId,
    alive: &BTreeSet<InvocationId>,
) -> Result<Cleaned, ExecutorError> {
    let mine = labels::filter(store, None);
    Ok(Cleaned {
        containers: container::remove_all(client, &mine, |labels| is_over(labels, alive))?,
        images: image::remove_all(client)?,
    })
}

/// Whether the labels of a container are those of an invocation that is not alive.
fn is_over(labels: &BTreeMap<String, String>, alive: &BTreeSet<InvocationId>) -> bool {
    let invocation = labels.get(labels::INVOCATION);
    let invocation = invocation.and_then(|id| InvocationId::try_from(id.clone()).ok());
    invocation.is_some_and(|id| !alive.contains(&id))
}

/// Takes a container off the list of those that can be stopped.
struct Registered<'a> {
    executor: &'a EngineExecutor,
    id: String,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.executor.running().containers.remove(&self.id);
    }
}

/// What a step's connections lead to: whoever answers its requests, and the agents that it names.
struct Doors<'a> {
    way: Option<WayOut<'a>>,
    agents: Vec<&'a Path>,
}

impl Ways for Doors<'_> {
    fn open(&self, door: Door) -> io::Result<Way> {
        let nobody = || io::Error::from(io::ErrorKind::NotFound);
        match door {
            Door::Network => {
                let way = self.way.as_ref().ok_or_else(nobody)?;
                UnixStream::connect(way.path()).map(Way)
            }
            Door::Agent(index) => {
                let agent = self.agents.get(index as usize).ok_or_else(nobody)?;
                UnixStream::connect(agent).map(Way)
            }
        }
    }
}

/// The step's way out: connections to whoever answers. They meet at a socket in a directory that nobody
/// else may enter: a port of this machine would be open to all its users.
struct WayOut<'a> {
    network: &'a dyn StepNetwork,
    /// The directory, open: its path may be longer than that of a socket can be.
    place: File,
    _directory: TempDir,
}

impl<'a> WayOut<'a> {
    fn serve(network: &'a dyn StepNetwork, tmp: &Path) -> Result<Self, ExecutorError> {
        let exhausted = |source| ExecutorError::Exhausted {
            what: "cannot serve the step's network".to_owned(),
            source: Some(source),
        };
        let directory = tempfile::tempdir_in(tmp).map_err(exhausted)?;
        let place = File::open(directory.path()).map_err(exhausted)?;
        let listener = UnixListener::bind(socket_in(&place)).map_err(exhausted)?;
        let served = Self {
            network,
            place,
            _directory: directory,
        };
        network
            .serve(StepListener::Relay(listener))
            .map_err(exhausted)?;
        Ok(served)
    }

    fn path(&self) -> PathBuf {
        socket_in(&self.place)
    }
}

fn socket_in(place: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/way", place.as_raw_fd()))
}

impl Drop for WayOut<'_> {
    fn drop(&mut self) {
        self.network.close();
    }
}

impl Executor for EngineExecutor {
    fn name(&self) -> &'static str {
        match self.client.about().kind {
            EngineKind::Docker => "docker",
            EngineKind::Podman => "podman",
        }
    }

    fn sweep(&self, alive: &BTreeSet<InvocationId>) -> Result<u64, ExecutorError> {
        let mine = labels::filter(&self.store, None);
        let is_stale = |labels: &BTreeMap<_, _>| is_over(labels, alive);
        Ok(container::remove_all(&self.client, &mine, is_stale)?)
    }

    fn policy(&self) -> Digest {
        self.profile.digest()
    }

    fn user_ids(&self) -> UserIds {
        UserIds::Range
    }

    fn snapshotter(&self) -> Snapshotter {
        Snapshotter::Engine
    }

    fn stored(&self, chain: ChainId) -> Result<Option<SnapshotInfo>, ExecutorError> {
        self.layers.info(chain)
    }

    fn unpack(
        &self,
        _parents: &[ChainId],
        chain: ChainId,
        layer: &mut dyn EntrySource,
    ) -> Result<SnapshotInfo, ExecutorError> {
        if let Some(info) = self.stored(chain)? {
            return Ok(info);
        }
        self.layers.store(chain, layer)
    }

    fn run(
        &self,
        spec: &StepSpec,
        variation: &Variation,
        network: Option<&dyn StepNetwork>,
        layer: &mut dyn EntrySink,
        observer: &dyn StepObserver,
    ) -> Result<StepResult, ExecutorError> {
        let SnapshotName::Step {
            invocation, run, ..
        } = &spec.output
        else {
            return Err(ExecutorError::Internal {
                what: format!("a step cannot write the stored tree {}", spec.output),
                source: None,
            });
        };
        let run = (invocation.clone(), *run);
        let (mut trees, image) = self.trees(spec, &run)?;
        let agents = self.grants.agents_of(spec)?;
        let secrets = self.secrets(spec)?;
        let network = network.filter(|_| matches!(spec.action, StepAction::Run(_)));
        let making = self.making(spec, variation, (image, &run));
        let container = Container::create(&self.client, making)?;
        let _registered = self.register(&container, &run)?;
        let mut writer = self.layers.step(&spec.output, layer)?;
        let attended = container
            .start()
            .map_err(ExecutorError::from)
            .and_then(|(from, to)| {
                let doors = Doors {
                    way: network
                        .map(|network| WayOut::serve(network, &self.tmp))
                        .transpose()?,
                    agents,
                };
                guest::attend(
                    Streams { from, to },
                    Order {
                        spec,
                        variation,
                        secrets,
                        network: network.map(StepNetwork::kit),
                    },
                    &mut trees,
                    &doors,
                    &mut writer,
                    observer,
                )
            });
        // Whatever a stopped container says, it was stopped.
        if self.running().is_over(&run) {
            return Err(ExecutorError::Cancelled);
        }
        let result = attended?;
        if result.exit == StepExit::Success {
            writer.finish().map_err(|source| ExecutorError::Exhausted {
                what: "cannot keep the layer of the step".to_owned(),
                source: Some(source),
            })?;
        }
        Ok(result)
    }

    fn discard(&self, invocation: &InvocationId) -> Result<(), ExecutorError> {
        self.running().stopped.retain(|(of, _)| of != invocation);
        let mine = labels::filter(&self.store, Some(invocation));
        container::remove_all(&self.client, &mine, |_| true)?;
        self.layers.discard(invocation)
    }

    fn stop(&self, invocation: &InvocationId, run: RunId) {
        let key = (invocation.clone(), run);
        self.running().stopped.insert(key.clone());
        self.kill(|run| *run == key);
    }

    fn cancel(&self) {
        self.running().cancelled = true;
        self.kill(|_| true);
    }
}
