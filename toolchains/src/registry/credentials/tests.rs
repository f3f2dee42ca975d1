use std::{fs, os::unix::fs::PermissionsExt as _};

use tempfile::TempDir;

use super::*;

const REGISTRY: &str = "r.example:5000";

fn sources(files: &[&str]) -> (TempDir, CredentialSources) {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = CredentialSources {
        helper_dirs: vec![dir.path().join("bin")],
        ..CredentialSources::default()
    };
    for (number, text) in files.iter().enumerate() {
        let path = dir.path().join(format!("{number}.json"));
        fs::write(&path, text).unwrap();
        sources.files.push(path);
    }
    fs::create_dir(dir.path().join("bin")).unwrap();
    (dir, sources)
}

fn find(sources: &CredentialSources, registry: &str, repository: &str) -> Option<Login> {
    let found = sources.find(registry, repository, &AtomicBool::new(false));
    found.unwrap().map(|found| found.login)
}

fn basic(user: &str, password: &str) -> Login {
    Login::Basic {
        user: user.into(),
        password: Secret::new(password.into()),
    }
}

fn helper(dir: &TempDir, name: &str, script: &str) {
    let path = dir
        .path()
        .join("bin")
        .join(format!("docker-credential-{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn entries_are_found_as_docker_and_podman_write_them() {
    let auth = |pair: &str| general_purpose::STANDARD.encode(pair);
    let (one, two, hub) = (auth("one:p:w"), auth("two:pw\0\0"), auth("hub:pw"));
    let docker = format!(
        r#"{{"auths": {{"r.example:5000": {{"auth": "{one}"}}, "r.example:5000/team/app": {{"auth": "{two}"}},
            "{DEFAULT_REGISTRY_LOGIN}": {{"auth": "{hub}"}}, "empty.example": {{}},
            "http://old.example/v1/": {{"username": "old", "password": "pw"}},
            "token.example": {{"auth": "", "identitytoken": "refresh"}},
            "ready.example": {{"registrytoken": "ready"}}}}, "HttpHeaders": {{"x": "y"}}}}"#
    );
    let (_dir, sources) = sources(&["", "{}", &docker]);
    for (registry, repository, expected) in [
        (REGISTRY, "a", Some(basic("one", "p:w"))),
        (REGISTRY, "team/app", Some(basic("two", "pw"))),
        (REGISTRY, "team/app/x", Some(basic("two", "pw"))),
        // A name that only begins alike is another one.
        (REGISTRY, "team/apple", Some(basic("one", "p:w"))),
        (DEFAULT_REGISTRY, "library/a", Some(basic("hub", "pw"))),
        ("old.example", "a", Some(basic("old", "pw"))),
        ("empty.example", "a", None),
        ("other.example", "a", None),
        (
            "token.example",
            "a",
            Some(Login::Identity(Secret::new("refresh".into()))),
        ),
        (
            "ready.example",
            "a",
            Some(Login::Bearer(Secret::new("ready".into()))),
        ),
    ] {
        assert_eq!(
            find(&sources, registry, repository),
            expected,
            "{registry}/{repository}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_said_without_what_is_in_it() {
    for text in [
        "{\"auths\": {\"r.example:5000\": {\"auth\": s3cret}}}",
        "{\"auths\": {\"r.example:5000\": {\"auth\": \"s3cret!\"}}}",
        "{\"auths\": {\"r.example:5000\": {\"auth\": \"czNjcmV0\"}}}",
        "[\"s3cret\"]",
    ] {
        let (_dir, sources) = sources(&[text]);
        let error = sources
            .find(REGISTRY, "a", &AtomicBool::new(false))
            .unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("czNjcmV0"),
            "{shown}"
        );
        assert!(shown.contains("0.json"), "{shown}");
    }
}

#[test]
fn helpers_answer_for_their_registry_and_for_all() {
    let config = r#"{"credHelpers": {"r.example:5000": "one"}, "credsStore": "all",
        "auths": {"plain.example": {"username": "p", "password": "w"}}}"#;
    let (dir, sources) = sources(&[config]);
    helper(
        &dir,
        "one",
        r#"read -r server; echo "{\"Username\":\"$1\",\"Secret\":\"$server\"}""#,
    );
    helper(
        &dir,
        "all",
        &r#"read -r server; case "$server" in
           HUB) echo '{"Username":"<token>","Secret":"refresh"}';;
           bad.example) echo 's3cret' ;;
           worse.example) echo 's3cret'; exit 1 ;;
           *) echo 'credentials not found in native keychain'; exit 1;; esac"#
            .replace("HUB", DEFAULT_REGISTRY_LOGIN),
    );
    assert_eq!(find(&sources, REGISTRY, "a"), Some(basic("get", REGISTRY)));
    let identity = Login::Identity(Secret::new("refresh".into()));
    assert_eq!(
        find(&sources, DEFAULT_REGISTRY, "library/a"),
        Some(identity)
    );
    assert_eq!(find(&sources, "plain.example", "a"), Some(basic("p", "w")));
    assert_eq!(find(&sources, "unknown.example", "a"), None);
    for registry in ["bad.example", "worse.example"] {
        let error = sources
            .find(registry, "a", &AtomicBool::new(false))
            .unwrap_err();
        let shown = format!("{error:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn a_helper_is_a_program_of_path_and_no_path() {
    for (name, expected) in [
        ("missing", "Missing"),
        ("../evil", "Name"),
        ("/bin/sh", "Name"),
        ("a b", "Name"),
    ] {
        let config = format!(r#"{{"credsStore": "{name}"}}"#);
        let (_dir, sources) = sources(&[&config]);
        let error = sources
            .find(REGISTRY, "a", &AtomicBool::new(false))
            .unwrap_err();
        assert!(format!("{error:?}").contains(expected), "{error:?}");
    }
}

#[test]
fn a_helper_that_does_not_end_is_ended() {
    let (dir, sources) = sources(&[r#"{"credsStore": "slow"}"#]);
    helper(&dir, "slow", "exec sleep 600");
    let begun = std::time::Instant::now();
    let cancelled = AtomicBool::new(true);
    assert!(sources.find(REGISTRY, "a", &cancelled).is_err());
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
}
