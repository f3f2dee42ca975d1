//! Where steps run: in the sandbox of this machine, or in containers of an engine.

use std::{error::Error as _, fmt, str::FromStr, sync::Arc};

use clap::Args;
use repro_core::{
    build::{Executor, Grants},
    event::{Event, EventSink},
    store::Store,
};
use repro_engine::{Client, EngineExecutor, EngineKind, Pair, StoreId, find};
use repro_sandbox::{NativeExecutor, Snapshots, StageImage};

use crate::{
    ambient,
    commands::{Context, build::SnapshotterArg},
    error::CommandError,
};

/// `--executor` and `--snapshotter`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// Run the steps in the sandbox of this machine (native), or in containers of docker or podman; two
    /// names run the second time in the second one, as in native,docker. The image does not depend on it
    #[arg(long, value_name = "WHERE", default_value_t, env = "REPRO_EXECUTOR")]
    executor: ExecutorArg,
    /// How a step of the sandbox gets the tree that it starts from. The image does not depend on it
    #[arg(long, value_enum, default_value_t, env = "REPRO_SNAPSHOTTER")]
    snapshotter: SnapshotterArg,
}

/// Where one run's steps are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Native,
    Engine(EngineKind),
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Engine(EngineKind::Docker) => "docker",
            Self::Engine(EngineKind::Podman) => "podman",
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = [
            Self::Native,
            Self::Engine(EngineKind::Docker),
            Self::Engine(EngineKind::Podman),
        ];
        let mut known = known.into_iter();
        known
            .find(|place| place.name() == name)
            .ok_or_else(|| format!("{name:?} is none of native, docker and podman"))
    }
}

/// One place for all runs, or one for run A and one for run B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExecutorArg {
    first: Place,
    second: Option<Place>,
}

impl Default for ExecutorArg {
    fn default() -> Self {
        Self {
            first: Place::Native,
            second: None,
        }
    }
}

impl fmt::Display for ExecutorArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.first.name())?;
        match self.second {
            None => Ok(()),
            Some(second) => write!(f, ",{}", second.name()),
        }
    }
}

impl FromStr for ExecutorArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, second) = match text.split_once(',') {
            None => (text.parse()?, None),
            Some((first, second)) => (first.parse()?, Some(second.parse()?)),
        };
        Ok(Self {
            first,
            // The same twice is one.
            second: second.filter(|second| *second != first),
        })
    }
}

impl PlaceArgs {
    /// Gets ready what is asked for, with what steps are lent.
    pub(crate) fn executor(
        &self,
        context: &Context,
        store: &Store,
        grants: &Grants,
    ) -> Result<Arc<dyn Executor>, CommandError> {
        let image = StageImage::capture()?;
        let maker = Maker {
            context,
            store,
            grants,
            snapshots: self.snapshotter.snapshots(),
        };
        let ExecutorArg { first, second } = self.executor;
        let Some(second) = second else {
            return Ok(match first {
                Place::Native => maker.native(image)?,
                Place::Engine(kind) => maker.engine(&image, kind)?,
            });
        };
        let (a, b): (Arc<dyn Executor>, Arc<dyn Executor>);
        let keeper = match (first, second) {
            (Place::Engine(first), Place::Engine(second)) => {
                let (one, other) = (maker.engine(&image, first)?, maker.engine(&image, second)?);
                (a, b) = (one.clone(), other);
                one
            }
            (Place::Engine(first), Place::Native) => {
                let engine = maker.engine(&image, first)?;
                (a, b) = (engine.clone(), maker.native(image)?);
                engine
            }
            (Place::Native, Place::Engine(second)) => {
                let engine = maker.engine(&image, second)?;
                (a, b) = (maker.native(image)?, engine.clone());
                engine
            }
            (Place::Native, Place::Native) => return Ok(maker.native(image)?),
        };
        Ok(Arc::new(Pair::new(a, b, keeper)))
    }
}

/// What tells containers of this store from those of others.
pub(crate) fn store_id(store: &Store) -> Result<StoreId, CommandError> {
    Ok(StoreId::of(store.root(), ambient::fill_random)?)
}

struct Maker<'a> {
    context: &'a Context,
    store: &'a Store,
    grants: &'a Grants,
    snapshots: Snapshots,
}

impl Maker<'_> {
    fn native(&self, image: StageImage) -> Result<Arc<NativeExecutor>, CommandError> {
        let executor = NativeExecutor::new(image, self.store.root(), self.snapshots)?;
        if let Some(refused) = executor.overlay_refused() {
            let errno = refused.source().map(|errno| format!(" ({errno})"));
            self.context.settings.output.warning(&format!(
                "overlayfs is refused in the store{}: steps start from plain copies, which takes longer \
                 and needs more room; `repro doctor` says more",
                errno.unwrap_or_default()
            ));
        }
        Ok(Arc::new(executor.with_grants(self.grants.clone())))
    }

    fn engine(
        &self,
        image: &StageImage,
        kind: EngineKind,
    ) -> Result<Arc<EngineExecutor>, CommandError> {
        let client = Client::connect(&find(Some(kind), &ambient::engines())?)?;
        let places = (self.store.root(), self.store.blobs().tmp());
        // Loading an image is part of a step, which has its own place on the screen.
        let events = Arc::new(Silent);
        let executor = EngineExecutor::new(client, image, places, &store_id(self.store)?, events)?;
        Ok(Arc::new(executor.with_grants(self.grants.clone())))
    }
}

/// Takes events for nobody.
struct Silent;

impl EventSink for Silent {
    fn event(&self, _event: Event) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["native", "docker", "native,docker", "podman,native"] {
            assert_eq!(text.parse::<ExecutorArg>().unwrap().to_string(), text);
        }
        assert_eq!(
            "docker,docker".parse::<ExecutorArg>().unwrap().to_string(),
            "docker"
        );
        for wrong in ["", "runc", "native,", "native,docker,podman", "Docker"] {
            assert!(wrong.parse::<ExecutorArg>().is_err(), "{wrong}");
        }
    }
}
