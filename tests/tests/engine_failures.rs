//! Whatever happens to an engine while it builds: a clear error, nothing left behind, and the next build
//! works. Nothing else that the engine has is touched.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use repro_core::fs::sorted_names;
use repro_tests::{Ended, Engine, TestContext, succeeds, tool, wait_until};
use serde_json::Value;

/// How long an engine may take to begin a container.
const PATIENCE: Duration = Duration::from_mins(2);

/// An engine, a store, and projects for them.
struct Site {
    engine: Engine,
    executor: &'static str,
    context: TestContext,
}

impl Site {
    fn new(engine: Engine, executor: &'static str) -> Self {
        Self {
            engine,
            executor,
            context: TestContext::with_packages(repro_tests::User::Caller),
        }
    }

    fn docker() -> Self {
        Self::new(Engine::docker(), "docker")
    }

    fn project(&self, name: &str, dockerfile: &str) -> PathBuf {
        let lines = format!("FROM busybox\n{dockerfile}\n");
        self.context.project(name, &[("Dockerfile", &lines)])
    }

    fn build(&self, project: &Path) -> repro_tests::Repro {
        let (build, _) = self.context.build(project);
        build
            .args(["--executor", self.executor, "--runs", "1"])
            .env("DOCKER_HOST", self.engine.host())
            .env("CONTAINER_HOST", self.engine.host())
    }

    /// Begins a build whose step does not end, and waits until it has begun.
    fn begin(&self) -> Child {
        let project = self.project("slow", "RUN echo one >/one\nRUN sleep 300");
        let build = self
            .build(&project)
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        wait_until("the slow step runs", PATIENCE, || {
            let running = self.containers();
            running.iter().any(|id| self.runs_in(id, "sleep"))
        });
        build
    }

    fn runs_in(&self, id: &str, program: &str) -> bool {
        let top = self.ask(&format!("containers/{id}/top"));
        top.is_some_and(|top| top["Processes"].to_string().contains(program))
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let output = Command::new(tool("curl"))
            .args(["--silent", "--fail", "--unix-socket"])
            .arg(self.engine.socket())
            .arg(format!("http://engine/v1.41/{path}"))
            .output()
            .expect("curl runs");
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Ids of all containers.
    fn containers(&self) -> Vec<String> {
        let found = self.ask("containers/json?all=true").unwrap_or_default();
        let found = found.as_array().cloned().unwrap_or_default();
        let id = |container: &Value| container["Id"].as_str().unwrap_or_default().to_owned();
        found.iter().map(id).collect()
    }

    /// A build that has nothing in its way.
    fn builds(&self) {
        let project = self.project("quick", "RUN echo quick >/quick");
        self.build(&project).run().exits(0);
        assert_eq!(self.containers(), [] as [String; 0], "containers are left");
        let runs = sorted_names(&self.context.store().join("runs")).expect("the store has runs");
        assert!(runs.is_empty(), "runs are left in the store: {runs:?}");
    }
}

fn ended(mut build: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    let stderr = build.stderr.take();
    let status = build.wait().expect("the build ends");
    if let Some(mut stderr) = stderr {
        std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
    }
    (status.code(), said)
}

#[test]
fn a_container_that_somebody_removes_ends_the_build() {
    let site = Site::docker();
    let build = site.begin();
    for id in site.containers() {
        succeeds(
            Command::new(tool("curl"))
                .args(["--silent", "--fail", "--request", "DELETE", "--unix-socket"])
                .arg(site.engine.socket())
                .arg(format!("http://engine/v1.41/containers/{id}?force=true")),
        );
    }
    let (code, said) = ended(build);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("broke off"), "{said}");
    site.builds();
}

#[test]
fn an_engine_that_ends_in_mid_step_ends_the_build() {
    let mut site = Site::docker();
    let build = site.begin();
    site.engine.stop();
    let (code, said) = ended(build);
    assert_eq!(code, Some(5), "{said}");
    site.engine.start_again();
    site.builds();
}

#[test]
fn what_a_killed_build_left_goes_with_the_next_and_nothing_else_does() {
    let site = Site::docker();
    // Somebody else's.
    site.builds();
    let images = site.ask("images/json").expect("images");
    let image = images[0]["Id"].as_str().expect("an image").to_owned();
    succeeds(
        site.engine
            .client()
            .args(["create", "--name", "others", &image, "/x"]),
    );
    let others = site.containers();
    let mut build = site.begin();
    build.kill().expect("the build can be killed");
    build.wait().expect("it has ended");
    assert_eq!(site.containers().len(), 2, "the step's container is left");
    let project = site.project("next", "RUN echo next >/next");
    site.build(&project).run().exits(0);
    assert_eq!(site.containers(), others);
    // With the engine's images, but for the one that is in use.
    let gc = site.context.repro(["store", "gc", "--engine=docker"]);
    gc.env("DOCKER_HOST", site.engine.host()).run().exits(0);
    assert_eq!(site.containers(), others);
    let left = site.ask("images/json").expect("images");
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
}

#[test]
fn an_engine_without_room_says_so() {
    let site = Site::new(Engine::docker_with_room(24 << 20), "docker");
    let project = site.project("large", "RUN echo large >/large");
    let said = site.build(&project).run().any();
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stderr.contains("no room"), "{said}");
    assert_eq!(site.containers(), [] as [String; 0]);
}

#[test]
fn where_no_engine_answers_the_doctor_is_named() {
    let context = TestContext::new();
    let project = context.project("any", &[("Dockerfile", "FROM scratch\nWORKDIR /a\n")]);
    let (build, _) = context.build(&project);
    let nowhere = format!("unix://{}", context.path("nowhere").display());
    let said: Ended = build
        .args(["--executor", "docker"])
        .env("DOCKER_HOST", nowhere)
        .run()
        .exits(5);
    assert!(said.stderr.contains("repro doctor"), "{said}");
}
