//! The property that everything stands on: whatever a step does, the snapshot put right, the
//! layer unpacked elsewhere, and what the step saw are one tree.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, Permissions},
    os::unix::{
        fs::{PermissionsExt, lchown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use repro_sandbox::tree::{Content, TimeRule};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, removexattr, setxattr};

use crate::{
    Outcome, Scenario,
    lab::{EPOCH, Lab, Layer, plus},
    view::{View, timeless, view},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    (
        "property/layer_snapshot_and_view_are_one",
        layer_snapshot_and_view_are_one,
    ),
    (
        "property/plain_copies_show_and_leave_what_overlays_do",
        plain_copies_show_and_leave_what_overlays_do,
    ),
];

/// Steps of one case, each on the trees of those before it.
const STEPS: usize = 3;
/// Cases; each is some ten mounts.
const CASES: u32 = 60;

/// Something a program does. What cannot be done at that place is passed over.
#[derive(Debug, Clone)]
enum Operation {
    MakeDirectory(PathBuf),
    Write(PathBuf, u8),
    Rewrite(PathBuf),
    Reopen(PathBuf),
    Remove(PathBuf),
    Remake(PathBuf),
    Move(PathBuf, PathBuf),
    HardLink(PathBuf, PathBuf),
    SymbolicLink(PathBuf),
    Fifo(PathBuf),
    Socket(PathBuf),
    Mode(PathBuf, u32),
    Owner(PathBuf, u32),
    Time(PathBuf, u64, u32),
    Attribute(PathBuf, bool),
}

fn path() -> impl Strategy<Value = PathBuf> {
    proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("a-b")], 1..4)
        .prop_map(|names| names.iter().collect())
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    let seconds = prop_oneof![Just(1000), Just(EPOCH), Just(EPOCH + 5)];
    prop_oneof![
        3 => path().prop_map(O::MakeDirectory),
        4 => (path(), 0..3_u8).prop_map(|(path, content)| O::Write(path, content)),
        1 => path().prop_map(O::Rewrite),
        1 => path().prop_map(O::Reopen),
        2 => path().prop_map(O::Remove),
        1 => path().prop_map(O::Remake),
        1 => (path(), path()).prop_map(|(from, to)| O::Move(from, to)),
        4 => (path(), path()).prop_map(|(from, to)| O::HardLink(from, to)),
        1 => path().prop_map(O::SymbolicLink),
        1 => path().prop_map(O::Fifo),
        1 => path().prop_map(O::Socket),
        1 => (path(), 0..4_u32).prop_map(|(path, mode)| O::Mode(path, 0o755 + mode)),
        1 => (path(), 0..3_u32).prop_map(|(path, owner)| O::Owner(path, owner)),
        2 => (path(), seconds, 0..2_u32).prop_map(|(path, at, nano)| O::Time(path, at, nano)),
        1 => (path(), any::<bool>()).prop_map(|(path, set)| O::Attribute(path, set)),
    ]
}

/// Does it below `root`. Failures of the file system are part of the game.
fn perform(root: &Path, operation: &Operation) -> Option<()> {
    use Operation as O;
    match operation {
        O::MakeDirectory(path) => fs::create_dir_all(root.join(path)).ok(),
        O::Write(path, content) => {
            let path = plain(root, path)?;
            fs::create_dir_all(path.parent()?).ok()?;
            fs::write(path, vec![*content; usize::from(*content)]).ok()
        }
        O::Rewrite(path) => {
            let path = plain(root, path)?;
            let (content, time) = (fs::read(&path).ok()?, fs::metadata(&path).ok()?.modified());
            fs::write(&path, content).ok()?;
            File::open(&path).ok()?.set_modified(time.ok()?).ok()
        }
        O::Reopen(path) => {
            let path = plain(root, path)?;
            OpenOptions::new().write(true).open(path).ok().map(drop)
        }
        O::Remove(path) => remove(&root.join(path)),
        O::Remake(path) => {
            let path = root.join(path);
            let mode = fs::symlink_metadata(&path)
                .ok()
                .filter(fs::Metadata::is_dir)?;
            remove(&path)?;
            fs::create_dir(&path).ok()?;
            fs::set_permissions(&path, mode.permissions()).ok()
        }
        O::Move(from, to) => {
            let from = plain(root, from)?;
            fs::rename(from, root.join(to)).ok()
        }
        O::HardLink(from, to) => fs::hard_link(root.join(from), root.join(to)).ok(),
        O::SymbolicLink(path) => symlink("a", root.join(path)).ok(),
        O::Fifo(path) => mknodat(CWD, root.join(path), FileType::Fifo, Mode::RUSR, 0).ok(),
        O::Socket(path) => UnixListener::bind(root.join(path)).ok().map(drop),
        O::Mode(path, mode) => {
            let path = root.join(path);
            fs::symlink_metadata(&path)
                .ok()
                .filter(|meta| !meta.is_symlink())?;
            fs::set_permissions(path, Permissions::from_mode(*mode)).ok()
        }
        O::Owner(path, owner) => lchown(root.join(path), Some(*owner), None).ok(),
        O::Time(path, seconds, nanoseconds) => {
            let time = SystemTime::UNIX_EPOCH + Duration::new(*seconds, *nanoseconds);
            File::open(plain(root, path)?).ok()?.set_modified(time).ok()
        }
        O::Attribute(path, set) => {
            let path = root.join(path);
            fs::symlink_metadata(&path)
                .ok()
                .filter(|meta| !meta.is_symlink())?;
            if *set {
                setxattr(path, "user.x", b"1", XattrFlags::empty()).ok()
            } else {
                removexattr(path, "user.x").ok()
            }
        }
    }
}

/// The path unless something else than a regular file is there: opening a pipe would wait.
fn plain(root: &Path, path: &Path) -> Option<PathBuf> {
    let path = root.join(path);
    match fs::symlink_metadata(&path) {
        Ok(meta) if !meta.is_file() => None,
        _ => Some(path),
    }
}

fn remove(path: &Path) -> Option<()> {
    if fs::symlink_metadata(path).ok()?.is_dir() {
        fs::remove_dir_all(path).ok()
    } else {
        fs::remove_file(path).ok()
    }
}

/// What a layer can hold of what a step saw.
fn without_sockets(view: &View) -> View {
    const SOCKET: u32 = 0o140_000;
    let mut kept = View::new();
    let mut firsts: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for (path, seen) in view {
        if seen.mode & 0o170_000 != SOCKET {
            let mut seen = seen.clone();
            let first = firsts
                .entry(seen.same_as.clone())
                .or_insert_with(|| path.clone());
            seen.same_as.clone_from(first);
            kept.insert(path.clone(), seen);
        }
    }
    kept
}

fn check(lab: &Lab, case: &[Vec<Operation>]) -> Outcome {
    let mut trees: Vec<PathBuf> = Vec::new();
    for operations in case {
        let upper = lab.upper(&trees, |root| {
            for operation in operations {
                perform(root, operation);
            }
            Ok(())
        })?;
        // Mounted anew: while a file is copied up, overlayfs shows two names of it with two
        // inode numbers.
        let seen = view(lab.view(&plus(&trees, &upper))?.path())?;
        let step = lab.diff(&trees, upper, TimeRule::Counts, &[])?;
        let keys: Vec<_> = step
            .layer
            .0
            .iter()
            .map(|(entry, _)| entry.sort_key())
            .collect();
        assert!(keys.is_sorted(), "canonical order");
        let (cold, info) = lab.unpack(&trees, &step.layer)?;
        info?;
        let warm_view = view(lab.view(&plus(&trees, &step.snapshot))?.path())?;
        let cold_view = view(lab.view(&plus(&trees, &cold))?.path())?;
        assert_eq!(warm_view, cold_view, "the snapshot is what the layer says");
        assert_eq!(
            timeless(&cold_view),
            timeless(&without_sockets(&seen)),
            "and what was seen"
        );
        assert_eq!(view(&step.snapshot)?, view(&cold)?, "on disk as well");
        for (path, one) in &cold_view {
            assert_eq!(one.mtime.1, 0, "{}", path.display());
            assert!(one.mtime.0 <= EPOCH.cast_signed(), "{}", path.display());
        }
        // Nothing is left to say of it.
        let again = lab.run(&plus(&trees, &cold), |_| Ok(()))?;
        assert_eq!(again.layer, Layer::default());
        trees.push(step.snapshot);
    }
    Ok(())
}

/// Without names of one file that a later step changes through one of them: there plain copies are
/// as any file system is, and overlays are not.
fn check_copies(lab: &Lab, case: &[Vec<Operation>]) -> Outcome {
    let mut trees: Vec<PathBuf> = Vec::new();
    for (index, operations) in case.iter().enumerate() {
        let last = index + 1 == case.len();
        let work = |root: &Path| {
            for operation in operations {
                if last || !matches!(operation, Operation::HardLink(..)) {
                    perform(root, operation);
                }
            }
            Ok(())
        };
        let upper = lab.upper(&trees, work)?;
        let overlay = lab.diff(&trees, upper, TimeRule::Counts, &[])?;
        let upper = lab.distilled(&trees, work)?;
        let plain = lab.diff(&trees, upper, TimeRule::Counts, &[])?;
        assert_eq!(plain.layer.lines(), overlay.layer.lines());
        assert_eq!(plain.layer, overlay.layer);
        assert_eq!(
            timeless(&view(&plain.snapshot)?),
            timeless(&view(&overlay.snapshot)?)
        );
        trees.push(plain.snapshot);
        let shown = view(lab.view(&trees)?.path())?;
        for content in [Content::Copied, Content::Linked] {
            assert_eq!(view(&lab.merged(&trees, content)?.0)?, shown, "{content:?}");
        }
    }
    Ok(())
}

fn layer_snapshot_and_view_are_one(lab: &Lab) -> Outcome {
    every_case(lab, check)
}

fn plain_copies_show_and_leave_what_overlays_do(lab: &Lab) -> Outcome {
    every_case(lab, check_copies)
}

fn every_case(lab: &Lab, check: fn(&Lab, &[Vec<Operation>]) -> Outcome) -> Outcome {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let case = proptest::collection::vec(proptest::collection::vec(operation(), 0..25), STEPS);
    runner.run(&case, |case| {
        check(lab, &case).map_err(|error| TestCaseError::fail(crate::chain(&*error)))
    })?;
    Ok(())
}
