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
    found.change.map(|change| change.text)
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
