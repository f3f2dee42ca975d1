//! Makes locks: finds the packages that a definition means today and the signed chain that leads
//! to them.
//!
//! What depends on what is left to apt, in the version that the suite itself has: its resolver
//! knows of alternatives, virtual packages and versions, and whatever differed from it would
//! give other systems than users get. It is unpacked from verified packages and runs in the
//! sandbox without a network, on the verified index and a system without packages; so nothing of
//! the machine takes part.

mod closure;
mod resolver;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use repro_core::{digest::Digest, platform::Platform};

use self::resolver::Resolver;
use crate::{
    archive::{
        ArchiveError, ArchiveReader, IndexError, PackageIndex, SignedRelease, SourceIndex, Trust,
    },
    definition::{Definition, Method},
    fetch::Mirror,
    lock::{
        EntryPlatform, LockedInput, LockedPackage, LockedSourceFile, Phase, ToolchainLock,
        debian_architecture,
    },
    materialise::{MaterialiseError, Workshop},
    purl::SourcePurl,
};

/// The suite of an input that names none.
pub const DEFAULT_SUITE: &str = "bookworm";

/// The component of inputs.
const MAIN: &str = "main";

/// What is always part of an installed system: essential packages, and the promise that the tree
/// has its programs below `/usr`, without which the resolver would bring the package that moves
/// them there.
const ESSENTIAL: &str = "?essential";
const USR_IS_MERGED: &str = "usr-is-merged";

/// What makes such a system one that can be installed into.
const REQUIRED: &str = "?priority(required)";
const APT: &str = "apt";

/// Why a lock was not made.
#[derive(Debug, thiserror::Error)]
pub enum LockingError {
    /// The archive cannot be read or is not trusted.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An index has an entry that cannot be used.
    #[error("cannot use the index of {suite}")]
    Index {
        /// The suite.
        suite: String,
        /// Why.
        #[source]
        source: IndexError,
    },
    /// The archive is for other machines.
    #[error("{0} is no platform of Debian's archive")]
    Platform(Platform),
    /// What is asked for is not in the suite.
    #[error("{suite} {component} has no package {name} for {architecture}")]
    NoPackage {
        /// The suite.
        suite: String,
        /// The component.
        component: String,
        /// The package.
        name: String,
        /// The architecture.
        architecture: String,
    },
    /// The resolver finds no set of packages.
    #[error("cannot resolve the packages of {name}")]
    Resolve {
        /// The toolchain.
        name: String,
        /// The resolver's word.
        #[source]
        source: Box<MaterialiseError>,
    },
    /// The resolver answered with something else than a set that has what was asked for.
    #[error("the resolver's answer for {name} does not have {missing}")]
    Answer {
        /// The toolchain.
        name: String,
        /// What is missing.
        missing: String,
    },
    /// A source package is not in the suite in that version.
    #[error("{suite} has no source package {name} {version}{}", others(found))]
    NoSource {
        /// The suite.
        suite: String,
        /// The source package.
        name: String,
        /// The version asked for.
        version: String,
        /// The versions that it has.
        found: Vec<String>,
    },
}

fn others(found: &[String]) -> String {
    if found.is_empty() {
        String::new()
    } else {
        format!(", only {}", found.join(", "))
    }
}

/// Makes locks. All that one of it makes comes from one release of each suite.
pub struct Locksmith<'a> {
    workshop: Workshop<'a>,
    archive: ArchiveReader<'a>,
    releases: Once<String, SignedRelease>,
    packages: Once<(String, String, String), PackageIndex>,
    sources: Once<(String, String), SourceIndex>,
}

impl fmt::Debug for Locksmith<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locksmith")
            .field("archive", &self.archive)
            .finish_non_exhaustive()
    }
}

impl<'a> Locksmith<'a> {
    /// Makes locks of what `mirrors` have, asked in this order, as far as `trust` goes. The
    /// resolver runs by way of `workshop`.
    #[must_use]
    pub fn new(workshop: Workshop<'a>, mirrors: &'a [Mirror], trust: &'a Trust) -> Self {
        Self {
            archive: ArchiveReader {
                fetcher: workshop.fetcher,
                trust,
                mirrors,
                blobs: workshop.store.blobs(),
                events: workshop.events,
            },
            workshop,
            releases: Once::default(),
            packages: Once::default(),
            sources: Once::default(),
        }
    }

    /// The lock of `definition`, whose digest is `digest`.
    pub fn toolchain(
        &self,
        definition: &Definition,
        digest: Digest,
    ) -> Result<ToolchainLock, LockingError> {
        let Definition {
            name,
            suite,
            component,
            architecture,
            packages: wanted,
            ..
        } = definition;
        let release = self.release(suite)?;
        let index = self.packages(&release, component, architecture)?;
        if let Some(missing) = wanted
            .iter()
            .find(|name| !index.has(name) && index.providers(name).is_empty())
        {
            return Err(LockingError::NoPackage {
                suite: suite.clone(),
                component: component.clone(),
                name: missing.clone(),
                architecture: architecture.clone(),
            });
        }
        let resolver = self.resolver(&release, definition, &index)?;
        let resolve = |requests: &[Vec<String>]| {
            resolver
                .orders(requests)
                .map_err(|source| LockingError::Resolve {
                    name: name.clone(),
                    source: Box::new(source),
                })
        };
        let (order, bootstrap) = match definition.method {
            Method::Unpack => {
                let mut order = resolve(std::slice::from_ref(wanted))?.remove(0);
                order.retain(|(name, _)| wanted.contains(name));
                let bootstrap: BTreeSet<_> = order.iter().cloned().collect();
                (order, bootstrap)
            }
            Method::Install => {
                let mut base = vec![ESSENTIAL.to_owned()];
                if index.has(USR_IS_MERGED) {
                    base.push(USR_IS_MERGED.to_owned());
                }
                let mut whole = base.clone();
                whole.extend([REQUIRED.to_owned(), APT.to_owned()]);
                whole.extend(wanted.iter().cloned());
                let mut orders = resolve(&[base, whole])?;
                let order = orders.pop().unwrap_or_default();
                let bootstrap = orders.pop().unwrap_or_default().into_iter().collect();
                (order, bootstrap)
            }
        };
        let missing = |missing: &str| LockingError::Answer {
            name: name.clone(),
            missing: missing.to_owned(),
        };
        let real = |name: &&String| index.has(name);
        if let Some(name) = wanted
            .iter()
            .filter(real)
            .find(|wanted| !order.iter().any(|(name, _)| name == *wanted))
        {
            return Err(missing(name));
        }
        if let Some((name, _)) = bootstrap.iter().find(|one| !order.contains(one)) {
            return Err(missing(name));
        }
        let mut packages = Vec::with_capacity(order.len());
        for one in order {
            let found =
                index
                    .package(&one.0, Some(&one.1))
                    .map_err(|source| LockingError::Index {
                        suite: suite.clone(),
                        source,
                    })?;
            let found = found.ok_or_else(|| missing(&one.0))?;
            packages.push(LockedPackage {
                phase: if bootstrap.contains(&one) {
                    Phase::Bootstrap
                } else {
                    Phase::Install
                },
                name: found.name,
                version: found.version,
                architecture: found.architecture,
                file: found.file,
            });
        }
        Ok(ToolchainLock {
            name: name.clone(),
            definition: digest,
            platform: definition.platform(),
            epoch: release.date().epoch(),
            archive: release.chain(component, &PackageIndex::path(component, architecture))?,
            packages,
        })
    }

    /// The lock of an input.
    pub fn input(&self, purl: &SourcePurl) -> Result<LockedInput, LockingError> {
        let suite = purl.suite().unwrap_or(DEFAULT_SUITE);
        let release = self.release(suite)?;
        let key = (suite.to_owned(), MAIN.to_owned());
        let index = self
            .sources
            .get(key, || self.archive.sources(&release, MAIN))?;
        let in_index = |source| LockingError::Index {
            suite: suite.to_owned(),
            source,
        };
        let found = index
            .package(purl.name(), purl.version())
            .map_err(in_index)?;
        let Some(found) = found else {
            return Err(LockingError::NoSource {
                suite: suite.to_owned(),
                name: purl.name().to_owned(),
                version: purl.version().to_owned(),
                found: index.versions(purl.name()).map_err(in_index)?,
            });
        };
        let files = found.files.into_iter();
        Ok(LockedInput {
            purl: purl.clone(),
            platform: EntryPlatform::Any,
            archive: release.chain(MAIN, &SourceIndex::path(MAIN))?,
            files: files
                .map(|(name, file)| LockedSourceFile { name, file })
                .collect(),
        })
    }

    /// The release of a suite that this one's locks are made from.
    pub fn release(&self, suite: &str) -> Result<Arc<SignedRelease>, ArchiveError> {
        let key = suite.to_owned();
        self.releases.get(key, || self.archive.release(suite))
    }

    fn packages(
        &self,
        release: &SignedRelease,
        component: &str,
        architecture: &str,
    ) -> Result<Arc<PackageIndex>, ArchiveError> {
        let suite = release.suite().to_owned();
        let key = (suite, component.to_owned(), architecture.to_owned());
        self.packages.get(key, || {
            self.archive.packages(release, component, architecture)
        })
    }

    /// The suite's own apt for this machine, with the index of the definition.
    fn resolver(
        &self,
        release: &SignedRelease,
        definition: &Definition,
        index: &PackageIndex,
    ) -> Result<Resolver<'_>, LockingError> {
        let host = Platform::host();
        let own = debian_architecture(&host).ok_or_else(|| LockingError::Platform(host.clone()))?;
        // Apt is in main, whatever component the packages are in.
        let tools = self.packages(release, MAIN, own)?;
        let in_index = |source| LockingError::Index {
            suite: release.suite().to_owned(),
            source,
        };
        if let Some(missing) = resolver::PROGRAMS.iter().find(|name| !tools.has(name)) {
            return Err(LockingError::NoPackage {
                suite: release.suite().to_owned(),
                component: MAIN.to_owned(),
                name: (*missing).to_owned(),
                architecture: own.to_owned(),
            });
        }
        let programs = closure::of(&tools, &resolver::PROGRAMS).map_err(in_index)?;
        Resolver::new(&self.workshop, release, definition, index, &programs).map_err(|source| {
            LockingError::Resolve {
                name: definition.name.clone(),
                source: Box::new(source),
            }
        })
    }
}

/// What is found once and then kept.
struct Once<K, V>(Mutex<BTreeMap<K, Arc<V>>>);

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V> Once<K, V> {
    fn get<E>(&self, key: K, find: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(&key) {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(find()?);
        known.insert(key, Arc::clone(&value));
        Ok(value)
    }
}
