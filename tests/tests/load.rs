//! `repro build --load`, into real engines.

use std::path::PathBuf;

use repro_tests::{Engine, TestContext, succeeds};

const DOCKERFILE: &str = "FROM busybox\nRUN echo made > /made\nCMD [\"cat\", \"/made\"]\n";

fn project(context: &TestContext, dockerfile: &str) -> PathBuf {
    context.project("app", &[("Dockerfile", dockerfile)])
}

/// Builds and loads under two names; the engine has the image of the build, and runs it.
fn is_loaded(engine: &Engine, option: &str, variable: &str) {
    let context = TestContext::new();
    let project = project(&context, DOCKERFILE);
    let (build, evidence) = context.build(&project);
    let id = context.path("id");
    build
        .args([
            "-t",
            "acme/app:1",
            "-t",
            "registry.example:5000/app:2",
            option,
        ])
        .arg("--iidfile")
        .arg(&id)
        .env(variable, engine.host())
        .run()
        .exits(0)
        .says([
            "loaded sha256:",
            "as acme/app:1, registry.example:5000/app:2",
        ]);
    assert!(evidence.is_dir());
    let id = std::fs::read_to_string(id).expect("the id was written");
    for name in ["acme/app:1", "registry.example:5000/app:2"] {
        let mut inspect = engine.client();
        inspect.args(["image", "inspect", "--format", "{{.Id}}", name]);
        let found = succeeds(&mut inspect);
        assert!(id.ends_with(found.trim()), "{found} is not {id}");
        let mut run = engine.client();
        run.args(["run", "--rm", "--network=none", "--pull=never", name]);
        assert_eq!(succeeds(&mut run), "made\n");
    }
}

#[test]
fn privileged_an_image_is_loaded_into_docker() {
    let engine = Engine::docker();
    is_loaded(&engine, "--load", "DOCKER_HOST");
    what_differs_is_not_loaded(&engine);
}

#[test]
fn privileged_an_image_is_loaded_into_podman() {
    is_loaded(&Engine::podman(), "--load=podman", "CONTAINER_HOST");
}

#[test]
fn privileged_an_image_is_loaded_into_rootless_podman() {
    is_loaded(
        &Engine::podman_rootless(),
        "--load=podman",
        "CONTAINER_HOST",
    );
}

fn what_differs_is_not_loaded(engine: &Engine) {
    let context = TestContext::new();
    let differs = project(&context, "FROM busybox\nRUN hostname > /name\n");
    let has = |name: &str| {
        let mut images = engine.client();
        !succeeds(images.args(["images", "--quiet", name])).is_empty()
    };
    let build = || {
        let (build, _) = context.build(&differs);
        build
            .args(["-t", "acme/differs", "--load"])
            .env("DOCKER_HOST", engine.host())
    };
    build()
        .run()
        .exits(1)
        .says(["the image is not loaded, since the runs differ"]);
    assert!(!has("acme/differs"));
    build().args(["--on-difference", "warn"]).run().exits(0);
    assert!(has("acme/differs"));
}

#[test]
fn an_engine_that_cannot_be_used_ends_the_build_before_it_begins() {
    let context = TestContext::new();
    let project = project(&context, "FROM scratch\nCOPY Dockerfile /\n");
    for (host, code, said) in [
        (
            "unix:///nowhere/docker.sock",
            5,
            [
                "DOCKER_HOST (unix:///nowhere/docker.sock)",
                "there is no such socket",
                "repro doctor",
            ],
        ),
        (
            "ssh://me@build.example",
            2,
            ["DOCKER_HOST", "forward the socket", "unix://"],
        ),
    ] {
        let (build, evidence) = context.build(&project);
        let ended = build
            .arg("--load")
            .env("DOCKER_HOST", host)
            .run()
            .exits(code);
        ended.says(["there is no engine to --load the image into"]);
        ended.says(said);
        assert!(!evidence.exists());
    }
}
