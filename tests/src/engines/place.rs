//! Where an engine keeps what it has.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{succeeds, tool};

/// Where files lie in memory.
const MEMORY: &str = "/dev/shm";
/// Several times the bytes that all images of a run take.
const ENOUGH: u64 = 2 << 30;

/// A directory for one engine. Whatever is mounted in it when it goes, is unmounted.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    // Removed after `drop`.
    _own: Option<TempDir>,
}

impl Place {
    /// A new one: in memory if there is plenty, since engines wait for the disk at every step.
    pub(crate) fn new() -> Self {
        let memory = Path::new(MEMORY);
        let free = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail * found.f_frsize);
        let roomy = if free > ENOUGH {
            memory
        } else {
            Path::new("/var/tmp")
        };
        let dir = tempfile::Builder::new()
            .prefix("repro-engine-")
            .tempdir_in(roomy)
            .expect("a directory can be made");
        Self {
            path: dir.path().to_owned(),
            _own: Some(dir),
        }
    }

    /// One that somebody else removes.
    pub(crate) fn within(dir: &Path) -> Self {
        Self {
            path: dir.to_owned(),
            _own: None,
        }
    }

    /// The same, with a file system of its own for `name`, of so many bytes.
    pub(super) fn with_room(self, name: &str, bytes: u64) -> Self {
        let path = self.path.join(name);
        std::fs::create_dir(&path).expect("a directory can be made");
        let size = format!("size={bytes}");
        let mut mount = Command::new(tool("mount"));
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path);
        succeeds(&mut mount);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        unmount_below(&self.path);
    }
}

/// The driver of Podman's and buildah's storage in `dir`: overlays are twice as fast, and possible
/// wherever the images are in memory; elsewhere the directory may lie on an overlay itself.
pub(crate) fn driver(dir: &Path) -> &'static str {
    if dir.starts_with(MEMORY) {
        "overlay"
    } else {
        "vfs"
    }
}

/// Unmounts what engines left: buildah leaves the trees of builds that failed. The directory could not
/// be removed else.
fn unmount_below(dir: &Path) {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<&str> = points
        .filter(|point| Path::new(point).starts_with(dir))
        .collect();
    // What lies on another one goes first.
    below.reverse();
    for point in below {
        let unmounted = Command::new(tool("umount")).arg(point).status();
        assert!(
            std::thread::panicking() || unmounted.is_ok_and(|status| status.success()),
            "{point} is still mounted"
        );
    }
}
