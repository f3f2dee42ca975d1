//! Which number the kernel gives the next file system without a device.
//!
//! It gives the lowest that is free, so overlays of two steps, one after the other, mostly have the same.
//! A number of the wrong kind is taken out of the way by an empty file system in memory, which is
//! mounted nowhere and gone as soon as the overlay is there.

use std::os::fd::OwnedFd;

use repro_core::build::DeviceNumber;
use rustix::{
    fs::{fstat, minor},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

use crate::protocol::{During, Failure};

/// Numbers that are tried before giving up. Every other one fits, unless others take them meanwhile.
const ATTEMPTS: usize = 64;

/// Whether `mounted` has a number of the kind `wanted`.
pub(super) fn fits(mounted: &OwnedFd, wanted: DeviceNumber) -> Result<bool, Failure> {
    let odd = match wanted {
        DeviceNumber::OfStore => return Ok(true),
        DeviceNumber::Even => 0,
        DeviceNumber::Odd => 1,
    };
    let stat = fstat(mounted).during("fstat(root)")?;
    Ok(minor(stat.st_dev) % 2 == odd)
}

/// Numbers that are taken, for as long as this is there.
#[derive(Debug, Default)]
pub(super) struct Taken(Vec<OwnedFd>);

impl Taken {
    /// Takes numbers until the lowest that is free is of the kind `wanted`.
    pub(super) fn until(&mut self, wanted: DeviceNumber) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            let next = empty()?;
            if fits(&next, wanted)? {
                // Closed: its number is free again, and the next one.
                return Ok(());
            }
            self.0.push(next);
        }
        Err(Failure::operation(
            format!("no {wanted:?} device number after {ATTEMPTS}"),
            Errno::AGAIN,
        ))
    }
}

fn empty() -> Result<OwnedFd, Failure> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).during("fsopen(\"tmpfs\")")?;
    fsconfig_create(&context).during("fsconfig(FSCONFIG_CMD_CREATE)")?;
    fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
    .during("fsmount(tmpfs)")
}
