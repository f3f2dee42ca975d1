//! The places in a step's tree that the sandbox fills: `dev`, `proc`, `sys`, and three files in `/etc`.
//!
//! They come as one more tree on top of the image's and below the step's changes. So nothing is made
//! in the image or in the layer for them and nothing has to be removed afterwards (CVE-2024-23652),
//! and what the image has under these names, links above all (CVE-2026-41579, CVE-2025-52565), is
//! covered and never followed.

use std::{
    ffi::CString,
    fs::File,
    io::Write as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use repro_core::{build::HostEntry, epoch::Epoch, tree::TreePath};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, Timespec, Timestamps, futimens, mkdirat, openat, openat2},
    io::Errno,
};

use super::{faults::tree_failure, job::make_dir};
use crate::{
    net::dns::RESOLV_CONF,
    policy::SYNTHESISED,
    protocol::{During, Failure},
    tree::{Ids, Root, prepare_upper, resolve},
};

/// Mount points at the root of the tree.
pub(crate) const MOUNT_POINTS: [&str; 3] = ["dev", "proc", "sys"];

/// What was put there.
#[derive(Debug)]
pub(super) struct Stubs {
    /// The files of [`SYNTHESISED`], relative to the root.
    pub(super) files: Vec<CString>,
    /// Everything that is in no layer (rule 8).
    pub(super) provided: Vec<TreePath>,
}

/// Fills the empty directory `stub`, to be stacked on `lower`.
pub(super) fn write(
    stub: &OwnedFd,
    lower: Option<BorrowedFd<'_>>,
    (hostname, hosts): (&str, &[HostEntry]),
    epoch: Epoch,
    ids: Ids<'_>,
) -> Result<Stubs, Failure> {
    let mut provided = Vec::new();
    for name in MOUNT_POINTS {
        drop(make_dir(stub, name)?);
        provided.push(path(name.as_bytes())?);
    }
    let etc = place_of_etc(lower)?;
    let directories = make_directories(stub, &etc)?;
    let directory = directories.last().map_or(stub, |(_, directory)| directory);
    let mut files = Vec::with_capacity(SYNTHESISED.len());
    for name in SYNTHESISED {
        write_file(directory, name, &content(name, hostname, hosts), epoch)?;
        let place = etc
            .join(name.as_bytes())
            .map_err(|error| Failure::refused(format!("/etc of the image: {error}")))?;
        files.push(CString::new(place.as_bytes()).during("path of a synthesised file")?);
        provided.push(place);
    }
    // From the inside out, since each name made in a directory changes its time.
    for (place, directory) in directories.iter().rev() {
        let below = lower.map(|lower| open_below(lower, place)).transpose()?;
        let below = below.flatten();
        prepare_upper(
            Root::with(directory.as_fd(), ids),
            below.as_ref().map(|below| Root::with(below.as_fd(), ids)),
        )
        .map_err(|error| tree_failure(&error))?;
    }
    Ok(Stubs { files, provided })
}

/// Text of the file `name`. What the caller adds comes last: the step's own names mean the step.
pub(crate) fn content(name: &str, hostname: &str, hosts: &[HostEntry]) -> String {
    match name {
        "hostname" => format!("{hostname}\n"),
        "hosts" => {
            let added = hosts.iter();
            let added = added.map(|host| format!("{}\t{}\n", host.address(), host.name()));
            format!(
                "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                 127.0.0.1\t{hostname}\n{}",
                added.collect::<String>()
            )
        }
        _ => RESOLV_CONF.to_owned(),
    }
}

/// Where `/etc` leads in the image. Programs follow its links, so the files belong there.
fn place_of_etc(lower: Option<BorrowedFd<'_>>) -> Result<TreePath, Failure> {
    let Some(lower) = lower else {
        return path(b"etc");
    };
    let place = resolve(Root::new(lower), b"/etc").map_err(|error| tree_failure(&error))?;
    for name in MOUNT_POINTS {
        if place.starts_with(&path(name.as_bytes())?) {
            return Err(Failure::refused(format!(
                "/etc of the image is a link into /{name}, which the sandbox provides"
            )));
        }
    }
    Ok(place)
}

/// Makes the directories of `place` below `stub`, outermost first.
fn make_directories(stub: &OwnedFd, place: &TreePath) -> Result<Vec<(TreePath, OwnedFd)>, Failure> {
    let mut made: Vec<(TreePath, OwnedFd)> = Vec::new();
    let mut at = TreePath::root();
    for name in place.names() {
        at = at
            .join(name)
            .map_err(|error| Failure::refused(format!("/etc of the image: {error}")))?;
        let parent = made.last().map_or(stub, |(_, parent)| parent);
        let name = CString::new(name).during("name of a directory")?;
        mkdirat(parent, name.as_c_str(), Mode::from_raw_mode(0o755))
            .during(&format!("mkdir({name:?}, 0755)"))?;
        let directory = openat(
            parent,
            name.as_c_str(),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .during(&format!("open({name:?}, O_PATH|O_DIRECTORY)"))?;
        made.push((at.clone(), directory));
    }
    Ok(made)
}

/// The image's own directory at `place`, whose owner, mode and attributes ours takes on.
fn open_below(lower: BorrowedFd<'_>, place: &TreePath) -> Result<Option<OwnedFd>, Failure> {
    let opened = openat2(
        lower,
        place.as_os_str(),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    );
    match opened {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::NOTDIR) => Err(Failure::refused(format!(
            "/{place} of the image is not a directory"
        ))),
        Err(errno) => Err(Failure::operation(format!("openat2({place:?})"), errno)),
    }
}

fn write_file(directory: &OwnedFd, name: &str, text: &str, epoch: Epoch) -> Result<(), Failure> {
    let file = openat(
        directory,
        name,
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o644),
    )
    .during(&format!("open({name:?}, O_CREAT|O_EXCL, 0644)"))?;
    let mut file = File::from(file);
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::io(format!("write({name:?})"), &error))?;
    // The clock must not show in it.
    let time = Timespec {
        tv_sec: i64::try_from(epoch.seconds()).unwrap_or(i64::MAX),
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    futimens(&file, &times).during(&format!("futimens({name:?})"))
}

fn path(bytes: &[u8]) -> Result<TreePath, Failure> {
    TreePath::parse(bytes).map_err(|error| Failure::refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_the_image_moves_the_files_with_etc() {
        let image = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(image.path().join("usr/etc")).unwrap();
        std::os::unix::fs::symlink("/usr/etc", image.path().join("etc")).unwrap();
        let lower = File::open(image.path()).unwrap();
        let place = place_of_etc(Some(lower.as_fd())).unwrap();
        assert_eq!(place.to_string(), "usr/etc");
    }

    #[test]
    fn etc_that_leads_into_a_mount_is_refused() {
        for target in ["/proc/1/root/etc", "../dev", "sys"] {
            let image = tempfile::tempdir().unwrap();
            std::os::unix::fs::symlink(target, image.path().join("etc")).unwrap();
            let lower = File::open(image.path()).unwrap();
            assert!(place_of_etc(Some(lower.as_fd())).is_err(), "{target}");
        }
    }

    #[test]
    fn every_synthesised_file_has_a_text_of_its_own() {
        let texts: std::collections::BTreeSet<_> = SYNTHESISED
            .iter()
            .map(|name| content(name, "host", &[]))
            .collect();
        assert_eq!(texts.len(), SYNTHESISED.len());
    }

    #[test]
    fn hosts_of_the_caller_follow_those_of_the_step() {
        let hosts = ["db:10.0.0.1", "db:::1"].map(|text| text.parse().unwrap());
        let text = content("hosts", "repro-a", &hosts);
        assert!(
            text.ends_with("127.0.0.1\trepro-a\n10.0.0.1\tdb\n::1\tdb\n"),
            "{text}"
        );
    }
}
