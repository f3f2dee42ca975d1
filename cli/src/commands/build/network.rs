//! What answers the steps of a build: nobody, the lock, or servers.

use std::{collections::BTreeSet, path::Path, sync::atomic::AtomicBool};

use repro_core::{
    build::{BuildRequest, Grants, SecretValue},
    digest::Digest,
    event::EventSink,
    store::{CacheKind, Store},
};
use repro_toolchains::{
    capture::{Allowed, Network, Redactor, restore},
    lock::{LockedStep, ProjectLock},
    project::Project,
};

use crate::{ambient, error::CommandError};

/// Bodies that a lock names stay in the store as long as this is there.
const CACHE: CacheKind = match CacheKind::new("fetch") {
    Ok(kind) => kind,
    Err(_) => panic!("lower-case letters"),
};

/// What is wanted.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// No step runs.
    Nothing,
    /// What the lock has.
    Replay,
    /// The same for a build that was somebody else's: what the store does not have may be fetched from
    /// these hosts alone, whatever its project says.
    Restore(Allowed),
    /// What servers say.
    Capture {
        /// Which ones.
        allowed: Allowed,
        /// What is not asked again.
        known: Vec<LockedStep>,
    },
}

impl Wanted {
    /// The network of the steps, with everything that it answers with in the store.
    pub(crate) fn network(
        self,
        (request, project, lock): (&BuildRequest, &Project, Option<&ProjectLock>),
        grants: &Grants,
        store: &Store,
        events: &dyn EventSink,
        cancelled: &AtomicBool,
    ) -> Result<Option<Network>, CommandError> {
        let platform = &request.platform;
        let secrets = grants.secrets.values();
        let redactor = Redactor::new(secrets.map(SecretValue::expose));
        let blobs = store.blobs();
        match self {
            Self::Nothing => Ok(None),
            Self::Capture { allowed, known } => {
                let network = Network::capture(allowed, &known, platform, blobs, redactor)?;
                Ok(Some(network))
            }
            Self::Restore(allowed) => {
                let steps = lock.map_or(&[][..], |lock| &lock.steps);
                restore(steps, platform, &allowed, blobs, events, cancelled)?;
                Ok(Network::replay(steps, platform, blobs, redactor)?)
            }
            Self::Replay => {
                let steps = lock.map_or(&[][..], |lock| &lock.steps);
                let of_project = project.network.iter();
                let of_project = of_project.filter(|_| !ambient::in_ci()).cloned();
                let allowed = Allowed::new(of_project);
                restore(steps, platform, &allowed, blobs, events, cancelled)?;
                if let Some(lock) = lock.filter(|lock| !lock.steps.is_empty()) {
                    remember(store, Path::new(lock.file()), lock)?;
                }
                Ok(Network::replay(steps, platform, blobs, redactor)?)
            }
        }
    }
}

/// Keeps what a lock names from being collected, in place of what the lock at that path named before.
pub(crate) fn remember(store: &Store, path: &Path, lock: &ProjectLock) -> Result<(), CommandError> {
    let fetches = lock.steps.iter().flat_map(|step| &step.fetches);
    let bodies: BTreeSet<Digest> = fetches.map(|fetch| fetch.sha256).collect();
    let bodies: Vec<Digest> = bodies.into_iter().collect();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let key = path.display().to_string();
    Ok(store.cache_put(CACHE, &key, &bodies, &bodies.len())?)
}
