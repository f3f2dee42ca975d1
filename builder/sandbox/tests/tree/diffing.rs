//! What is in a layer, rule by rule.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, lchown, symlink},
        net::UnixListener,
    },
    path::Path,
    time::{Duration, SystemTime},
};

use repro_core::{build::Normalisation, tree::EntryKind};
use repro_sandbox::tree::{TimeRule, TreeError};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat, removexattr, setxattr};

use crate::{
    Outcome, Scenario,
    lab::{EPOCH, Lab, Layer, at, bare, file, plus, tick},
    view::{names, view, xattrs},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("diff/order_and_kinds", order_and_kinds),
    ("diff/times_of_rule_2_and_3", times),
    ("diff/directory_times_are_no_difference", directory_times),
    ("diff/untouched_state_is_no_change", untouched_state),
    (
        "diff/content_of_equal_size_and_time_is_compared",
        same_size_and_time,
    ),
    ("diff/metadata_alone_is_a_change", metadata_alone),
    ("diff/parents_only_if_changed", parents),
    ("diff/whiteouts_are_explicit", whiteouts),
    ("diff/type_changes", type_changes),
    ("diff/hard_links", hard_links),
    ("diff/hard_links_untouched_names_win", hard_links_untouched),
    ("diff/provided_paths", provided),
    ("diff/sockets", sockets),
    ("diff/attributes_of_rule_13", attributes),
    ("diff/capabilities", capabilities),
    ("diff/copies_ignore_times", copies_ignore_times),
    ("diff/snapshot_is_put_right_on_disk", put_right),
    ("diff/elsewhere_fails_closed", elsewhere),
    ("diff/reserved_names", reserved_names),
    ("diff/root_directory", root_directory),
];

fn set_time(path: &Path, seconds: u64, nanoseconds: u32) -> Outcome {
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    File::open(path)?.set_modified(time)?;
    Ok(())
}

fn chmod(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn base() -> Vec<(repro_core::tree::Entry, Vec<u8>)> {
    vec![
        bare("d", EntryKind::Directory),
        file("d/a", "aaa"),
        file("d/b", "bbb"),
        bare("e", EntryKind::Directory),
        file("e/x", "xxx"),
        file("f", "fff"),
    ]
}

fn order_and_kinds(lab: &Lab) -> Outcome {
    let step = lab.run(&[], |root| {
        fs::create_dir(root.join("a"))?;
        fs::write(root.join("a/z"), "1")?;
        fs::write(root.join("a-b"), "2")?;
        fs::write(root.join("a.b"), "3")?;
        symlink("/nowhere", root.join("B"))?;
        mknodat(CWD, root.join("p"), FileType::Fifo, Mode::RUSR, 0)?;
        Ok(())
    })?;
    let expected = ["l B /nowhere", "d a", "f a/z", "f a-b", "f a.b", "p p"];
    assert_eq!(step.layer.lines(), expected);
    assert_eq!(step.layer.0[2].1, b"1");
    let keys: Vec<_> = step
        .layer
        .0
        .iter()
        .map(|(entry, _)| entry.sort_key())
        .collect();
    assert!(keys.is_sorted());
    Ok(())
}

fn times(lab: &Lab) -> Outcome {
    let late = EPOCH + 10;
    let below = lab.tree(
        &[],
        &[file("late", "1"), file("old", "2"), file("keep", "3")],
    )?;
    // As in an image whose times are later than a given epoch.
    set_time(&below.join("late"), late, 0)?;
    fs::create_dir(below.join("late-d"))?;
    set_time(&below.join("late-d"), late, 0)?;
    set_time(&below, 0, 0)?;
    let step = lab.run(&[below], |root| {
        set_time(&root.join("old"), 5, 999_999_999)?;
        chmod(&root.join("late"), 0o600)?;
        chmod(&root.join("late-d"), 0o700)?;
        chmod(&root.join("keep"), 0o600)?;
        fs::write(root.join("new"), "n")?;
        fs::write(root.join("edge"), "n")?;
        set_time(&root.join("edge"), EPOCH, 0)?;
        fs::write(root.join("past-edge"), "n")?;
        set_time(&root.join("past-edge"), EPOCH, 1)?;
        symlink("x", root.join("link"))?;
        Ok(())
    })?;
    let mtime = |path| step.layer.get(path).meta.mtime;
    assert_eq!(mtime("new"), tick(1));
    assert_eq!(mtime("link"), tick(1));
    assert_eq!(mtime("old"), 5);
    assert_eq!(mtime("late"), late, "an unchanged time is not clamped");
    assert_eq!(mtime("late-d"), late, "nor is that of a directory");
    assert_eq!(mtime("keep"), 1000);
    assert_eq!(mtime("edge"), EPOCH);
    assert_eq!(mtime("past-edge"), tick(1));
    assert_eq!(step.counts[&Normalisation::ClampMtime], 3);
    for (path, seen) in view(&step.snapshot)? {
        assert_eq!(seen.mtime.1, 0, "{}", path.display());
    }
    Ok(())
}

fn directory_times(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| set_time(&root.join("d"), 77, 0))?;
    assert_eq!(step.layer, Layer::default());
    let step = lab.run(&trees, |root| {
        fs::write(root.join("d/new"), "")?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f d/new"]);
    assert_eq!(fs::metadata(step.snapshot.join("d"))?.mtime(), 1000);
    assert_eq!(fs::metadata(&step.snapshot)?.mtime(), 0);
    Ok(())
}

fn untouched_state(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| {
        OpenOptions::new().write(true).open(root.join("f"))?;
        chmod(&root.join("d/a"), 0o600)?;
        chmod(&root.join("d/a"), 0o644)?;
        // Removed and made again with all that counts.
        fs::remove_dir_all(root.join("e"))?;
        fs::create_dir(root.join("e"))?;
        fs::write(root.join("e/x"), "xxx")?;
        set_time(&root.join("e/x"), 1000, 0)
    })?;
    assert_eq!(step.layer, Layer::default());
    assert!(step.counts[&Normalisation::DropUnchanged] >= 3);
    assert!(
        names(&step.snapshot)?.is_empty(),
        "nothing is left of copies"
    );
    Ok(())
}

fn same_size_and_time(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| {
        fs::write(root.join("f"), "FFF")?;
        set_time(&root.join("f"), 1000, 0)
    })?;
    assert_eq!(step.layer.lines(), ["f f"]);
    assert_eq!(step.layer.0[0].1, b"FFF");
    let large: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let trees = [lab.tree(&[], &[(file("l", "").0, Vec::new())])?];
    fs::write(trees[0].join("l"), &large)?;
    set_time(&trees[0].join("l"), 1000, 0)?;
    for (changed, entries) in [
        (None, 0),
        (Some(0), 1),
        (Some(131_072), 1),
        (Some(299_999), 1),
    ] {
        let step = lab.run(&trees, |root| {
            let mut bytes = large.clone();
            if let Some(index) = changed {
                bytes[index] ^= 1;
            }
            fs::write(root.join("l"), &bytes)?;
            set_time(&root.join("l"), 1000, 0)
        })?;
        assert_eq!(step.layer.0.len(), entries, "{changed:?}");
    }
    Ok(())
}

fn metadata_alone(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| {
        chmod(&root.join("d"), 0o1777)?;
        lchown(root.join("d/a"), Some(7), None)?;
        lchown(root.join("d/b"), None, Some(8))?;
        setxattr(root.join("e"), "user.x", b"1", XattrFlags::empty())?;
        setxattr(root.join("e/x"), "user.x", b"1", XattrFlags::empty())?;
        set_time(&root.join("f"), 1001, 0)
    })?;
    assert_eq!(
        step.layer.lines(),
        ["d d", "f d/a", "f d/b", "d e", "f e/x", "f f"]
    );
    assert_eq!(step.layer.get("d").meta.mode, 0o1777);
    assert_eq!(step.layer.get("d").meta.mtime, 1000);
    assert_eq!(step.layer.get("d/a").meta.uid, 7);
    assert_eq!(step.layer.get("d/b").meta.gid, 8);
    assert_eq!(step.layer.get("e").meta.xattrs[&b"user.x"[..]], b"1");
    assert_eq!(step.layer.get("f").meta.mtime, 1001);
    let step = lab.run(&plus(&trees, &step.snapshot), |root| {
        removexattr(root.join("e/x"), "user.x")?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f e/x"]);
    Ok(())
}

fn parents(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| {
        fs::create_dir_all(root.join("d/new/deep"))?;
        fs::write(root.join("d/new/deep/f"), "")?;
        Ok(())
    })?;
    let expected = ["d d/new", "d d/new/deep", "f d/new/deep/f"];
    assert_eq!(step.layer.lines(), expected);
    Ok(())
}

fn whiteouts(lab: &Lab) -> Outcome {
    let mut entries = base();
    entries.push(file("d/-", "first"));
    entries.push(bare("d/sub", EntryKind::Directory));
    entries.push(file("d/sub/s", "s"));
    let trees = [lab.tree(&[], &entries)?];
    let step = lab.run(&trees, |root| {
        fs::remove_file(root.join("f"))?;
        fs::write(root.join("never"), "")?;
        fs::remove_file(root.join("never"))?;
        // Opaque in the upper directory.
        fs::remove_dir_all(root.join("d"))?;
        fs::create_dir(root.join("d"))?;
        fs::write(root.join("d/a"), "new")?;
        fs::create_dir(root.join("d/sub"))?;
        // A new directory that hides nothing.
        fs::create_dir(root.join("n"))?;
        fs::remove_dir_all(root.join("n"))?;
        fs::create_dir(root.join("n"))?;
        Ok(())
    })?;
    // Whiteouts sort by their written names: .wh.f before d.
    let expected = ["- f", "- d/-", "- d/b", "f d/a", "- d/sub/s", "d n"];
    assert_eq!(step.layer.lines(), expected);
    assert!(
        xattrs(&step.snapshot.join("d"))?.is_empty(),
        "no opaque mark is left"
    );
    let warm = lab.view(&plus(&trees, &step.snapshot))?;
    assert_eq!(names(&warm.path().join("d"))?, [&b"a"[..], b"sub"]);
    assert!(names(&warm.path().join("d/sub"))?.is_empty());
    // One that hides nothing, as overlayfs leaves where a file came and went.
    let upper = lab.upper(&trees, |_| Ok(()))?;
    mknodat(
        CWD,
        upper.join("ghost"),
        FileType::CharacterDevice,
        Mode::empty(),
        0,
    )?;
    let step = lab.diff(&trees, upper, TimeRule::Counts, &[])?;
    assert_eq!(step.layer, Layer::default());
    assert!(names(&step.snapshot)?.is_empty());
    Ok(())
}

fn type_changes(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| {
        fs::remove_dir_all(root.join("d"))?;
        fs::write(root.join("d"), "file")?;
        fs::remove_file(root.join("f"))?;
        fs::create_dir(root.join("f"))?;
        fs::write(root.join("f/in"), "")?;
        fs::remove_file(root.join("e/x"))?;
        symlink("y", root.join("e/x"))?;
        Ok(())
    })?;
    let expected = ["f d", "l e/x y", "d f", "f f/in"];
    assert_eq!(step.layer.lines(), expected);
    let warm = lab.view(&plus(&trees, &step.snapshot))?;
    assert_eq!(fs::read(warm.path().join("d"))?, b"file");
    Ok(())
}

fn linked() -> Vec<(repro_core::tree::Entry, Vec<u8>)> {
    vec![
        file("a", "same"),
        bare("b", EntryKind::Hardlink { target: at("a") }),
        bare("c", EntryKind::Hardlink { target: at("a") }),
        file("z", "alone"),
    ]
}

fn hard_links(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &linked())?];
    // A name that joins: all that share the file afterwards, the first as the file.
    let step = lab.run(&trees, |root| {
        fs::hard_link(root.join("z"), root.join("y"))?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f y", "h z y"]);
    assert_eq!(step.layer.get("y").meta.mtime, 1000);
    // A write breaks the link, and only that name is in the layer.
    let step = lab.run(&trees, |root| {
        fs::write(root.join("b"), "other")?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f b"]);
    // Two separate files that become one.
    let step = lab.run(&trees, |root| {
        fs::remove_file(root.join("a"))?;
        fs::hard_link(root.join("z"), root.join("a"))?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f a", "h z a"]);
    // Separate files, equal in all but that, become one.
    let twins = [lab.tree(&[], &[file("t", "twin"), file("u", "twin")])?];
    let step = lab.run(&twins, |root| {
        fs::remove_file(root.join("u"))?;
        fs::hard_link(root.join("t"), root.join("u"))?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f t", "h u t"]);
    // The whole group made again, as it was.
    let step = lab.run(&trees, |root| {
        for name in ["a", "b", "c"] {
            fs::remove_file(root.join(name))?;
        }
        fs::write(root.join("c"), "same")?;
        set_time(&root.join("c"), 1000, 0)?;
        fs::hard_link(root.join("c"), root.join("a"))?;
        fs::hard_link(root.join("c"), root.join("b"))?;
        Ok(())
    })?;
    assert_eq!(step.layer, Layer::default());
    // Equal content in separate files is not the group.
    let step = lab.run(&trees, |root| {
        for name in ["a", "b", "c"] {
            fs::remove_file(root.join(name))?;
            fs::write(root.join(name), "same")?;
            set_time(&root.join(name), 1000, 0)?;
        }
        Ok(())
    })?;
    assert_eq!(
        step.layer.lines(),
        ["f b", "f c"],
        "one may stay what it was"
    );
    let warm = lab.view(&plus(&trees, &step.snapshot))?;
    let warm = view(warm.path())?;
    for name in ["a", "b", "c"] {
        assert_eq!(warm[Path::new(name)].same_as, Path::new(name));
    }
    Ok(())
}

fn hard_links_untouched(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &linked())?];
    // Reopened for writing: overlayfs has broken the link, b and c still share a file.
    let step = lab.run(&trees, |root| {
        OpenOptions::new().write(true).open(root.join("a"))?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f a"]);
    // With all the others gone the name is what it was.
    let step = lab.run(&trees, |root| {
        OpenOptions::new().write(true).open(root.join("a"))?;
        fs::remove_file(root.join("b"))?;
        fs::remove_file(root.join("c"))?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["- b", "- c"]);
    Ok(())
}

fn provided(lab: &Lab) -> Outcome {
    let provided = ["proc", "etc/hosts", "run/secrets/key", "d/a"].map(at);
    let trees = [lab.tree(&[], &base())?];
    let work = |root: &Path| {
        fs::create_dir(root.join("proc"))?;
        fs::write(root.join("proc/written"), "")?;
        fs::create_dir(root.join("etc"))?;
        fs::write(root.join("etc/hosts"), "")?;
        fs::create_dir_all(root.join("run/secrets"))?;
        fs::write(root.join("run/secrets/key"), "")?;
        fs::write(root.join("d/a"), "bound over")?;
        Ok(())
    };
    let step = lab.step(&trees, TimeRule::Counts, &provided, work)?;
    assert_eq!(step.layer, Layer::default());
    assert!(names(&step.snapshot)?.is_empty());
    // What is more than the sandbox's own: the file in proc, and d/a.
    assert_eq!(step.counts[&Normalisation::DropProvided], 2);
    let step = lab.step(&trees, TimeRule::Counts, &provided, |root| {
        work(root)?;
        fs::write(root.join("etc/own"), "")?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["d etc", "f etc/own"]);
    // COPY to such a path makes an ordinary file.
    let step = lab.step(&trees, TimeRule::Ignored, &[], work)?;
    assert!(step.layer.lines().contains(&"f etc/hosts".to_owned()));
    // An opaque directory does not remove what the sandbox provides.
    let step = lab.step(&trees, TimeRule::Counts, &provided, |root| {
        fs::remove_dir_all(root.join("d"))?;
        fs::create_dir(root.join("d"))?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["- d/b"]);
    Ok(())
}

fn sockets(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| {
        UnixListener::bind(root.join("s"))?;
        fs::remove_file(root.join("f"))?;
        UnixListener::bind(root.join("f"))?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["- f"]);
    assert_eq!(step.counts[&Normalisation::DropSocket], 2);
    let warm = lab.view(&plus(&trees, &step.snapshot))?;
    assert_eq!(names(warm.path())?, [&b"d"[..], b"e"]);
    Ok(())
}

/// A minimal access list with a named user: version 2, then tag, rights and id of each entry.
fn access_list() -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in [
        (1_u16, 6_u16, u32::MAX),
        (2, 4, 5),
        (4, 4, u32::MAX),
        (16, 4, u32::MAX),
        (32, 4, u32::MAX),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn attributes(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| {
        fs::write(root.join("n"), "")?;
        let acl = access_list();
        setxattr(
            root.join("n"),
            "system.posix_acl_access",
            &acl,
            XattrFlags::empty(),
        )?;
        setxattr(root.join("n"), "user.kept", b"1", XattrFlags::empty())?;
        // Overlayfs stores it escaped; it must not come back as an order to overlayfs.
        setxattr(
            root.join("d"),
            "user.overlay.opaque",
            b"y",
            XattrFlags::empty(),
        )?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f n"]);
    let kept: Vec<_> = step.layer.get("n").meta.xattrs.keys().collect();
    assert_eq!(kept, [b"user.kept"]);
    assert_eq!(step.counts[&Normalisation::StripXattr], 2);
    let on_disk = xattrs(&step.snapshot.join("n"))?;
    assert_eq!(on_disk.keys().collect::<Vec<_>>(), [b"user.kept"]);
    Ok(())
}

/// Version 2 of `cap_net_raw+ep`.
fn capability() -> Vec<u8> {
    let mut value = 0x0200_0001_u32.to_le_bytes().to_vec();
    value.extend(0x2000_u32.to_le_bytes());
    value.extend([0; 12]);
    value
}

fn capabilities(lab: &Lab) -> Outcome {
    let name = &b"security.capability"[..];
    let step = lab.run(&[], |root| {
        fs::write(root.join("ping"), "")?;
        lsetxattr(
            root.join("ping"),
            "security.capability",
            &capability(),
            XattrFlags::empty(),
        )?;
        Ok(())
    })?;
    assert_eq!(step.layer.get("ping").meta.xattrs[name], capability());
    let (cold, info) = lab.unpack(&[], &step.layer)?;
    info?;
    assert_eq!(xattrs(&cold.join("ping"))?[name], capability());
    Ok(())
}

fn copies_ignore_times(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let work = |root: &Path| {
        fs::remove_file(root.join("f"))?;
        fs::write(root.join("f"), "fff")?;
        Ok(())
    };
    let step = lab.step(&trees, TimeRule::Ignored, &[], work)?;
    assert_eq!(step.layer, Layer::default());
    assert_eq!(step.counts.get(&Normalisation::ClampMtime), None);
    assert!(names(&step.snapshot)?.is_empty());
    let step = lab.step(&trees, TimeRule::Counts, &[], work)?;
    assert_eq!(step.layer.lines(), ["f f"]);
    Ok(())
}

fn put_right(lab: &Lab) -> Outcome {
    let trees = [lab.tree(&[], &base())?];
    let step = lab.run(&trees, |root| {
        fs::write(root.join("d/a"), "new")?;
        setxattr(root.join("e"), "trusted.x", b"1", XattrFlags::empty())
            .err()
            .ok_or("a user namespace takes no trusted attribute")?;
        fs::remove_file(root.join("e/x"))?;
        Ok(())
    })?;
    let (cold, info) = lab.unpack(&trees, &step.layer)?;
    info?;
    // Not only the merged views: the directories themselves are equal.
    assert_eq!(view(&step.snapshot)?, view(&cold)?);
    Ok(())
}

fn elsewhere(lab: &Lab) -> Outcome {
    for (path, name, value) in [
        ("d", "user.overlay.redirect", &b"/e"[..]),
        ("f", "user.overlay.metacopy", b""),
        ("f", "user.overlay.whiteout", b""),
        ("d", "user.overlay.opaque", b"x"),
    ] {
        let upper = lab.tree(&[], &base())?;
        setxattr(upper.join(path), name, value, XattrFlags::empty())?;
        let mut layer = Layer::default();
        let result = lab.try_diff(&[], &upper, TimeRule::Counts, &[], &mut layer)?;
        assert!(
            matches!(&result, Err(TreeError::Overlay { attribute, .. }) if attribute == name),
            "{result:?}"
        );
    }
    Ok(())
}

fn reserved_names(lab: &Lab) -> Outcome {
    let upper = lab.upper(&[], |root| {
        fs::write(root.join(".wh.f"), "")?;
        Ok(())
    })?;
    let mut layer = Layer::default();
    let result = lab.try_diff(&[], &upper, TimeRule::Counts, &[], &mut layer)?;
    assert!(matches!(result, Err(TreeError::ReservedName(path)) if path == at(".wh.f")));
    Ok(())
}

fn root_directory(lab: &Lab) -> Outcome {
    let step = lab.run(&[], |root| {
        fs::write(root.join("f"), "")?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f f"], "an untouched root is no entry");
    let step = lab.run(&[], |root| Ok(chmod(root, 0o700)?))?;
    assert_eq!(step.layer.lines(), ["d "]);
    let trees = [lab.tree(&[], &step.layer.0)?];
    let step = lab.run(&trees, |root| {
        fs::write(root.join("f"), "")?;
        Ok(())
    })?;
    assert_eq!(step.layer.lines(), ["f f"]);
    assert_eq!(fs::metadata(&step.snapshot)?.mode() & 0o7777, 0o700);
    Ok(())
}
