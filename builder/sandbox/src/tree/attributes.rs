//! Extended attributes: which a layer keeps (rule 13), which are overlayfs' own, which are left
//! out.

use std::{collections::BTreeMap, os::fd::BorrowedFd};

use repro_core::tree::{TreePath, show_bytes};
use rustix::{
    fs::{
        XattrFlags, fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fremovexattr,
        fsetxattr,
    },
    io::Errno,
};

use super::{CapabilityFault, TreeError};

/// The attribute that makes a directory hide the one below it.
const OPAQUE: &[u8] = b"user.overlay.opaque";
/// File capabilities.
const CAPABILITY: &[u8] = b"security.capability";
/// Prefixes of the attributes by which overlayfs steers itself, without and with privilege.
const OVERLAY: [&[u8]; 2] = [b"user.overlay.", b"trusted.overlay."];
/// Length of a version 2 capability attribute, and its magic number without the effective bit.
const CAPABILITY_V2: (usize, u8) = (20, 2);
/// Magic number of a version 3 attribute.
const CAPABILITY_V3: u8 = 3;

/// The attributes of one node, sorted out.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// What a layer keeps.
    pub(super) kept: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What it does not keep, to be counted and removed.
    pub(super) left_out: Vec<Vec<u8>>,
    /// Overlayfs' own notes without meaning once it is unmounted.
    notes: Vec<Vec<u8>>,
    /// Whether overlayfs marked the directory as hiding the one below.
    pub(super) opaque: bool,
}

/// What rule 13 says of an attribute.
#[derive(Debug, PartialEq, Eq)]
enum Class {
    Kept,
    LeftOut,
    Opaque,
    /// Content or name of the entry are elsewhere: nothing that is read here can be trusted.
    Elsewhere,
    Note,
}

fn classify(name: &[u8]) -> Class {
    for prefix in OVERLAY {
        let Some(rest) = name.strip_prefix(prefix) else {
            continue;
        };
        return match rest {
            b"opaque" => Class::Opaque,
            b"redirect" | b"metacopy" | b"whiteout" => Class::Elsewhere,
            // How overlayfs stores such an attribute that a program of the step set.
            rest if rest.starts_with(b"overlay.") => Class::LeftOut,
            _ => Class::Note,
        };
    }
    if name == CAPABILITY || name.starts_with(b"user.") {
        Class::Kept
    } else {
        Class::LeftOut
    }
}

/// Whether a layer may carry an attribute of this name.
pub(super) fn is_kept(name: &[u8]) -> bool {
    classify(name) == Class::Kept
}

impl Attributes {
    /// Reads the attributes of an open file or directory.
    pub(super) fn read(fd: BorrowedFd<'_>, path: &TreePath) -> Result<Self, TreeError> {
        let mut sorted = Self::default();
        for name in list(fd).map_err(TreeError::io("list its attributes", path))? {
            match classify(&name) {
                Class::LeftOut => sorted.left_out.push(name),
                Class::Note => sorted.notes.push(name),
                Class::Elsewhere => return Err(overlay_error(path, &name)),
                Class::Opaque => {
                    let value = get(fd, &name).map_err(TreeError::io("read an attribute", path))?;
                    if value != b"y" {
                        return Err(overlay_error(path, &name));
                    }
                    sorted.opaque = true;
                }
                Class::Kept => {
                    let value = get(fd, &name).map_err(TreeError::io("read an attribute", path))?;
                    if name == CAPABILITY {
                        check_capability(path, &value)?;
                    }
                    sorted.kept.insert(name, value);
                }
            }
        }
        Ok(sorted)
    }

    /// Removes from disk what no unpacked layer has, but for the opaque mark; gives the number of
    /// attributes that a layer does not keep.
    pub(super) fn strip(&self, fd: BorrowedFd<'_>, path: &TreePath) -> Result<u64, TreeError> {
        for name in self.left_out.iter().chain(&self.notes) {
            match fremovexattr(fd, name.as_slice()) {
                Ok(()) | Err(Errno::NODATA) => {}
                // A label that the machine's own security module puts on every file and takes
                // from none. It is in no layer either way.
                Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP)
                    if name.starts_with(b"security.") => {}
                Err(error) => return Err(TreeError::io("remove an attribute", path)(error)),
            }
        }
        Ok(self.left_out.len() as u64)
    }

    /// Whether [`Attributes::strip`] would do anything.
    pub(super) fn needs_strip(&self) -> bool {
        !self.left_out.is_empty() || !self.notes.is_empty()
    }
}

/// Sets the attributes that a layer keeps; others are passed over: a layer must not steer
/// overlayfs, and what rule 13 leaves out would not survive the next step.
pub(super) fn set(
    fd: BorrowedFd<'_>,
    path: &TreePath,
    xattrs: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(), TreeError> {
    for (name, value) in xattrs.iter().filter(|(name, _)| is_kept(name)) {
        if name == CAPABILITY {
            check_capability(path, value)?;
        }
        fsetxattr(fd, name.as_slice(), value, XattrFlags::empty())
            .map_err(TreeError::io("set an attribute", path))?;
    }
    Ok(())
}

/// Removes kept attributes that `wanted` does not have.
pub(super) fn remove_others(
    fd: BorrowedFd<'_>,
    path: &TreePath,
    wanted: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(), TreeError> {
    for name in Attributes::read(fd, path)?.kept.keys() {
        if !wanted.contains_key(name) {
            fremovexattr(fd, name.as_slice())
                .map_err(TreeError::io("remove an attribute", path))?;
        }
    }
    Ok(())
}

/// Marks a directory as hiding the one below.
pub(super) fn set_opaque(fd: BorrowedFd<'_>, path: &TreePath) -> Result<(), TreeError> {
    fsetxattr(fd, OPAQUE, b"y", XattrFlags::empty())
        .map_err(TreeError::io("mark it as opaque", path))
}

/// Removes the mark of [`set_opaque`].
pub(super) fn clear_opaque(fd: BorrowedFd<'_>, path: &TreePath) -> Result<(), TreeError> {
    fremovexattr(fd, OPAQUE).map_err(TreeError::io("remove the opaque mark", path))
}

/// A `vfs_cap_data` of version 2. Version 3 carries the id of the namespace's root: the kernel
/// gives it to those who read from outside the mapping that the capability was set in.
fn check_capability(path: &TreePath, value: &[u8]) -> Result<(), TreeError> {
    let fault = match value.get(3) {
        Some(&version) if (value.len(), version) == CAPABILITY_V2 => return Ok(()),
        Some(&CAPABILITY_V3) => CapabilityFault::Namespaced,
        _ => CapabilityFault::Malformed,
    };
    Err(TreeError::Capability {
        path: path.clone(),
        fault,
    })
}

fn overlay_error(path: &TreePath, name: &[u8]) -> TreeError {
    TreeError::Overlay {
        path: path.clone(),
        attribute: show_bytes(name).into_owned(),
    }
}

/// The names of all attributes, sorted. A file system without attributes has none.
fn list(fd: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let size = match flistxattr_query(fd) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    if size == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; size];
    let size = flistxattr(fd, bytes.as_mut_slice())?;
    let mut names: Vec<Vec<u8>> = bytes[..size]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn get(fd: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let size = fgetxattr_query(fd, name)?;
    let mut value = vec![0; size];
    if size != 0 {
        let size = fgetxattr(fd, name, value.as_mut_slice())?;
        value.truncate(size);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_attributes_are_never_kept() {
        for (name, class) in [
            (&b"user.mime"[..], Class::Kept),
            (b"security.capability", Class::Kept),
            (b"security.selinux", Class::LeftOut),
            (b"system.posix_acl_access", Class::LeftOut),
            (b"trusted.x", Class::LeftOut),
            (b"user.overlay.opaque", Class::Opaque),
            (b"trusted.overlay.opaque", Class::Opaque),
            (b"user.overlay.redirect", Class::Elsewhere),
            (b"trusted.overlay.metacopy", Class::Elsewhere),
            (b"user.overlay.whiteout", Class::Elsewhere),
            (b"user.overlay.overlay.opaque", Class::LeftOut),
            (b"user.overlay.origin", Class::Note),
            (b"user.overlays", Class::Kept),
        ] {
            assert_eq!(classify(name), class, "{}", show_bytes(name));
        }
    }

    #[test]
    fn capabilities_are_of_version_2() {
        let path = TreePath::parse(b"bin/ping").unwrap();
        let capability = |version: u8, length: usize| {
            let mut value = vec![0; length];
            value[3] = version;
            check_capability(&path, &value)
        };
        assert!(capability(2, 20).is_ok());
        let fault = |result| match result {
            Err(TreeError::Capability { fault, .. }) => fault,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(capability(3, 24)), CapabilityFault::Namespaced);
        assert_eq!(fault(capability(1, 12)), CapabilityFault::Malformed);
        assert_eq!(fault(capability(2, 24)), CapabilityFault::Malformed);
        assert_eq!(
            fault(check_capability(&path, &[])),
            CapabilityFault::Malformed
        );
    }
}
