//! Users of a step that the kernel does not know: it has one id for all of them.
//!
//! Who owns a file is written down; who a process is, is remembered. What the kernel would have
//! decided by it is decided here where a file is made, written to or given away, and nowhere else.

mod caller;
mod credentials;

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Statx, Uid, chownat, mkdirat,
        mknodat, openat, openat2, readlinkat, statx, symlinkat,
    },
    io::Errno,
};

use self::{
    caller::{Base, Caller, Machine},
    credentials::{Credentials, Processes},
};
use super::{
    Listener,
    kernel::{Notification, Reply, Shown},
};
use crate::{
    mapping::IDS,
    seccomp::table::{Kind, UserCall, Which},
    tree::{FileId, Owner, Owners},
    users::ResolvedUser,
};

/// "Leave it as it is", where an id is asked for.
const SAME: u32 = u32::MAX;
/// Links that the kernel follows in one path.
const MAX_LINKS: usize = 40;
/// Set-group-id: of a directory, that what is made in it gets its group.
const SET_GROUP: u16 = 0o2000;
/// Deleting and renaming in it wants more than writing.
const PERMISSIONS: u16 = 0o7777;

/// The users of one step.
#[derive(Debug)]
pub(crate) struct Users<'a> {
    owners: &'a Owners,
    processes: Processes,
    machine: Machine,
}

/// The file that a call is about.
struct Target {
    base: Base,
    path: Vec<u8>,
    follow: bool,
}

/// What is made.
enum Making {
    Directory,
    Node(FileType, u64),
    Link(Vec<u8>),
}

/// What a process wants of a file or directory, as the lowest of three permission bits have it.
const READ: u16 = 4;
const WRITE: u16 = 2;
const SEARCH: u16 = 1;

/// What is known of a file before it is made.
enum New {
    /// It is root's: the kernel can make it.
    OfRoot,
    /// It is somebody's, in this directory.
    Of(OwnedFd, Owner),
    /// The process may not make it.
    Denied,
}

/// A call that the kernel is to answer, be it since nothing is known here that it does not know.
const PASS: Result<Reply, Errno> = Ok(Reply::Continue);

impl<'a> Users<'a> {
    /// Those of a step about to start, whose program is run by `first`. The working directory and root of this process are the
    /// caller's while calls are answered; they come back when this is dropped.
    pub(crate) fn new(owners: &'a Owners, first: &ResolvedUser) -> Result<Self, Errno> {
        Ok(Self {
            owners,
            processes: Processes::new(first),
            machine: Machine::new()?,
        })
    }

    /// Answers a call. What cannot be looked at here, the kernel cannot either: it has the answer.
    pub(super) fn answer(
        &mut self,
        listener: &Listener,
        call: &Notification,
        what: UserCall,
    ) -> Reply {
        let caller = Caller { listener, call };
        self.decide(&caller, what).unwrap_or(Reply::Continue)
    }

    fn decide(&mut self, caller: &Caller<'_>, what: UserCall) -> Result<Reply, Errno> {
        use UserCall as C;
        let [one, two, three, four, five, _] = caller.call.arguments;
        match what {
            C::Chown => self.give(
                caller,
                &Target::at(caller, Base::Cwd, one, true)?,
                (two, three),
            ),
            C::Lchown => self.give(
                caller,
                &Target::at(caller, Base::Cwd, one, false)?,
                (two, three),
            ),
            C::Fchown => self.give(caller, &Target::open(one), (two, three)),
            C::Fchownat => {
                let target = Target::with_flags(caller, one, two, five)?;
                self.give(caller, &target, (three, four))
            }
            C::Stat => self.show(caller, two, || Target::at(caller, Base::Cwd, one, true)),
            C::Lstat => self.show(caller, two, || Target::at(caller, Base::Cwd, one, false)),
            C::Fstat => self.show(caller, two, || Ok(Target::open(one))),
            C::Fstatat => self.show(caller, three, || Target::with_flags(caller, one, two, four)),
            C::Statx => self.show_more(caller),
            C::Open => self.open(caller, Base::Cwd, one, (two, three, 0)),
            C::Openat => self.open(caller, Base::new(one), two, (three, four, 0)),
            C::Openat2 => {
                let how: [u64; 3] = caller.words(three)?;
                self.open(caller, Base::new(one), two, (how[0], how[1], how[2]))
            }
            C::Creat => {
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC;
                self.open(caller, Base::Cwd, one, (flags.bits().into(), two, 0))
            }
            C::Mkdir => self.make(caller, (Base::Cwd, one, two), &Making::Directory),
            C::Mkdirat => self.make(caller, (Base::new(one), two, three), &Making::Directory),
            C::Mknod => self.make(caller, (Base::Cwd, one, two), &node(two, three)?),
            C::Mknodat => self.make(caller, (Base::new(one), two, three), &node(three, four)?),
            C::Symlink => {
                let link = Making::Link(caller.text(one)?);
                self.make(caller, (Base::Cwd, two, 0), &link)
            }
            C::Symlinkat => {
                let link = Making::Link(caller.text(one)?);
                self.make(caller, (Base::new(two), three, 0), &link)
            }
            C::Get(kind, which) => {
                let ids = self.processes.of(caller).ids(kind);
                Ok(Reply::Value(match which {
                    Which::Real => ids.real,
                    Which::Effective => ids.effective,
                }))
            }
            C::GetAll(kind) => {
                let ids = self.processes.of(caller).ids(kind);
                for (place, id) in [(one, ids.real), (two, ids.effective), (three, ids.saved)] {
                    caller.write(place, &id.to_ne_bytes())?;
                }
                Ok(Reply::Value(0))
            }
            C::GetGroups => self.groups(caller, one, two),
            C::Set(kind) => Ok(self.change(caller, |process| process.set(kind, word(one)))),
            C::SetTwo(kind) => Ok(self.change(caller, |process| {
                process.set_two(kind, word(one), word(two))
            })),
            C::SetAll(kind) => {
                let ids = [one, two, three].map(word);
                Ok(self.change(caller, |process| process.set_all(kind, ids)))
            }
            C::SetFile(kind) => {
                let mut process = self.processes.of(caller);
                let before = process.set_file(kind, word(one));
                self.processes.remember(caller, process)?;
                Ok(Reply::Value(before))
            }
            C::SetGroups => {
                let groups = caller.ids(two, word(one))?;
                Ok(self.change(caller, |process| process.set_groups(groups)))
            }
        }
    }

    fn change(
        &mut self,
        caller: &Caller<'_>,
        change: impl FnOnce(&mut Credentials) -> Result<(), Errno>,
    ) -> Reply {
        let mut process = self.processes.of(caller);
        let changed = change(&mut process).and_then(|()| self.processes.remember(caller, process));
        match changed {
            Ok(()) => Reply::Value(0),
            Err(errno) => Reply::Fail(errno),
        }
    }

    fn groups(&mut self, caller: &Caller<'_>, size: u64, place: u64) -> Result<Reply, Errno> {
        let groups = self.processes.of(caller).groups;
        let count = u32::try_from(groups.len()).map_err(|_| Errno::INVAL)?;
        if word(size) == 0 {
            return Ok(Reply::Value(count));
        }
        if word(size) < count {
            return Ok(Reply::Fail(Errno::INVAL));
        }
        let bytes: Vec<u8> = groups
            .iter()
            .flat_map(|group| group.to_ne_bytes())
            .collect();
        caller.write(place, &bytes)?;
        Ok(Reply::Value(count))
    }

    /// Opens a file for its name only, as the caller would find it.
    fn open_target(&self, caller: &Caller<'_>, target: &Target) -> Result<OwnedFd, Errno> {
        if target.path.is_empty() {
            return self.machine.file_of(caller, target.base);
        }
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !target.follow);
        self.machine.enter(caller, target.base)?;
        find(&target.path, flags)
    }

    fn owner_of(&self, stat: &Statx) -> Owner {
        FileId::new(stat).map_or(Owner::ROOT, |file| self.owners.get(file))
    }

    /// `chown` and its kin.
    fn give(
        &mut self,
        caller: &Caller<'_>,
        target: &Target,
        (uid, gid): (u64, u64),
    ) -> Result<Reply, Errno> {
        let (uid, gid) = (word(uid), word(gid));
        let file = self.open_target(caller, target)?;
        let stat = look(&file)?;
        let before = self.owner_of(&stat);
        let process = self.processes.of(caller);
        if !process.may_give(before, uid, gid) {
            return Ok(Reply::Fail(Errno::PERM));
        }
        if [uid, gid].iter().any(|id| *id != SAME && *id >= IDS) {
            return Ok(Reply::Fail(Errno::INVAL));
        }
        // The kernel's part: it takes set-id bits and capabilities, and refuses where nothing may be
        // written.
        let own = |id| (id != SAME).then_some(0);
        let changed = chownat(
            &file,
            "",
            own(uid).map(Uid::from_raw),
            own(gid).map(Gid::from_raw),
            AtFlags::EMPTY_PATH,
        );
        if let Err(errno) = changed {
            return Ok(Reply::Fail(errno));
        }
        let after = Owner {
            uid: if uid == SAME { before.uid } else { uid },
            gid: if gid == SAME { before.gid } else { gid },
        };
        if let Some(file) = FileId::new(&stat) {
            self.owners.set(file, after);
        }
        Ok(Reply::Value(0))
    }

    /// `stat` and its kin.
    fn show(
        &self,
        caller: &Caller<'_>,
        place: u64,
        target: impl FnOnce() -> Result<Target, Errno>,
    ) -> Result<Reply, Errno> {
        if self.owners.is_empty() {
            return PASS;
        }
        let file = self.open_target(caller, &target()?)?;
        let Some(owner) = self.foreign(&file)? else {
            return PASS;
        };
        let shown = Shown::stat(file.as_fd())?.with_owner(owner.uid, owner.gid);
        caller.write(place, &shown)?;
        Ok(Reply::Value(0))
    }

    fn show_more(&self, caller: &Caller<'_>) -> Result<Reply, Errno> {
        if self.owners.is_empty() {
            return PASS;
        }
        let [base, path, flags, mask, place, _] = caller.call.arguments;
        let target = Target::with_flags(caller, base, path, flags)?;
        let file = self.open_target(caller, &target)?;
        let Some(owner) = self.foreign(&file)? else {
            return PASS;
        };
        let sync = AtFlags::STATX_FORCE_SYNC | AtFlags::STATX_DONT_SYNC;
        let shown = Shown::statx(file.as_fd(), word(flags) & sync.bits(), word(mask))?;
        caller.write(place, &shown.with_owner(owner.uid, owner.gid))?;
        Ok(Reply::Value(0))
    }

    /// The owner, if it is not root.
    fn foreign(&self, file: &OwnedFd) -> Result<Option<Owner>, Errno> {
        let owner = self.owner_of(&look(file)?);
        Ok((owner != Owner::ROOT).then_some(owner))
    }

    /// `open` and its kin, with flags that write or make a file.
    fn open(
        &mut self,
        caller: &Caller<'_>,
        base: Base,
        path: u64,
        (flags, mode, resolve): (u64, u64, u64),
    ) -> Result<Reply, Errno> {
        let flags = OFlags::from_bits_retain(word(flags));
        let process = self.processes.of(caller);
        if process.is_root() && self.owners.is_empty() {
            return PASS;
        }
        let target = Target::at(caller, base, path, !flags.contains(OFlags::NOFOLLOW))?;
        let nameless = flags.contains(OFlags::TMPFILE);
        match self.open_target(caller, &target) {
            Ok(file) if !nameless => {
                let stat = look(&file)?;
                let wanted = wanted(flags);
                let exclusive = flags.contains(OFlags::CREATE | OFlags::EXCL);
                if !exclusive && !process.may(self.owner_of(&stat), stat.stx_mode, wanted) {
                    return Ok(Reply::Fail(Errno::ACCESS));
                }
                return PASS;
            }
            Err(Errno::NOENT) if flags.contains(OFlags::CREATE) && !target.path.ends_with(b"/") => {
            }
            Ok(_) => {}
            Err(_) => return PASS,
        }
        let mode = Mode::from_raw_mode(word(mode) & u32::from(PERMISSIONS));
        let resolve = ResolveFlags::from_bits_retain(resolve);
        let mut path = target.path;
        for _ in 0..MAX_LINKS {
            let holder = if nameless {
                path.as_slice()
            } else {
                parent(&path)
            };
            let (holder, owner) = match self.owner_of_new(caller, base, holder, &process)? {
                New::Of(holder, owner) => (holder, owner),
                New::OfRoot => return PASS,
                New::Denied => return Ok(Reply::Fail(Errno::ACCESS)),
            };
            let name = if nameless { b"." } else { last(&path) };
            let exclusive = if nameless {
                flags
            } else {
                flags | OFlags::EXCL
            };
            let opened = self.machine.with_umask(caller, || {
                let flags = exclusive | OFlags::CLOEXEC;
                openat2(&holder, name, flags, mode, resolve)
            });
            let file = match opened {
                // A link that leads nowhere: what it names is made.
                Err(Errno::EXIST) if target.follow && !flags.contains(OFlags::EXCL) => {
                    let text = readlinkat(&holder, name, Vec::new())?;
                    path = beside(&path, text.as_bytes());
                    continue;
                }
                result => result?,
            };
            self.record(&file, owner)?;
            return Ok(Reply::Install {
                file,
                close_on_exec: flags.contains(OFlags::CLOEXEC),
            });
        }
        PASS
    }

    /// `mkdir`, `mknod` and `symlink`.
    fn make(
        &mut self,
        caller: &Caller<'_>,
        (base, path, mode): (Base, u64, u64),
        making: &Making,
    ) -> Result<Reply, Errno> {
        let process = self.processes.of(caller);
        if process.is_root() && self.owners.is_empty() {
            return PASS;
        }
        let target = Target::at(caller, base, path, false)?;
        let is_directory = matches!(making, Making::Directory);
        if self.open_target(caller, &target).is_ok()
            || (target.path.ends_with(b"/") && !is_directory)
        {
            // Where the kernel has an error to tell.
            return PASS;
        }
        let holder = parent(&target.path);
        let (holder, owner) = match self.owner_of_new(caller, base, holder, &process)? {
            New::Of(holder, owner) => (holder, owner),
            New::OfRoot => return PASS,
            New::Denied => return Ok(Reply::Fail(Errno::ACCESS)),
        };
        let name = last(&target.path);
        let mode = Mode::from_raw_mode(word(mode) & u32::from(PERMISSIONS));
        self.machine.with_umask(caller, || match making {
            Making::Directory => mkdirat(&holder, name, mode),
            Making::Node(kind, device) => mknodat(&holder, name, *kind, mode, *device),
            Making::Link(text) => symlinkat(text.as_slice(), &holder, name),
        })?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&holder, name, flags, Mode::empty())?;
        self.record(&file, owner)?;
        Ok(Reply::Value(0))
    }

    /// Who owns what `process` makes in the directory `holder`.
    fn owner_of_new(
        &self,
        caller: &Caller<'_>,
        base: Base,
        holder: &[u8],
        process: &Credentials,
    ) -> Result<New, Errno> {
        self.machine.enter(caller, base)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let holder = find(holder, flags)?;
        let stat = look(&holder)?;
        let owner = self.owner_of(&stat);
        if !process.may(owner, stat.stx_mode, WRITE | SEARCH) {
            return Ok(New::Denied);
        }
        let made = Owner {
            uid: process.ids(Kind::User).file,
            gid: if stat.stx_mode & SET_GROUP != 0 {
                owner.gid
            } else {
                process.ids(Kind::Group).file
            },
        };
        Ok(if made == Owner::ROOT {
            New::OfRoot
        } else {
            New::Of(holder, made)
        })
    }

    fn record(&self, file: &OwnedFd, owner: Owner) -> Result<(), Errno> {
        if let Some(file) = FileId::new(&look(file)?) {
            self.owners.set(file, owner);
        }
        Ok(())
    }
}

impl Target {
    /// What a path means that begins at `base`.
    fn at(caller: &Caller<'_>, base: Base, path: u64, follow: bool) -> Result<Self, Errno> {
        let path = caller.text(path)?;
        if path.is_empty() {
            // The kernel says what is wrong with it.
            return Err(Errno::NOENT);
        }
        if let (true, Some(fd)) = (follow, own_file(&path)) {
            return Ok(Self {
                base: Base::File(fd),
                path: Vec::new(),
                follow,
            });
        }
        Ok(Self { base, path, follow })
    }

    /// The same for calls with flags, which can mean an open file.
    fn with_flags(caller: &Caller<'_>, base: u64, path: u64, flags: u64) -> Result<Self, Errno> {
        let flags = AtFlags::from_bits_retain(word(flags));
        let path = if path == 0 {
            Vec::new()
        } else {
            caller.text(path)?
        };
        if path.is_empty() && !flags.contains(AtFlags::EMPTY_PATH) {
            return Err(Errno::NOENT);
        }
        let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
        if let (true, Some(fd)) = (follow, own_file(&path)) {
            return Ok(Self {
                base: Base::File(fd),
                path: Vec::new(),
                follow,
            });
        }
        Ok(Self {
            base: Base::new(base),
            path,
            follow,
        })
    }

    /// The file that is open as number `fd`.
    fn open(fd: u64) -> Self {
        Self {
            base: Base::new(fd),
            path: Vec::new(),
            follow: true,
        }
    }
}

/// Opens what is at `path` for its name only. A link of `/proc` into a process is not followed: this
/// process may look into some that the caller may not.
fn find(path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
}

fn look(file: &OwnedFd) -> Result<Statx, Errno> {
    statx(file, "", AtFlags::EMPTY_PATH, FileId::WANTED)
}

/// The number of the caller's own file that a path means. The kernel would take it for one of ours.
fn own_file(path: &[u8]) -> Option<i32> {
    let number = match path {
        b"/dev/stdin" => return Some(0),
        b"/dev/stdout" => return Some(1),
        b"/dev/stderr" => return Some(2),
        path => path
            .strip_prefix(b"/proc/self/fd/")
            .or_else(|| path.strip_prefix(b"/dev/fd/"))?,
    };
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// The lower half of an argument, which is all that the kernel takes of an `int` or an id.
fn word(argument: u64) -> u32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// What `mknod` asks for, by the type in the mode. Devices are the kernel's to refuse.
fn node(mode: u64, device: u64) -> Result<Making, Errno> {
    match FileType::from_raw_mode(word(mode)) {
        kind @ (FileType::RegularFile | FileType::Fifo | FileType::Socket) => {
            Ok(Making::Node(kind, device))
        }
        // No type means a file.
        _ if word(mode) & 0o170_000 == 0 => Ok(Making::Node(FileType::RegularFile, device)),
        _ => Err(Errno::PERM),
    }
}

/// What `open` asks of a file that is there.
fn wanted(flags: OFlags) -> u16 {
    let reads = match flags & OFlags::RWMODE {
        OFlags::WRONLY => WRITE,
        OFlags::RDWR => READ | WRITE,
        _ => READ,
    };
    if flags.contains(OFlags::TRUNC) {
        reads | WRITE
    } else {
        reads
    }
}

/// Where a link with this text leads that is at `path`.
fn beside(path: &[u8], text: &[u8]) -> Vec<u8> {
    if text.starts_with(b"/") {
        text.to_vec()
    } else {
        [parent(path), b"/", text].concat()
    }
}

/// The last name of a path.
fn last(path: &[u8]) -> &[u8] {
    let end = end_of(path);
    let start = path[..end]
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    &path[start..end]
}

/// Where a path ends but for slashes.
fn end_of(path: &[u8]) -> usize {
    path.iter()
        .rposition(|byte| *byte != b'/')
        .map_or(0, |last| last + 1)
}

/// The directory of a path.
fn parent(path: &[u8]) -> &[u8] {
    let end = end_of(path);
    match path[..end].iter().rposition(|byte| *byte == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(slash) => &path[..slash],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_path() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"a", b"."),
            (b"a/", b"."),
            (b"/a", b"/"),
            (b"/a/b//", b"/a"),
            (b"a/b", b"a"),
            (b"../a", b".."),
        ];
        for (path, expected) in cases {
            assert_eq!(parent(path), expected, "{path:?}");
        }
        assert_eq!(last(b"/a/b//"), b"b");
        assert_eq!(last(b"a"), b"a");
    }

    #[test]
    fn files_of_the_caller_have_numbers() {
        assert_eq!(own_file(b"/dev/stdin"), Some(0));
        assert_eq!(own_file(b"/dev/fd/12"), Some(12));
        assert_eq!(own_file(b"/proc/self/fd/7"), Some(7));
        for path in [&b"/dev/fd/"[..], b"/dev/stdinx", b"/proc/self/fd/x", b"a"] {
            assert_eq!(own_file(path), None);
        }
        assert_eq!(beside(b"/a/l", b"x"), b"/a/x");
        assert_eq!(beside(b"l", b"/x"), b"/x");
    }

    #[test]
    fn what_open_asks_for() {
        assert_eq!(wanted(OFlags::RDONLY), READ);
        assert_eq!(wanted(OFlags::RDONLY | OFlags::TRUNC), READ | WRITE);
        assert_eq!(wanted(OFlags::WRONLY | OFlags::CREATE), WRITE);
        assert_eq!(wanted(OFlags::RDWR), READ | WRITE);
    }
}
