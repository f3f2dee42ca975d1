//! `--suggest`: a patch that tools take, after which the build is reproducible.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{fs, path::Path, process::Command};

use repro_tests::{TestContext, succeeds, tool};

/// Applies the patch as its message says.
fn apply(project: &Path, patch: &str) {
    let file = fs::File::open(project.join(patch)).unwrap();
    let mut command = Command::new(tool("patch"));
    succeeds(command.arg("-p1").current_dir(project).stdin(file));
}

#[test]
fn with_the_patch_applied_the_build_is_reproducible_and_the_patch_is_not_in_the_image() {
    let context = TestContext::new();
    let project = context.project(
        "dated",
        &[(
            "Dockerfile",
            "FROM busybox\nCOPY . /src\nRUN date > /etc/build-time && \\\n    echo built\n\
             RUN <<EOF\ndate -u +%s > /etc/seconds\nEOF\n",
        )],
    );
    let patch = project.join("Dockerfile.repro.patch");
    fs::write(&patch, "of an earlier build").unwrap();
    let before = fs::read_to_string(project.join("Dockerfile")).unwrap();

    let (build, _) = context.build(&project);
    let ended = build.arg("--suggest").run().exits(1);
    ended.says(["embedded-timestamp (line 3)", "Dockerfile.repro.patch"]);
    ended.says(["tried: with the patch the build is reproducible"]);
    assert_eq!(
        fs::read_to_string(project.join("Dockerfile")).unwrap(),
        before,
        "nothing is applied without the user"
    );
    apply(&project, "Dockerfile.repro.patch");
    let (_, pack) = context.built(&project, 0);
    assert_eq!(pack.verdict(), "reproducible");

    let with_patch = pack.digest().to_owned();
    fs::remove_file(&patch).unwrap();
    let (_, pack) = context.built(&project, 0);
    assert_eq!(
        pack.digest(),
        with_patch,
        "the patch is no part of the context"
    );
}

#[test]
fn leftovers_of_package_managers_are_removed_by_the_patch() {
    let context = TestContext::new();
    let project = context.project(
        "leftovers",
        &[(
            "Dockerfile",
            "FROM busybox\n\
             RUN mkdir -p /var/log /var/cache/ldconfig && date > /var/log/dpkg.log && \\\n    \
             date > /var/cache/ldconfig/aux-cache\n\
             RUN for n in $(seq 30); do mkdir -p /root/.npm/_cacache/$n && \\\n    \
             echo \"{time:$(date +%s)000}\" > /root/.npm/_cacache/$n/$n; done\n\
             RUN tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id\n",
        )],
    );
    let (build, _) = context.build(&project);
    let ended = build.arg("--suggest").run().exits(1);
    ended.says([
        "dpkg-log (line 2)",
        "ldconfig-cache (line 2)",
        "npm-cache (line 4)",
        "machine-id (line 6)",
    ]);
    apply(&project, "Dockerfile.repro.patch");
    let (_, pack) = context.built(&project, 0);
    assert_eq!(pack.verdict(), "reproducible");
}

#[test]
fn what_has_no_mechanical_remedy_is_said_and_an_older_patch_does_not_stay() {
    let context = TestContext::new();
    // No shell runs it, so nothing can be added to it.
    let dockerfile = "FROM busybox\nRUN [\"/bin/sh\", \"-c\", \"date > /etc/build-time\"]\n";
    let project = context.project("random", &[("Dockerfile", dockerfile)]);
    let patch = project.join("Dockerfile.repro.patch");
    fs::write(&patch, "of an earlier build").unwrap();
    let (build, _) = context.build(&project);
    let ended = build.arg("--suggest").run().exits(1);
    ended.says(["no mechanical remedy for ", "(line 2)"]);
    assert!(!patch.exists());
}

#[test]
fn with_its_patch_the_example_that_is_not_reproducible_is() {
    let context = TestContext::new();
    let project = context.example("stamp");
    let (build, _) = context.build(&project);
    let ended = build.arg("--suggest").run().exits(1);
    ended.says(["tried: with the patch the build is reproducible, and nothing else changes"]);
    apply(&project, "Dockerfile.repro.patch");
    let (_, pack) = context.built(&project, 0);
    assert_eq!(pack.verdict(), "reproducible");
}

/// What a step leaves may be what a later one needs, though no text says so: the build with the change tells.
#[test]
fn a_change_that_breaks_the_build_is_not_written() {
    let context = TestContext::new();
    let project = context.project(
        "needed",
        &[
            (
                "Dockerfile",
                "FROM busybox\nCOPY keep /keep\n\
                 RUN mkdir -p /var/log && date > /var/log/dpkg.log\nRUN sh /keep\n",
            ),
            ("keep", "cp /var/log/dpkg.log /etc/first-log\n"),
        ],
    );
    let (build, _) = context.build(&project);
    let ended = build.arg("--suggest").run().exits(1);
    ended.says(["no patch is written", "dpkg-log (line 3)", "`RUN sh /keep"]);
    assert!(!project.join("Dockerfile.repro.patch").exists());
}

#[test]
fn a_dockerfile_outside_the_context_is_wrong_usage() {
    let context = TestContext::new();
    let project = context.project("inside", &[("a", "")]);
    let outside = context.write("Otherfile", "FROM busybox\n");
    let (build, evidence) = context.build(&project);
    let file = outside.to_str().unwrap();
    let ended = build.args(["--suggest", "-f", file]).run().exits(2);
    ended.says(["--suggest"]);
    assert!(!evidence.exists());
}
