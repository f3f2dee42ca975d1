//! The command line from outside: streams, exit codes, errors.

use std::process::Stdio;

use repro_tests::{Repro, TestContext, User};

/// A tar with one directory and one file, made by the library that everyone uses.
fn rootfs() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    header.set_size(3);
    header.set_entry_type(tar::EntryType::Regular);
    tar.append_data(&mut header, "etc/greeting", b"hi\n".as_slice())
        .expect("a Vec takes every write");
    tar.into_inner().expect("a Vec takes every write")
}

/// Nothing here needs a toolchain.
fn empty() -> TestContext {
    TestContext::with_empty_store(User::Caller)
}

fn imported() -> TestContext {
    let context = empty();
    let _tar = context.write("root.tar", rootfs());
    let run = context
        .repro(["import", "rootfs:root.tar", "acme/base:1"])
        .run()
        .exits(0);
    assert_eq!(
        context.redact(&run.stdout),
        "docker.io/acme/base:1 [DIGEST]\n"
    );
    assert_eq!(run.stderr, "");
    context
}

#[test]
fn an_image_goes_in_is_shown_and_comes_out() {
    let context = imported();
    let shown = context
        .repro(["inspect", "--files", "acme/base:1"])
        .run()
        .exits(0);
    assert!(
        shown
            .stdout
            .contains("file      0644     0:0              3"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("etc/greeting"), "{}", shown.stdout);

    let json = context
        .repro(["inspect", "--json", "acme/base:1"])
        .run()
        .exits(0)
        .json();
    assert_eq!(json["schema"], "https://intelgraph.io/repro/cli/inspect/v1");
    let digest = json["image"]["manifestDigest"].as_str().unwrap().to_owned();

    let exported = context
        .repro(["export", "acme/base:1", "oci:out"])
        .run()
        .exits(0);
    assert_eq!(exported.stdout, "");
    let again = context
        .repro(["import", "--json", "oci:out", "acme/again"])
        .run()
        .exits(0);
    assert_eq!(again.json()["image"]["manifestDigest"], digest.as_str());
}

#[test]
fn a_missing_image_is_exit_6_with_a_next_step() {
    let context = imported();
    let run = context.repro(["inspect", "nothing"]).run().exits(6);
    assert_eq!(run.stdout, "");
    assert_eq!(
        run.stderr,
        "error: docker.io/library/nothing:latest is not in the store\n\
         hint: the store has acme/base:1\n"
    );
    let json = context
        .repro(["inspect", "--json", "nothing"])
        .run()
        .exits(6)
        .json();
    assert_eq!(json["schema"], "https://intelgraph.io/repro/cli/error/v1");
    assert_eq!(
        (&json["error"]["exit"], &json["error"]["kind"]),
        (&6.into(), &"input".into())
    );
}

#[test]
fn wrong_usage_is_exit_2_on_standard_error() {
    let context = empty();
    for arguments in [
        vec![],
        vec!["bulid", "."],
        vec!["build"],
        vec!["build", "--runs", "3", "."],
        vec!["build", "--vary", "moon", "."],
        vec!["build", "-o", "docker://acme//x", "."],
        vec!["import", "oci:", "x"],
        vec!["import", "oci:x", "UPPER"],
        vec!["inspect", "-q", "-v", "x"],
        vec!["store", "verify", "--progress", "tty"],
        vec!["toolchain", "show", "debian-fortran"],
        vec!["explain", "bad-luck"],
    ] {
        let run = context.repro(&arguments).run().exits(2);
        assert!(run.stdout.is_empty(), "{arguments:?}");
        assert!(
            run.stderr.contains("error:") || run.stderr.contains("Usage:"),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_mistake_in_repro_toml_is_shown_in_its_line() {
    let context = empty();
    let _project = context.project(
        "app",
        &[
            ("Dockerfile", "FROM scratch\n"),
            ("repro.toml", "[build]\nvray = ['all']\n"),
        ],
    );
    let run = context.repro(["build", "app"]).run().exits(2);
    let place = "repro.toml:2:1\n  |\n2 | vray = ['all']\n  | ^\n";
    assert!(run.stderr.contains(place), "{}", run.stderr);
}

#[test]
fn keys_are_private_and_never_replaced() {
    use std::os::unix::fs::PermissionsExt as _;

    let context = empty();
    for kind in ["p256", "ed25519"] {
        let _made = context
            .repro(["keygen", kind, "--type", kind])
            .umask(0)
            .run()
            .exits(0);
        let key = context.path(&format!("{kind}.key"));
        let before = std::fs::read(&key).unwrap();
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let again = context.repro(["keygen", kind]).run().exits(2);
        assert!(
            again.stderr.contains("exists and is not replaced"),
            "{}",
            again.stderr
        );
        assert_eq!(std::fs::read(&key).unwrap(), before);
        // Half a pair is as good a reason.
        std::fs::remove_file(&key).unwrap();
        let _half = context.repro(["keygen", kind]).run().exits(2);
        assert!(!key.exists());
    }
}

#[test]
fn a_reader_that_leaves_ends_the_program_quietly() {
    let context = empty();
    let mut child = context
        .repro(["man"])
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn without_a_home_the_store_has_to_be_named() {
    let context = empty();
    let nowhere = |arguments: &[&str]| -> Repro {
        context
            .repro(arguments)
            .env_remove("HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("REPRO_STORE")
    };
    let run = nowhere(&["store", "df"]).run().exits(5);
    assert!(
        run.stderr.contains("hint: name one: --store DIR"),
        "{}",
        run.stderr
    );
    let _named = nowhere(&["store", "df", "--store", "here"]).run().exits(0);
    assert!(context.path("here/meta.json").exists());
    let _unneeded = nowhere(&["explain"]).run().exits(0);
}

#[test]
fn a_relative_data_directory_is_ignored() {
    let context = empty();
    let run = context
        .repro(["store", "df"])
        .env_remove("REPRO_STORE")
        .env("XDG_DATA_HOME", "relative")
        .run()
        .exits(0);
    assert!(
        context
            .redact(&run.stdout)
            .starts_with("[ROOT]/home/.local/share/repro\n"),
        "{}",
        run.stdout
    );
    assert!(!context.path("relative").exists());
}

#[test]
fn progress_for_programs_is_json_line_by_line() {
    let context = imported();
    let run = context
        .repro(["store", "verify", "--progress", "json"])
        .run()
        .exits(0);
    assert!(run.stderr.lines().count() >= 2);
    for line in run.stderr.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["version"], 1);
    }
    let quiet = context.repro(["store", "verify", "--quiet"]).run().exits(0);
    assert_eq!(quiet.stderr, "");
}
