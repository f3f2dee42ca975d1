//! What is mounted in a step's tree, as a list that can be read and tested, and its execution.
//!
//! Paths are relative to the tree's root. None of them goes through a link of the image: `dev`, `proc`,
//! `sys` and the directory of `hosts` are directories of our own on top of the image's (see
//! `stage::stubs`), and below them are our own mounts.

use std::{
    ffi::{CStr, CString, NulError},
    fmt,
};

use repro_core::build::{InlineFile, NetworkKit, UserIds};
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, fchmod, fstat, major, minor, mkdirat, openat, statat,
        symlinkat,
    },
    io::{Errno, write},
    mount::{
        MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, mount_remount, move_mount,
        open_tree,
    },
};

use crate::policy;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Mounts a new file system.
    Mount {
        kind: &'static CStr,
        target: CString,
        flags: MountFlags,
        options: CString,
    },
    /// Makes a directory in one of our mounts.
    Directory { path: CString, mode: u32 },
    /// Makes a link in one of our mounts.
    Link { path: CString, target: CString },
    /// Binds a device of the machine, after a look at what it is, on a new empty file.
    Device {
        source: CString,
        target: CString,
        major: u32,
        minor: u32,
    },
    /// Binds a file on itself: it can be written, and not renamed or removed.
    Pin { path: CString },
    /// Hides a file or directory, if it is there.
    Mask { path: CString },
    /// Makes a directory or file read-only, if it is there.
    ReadOnly { path: CString },
    /// Writes a text to a file of the kernel.
    Write { path: CString, text: CString },
    /// Makes a file in one of our mounts.
    File {
        path: CString,
        text: Vec<u8>,
        mode: u32,
    },
    /// Makes one of our mounts read-only. Programs in it can still be run.
    Seal { path: CString },
}

/// Flags of everything that holds no program of the image.
const STRICT: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// The list. `synthesised` are the files of [`policy::SYNTHESISED`] where the image's `/etc` leads;
/// `first_pid` is the id of the step's first process after init, `shm_bytes` the size of
/// `/dev/shm`, if it is not the policy's.
pub(crate) fn plan(
    synthesised: &[CString],
    first_pid: u32,
    shm_bytes: Option<u64>,
    users: UserIds,
) -> Vec<Setup> {
    let mut list = vec![mount_at(c"proc", "proc", STRICT, "")];
    if first_pid > 2 {
        // Before /proc/sys becomes read-only. The next id is one more.
        list.push(Setup::Write {
            path: c"proc/sys/kernel/ns_last_pid".to_owned(),
            text: text(&(first_pid - 1).to_string()),
        });
    }
    list.push(mount_at(c"sysfs", "sys", STRICT | MountFlags::RDONLY, ""));
    list.extend(devices(shm_bytes, users));
    list.extend(
        policy::READ_ONLY
            .iter()
            .map(|path| Setup::ReadOnly { path: text(path) }),
    );
    list.extend(
        policy::MASKED
            .iter()
            .map(|path| Setup::Mask { path: text(path) }),
    );
    list.extend(
        synthesised
            .iter()
            .map(|path| Setup::Pin { path: path.clone() }),
    );
    list
}

/// What puts the script of a step in its place, once everything of [`plan`] is there. A name of
/// more than one component is none of the builder's.
pub(crate) fn script(file: &InlineFile) -> Result<Vec<Setup>, NulError> {
    let file = (file.name.as_str(), file.content.as_bytes());
    sealed(InlineFile::SCRIPT_DIR, &[file], 0o755)
}

/// What puts the files of a step's network in their place, after [`plan`] as well.
pub(crate) fn kit(kit: &NetworkKit) -> Result<Vec<Setup>, NulError> {
    let files = kit.files.iter();
    let files: Vec<_> = files
        .map(|file| (file.name.as_str(), file.content.as_slice()))
        .collect();
    sealed(NetworkKit::DIR, &files, 0o644)
}

/// Files, each with its name, in a read-only mount of their own at `directory`.
fn sealed(directory: &str, files: &[(&str, &[u8])], mode: u32) -> Result<Vec<Setup>, NulError> {
    let directory = directory.trim_start_matches('/');
    // Pages for the files and for the names.
    let pages = files
        .iter()
        .map(|(_, content)| content.len().next_multiple_of(4096));
    let size = pages.sum::<usize>() + (64 << 10);
    let mut list = vec![
        Setup::Directory {
            path: text(directory),
            mode: 0o755,
        },
        mount_at(
            c"tmpfs",
            directory,
            MountFlags::NOSUID | MountFlags::NODEV,
            &format!("mode=0755,size={size}"),
        ),
    ];
    for (name, content) in files {
        list.push(Setup::File {
            path: CString::new(format!("{directory}/{name}"))?,
            text: content.to_vec(),
            mode,
        });
    }
    list.push(Setup::Seal {
        path: text(directory),
    });
    Ok(list)
}

fn devices(shm_bytes: Option<u64>, users: UserIds) -> Vec<Setup> {
    // Not NODEV: it would hold for the nodes too.
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    let mut list = vec![mount_at(c"tmpfs", "dev", flags, "mode=0755,size=64k")];
    list.extend(
        policy::DEVICES
            .iter()
            .map(|(name, major, minor)| Setup::Device {
                source: text(&format!("/dev/{name}")),
                target: text(&format!("dev/{name}")),
                major: *major,
                minor: *minor,
            }),
    );
    list.extend(
        policy::DEVICE_LINKS
            .iter()
            .map(|(name, target)| Setup::Link {
                path: text(&format!("dev/{name}")),
                target: text(target),
            }),
    );
    let size = shm_bytes.map_or_else(|| policy::SHM_SIZE.to_owned(), |bytes| bytes.to_string());
    let shm = format!("mode=1777,size={size}");
    // 5 is the group `tty` of every distribution, and what Docker sets.
    let terminals = match users {
        UserIds::Range => "newinstance,ptmxmode=0666,mode=0620,gid=5",
        UserIds::One => "newinstance,ptmxmode=0666,mode=0620",
    };
    let no_programs = MountFlags::NOSUID | MountFlags::NOEXEC;
    for (kind, path, mode, flags, options) in [
        (c"devpts", "dev/pts", 0o755, no_programs, terminals),
        (c"tmpfs", "dev/shm", 0o1777, STRICT, shm.as_str()),
        (c"mqueue", "dev/mqueue", 0o1777, STRICT, ""),
    ] {
        list.push(Setup::Directory {
            path: text(path),
            mode,
        });
        list.push(mount_at(kind, path, flags, options));
    }
    list
}

fn mount_at(kind: &'static CStr, target: &str, flags: MountFlags, options: &str) -> Setup {
    Setup::Mount {
        kind,
        target: text(target),
        flags,
        options: text(options),
    }
}

/// For texts of our own.
fn text(text: &str) -> CString {
    CString::new(text).expect("no text of the plan has a NUL")
}

impl Setup {
    /// Does it. System calls only: the caller is a forked process.
    pub(super) fn perform(&self) -> Result<(), Errno> {
        match self {
            Self::Mount {
                kind,
                target,
                flags,
                options,
            } => mount(
                *kind,
                target.as_c_str(),
                *kind,
                *flags,
                Some(options.as_c_str()),
            ),
            Self::Directory { path, mode } => {
                mkdirat(CWD, path.as_c_str(), Mode::from_raw_mode(*mode))
            }
            Self::Link { path, target } => symlinkat(target.as_c_str(), CWD, path.as_c_str()),
            Self::Device {
                source,
                target,
                major,
                minor,
            } => {
                drop(openat(
                    CWD,
                    target.as_c_str(),
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
                    Mode::from_raw_mode(0o666),
                )?);
                bind_device(source, target, (*major, *minor))
            }
            Self::Pin { path } => mount_bind(path.as_c_str(), path.as_c_str()),
            Self::Mask { path } => match file_type(path)? {
                None => Ok(()),
                Some(FileType::Directory) => mount(
                    c"tmpfs",
                    path.as_c_str(),
                    c"tmpfs",
                    STRICT | MountFlags::RDONLY,
                    Some(c"size=4k,mode=0755"),
                ),
                Some(_) => bind_device(c"/dev/null", path, (1, 3)),
            },
            Self::ReadOnly { path } => {
                if file_type(path)?.is_none() {
                    return Ok(());
                }
                mount_bind(path.as_c_str(), path.as_c_str())?;
                mount_remount(
                    path.as_c_str(),
                    MountFlags::BIND | MountFlags::RDONLY | STRICT,
                    c"",
                )
            }
            Self::Write { path, text } => {
                let file = openat(
                    CWD,
                    path.as_c_str(),
                    OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                write(&file, text.to_bytes()).map(drop)
            }
            Self::File { path, text, mode } => {
                let file = openat(
                    CWD,
                    path.as_c_str(),
                    OFlags::WRONLY
                        | OFlags::CREATE
                        | OFlags::EXCL
                        | OFlags::NOFOLLOW
                        | OFlags::CLOEXEC,
                    Mode::from_raw_mode(*mode),
                )?;
                // The umask is the caller's here.
                fchmod(&file, Mode::from_raw_mode(*mode))?;
                let mut left = text.as_slice();
                while !left.is_empty() {
                    left = &left[write(&file, left)?..];
                }
                Ok(())
            }
            Self::Seal { path } => mount_remount(
                path.as_c_str(),
                MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV,
                c"",
            ),
        }
    }
}

/// What is at `path` in `/proc` or `/sys`; `None` if this kernel does not have it.
fn file_type(path: &CStr) -> Result<Option<FileType>, Errno> {
    match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Binds a device of the machine, whose root is still ours, once it is known to be that device: a
/// machine whose `/dev/null` is something else would hide nothing with it (CVE-2025-31133).
fn bind_device(source: &CStr, target: &CStr, device: (u32, u32)) -> Result<(), Errno> {
    let tree = open_tree(
        CWD,
        source,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW,
    )?;
    let stat = fstat(&tree)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == device;
    if !is_device {
        return Err(Errno::NODEV);
    }
    move_mount(
        &tree,
        c"",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
}

impl fmt::Display for Setup {
    /// As in a trace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount {
                kind,
                target,
                flags,
                options,
            } => write!(f, "mount({kind:?}, {target:?}, {flags:?}, {options:?})"),
            Self::Directory { path, mode } => write!(f, "mkdir({path:?}, {mode:04o})"),
            Self::Link { path, target } => write!(f, "symlink({target:?}, {path:?})"),
            Self::Device {
                source,
                target,
                major,
                minor,
            } => write!(f, "bind({source:?} as device {major}:{minor}, {target:?})"),
            Self::Pin { path } => write!(f, "mount({path:?}, {path:?}, MS_BIND)"),
            Self::Mask { path } => write!(f, "mask({path:?})"),
            Self::ReadOnly { path } => write!(f, "mount({path:?}, MS_BIND|MS_RDONLY)"),
            Self::Write { path, text } => write!(f, "write({path:?}, {text:?})"),
            Self::File { path, text, .. } => write!(f, "write({path:?}, {} bytes)", text.len()),
            Self::Seal { path } => write!(f, "mount({path:?}, MS_REMOUNT|MS_RDONLY)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(list: &[Setup], shown: &str) -> usize {
        list.iter()
            .position(|setup| setup.to_string().contains(shown))
            .unwrap_or_else(|| panic!("{shown} in {list:#?}"))
    }

    #[test]
    fn process_ids_are_set_before_they_cannot_be() {
        let list = plan(&[], 20_011, None, UserIds::Range);
        let set = position(&list, "ns_last_pid\", \"20010\"");
        assert!(position(&list, "mount(\"proc\"") < set);
        assert!(set < position(&list, "\"proc/sys\", MS_BIND|MS_RDONLY"));
        assert!(!format!("{:?}", plan(&[], 2, None, UserIds::Range)).contains("ns_last_pid"));
    }

    #[test]
    fn each_device_is_bound_after_its_directory_is_ours() {
        let list = plan(&[], 2, None, UserIds::Range);
        let dev = position(&list, "\"dev\"");
        for (name, ..) in policy::DEVICES {
            assert!(dev < position(&list, &format!("\"dev/{name}\"")));
        }
    }

    #[test]
    fn everything_of_the_policy_is_in_the_plan() {
        let list = format!(
            "{:?}",
            plan(&[c"etc/hosts".to_owned()], 2, None, UserIds::Range)
        );
        for path in policy::MASKED
            .iter()
            .chain(&policy::READ_ONLY)
            .chain(&["etc/hosts"])
        {
            assert!(list.contains(path), "{path}");
        }
    }

    #[test]
    fn shared_memory_has_the_policys_size_or_the_callers() {
        let shm = |bytes| {
            let list = plan(&[], 2, bytes, UserIds::Range);
            list[position(&list, "\"dev/shm\", MountFlags")].to_string()
        };
        assert!(shm(None).contains("size=64m"), "{}", shm(None));
        assert!(shm(Some(4096)).contains("size=4096"), "{}", shm(Some(4096)));
    }

    #[test]
    fn a_device_is_looked_at_before_it_is_bound() {
        // Binding is refused to an ordinary process, the look comes first for root.
        assert!(bind_device(c"/etc/passwd", c"/nonexistent", (1, 3)).is_err());
    }
}
