//! The Dockerfile language, built for real: file system and configuration as a Docker user expects
//! them.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    process::Command,
};

use repro_tests::{Built, Events, Pack, TestContext, tool};
use serde_json::{Value, json};

#[test]
fn heredocs_are_commands_scripts_and_files() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox
ARG A=value
RUN <<EOF
echo one > /one
echo $A >> /one
EOF
RUN <<-'script'
\t#!/bin/busybox sh
\techo \"$0 $A\" > /two
\tscript
RUN cat <<X >/three && cat <<-Y >/four
$A
X
\tindented
\tY
COPY <<plain <<-'verbatim' /etc/
$A \"quoted\" \\$A
plain
\t$A
verbatim
COPY --chmod=u=rw,go= --chown=7:8 <<x /dir/name
x
";
    let project = context.project("heredocs", &[("Dockerfile", dockerfile)]);
    let built = Built::twice(&context, &project, &[]);
    built.reads("one", "one\nvalue\n");
    built.reads("two", "/dev/pipes/script value\n");
    built.reads("three", "value\n");
    built.reads("four", "indented\n");
    built.reads("etc/plain", "value \"quoted\" $A\n");
    built.reads("etc/verbatim", "$A\n");
    built.has("etc/plain", "f0644 0:0");
    built.has("dir/name", "f0600 7:8");
    built.reads("dir/name", "");
    assert!(!built.entries.keys().any(|path| path.contains("pipes")));
}

#[test]
fn archives_are_unpacked_by_add_alone() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox
ADD pack.txt /opt
ADD --chown=5:6 pack.txt plain /own/
ADD --unpack=false pack.txt /raw/
COPY pack.txt /copied/
";
    let project = context.project("archives", &[("Dockerfile", dockerfile), ("plain", "p")]);
    let inside = context.path("inside");
    fs::create_dir_all(inside.join("bin")).unwrap();
    fs::write(inside.join("bin/tool"), "#!").unwrap();
    let packed = Command::new(tool("tar"))
        .args([
            "--create",
            "--gzip",
            "--owner=11",
            "--group=12",
            "--mode=4750",
        ])
        .args(["--file"])
        .arg(project.join("pack.txt"))
        .arg("--directory")
        .arg(&inside)
        .arg("bin")
        .status();
    assert!(packed.unwrap().success());
    let built = Built::twice(&context, &project, &[]);
    built.has("opt/bin/tool", "f4750 11:12");
    built.has("own/bin/tool", "f4750 5:6");
    built.has("own/plain", "f0644 5:6");
    assert!(built.entries.contains_key("raw/pack.txt"));
    assert!(built.entries.contains_key("copied/pack.txt"));
}

#[test]
fn what_is_not_locked_is_a_missing_input_and_other_machines_are_not_run() {
    let context = TestContext::new();
    for (name, dockerfile, code, said) in [
        (
            "url",
            "FROM busybox\nADD https://example.org/a /\n",
            6,
            "is not locked",
        ),
        (
            "git",
            "FROM busybox\nADD https://example.org/a.git /\n",
            6,
            "is not locked",
        ),
        (
            "check",
            "# check=error=true\nFROM busybox\nCMD true\n",
            2,
            "CMD runs a shell",
        ),
        (
            "copy",
            "FROM busybox\nCOPY https://example.org/a /\n",
            2,
            "COPY does not take",
        ),
    ] {
        let project = context.project(name, &[("Dockerfile", dockerfile)]);
        let (build, _) = context.build(&project);
        build.run().exits(code).says([said]);
    }
    let dockerfile = "FROM scratch AS a\nRUN x\nFROM scratch AS b\nCOPY Dockerfile /\n";
    let project = context.project("platform", &[("Dockerfile", dockerfile)]);
    let (build, _) = context.build(&project);
    let foreign = build.args(["--platform", "linux/s390x"]);
    foreign
        .clone()
        .args(["--target", "a"])
        .run()
        .exits(5)
        .says(["RUN in a stage for linux/s390x"]);
    let image = self::Built::twice(&context, &project, &["--platform", "linux/s390x"]);
    assert_eq!(image.config["architecture"], "s390x");
}

#[test]
fn triggers_run_in_the_child_and_nowhere_else() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox AS base
ONBUILD ARG WHO=child
ONBUILD COPY --from=tools /tool /got
ONBUILD RUN <<EOF
echo $WHO > /ran
EOF
FROM busybox AS tools
RUN echo tool > /tool
FROM base
RUN cat /ran > /after
FROM base AS other
";
    let project = context.project("triggers", &[("Dockerfile", dockerfile)]);
    let built = Built::twice(&context, &project, &["--target", "base"]);
    assert!(!built.entries.contains_key("ran"));
    let triggers = built.config["config"]["OnBuild"].as_array().unwrap();
    assert_eq!(triggers.len(), 3);
    assert_eq!(triggers[2], "RUN <<EOF\necho $WHO > /ran\nEOF");
    let built = Built::twice(&context, &project, &["--build-arg", "WHO=asked"]);
    built.reads("got", "tool\n");
    built.reads("ran", "asked\n");
    assert_eq!(built.config["config"].get("OnBuild"), None);

    // The same through an image, in another build.
    let (tagged, _) = context.build(&project);
    tagged
        .args(["--target", "base", "--tag", "example/onbuild:1"])
        .run()
        .exits(0);
    let child =
        "FROM busybox AS tools\nRUN echo other > /tool\nFROM example/onbuild:1\nRUN cat /ran\n";
    let project = context.project("child", &[("Dockerfile", child)]);
    let built = Built::twice(&context, &project, &[]);
    built.reads("got", "other\n");
    built.reads("ran", "child\n");
}

#[test]
fn the_configuration_has_every_instruction() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox
MAINTAINER A. Person
SHELL [\"/bin/busybox\", \"sh\", \"-c\"]
RUN echo $0 > /shell
HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1s --retries=3 CMD test -e /x
STOPSIGNAL SIGQUIT
VOLUME [\"/data\", \"/b c\"]
VOLUME /more
RUN mkdir /data && echo kept > /data/file
EXPOSE 80 53/udp
ENTRYPOINT [\"/bin/app\"]
CMD run me
";
    let project = context.project("config", &[("Dockerfile", dockerfile)]);
    let built = Built::twice(&context, &project, &[]);
    built.reads("data/file", "kept\n");
    built.reads("shell", "sh\n");
    assert_eq!(built.config["author"], "A. Person");
    let config = &built.config["config"];
    assert_eq!(
        config["Healthcheck"],
        json!({
            "Test": ["CMD-SHELL", "test -e /x"],
            "Interval": 90_000_000_000_i64,
            "Timeout": 500_000_000,
            "StartPeriod": 2_000_000_000_i64,
            "StartInterval": 1_000_000_000,
            "Retries": 3
        })
    );
    assert_eq!(config["StopSignal"], "SIGQUIT");
    assert_eq!(
        config["Volumes"],
        json!({"/b c": {}, "/data": {}, "/more": {}})
    );
    assert_eq!(config["Shell"], json!(["/bin/busybox", "sh", "-c"]));
    assert_eq!(config["Cmd"], json!(["/bin/busybox", "sh", "-c", "run me"]));
    assert_eq!(config["ExposedPorts"], json!({"53/udp": {}, "80/tcp": {}}));
    assert!(built.output.contains("maintainer-deprecated"));
}

#[test]
fn copies_keep_parents_leave_out_and_link() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox
RUN mkdir /real && ln -s /real /link && echo keep > /real/keep
COPY --parents --exclude=**/*.md src/**/*.txt /p/
COPY --parents src/./deep /pivot/
COPY --exclude=deep src /e/
COPY --link src/a.txt /link/
COPY src/b.md /real/
";
    let project = context.project(
        "copies",
        &[
            ("Dockerfile", dockerfile),
            ("src/a.txt", "a"),
            ("src/b.md", "b"),
            ("src/deep/er/c.txt", "c"),
            ("src/deep/d.md", "d"),
        ],
    );
    let built = Built::twice(&context, &project, &[]);
    built.reads("p/src/a.txt", "a");
    built.reads("p/src/deep/er/c.txt", "c");
    assert!(!built.entries.contains_key("p/src/b.md"));
    built.reads("pivot/deep/d.md", "d");
    built.reads("e/b.md", "b");
    assert!(!built.entries.contains_key("e/deep/"));
    built.has("link/", "d0755 0:0");
    built.reads("link/a.txt", "a");
    built.reads("real/keep", "keep\n");
}

#[test]
fn users_links_and_odd_files_are_as_docker_has_them() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox
RUN echo 'app:x:42:43::/home/app:/bin/sh' >> /etc/passwd && echo 'app:x:43:' >> /etc/group \\
    && mkdir /real && ln -s real /work && ln -s ../../../../../tmp /climb
USER app
WORKDIR /work/here
RUN pwd > /tmp/pwd && id -u > /tmp/uid && echo $HOME > /tmp/home
COPY --chown=app files/ /climb/
USER 0
RUN touch /suid && chmod 6755 /suid && ln /suid /hard && ln -s nowhere /dangling && : > /zero
COPY --chown=:app zero /group
";
    let project = context.project(
        "odd",
        &[("Dockerfile", dockerfile), ("zero", ""), ("files/x", "x")],
    );
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff\n[name");
    fs::write(project.join("files").join(odd), "odd").unwrap();
    symlink("../../outside", project.join("files/out")).unwrap();
    let built = Built::twice(&context, &project, &[]);
    built.has("real/here/", "d0755 42:43");
    built.reads("tmp/pwd", "/real/here\n");
    built.reads("tmp/uid", "42\n");
    built.reads("tmp/home", "/home/app\n");
    built.has("tmp/x", "f0644 42:43");
    built.has("tmp/out", "l ../../outside");
    assert!(
        built
            .entries
            .keys()
            .any(|path| path.starts_with("tmp/odd ") && path.ends_with("\n[name"))
    );
    built.has("suid", "h hard");
    built.has("hard", "f6755 0:0");
    built.has("dangling", "l nowhere");
    built.has("zero", "f0644 0:0");
    built.has("group", "f0644 0:43");
}

#[test]
fn named_contexts_are_directories_images_and_layouts() {
    let context = TestContext::new();
    let dockerfile = "\
FROM alpine AS one
COPY --from=files . /files/
FROM busybox AS replaced
RUN false
FROM one
COPY --from=replaced /marker /marker
";
    let project = context.project("contexts", &[("Dockerfile", dockerfile)]);
    let files = context.project(
        "files",
        &[
            ("kept", "k"),
            ("junk", "j"),
            (".dockerignore", "junk\nrepro.toml"),
        ],
    );
    let marker = context.project(
        "marker",
        &[("Dockerfile", "FROM busybox\nRUN echo m > /marker\n")],
    );
    let layout = context.path("layout");
    let (tagged, _) = context.build(&marker);
    tagged
        .args(["--tag", "example/marker:1", "--output"])
        .arg(format!("oci:{}", layout.display()))
        .run()
        .exits(0);
    let files = format!("files={}", files.display());
    let layout = format!("replaced=oci-layout://{}", layout.display());
    let key = context.path("signer");
    context.repro(["keygen"]).arg(&key).run().exits(0);
    let [private, public] = [".key", ".pub"].map(|end| format!("{}{end}", key.display()));
    let options = [
        "--key",
        &private,
        "--build-context",
        &files,
        "--build-context",
        "alpine=docker-image://example/marker:1",
        "--build-context",
        &layout,
    ];
    let built = Built::twice(&context, &project, &options);
    built.reads("files/kept", "k");
    assert!(!built.entries.contains_key("files/junk"));
    built.reads("marker", "m\n");
    let evidence = context.path("contexts-evidence");
    context
        .repro(["verify", "--key", &public])
        .arg(&evidence)
        .run()
        .exits(0);

    let (refused, _) = context.build(&project);
    refused
        .args(["--build-context", "alpine=https://example.org/x"])
        .run()
        .exits(2)
        .says(["would have to be fetched"]);
}

/// Which steps run A begins before it finishes the first one.
fn begun_first(events: &Events) -> Vec<&Value> {
    let of_a = events.0.iter().filter(|event| event["run"] == "a");
    of_a.take_while(|event| event["event"] != "step-finished")
        .filter(|event| event["event"] == "step-started")
        .map(|event| &event["instruction"])
        .collect()
}

#[test]
fn independent_stages_run_side_by_side_and_give_the_same_image() {
    let context = TestContext::new();
    let dockerfile = "\
FROM busybox AS one
RUN sleep 2 && echo one > /one
FROM busybox AS two
RUN sleep 2 && echo two > /two
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
";
    let project = context.project("stages", &[("Dockerfile", dockerfile)]);
    let mut images = Vec::new();
    for (jobs, at_once) in [("2", 2), ("1", 1)] {
        let (build, evidence) = context.build(&project);
        let output = build.args(["--progress=json", "--jobs", jobs]).run();
        let begun = Events::of(&output.exits(0));
        let begun = begun_first(&begun);
        assert_eq!(begun.len(), at_once, "{jobs} jobs: {begun:?}");
        images.push(Pack::read(&evidence).digest().to_owned());
    }
    assert_eq!(images[0], images[1]);
}

#[test]
fn a_step_that_fails_stops_others_and_keeps_more_from_beginning() {
    let context = TestContext::new();
    // Longer than anybody waits.
    let dockerfile = "\
FROM busybox AS one
RUN sleep 7200
RUN echo never
FROM busybox AS two
RUN sleep 1; echo \"this is why\" && false
FROM scratch
COPY --from=one / /
COPY --from=two / /
";
    let project = context.project("failing", &[("Dockerfile", dockerfile)]);
    let (build, evidence) = context.build(&project);
    let output = build.args(["--progress=json", "--jobs=2"]).run().exits(3);
    output.prints(["this is why"]);
    let events = Events::of(&output);
    let begun: Vec<_> = events
        .of_kind("step-started")
        .iter()
        .filter(|event| event["run"] == "a")
        .map(|event| event["line"].clone())
        .collect();
    assert_eq!(begun, [2, 5]);
    let stopped = events.of_kind("step-stopped");
    assert!(
        stopped.iter().any(|event| event["run"] == "a"),
        "{stopped:?}"
    );
    assert_eq!(Pack::read(&evidence).run("a")["failure"]["line"], 5);
}
