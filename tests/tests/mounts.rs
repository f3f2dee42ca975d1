//! `RUN --mount`, built for real: what steps see, and what no image, log or evidence holds.

use std::{fs, path::Path};

use repro_tests::{Built, Pack, TestContext};
use serde_json::json;

const SECRET: &str = "hunter2-correct-horse";

/// Every file below `dir` whose bytes hold `needle`.
fn files_with(dir: &Path, needle: &str) -> Vec<String> {
    let found = walkdir::WalkDir::new(dir).into_iter().filter_map(|entry| {
        let entry = entry.expect("the directory can be read");
        let bytes = entry.file_type().is_file().then(|| fs::read(entry.path()));
        let bytes = bytes?.expect("the file can be read");
        let found = bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes());
        found.then(|| entry.path().display().to_string())
    });
    found.collect()
}

#[test]
fn mounts_are_seen_by_the_step_and_are_in_no_layer() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox AS tools
RUN echo from a stage > /tool
FROM busybox
ARG WHERE=/src
RUN --mount=target=$WHERE --mount=from=tools,source=/tool,target=/bin/tool \\
    cat /src/local /bin/tool > /seen && ! touch /src/no 2>/dev/null
RUN --mount=target=/src,rw echo lost > /src/local
RUN --mount=type=cache,target=/var/cache/it,id=it echo kept > /var/cache/it/file
RUN --mount=type=cache,target=/elsewhere,id=it cat /elsewhere/file > /kept
RUN --mount=type=tmpfs,target=/scratch,size=1m echo x > /scratch/x
RUN ls -d /src /var/cache/it /elsewhere /scratch /bin/tool > /left 2>/dev/null || true
";
    let project = context.project(
        "mounts",
        &[("Dockerfile", dockerfile), ("local", "of the context\n")],
    );
    let built = Built::twice(&context, &project, &[]);
    built.reads("seen", "of the context\nfrom a stage\n");
    built.reads("kept", "kept\n");
    built.reads("left", "");
    let evidence = context.path("mounts-evidence");
    let pack = Pack::read(&evidence);
    assert_eq!(pack.verdict(), "reproducible");
}

#[test]
fn a_trigger_mounts_from_the_stage_that_runs_it() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox AS parent
ONBUILD RUN --mount=from=source,target=/s cp /s/it /it
FROM busybox AS source
RUN echo it > /it
FROM parent
";
    let project = context.project("trigger", &[("Dockerfile", dockerfile)]);
    Built::twice(&context, &project, &[]).reads("it", "it\n");
}

#[test]
fn secrets_reach_the_step_that_names_them_and_nothing_else() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox
RUN --mount=type=secret,id=token,required \\
    stat -c '%a %u %s' /run/secrets/token > /facts && cat /run/secrets/token
RUN --mount=type=secret,id=token,env=TOKEN,target=/t,mode=0440,uid=3 \\
    test \"$TOKEN\" = \"$(cat /t)\" && stat -c '%a %u' /t > /env && echo \"printed: $TOKEN\"
RUN --mount=type=secret,id=other test ! -e /run/secrets/other
RUN test ! -e /run/secrets && test -z \"$TOKEN\"
";
    let project = context.project("secrets", &[("Dockerfile", dockerfile)]);
    let file = context.write("token", SECRET);
    let option = format!("id=token,src={}", file.display());
    let built = Built::twice(&context, &project, &["--secret", &option]);
    built.reads("facts", "400 0 21\n");
    built.reads("env", "440 3\n");
    assert!(!built.entries.contains_key("run/secrets"));
    assert!(!built.output.contains(SECRET), "{}", built.output);
    let evidence = context.path("secrets-evidence");
    assert_eq!(files_with(&evidence, SECRET), Vec::<String>::new());
    assert_eq!(
        files_with(&context.store().join("blobs"), SECRET),
        Vec::<String>::new()
    );
    let log = Pack::read(&evidence).log("a", 4);
    assert!(log.contains("printed: "), "{log}");
}

#[test]
fn what_is_required_and_not_given_ends_the_build_before_its_first_step() {
    let context = TestContext::new();
    for (name, mount) in [
        ("secret", "type=secret,id=x,required"),
        ("agent", "type=ssh,id=x,required"),
    ] {
        let dockerfile = format!("FROM busybox\nRUN echo begun\nRUN --mount={mount} true\n");
        let project = context.project(name, &[("Dockerfile", &dockerfile)]);
        let (build, evidence) = context.build(&project);
        let output = build.run().exits(6);
        output.says(["Dockerfile:3", name, " x"]);
        assert!(!output.stderr.contains("begun"), "{}", output.stderr);
        assert!(!evidence.exists());
    }
}

#[test]
fn a_source_that_is_missing_is_named() {
    let context = TestContext::new();
    for (name, mount, code) in [
        ("context", "source=misteak,target=/m", 6),
        ("stage", "from=busybox,source=/nowhere,target=/m", 3),
    ] {
        let dockerfile = format!("FROM busybox\nRUN --mount={mount} true\n");
        let project = context.project(name, &[("Dockerfile", &dockerfile), ("mistake", "")]);
        let (build, _) = context.build(&project);
        let output = build.run().exits(code);
        let source = if code == 6 { "misteak" } else { "/nowhere" };
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(
            all.contains(source) && all.contains("Dockerfile:2"),
            "{all}"
        );
    }
}

#[test]
fn an_agent_of_the_caller_answers() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox
RUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && stat -c '%a' \"$SSH_AUTH_SOCK\" > /mode
";
    let project = context.project("agent", &[("Dockerfile", dockerfile)]);
    let socket = context.path("agent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let option = format!("default={}", socket.display());
    let built = Built::twice(&context, &project, &["--ssh", &option]);
    built.reads("mode", "600\n");
    let env = &built.config["config"]["Env"];
    assert!(!env.to_string().contains("SSH_AUTH_SOCK"), "{env}");
    assert_ne!(*env, json!(null));
}
