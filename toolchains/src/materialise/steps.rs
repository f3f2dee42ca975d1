//! Runs the programs that make a tree a system.

use std::{
    io::{self, BufReader, BufWriter, Seek as _},
    sync::{Mutex, PoisonError},
};

use repro_core::{
    build::{
        InvocationId, LayerPolicy, RunId, RunSpec, SnapshotName, StepAction, StepExit,
        StepObserver, StepSpec, Variation,
    },
    digest::{ChainId, DiffId, Digest, HashingWriter},
    epoch::{Epoch, Tick},
    layer::{FlatTree, LayerReader, LayerWriter, Limits},
    store::RunDir,
    tree::EntrySink,
};

use super::{MaterialiseError, PATH, Task, Workshop, bootstrap::package_path, spool};
use crate::{
    definition::{Method, PinnedToolchain},
    lock::Phase,
};

/// How much of a program's output an error shows.
const OUTPUT_SHOWN: usize = 8 << 10;

/// Longest part of the caller's invocation id in that of the steps: 64 less a dash and twelve
/// digits of the lock.
const INVOCATION_KEPT: usize = 51;

/// The programs of a toolchain with their arguments, in order.
pub(super) fn programs(toolchain: &PinnedToolchain) -> Vec<Vec<String>> {
    let mut programs = Vec::new();
    if toolchain.definition.method == Method::Install {
        for phase in [Phase::Bootstrap, Phase::Install] {
            let all = toolchain.lock.packages.iter().enumerate();
            let paths: Vec<String> = all
                .filter(|(_, package)| package.phase == phase)
                .map(|(index, package)| package_path(index, package))
                .collect();
            if paths.is_empty() {
                continue;
            }
            programs.push(words(&UNPACK).chain(paths).collect());
            programs.push(words(&CONFIGURE).collect());
        }
    }
    programs.extend(toolchain.definition.tree.run.iter().cloned());
    programs
}

/// Unpacks packages. Some want others to be configured before (`Pre-Depends`), which apt sees to
/// by calling dpkg a dozen times; with --force-depends dpkg only warns. What they wanted is
/// there all the same: unpacked in the same call, or configured in the phase before. Without
/// fsync, since a machine that fails here leaves no snapshot anyway.
const UNPACK: [&str; 4] = ["dpkg", "--force-unsafe-io", "--force-depends", "--unpack"];

/// Configures what was unpacked, in the order of dependencies. Not forced: a package without
/// what it depends on is a mistake in the lock.
const CONFIGURE: [&str; 4] = ["dpkg", "--force-unsafe-io", "--configure", "--pending"];

fn words(words: &[&str]) -> impl Iterator<Item = String> {
    words.iter().map(|word| (*word).to_owned())
}

/// The environment of every program: nothing of the caller's, nobody to answer questions.
fn environment(epoch: Epoch) -> Vec<(String, String)> {
    let epoch = epoch.seconds().to_string();
    [
        ("PATH", PATH),
        ("HOME", "/root"),
        ("LC_ALL", "C.UTF-8"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("DEBCONF_NOWARNINGS", "yes"),
        ("SOURCE_DATE_EPOCH", &epoch),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Runs programs on trees that are no image yet.
pub(crate) struct Steps<'a> {
    workshop: &'a Workshop<'a>,
    /// What is made, for messages.
    name: &'a str,
    epoch: Epoch,
    invocation: InvocationId,
    /// Locked while the steps run: another process that starts would otherwise take their trees
    /// for those of a killed one.
    scratch: RunDir,
}

impl<'a> Steps<'a> {
    /// For making `name`, which `digest` tells from everything else that is made on behalf of
    /// the same invocation.
    pub(crate) fn new(
        workshop: &'a Workshop<'a>,
        name: &'a str,
        digest: Digest,
        epoch: Epoch,
    ) -> Result<Self, MaterialiseError> {
        // Its own id, so that discarding these steps leaves the caller's alone.
        let caller = workshop.invocation.to_string();
        let kept = &caller[..caller.len().min(INVOCATION_KEPT)];
        let id = format!("{kept}-{}", digest.short());
        let invocation = InvocationId::try_from(id).map_err(|error| MaterialiseError::Tree {
            name: name.to_owned(),
            source: io::Error::other(error),
        })?;
        let scratch = workshop.store.create_run(&invocation)?;
        Ok(Self {
            workshop,
            name,
            epoch,
            invocation,
            scratch,
        })
    }

    /// Runs `programs` on `tree`, one after the other, and puts what they change on top of it.
    pub(super) fn run(
        &self,
        tree: &mut FlatTree,
        programs: &[Vec<String>],
        task: &Task<'_>,
    ) -> Result<(), MaterialiseError> {
        let mut parents = vec![SnapshotName::Stored(self.unpack(tree)?)];
        task.advance();
        let mut tick = Tick::FIRST;
        for (index, argv) in (0..).zip(programs) {
            let spec = self.spec(&parents, index, tick, argv);
            self.step(tree, &spec, argv)?;
            parents.push(spec.output);
            tick = tick.next()?;
            task.advance();
        }
        Ok(())
    }

    /// Step `index` on top of `parents`: one program with its arguments.
    pub(crate) fn spec(
        &self,
        parents: &[SnapshotName],
        index: u32,
        tick: Tick,
        argv: &[String],
    ) -> StepSpec {
        StepSpec {
            parents: parents.to_vec(),
            output: SnapshotName::Step {
                invocation: self.invocation.clone(),
                run: RunId::Setup,
                index,
            },
            action: StepAction::Run(RunSpec {
                argv: argv.to_vec(),
                env: environment(self.epoch),
                cwd: "/".into(),
                user: String::new(),
                mounts: Vec::new(),
                settings: Box::default(),
                secret_env: Vec::new(),
                script: None,
            }),
            layer: LayerPolicy {
                epoch: self.epoch,
                tick,
            },
        }
    }

    /// Removes what the steps left.
    pub(crate) fn discard(self) -> Result<(), MaterialiseError> {
        let result = self.workshop.executor.discard(&self.invocation);
        result.map_err(|source| MaterialiseError::Executor {
            program: "the removal of what the steps left".into(),
            source,
        })?;
        Ok(self.scratch.remove()?)
    }

    fn in_tree(&self, source: io::Error) -> MaterialiseError {
        MaterialiseError::Tree {
            name: self.name.to_owned(),
            source,
        }
    }

    /// Gives the tree to the executor. Not through the store: nobody will ask for this tar again.
    pub(crate) fn unpack(&self, tree: &mut FlatTree) -> Result<ChainId, MaterialiseError> {
        let in_tree = |source| self.in_tree(source);
        let file = spool(self.workshop.store).map_err(in_tree)?;
        let hashing = HashingWriter::new(BufWriter::new(file));
        let mut writer = LayerWriter::new(hashing, self.workshop.ruleset);
        tree.write_to(&mut writer).map_err(in_tree)?;
        let (digest, _, buffered) = writer.finish().map_err(in_tree)?.finish();
        let mut file = buffered
            .into_inner()
            .map_err(|error| in_tree(error.into_error()))?;
        file.rewind().map_err(in_tree)?;
        let chain = ChainId::base(DiffId(digest));
        let mut reader = LayerReader::new(BufReader::new(file), Limits::default());
        let executor = self.workshop.executor;
        executor
            .unpack(&[], chain, &mut reader)
            .map_err(|source| MaterialiseError::Executor {
                program: "the unpacking of packages".into(),
                source,
            })?;
        Ok(chain)
    }

    /// Runs one program; its change set goes to `layer`, what it prints to `log`.
    pub(crate) fn execute(
        &self,
        spec: &StepSpec,
        argv: &[String],
        layer: &mut dyn EntrySink,
        log: &impl Log,
    ) -> Result<(), MaterialiseError> {
        // Arguments are a hundred paths; the program's name says which step it was.
        let program = argv.first().cloned().unwrap_or_default();
        let executor = self.workshop.executor;
        let result = executor
            .run(spec, &Variation::run_a(), None, layer, log)
            .map_err(|source| MaterialiseError::Executor {
                program: program.clone(),
                source,
            })?;
        if result.exit == StepExit::Success {
            return Ok(());
        }
        Err(MaterialiseError::Failed {
            program,
            exit: result.exit,
            output: log.end(),
        })
    }

    fn step(
        &self,
        tree: &mut FlatTree,
        spec: &StepSpec,
        argv: &[String],
    ) -> Result<(), MaterialiseError> {
        let in_tree = |source| self.in_tree(source);
        let file = spool(self.workshop.store).map_err(in_tree)?;
        let mut layer = LayerWriter::new(BufWriter::new(file), self.workshop.ruleset);
        let log = Tail::default();
        self.execute(spec, argv, &mut layer, &log)?;
        let buffered = layer.finish().map_err(in_tree)?;
        let mut file = buffered
            .into_inner()
            .map_err(|error| in_tree(error.into_error()))?;
        file.rewind().map_err(in_tree)?;
        let mut reader = LayerReader::new(BufReader::new(file), Limits::default());
        tree.apply(&mut reader).map_err(in_tree)
    }
}

/// Keeps the end of what a program prints.
#[derive(Default)]
pub(crate) struct Tail(Mutex<Vec<u8>>);

impl Tail {
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = &kept[kept.len().saturating_sub(OUTPUT_SHOWN)..];
        let text = String::from_utf8_lossy(shown);
        let harmless = |c: &char| !c.is_control() || *c == '\n';
        text.trim_end().chars().filter(harmless).collect()
    }
}

/// Keeps what a program prints.
pub(crate) trait Log: StepObserver {
    /// The end of it, for people.
    fn end(&self) -> String;
}

impl Log for Tail {
    fn end(&self) -> String {
        self.text()
    }
}

impl StepObserver for Tail {
    fn output(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        // Cut now and then only, so that each byte is moved a bounded number of times.
        if kept.len() > 4 * OUTPUT_SHOWN {
            let cut = kept.len() - OUTPUT_SHOWN;
            kept.drain(..cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::shipped;

    #[test]
    fn packages_are_installed_in_the_order_of_the_lock() {
        let toolchain = shipped("debian-c").unwrap().unwrap();
        let programs = programs(&toolchain);
        let [first, configure_first, second, configure_second] = &programs[..] else {
            panic!("{}", programs.len());
        };
        for unpack in [first, second] {
            assert_eq!(unpack[..4], UNPACK);
            assert!(unpack[4..].is_sorted());
        }
        assert_eq!([&configure_first[..], configure_second], [CONFIGURE; 2]);
        let count = first.len() + second.len() - 8;
        assert_eq!(count, toolchain.lock.packages.len());
        assert!(
            first[4].starts_with("/var/cache/repro/0000_"),
            "{}",
            first[4]
        );
    }

    #[test]
    fn the_end_of_the_output_is_kept() {
        let tail = Tail::default();
        for number in 0..20_000 {
            tail.output(format!("line {number}\x1b\n").as_bytes());
        }
        let text = tail.text();
        assert!(text.ends_with("line 19999"), "{text}");
        assert!(text.len() <= OUTPUT_SHOWN);
        assert!(!text.contains('\x1b'));
    }
}
