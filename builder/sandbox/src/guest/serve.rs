//! The helper's life: one step, then its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    os::fd::{AsFd as _, OwnedFd},
    time::Instant,
};

use repro_core::{
    build::{
        CopySpec, Hindrances, NetworkObservation, Normalisation, Placement, StepExit, StepResult,
        Usage,
    },
    tree::{EntryReader, EntryWriter, TreePath},
};
use rustix::{
    fs::{CWD, Mode, OFlags, mkdirat, openat},
    io::fcntl_dupfd_cloexec,
    process::{DumpableBehavior, set_dumpable_behavior, umask},
};

use super::{
    NAME, PLACE, Parents, confined,
    mounts::{self, Mounts},
    program::{self, lost, out_of_turn},
    wire::{Action, Ask, Begin, EntriesOut, Frame, Inbox, PIECE, Say},
};
use crate::{
    init::onto_standard_streams,
    policy::SYNTHESISED,
    protocol::{During, Failure, FailureKind, Program},
    stage::{
        faults::{remove_failure, tree_failure},
        stubs::MOUNT_POINTS,
    },
    tree::{self, Detour, DiffRequest, Listing, Merged, MountsSeen, Root, TimeRule},
};

/// Names in one message.
const NAMES: usize = 1000;

/// Serves one step and ends the process, if this process was started as a helper; returns at once
/// otherwise.
pub(crate) fn enter_if_guest() {
    let is_guest = std::env::args_os()
        .next()
        .is_some_and(|name| name.to_string_lossy().ends_with(&format!("/{NAME}")));
    if is_guest {
        crate::stage::leave(match serve() {
            Ok(()) => 0,
            // Without streams there is nobody to tell.
            Err(_) => 2,
        });
    }
}

fn serve() -> io::Result<()> {
    let (inbox, out) = take_streams()?;
    let mut inbox = Inbox::new(inbox);
    let mut out = BufWriter::with_capacity(PIECE, out);
    let done = work(&mut inbox, &mut out);
    Frame::Message(Say::Done(Box::new(done))).write(&mut out)?;
    // Whoever still sends shall come to read.
    io::copy(&mut inbox.into_source(), &mut io::sink())?;
    Ok(())
}

/// Standard input and output under other numbers, so that nothing else speaks through them.
fn take_streams() -> io::Result<(File, File)> {
    let inbox = fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let out = fcntl_dupfd_cloexec(io::stdout(), 3)?;
    let null = openat(
        CWD,
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    onto_standard_streams(&null, &null)?;
    Ok((inbox.into(), out.into()))
}

/// The container's root with what lies over it.
struct Place {
    root: OwnedFd,
    /// Holds what the tree has at mount points, where files are copied.
    aside: OwnedFd,
    points: BTreeSet<TreePath>,
    seen: MountsSeen,
    listing: Listing,
}

impl Place {
    fn detour(&self) -> Detour<'_> {
        Detour {
            aside: self.aside.as_fd(),
            points: &self.points,
            hidden: PLACE.as_bytes(),
            seen: self.seen,
        }
    }

    fn tree(&self) -> Root<'_> {
        Root::contained(self.root.as_fd(), self.detour())
    }
}

/// What happened in the tree.
struct Happened {
    exit: StepExit,
    network: NetworkObservation,
    cpu_ms: u64,
    peak_rss_bytes: u64,
    sockets: u64,
    times: TimeRule,
}

fn work(inbox: &mut Inbox<File>, out: &mut BufWriter<File>) -> Result<StepResult, Failure> {
    // A step's program has the same user, and shall not read the memory of this process.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).during("prctl(PR_SET_DUMPABLE)")?;
    umask(Mode::empty());
    let root = open_directory("/")?;
    remove_place(&root)?;
    let begin = match inbox.next().map_err(lost)? {
        Frame::Message(Ask::Begin(begin)) => *begin,
        other => return Err(out_of_turn(&other)),
    };
    let started = Instant::now();
    let listing = receive_names(inbox)?;
    let seen = match begin.action {
        Action::Run(_) => MountsSeen::ByProgram,
        Action::Copy(_) | Action::MakeDir(_) => MountsSeen::ByNobody,
    };
    make_directory(&root, PLACE)?;
    let (place_fd, aside) = (open_below(&root, PLACE)?, format!("{PLACE}/aside"));
    make_directory(&root, &aside)?;
    let mut mounts = mount_points()?;
    if seen == MountsSeen::ByProgram {
        mounts.extend(provided()?);
    }
    let mut place = Place {
        aside: open_below(&root, &aside)?,
        root,
        points: tree::points(&mounts, &listing, seen),
        seen,
        listing,
    };
    make_carriers(&place)?;
    say_paths(out, place.points.iter(), Say::Points)?;
    {
        let mut sent = EntryReader::new(BufReader::with_capacity(PIECE, EntriesIn::new(inbox)));
        tree::align(place.tree(), place.detour(), &place.listing, &mut sent)
            .map_err(|error| tree_failure(&error))?;
    }
    let mut mounts = Mounts::default();
    if let Action::Run(spec) = &begin.action
        && !spec.mounts.is_empty()
    {
        mounts = put_mounts(spec, &begin, &mut place, inbox)?;
    }
    let probe = TreePath::parse(b"probe").map_err(internal)?;
    tree::let_time_pass(Root::new(place_fd.as_fd()), &probe)
        .map_err(|error| tree_failure(&error))?;
    let marks = Merged::taken(place.tree()).map_err(|error| tree_failure(&error))?;
    let happened = match &begin.action {
        Action::Run(spec) => {
            confined::check()?;
            program::write_files(spec, &begin)?;
            tree::make_dir(place.tree(), &spec.cwd, &spec.user, begin.layer)
                .map_err(|error| tree_failure(&error))?;
            remove_place(&place.root)?;
            restore_root_time(&place)?;
            let agents = std::mem::take(&mut mounts.listeners);
            let ended = program::run(spec, &begin, &place.root, agents, (inbox, &mut *out))?;
            if rustix::fs::statat(&place.root, PLACE, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
            {
                return Err(Failure::refused(format!(
                    "the step made /{PLACE}, a name that the executor needs"
                )));
            }
            make_directory(&place.root, PLACE)?;
            Happened {
                exit: ended.exit,
                network: ended.network,
                cpu_ms: ended.cpu_ms,
                peak_rss_bytes: ended.peak_rss_bytes,
                sockets: 0,
                times: TimeRule::Counts,
            }
        }
        Action::Copy(spec) => copy(spec, &begin, &place, inbox, out)?,
        Action::MakeDir(spec) => {
            tree::make_dir(place.tree(), &spec.path, &spec.owner, begin.layer)
                .map_err(|error| tree_failure(&error))?;
            Happened::without_program(0, TimeRule::Counts)
        }
    };
    if !matches!(begin.action, Action::Run(_)) {
        Frame::Message(Say::Ended).write(out).map_err(lost)?;
    }
    if happened.exit == StepExit::Success {
        for (key, directory) in mounts.caches() {
            Frame::Message(Say::Cache(key.clone()))
                .write(out)
                .map_err(lost)?;
            mounts::hand_on_directory(&place.root, directory, &mut EntriesOut::new(out))?;
        }
    }
    let mut normalised = match happened.exit {
        StepExit::Success => hand_on(&begin, &place, &marks, &happened, inbox, out)?,
        StepExit::Code(_) | StepExit::Signal(_) => BTreeMap::new(),
    };
    if happened.sockets > 0 {
        *normalised.entry(Normalisation::DropSocket).or_default() += happened.sockets;
    }
    Ok(StepResult {
        exit: happened.exit,
        network: happened.network,
        hindrances: Hindrances::default(),
        normalised,
        usage: Usage {
            wall_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            cpu_ms: happened.cpu_ms,
            peak_rss_bytes: happened.peak_rss_bytes,
        },
    })
}

impl Happened {
    fn without_program(sockets: u64, times: TimeRule) -> Self {
        Self {
            exit: StepExit::Success,
            network: NetworkObservation::default(),
            cpu_ms: 0,
            peak_rss_bytes: 0,
            sockets,
            times,
        }
    }
}

fn receive_names(inbox: &mut Inbox<File>) -> Result<Listing, Failure> {
    let mut listing = Listing::default();
    loop {
        match inbox.next().map_err(lost)? {
            Frame::Message(Ask::Names(names)) => {
                for name in names {
                    listing.insert(name);
                }
            }
            Frame::Message(Ask::NamesEnd) => return Ok(listing),
            other => return Err(out_of_turn(&other)),
        }
    }
}

/// Takes in what mounts are filled with, and puts it to its places.
fn put_mounts(
    spec: &Program,
    begin: &Begin,
    place: &mut Place,
    inbox: &mut Inbox<File>,
) -> Result<Mounts, Failure> {
    let mut mounts = Mounts::find(spec, place.tree())?;
    if begin.fillings.len() != spec.mounts.len() {
        return Err(internal("a mount without a filling"));
    }
    let mut sources = BTreeMap::new();
    for (index, filling) in begin.fillings.iter().enumerate() {
        if filling.is_sent() {
            let tree = new_tree(place, &mounts::directory_of(index))?;
            receive_tree(&tree, inbox)?;
            sources.insert(index, tree);
        }
    }
    let fillings = (spec, begin.fillings.as_slice());
    mounts.put(fillings, &place.root, &sources, &begin.secrets)?;
    let all = place.points.union(&mounts.places()).cloned().collect();
    place.points = tree::points(&all, &place.listing, place.seen);
    // Names went and came in directories whose times a program sees.
    tree::align_facts(place.tree(), place.detour(), &place.listing)
        .map_err(|error| tree_failure(&error))?;
    Ok(mounts)
}

/// Copies from the tree that comes in, into the contained one.
fn copy(
    spec: &CopySpec,
    begin: &Begin,
    place: &Place,
    inbox: &mut Inbox<File>,
    out: &mut dyn Write,
) -> Result<Happened, Failure> {
    let source = new_tree(place, "source")?;
    receive_tree(&source, inbox)?;
    let source = Root::new(source.as_fd());
    let report = match spec.placement {
        Placement::Merged => tree::copy(spec, source, place.tree(), place.tree(), begin.layer),
        Placement::Linked => {
            let linked = new_tree(place, "linked")?;
            let linked = Root::new(linked.as_fd());
            tree::copy(spec, source, linked, place.tree(), begin.layer)
        }
    }
    .map_err(|error| tree_failure(&error))?;
    for pattern in &report.unmatched {
        // Docker too says nothing more than this, and goes on.
        let line = format!("no source matches {pattern:?}\n");
        Frame::<Say>::Log(line.into_bytes())
            .write(out)
            .map_err(lost)?;
    }
    Ok(Happened::without_program(report.sockets, TimeRule::Ignored))
}

/// Finds what changed and hands it on.
fn hand_on(
    begin: &Begin,
    place: &Place,
    marks: &Merged,
    happened: &Happened,
    inbox: &mut Inbox<File>,
    out: &mut dyn Write,
) -> Result<BTreeMap<Normalisation, u64>, Failure> {
    let is_linked =
        matches!(&begin.action, Action::Copy(spec) if spec.placement == Placement::Linked);
    let upper = if is_linked {
        open_below(&place.root, &format!("{PLACE}/linked"))?
    } else {
        new_tree(place, "upper")?
    };
    let wanted = if is_linked {
        tree::names_in(Root::new(upper.as_fd()), &place.listing)
    } else {
        tree::capture(
            place.tree(),
            place.detour(),
            marks,
            &place.listing,
            Root::new(upper.as_fd()),
        )
    }
    .map_err(|error| tree_failure(&error))?;
    say_paths(out, wanted.iter(), Say::Wanted)?;
    Frame::Message(Say::WantedEnd).write(out).map_err(lost)?;
    let lower = new_tree(place, "lower")?;
    receive_tree(&lower, inbox)?;
    let provided: Vec<TreePath> = match place.seen {
        MountsSeen::ByProgram => place.points.iter().cloned().collect(),
        MountsSeen::ByNobody => Vec::new(),
    };
    let mut writer = EntryWriter::new(EntriesOut::new(out));
    let request = DiffRequest {
        lower: match begin.parents {
            Parents::None => None,
            Parents::Some => Some(Root::new(lower.as_fd())),
        },
        upper: Root::new(upper.as_fd()),
        policy: begin.layer,
        times: happened.times,
        provided: &provided,
    };
    let normalised = tree::diff(request, &mut writer).map_err(|error| tree_failure(&error))?;
    writer.finish(&[]).map_err(lost)?;
    Ok(normalised)
}

/// Unpacks the tree that comes in.
fn receive_tree(into: &OwnedFd, inbox: &mut Inbox<File>) -> Result<(), Failure> {
    let mut entries = EntryReader::new(BufReader::with_capacity(PIECE, EntriesIn::new(inbox)));
    tree::unpack(Root::new(into.as_fd()), None, &mut entries)
        .map(drop)
        .map_err(|error| tree_failure(&error))
}

/// A stream of entries out of frames.
struct EntriesIn<'a> {
    inbox: &'a mut Inbox<File>,
    piece: io::Cursor<Vec<u8>>,
}

impl<'a> EntriesIn<'a> {
    fn new(inbox: &'a mut Inbox<File>) -> Self {
        Self {
            inbox,
            piece: io::Cursor::default(),
        }
    }
}

impl Read for EntriesIn<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.inbox.next::<Ask>()? {
                Frame::Entries(bytes) => self.piece = io::Cursor::new(bytes),
                // For a connection of a program that has ended.
                Frame::Way(..) | Frame::Message(Ask::WayEnd(_)) => {}
                _ => return Err(io::Error::other("a stream of entries broke off")),
            }
        }
    }
}

fn say_paths<'a>(
    out: &mut dyn Write,
    paths: impl Iterator<Item = &'a TreePath>,
    message: fn(Vec<TreePath>) -> Say,
) -> Result<(), Failure> {
    let mut paths = paths.cloned().peekable();
    let mut is_first = true;
    while is_first || paths.peek().is_some() {
        is_first = false;
        let some = paths.by_ref().take(NAMES).collect();
        Frame::Message(message(some)).write(out).map_err(lost)?;
    }
    Ok(())
}

/// What the sandbox provides wherever a program runs (rule 8), whether the engine mounts it or not.
fn provided() -> Result<Vec<TreePath>, Failure> {
    let files = SYNTHESISED.iter().map(|name| format!("etc/{name}"));
    let names = MOUNT_POINTS.iter().map(|name| (*name).to_owned());
    files
        .chain(names)
        .map(|path| TreePath::parse(path.as_bytes()).map_err(internal))
        .collect()
}

/// What is mounted below the root of this process.
fn mount_points() -> Result<BTreeSet<TreePath>, Failure> {
    let text = std::fs::read("/proc/self/mountinfo")
        .map_err(|error| Failure::io("read(\"/proc/self/mountinfo\")", &error))?;
    let lines = text.split(|byte| *byte == b'\n');
    let places = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let mut points = BTreeSet::new();
    for place in places {
        let path = TreePath::parse_clamped(&unescape(place)).map_err(internal)?;
        if !path.is_root() {
            points.insert(path);
        }
    }
    Ok(points)
}

/// `mountinfo` writes blanks and backslashes as three octal digits.
fn unescape(place: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(place.len());
    let mut rest = place;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.split_first_chunk::<3>();
        let code = code.and_then(|(code, tail)| {
            let text = str::from_utf8(code).ok()?;
            Some((u8::from_str_radix(text, 8).ok()?, tail))
        });
        match code {
            Some((byte, tail)) if *first == b'\\' => {
                bytes.push(byte);
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// Makes the directories above what the tree has at mount points.
fn make_carriers(place: &Place) -> Result<(), Failure> {
    for point in &place.points {
        let mut at = TreePath::root();
        let names: Vec<_> = point.names().collect();
        for name in names.iter().rev().skip(1).rev() {
            at = at.join(name).map_err(internal)?;
            let made = mkdirat(&place.aside, at.as_os_str(), Mode::from_raw_mode(0o755));
            match made {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(Failure::operation("mkdir(aside)", errno)),
            }
        }
    }
    Ok(())
}

/// The root's time, which the helper's own directory moved.
fn restore_root_time(place: &Place) -> Result<(), Failure> {
    tree::align_root(Root::new(place.root.as_fd()), &place.listing)
        .map_err(|error| tree_failure(&error))
}

fn remove_place(root: &OwnedFd) -> Result<(), Failure> {
    tree::remove_tree(root.as_fd(), PLACE.as_bytes()).map_err(|error| remove_failure(&error))
}

fn new_tree(place: &Place, name: &str) -> Result<OwnedFd, Failure> {
    let path = format!("{PLACE}/{name}");
    make_directory(&place.root, &path)?;
    open_below(&place.root, &path)
}

fn make_directory(root: &OwnedFd, path: &str) -> Result<(), Failure> {
    mkdirat(root, path, Mode::from_raw_mode(0o755)).during(&format!("mkdir({path:?}, 0755)"))
}

fn open_below(root: &OwnedFd, path: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(root, path, flags, Mode::empty()).during(&format!("open({path:?})"))
}

fn open_directory(path: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).during(&format!("open({path:?})"))
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_mounts_are_read_as_they_are_written() {
        assert_eq!(unescape(b"/a\\040b\\134"), b"/a b\\");
        assert_eq!(unescape(b"/plain\\9"), b"/plain\\9");
    }
}
