//! Everything that a step needs from the machine, tried with steps.

use std::io;

use repro_core::{
    build::{
        Executor as _, ExecutorError, InvocationId, LayerPolicy, MakeDirSpec, RunId, RunSpec,
        SnapshotName, StepAction, StepObserver, StepSpec, Variation,
    },
    epoch::{Epoch, Tick},
    tree::{Entry, EntrySink},
};

use super::NativeExecutor;

/// Made by the first step.
const DIRECTORY: &str = "/probe";
/// Made by the second one, for which overlayfs copies the first one up: an unfit file system cannot.
const INNER: &str = "/probe/inner";
/// A program that no tree of the probe has.
const ABSENT: &str = "/probe/no-such-program";

impl NativeExecutor {
    /// Tries everything that a step needs from the machine. `invocation` is discarded afterwards.
    ///
    /// The last step's tree has no program. That one is missed is the last thing that can fail, after
    /// the mounts, the limits and the filter, so nothing before it did.
    pub fn probe(&self, invocation: &InvocationId) -> Result<(), ExecutorError> {
        let result = self.try_steps(invocation);
        let discarded = self.discard(invocation);
        result.and(discarded)
    }

    fn try_steps(&self, invocation: &InvocationId) -> Result<(), ExecutorError> {
        let tree = |index| SnapshotName::Step {
            invocation: invocation.clone(),
            run: RunId::Setup,
            index,
        };
        let make = |path: &str| {
            StepAction::MakeDir(MakeDirSpec {
                path: path.to_owned(),
                owner: String::new(),
            })
        };
        let run = StepAction::Run(RunSpec {
            script: None,
            mounts: Vec::new(),
            settings: Box::default(),
            secret_env: Vec::new(),
            argv: vec![ABSENT.to_owned()],
            env: Vec::new(),
            cwd: INNER.to_owned(),
            user: String::new(),
        });
        let step = |index, action| {
            let spec = StepSpec {
                parents: (0..index).map(tree).collect(),
                output: tree(index),
                action,
                layer: LayerPolicy {
                    epoch: Epoch::MIN,
                    tick: Tick::FIRST,
                },
            };
            self.run(&spec, &Variation::run_a(), None, &mut Nowhere, &Nowhere)
        };
        step(0, make(DIRECTORY))?;
        step(1, make(INNER))?;
        match step(2, run) {
            Err(ExecutorError::Refused(what)) if what.contains(ABSENT) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(ExecutorError::Internal {
                what: "an empty tree ran a program".to_owned(),
                source: None,
            }),
        }
    }
}

/// Takes layers and output, and keeps nothing.
struct Nowhere;

impl EntrySink for Nowhere {
    fn entry(&mut self, _: &Entry, content: &mut dyn io::Read) -> io::Result<()> {
        io::copy(content, &mut io::sink()).map(drop)
    }
}

impl StepObserver for Nowhere {
    fn output(&self, _: &[u8]) {}
}
