//! The orchestrator's half of the talk with a helper.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufReader, BufWriter, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use repro_core::{
    build::{
        ExecutorError, NetworkKit, SecretValue, StepAction, StepExit, StepObserver, StepResult,
        StepSpec, Variation,
    },
    tree::{EntryReader, EntrySink, EntrySource, EntryWriter, TreePath},
};
use serde::{Deserialize, Serialize};

use super::Filling;
use super::wire::{Action, Ask, Begin, EntriesOut, Frame, Inbox, PIECE, Say};
use crate::{executor::Masked, protocol::Secret, tree::Name};

/// Names in one message.
const NAMES: usize = 500;
/// Connections of one step at a time, more than any tool makes.
const MAX_WAYS: usize = 1024;

/// Whether a step has a tree below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parents {
    /// It begins with nothing.
    None,
    /// It has.
    Some,
}

/// The trees of one step, as the orchestrator has them.
pub trait Trees {
    /// Every name of the tree that the step starts from, in canonical order.
    fn names(&mut self, take: &mut dyn FnMut(Name) -> io::Result<()>) -> io::Result<()>;

    /// Every entry that the engine's image does not have, and every other at or below `points`, in
    /// canonical order.
    fn sent(&mut self, points: &BTreeSet<TreePath>, sink: &mut dyn EntrySink) -> io::Result<()>;

    /// The entries at `paths` with the directories above them and all other names of their files, as a
    /// layer on nothing.
    fn below(&mut self, paths: &BTreeSet<TreePath>, sink: &mut dyn EntrySink) -> io::Result<()>;

    /// How the step's mounts are filled, in their order.
    fn fillings(&self) -> Vec<Filling>;

    /// What a mount is filled with, as a layer on nothing.
    fn mount(&mut self, index: usize, sink: &mut dyn EntrySink) -> io::Result<()>;

    /// Takes over a cache as the step left it.
    fn keep_cache(&mut self, key: &str, entries: &mut dyn EntrySource) -> io::Result<()>;

    /// The source of a copy, as a layer on nothing.
    fn source(&mut self, sink: &mut dyn EntrySink) -> io::Result<()>;
}

/// What a connection of a step is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// Whoever answers its requests.
    Network,
    /// An ssh agent, by its place among those of the step.
    Agent(u32),
}

/// Opens what a step's connections lead to.
pub trait Ways {
    /// A new connection.
    fn open(&self, door: Door) -> io::Result<Way>;
}

/// A connection outside.
#[derive(Debug)]
pub struct Way(pub UnixStream);

/// One step, as a helper is told it.
#[derive(Debug)]
pub struct Order<'a> {
    /// The step.
    pub spec: &'a StepSpec,
    /// The environment of the run.
    pub variation: &'a Variation,
    /// Values of the secrets that the step names.
    pub secrets: BTreeMap<String, SecretValue>,
    /// What a program finds of a network.
    pub network: Option<&'a NetworkKit>,
}

/// The helper's streams.
pub struct Streams<R, W> {
    /// Its standard output.
    pub from: R,
    /// Its standard input.
    pub to: W,
}

impl<R, W> std::fmt::Debug for Streams<R, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams")
    }
}

/// Has a helper carry out a step.
///
/// # Errors
///
/// What the helper says; [`ExecutorError::Machine`] where its streams break off, and
/// [`ExecutorError::Input`] where the trees cannot be read.
pub fn attend<R: Read, W: Write + Send + 'static>(
    streams: Streams<R, W>,
    order: Order<'_>,
    trees: &mut dyn Trees,
    ways: &dyn Ways,
    layer: &mut dyn EntrySink,
    observer: &dyn StepObserver,
) -> Result<StepResult, ExecutorError> {
    let out = Out(Arc::new(Mutex::new(BufWriter::with_capacity(
        PIECE, streams.to,
    ))));
    let mut talk = Talk {
        inbox: Inbox::new(streams.from),
        out: &out,
    };
    let parents = if order.spec.parents.is_empty() {
        Parents::None
    } else {
        Parents::Some
    };
    let is_copy = matches!(order.spec.action, StepAction::Copy(_));
    let values: Vec<SecretValue> = order.secrets.values().cloned().collect();
    let masked = Masked::new(observer, values.iter());
    let fillings = trees.fillings();
    let sent = (0..)
        .zip(&fillings)
        .filter(|(_, filling)| filling.is_sent());
    let sent: Vec<usize> = sent.map(|(index, _)| index).collect();
    talk.begin(order, parents, fillings)?;
    talk.names(trees)?;
    let points = talk.points()?;
    talk.send(|sink| trees.sent(&points, sink))?;
    if is_copy {
        talk.send(|sink| trees.source(sink))?;
    }
    for index in sent {
        talk.send(|sink| trees.mount(index, sink))?;
    }
    let watched = talk.watch(ways, &masked);
    masked.finish();
    watched?;
    let wanted = match talk.wanted(trees)? {
        Wanted::Paths(paths) => paths,
        Wanted::Done(result) => return Ok(result),
    };
    talk.send(|sink| trees.below(&wanted, sink))?;
    talk.layer(layer)?;
    talk.done()
}

/// What is written to, by several threads.
struct Out<W: Write>(Arc<Mutex<BufWriter<W>>>);

impl<W: Write> Clone for Out<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Write> Out<W> {
    fn lock(&self) -> MutexGuard<'_, BufWriter<W>> {
        // A frame that broke off ends the talk in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, frame: &Frame<Ask>) -> io::Result<()> {
        frame.write(&mut *self.lock())
    }
}

/// A connection of the step.
struct Open {
    stream: UnixStream,
    /// Hands on what comes from outside.
    reader: std::thread::JoinHandle<()>,
    /// Whether the program has said everything.
    is_over: bool,
}

/// Hands on what comes from outside, to its end.
fn hear<W: Write>(way: u32, mut stream: UnixStream, out: &Out<W>) {
    let mut buffer = vec![0; PIECE];
    loop {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => {
                // A helper that is gone hears nothing more.
                if out.say(&Frame::Way(way, buffer[..count].to_vec())).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => {
                drop(out.say(&Frame::Message(Ask::WayEnd(way))));
                return;
            }
        }
    }
}

/// What comes after a program's end.
enum Wanted {
    Paths(BTreeSet<TreePath>),
    /// It failed, and has no layer.
    Done(StepResult),
}

struct Talk<'a, R, W: Write> {
    inbox: Inbox<R>,
    out: &'a Out<W>,
}

impl<R: Read, W: Write + Send + 'static> Talk<'_, R, W> {
    fn say(&self, ask: Ask) -> Result<(), ExecutorError> {
        self.out.say(&Frame::Message(ask)).map_err(broken)
    }

    fn begin(
        &self,
        order: Order<'_>,
        parents: Parents,
        fillings: Vec<Filling>,
    ) -> Result<(), ExecutorError> {
        let action = match &order.spec.action {
            StepAction::Run(run) => Action::Run(Box::new(run.with_trees(|_| Vec::new()))),
            StepAction::Copy(copy) => Action::Copy(Box::new(copy.clone())),
            StepAction::MakeDir(make) => Action::MakeDir(make.clone()),
        };
        let secrets = order.secrets.into_iter();
        self.say(Ask::Begin(Box::new(Begin {
            action,
            parents,
            layer: order.spec.layer,
            variation: order.variation.clone(),
            secrets: secrets
                .map(|(id, value)| (id, Secret(value.expose().to_vec())))
                .collect(),
            network: order.network.cloned(),
            fillings,
        })))
    }

    fn names(&self, trees: &mut dyn Trees) -> Result<(), ExecutorError> {
        let mut some = Vec::with_capacity(NAMES);
        let mut lost = None;
        let read = trees.names(&mut |name| {
            some.push(name);
            if some.len() < NAMES {
                return Ok(());
            }
            let names = std::mem::replace(&mut some, Vec::with_capacity(NAMES));
            self.say(Ask::Names(names)).map_err(|error| {
                let shown = io::Error::other(error.to_string());
                lost = Some(error);
                shown
            })
        });
        match (lost, read) {
            (Some(error), _) => return Err(error),
            (None, read) => read.map_err(unreadable)?,
        }
        self.say(Ask::Names(some))?;
        self.say(Ask::NamesEnd)
    }

    /// Sends a stream of entries.
    fn send(
        &self,
        entries: impl FnOnce(&mut dyn EntrySink) -> io::Result<()>,
    ) -> Result<(), ExecutorError> {
        let mut out = self.out.lock();
        let mut writer = EntryWriter::new(EntriesOut::new(&mut *out));
        let sent = entries(&mut writer).and_then(|()| writer.finish(&[]).map(drop));
        sent.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => broken(error),
            _ => unreadable(error),
        })
    }

    fn next(&mut self) -> Result<Frame<Say>, ExecutorError> {
        self.inbox.next().map_err(broken)
    }

    /// Mount points. Few enough for one message.
    fn points(&mut self) -> Result<BTreeSet<TreePath>, ExecutorError> {
        match self.next()? {
            Frame::Message(Say::Points(points)) => Ok(points.into_iter().collect()),
            other => Err(early_end(other)),
        }
    }

    /// Hands output on and serves connections until the program ends.
    fn watch(&mut self, ways: &dyn Ways, observer: &dyn StepObserver) -> Result<(), ExecutorError> {
        let mut open: BTreeMap<u32, Open> = BTreeMap::new();
        let watched = loop {
            match self.next() {
                Ok(Frame::Log(bytes)) => observer.output(&bytes),
                Ok(Frame::Way(way, bytes)) => {
                    if let Some(open) = open.get_mut(&way) {
                        // One that broke is told by its reader.
                        drop(open.stream.write_all(&bytes));
                    }
                }
                Ok(Frame::Message(Say::WayEnd(way))) => {
                    if let Some(open) = open.get_mut(&way) {
                        // One that is shut already is as good.
                        drop(open.stream.shutdown(Shutdown::Write));
                        open.is_over = true;
                    }
                }
                Ok(Frame::Message(Say::WayOpen(way, door))) => {
                    open.retain(|_, open| !(open.is_over && open.reader.is_finished()));
                    let opened = (open.len() < MAX_WAYS)
                        .then(|| {
                            ways.open(door)
                                .and_then(|way| Ok((way.0.try_clone()?, way.0)))
                        })
                        .and_then(Result::ok);
                    match opened {
                        Some((heard, stream)) => {
                            let out = self.out.clone();
                            let reader = std::thread::spawn(move || hear(way, heard, &out));
                            let is_over = false;
                            drop(open.insert(
                                way,
                                Open {
                                    stream,
                                    reader,
                                    is_over,
                                },
                            ));
                        }
                        // The program sees a connection that is closed at once.
                        None => self.say(Ask::WayEnd(way))?,
                    }
                }
                Ok(Frame::Message(Say::Ended)) => break Ok(()),
                Ok(other) => break Err(early_end(other)),
                Err(error) => break Err(error),
            }
        };
        for open in open.into_values() {
            drop(open.stream.shutdown(Shutdown::Both));
            // Its thread has nothing more to wait for.
            drop(open.reader.join());
        }
        watched
    }

    fn wanted(&mut self, trees: &mut dyn Trees) -> Result<Wanted, ExecutorError> {
        let mut wanted = BTreeSet::new();
        loop {
            match self.next()? {
                Frame::Message(Say::Cache(key)) => {
                    self.stream(|entries| trees.keep_cache(&key, entries))?;
                }
                Frame::Message(Say::Wanted(paths)) => wanted.extend(paths),
                Frame::Message(Say::WantedEnd) => return Ok(Wanted::Paths(wanted)),
                Frame::Message(Say::Done(done)) => {
                    return match *done {
                        Ok(result) if result.exit != StepExit::Success => Ok(Wanted::Done(result)),
                        Ok(_) => Err(out_of_turn("a result without a layer")),
                        Err(failure) => Err(failure.into()),
                    };
                }
                other => return Err(early_end(other)),
            }
        }
    }

    fn layer(&mut self, layer: &mut dyn EntrySink) -> Result<(), ExecutorError> {
        self.stream(|entries| {
            while entries.next_entry(&mut |entry, content| layer.entry(entry, content))? {}
            Ok(())
        })
    }

    /// Takes over a stream of entries.
    fn stream(
        &mut self,
        take: impl FnOnce(&mut dyn EntrySource) -> io::Result<()>,
    ) -> Result<(), ExecutorError> {
        let mut entries = Entries {
            inbox: &mut self.inbox,
            piece: io::Cursor::default(),
            end: None,
        };
        let read = {
            let mut reader = EntryReader::new(BufReader::with_capacity(PIECE, &mut entries));
            take(&mut reader)
        };
        match (entries.end, read) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => Err(crate::executor::broken_layer(error)),
        }
    }

    fn done(&mut self) -> Result<StepResult, ExecutorError> {
        match self.next()? {
            Frame::Message(Say::Done(done)) => done.map_err(ExecutorError::from),
            other => Err(early_end(other)),
        }
    }
}

/// A layer out of frames.
struct Entries<'a, R> {
    inbox: &'a mut Inbox<R>,
    piece: io::Cursor<Vec<u8>>,
    /// What the helper said in the middle of it.
    end: Option<ExecutorError>,
}

impl<R: Read> Read for Entries<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.inbox.next::<Say>() {
                Ok(Frame::Entries(bytes)) => self.piece = io::Cursor::new(bytes),
                Ok(other) => {
                    self.end = Some(early_end(other));
                    return Err(io::Error::other("the layer broke off"));
                }
                Err(error) => {
                    let shown = io::Error::new(error.kind(), "the layer broke off");
                    self.end = Some(broken(error));
                    return Err(shown);
                }
            }
        }
    }
}

/// The helper's streams broke off: the container, the engine or the connection to it is gone.
fn broken(error: io::Error) -> ExecutorError {
    ExecutorError::Machine {
        what: "the connection to the step's container broke off: the container was stopped or removed, \
               or the engine ended"
            .to_owned(),
        hint: "see that the engine runs and that nobody else removes its containers, and build again; \
               `repro doctor` shows what is reached"
            .to_owned(),
        source: Some(error),
    }
}

fn unreadable(error: io::Error) -> ExecutorError {
    ExecutorError::Input {
        what: "cannot read a tree of the step".to_owned(),
        source: Some(error),
    }
}

/// What it means that a helper said something else than was awaited.
fn early_end(frame: Frame<Say>) -> ExecutorError {
    match frame {
        Frame::Message(Say::Done(done)) => match *done {
            Err(failure) => failure.into(),
            Ok(_) => out_of_turn("a result"),
        },
        Frame::Message(message) => {
            let shown: String = format!("{message:?}").chars().take(200).collect();
            out_of_turn(&shown)
        }
        Frame::Entries(_) => out_of_turn("entries"),
        Frame::Log(_) => out_of_turn("output"),
        Frame::Way(..) => out_of_turn("bytes of a connection"),
    }
}

fn out_of_turn(what: &str) -> ExecutorError {
    ExecutorError::Internal {
        what: format!("the helper in the container said something out of turn: {what}"),
        source: None,
    }
}
