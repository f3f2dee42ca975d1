use std::{fs, os::unix::net::UnixListener};

use repro_core::digest::Digest;
use tempfile::TempDir;

use super::*;

/// A home, a place for sockets, and nothing that names an engine.
struct Machine {
    dir: TempDir,
    ambient: Ambient,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient {
            home: Some(dir.path().join("home")),
            runtime_dir: Some(dir.path().join("run")),
            uid: 1000,
            ..Ambient::default()
        };
        Self { dir, ambient }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn listen(&self, name: &str) -> UnixListener {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        UnixListener::bind(path).unwrap()
    }

    fn context(&self, name: &str, meta: &str) -> String {
        let id = Digest::of(name.as_bytes()).hex();
        self.write(
            &format!("home/.docker/contexts/meta/{id}/meta.json"),
            &format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{meta}}}}}"#),
        );
        id
    }

    /// As [`find`], without the sockets that the real machine may have.
    fn find(&self, kind: Option<EngineKind>) -> Result<Found, EngineError> {
        let real = [DOCKER_SOCKET, PODMAN_SOCKET].map(|path| Endpoint::Unix(path.into()));
        let mut places = places(kind, &self.ambient);
        places.retain(|place| !matches!(&place.endpoint, Ok(endpoint) if real.contains(endpoint)));
        choose(kind, places)
    }

    fn unix(&self, name: &str) -> Endpoint {
        Endpoint::Unix(self.path(name))
    }
}

/// What a named engine has wrong.
fn problem(result: Result<Found, EngineError>) -> (String, Problem) {
    match result {
        Err(EngineError::Named { place, problem, .. }) => (place, *problem),
        other => panic!("{other:?}"),
    }
}

#[test]
fn docker_host_goes_before_a_context_and_that_before_the_usual_sockets() {
    let mut machine = Machine::new();
    let names = ["run/docker.sock", "host", "one", "two"];
    let _listeners: Vec<_> = names.map(|name| machine.listen(name)).into();
    let engine = |machine: &Machine| machine.find(Some(EngineKind::Docker)).unwrap();
    let url = |machine: &Machine, name| format!("unix://{}", machine.path(name).display());
    let found = engine(&machine);
    assert_eq!(found.origin, Origin::Usual);
    assert_eq!(found.endpoint, machine.unix("run/docker.sock"));

    machine.write("home/.docker/config.json", r#"{"currentContext":"one"}"#);
    for name in ["one", "two"] {
        let url = url(&machine, name);
        machine.context(name, &format!(r#"{{"Host":"{url}"}}"#));
    }
    let found = engine(&machine);
    assert_eq!(found.origin, Origin::CurrentContext("one".into()));
    assert_eq!(found.endpoint, machine.unix("one"));

    machine.ambient.docker_context = Some("two".into());
    let found = engine(&machine);
    assert_eq!(found.origin, Origin::DockerContext("two".into()));
    assert_eq!(found.endpoint, machine.unix("two"));

    machine.ambient.docker_host = Some(url(&machine, "host").into());
    let found = engine(&machine);
    assert_eq!(found.origin, Origin::DockerHost);
    assert_eq!(found.endpoint, machine.unix("host"));
}

#[test]
fn who_names_an_engine_means_no_other() {
    let mut machine = Machine::new();
    let _listener = machine.listen("run/docker.sock");
    drop(machine.listen("stale"));
    machine.write("file", "");
    for (name, expected) in [
        ("absent", "there is no such socket"),
        ("file", "that is not a socket"),
        ("stale", "nobody listens on it"),
    ] {
        let path = machine.path(name);
        machine.ambient.docker_host = Some(format!("unix://{}", path.display()).into());
        let (place, problem) = problem(machine.find(None));
        assert_eq!(place, format!("DOCKER_HOST (unix://{})", path.display()));
        assert_eq!(problem.to_string(), expected);
        assert!(!problem.is_configuration());
    }
    machine.ambient.docker_host = Some("ssh://me@build.example".into());
    let (place, problem) = problem(machine.find(None));
    assert_eq!(place, "DOCKER_HOST");
    assert!(problem.to_string().contains("forward the socket"));
    assert!(problem.is_configuration());
}

#[test]
fn contexts_that_cannot_be_used_say_why() {
    let mut machine = Machine::new();
    machine.write("home/.docker/config.json", r#"{"auths":{"a":{}}"#);
    let (place, broken) = problem(machine.find(None));
    assert_eq!(place, "config.json of the docker client");
    assert!(matches!(
        broken,
        Problem::Context(ContextError::Parse { .. })
    ));

    machine.write("home/.docker/config.json", r#"{"currentContext":"gone"}"#);
    let (_, missing) = problem(machine.find(None));
    assert!(missing.to_string().contains("no docker context \"gone\""));

    machine.context(
        "blind",
        r#"{"Host":"tcp://build.example:2376","SkipTLSVerify":true}"#,
    );
    machine.ambient.docker_context = Some("blind".into());
    let (_, blind) = problem(machine.find(None));
    assert!(matches!(
        blind,
        Problem::Context(ContextError::Unverified(_))
    ));

    let id = machine.context("half", r#"{"Host":"tcp://build.example:2376"}"#);
    machine.write(
        &format!("home/.docker/contexts/tls/{id}/docker/ca.pem"),
        "-",
    );
    machine.ambient.docker_context = Some("half".into());
    let (_, half) = problem(machine.find(None));
    assert!(half.to_string().contains("cert.pem"), "{half}");
    assert!(half.is_configuration());

    // The context of this name is none.
    machine.ambient.docker_context = Some("default".into());
    let _listener = machine.listen("run/docker.sock");
    let found = machine.find(Some(EngineKind::Docker)).unwrap();
    assert_eq!(found.origin, Origin::Usual);
}

#[test]
fn tls_is_used_where_docker_uses_it() {
    let mut machine = Machine::new();
    for name in ["ca", "cert", "key"] {
        machine.write(&format!("home/.docker/{name}.pem"), "-");
    }
    machine.ambient.docker_host = Some("tcp://build.example".into());
    let plain = machine.find(None).unwrap().endpoint;
    assert!(matches!(plain, Endpoint::Tcp { port: 2375, .. }));
    machine.ambient.docker_tls_verify = Some("1".into());
    let tls = machine.find(None).unwrap().endpoint;
    let files = TlsFiles::in_dir(&machine.path("home/.docker"));
    let host = "build.example".to_owned();
    assert_eq!(
        tls,
        Endpoint::Tls {
            host,
            port: 2376,
            files
        }
    );
    machine.ambient.docker_cert_path = Some(machine.path("elsewhere"));
    let (_, missing) = problem(machine.find(None));
    assert!(missing.to_string().contains("elsewhere/ca.pem"));
}

#[test]
fn podman_is_found_without_the_word_of_docker() {
    let mut machine = Machine::new();
    machine.ambient.docker_host = Some("unix:///nowhere".into());
    let _listener = machine.listen("run/podman/podman.sock");
    let found = machine.find(Some(EngineKind::Podman)).unwrap();
    assert_eq!(found.endpoint, machine.unix("run/podman/podman.sock"));
    let _other = machine.listen("other");
    let url = format!("unix://{}", machine.path("other").display());
    machine.ambient.container_host = Some(url.into());
    let found = machine.find(Some(EngineKind::Podman)).unwrap();
    assert_eq!(found.origin, Origin::ContainerHost);
    assert_eq!(found.endpoint, machine.unix("other"));
}

#[test]
fn a_survey_lists_every_place_once_and_says_what_is_the_matter() {
    let mut machine = Machine::new();
    machine.ambient.docker_host = Some(format!("unix://{DOCKER_SOCKET}").into());
    let _listener = machine.listen("run/podman/podman.sock");
    let survey = survey(&machine.ambient);
    let places: Vec<String> = survey.iter().map(ToString::to_string).collect();
    let at = |name: &str| format!("unix://{}", machine.path(name).display());
    assert_eq!(
        places,
        [
            format!("DOCKER_HOST (unix://{DOCKER_SOCKET})"),
            at("run/docker.sock"),
            at("run/podman/podman.sock"),
            format!("unix://{PODMAN_SOCKET}"),
        ]
    );
    assert!(matches!(survey[1].problem, Some(Problem::Absent)));
    assert!(survey[2].problem.is_none());
}

#[test]
fn where_nothing_is_named_everything_that_was_looked_at_is_kept() {
    let machine = Machine::new();
    fs::create_dir(machine.path("run")).unwrap();
    drop(machine.listen("run/docker.sock"));
    machine.write("run/podman/podman.sock", "");
    match machine.find(None) {
        Err(EngineError::NotFound { kind: None, passed }) => {
            let said: Vec<String> = passed
                .iter()
                .filter_map(|candidate| Some(candidate.problem.as_ref()?.to_string()))
                .collect();
            assert_eq!(said, ["nobody listens on it", "that is not a socket"]);
        }
        other => panic!("{other:?}"),
    }
}
