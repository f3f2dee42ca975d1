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
mod trees;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use repro_core::{
    build::{
        Caller, CopySource, Executor, ExecutorError, Grants, InvocationId, RunId, SnapshotInfo,
        SnapshotName, Snapshotter, StepAction, StepExit, StepNetwork, StepObserver, StepResult,
        StepSpec, UserIds, Variation,
    },
    digest::{ChainId, Digest},
    event::EventSink,
    tree::{EntrySink, EntrySource},
};
use repro_sandbox::{
    StageImage,
    guest::{self, Helper, Order, Streams, Ways},
};

use self::{
    container::{Container, Making},
    image::Images,
    layers::{Layer, LayerSource, Layers},
    profile::Profile,
    trees::{StepTrees, Tree},
};
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
    store: String,
    grants: Grants,
    events: Arc<dyn EventSink>,
    running: Mutex<Running>,
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
    /// An executor that keeps its layers below `root`, the store's directory, which must exist.
    pub fn new(
        client: Client,
        image: &StageImage,
        (root, tmp): (&Path, &Path),
        events: Arc<dyn EventSink>,
    ) -> Result<Self, ExecutorError> {
        let helper = Helper::collect(image)?;
        let root_name = root.as_os_str().as_encoded_bytes();
        Ok(Self {
            layers: Layers::create(root)?,
            images: Images::new(helper, tmp)?,
            profile: Profile::for_engine(client.about(), tmp)?,
            tmp: tmp.to_owned(),
            store: Digest::of(root_name).hex(),
            grants: Grants::default(),
            events,
            running: Mutex::default(),
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

    /// Removes the stored layers of every chain that is not in `keep`; gives how many.
    pub fn retain(&self, keep: &BTreeSet<ChainId>) -> Result<u64, ExecutorError> {
        let keep: BTreeSet<String> = keep.iter().map(|chain| chain.0.hex()).collect();
        self.layers.retain(&|name| keep.contains(name))
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

    /// The step's trees, and the image that its container starts from.
    fn trees(&self, spec: &StepSpec) -> Result<(StepTrees, String), ExecutorError> {
        let layers = self.open(&spec.parents)?;
        let stored = spec.parents.iter().map_while(|name| match name {
            SnapshotName::Stored(chain) => Some(*chain),
            SnapshotName::Step { .. } => None,
        });
        let chain: Vec<ChainId> = stored.collect();
        let base = self.tree(layers[..chain.len()].to_vec())?;
        let tmp = (self.tmp.as_path(), &*self.events);
        let image = self
            .images
            .ensure(&self.client, chain.last().copied(), &base, tmp)?;
        let source = match &spec.action {
            StepAction::Copy(copy) => {
                let (CopySource::Context { trees } | CopySource::Tree { trees }) = &copy.source;
                (self.tree(self.open(trees)?)?, copy.patterns.clone())
            }
            StepAction::Run(_) | StepAction::MakeDir(_) => Default::default(),
        };
        let tree = self.tree(layers)?;
        Ok((StepTrees::new(tree, &base, source), image))
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
            host: self.profile.host_config(shm),
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

    fn secrets(&self, spec: &StepSpec) -> Result<BTreeMap<String, Vec<u8>>, ExecutorError> {
        let secret = |id: &str| {
            let value = self.grants.secrets.get(id);
            let value = value
                .ok_or_else(|| ExecutorError::Refused(format!("the secret {id} was not given")))?;
            Ok((id.to_owned(), value.expose().to_vec()))
        };
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

/// The step's way out: connections to whoever answers.
struct WayOut<'a> {
    network: &'a dyn StepNetwork,
    address: SocketAddr,
}

impl<'a> WayOut<'a> {
    fn serve(network: &'a dyn StepNetwork) -> Result<Self, ExecutorError> {
        let exhausted = |source| ExecutorError::Exhausted {
            what: "cannot serve the step's network".to_owned(),
            source: Some(source),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(exhausted)?;
        let address = listener.local_addr().map_err(exhausted)?;
        let served = Self { network, address };
        network.serve(listener).map_err(exhausted)?;
        Ok(served)
    }
}

impl Ways for WayOut<'_> {
    fn open(&self) -> std::io::Result<guest::Way> {
        TcpStream::connect(self.address)
    }
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
        let is_stale = |labels: &HashMap<String, String>| {
            let invocation = labels.get(labels::INVOCATION);
            let invocation = invocation.and_then(|id| InvocationId::try_from(id.clone()).ok());
            invocation.is_some_and(|id| !alive.contains(&id))
        };
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
        let (mut trees, image) = self.trees(spec)?;
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
                let way = network.map(WayOut::serve).transpose()?;
                guest::attend(
                    Streams { from, to },
                    Order {
                        spec,
                        variation,
                        secrets,
                        network: network.map(StepNetwork::kit),
                    },
                    &mut trees,
                    way.as_ref().map(|way| way as &dyn Ways),
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
