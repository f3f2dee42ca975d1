//! Where mounts go.

use std::{
    collections::BTreeSet,
    ffi::CString,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use repro_core::{build::MountSpec, tree::TreePath};
use rustix::{
    fs::{FileType, Mode, OFlags, Stat, fstat, mkdirat, openat},
    io::Errno,
};

use super::{super::faults::tree_failure, open_beneath};
use crate::{
    init::PointKind,
    policy,
    protocol::{During, Failure},
    tree::{Ids, Root, prepare_upper, resolve as resolve_path},
};

/// Where the sandbox mounts devices: places below it are made there.
const DEVICES: &str = "dev";
/// Names in it that are the sandbox's own, beside the devices.
const OWN_DIRECTORIES: [&str; 4] = ["mqueue", "pipes", "pts", "repro"];

/// The place of one mount.
#[derive(Debug)]
pub(super) struct Point {
    target: String,
    /// Every link of the image followed.
    place: TreePath,
    /// The part of it that is there before it is attached: all of it, or another mount.
    pub(super) start: TreePath,
}

impl Point {
    /// The names from the start to the place.
    pub(super) fn names(&self) -> Result<Vec<CString>, Failure> {
        let names = self.place.names().skip(self.start.names().count());
        names
            .map(|name| CString::new(name).during("a mount target"))
            .collect()
    }

    fn is_in_mount(&self) -> bool {
        self.start != self.place || self.start.names().next() == Some(DEVICES.as_bytes())
    }

    /// Mode of the directory that the image has there.
    pub(super) fn mode(&self, lower: Option<BorrowedFd<'_>>) -> Result<Option<u16>, Failure> {
        let stat = self.look(lower)?;
        let is_directory =
            |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        Ok(stat
            .filter(is_directory)
            .and_then(|stat| u16::try_from(stat.st_mode & 0o7777).ok()))
    }

    /// What the image has there.
    fn look(&self, lower: Option<BorrowedFd<'_>>) -> Result<Option<Stat>, Failure> {
        let Some(lower) = lower else { return Ok(None) };
        let opened = match open_beneath(lower, &self.place, OFlags::PATH) {
            Err(Errno::NOTDIR) => {
                return Err(Failure::refused(format!(
                    "the mount target {:?} lies below a file of the image",
                    self.target
                )));
            }
            opened => opened.during(&format!("openat2({:?})", self.place))?,
        };
        opened
            .map(|fd| fstat(&fd).during("fstat(mount target)"))
            .transpose()
    }
}

/// Finds the place of each mount: inside the tree, wherever its links lead.
pub(super) fn resolve(
    specs: &[MountSpec<Vec<String>>],
    lower: Option<BorrowedFd<'_>>,
) -> Result<Vec<Point>, Failure> {
    let mut points = Vec::with_capacity(specs.len());
    for MountSpec { target, .. } in specs {
        let place = match lower {
            Some(lower) => resolve_path(Root::new(lower), target.as_bytes())
                .map_err(|error| tree_failure(&error))?,
            None => TreePath::parse_clamped(target.as_bytes())
                .map_err(|error| Failure::refused(format!("mount target {target:?}: {error}")))?,
        };
        check(target, &place)?;
        points.push(Point {
            target: target.clone(),
            start: place.clone(),
            place,
        });
    }
    let order = order(&points);
    for (position, index) in order.iter().enumerate() {
        let above = order[..position]
            .iter()
            .rev()
            .find(|above| points[*index].place.starts_with(&points[**above].place));
        let devices = TreePath::parse(DEVICES.as_bytes()).unwrap_or_default();
        if let Some(above) = above {
            points[*index].start = points[*above].place.clone();
        } else if points[*index].place.starts_with(&devices) {
            points[*index].start = devices;
        }
    }
    Ok(points)
}

/// The order in which they are attached: outer ones first, and of those at one place the last one
/// on top.
pub(super) fn order(points: &[Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|one, other| points[*one].place.cmp(&points[*other].place));
    order
}

fn check(target: &str, place: &TreePath) -> Result<(), Failure> {
    let mut names = place.names();
    let own = match (names.next(), names.next()) {
        (None, _) => {
            return Err(Failure::refused(format!(
                "the mount target {target:?} leads to the root of the tree"
            )));
        }
        (Some(b"proc" | b"sys"), _) => true,
        (Some(first), second) if first == DEVICES.as_bytes() => second.is_none_or(|name| {
            let devices = policy::DEVICES.iter().map(|(name, ..)| *name);
            let links = policy::DEVICE_LINKS.iter().map(|(name, _)| *name);
            devices
                .chain(links)
                .chain(OWN_DIRECTORIES)
                .any(|own| own.as_bytes() == name)
        }),
        _ => false,
    };
    if own {
        return Err(Failure::refused(format!(
            "the mount target {target:?} leads to /{place}, which the sandbox provides"
        )));
    }
    Ok(())
}

/// Makes in `stub` what the image lacks of places that are in no mount; gives the places made.
pub(super) fn make(
    points: &[Point],
    kinds: &[PointKind],
    stub: &OwnedFd,
    (lower, ids): (Option<BorrowedFd<'_>>, Ids<'_>),
) -> Result<Vec<TreePath>, Failure> {
    let mut made = Vec::new();
    let mut touched = BTreeSet::new();
    for (point, kind) in points.iter().zip(kinds) {
        if point.is_in_mount() {
            continue;
        }
        let Some(stat) = point.look(lower)? else {
            make_one(point, *kind, stub, &mut touched)?;
            made.push(point.place.clone());
            continue;
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory != (*kind == PointKind::Directory) {
            let (image, source) = match kind {
                PointKind::Directory => ("no directory", "one"),
                PointKind::File => ("a directory", "none"),
            };
            return Err(Failure::refused(format!(
                "the mount target {:?} is {image} in the image, and what is mounted is {source}",
                point.target
            )));
        }
    }
    // From the inside out, since each name made in a directory changes its time.
    for place in touched.iter().rev() {
        let own = open_beneath(stub.as_fd(), place, OFlags::PATH | OFlags::DIRECTORY);
        let own = own.during(&format!("openat2({place:?})"))?;
        let below = match lower {
            Some(lower) => open_beneath(lower, place, OFlags::PATH | OFlags::DIRECTORY)
                .during(&format!("openat2({place:?})"))?,
            None => None,
        };
        if let Some(own) = own {
            prepare_upper(
                Root::with(own.as_fd(), ids),
                below.as_ref().map(|below| Root::with(below.as_fd(), ids)),
            )
            .map_err(|error| tree_failure(&error))?;
        }
    }
    Ok(made)
}

fn make_one(
    point: &Point,
    kind: PointKind,
    stub: &OwnedFd,
    touched: &mut BTreeSet<TreePath>,
) -> Result<(), Failure> {
    let count = point.place.names().count();
    let mut at = TreePath::root();
    let mut directory: Option<OwnedFd> = None;
    for (index, name) in point.place.names().enumerate() {
        let parent = directory.as_ref().unwrap_or(stub).as_fd();
        at = at
            .join(name)
            .map_err(|error| Failure::refused(format!("mount target: {error}")))?;
        let name = CString::new(name).during("a mount target")?;
        let is_file = index + 1 == count && kind == PointKind::File;
        let result = if is_file {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            openat(parent, name.as_c_str(), flags, Mode::from_raw_mode(0o644)).map(drop)
        } else {
            touched.insert(at.clone());
            mkdirat(parent, name.as_c_str(), Mode::from_raw_mode(0o755))
        };
        match result {
            // Of another mount, or one of the sandbox's own.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Failure::operation(format!("make({at:?})"), errno)),
        }
        if !is_file {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = openat(parent, name.as_c_str(), flags, Mode::empty());
            let opened = opened.map_err(|errno| match errno {
                Errno::NOTDIR | Errno::LOOP => Failure::refused(format!(
                    "the mount target {:?} lies at or below a file",
                    point.target
                )),
                errno => Failure::operation(format!("open({at:?}, O_PATH|O_DIRECTORY)"), errno),
            })?;
            directory = Some(opened);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::symlink};

    use repro_core::build::{MountAccess, MountSource};

    use super::*;

    fn spec(target: &str) -> MountSpec<Vec<String>> {
        MountSpec {
            target: target.into(),
            access: MountAccess::ReadWrite,
            source: MountSource::Tmpfs { size: None },
        }
    }

    fn places(targets: &[&str], links: &[(&str, &str)]) -> Result<Vec<(String, usize)>, String> {
        let image = tempfile::tempdir().unwrap();
        for (link, target) in links {
            symlink(target, image.path().join(link)).unwrap();
        }
        let lower = File::open(image.path()).unwrap();
        let specs: Vec<_> = targets.iter().map(|target| spec(target)).collect();
        let points = resolve(&specs, Some(lower.as_fd())).map_err(|failure| failure.what)?;
        let shown = |point: &Point| (point.place.to_string(), point.names().unwrap().len());
        Ok(points.iter().map(shown).collect())
    }

    #[test]
    fn links_of_the_image_lead_nowhere_else() {
        let links = [("up", "../../.."), ("abs", "/etc"), ("out", "../../tmp/x")];
        let place = |target| places(&[target], &links).map(|places| places[0].0.clone());
        assert_eq!(place("/up/a").unwrap(), "a");
        assert_eq!(place("/abs/b").unwrap(), "etc/b");
        assert_eq!(place("/out").unwrap(), "tmp/x");
        assert!(place("/up").unwrap_err().contains("root of the tree"));
    }

    #[test]
    fn what_the_sandbox_provides_is_not_covered() {
        let links = [("p", "/proc"), ("d", "dev")];
        for target in [
            "/proc",
            "/sys/x",
            "/p/1",
            "/dev",
            "/d",
            "/dev/null",
            "/dev/pts/0",
            "/d/fd",
        ] {
            assert!(places(&[target], &links).is_err(), "{target}");
        }
        assert_eq!(places(&["/dev/shm", "/dev/x/y"], &links).unwrap()[1].1, 2);
    }

    #[test]
    fn a_mount_in_a_mount_begins_there() {
        let found = places(&["/a/b/c", "/a", "/a-b", "/a"], &[]).unwrap();
        let names: Vec<usize> = found.iter().map(|(_, names)| *names).collect();
        assert_eq!(names, [2, 0, 0, 0]);
    }
}
