//! Unpacking: what archives leave open, and what overlayfs must see.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use repro_core::tree::{EntryKind, Meta};
use repro_sandbox::tree::TreeError;

use crate::{
    Outcome, Scenario,
    lab::{Lab, Layer, at, bare, entry, file, plus},
    view::{names, view, xattrs},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("unpack/metadata", metadata),
    ("unpack/whiteouts_and_opaque", whiteouts_and_opaque),
    (
        "unpack/removals_act_on_lower_alone",
        removals_act_on_lower_alone,
    ),
    ("unpack/opaque_root", opaque_root),
    ("unpack/missing_parents", missing_parents),
    ("unpack/last_entry_counts", last_entry_counts),
    ("unpack/hard_links", hard_links),
    ("unpack/links_of_the_layer", links_of_the_layer),
    (
        "unpack/overlay_attributes_are_forged_in_vain",
        forged_attributes,
    ),
    ("unpack/refused", refused),
];

fn base() -> Vec<(repro_core::tree::Entry, Vec<u8>)> {
    let mut directory = entry("d", EntryKind::Directory);
    directory.meta = Meta {
        mode: 0o2750,
        uid: 3,
        gid: 4,
        mtime: 500,
        xattrs: [(b"user.d".to_vec(), b"1".to_vec())].into(),
    };
    vec![
        (directory, Vec::new()),
        file("d/a", "aaa"),
        file("d/b", "bbb"),
        bare("d/sub", EntryKind::Directory),
        file("d/sub/s", "s"),
        file("f", "fff"),
    ]
}

fn metadata(lab: &Lab) -> Outcome {
    let mut program = file("bin/su", "elf");
    program.0.meta = Meta {
        mode: 0o6755,
        uid: 5,
        gid: 6,
        mtime: 4_000_000_000,
        xattrs: [(b"user.x".to_vec(), b"y".to_vec())].into(),
    };
    let mut link = bare(
        "l",
        EntryKind::Symlink {
            target: b"gone".to_vec(),
        },
    );
    link.0.meta.uid = 9;
    let mut fifo = bare("p", EntryKind::Fifo);
    fifo.0.meta.mode = 0o622;
    let mut closed = bare("bin", EntryKind::Directory);
    closed.0.meta.mode = 0;
    let (tree, info) = lab.unpack(&[], &Layer(vec![closed, program, link, fifo]))?;
    let info = info?;
    assert_eq!(
        (info.entries, info.bytes, info.newest_mtime),
        (4, 3, 4_000_000_000)
    );
    let seen = view(&tree)?;
    let su = &seen[Path::new("bin/su")];
    assert_eq!(su.mode & 0o7777, 0o6755);
    assert_eq!(su.owner, (5, 6));
    assert_eq!(su.mtime, (4_000_000_000, 0));
    assert_eq!(su.xattrs[&b"user.x"[..]], b"y");
    assert_eq!(seen[Path::new("bin")].mode & 0o7777, 0);
    assert_eq!(
        seen[Path::new("bin")].mtime,
        (1000, 0),
        "set after its entries"
    );
    assert_eq!(seen[Path::new("l")].owner, (9, 0));
    assert_eq!(seen[Path::new("l")].mtime, (1000, 0));
    assert_eq!(seen[Path::new("p")].mode & 0o7777, 0o622);
    Ok(())
}

fn whiteouts_and_opaque(lab: &Lab) -> Outcome {
    let below = [lab.tree(&[], &base())?];
    let layer = [
        bare("f", EntryKind::Whiteout),
        bare("nothing", EntryKind::Whiteout),
        bare("d", EntryKind::OpaqueWhiteout),
        file("d/new", "n"),
    ];
    let tree = lab.tree(&below, &layer)?;
    assert_eq!(
        names(&tree)?,
        [&b"d"[..], b"f"],
        "nothing to hide, no whiteout"
    );
    let merged = lab.view(&plus(&below, &tree))?;
    assert_eq!(names(merged.path())?, [b"d"]);
    assert_eq!(names(&merged.path().join("d"))?, [b"new"]);
    // The directory that the layer does not describe is the one below.
    let directory = fs::metadata(merged.path().join("d"))?;
    assert_eq!(
        (
            directory.mode() & 0o7777,
            directory.uid(),
            directory.mtime()
        ),
        (0o2750, 3, 500)
    );
    // A sub-directory below an opaque one is not merged with what is hidden.
    let layer = [
        bare("d", EntryKind::OpaqueWhiteout),
        bare("d/sub", EntryKind::Directory),
    ];
    let tree = lab.tree(&below, &layer)?;
    let merged = lab.view(&plus(&below, &tree))?;
    assert!(names(&merged.path().join("d/sub"))?.is_empty());
    Ok(())
}

fn removals_act_on_lower_alone(lab: &Lab) -> Outcome {
    let below = [lab.tree(&[], &base())?];
    let entries = [
        bare("d", EntryKind::Whiteout),
        bare("d", EntryKind::Directory),
        file("d/new", "n"),
        bare("f", EntryKind::Whiteout),
        file("f", "again"),
    ];
    for order in [
        [0, 1, 2, 3, 4],
        [1, 2, 0, 4, 3],
        [2, 0, 1, 4, 3],
        [0, 2, 1, 3, 4],
    ] {
        let layer = order.map(|index: usize| entries[index].clone());
        let tree = lab.tree(&below, &layer)?;
        let merged = lab.view(&plus(&below, &tree))?;
        assert_eq!(names(&merged.path().join("d"))?, [b"new"], "{order:?}");
        assert_eq!(fs::read(merged.path().join("f"))?, b"again", "{order:?}");
    }
    Ok(())
}

fn opaque_root(lab: &Lab) -> Outcome {
    let below = [lab.tree(&[], &base())?];
    let layer = [
        bare("", EntryKind::OpaqueWhiteout),
        file("d/new", "n"),
        file("g", "g"),
    ];
    let tree = lab.tree(&below, &layer)?;
    let merged = lab.view(&plus(&below, &tree))?;
    assert_eq!(names(merged.path())?, [b"d", b"g"]);
    assert_eq!(names(&merged.path().join("d"))?, [b"new"]);
    Ok(())
}

fn missing_parents(lab: &Lab) -> Outcome {
    let below = [lab.tree(&[], &base())?];
    let layer = [file("d/sub/new", ""), file("x/y/z", ""), file("f/in", "")];
    let tree = lab.tree(&below, &layer)?;
    let seen = view(&tree)?;
    let of = |path: &str| {
        let seen = &seen[Path::new(path)];
        (seen.mode & 0o7777, seen.owner, seen.mtime)
    };
    assert_eq!(of("d"), (0o2750, (3, 4), (500, 0)));
    assert_eq!(seen[Path::new("d")].xattrs[&b"user.d"[..]], b"1");
    assert_eq!(of("d/sub"), (0o755, (0, 0), (1000, 0)));
    assert_eq!(of("x"), (0o755, (0, 0), (0, 0)));
    assert_eq!(of("x/y"), (0o755, (0, 0), (0, 0)));
    assert_eq!(
        of("f"),
        (0o755, (0, 0), (0, 0)),
        "a file below becomes a directory"
    );
    let merged = lab.view(&plus(&below, &tree))?;
    assert_eq!(names(&merged.path().join("d"))?, [&b"a"[..], b"b", b"sub"]);
    Ok(())
}

fn last_entry_counts(lab: &Lab) -> Outcome {
    let layer = [
        file("a", "first"),
        file("a", "last"),
        file("b", "file"),
        bare("b", EntryKind::Directory),
        file("b/in", ""),
        bare("c", EntryKind::Directory),
        file("c/in", ""),
        bare(
            "c",
            EntryKind::Symlink {
                target: b"a".to_vec(),
            },
        ),
    ];
    let tree = lab.tree(&[], &layer)?;
    assert_eq!(fs::read(tree.join("a"))?, b"last");
    assert!(tree.join("b/in").is_file());
    assert_eq!(fs::read_link(tree.join("c"))?, Path::new("a"));
    Ok(())
}

fn hard_links(lab: &Lab) -> Outcome {
    let below = [lab.tree(&[], &base())?];
    let layer = [
        file("n", "new"),
        bare("m", EntryKind::Hardlink { target: at("n") }),
        bare("d/z", EntryKind::Hardlink { target: at("d/a") }),
    ];
    let tree = lab.tree(&below, &layer)?;
    let seen = view(&tree)?;
    assert_eq!(seen[Path::new("n")].same_as, Path::new("m"));
    assert_eq!(seen[Path::new("d/z")].same_as, Path::new("d/a"));
    assert_eq!(seen[Path::new("d/z")].data, b"aaa");
    assert_eq!(seen[Path::new("d/z")].mtime, (1000, 0));
    for layer in [
        vec![bare("m", EntryKind::Hardlink { target: at("gone") })],
        vec![bare("m", EntryKind::Hardlink { target: at("d") })],
        vec![bare("m", EntryKind::Hardlink { target: at("m") })],
        // The link would take the place of the directory that its target is in.
        vec![
            file("c/in", ""),
            bare("c", EntryKind::Hardlink { target: at("c/in") }),
        ],
        vec![
            bare("f", EntryKind::Whiteout),
            bare("m", EntryKind::Hardlink { target: at("f") }),
        ],
        vec![
            bare("d", EntryKind::OpaqueWhiteout),
            bare("m", EntryKind::Hardlink { target: at("d/a") }),
        ],
    ] {
        let (_, result) = lab.unpack(&below, &Layer(layer.clone()))?;
        assert!(
            matches!(result, Err(TreeError::LinkTarget { .. })),
            "{layer:?} {result:?}"
        );
    }
    Ok(())
}

fn links_of_the_layer(lab: &Lab) -> Outcome {
    let canary = lab.directory();
    fs::write(canary.join("canary"), "alive")?;
    let outside = canary.into_os_string().into_encoded_bytes();
    let layer = [
        bare("usr/lib", EntryKind::Directory),
        bare(
            "lib",
            EntryKind::Symlink {
                target: b"usr/lib".to_vec(),
            },
        ),
        file("lib/in", "1"),
        bare(
            "up",
            EntryKind::Symlink {
                target: b"../../../..".to_vec(),
            },
        ),
        file("up/top", "2"),
        bare(
            "out",
            EntryKind::Symlink {
                target: outside.clone(),
            },
        ),
        file("out/canary", "dead"),
    ];
    let tree = lab.tree(&[], &layer)?;
    assert_eq!(fs::read(tree.join("usr/lib/in"))?, b"1");
    assert_eq!(fs::read(tree.join("top"))?, b"2");
    let outside: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(outside);
    assert_eq!(fs::read(Path::new(&outside).join("canary"))?, b"alive");
    let inside = tree.join(Path::new(&outside).strip_prefix("/")?);
    assert_eq!(
        fs::read(inside.join("canary"))?,
        b"dead",
        "followed inside the root"
    );
    // A chain without end.
    let layer = Layer(vec![
        bare(
            "a",
            EntryKind::Symlink {
                target: b"b".to_vec(),
            },
        ),
        bare(
            "b",
            EntryKind::Symlink {
                target: b"a".to_vec(),
            },
        ),
        file("a/x", ""),
    ]);
    assert!(matches!(
        lab.unpack(&[], &layer)?.1,
        Err(TreeError::Links(_))
    ));
    Ok(())
}

fn forged_attributes(lab: &Lab) -> Outcome {
    let below = [lab.tree(&[], &base())?];
    let mut forged = bare("d", EntryKind::Directory);
    for name in [
        "user.overlay.opaque",
        "user.overlay.redirect",
        "trusted.overlay.opaque",
    ] {
        forged.0.meta.xattrs.insert(name.into(), b"y".to_vec());
    }
    let tree = lab.tree(&below, &[forged])?;
    assert!(xattrs(&tree.join("d"))?.is_empty());
    let merged = lab.view(&plus(&below, &tree))?;
    assert_eq!(names(&merged.path().join("d"))?, [&b"a"[..], b"b", b"sub"]);
    Ok(())
}

fn refused(lab: &Lab) -> Outcome {
    let unpack = |layer: Vec<_>| lab.unpack(&[], &Layer(layer)).map(|(_, result)| result);
    let device = bare("dev/null", EntryKind::CharDevice { major: 1, minor: 3 });
    let result = unpack(vec![device])?;
    assert!(matches!(&result, Err(TreeError::Device { path, .. }) if *path == at("dev/null")));
    // 0:0 would be a whiteout to overlayfs.
    let device = bare("x", EntryKind::CharDevice { major: 0, minor: 0 });
    assert!(matches!(
        unpack(vec![device])?,
        Err(TreeError::Device { .. })
    ));
    let result = unpack(vec![file("f", ""), file("f/in", "")])?;
    assert!(matches!(result, Err(TreeError::NotADirectory(path)) if path == at("f")));
    let result = unpack(vec![file("", "")])?;
    assert!(matches!(result, Err(TreeError::RootEntry)));
    for uid in [u32::MAX, 65_536] {
        let mut owned = file("f", "");
        owned.0.meta.uid = uid;
        let result = unpack(vec![owned])?;
        assert!(
            matches!(&result, Err(TreeError::Owner { .. })),
            "{uid} {result:?}"
        );
    }
    let mut owned = file("f", "");
    owned.0.meta.gid = u32::MAX;
    assert!(matches!(unpack(vec![owned])?, Err(TreeError::Owner { .. })));
    let mut late = file("f", "");
    late.0.meta.mtime = u64::MAX;
    assert!(matches!(unpack(vec![late])?, Err(TreeError::Time { .. })));
    let mut capable = file("f", "");
    let version_3 = [0x0300_0001_u32.to_le_bytes().to_vec(), vec![0; 20]].concat();
    capable
        .0
        .meta
        .xattrs
        .insert(b"security.capability".to_vec(), version_3);
    assert!(matches!(
        unpack(vec![capable])?,
        Err(TreeError::Capability { .. })
    ));
    let short = (entry("f", EntryKind::File { size: 4 }), b"abc".to_vec());
    assert!(matches!(
        unpack(vec![short])?,
        Err(TreeError::ContentSize { found: 3, .. })
    ));
    let long = (entry("f", EntryKind::File { size: 2 }), b"abc".to_vec());
    assert!(matches!(
        unpack(vec![long])?,
        Err(TreeError::ContentSize { found: 3, .. })
    ));
    Ok(())
}
