//! Trees made to break what reads them.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{PermissionsExt, symlink},
        },
    },
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use repro_core::tree::EntryKind;
use repro_sandbox::tree::{Root, TimeRule, TreeError, copy, remove_tree};
use rustix::fs::{Mode, OFlags, mkdirat, openat};

use crate::{
    Outcome, Scenario,
    copying::spec,
    lab::{Lab, Layer, bare, file, plus, policy},
    view::{names, view},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("hostile/remove_deep_tree", remove_deep_tree),
    ("hostile/remove_follows_nothing", remove_follows_nothing),
    ("hostile/remove_enters_no_mount", remove_enters_no_mount),
    ("hostile/deep_trees_are_refused_by_name", deep_diff),
    ("hostile/longest_path", longest_path),
    ("hostile/names_of_any_bytes", names_of_any_bytes),
    ("hostile/closed_directories", closed_directories),
    ("hostile/copy_stays_in_the_tree", copy_stays_in_the_tree),
];

/// Makes a chain of `depth` directories; gives the innermost.
fn chain(top: &std::path::Path, depth: usize) -> Result<OwnedFd, Box<dyn std::error::Error>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at: OwnedFd = File::open(top)?.into();
    for _ in 0..depth {
        mkdirat(&at, "d", Mode::RWXU)?;
        at = openat(&at, "d", flags, Mode::empty())?;
    }
    Ok(at)
}

fn remove_deep_tree(lab: &Lab) -> Outcome {
    let top = lab.directory();
    fs::write(top.join("beside"), "")?;
    let innermost = chain(&top, 5000)?;
    mkdirat(&innermost, OsStr::from_bytes(b"\xff\xfe"), Mode::empty())?;
    drop(innermost);
    remove_tree(File::open(&top)?.as_fd(), b"d")?;
    assert_eq!(names(&top)?, [b"beside"]);
    remove_tree(File::open(&top)?.as_fd(), b"d")?;
    Ok(())
}

fn remove_follows_nothing(lab: &Lab) -> Outcome {
    let (top, outside) = (lab.directory(), lab.directory());
    fs::write(outside.join("canary"), "")?;
    fs::create_dir_all(top.join("d/sub"))?;
    symlink(&outside, top.join("d/link"))?;
    symlink(&outside, top.join("d/sub/link"))?;
    symlink(&outside, top.join("top-link"))?;
    let parent = File::open(&top)?;
    remove_tree(parent.as_fd(), b"d")?;
    remove_tree(parent.as_fd(), b"top-link")?;
    assert!(names(&top)?.is_empty());
    assert_eq!(names(&outside)?, [b"canary"]);
    Ok(())
}

fn remove_enters_no_mount(lab: &Lab) -> Outcome {
    let (top, outside) = (lab.directory(), lab.directory());
    fs::write(outside.join("canary"), "")?;
    fs::create_dir_all(top.join("d/mounted"))?;
    let target = top.join("d/mounted");
    mount(
        Some(&outside),
        &target,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )?;
    let result = remove_tree(File::open(&top)?.as_fd(), b"d");
    umount2(&target, MntFlags::empty())?;
    assert!(result.is_err());
    assert_eq!(names(&outside)?, [b"canary"]);
    Ok(())
}

fn deep_diff(lab: &Lab) -> Outcome {
    let upper = lab.directory();
    chain(&upper, 5000)?;
    let mut layer = Layer::default();
    let result = lab.try_diff(&[], &upper, TimeRule::Counts, &[], &mut layer)?;
    assert!(matches!(result, Err(TreeError::Path { .. })), "{result:?}");
    remove_tree(File::open(&upper)?.as_fd(), b"d")?;
    Ok(())
}

fn longest_path(lab: &Lab) -> Outcome {
    let upper = lab.directory();
    // 2048 names of one byte and the slashes between them: 4095 bytes.
    drop(chain(&upper, 2048)?);
    let step = lab.diff(&[], upper, TimeRule::Counts, &[])?;
    assert_eq!(step.layer.0.len(), 2048);
    let (cold, info) = lab.unpack(&[], &step.layer)?;
    info?;
    let again = lab.diff(&[], cold.clone(), TimeRule::Counts, &[])?;
    assert_eq!(again.layer, step.layer);
    for tree in [cold, step.snapshot] {
        remove_tree(File::open(&tree)?.as_fd(), b"d")?;
    }
    Ok(())
}

fn names_of_any_bytes(lab: &Lab) -> Outcome {
    let odd: [&[u8]; 5] = [b"\xff\xfe", b"new\nline", b"\x1b[31m", b"-rf", &[b'n'; 255]];
    let step = lab.run(&[], |root| {
        for name in odd {
            fs::create_dir(root.join(OsStr::from_bytes(name)))?;
            fs::write(root.join(OsStr::from_bytes(name)).join("f"), name)?;
        }
        Ok(())
    })?;
    assert_eq!(step.layer.0.len(), 10);
    let (cold, info) = lab.unpack(&[], &step.layer)?;
    info?;
    assert_eq!(view(&cold)?, view(&step.snapshot)?);
    let step = lab.run(&[cold], |root| {
        for name in odd {
            fs::remove_dir_all(root.join(OsStr::from_bytes(name)))?;
        }
        Ok(())
    })?;
    assert_eq!(step.layer.0.len(), 5);
    Ok(())
}

fn closed_directories(lab: &Lab) -> Outcome {
    let close = |path: std::path::PathBuf| fs::set_permissions(path, Permissions::from_mode(0o000));
    let step = lab.run(&[], |root| {
        fs::create_dir_all(root.join("c/d"))?;
        fs::write(root.join("c/d/f"), "x")?;
        fs::create_dir(root.join("c/read-only"))?;
        fs::write(root.join("c/read-only/f"), "x")?;
        fs::set_permissions(root.join("c/read-only"), Permissions::from_mode(0o500))?;
        close(root.join("c/d/f"))?;
        close(root.join("c/d"))?;
        close(root.join("c"))?;
        Ok(())
    })?;
    let expected = [
        "d c",
        "d c/d",
        "f c/d/f",
        "d c/read-only",
        "f c/read-only/f",
    ];
    assert_eq!(step.layer.lines(), expected);
    assert_eq!(step.layer.get("c").meta.mode, 0);
    let (cold, info) = lab.unpack(&[], &step.layer)?;
    info?;
    // Without the rights of root, as the owner alone.
    let parent = File::open(&cold)?;
    let dropped = rustix::thread::CapabilitySet::empty();
    let mut sets = rustix::thread::capabilities(None)?;
    sets.effective = dropped;
    rustix::thread::set_capabilities(None, sets)?;
    assert!(fs::read(cold.join("c/d/f")).is_err(), "the rights are gone");
    remove_tree(parent.as_fd(), b"c")?;
    assert!(names(&cold)?.is_empty());
    Ok(())
}

fn copy_stays_in_the_tree(lab: &Lab) -> Outcome {
    let outside = lab.directory();
    fs::write(outside.join("canary"), "alive")?;
    let target = outside.clone().into_os_string().into_encoded_bytes();
    let source = lab.tree(&[], &[file("canary", "dead"), file("d/canary", "dead")])?;
    let climb = b"../../../../../../../../../../../..".to_vec();
    let below = [lab.tree(
        &[],
        &[
            bare(
                "absolute",
                EntryKind::Symlink {
                    target: target.clone(),
                },
            ),
            bare("climb", EntryKind::Symlink { target: climb }),
            bare(
                "magic",
                EntryKind::Symlink {
                    target: b"/proc/self/root".to_vec(),
                },
            ),
        ],
    )?];
    let outside_name = outside.to_string_lossy().into_owned();
    let destinations = [
        "/absolute/".to_owned(),
        format!("/climb{outside_name}/"),
        format!("/magic{outside_name}/"),
        format!("/../../../..{outside_name}/"),
    ];
    for destination in destinations {
        for pattern in ["canary", "d"] {
            let spec = spec(&[pattern], &destination);
            let step = lab.step(&below, TimeRule::Ignored, &[], |root| {
                let (source, dest) = (File::open(&source)?, File::open(root)?);
                let dest = dest.as_fd();
                copy(
                    &spec,
                    Root::new(source.as_fd()),
                    Root::new(dest),
                    Root::new(dest),
                    policy(1),
                )?;
                Ok(())
            })?;
            let written = step.layer.0.iter().find(|(_, content)| content == b"dead");
            assert!(written.is_some(), "{destination}: inside the tree instead");
            assert_eq!(fs::read(outside.join("canary"))?, b"alive");
            drop(lab.view(&plus(&below, &step.snapshot))?);
        }
    }
    // As a source as well.
    let hostile = lab.tree(&[], &[bare("out", EntryKind::Symlink { target })])?;
    let spec = spec(&["out"], "/t");
    let dest = File::open(lab.directory())?;
    let dest = dest.as_fd();
    let result = copy(
        &spec,
        Root::new(File::open(&hostile)?.as_fd()),
        Root::new(dest),
        Root::new(dest),
        policy(0),
    );
    assert!(
        matches!(result, Err(TreeError::Dangling { .. })),
        "{result:?}"
    );
    Ok(())
}
