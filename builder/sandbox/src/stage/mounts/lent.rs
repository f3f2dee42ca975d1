//! What the caller lends to a step: values of secrets and sockets of agents, in memory.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd, OwnedFd},
};

use repro_core::build::{MountFacts, MountSpec};
use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chmodat, chownat, fchmod, openat},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
};

use super::{super::memory, foreign_owner, own};
use crate::{
    protocol::{During, Failure},
    tree::Ids,
};

/// Where the files are in the scratch space.
const LENT: &str = "lent";
/// Room for them: more than the secrets of one message, each rounded up to a page.
const SIZE: &str = "8m";
/// Connections that wait to be taken: ssh makes one at a time.
const BACKLOG: i32 = 16;

/// Files in the making.
#[derive(Debug, Default)]
pub(super) struct Lent {
    count: usize,
    listeners: Vec<OwnedFd>,
}

/// Files that cannot be changed any more.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// A mount for each, in the order they were made.
    pub(super) files: Vec<OwnedFd>,
    pub(super) listeners: Vec<OwnedFd>,
    /// Where they are in the scratch space, if there are any.
    pub(super) mounted_at: Option<&'static str>,
}

impl Lent {
    /// Makes a file of these bytes.
    pub(super) fn file(
        &mut self,
        bytes: &[u8],
        facts: MountFacts,
        spec: &MountSpec<Vec<String>>,
        ids: Ids<'_>,
    ) -> Result<(), Failure> {
        let path = self.next()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(CWD, &path, flags, Mode::from_raw_mode(0o600))
            .during(&format!("open({path:?}, O_CREAT|O_EXCL)"))?;
        let mut file = File::from(file);
        file.write_all(bytes)
            .map_err(|error| Failure::io(format!("write({path:?})"), &error))?;
        own(file.as_fd(), facts, spec, ids)?;
        fchmod(&file, Mode::from_raw_mode(facts.mode.into())).during(&format!("chmod({path:?})"))
    }

    /// Makes a socket. It is bound here, so that it belongs to an id of the step.
    pub(super) fn socket(
        &mut self,
        facts: MountFacts,
        spec: &MountSpec<Vec<String>>,
        ids: Ids<'_>,
    ) -> Result<(), Failure> {
        let path = self.next()?;
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .during("socket(AF_UNIX, SOCK_STREAM)")?;
        let address = SocketAddrUnix::new(path.as_str()).during("a socket's path")?;
        bind(&socket, &address).during(&format!("bind({path:?})"))?;
        listen(&socket, BACKLOG).during(&format!("listen({path:?})"))?;
        match ids {
            Ids::Kernel => {
                let (uid, gid) = (Uid::from_raw(facts.uid), Gid::from_raw(facts.gid));
                chownat(CWD, &path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|errno| foreign_owner(errno, facts, spec))?;
            }
            Ids::Recorded(_) => {
                let named = openat(CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .during(&format!("open({path:?}, O_PATH)"))?;
                own(&named, facts, spec, ids)?;
            }
        }
        let mode = Mode::from_raw_mode(facts.mode.into());
        chmodat(CWD, &path, mode, AtFlags::empty()).during(&format!("chmod({path:?})"))?;
        self.listeners.push(socket);
        Ok(())
    }

    /// The next path; the first one needs the file system.
    fn next(&mut self) -> Result<String, Failure> {
        if self.count == 0 {
            memory::mount(LENT, SIZE)?;
        }
        self.count += 1;
        Ok(format!("{LENT}/{}", self.count - 1))
    }

    /// Makes all files read-only, and a mount of each.
    pub(super) fn finish(self) -> Result<Ready, Failure> {
        if self.count == 0 {
            return Ok(Ready::default());
        }
        memory::seal(LENT)?;
        let mount = |index: usize| memory::tree(&format!("{LENT}/{index}"));
        Ok(Ready {
            files: (0..self.count).map(mount).collect::<Result<_, _>>()?,
            listeners: self.listeners,
            mounted_at: Some(LENT),
        })
    }
}
