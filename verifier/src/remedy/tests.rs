use std::{fs, process::Command};

use super::{Original, RunForm, RunText, Suggestion, Userland, suggest};
use crate::{
    causes::Cause,
    compare::{
        Difference, DifferenceKind, Origin,
        planted::{Build, Step, file, step},
    },
    report::Report,
};

/// A report whose one step, on line 1, has one difference of `cause` at each of `paths`.
fn report(cause: Cause, paths: &[&str]) -> Report {
    let random = ("3f86f4ae2c", "98bd00c7e1");
    report_on(cause, paths, random)
}

/// What the two runs of these steps give.
fn compared(steps: &[Step]) -> Report {
    let build = Build::new(steps);
    let comparison = build.compare().unwrap();
    Report::build(&build.record, Some(&comparison)).unwrap()
}

/// The same as [`report`], with what the runs wrote.
fn report_on(cause: Cause, paths: &[&str], (a, b): (&str, &str)) -> Report {
    let mut report = compared(&[step("RUN x", vec![file("x", a)], vec![file("x", b)])]);
    let row = report.differences[0].clone();
    report.differences = paths
        .iter()
        .map(|path| Difference {
            path: (*path).to_owned(),
            cause,
            ..row.clone()
        })
        .collect();
    for step in report.runs.iter_mut().flat_map(|run| &mut run.steps) {
        step.line = 1;
    }
    report
}

/// What becomes of a `RUN` that is the whole file.
fn changed(text: &str, form: RunForm, cause: Cause, paths: &[&str]) -> Option<String> {
    let found = suggested(text, form, &report(cause, paths));
    assert!(found.change.is_some() || !found.left.is_empty());
    Some(found.change?.text)
}

/// What is suggested on a Dockerfile that is one `RUN`.
fn suggested(text: &str, form: RunForm, report: &Report) -> Suggestion {
    let end_line = u32::try_from(text.lines().count()).unwrap();
    on_runs(text, &[(1, end_line)], form, report)
}

/// What is suggested on a Dockerfile with a `RUN` on these lines.
fn on_runs(text: &str, lines: &[(u32, u32)], form: RunForm, report: &Report) -> Suggestion {
    let runs: Vec<RunText> = lines
        .iter()
        .map(|(line, end_line)| RunText {
            line: *line,
            end_line: *end_line,
            form,
            userland: Userland::Gnu,
        })
        .collect();
    let original = Original {
        name: "Dockerfile",
        text,
        escape: '\\',
        runs: &runs,
    };
    let found = suggest(report, &original).unwrap();
    if let Some(change) = &found.change {
        assert_eq!(patched(text, &change.patch), change.text);
    }
    found
}

/// What `patch -p1` makes of a Dockerfile.
fn patched(text: &str, patch: &str) -> String {
    let project = tempfile::tempdir().unwrap();
    let file = project.path().join("Dockerfile");
    fs::write(&file, text).unwrap();
    fs::write(project.path().join("x.patch"), patch).unwrap();
    let status = Command::new("patch")
        .args(["--silent", "--binary", "-p1", "-i", "x.patch"])
        .current_dir(project.path())
        .status()
        .expect("patch starts: tests/run installs it");
    assert!(status.success());
    fs::read_to_string(file).unwrap()
}

#[test]
fn every_mechanical_remedy_is_a_patch_that_applies() {
    let export = |variables: &str, run: &str| format!("RUN export {variables} && {run}\n");
    let then = |run: &str, more: &str| format!("RUN {run} \\\n && {more}\n");
    for (cause, run, path, after) in [
        (
            Cause::AptLog,
            "apt",
            "var/log/apt/term.log",
            then("apt", "rm -rf /var/log/apt/*.log"),
        ),
        (
            Cause::AlternativesLog,
            "apt",
            "var/log/alternatives.log",
            then("apt", "rm -rf /var/log/alternatives.log"),
        ),
        (
            Cause::AptCache,
            "apt-get update && apt-get install x",
            "var/lib/apt/lists/x",
            then(
                "apt-get update && apt-get install x",
                "rm -rf /var/lib/apt/lists/*",
            ),
        ),
        (
            Cause::AptCache,
            "apt-get update",
            "var/cache/apt/pkgcache.bin",
            then("apt-get update", "rm -rf /var/cache/apt/*.bin"),
        ),
        (
            Cause::LdconfigCache,
            "ldconfig",
            "var/cache/ldconfig/aux-cache",
            then("ldconfig", "rm -rf /var/cache/ldconfig/aux-cache"),
        ),
        (
            Cause::MachineId,
            "x",
            "etc/machine-id",
            then("x", ": > /etc/machine-id"),
        ),
        (
            Cause::PycSourceTime,
            "pip install x",
            "a.pyc",
            export(
                "PYTHONDONTWRITEBYTECODE=1 PIP_NO_COMPILE=1",
                "pip install x",
            ),
        ),
        (
            Cause::PipCache,
            "pip install x",
            "root/.cache/pip/x",
            export("PIP_NO_CACHE_DIR=1", "pip install x"),
        ),
        (
            Cause::PipCache,
            "uv sync",
            "root/.cache/uv/x",
            export("UV_NO_CACHE=1", "uv sync"),
        ),
        (
            Cause::NpmCache,
            "npm ci",
            "root/.npm/_cacache/index-v5/a/b",
            then("npm ci", "rm -rf /root/.npm/_cacache/*"),
        ),
        (
            Cause::ArchiveTime,
            "ar rcs /x.a x.o",
            "x.a",
            "RUN ar rcsD /x.a x.o\n".into(),
        ),
        (
            Cause::GzipHeader,
            "gzip x",
            "x.gz",
            "RUN gzip -n x\n".into(),
        ),
        (
            Cause::ArchiveExtra,
            "zip -r x y",
            "x.zip",
            "RUN zip -X -r x y\n".into(),
        ),
        (
            Cause::DebugPath,
            "gcc -g x.c",
            "x",
            "RUN gcc -ffile-prefix-map=$PWD=. -g x.c\n".into(),
        ),
        (
            Cause::DebugPath,
            "pip install --no-binary x x",
            "usr/lib/x.so",
            export(r#"CFLAGS="${CFLAGS:-} -g0""#, "pip install --no-binary x x"),
        ),
        (
            Cause::LtoSymbol,
            "gcc -flto -c x.c",
            "x.o",
            "RUN gcc -frandom-seed=x.c -flto -c x.c\n".into(),
        ),
        (
            Cause::LinkerBuildId,
            "gcc -Wl,--build-id=uuid x.c",
            "x",
            "RUN gcc -Wl,--build-id=sha1 x.c\n".into(),
        ),
        (
            Cause::GoBuildId,
            "go build .",
            "x",
            export(
                r#"GOFLAGS="${GOFLAGS:-} -trimpath -buildvcs=false""#,
                "go build .",
            ),
        ),
        (Cause::LocalTime, "make", "x", export("TZ=UTC", "make")),
        (
            Cause::LineOrder,
            "sort x > y",
            "y",
            export("LC_ALL=C", "sort x > y"),
        ),
        (
            Cause::JavadocDate,
            "javadoc -d x P.java",
            "x/P.html",
            "RUN javadoc -notimestamp -d x P.java\n".into(),
        ),
    ] {
        let found = shell(&format!("RUN {run}\n"), cause, &[path]);
        assert_eq!(found.as_deref(), Some(after.as_str()), "{cause}: {run}");
    }
}

#[test]
fn a_cache_is_removed_as_a_whole() {
    let paths: Vec<String> = (0..500)
        .map(|n| format!("root/.npm/_cacache/index-v5/{n}"))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let found = shell("RUN npm ci\n", Cause::NpmCache, &paths);
    assert_eq!(
        found.as_deref(),
        Some("RUN npm ci \\\n && rm -rf /root/.npm/_cacache/*\n")
    );
    for (text, path) in [
        ("RUN npm ci\n", "root/x.npm/a"),
        ("RUN npm ci\n", "root/.npm/_npx/a"),
        (
            "RUN --mount=type=tmpfs,target=/root/.npm npm ci\n",
            "root/.npm/_cacache/a",
        ),
    ] {
        assert_eq!(shell(text, Cause::NpmCache, &[path]), None, "{text} {path}");
    }
}

fn shell(text: &str, cause: Cause, paths: &[&str]) -> Option<String> {
    changed(text, RunForm::Shell, cause, paths)
}

#[test]
fn steps_get_the_lines_that_the_catalogue_names() {
    for (cause, path, before, after) in [
        (
            Cause::EmbeddedTimestamp,
            "x",
            "RUN date > /x\n",
            "RUN date -u -d @$SOURCE_DATE_EPOCH > /x\n",
        ),
        (
            Cause::DpkgLog,
            "var/log/dpkg.log",
            "RUN --network=none dpkg -i x\r\n",
            "RUN --network=none dpkg -i x \\\r\n && rm -rf /var/log/dpkg.log\r\n",
        ),
        (
            Cause::LineOrder,
            "x",
            "run --mount=type=tmpfs,target=/t python3 x \\\n  y",
            "run --mount=type=tmpfs,target=/t export PYTHONHASHSEED=0 && python3 x \\\n  y",
        ),
        (
            Cause::RandomContent,
            "x",
            "RUN head -c 9 /dev/urandom > /x\n",
            "# random-content: left empty, to be written when a container starts: /x\n\
             RUN head -c 9 /dev/urandom > /x \\\n && : > /x\n",
        ),
    ] {
        assert_eq!(shell(before, cause, &[path]).as_deref(), Some(after));
    }
}

#[test]
fn what_comes_behind_flags_on_several_lines_is_the_command() {
    let epoch = "date -u -d @$SOURCE_DATE_EPOCH";
    for (flags, form) in [
        (
            "RUN \\\n  --mount=type=tmpfs,target=/t \\\n",
            RunForm::Shell,
        ),
        (
            "RUN --network=none \\\n# x\n\n --security=sandbox \\\n",
            RunForm::Shell,
        ),
        ("RUN --network=none \\\n  <<E\n", RunForm::Script),
        ("RUN <<-E\n\t#!/bin/bash\n", RunForm::Script),
    ] {
        let end = if form == RunForm::Script { "E\n" } else { "" };
        let before = format!("{flags}date > /x\n{end}");
        let found = changed(&before, form, Cause::EmbeddedTimestamp, &["x"]);
        assert_eq!(found, Some(before.replace("date", epoch)), "{before}");
        let found = changed(&before, form, Cause::LocalTime, &["x"]);
        let export = match form {
            RunForm::Shell => "export TZ=UTC && date",
            RunForm::Script => "export TZ=UTC\ndate",
        };
        assert_eq!(found, Some(before.replace("date", export)), "{before}");
    }
    for (before, form) in [
        (
            "RUN <<-E\n\t#!/usr/bin/python3\n\tdate\nE\n",
            RunForm::Script,
        ),
        (
            "RUN --network=none \\\n <<E\n#!/usr/bin/perl\ndate\nE\n",
            RunForm::Script,
        ),
        (
            "RUN --mount=type=\\\ntmpfs,target=/t date\n",
            RunForm::Shell,
        ),
        ("RUN --mount=\"type=x y\" date\n", RunForm::Shell),
    ] {
        let found = changed(before, form, Cause::EmbeddedTimestamp, &["x"]);
        assert_eq!(found, None, "{before}");
    }
}

#[test]
fn a_change_never_joins_lines() {
    let text = "RUN uname \\\n -n > /x\n";
    assert_eq!(shell(text, Cause::EmbeddedHostname, &["x"]), None);
}

#[test]
fn what_a_later_step_may_need_is_kept() {
    for (cause, run, path, later) in [
        (Cause::TemporaryFile, "x", "opt/x", ""),
        (
            Cause::TemporaryFile,
            "x",
            "tmp/x/y",
            "COPY --from=a /tmp/x /\n",
        ),
        (Cause::TemporaryFile, "x", "tmp/x/y", "RUN cat /tmp/x/y\n"),
        (Cause::TemporaryFile, "x", "tmp/x/y", "COPY --from=a / /\n"),
        (Cause::RandomContent, "uuidgen > /x", "x", "CMD cat /x\n"),
        (Cause::RandomContent, "uuidgen > /x; cat /x", "x", ""),
        (Cause::RandomContent, "uuidgen | y > $x", "x", ""),
        (
            Cause::MachineId,
            "x",
            "etc/machine-id",
            "RUN cat /etc/machine-id\n",
        ),
        (Cause::MachineId, "x", "opt/machine-id", ""),
        (
            Cause::DpkgLog,
            "x",
            "var/log/dpkg.log",
            "RUN cat /var/log/dpkg.log\n",
        ),
        (Cause::AptCache, "apt-get update", "var/lib/apt/lists/x", ""),
        (
            Cause::AptCache,
            "apt-get install x; apt-get update",
            "var/lib/apt/lists/x",
            "",
        ),
        (
            Cause::AptCache,
            "apt-get update; apt-get install x",
            "var/lib/apt/lists/x",
            "RUN apt-get install y\n",
        ),
        (
            Cause::NpmCache,
            "npm ci",
            "root/.npm/_cacache/x",
            "RUN npm ci --offline\n",
        ),
        (
            Cause::NpmCache,
            "npm ci",
            "root/.npm/_cacache/x",
            "COPY --from=a /root/.npm /\n",
        ),
        (Cause::GeneratedKey, "x", "etc/x.key", ""),
        (Cause::ShadowDay, "useradd u", "etc/shadow", ""),
        (Cause::JavaPropertiesDate, "x", "x.properties", ""),
        (Cause::GradleState, "x", "root/.gradle/x", ""),
        (Cause::CondaHistory, "x", "opt/conda/conda-meta/history", ""),
    ] {
        let text = format!("RUN {run}\n{later}");
        let found = on_runs(&text, &[(1, 1)], RunForm::Shell, &report(cause, &[path]));
        assert_eq!(found.change, None, "{text} {path}");
        assert_eq!(found.left, [(cause, Some(1))].into());
    }
}

#[test]
fn what_is_set_stays_as_it_is_set() {
    for (cause, head, run) in [
        (Cause::DebugPath, "ENV CFLAGS=-O2", "pip install x"),
        (Cause::DebugPath, "ARG CFLAGS", "pip install x"),
        (Cause::GoBuildId, "", "GOFLAGS=-mod=mod go build ."),
        (Cause::LocalTime, "ENV TZ=Europe/Berlin", "x"),
        (
            Cause::LineOrder,
            "",
            "set -o pipefail; LC_ALL=C.UTF-8 sort x",
        ),
        (Cause::PipCache, "", "set -o pipefail; make"),
    ] {
        let text = format!("{head}\nRUN {run}\n");
        let mut report = report(cause, &["x"]);
        for step in report.runs.iter_mut().flat_map(|run| &mut run.steps) {
            step.line = 2;
        }
        let found = on_runs(&text, &[(2, 2)], RunForm::Shell, &report);
        assert_eq!(found.change, None, "{text}");
    }
}

#[test]
fn a_variable_is_the_whole_answer_only_where_nothing_else_can_be() {
    for (cause, run, path, whole) in [
        (Cause::PipCache, "pip install x", "root/.cache/pip/x", true),
        (Cause::PipCache, "pip install x", "opt/x", false),
        (Cause::LocalTime, "x", "x", false),
        (Cause::DebugPath, "pip install x", "x", false),
    ] {
        let report = report(cause, &[path]);
        let found = suggested(&format!("RUN {run}\n"), RunForm::Shell, &report);
        assert_eq!(found.change.unwrap().remedied, [(cause, 1)].into());
        assert_eq!(found.left.is_empty(), whole, "{run} {path}");
    }
}

#[test]
fn scripts_end_as_they_did() {
    let before = "RUN <<EOF\n#!/bin/sh -e\nmake\nEOF\n";
    let after = "RUN <<EOF\n#!/bin/sh -e\nmake\n[ $? -eq 0 ] && rm -rf /tmp/x\nEOF\n";
    let found = changed(before, RunForm::Script, Cause::TemporaryFile, &["tmp/x"]);
    assert_eq!(found.as_deref(), Some(after));
    let python = "RUN <<EOF\n#!/usr/bin/python3\npass\nEOF\n";
    let found = changed(python, RunForm::Script, Cause::TemporaryFile, &["tmp/x"]);
    assert_eq!(found, None);
}

#[test]
fn where_a_choice_or_a_hostile_name_is_nothing_is_proposed() {
    for (cause, text, path) in [
        (Cause::Unknown, "RUN x\n", "x"),
        (Cause::RandomContent, "RUN x\n", "x"),
        (Cause::EmbeddedTimestamp, "RUN x\n", "x"),
        (Cause::TemporaryFile, "RUN x # done\n", "tmp/x"),
        (Cause::TemporaryFile, "RUN x &\n", "tmp/x"),
        (Cause::TemporaryFile, "RUN x;# done\n", "tmp/x"),
        (Cause::TemporaryFile, "RUN x\t# done\n", "tmp/x"),
        (Cause::TemporaryFile, "RUN x; exit 0\n", "tmp/x"),
        (Cause::TemporaryFile, "RUN exec x\n", "tmp/x"),
        (Cause::TemporaryFile, "RUN x # y \\\n && z\n", "tmp/x"),
        (Cause::LocalTime, "RUN # done\n", "x"),
        (Cause::DpkgLog, "RUN sudo apt x\n", "var/log/dpkg.log"),
        (
            Cause::TemporaryFile,
            "RUN --mount=type=cache,target=/tmp x\n",
            "tmp/x",
        ),
        (Cause::TemporaryFile, "RUN x\n", "tmp/$(reboot)"),
        (Cause::TemporaryFile, "RUN x\n", "tmp/../etc"),
        (Cause::TemporaryFile, "RUN x\n", "tmp/a b"),
        (Cause::TemporaryFile, "RUN x\n", "tmp/a\\nb"),
    ] {
        assert_eq!(shell(text, cause, &[path]), None, "{text} {path}");
    }
}

#[test]
fn a_patch_is_the_difference_and_names_only_what_lies_in_the_project() {
    let before = (1..=20).fold(String::new(), |text, line| format!("{text}{line}\n"));
    let after = before
        .replace("\n10\n", "\nten\n")
        .replace("20\n", "twenty");
    let expected = "--- a/a b\t\n+++ b/a b\t\n\
        @@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n\
        @@ -17,4 +17,4 @@\n 17\n 18\n 19\n-20\n+twenty\n\\ No newline at end of file\n";
    assert_eq!(
        super::patch::unified("a b", &before, &after).unwrap(),
        expected
    );
    for name in ["/x", "../x", "a\nb", "a\"b", ""] {
        assert!(
            super::patch::unified(name, "a\n", "b\n").is_err(),
            "{name:?}"
        );
    }
}

#[test]
fn causes_of_one_archive_share_the_rewriting_of_its_call() {
    let options = "--mtime=@$SOURCE_DATE_EPOCH --sort=name";
    let text = "RUN echo x > y; tar czf /t.tgz .\n";
    let mut report = report(Cause::ArchiveTime, &["t.tgz"]);
    let order = Difference {
        cause: Cause::ArchiveOrder,
        ..report.differences[0].clone()
    };
    report.differences.push(order);
    let found = suggested(text, RunForm::Shell, &report);
    let change = found.change.unwrap();
    assert_eq!(
        change.text,
        format!("# needs GNU tar, 1.28 or later\nRUN echo x > y; tar czf /t.tgz . {options}\n")
    );
    let causes = [Cause::ArchiveTime, Cause::ArchiveOrder].map(|cause| (cause, 1));
    assert_eq!(change.remedied, causes.into());
    assert_eq!(found.left, [].into());
}

#[test]
fn lines_whose_order_may_mean_something_are_not_sorted() {
    assert_eq!(
        shell("RUN find d -type f > /f\n", Cause::LineOrder, &["f"]).as_deref(),
        Some("RUN find d -type f > /f && LC_ALL=C sort -o /f /f\n")
    );
    for text in [
        "RUN find d -type f -exec cat {} + > /all.sh\n",
        "RUN make > /all.sh\n",
        "RUN cat $(ls d) > /all.sh\n",
        "RUN find d > /other; x > /all.sh\n",
    ] {
        assert_eq!(shell(text, Cause::LineOrder, &["all.sh"]), None, "{text}");
    }
}

#[test]
fn a_file_that_is_random_in_part_keeps_the_rest() {
    let text = "RUN echo \"key=$(head -c16 /dev/urandom | base64)\" > /c; echo port=8080 >> /c\n";
    for contents in [
        ("key=3f86f4ae2c\nport=8080\n", "key=98bd00c7e1\nport=8080\n"),
        ("key=3f86f4ae2c\n", "key=98bd00c7e1\n"),
    ] {
        let report = report_on(Cause::RandomContent, &["c"], contents);
        let found = suggested(text, RunForm::Shell, &report);
        assert_eq!(found.change, None, "{contents:?}");
        assert_eq!(found.left, [(Cause::RandomContent, Some(1))].into());
    }
    let mut report = report(Cause::RandomContent, &["c"]);
    report.differences[0].evidence = None;
    assert_eq!(suggested(text, RunForm::Shell, &report).change, None);
}

#[test]
fn what_is_in_one_run_only_cannot_be_named() {
    let names = ["tmp/build-26169.tmp", "tmp/build-27081.tmp", "tmp/x"];
    let mut report = report(Cause::TemporaryFile, &names);
    for row in &mut report.differences[..2] {
        row.kind = DifferenceKind::Missing;
    }
    let text = "RUN touch /tmp/build-$RANDOM.tmp; date > /tmp/x\n";
    let found = suggested(text, RunForm::Shell, &report);
    let after = text.replace("/x\n", "/x \\\n && rm -rf /tmp/x\n");
    assert_eq!(found.change.unwrap().text, after);
    assert_eq!(found.left, [(Cause::TemporaryFile, Some(1))].into());
    report.differences.pop();
    assert_eq!(suggested(text, RunForm::Shell, &report).change, None);
}

#[test]
fn what_needs_no_path_takes_any() {
    for path in ["a b", "$(reboot)"] {
        let found = shell("RUN date > \"$f\"\n", Cause::EmbeddedTimestamp, &[path]);
        let after = "RUN date -u -d @$SOURCE_DATE_EPOCH > \"$f\"\n";
        assert_eq!(found.as_deref(), Some(after));
    }
}

#[test]
fn a_call_that_remains_is_said() {
    let text = "RUN tar cf /x y; tar $how /z y\n";
    let report = report(Cause::ArchiveTime, &["x", "z"]);
    let found = suggested(text, RunForm::Shell, &report);
    assert_eq!(
        found.change.unwrap().remedied,
        [(Cause::ArchiveTime, 1)].into()
    );
    assert_eq!(found.left, [(Cause::ArchiveTime, Some(1))].into());
}

#[test]
fn calls_are_found_on_every_line_and_not_in_comments() {
    let epoch = "date -u -d @$SOURCE_DATE_EPOCH";
    for (before, form) in [
        (
            "RUN x \\\n# it's date\n  && \\\n  date \\\n    > /x\n",
            RunForm::Shell,
        ),
        ("RUN echo \"a \\\n  date\" && date\n", RunForm::Shell),
        (
            "RUN <<E\n# it's date\nx \\\n  date\ndate\nE\n",
            RunForm::Script,
        ),
        (
            "RUN <<E\ncat > y <<'F'\ndate\nF\nx=$(date)\nE\n",
            RunForm::Script,
        ),
    ] {
        let at = before.rfind("date").unwrap();
        let after = format!("{}{epoch}{}", &before[..at], &before[at + 4..]);
        let found = changed(before, form, Cause::EmbeddedTimestamp, &["x"]);
        assert_eq!(found, Some(after));
    }
}

#[test]
fn a_date_that_the_shell_puts_into_a_program_is_the_one_of_the_epoch() {
    let found = shell(
        r#"RUN gcc -DSTAMP="\"built $(date)\"" x.c
"#,
        Cause::CompiledDate,
        &["x"],
    );
    let after = r#"RUN gcc -DSTAMP="\"built $(date -u -d @$SOURCE_DATE_EPOCH)\"" x.c
"#;
    assert_eq!(found.as_deref(), Some(after));
    assert_eq!(shell("RUN gcc x.c\n", Cause::CompiledDate, &["x"]), None);
}

#[test]
fn equal_contents_of_two_steps_do_not_hide_what_the_second_one_does() {
    let (a, b) = ("2026-11-23 21:33:25", "2026-11-23 21:33:27");
    let steps =
        ["d1", "d2", "d3"].map(|name| step("RUN x", vec![file(name, a)], vec![file(name, b)]));
    let report = compared(&steps);
    let derived: Vec<Option<&Origin>> = report
        .differences
        .iter()
        .map(|row| row.derived_from.as_ref())
        .collect();
    assert_eq!(derived.iter().flatten().count(), 2, "{derived:?}");

    let text = "FROM x\nRUN date > /d1\nRUN date > /d2\nRUN cp /d1 /d3\n";
    let found = on_runs(text, &[(2, 2), (3, 3), (4, 4)], RunForm::Shell, &report);
    let change = found.change.unwrap();
    assert_eq!(
        change.text,
        text.replace("date", "date -u -d @$SOURCE_DATE_EPOCH")
    );
    let cause = Cause::EmbeddedTimestamp;
    assert_eq!(change.remedied, [(cause, 2), (cause, 3)].into());
    assert_eq!(found.left, [].into());
    assert_eq!(found.follows, [(cause, 4, 2)].into());
}

#[test]
fn what_is_added_to_one_step_does_not_keep_an_earlier_one_from_it() {
    let contents = ("3f86f4ae2c", "98bd00c7e1");
    let steps = [("a", contents), ("b", (contents.1, contents.0))]
        .map(|(name, (a, b))| step("RUN x", vec![file(name, a)], vec![file(name, b)]));
    let mut report = compared(&steps);
    for row in &mut report.differences {
        row.path = "var/log/dpkg.log".to_owned();
        row.cause = Cause::DpkgLog;
        row.derived_from = None;
    }
    let text = "FROM x\nRUN x\nRUN y\n";
    let found = on_runs(text, &[(2, 2), (3, 3)], RunForm::Shell, &report);
    let rm = "\\\n && rm -rf /var/log/dpkg.log\n";
    let after = format!("FROM x\nRUN x {rm}RUN y {rm}");
    assert_eq!(found.change.unwrap().text, after);
}
