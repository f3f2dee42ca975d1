//! `repro toolchain lock`: what is signed becomes a lock, and nothing else; toolchains of a
//! project's own packages.

use std::{fs, path::PathBuf};

use repro_tests::{Answer, Ended, Pack, Server, TestContext, User, root, target};

/// A definition of the one package that the signed archive of the tests has.
const TOOL: &str = "\
version = 1
name = \"tool\"
summary = \"one package\"
suite = \"moon\"
component = \"main\"
architecture = \"amd64\"
method = \"unpack\"
packages = [\"tool\"]
";

/// A file of `toolchains/tests/signed/`.
fn signed(name: &str) -> PathBuf {
    root().join("toolchains/tests/signed").join(name)
}

/// Locks [`TOOL`] on an archive whose release is the signed text `release`, and whose compressed
/// index is `index`.
fn lock(context: &TestContext, release: &str, index: Vec<u8>, options: &[&str]) -> Ended {
    let release = fs::read(signed(&format!("{release}.asc"))).expect("a signed text");
    let server = Server::http(move |asked| match asked.path.as_str() {
        "/debian/dists/moon/InRelease" => Answer::ok(release.clone()),
        path if path.starts_with("/debian/dists/moon/main/binary-amd64/by-hash/SHA256/") => {
            Answer::ok(index.clone())
        }
        _ => Answer::new("404 Not Found", ""),
    });
    let definition = context.write("tool.toml", TOOL);
    let ended = context
        .repro(["toolchain", "lock", "--progress", "plain", "--keyring"])
        .arg(signed("keyring.asc"))
        .args(["--mirror", &server.url("/debian")])
        .args(options)
        .arg(&definition)
        .run()
        .any();
    assert!(!context.path("tool.lock").exists(), "{ended}");
    ended
}

fn index() -> Vec<u8> {
    fs::read(signed("Packages.gz")).expect("an index")
}

#[test]
fn a_release_that_is_not_trusted_is_refused_and_says_why() {
    let context = TestContext::new();
    let far = [
        ("stranger", &[][..], "the keyring does not have the key"),
        ("revoked", &[], "the key is revoked"),
        ("revoked", &["--allow-expired"], "the key is revoked"),
        ("weak", &[], "the key is too weak"),
        ("sha1", &[], "SHA1 is no hash to rely on"),
        ("expired", &[], "the key expired at 2025-06-01"),
        ("future", &[], "which is in the future"),
        ("good", &[], "it was valid until 2026-07-18"),
        ("archive", &["--threshold", "2"], "1 of the 2 keys needed"),
    ];
    for (release, options, why) in far {
        let ended = lock(&context, release, index(), options);
        assert_eq!(ended.code, Some(4), "{release}: {ended}");
        ended.says([why]);
    }
}

#[test]
fn an_expired_release_names_the_way_to_accept_it() {
    let context = TestContext::new();
    for release in ["good", "expired"] {
        lock(&context, release, index(), &[]).says(["--allow-expired"]);
        // It is trusted then, and its index is not there: its digest is one of nothing.
        let ended = lock(&context, release, index(), &["--allow-expired"]);
        assert_eq!(ended.code, Some(6), "{ended}");
        ended.says(["main/binary-amd64/Packages"]);
    }
}

#[test]
fn an_index_is_what_was_signed_or_nothing() {
    let context = TestContext::new();
    // Read to its end: the resolver is looked for in it, and it has one package.
    let ended = lock(&context, "archive", index(), &[]);
    assert_eq!(ended.code, Some(6), "{ended}");
    ended.says(["moon main has no package apt"]);
    let mut changed = index();
    changed[20] ^= 1;
    let ended = lock(&context, "archive", changed, &[]);
    assert_eq!(ended.code, Some(6), "{ended}");
    ended.says(["has the digest", "the lock says"]);
    // The compressed index fits, what is in it does not.
    let ended = lock(&context, "other", index(), &[]);
    assert_eq!(ended.code, Some(4), "{ended}");
    ended.says(["decompressed, it is not what the release says"]);
}

#[test]
fn bad_requests_say_what_to_do() {
    let context = TestContext::new();
    let repro = |args: &[&str]| context.repro(["toolchain"]).args(args).run().any();
    let definition = context.write("tool.toml", TOOL);
    let definition = definition.to_str().expect("a path of ASCII");
    let none = repro(&["build", definition]);
    assert_eq!(none.code, Some(6), "{none}");
    none.says(["has no lock beside it", "repro toolchain lock"]);
    let shipped = fs::read(root().join("toolchains/defs/busybox.lock")).expect("a lock");
    fs::write(context.path("tool.lock"), shipped).expect("a file");
    let other = repro(&["show", definition]);
    assert_eq!(other.code, Some(6), "{other}");
    other.says([
        "is the lock of busybox, not of tool",
        "repro toolchain lock",
    ]);
    let unknown = repro(&["lock", "moon"]);
    assert_eq!(unknown.code, Some(2), "{unknown}");
    unknown.says(["no toolchain \"moon\" is shipped", "debian-c"]);
    let keyring = repro(&["lock", "--keyring", "/dev/null", "busybox"]);
    assert_eq!(keyring.code, Some(2), "{keyring}");
    keyring.says(["keyring"]);
    let bad = context.write("bad.toml", TOOL.replace("amd64", "pdp11"));
    let bad = repro(&["lock", bad.to_str().expect("a path of ASCII")]);
    assert_eq!(bad.code, Some(2), "{bad}");
    bad.says(["bad.toml:6", "pdp11"]);
}

/// Against the archive itself: the same state gives the same lock, and the shipped locks are of a
/// state of it.
#[test]
fn shipped_definitions_are_locked_again_the_same() {
    let context = TestContext::new();
    let shipped = |name: &str| {
        let path = root().join("toolchains/defs").join(name);
        fs::read_to_string(path).expect("a lock")
    };
    let names = ["busybox", "debian-c"];
    let run = || {
        let lock = context.repro(["toolchain", "lock", "--json"]).args(names);
        let document = lock.run().exits(0).json();
        document["locks"].as_array().expect("a list").clone()
    };
    assert!(run().iter().all(|lock| lock["outcome"] == "new"));
    assert!(run().iter().all(|lock| lock["outcome"] == "unchanged"));
    // Without the first line, which says what wrote it.
    let body = |text: &str| text.split_once('\n').expect("lines").1.to_owned();
    for name in names {
        let made = fs::read_to_string(context.path(&format!("{name}.lock"))).expect("a lock");
        let committed = shipped(&format!("{name}.lock"));
        let release = committed
            .lines()
            .find(|line| line.starts_with("in-release-sha256"))
            .expect("a release");
        if made.contains(release) {
            assert_eq!(body(&made), body(&committed), "{name}");
        }
    }
}

/// Packages of a project's own choice are in its lock whole, and become one image: in a store that
/// has much, and in an empty one of another user.
#[test]
fn privileged_packages_of_a_projects_own_are_one_image_everywhere() {
    repro_tests::require_root();
    let files = [
        (
            "repro.toml",
            "[toolchain.own]\nfrom = \"debian\"\nsuite = \"bookworm\"\npackages = [\"bc\"]\n",
        ),
        (
            "Dockerfile",
            "FROM own\nRUN test \"$(echo 6*7 | bc)\" = 42 && dpkg --audit\n",
        ),
    ];
    let one = TestContext::with_store(target().join("example-store"));
    let project = one.project("project", &files);
    let unlocked = one.repro(["build"]).arg(&project).run().exits(6);
    unlocked.says(["own", "repro lock"]);
    one.repro(["lock"]).arg(&project).run().exits(0);
    let lock = fs::read_to_string(project.join("repro.lock")).expect("a lock");
    for part in [
        "[toolchain.archive]",
        "signed-by",
        "name = \"bc\"",
        "phase = \"install\"",
    ] {
        assert!(lock.contains(part), "{part}: {lock}");
    }
    let base = |context: &TestContext, project: &PathBuf| {
        let (build, evidence) = context.build(project);
        build.arg("--locked").run().exits(0);
        Pack::read(&evidence).digest().to_owned()
    };
    let other = TestContext::with_empty_store(User::ordinary());
    let copy = other.project("project", &[files[0], files[1], ("repro.lock", &lock)]);
    assert_eq!(base(&one, &project), base(&other, &copy));
    // Other packages than the lock has.
    let changed = files[0].1.replace("bc", "dc");
    fs::write(project.join("repro.toml"), changed).expect("a file");
    let stale = one
        .repro(["build", "--locked"])
        .arg(&project)
        .run()
        .exits(6);
    stale.says(["other names", "repro lock"]);
}
