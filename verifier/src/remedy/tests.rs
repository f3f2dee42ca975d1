use std::{fs, process::Command};

use super::{Original, RunForm, RunText, suggest};
use crate::{
    causes::Cause,
    compare::{
        Difference,
        planted::{Build, file, step},
    },
    report::Report,
};

/// A report whose one step, on line 1, has one difference of `cause` at each of `paths`.
fn report(cause: Cause, paths: &[&str]) -> Report {
    let build = Build::new(&[step(
        "RUN x",
        vec![file("x", "2026-11-23 21:33:25")],
        vec![file("x", "2026-11-23 21:33:27")],
    )]);
    let comparison = build.compare().unwrap();
    let mut report = Report::build(&build.record, Some(&comparison)).unwrap();
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
    let end_line = u32::try_from(text.lines().count()).unwrap();
    let runs = [RunText {
        line: 1,
        end_line,
        form,
    }];
    let original = Original {
        name: "Dockerfile",
        text,
        escape: '\\',
        runs: &runs,
    };
    let found = suggest(&report(cause, paths), &original).unwrap();
    assert_eq!(found.change.is_none(), !found.left.is_empty());
    let change = found.change?;
    assert_eq!(patched(text, &change.patch), change.text);
    Some(change.text)
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
            "var/log/apt/x",
            then("apt", "rm -rf /var/log/apt"),
        ),
        (
            Cause::AptCache,
            "apt",
            "var/cache/apt/x",
            then("apt", "rm -rf /var/lib/apt/lists/* /var/cache/apt/*"),
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
            export("PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1", "pip install x"),
        ),
        (
            Cause::PipCache,
            "make",
            "root/.cache/pip/x",
            then("make", "rm -rf /root/.cache/pip"),
        ),
        (
            Cause::NpmCache,
            "npm ci",
            "root/.npm/_cacache/index-v5/a/b",
            then("npm ci", "rm -rf /root/.npm"),
        ),
        (
            Cause::ShadowDay,
            "useradd u",
            "etc/shadow",
            then(
                "useradd u",
                r"sed -i -E 's/^([^:]*:[^:]*:)[0-9]+:/\1'$((SOURCE_DATE_EPOCH / 86400))':/' /etc/shadow",
            ),
        ),
        (
            Cause::AccountBackup,
            "useradd u",
            "etc/shadow-",
            then("useradd u", "rm -rf /etc/shadow-"),
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
            export("CFLAGS=-g0", "pip install --no-binary x x"),
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
            export("GOFLAGS='-trimpath -buildvcs=false'", "go build ."),
        ),
        (Cause::LocalTime, "make", "x", export("TZ=UTC", "make")),
        (
            Cause::LineOrder,
            "sort x > y",
            "y",
            export("LC_ALL=C", "sort x > y"),
        ),
        (
            Cause::KernelList,
            "apt",
            "etc/apt/apt.conf.d/01autoremove-kernels",
            then("apt", "rm -rf /etc/apt/apt.conf.d/01autoremove-kernels"),
        ),
        (
            Cause::JavadocDate,
            "javadoc -d x P.java",
            "x/P.html",
            "RUN javadoc -notimestamp -d x P.java\n".into(),
        ),
    ] {
        let found = shell(&format!("RUN {run}\n"), cause, &[path]);
        assert_eq!(found.as_deref(), Some(after.as_str()), "{cause}");
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
        Some("RUN npm ci \\\n && rm -rf /root/.npm\n")
    );
    let elsewhere = shell("RUN npm ci\n", Cause::NpmCache, &["root/x.npm/a"]);
    assert_eq!(elsewhere, None);
}

fn shell(text: &str, cause: Cause, paths: &[&str]) -> Option<String> {
    changed(text, RunForm::Shell, cause, paths)
}

#[test]
fn steps_get_the_lines_that_the_catalogue_names() {
    for (cause, before, after) in [
        (
            Cause::EmbeddedTimestamp,
            "RUN date > /x\n",
            "RUN date -u -d @$SOURCE_DATE_EPOCH > /x\n",
        ),
        (
            Cause::DpkgLog,
            "RUN --network=none dpkg -i x\r\n",
            "RUN --network=none dpkg -i x \\\r\n && rm -rf /var/log/dpkg.log\r\n",
        ),
        (
            Cause::LineOrder,
            "run --mount=type=tmpfs,target=/t python3 x \\\n  y",
            "run --mount=type=tmpfs,target=/t export PYTHONHASHSEED=0 && python3 x \\\n  y",
        ),
        (
            Cause::RandomContent,
            "RUN head -c 9 /dev/urandom > /x\n",
            "# random-content: left empty, to be written when a container starts: /x\n\
             RUN head -c 9 /dev/urandom > /x \\\n && : > /x\n",
        ),
    ] {
        assert_eq!(shell(before, cause, &["x"]).as_deref(), Some(after));
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
