//! Statements that are not ours, in the hands of those whose they are: in-toto's own verifier of layouts
//! (Debian's `in-toto`), and the SPDX project's validator.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use repro_core::fs::sorted_names;
use repro_tests::{TestContext, root, succeeds, target, tool};

/// Builds a project and signs it; gives the pack and the public key.
fn signed(context: &TestContext, project: &Path, code: i32) -> (PathBuf, PathBuf) {
    context.repro(["keygen", "k"]).run().exits(0);
    let (build, pack) = context.build(project);
    build
        .arg("--key")
        .arg(context.path("k.key"))
        .run()
        .exits(code);
    (pack, context.path("k.pub"))
}

/// Whether Debian's verifier accepts the links under a layout by which both runs agree.
fn accepts(context: &TestContext, links: &Path, key: &Path) -> bool {
    let out = context.path("layout");
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    fs::create_dir(&out).unwrap();
    // Debian's Python has Debian's library.
    let mut make = Command::new("/usr/bin/python3");
    let script = root().join("tests/interop/layout.py");
    succeeds(make.arg(script).arg(links).arg(key).arg(&out));
    let verified = Command::new(tool("in-toto-verify"))
        .current_dir(&out)
        .args(["--layout", "root.layout", "--layout-keys", "owner.pub"])
        .args(["--key-types", "ed25519", "--link-dir"])
        .arg(links)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    match verified.status.code() {
        Some(0) => true,
        Some(1) if said.contains("VerificationError") => false,
        _ => panic!("{verified:?}"),
    }
}

#[test]
fn debians_in_toto_verifies_that_two_runs_agree() {
    let context = TestContext::new();
    let project = context.project("same", &[("Dockerfile", "FROM busybox\nRUN echo x > /x\n")]);
    let (pack, key) = signed(&context, &project, 0);
    let links = pack.join("links");
    assert_eq!(sorted_names(&links).unwrap().len(), 2);
    assert!(accepts(&context, &links, &key));
    // One digit of a digest, and the signature is of something else.
    let copy = context.path("changed");
    fs::create_dir(&copy).unwrap();
    for name in sorted_names(&links).unwrap() {
        let text = fs::read_to_string(links.join(&name)).unwrap();
        let (before, after) = text.split_once("\"sha256\":\"").unwrap();
        let digit = if after.starts_with('0') { '1' } else { '0' };
        let changed = format!("{before}\"sha256\":\"{digit}{}", &after[1..]);
        fs::write(copy.join(&name), changed).unwrap();
    }
    assert!(!accepts(&context, &copy, &key));
}

#[test]
fn debians_in_toto_refuses_runs_that_differ() {
    let context = TestContext::new();
    let project = context.example("stamp");
    let (pack, key) = signed(&context, &project, 1);
    assert!(!accepts(&context, &pack.join("links"), &key));
}

#[test]
fn the_bill_of_materials_is_valid_and_names_what_the_image_holds() {
    let context = TestContext::new();
    let metadata = "Metadata-Version: 2.1\\nName: Some_Thing\\nVersion: 1.2\\n";
    let dockerfile = format!(
        "FROM busybox\nRUN mkdir -p /lib/s.dist-info /app/node_modules/@a/b \
         && printf '{metadata}' > /lib/s.dist-info/METADATA \
         && echo '{{\"version\": \"3.4.5\"}}' > /app/node_modules/@a/b/package.json\n"
    );
    let project = context.project("packages", &[("Dockerfile", &dockerfile)]);
    let (build, pack) = context.build(&project);
    build.args(["-t", "acme/packages:1"]).run().exits(0);
    let document = pack.join("sbom/sbom-packages.spdx.json");
    let python = target().join("interop/venv/bin/python");
    assert!(python.exists(), "`tests/run` installs {}", python.display());
    let mut validate = Command::new(python);
    let script = root().join("tests/interop/validate_spdx.py");
    let said = succeeds(validate.arg(script).arg(&document));
    assert!(said.starts_with("valid: "), "{said}");
    let text = fs::read_to_string(&document).unwrap();
    for purl in [
        "pkg:pypi/some-thing@1.2",
        "pkg:npm/%40a/b@3.4.5",
        "pkg:deb/debian/",
        "pkg:oci/packages@sha256%3A",
    ] {
        assert!(text.contains(purl), "{purl}: {text}");
    }
    // Two builds of one thing make one document.
    let (again, other) = context.build(&context.project("again", &[("Dockerfile", &dockerfile)]));
    again.args(["-t", "acme/packages:1"]).run().exits(0);
    let other = fs::read_to_string(other.join("sbom/sbom-packages.spdx.json")).unwrap();
    assert_eq!(text, other);
    let (without, pack) = context.build(&project);
    without.arg("--sbom=false").run().exits(0);
    assert!(!pack.join("sbom").exists());
}

#[test]
fn a_database_that_rpm_wrote_is_read() {
    let context = TestContext::new();
    let project = context.project(
        "rpm",
        &[
            ("Dockerfile", "FROM scratch\nCOPY db /var/lib/rpm\n"),
            (
                "thing.spec",
                "Name: thing\nVersion: 1.2\nRelease: 3\nEpoch: 2\nSummary: x\nLicense: MIT\n\
                 BuildArch: noarch\n%description\nx\n%files\n",
            ),
        ],
    );
    let top = context.path("top");
    let mut make = Command::new(tool("rpmbuild"));
    succeeds(
        make.current_dir(&project)
            .arg("-bb")
            .arg(format!("--define=_topdir {}", top.display()))
            .arg("thing.spec"),
    );
    let install = project.join("root");
    fs::create_dir(&install).unwrap();
    let mut rpm = Command::new(tool("rpm"));
    succeeds(
        rpm.arg("--root")
            .arg(&install)
            .args([
                "--dbpath",
                "/db",
                "--define=_db_backend sqlite",
                "--install",
            ])
            .args(["--nodeps", "--noscripts", "--nosignature", "--force-debian"])
            .arg(top.join("RPMS/noarch/thing-1.2-3.noarch.rpm")),
    );
    fs::create_dir(project.join("db")).unwrap();
    let database = install.join("db/rpmdb.sqlite");
    fs::copy(database, project.join("db/rpmdb.sqlite")).unwrap();
    let (build, pack) = context.build(&project);
    build.run().exits(0);
    let text = fs::read_to_string(pack.join("sbom/sbom-image.spdx.json")).unwrap();
    let purl = "pkg:rpm/thing@1.2-3?arch=noarch&epoch=2";
    assert!(text.contains(purl), "{text}");
}
