//! `repro doctor`, where things are missing: the real ones, as far as they can be taken away here.

use std::{fs, os::unix::fs::PermissionsExt as _};

use repro_tests::{Ended, Engine, TestContext, User};
use serde_json::Value;

/// Nothing of the machine's own engines: what is there is said by each test.
fn doctor(context: &TestContext, wrapper: &[&str], variables: &[(&str, &str)]) -> (Value, Ended) {
    let run = |json: bool| {
        let mut words = vec!["doctor"];
        words.extend(json.then_some("--json"));
        let mut command = context.repro(words).through(wrapper);
        for (name, value) in variables {
            command = command.env(name, value);
        }
        command.run().any()
    };
    let (json, text) = (run(true), run(false));
    assert_eq!(json.code, text.code);
    let schema = json.json()["schema"].to_string();
    assert!(schema.ends_with("/cli/doctor/v1\""), "{schema}");
    for line in text.stdout.lines() {
        // A word can be longer than a line, such as a path.
        let words = line.split_whitespace().count();
        assert!(line.chars().count() <= 80 || words < 4, "{line}");
    }
    (json.json(), text)
}

fn check<'a>(document: &'a Value, name: &str) -> &'a Value {
    let mut checks = document["checks"]
        .as_array()
        .expect("the test made it so")
        .iter();
    checks
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {document:#}"))
}

fn is(document: &Value, name: &str, status: &str, detail: &str, next: &str) {
    let check = check(document, name);
    assert_eq!(check["status"], status, "{check:#}");
    assert!(
        check["detail"]
            .as_str()
            .expect("the test made it so")
            .contains(detail),
        "{check:#}"
    );
    let steps = check["nextSteps"].as_array().expect("the test made it so");
    let found = steps
        .iter()
        .any(|step| step.as_str().expect("the test made it so").contains(next));
    assert!(found || next.is_empty(), "{check:#}");
}

/// Starts a program where a sysctl forbids user namespaces. Of a namespace alone: the machine's own switch stays
/// as it is.
const WITHOUT_NAMESPACES: [&str; 11] = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--mount-proc",
    "--pid",
    "--fork",
    "sh",
    "-c",
    "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"",
    "sh",
];

#[test]
fn a_machine_that_builds_is_described() {
    let context = TestContext::new();
    let (document, text) = doctor(&context, &[], &[]);
    assert_eq!(text.code, Some(0), "{text}");
    assert_eq!(document["builds"]["native"], true);
    for name in [
        "kernel",
        "user namespaces",
        "user ids",
        "seccomp",
        "sandbox",
        "store",
        "disk",
    ] {
        assert_eq!(check(&document, name)["status"], "ok", "{document:#}");
    }
    text.prints(["--executor native"]);
    assert!(text.stdout.lines().count() <= 45, "{}", text.stdout);
}

#[test]
fn privileged_namespaces_that_a_sysctl_forbids_are_named_with_the_command() {
    let context = TestContext::new();
    let (document, text) = doctor(&context, &WITHOUT_NAMESPACES, &[]);
    is(
        &document,
        "user namespaces",
        "missing",
        "user.max_user_namespaces is 0",
        "as root: sysctl -w user.max_user_namespaces=28633",
    );
    assert_eq!(document["builds"]["native"], false);
    assert_eq!(text.code, Some(5), "{text}");
    text.prints(["MISSING  user namespaces", "no step of a build can run"]);
}

#[test]
fn privileged_a_user_without_subordinate_ids_is_told_how_to_get_them() {
    let context = TestContext::with_empty_store(User::with_one_id());
    let (document, text) = doctor(&context, &[], &[]);
    is(
        &document,
        "user ids",
        "warn",
        "all users of a step are this user",
        "usermod --add-subuids",
    );
    assert_eq!(text.code, Some(0), "{text}");
    assert_eq!(document["builds"]["native"], true);
}

#[test]
fn privileged_a_user_whose_tools_are_not_found_is_told_to_install_them() {
    let context = TestContext::with_empty_store(User::ordinary());
    let (document, _) = doctor(&context, &[], &[("PATH", "/nowhere")]);
    is(
        &document,
        "user ids",
        "missing",
        "newuidmap and newgidmap",
        "apt-get install uidmap",
    );
}

#[test]
fn privileged_namespaces_that_a_filter_forbids_are_put_down_to_a_container() {
    // Docker's own filter, as Podman applies it to what it runs: without CAP_SYS_ADMIN no namespaces.
    let engine = Engine::podman();
    let root = engine.dir().join("rootfs");
    for dir in ["proc", "tmp", "store"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let library = |name: &str| {
        let to = root.join(name.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(name, to).unwrap();
    };
    fs::copy(repro_tests::program(), root.join("repro")).unwrap();
    fs::set_permissions(root.join("repro"), fs::Permissions::from_mode(0o755)).unwrap();
    let needed =
        repro_tests::succeeds(std::process::Command::new("ldd").arg(repro_tests::program()));
    for word in needed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        library(word);
    }
    let mut run = engine.client();
    run.args(["run", "--rm", "--network=none", "--rootfs"])
        .arg(&root);
    run.args(["/repro", "--store", "/store", "doctor", "--json"]);
    let output = run.output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    is(
        &document,
        "sandbox",
        "missing",
        "",
        "a filter of system calls from whoever started it",
    );
    assert_eq!(output.status.code(), Some(5));
    // Not a socket is there, and each that was looked for is said.
    let places = document["engines"].as_array().unwrap();
    assert!(
        places
            .iter()
            .all(|place| place["problem"] == "there is no such socket")
    );
    assert!(places.len() >= 2, "{document:#}");
}

#[test]
fn privileged_engines_are_described_and_a_named_one_that_is_gone_is_said() {
    let context = TestContext::new();
    let (docker, podman) = (Engine::docker(), Engine::podman());
    let variables = [
        ("DOCKER_HOST", docker.host()),
        ("CONTAINER_HOST", podman.host()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let (document, text) = doctor(&context, &[], &variables);
    is(&document, "docker", "ok", "20.10.24", "");
    is(&document, "podman", "ok", "4.3.1 (API 1.41), rootful", "");
    assert_eq!(document["builds"]["docker"], true);
    assert_eq!(document["builds"]["podman"], true);
    text.prints(["--executor native, --executor docker, --executor podman"]);

    let gone = [("DOCKER_HOST", "unix:///nowhere/docker.sock")];
    let (document, text) = doctor(&context, &[], &gone);
    is(
        &document,
        "docker",
        "warn",
        "none answers",
        "systemctl start docker",
    );
    text.prints(["there is no such socket"]);
    assert_eq!(text.code, Some(0));

    // Where the sandbox cannot work, an engine is enough.
    let (document, text) = doctor(&context, &WITHOUT_NAMESPACES, &variables[..1]);
    assert_eq!(document["builds"]["native"], false);
    assert_eq!(document["builds"]["docker"], true);
    assert_eq!(text.code, Some(0), "{text}");
}
