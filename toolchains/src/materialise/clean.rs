//! Leaves out what an installation says of its own time and place.

use std::io::{self, Read};

use repro_core::{
    epoch::Epoch,
    tree::{Entry, EntryKind, EntrySink, TreePath},
};

use super::{bootstrap::PACKAGES, keystore};

/// Files with times, inode numbers or random bytes in them, and copies of an earlier state.
/// None is needed: each is made anew when something writes to it.
const FILES: [&str; 18] = [
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    // Keeps maintainer scripts from starting services; put there for the installation only.
    "usr/sbin/policy-rc.d",
    // Inode numbers and change times of every library (glibc).
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/log/fontconfig.log",
];

/// Directories that stay, without the files in them.
const EMPTIED: [&str; 6] = [
    "run",
    "tmp",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log/apt",
    "var/tmp",
];

/// systemd's id of the machine: there, but empty, so that each machine gets its own.
const MACHINE_ID: &str = "etc/machine-id";

/// Java's certificates, each with the time at which it was imported.
const KEYSTORE: &str = "etc/ssl/certs/java/cacerts";

/// Passes entries on to `inner`, without those that [`keeps`] leaves out, and with the one date
/// of the lock where a file needs one.
pub(super) struct Clean<'a> {
    inner: &'a mut dyn EntrySink,
    epoch: Epoch,
}

impl<'a> Clean<'a> {
    pub(super) fn new(inner: &'a mut dyn EntrySink, epoch: Epoch) -> Self {
        Self { inner, epoch }
    }

    fn keystore(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.take(keystore::MAX).read_to_end(&mut bytes)?;
        io::copy(content, &mut io::sink())?;
        let dated = keystore::dated(&bytes, self.epoch.seconds()).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {error}", entry.path),
            )
        })?;
        // Dates have one length: the size stays what the entry says.
        self.inner.entry(entry, &mut dated.as_slice())
    }
}

impl EntrySink for Clean<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        if let EntryKind::Hardlink { target } = &entry.kind
            && !keeps(target, &entry.kind)
        {
            let message = format!("{} is a link to {target}, which is left out", entry.path);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if !keeps(&entry.path, &entry.kind) {
            return io::copy(content, &mut io::sink()).map(drop);
        }
        if entry.path.as_bytes() == MACHINE_ID.as_bytes() && entry.content_size() > 0 {
            io::copy(content, &mut io::sink())?;
            let mut empty = entry.clone();
            empty.kind = EntryKind::File { size: 0 };
            return self.inner.entry(&empty, &mut io::empty());
        }
        let file = matches!(entry.kind, EntryKind::File { .. });
        if file && entry.path.as_bytes() == KEYSTORE.as_bytes() {
            return self.keystore(entry, content);
        }
        self.inner.entry(entry, content)
    }
}

/// Whether an entry belongs into the image.
fn keeps(path: &TreePath, kind: &EntryKind) -> bool {
    let bytes = path.as_bytes();
    let below = |dir: &str| {
        bytes
            .strip_prefix(dir.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"/"))
    };
    if bytes == PACKAGES.as_bytes() || below(PACKAGES) {
        return false;
    }
    if *kind == EntryKind::Directory {
        return true;
    }
    let debconf_backup = below("var/cache/debconf") && bytes.ends_with(b"-old");
    !FILES.iter().any(|file| file.as_bytes() == bytes)
        && !EMPTIED.iter().any(|dir| below(dir))
        && !debconf_backup
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::path;

    #[test]
    fn what_tells_time_and_place_goes_and_the_rest_stays() {
        let file = EntryKind::File { size: 1 };
        for (name, kept) in [
            ("var/log/dpkg.log", false),
            ("var/log/apt/term.log", false),
            ("var/log/wtmp", true),
            ("var/cache/ldconfig/aux-cache", false),
            ("var/cache/debconf/config.dat-old", false),
            ("var/cache/debconf/config.dat", true),
            ("var/lib/dpkg/status", true),
            ("var/lib/dpkg/status-old", false),
            ("var/cache/repro/0001_x.deb", false),
            ("var/cache/reproducible", true),
            ("tmp/x", false),
            ("etc/passwd-", false),
            ("etc/passwd", true),
            ("usr/sbin/policy-rc.d", false),
        ] {
            assert_eq!(keeps(&path(name), &file), kept, "{name}");
        }
        assert!(keeps(&path("run/lock"), &EntryKind::Directory));
        assert!(!keeps(&path("var/cache/repro"), &EntryKind::Directory));
    }
}
