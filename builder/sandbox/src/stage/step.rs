//! One step: its tree is put together, something happens in it, and what changed goes out.

use std::{
    io::Write as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use repro_core::build::{
    Caller, DeviceNumber, Hindrances, LayerPolicy, NetworkObservation, Normalisation, Placement,
    Snapshotter, StepExit, StepResult, Usage, Variation,
};
use repro_core::tree::TreePath;
use rustix::{
    fs::{Mode, mkdirat},
    process::umask,
};

use super::{
    Session,
    enter::{Isolation, become_root, namespaces_with, open_tree},
    faults::{remove_failure, tree_failure},
    job::{
        TREE_DIR, borrowed, entry_writer, existing_dir, keep_owners, lower_view, make_dir,
        open_trees,
    },
    mounts::{Ingredients, Mounts, WRITTEN_DIR},
    overlay::{Fill, MERGED_DIR, Scratch, Stacked, Writable, unstack},
    program::{self, Given},
    stubs,
};
use crate::{
    channel::Channel,
    protocol::{Action, During, Failure, FailureKind, Notice, Program, StepJob},
    trace::TracerProcess,
    tree::{self, Content, DiffRequest, Ids, Merged, Root, TimeRule},
};

/// Overlayfs's own directory, beside the tree of a step.
const WORK_DIR: &str = "work";
/// Places that the sandbox fills, beside the tree of a step.
const STUB_DIR: &str = "stub";
/// The source of a copy that has none, beside the tree of a step.
const NOTHING_DIR: &str = "nothing";
/// Name of the mounted tree in the scratch space.
const ROOT: &str = "root";

/// The trees of a step.
struct Trees<'a> {
    ids: Ids<'a>,
    scratch: Scratch<'a>,
    /// Below, lowest first.
    parents: Vec<OwnedFd>,
    /// The same, merged and read-only.
    lower: Option<OwnedFd>,
    /// The run's directory in the store.
    run: OwnedFd,
    /// The step's directory in it.
    own: OwnedFd,
    /// What the step changes.
    upper: OwnedFd,
    work: OwnedFd,
}

/// What happened in the tree.
struct Happened {
    exit: StepExit,
    network: NetworkObservation,
    hindrances: Hindrances,
    cpu_ms: u64,
    peak_rss_bytes: u64,
    /// Sockets that a copy passed over.
    sockets: u64,
    /// What the sandbox put there.
    provided: Vec<TreePath>,
    times: TimeRule,
}

pub(super) fn perform(
    job: &StepJob,
    session: Session,
    ids: Ids<'_>,
) -> Result<StepResult, Failure> {
    let started = Instant::now();
    if job.variation.caller == Caller::Canaries {
        // The environment came with the process.
        umask(Mode::from_raw_mode(Variation::CALLER_UMASK));
    }
    let isolation = match job.action {
        Action::Run(_) => Isolation::Program {
            boot_offset_s: job.variation.boot_offset_s,
        },
        Action::Copy { .. } | Action::MakeDir(_) => Isolation::Trees,
    };
    let (store, tracer) =
        namespaces_with(&session.control, &session.root, isolation, || tracer(job))?;
    let parents = open_trees(&store, &job.parents, ids)?;
    // While directories of the store can still be opened. A copy has one source, a program one for
    // each of its mounts.
    let sources = match &job.action {
        Action::Copy { trees, .. } => vec![open_trees(&store, trees, ids)?],
        Action::Run(spec) => spec
            .mounts
            .iter()
            .map(|mount| open_trees(&store, mount.trees().map_or(&[], Vec::as_slice), ids))
            .collect::<Result<_, _>>()?,
        Action::MakeDir(_) => Vec::new(),
    };
    let invocation = open_tree(&store, &job.directory)?;
    become_root(session.users)?;
    let (run, own) = own_directory(&invocation, &job.names)?;
    let mut scratch = Scratch::mount(own.as_fd(), &own, job.snapshotter, ids)?;
    let lower = lower_view(&mut scratch, &parents)?;
    let upper = make_dir(&own, TREE_DIR)?;
    tree::prepare_upper(
        Root::with(upper.as_fd(), ids),
        lower.as_ref().map(|lower| Root::with(lower.as_fd(), ids)),
    )
    .map_err(|error| tree_failure(&error))?;
    let work = make_dir(&own, WORK_DIR)?;
    let mut trees = Trees {
        ids,
        scratch,
        parents,
        lower,
        run,
        own,
        upper,
        work,
    };
    let Session {
        control,
        stream,
        log,
        ..
    } = session;
    let happened = match &job.action {
        Action::Run(spec) => {
            let log = log.ok_or_else(|| {
                Failure::new(FailureKind::Internal, "a program was given no log", None)
            })?;
            trees.run(spec, &sources, job, log, &control, tracer)?
        }
        Action::Copy { spec, .. } => {
            let sources = sources.first().map_or(&[][..], Vec::as_slice);
            trees.copy(spec, sources, job.layer, log)?
        }
        Action::MakeDir(spec) => {
            // It prints nothing, and its end is waited for before the layer is read.
            drop(log);
            trees.with_root(|root| {
                tree::make_dir(Root::with(root, ids), &spec.path, &spec.owner, job.layer)
                    .map_err(|error| tree_failure(&error))
            })?;
            // WORKDIR gives what it makes the time of the tick; a directory that was there is left
            // alone, so a time that differs is one that was made.
            Happened::without_program(0, TimeRule::Counts)
        }
    };
    let mut normalised = match happened.exit {
        StepExit::Success => trees.send_layer(&happened, job.layer, stream)?,
        StepExit::Code(_) | StepExit::Signal(_) => std::collections::BTreeMap::new(),
    };
    trees.take_view()?;
    if happened.sockets > 0 {
        *normalised.entry(Normalisation::DropSocket).or_default() += happened.sockets;
    }
    Ok(StepResult {
        exit: happened.exit,
        network: happened.network,
        hindrances: happened.hindrances,
        normalised,
        usage: Usage {
            wall_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            cpu_ms: happened.cpu_ms,
            peak_rss_bytes: happened.peak_rss_bytes,
        },
    })
}

/// Who will trace the job's program, if its clock is shifted.
fn tracer(job: &StepJob) -> Result<Option<TracerProcess>, Failure> {
    match (&job.action, job.variation.clock_shift_s) {
        (Action::Copy { .. } | Action::MakeDir(_), _) | (Action::Run(_), 0) => Ok(None),
        (Action::Run(_), shift) => TracerProcess::start(shift).map(Some).during("fork()"),
    }
}

/// Makes and opens the directories of the run and of the step, which are in that of the invocation.
/// The step's is new: a tree is never written twice.
fn own_directory(
    invocation: &OwnedFd,
    [run, step]: &[String; 2],
) -> Result<(OwnedFd, OwnedFd), Failure> {
    let run = existing_dir(invocation, run)?;
    let mode = Mode::from_raw_mode(0o700);
    mkdirat(&run, step, mode).during(&format!("mkdir({step:?}, 0700)"))?;
    let step = open_tree(&run, step)?;
    Ok((run, step))
}

/// Lets the orchestrator serve the step's agents. The sockets stay open there, and nowhere else.
fn hand_over(listeners: Vec<OwnedFd>, control: &Channel) -> Result<(), Failure> {
    if listeners.is_empty() {
        return Ok(());
    }
    let sent = control.send(&Notice::Agents, &borrowed(&listeners));
    drop(listeners);
    sent.map_err(|_| Failure::new(FailureKind::Cancelled, "the orchestrator is gone", None))
}

impl Trees<'_> {
    fn run(
        &mut self,
        spec: &Program,
        sources: &[Vec<OwnedFd>],
        job: &StepJob,
        log: OwnedFd,
        control: &Channel,
        tracer: Option<TracerProcess>,
    ) -> Result<Happened, Failure> {
        let stub = make_dir(&self.own, STUB_DIR)?;
        let mut stubs = stubs::write(
            &stub,
            self.lower.as_ref().map(AsFd::as_fd),
            (&job.variation.hostname, &spec.settings.hosts),
            job.layer.epoch,
            self.ids,
        )?;
        let ingredients = Ingredients {
            specs: &spec.mounts,
            trees: sources,
            secrets: &job.secrets,
            lower: self.lower.as_ref().map(AsFd::as_fd),
            ids: self.ids,
            stub: &stub,
            run: &self.run,
            own: &self.own,
        };
        let mut mounts = Mounts::prepare(&ingredients, &mut self.scratch)?;
        stubs.provided.append(&mut mounts.provided);
        hand_over(std::mem::take(&mut mounts.listeners), control)?;
        let mut below = borrowed(&self.parents);
        below.push(stub.as_fd());
        let writable = Writable {
            upper: self.upper.as_fd(),
            work: self.work.as_fd(),
            fill: Fill::From(Content::Copied),
            device: job.variation.device,
        };
        let Stacked { root, merged } = self.scratch.stack(ROOT, &below, Some(writable))?;
        // One that an earlier step removed, or that a base names and does not have, is made again, as
        // BuildKit does.
        tree::make_dir(self.tree(&root), &spec.cwd, &spec.user, job.layer)
            .map_err(|error| tree_failure(&error))?;
        let given = Given {
            spec,
            secrets: &job.secrets,
            network: job.network.as_ref(),
            variation: &job.variation,
            stubs: &stubs,
            attachments: std::mem::take(&mut mounts.attachments),
            ids: self.ids,
            tracer,
        };
        let ended = program::run(given, root, log, control)?;
        mounts.take_away()?;
        self.take_away(merged.as_ref(), &[WORK_DIR, STUB_DIR, WRITTEN_DIR])?;
        Ok(Happened {
            exit: ended.exit,
            network: ended.network,
            hindrances: ended.hindrances,
            cpu_ms: ended.cpu_ms,
            peak_rss_bytes: ended.peak_rss_bytes,
            sockets: 0,
            provided: stubs.provided,
            times: TimeRule::Counts,
        })
    }

    fn copy(
        &mut self,
        spec: &repro_core::build::CopySpec,
        sources: &[OwnedFd],
        layer: LayerPolicy,
        log: Option<OwnedFd>,
    ) -> Result<Happened, Failure> {
        // A mount without trees is none; it is only files of the Dockerfile that come from nowhere.
        let source = if sources.is_empty() {
            make_dir(&self.own, NOTHING_DIR)?
        } else {
            self.scratch.stack("source", &borrowed(sources), None)?.root
        };
        let report = match spec.placement {
            Placement::Merged => {
                let ids = self.ids;
                self.with_root(|root| {
                    let source = Root::with(source.as_fd(), ids);
                    let root = Root::with(root, ids);
                    tree::copy(spec, source, root, root, layer)
                        .map_err(|error| tree_failure(&error))
                })?
            }
            Placement::Linked => {
                // What the destination is laid over it does not see. Only names of users come from
                // there: in BuildKit they come from nowhere and cannot be used.
                let upper = self.tree(&self.upper);
                let names = self.lower().unwrap_or(upper);
                let report = tree::copy(spec, self.tree(&source), upper, names, layer)
                    .map_err(|error| tree_failure(&error))?;
                self.take_leftovers(&[WORK_DIR])?;
                report
            }
        };
        self.take_leftovers(&[NOTHING_DIR])?;
        if let Some(log) = log {
            let mut log = std::fs::File::from(log);
            for pattern in &report.unmatched {
                // Docker too says nothing more than this, and goes on.
                writeln!(log, "no source matches {pattern:?}")
                    .map_err(|error| Failure::io("write(log)", &error))?;
            }
        }
        Ok(Happened::without_program(report.sockets, TimeRule::Ignored))
    }

    /// Does something in the mounted tree, without a program.
    fn with_root<T>(
        &mut self,
        work: impl FnOnce(BorrowedFd<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let writable = Writable {
            upper: self.upper.as_fd(),
            work: self.work.as_fd(),
            // Nothing here writes into a file that is there: each is made anew.
            fill: Fill::From(Content::Linked),
            // No program looks.
            device: DeviceNumber::OfStore,
        };
        let Stacked { root, merged } =
            self.scratch
                .stack(ROOT, &borrowed(&self.parents), Some(writable))?;
        let done = work(root.as_fd())?;
        drop(root);
        self.take_away(merged.as_ref(), &[WORK_DIR])?;
        Ok(done)
    }

    fn tree<'a>(&'a self, directory: &'a OwnedFd) -> Root<'a> {
        Root::with(directory.as_fd(), self.ids)
    }

    fn lower(&self) -> Option<Root<'_>> {
        self.lower.as_ref().map(|lower| self.tree(lower))
    }

    /// Unmounts the tree; what is left are the changes.
    fn take_away(&self, merged: Option<&Merged>, leftovers: &[&str]) -> Result<(), Failure> {
        unstack(ROOT)?;
        if let Some(merged) = merged {
            tree::distill(self.lower(), self.tree(&self.upper), merged)
                .map_err(|error| tree_failure(&error))?;
        }
        self.take_leftovers(leftovers)
    }

    /// Removes the merged view of the parents, where that is of files.
    fn take_view(self) -> Result<(), Failure> {
        match self.scratch.snapshotter() {
            Snapshotter::Overlay => Ok(()),
            Snapshotter::PlainCopy | Snapshotter::Engine => self.take_leftovers(&[MERGED_DIR]),
        }
    }

    fn take_leftovers(&self, leftovers: &[&str]) -> Result<(), Failure> {
        for name in leftovers {
            tree::remove_tree(self.own.as_fd(), name.as_bytes())
                .map_err(|error| remove_failure(&error))?;
        }
        Ok(())
    }

    fn send_layer(
        &self,
        happened: &Happened,
        policy: LayerPolicy,
        stream: OwnedFd,
    ) -> Result<std::collections::BTreeMap<Normalisation, u64>, Failure> {
        let mut writer = entry_writer(stream);
        let request = DiffRequest {
            lower: self.lower(),
            upper: self.tree(&self.upper),
            policy,
            times: happened.times,
            provided: &happened.provided,
        };
        let normalised = tree::diff(request, &mut writer).map_err(|error| tree_failure(&error))?;
        keep_owners(&self.own, self.tree(&self.upper), self.ids)?;
        writer
            .finish(&[])
            .map_err(|error| Failure::io("write(layer)", &error))?;
        Ok(normalised)
    }
}

impl Happened {
    fn without_program(sockets: u64, times: TimeRule) -> Self {
        Self {
            exit: StepExit::Success,
            network: NetworkObservation::default(),
            hindrances: Hindrances::default(),
            cpu_ms: 0,
            peak_rss_bytes: 0,
            sockets,
            provided: Vec::new(),
            times,
        }
    }
}
