//! Where steps run: in the sandbox of this machine, or in containers of an engine.

use std::{error::Error as _, fmt, str::FromStr, sync::Arc};

use clap::Args;
use repro_core::{
    build::{Executor, Grants, Snapshotter},
    event::{Event, EventSink},
    store::Store,
};
use repro_engine::{Client, EngineExecutor, EngineKind, Pair, StoreId, find};
use repro_sandbox::{NativeExecutor, Snapshots, StageImage};

use crate::{ambient, commands::Context, error::CommandError};

/// `--executor` and `--snapshotter`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// Run the steps in the sandbox of this machine (native), or in containers of docker or podman; two
    /// names run the second time in the second one, as in native,docker. The image does not depend on it
    #[arg(long, value_name = "WHERE", default_value_t, env = "REPRO_EXECUTOR")]
    executor: ForRuns<Place>,
    /// How a step of the sandbox gets the tree that it starts from: with overlayfs (overlay), by copying its
    /// files (plain-copy: slower, and possible wherever the store is), or as the machine has it (auto); two
    /// names, as in overlay,plain-copy, are for the two runs. The image does not depend on it
    #[arg(long, value_name = "HOW", default_value_t, env = "REPRO_SNAPSHOTTER")]
    snapshotter: ForRuns<Snapshotting>,
}

/// Where one run's steps are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Native,
    Engine(EngineKind),
}

/// How steps of the sandbox get their trees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Snapshotting {
    #[default]
    Auto,
    Overlay,
    PlainCopy,
}

/// A value with a name, of few.
trait Named: Copy + PartialEq + 'static {
    const ALL: &[(&str, Self)];

    fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }
}

impl Named for Place {
    const ALL: &[(&str, Self)] = &[
        ("native", Self::Native),
        ("docker", Self::Engine(EngineKind::Docker)),
        ("podman", Self::Engine(EngineKind::Podman)),
    ];
}

impl Named for Snapshotting {
    const ALL: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("overlay", Self::Overlay),
        ("plain-copy", Self::PlainCopy),
    ];
}

impl Snapshotting {
    const fn snapshots(self) -> Snapshots {
        match self {
            Self::Auto => Snapshots::AsPossible,
            Self::Overlay => Snapshots::By(Snapshotter::Overlay),
            Self::PlainCopy => Snapshots::By(Snapshotter::PlainCopy),
        }
    }
}

/// One value for all runs, or one for run A and one for run B.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ForRuns<T> {
    first: T,
    second: Option<T>,
}

impl<T: Named> fmt::Display for ForRuns<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.first.name())?;
        match self.second {
            None => Ok(()),
            Some(second) => write!(f, ",{}", second.name()),
        }
    }
}

impl<T: Named> FromStr for ForRuns<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = |name: &str| {
            let found = T::ALL.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<&str> = T::ALL.iter().map(|(name, _)| *name).collect();
                format!("{name:?} is none of {}", names.join(", "))
            })
        };
        let (first, second) = match text.split_once(',') {
            None => (value(text)?, None),
            Some((first, second)) => (value(first)?, Some(value(second)?)),
        };
        Ok(Self {
            first,
            // The same twice is one.
            second: second.filter(|second| *second != first),
        })
    }
}

/// What runs the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Native(Snapshotting),
    Engine(EngineKind),
}

/// An executor for one run or for all.
enum Made {
    Native(Arc<NativeExecutor>),
    Engine(Arc<EngineExecutor>),
}

impl Made {
    fn executor(&self) -> Arc<dyn Executor> {
        match self {
            Self::Native(native) => native.clone(),
            Self::Engine(engine) => engine.clone(),
        }
    }

    const fn engine(&self) -> Option<&Arc<EngineExecutor>> {
        match self {
            Self::Native(_) => None,
            Self::Engine(engine) => Some(engine),
        }
    }
}

impl PlaceArgs {
    /// What the runs are run by; the second is `None` where it is the first.
    fn runners(&self) -> Result<(Runner, Option<Runner>), CommandError> {
        let runner = |place, snapshotting| match place {
            Place::Native => Runner::Native(snapshotting),
            Place::Engine(kind) => Runner::Engine(kind),
        };
        let ForRuns { first, second } = self.snapshotter;
        let a = runner(self.executor.first, first);
        let place = self.executor.second.unwrap_or(self.executor.first);
        let b = runner(place, second.unwrap_or(first));
        let used = |snapshotting| [a, b].contains(&Runner::Native(snapshotting));
        let asked = [Some(first), second].into_iter().flatten();
        if let Some(idle) = asked.into_iter().find(|asked| {
            let default = second.is_none() && *asked == Snapshotting::default();
            !default && !used(*asked)
        }) {
            let idle = idle.name();
            return Err(CommandError::usage(format!(
                "--snapshotter {idle} would do nothing: engines have their own way"
            ))
            .hint("leave it out, or let a run be native: --executor native"));
        }
        Ok((a, Some(b).filter(|b| *b != a)))
    }

    /// Gets ready what is asked for, with what steps are lent.
    pub(crate) fn executor(
        &self,
        context: &Context,
        store: &Store,
        grants: &Grants,
    ) -> Result<Arc<dyn Executor>, CommandError> {
        let (a, b) = self.runners()?;
        let maker = Maker {
            context,
            store,
            grants,
        };
        let a = maker.make(a)?;
        let Some(b) = b else {
            return Ok(a.executor());
        };
        let b = maker.make(b)?;
        let keeper = a.engine().or(b.engine()).cloned();
        Ok(Arc::new(Pair::new(a.executor(), b.executor(), keeper)))
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
}

impl Maker<'_> {
    fn make(&self, runner: Runner) -> Result<Made, CommandError> {
        let image = StageImage::capture()?;
        Ok(match runner {
            Runner::Native(snapshotting) => Made::Native(self.native(image, snapshotting)?),
            Runner::Engine(kind) => Made::Engine(self.engine(&image, kind)?),
        })
    }

    fn native(
        &self,
        image: StageImage,
        snapshotting: Snapshotting,
    ) -> Result<Arc<NativeExecutor>, CommandError> {
        let snapshots = snapshotting.snapshots();
        let executor = NativeExecutor::new(image, self.store.root(), snapshots)?;
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
            let read: ForRuns<Place> = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        let twice: ForRuns<Place> = "docker,docker".parse().unwrap();
        assert_eq!(twice.to_string(), "docker");
        for wrong in ["", "runc", "native,", "native,docker,podman", "Docker"] {
            assert!(wrong.parse::<ForRuns<Place>>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_run_has_what_is_asked_for_it() {
        let runners = |executor: &str, snapshotter: &str| {
            let args = PlaceArgs {
                executor: executor.parse().unwrap(),
                snapshotter: snapshotter.parse().unwrap(),
            };
            args.runners().ok()
        };
        let native = Runner::Native;
        let docker = Runner::Engine(EngineKind::Docker);
        for (executor, snapshotter, expected) in [
            ("native", "auto", Some((native(Snapshotting::Auto), None))),
            (
                "native",
                "overlay,plain-copy",
                Some((
                    native(Snapshotting::Overlay),
                    Some(native(Snapshotting::PlainCopy)),
                )),
            ),
            ("docker", "auto", Some((docker, None))),
            (
                "native,docker",
                "plain-copy",
                Some((native(Snapshotting::PlainCopy), Some(docker))),
            ),
            (
                "docker,native",
                "overlay",
                Some((docker, Some(native(Snapshotting::Overlay)))),
            ),
            // What an engine does is its own.
            ("docker", "overlay", None),
            ("native,docker", "overlay,plain-copy", None),
            ("docker,podman", "plain-copy", None),
        ] {
            assert_eq!(
                runners(executor, snapshotter),
                expected,
                "{executor} {snapshotter}"
            );
        }
    }
}
